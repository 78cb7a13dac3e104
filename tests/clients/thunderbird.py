"""Thunderbird, headless, driven by Marionette: HOST IMAPS SUBMISSIONS CA USER PASSWORD COUNT

Makes an account, takes in a mailbox of COUNT messages with their bodies, reads, flags, moves, and sends with a copy in Sent; IMAP says what
came of it. Nothing outlives it: the profile is its own."""
import imaplib
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

host, imaps, submissions, ca, user, password, count = sys.argv[1:]
count = int(count)
START, STEP = 120, 240

context = ssl.create_default_context(cafile=ca)
imap = imaplib.IMAP4_SSL(host, int(imaps), ssl_context=context)
imap.login(user, password)
for number in range(1, count + 1):
    text = f"From: Ann <ann@example.net>\r\nTo: {user}\r\nSubject: =?utf-8?Q?N=C2=B0_{number:04}?=\r\nMessage-ID: <{number}@x>\r\n" \
        f"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nTexte num\u00e9ro {number}\r\n" \
        + f"{'x' * 70}\r\n" * (number % 50)
    assert imap.append("INBOX", None, None, text.encode())[0] == "OK"

profile = pathlib.Path(tempfile.mkdtemp(prefix="pli-thunderbird-"))
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
(profile / "user.js").write_text("".join(f'user_pref("{name}", {json.dumps(value)});\n' for name, value in {
    "marionette.port": port,
    "app.update.enabled": False,
    "network.manage-offline-status": False,
    "offline.autoDetect": False,
    "offline.startup_state": 0,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mail.rights.version": 1,
    "mailnews.start_page.enabled": False,
    "mail.shell.checkDefaultClient": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "extensions.update.enabled": False,
    "mail.biff.show_alert": False,
    "mail.server.default.check_all_folders_for_new": False,
    "mail.smtpserver.default.hello_argument": "[127.0.0.1]",
}.items()))
log = (profile / "log").open("w")
bird = subprocess.Popen(
    ["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", str(profile)],
    stdout=log, stderr=subprocess.STDOUT, env={"HOME": str(profile), "PATH": "/usr/bin:/bin", "MOZ_CRASHREPORTER_DISABLE": "1"})


class Marionette:
    def __init__(self):
        deadline = time.monotonic() + START
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 5)
                break
            except OSError:
                assert bird.poll() is None, "thunderbird ended"
                assert time.monotonic() < deadline, "thunderbird does not listen"
                time.sleep(0.2)
        self.socket.settimeout(STEP + 30)
        self.buffer, self.number = b"", 0
        self.answer()
        self.call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {}}})
        self.call("Marionette:SetContext", {"value": "chrome"})
        self.call("WebDriver:SetTimeouts", {"script": STEP * 1000})

    def answer(self):
        while b":" not in self.buffer:
            self.more()
        length, _, rest = self.buffer.partition(b":")
        while len(rest) < int(length):
            self.more()
            length, _, rest = self.buffer.partition(b":")
        self.buffer = rest[int(length):]
        return json.loads(rest[:int(length)])

    def more(self):
        some = self.socket.recv(1 << 16)
        assert some, "thunderbird closed"
        self.buffer += some

    def call(self, name, fields):
        self.number += 1
        bytes_ = json.dumps([0, self.number, name, fields]).encode()
        self.socket.sendall(str(len(bytes_)).encode() + b":" + bytes_)
        _, number, error, result = self.answer()
        assert number == self.number
        assert error is None, f"{name}: {error}"
        return result

    def run(self, script, *arguments):
        """Runs an async function's body in Thunderbird's own context; what it returns comes back."""
        text = """
            const done = arguments[arguments.length - 1], given = Array.from(arguments).slice(0, -1);
            (async () => {
                const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
                const until = async (what, so) => {
                    for (let turn = 0; turn < 2000; turn++) {
                        const got = await so();
                        if (got) return got;
                        await new Promise(go => globalThis.setTimeout ? setTimeout(go, 100) : Services.tm.dispatchToMainThread(go));
                    }
                    throw new Error("not in time: " + what);
                };
                const account = () => MailServices.accounts.accounts.find(a => a.incomingServer?.type == "imap");
                const folder = name => account().incomingServer.rootFolder.getFolderWithFlags(
                    { inbox: 0x1000, sent: 0x200, archive: 0x4000 }[name]);
                const headers = f => Array.from(f.messages);
                const listener = () => {
                    const all = {};
                    all.done = new Promise((yes, no) => { all.yes = yes; all.no = no; });
                    const over = status => Components.isSuccessCode(status) ? all.yes() : all.no(new Error("status " + status.toString(16)));
                    Object.assign(all, {
                        QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener", "nsIMsgSendListener"]),
                        OnStartRunningUrl() {}, OnStopRunningUrl(url, status) { over(status); },
                        onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; },
                        onStopCopy(status) { over(status); },
                        OnStartCopy() {}, OnProgress() {}, SetMessageKey() {}, GetMessageId() {}, OnStopCopy(status) { over(status); },
                        onStartSending() {}, onSendProgress() {}, onStatus() {}, onSendNotPerformed() { all.no(new Error("not sent")); },
                        onTransportSecurityError() { all.no(new Error("TLS")); }, onGetDraftFolderURI() {},
                        onStopSending(id, status) { if (!Components.isSuccessCode(status)) over(status); },
                    });
                    return all;
                };
        """ + script + """
            })().then(value => done({ value }), error => done({ error: String(error) + "\\n" + (error.stack || "") }));
        """
        result = self.call("WebDriver:ExecuteAsyncScript", {"script": text, "args": list(arguments), "sandbox": "system"})
        result = result["value"]
        assert "error" not in result, result["error"]
        return result.get("value")


def flags_of(mailbox, subject):
    imap.select(mailbox, readonly=True)
    imap.literal = subject.encode()
    found = imap.search("UTF-8", "SUBJECT")[1][0].split()
    return [imap.fetch(number, "(FLAGS)")[1][0].decode() for number in found]


def until(what, so):
    deadline = time.monotonic() + STEP
    while not so():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.2)


try:
    drive = Marionette()
    certificate = "".join(line for line in pathlib.Path(ca).read_text().splitlines() if not line.startswith("-"))
    version = drive.run("""
        const [ca, host, imaps, submissions, user, password] = given;
        Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, "CT,CT,CT");
        for (const [origin, port] of [["imap://" + host], ["smtp://" + host]]) {
            const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
            login.init(origin, null, origin, user, password, "", "");
            await Services.logins.addLoginAsync(login);
        }
        const server = MailServices.accounts.createIncomingServer(user, host, "imap");
        server.port = imaps; server.socketType = 3; server.authMethod = 3; server.loginAtStartUp = false;
        server.QueryInterface(Ci.nsIImapIncomingServer).offlineDownload = true;
        const out = (MailServices.outgoingServer || MailServices.smtp).createServer("smtp");
        const smtp = out.QueryInterface(Ci.nsISmtpServer);
        smtp.hostname = host; smtp.port = submissions; out.socketType = 3; out.authMethod = 3; out.username = user;
        (MailServices.outgoingServer || MailServices.smtp).defaultServer = out;
        const identity = MailServices.accounts.createIdentity();
        identity.email = user; identity.fullName = "Test"; identity.smtpServerKey = out.key; identity.doFcc = true;
        const made = MailServices.accounts.createAccount();
        made.incomingServer = server; made.addIdentity(identity);
        MailServices.accounts.defaultAccount = made;
        if (Services.io.offline) Services.io.offline = false;
        const inboxes = server.rootFolder.getFolderWithFlags(0x1000);
        if (inboxes) inboxes.getNewMessages(null, null);
        server.performExpand(null);
        await until("the special mailboxes", () => folder("inbox") && folder("sent") && folder("archive"));
        identity["fccFolderURI" in identity ? "fccFolderURI" : "fccFolder"] = folder("sent").URI;
        return Services.appinfo.version;
    """, certificate, host, int(imaps), int(submissions), user, password)
    print("an account, its mailboxes", file=log, flush=True)
    drive.run("""
        const inbox = folder("inbox");
        inbox.getNewMessages(null, null);
        await until("the list", () => inbox.getTotalMessages(false) == given[0] && headers(inbox).length == given[0]);
        const all = listener();
        inbox.downloadAllForOffline(all, null);
        await all.done;
        const missing = headers(inbox).filter(h => !(h.flags & 0x80));
        if (missing.length) throw new Error(missing.length + " bodies missing");
        const right = headers(inbox).filter(h => /^N. [0-9]{4}$/.test(h.mime2DecodedSubject));
        if (right.length != given[0]) throw new Error("subjects: " + right.length);
    """, count)
    drive.run("""
        const inbox = folder("inbox");
        const of = n => headers(inbox).find(h => h.messageId == n + "@x");
        inbox.markMessagesRead([of(3), of(4)], true);
        inbox.markMessagesFlagged([of(4)], true);
        const moved = listener();
        MailServices.copy.copyMessages(inbox, [of(5), of(6)], folder("archive"), true, moved, null, false);
        await moved.done;
        await until("the move", () => headers(inbox).length == given[0] - 2);
    """, count)
    until("\\Flagged", lambda: "\\Flagged" in flags_of("INBOX", "N\u00b0 0004")[0])
    assert "\\Seen" in flags_of("INBOX", "N\u00b0 0003")[0] and "\\Seen" not in flags_of("INBOX", "N\u00b0 0007")[0]
    assert not flags_of("INBOX", "N\u00b0 0005") and len(flags_of("Archive", "N\u00b0 0005")) == 1
    letter = profile / "letter.eml"
    letter.write_bytes(f"From: Test <{user}>\r\nTo: {user}\r\nSubject: =?utf-8?Q?D=C3=A9part?=\r\nMessage-ID: <sent@x>\r\n"
                       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                       "Sous pli cachet\u00e9.\r\n".encode())
    drive.run("""
        const [file, user] = given;
        const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
        const identity = account().defaultIdentity;
        fields.from = identity.email; fields.to = user; fields.fcc = folder("sent").URI;
        const local = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
        local.initWithPath(file);
        const sent = listener();
        Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend)
            .sendMessageFile(identity, account().key, fields, local, false, false, Ci.nsIMsgSend.nsMsgDeliverNow, null, sent, null, null);
        await sent.done;
    """, str(letter), user)
    until("the copy in Sent", lambda: len(flags_of("Sent", "D\u00e9part")) == 1)
    until("the delivery", lambda: len(flags_of("INBOX", "D\u00e9part")) == 1)
    assert "\\Seen" in flags_of("Sent", "D\u00e9part")[0]
    # What comes while it is open is told by IDLE.
    imap.append("INBOX", None, None, b"Subject: late\r\nMessage-ID: <late@x>\r\n\r\ntext\r\n")
    drive.run("""
        const inbox = folder("inbox");
        inbox.updateFolder(null);
        await until("what came meanwhile", () => headers(inbox).some(h => h.messageId == "late@x"));
    """)
    print("thunderbird", version)
except BaseException:
    log.flush()
    print((profile / "log").read_text()[-4000:], file=sys.stderr)
    raise
finally:
    bird.terminate()
    try:
        bird.wait(20)
    except subprocess.TimeoutExpired:
        bird.kill()
        bird.wait()
    shutil.rmtree(profile, ignore_errors=True)
