//! Programs that people use, against the real server: curl, swaks, Python's libraries, mbsync, neomutt, and Postfix as
//! the other MTA in both directions. A program that is missing is a failure: `cargo xtask packages` installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Builder, Instance, corpus, free_port, repository};

/// Messages in the mailbox that clients read.
const CORPUS: usize = 280;
const CORPUS_SEED: u64 = 20_261_124;

/// Runs a program; its output goes into the failure.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask packages` installs it"));
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out
}

/// The Python of the environment that `cargo xtask packages` makes.
fn python() -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let python = target.join("venv/bin/python");
    assert!(python.exists(), "{} is not there: run `cargo xtask packages`", python.display());
    Command::new(python)
}

/// An account whose mailbox `Corpus` holds the corpus, and the folder with the same messages as files.
fn filled(instance: &Instance) -> (Account, tempfile::TempDir) {
    let account = instance.account();
    let folder = tempfile::tempdir().unwrap();
    let mut imap = Imap::login(instance, &account).unwrap();
    imap.ok("CREATE Corpus").unwrap();
    for (number, message) in corpus::messages(CORPUS_SEED, CORPUS).iter().enumerate() {
        fs::write(folder.path().join(format!("{number:04}.eml")), message).unwrap();
        let flags = if number % 3 == 0 { "(\\Seen)" } else { "" };
        imap.append("Corpus", flags, message).unwrap();
    }
    imap.logout();
    (account, folder)
}

fn messages_in(instance: &Instance, account: &Account, mailbox: &str) -> usize {
    let mut imap = Imap::login(instance, account).unwrap();
    let answer = imap.ok(&format!("STATUS {mailbox} (MESSAGES)")).unwrap();
    let line = String::from_utf8_lossy(&answer.untagged[0]).into_owned();
    let count = line.split("MESSAGES ").nth(1).unwrap().trim_end_matches(')').parse().unwrap();
    imap.logout();
    count
}

/// Waits for something that other processes bring about.
fn until(what: &str, so: impl Fn() -> bool) {
    until_or(what, so, String::new);
}

/// The same; a failure shows what `told` has to say.
fn until_or(what: &str, so: impl Fn() -> bool, told: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}\n{}", told());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn curl_sends_and_reads() {
    let instance = Instance::start();
    let account = instance.account();
    let file = instance.dir.join("message.eml");
    let text = format!("From: {0}\r\nTo: {0}\r\nSubject: curl\r\n\r\n.one dot\r\n", account.address);
    fs::write(&file, &text).unwrap();
    let curl = |port: &str| {
        let mut command = Command::new("curl");
        let resolve = format!("mail.example.org:{}:127.0.0.1", instance.port(port));
        command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(&instance.ca);
        command.args(["--resolve", &resolve, "--user", &format!("{}:{}", account.address, account.password)]);
        command
    };
    for (scheme, port) in [("smtps", "submissions"), ("smtp", "submission")] {
        let url = format!("{scheme}://mail.example.org:{}", instance.port(port));
        run(curl(port)
            .args(["--ssl-reqd", "--mail-from", &account.address, "--mail-rcpt", &account.address])
            .arg("--upload-file")
            .arg(&file)
            .arg(url));
    }
    let base = format!("imaps://mail.example.org:{}", instance.port("imaps"));
    let list = run(curl("imaps").arg(format!("{base}/")));
    for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
        assert!(list.contains(name), "{name} in {list}");
    }
    let read = run(curl("imaps").arg(format!("{base}/INBOX;MAILINDEX=2")));
    assert!(read.contains("Subject: curl\r\n") && read.ends_with("\r\n\r\n.one dot\r\n"), "{read:?}");
    let found = run(curl("imaps").arg(format!("{base}/INBOX?SUBJECT%20curl")));
    assert!(found.contains("* SEARCH 1 2"), "{found}");
    // Somebody else's relay we are not.
    let relay = Command::new("curl")
        .args(["--silent", "--mail-from", "a@example.net", "--mail-rcpt", "b@elsewhere.example", "--upload-file"])
        .arg(&file)
        .arg(format!("smtp://127.0.0.1:{}", instance.port("smtp")))
        .status()
        .unwrap();
    assert!(!relay.success());
}

#[test]
fn swaks_delivers_and_submits() {
    let instance = Instance::start();
    let account = instance.account();
    let swaks = |port: &str| {
        let mut command = Command::new("swaks");
        command.args(["--server", "127.0.0.1", "--port", &instance.port(port).to_string(), "--to", &account.address]);
        command.args(["--hide-all", "--body", "from swaks"]);
        command
    };
    run(swaks("smtp").args(["--from", "outside@example.net"]));
    run(swaks("smtp").args(["--from", "outside@example.net", "--tls"]));
    run(swaks("smtp").args(["--from", "outside@example.net", "--tls", "--pipeline"]));
    for mechanism in ["PLAIN", "LOGIN"] {
        let login = ["--auth", mechanism, "--auth-user", &account.address, "--auth-password", &account.password];
        run(swaks("submission").args(["--from", &account.address, "--tls"]).args(login));
        run(swaks("submissions").args(["--from", &account.address, "--tls-on-connect"]).args(login));
    }
    assert_eq!(messages_in(&instance, &account, "INBOX"), 7);
    // No password before TLS, no sender that is not one's own, no unknown recipient.
    let login = ["--auth", "PLAIN", "--auth-user", &account.address, "--auth-password", &account.password];
    assert!(!swaks("submission").args(["--from", &account.address]).args(login).status().unwrap().success());
    assert!(!swaks("submission").args(["--from", "x@example.net", "--tls"]).args(login).status().unwrap().success());
    let mut unknown = Command::new("swaks");
    unknown.args(["--server", "127.0.0.1", "--port", &instance.port("smtp").to_string(), "--hide-all"]);
    assert!(!unknown.args(["--to", "nobody-here@example.org"]).status().unwrap().success());
    assert_eq!(messages_in(&instance, &account, "INBOX"), 7);
}

#[test]
fn python_reads_every_message_to_the_byte() {
    let instance = Instance::start();
    let (account, folder) = filled(&instance);
    let scripts = repository().join("tests/clients");
    let (imaps, smtps) = (instance.port("imaps").to_string(), instance.port("submissions").to_string());
    run(python()
        .arg(scripts.join("standard_library.py"))
        .args(["localhost", &imaps, &smtps])
        .arg(&instance.ca)
        .args([&account.address, &account.password])
        .arg(folder.path())
        .arg(CORPUS.to_string()));
    run(python()
        .arg(scripts.join("compress.py"))
        .args(["localhost", &imaps])
        .arg(&instance.ca)
        .args([&account.address, &account.password]));
    run(python()
        .arg(scripts.join("imapclient_reads.py"))
        .args(["localhost", &imaps])
        .arg(&instance.ca)
        .args([&account.address, &account.password])
        .arg(folder.path()));
}

/// Every file below a folder with its bytes' length, mbsync's own state left out.
fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
            let length = path.metadata().unwrap().len();
            all.insert(path, length);
        }
    }
    all
}

#[test]
fn mbsync_both_ways_and_the_second_run_changes_nothing() {
    let instance = Instance::start();
    let (account, _folder) = filled(&instance);
    let home = tempfile::tempdir().unwrap();
    let mail = home.path().join("mail");
    fs::create_dir(&mail).unwrap();
    let rc = home.path().join("mbsyncrc");
    let text = format!(
        "IMAPAccount pli\nHost localhost\nPort {}\nUser {}\nPass {}\nSSLType IMAPS\nCertificateFile {}\n\n\
         IMAPStore far\nAccount pli\n\nMaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        instance.port("imaps"),
        account.address,
        account.password,
        instance.ca.display(),
        mail = mail.display(),
    );
    fs::write(&rc, text).unwrap();
    let sync = || run(Command::new("mbsync").arg("-c").arg(&rc).arg("-a").env("HOME", home.path()));
    let state = || {
        let mut imap = Imap::login(&instance, &account).unwrap();
        let answer = imap.ok("STATUS Corpus (MESSAGES UIDNEXT HIGHESTMODSEQ)").unwrap();
        imap.logout();
        String::from_utf8_lossy(&answer.untagged[0]).into_owned()
    };
    sync();
    let (here, there) = (files(&mail), state());
    assert_eq!(here.keys().filter(|path| path.starts_with(mail.join("Corpus"))).count(), CORPUS);
    sync();
    assert_eq!(files(&mail), here, "nothing changed here");
    assert_eq!(state(), there, "nothing changed there");
    // Both ways: a message put in here, a flag set there, a message deleted there.
    fs::write(mail.join("Corpus/cur/1.new.host:2,S"), "Subject: from here\n\ntext\n").unwrap();
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok("SELECT Corpus").unwrap();
    imap.ok("STORE 2 +FLAGS (\\Flagged)").unwrap();
    imap.ok("STORE 5 +FLAGS (\\Deleted)").unwrap();
    imap.ok("EXPUNGE").unwrap();
    imap.logout();
    sync();
    assert_eq!(messages_in(&instance, &account, "Corpus"), CORPUS);
    let local = files(&mail);
    let corpus: Vec<_> = local.keys().filter(|path| path.starts_with(mail.join("Corpus"))).collect();
    assert_eq!(corpus.len(), CORPUS);
    assert!(corpus.iter().any(|path| path.to_string_lossy().contains(":2,F")), "the flag came over");
    let (here, there) = (files(&mail), state());
    sync();
    assert_eq!((files(&mail), state()), (here, there), "and again nothing");
}

#[test]
fn neomutt_sends_and_reads() {
    let instance = Instance::start();
    let (account, _folder) = filled(&instance);
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("neomuttrc");
    let text = format!(
        "set from='{0}'\nset imap_user='{0}'\nset imap_pass='{1}'\nset smtp_pass='{1}'\n\
         set smtp_url='smtps://{user}@localhost:{2}'\nset folder='imaps://localhost:{3}'\nset record=''\n\
         set ssl_ca_certificates_file='{4}'\nset certificate_file='{4}'\nset ssl_force_tls=yes\nset confirmappend=no\n\
         set confirmcreate=no\nset quit=yes\nset header_cache=''\nset mark_old=no\nset wait_key=no\nset fast_reply=yes\n\
         set copy=yes\nset abort_nosubject=no\n",
        account.address,
        account.password,
        instance.port("submissions"),
        instance.port("imaps"),
        instance.ca.display(),
        user = account.address.replace('@', "%40"),
    );
    fs::write(&rc, text).unwrap();
    let body = home.path().join("body");
    fs::write(&body, "Sous pli cacheté.\n").unwrap();
    let send = format!("neomutt -n -F {} -s 'from neomutt' -- {} < {}", rc.display(), account.address, body.display());
    run(Command::new("sh").args(["-c", &send]).env("HOME", home.path()).env("TERM", "xterm"));
    assert_eq!(messages_in(&instance, &account, "INBOX"), 1);
    // Opens the mailbox, tags all, copies all into a local one, marks the first, leaves.
    let copy = home.path().join("copy");
    let keys = format!("<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{}<enter><quit>", copy.display());
    let read = format!(
        "neomutt -n -F {} -f imaps://localhost:{}/Corpus -e 'push {keys}'",
        rc.display(),
        instance.port("imaps")
    );
    run(Command::new("timeout")
        .args(["60", "script", "-qec", &read, "/dev/null"])
        .env("HOME", home.path())
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::null()));
    let copied = fs::read(&copy).unwrap();
    // A line of the corpus begins so too.
    let starts = |line: &&[u8]| line.starts_with(b"From ") && !line.starts_with(b"From the start");
    let from_lines = copied.split(|b| *b == b'\n').filter(starts).count();
    assert_eq!(from_lines, CORPUS, "every message was fetched");
}

/// Postfix with a configuration and a queue of its own, on high ports, delivering other.test into one file.
struct Postfix {
    dir: tempfile::TempDir,
    port: u16,
    child: std::process::Child,
}

impl Postfix {
    fn start(port: u16, example_org: u16, cert: &Path, key: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("pli-postfix-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["conf", "queue", "data", "mail"] {
            fs::create_dir(at(name)).unwrap();
        }
        run(Command::new("chmod").arg("755").arg(dir.path()));
        run(Command::new("chown").arg("postfix").arg(at("data")));
        run(Command::new("chown").arg("nobody").arg(at("mail")));
        let id = |what: &str, user: &str| run(Command::new("id").args([what, user])).trim().to_owned();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\nmyhostname = mx.other.test\nmydestination =\nmynetworks = 127.0.0.0/8\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database =\n\
             virtual_mailbox_domains = other.test\nvirtual_mailbox_base = {mail}\nvirtual_mailbox_maps = static:inbox\n\
             virtual_minimum_uid = 1\nvirtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{gid}\n\
             transport_maps = inline:{{ example.org=smtp:[127.0.0.1]:{example_org} }}\nmaillog_file = /dev/stdout\n\
             smtp_tls_security_level = encrypt\nsmtpd_tls_security_level = may\nsmtpd_tls_cert_file = {cert}\n\
             smtpd_tls_key_file = {key}\nsmtp_dns_support_level = disabled\nsmtpd_peername_lookup = no\nmessage_size_limit = 50000000\nvirtual_mailbox_limit = 0\n",
            queue = at("queue").display(),
            data = at("data").display(),
            mail = at("mail").display(),
            uid = id("-u", "nobody"),
            gid = id("-g", "nobody"),
            cert = cert.display(),
            key = key.display(),
        );
        fs::write(at("conf/main.cf"), main).unwrap();
        let mut master = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        for (name, kind, private, wake, command) in [
            ("pickup", "unix", "n", "60", "pickup"),
            ("cleanup", "unix", "n", "-", "cleanup"),
            ("qmgr", "unix", "n", "300", "qmgr"),
            ("tlsmgr", "unix", "-", "1000?", "tlsmgr"),
            ("rewrite", "unix", "-", "-", "trivial-rewrite"),
            ("bounce", "unix", "-", "-", "bounce"),
            ("defer", "unix", "-", "-", "bounce"),
            ("trace", "unix", "-", "-", "bounce"),
            ("verify", "unix", "-", "-", "verify"),
            ("flush", "unix", "n", "1000?", "flush"),
            ("proxymap", "unix", "-", "-", "proxymap"),
            ("smtp", "unix", "-", "-", "smtp"),
            ("showq", "unix", "n", "-", "showq"),
            ("error", "unix", "-", "-", "error"),
            ("retry", "unix", "-", "-", "error"),
            ("discard", "unix", "-", "-", "discard"),
            ("virtual", "unix", "-", "-", "virtual"),
            ("postlog", "unix-dgram", "n", "-", "postlogd"),
            ("anvil", "unix", "-", "-", "anvil"),
            ("scache", "unix", "-", "-", "scache"),
        ] {
            // virtual changes its user, so it keeps root's rights until then.
            let unprivileged = if name == "virtual" { "n" } else { "-" };
            // Each of these ends with a fatal error when its process limit is another.
            let most = match name {
                "pickup" | "qmgr" | "tlsmgr" | "verify" | "anvil" | "scache" | "postlog" => "1",
                "cleanup" | "bounce" | "defer" | "trace" | "flush" => "0",
                _ => "-",
            };
            master.push_str(&format!("{name} {kind} {private} {unprivileged} n {wake} {most} {command}\n"));
        }
        fs::write(at("conf/master.cf"), master).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let mut start = Command::new("postfix");
        start
            .arg("-c")
            .arg(at("conf"))
            .arg("start-fg")
            .stdin(std::process::Stdio::null())
            .stderr(log.try_clone().unwrap());
        let child = start.stdout(log).spawn().unwrap();
        let postfix = Self { dir, port, child };
        until("Postfix accepts", || std::net::TcpStream::connect(("127.0.0.1", postfix.port)).is_ok());
        postfix
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn received(&self) -> String {
        fs::read(self.dir.path().join("mail/inbox"))
            .map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // By its own process id: `postfix stop` waits for its log service, which may be gone by then.
        if let Ok(pid) = fs::read_to_string(self.dir.path().join("queue/pid/master.pid")) {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
        let _ = self.child.wait();
    }
}

#[test]
fn postfix_is_the_other_mta_in_both_directions() {
    let port = free_port();
    let route = format!("routes = {{ \"other.test\" = \"127.0.0.1:{port}\" }}");
    let instance = Builder::default().config("queue", &route).start();
    let account = instance.account();
    let tls = instance.dir.join("tls");
    let postfix = Postfix::start(port, instance.port("smtp"), &tls.join("cert.pem"), &tls.join("key.pem"));

    // Out: submitted here, delivered there.
    let mut smtp = Smtp::submission(&instance, &account).unwrap();
    let text = format!(
        "From: {}\r\nTo: bob@other.test\r\nSubject: out\r\n\r\n.dot\r\n..two\r\nend of it\r\n",
        account.address
    );
    smtp.send(&account.address, &["bob@other.test"], text.as_bytes()).unwrap();
    smtp.quit();
    until_or("the message is in Postfix's mailbox", || postfix.received().contains("end of it"), || postfix.log());
    let received = postfix.received();
    assert!(received.contains("\n.dot\n..two\nend of it\n"), "{received}");
    assert!(received.contains("(using TLSv1.3"), "it went over TLS: {received}");
    let queue = instance.pli(&["queue", "list", "--json"]).good();
    assert_eq!(queue.trim(), "[]", "nothing is left in the queue");

    // In: given to Postfix, relayed here over TLS (its own configuration demands it).
    let mut outside = std::process::Command::new("swaks");
    outside.args([
        "--server",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--from",
        "bob@other.test",
        "--to",
        &account.address,
    ]);
    run(outside.args(["--hide-all", "--header", "Subject: in", "--body", "from the other side"]));
    until_or("the message is here", || messages_in(&instance, &account, "INBOX") == 1, || postfix.log());
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let bodies = imap.bodies().unwrap();
    let body = String::from_utf8_lossy(&bodies[0].1).into_owned();
    assert!(body.contains("from the other side") && body.contains("ESMTPS"), "{body}");

    // An address that is unknown there comes back as a bounce; here every name of other.test is known, so a domain that
    // Postfix does not take stands in for it.
    imap.logout();
    drop(postfix);
}

/// clients.md 17 and 32: a server name with a trailing dot, and TLS 1.2 alone.
#[test]
fn openssl_connects_as_old_and_odd_clients_do() {
    let instance = Instance::start();
    let address = format!("127.0.0.1:{}", instance.port("imaps"));
    for options in [&["-servername", "mail.example.org."][..], &["-tls1_2"], &["-noservername"]] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-quiet", "-verify_quiet", "-CAfile"]).arg(&instance.ca);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"a LOGOUT\r\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("* OK [CAPABILITY ") && told.contains("a OK"), "{options:?}: {told}\n{output:?}");
    }
}

/// clients.md 17 and 30: many good logins from one address, in a row and at once, are no attack.
#[test]
fn hundreds_of_good_logins_from_one_address_are_served() {
    let instance = Instance::start();
    let accounts = [instance.account(), instance.account()];
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (instance, account) = (&instance, &accounts[worker % 2]);
            scope.spawn(move || {
                for _ in 0..30 {
                    let mut imap = Imap::login(instance, account).unwrap();
                    imap.ok("SELECT INBOX").unwrap();
                    // Half of them go without a word, as after a change of network.
                    if worker % 2 == 0 {
                        imap.logout();
                    }
                }
            });
        }
    });
    // A wrong password among them shuts nobody else out.
    let wrong = Account { password: "wrong".to_owned(), address: accounts[0].address.clone() };
    assert!(Imap::login(&instance, &wrong).is_err());
    Imap::login(&instance, &accounts[1]).unwrap().logout();
}

/// clients.md 30: telephones behind one address, back after a change of network. Each connection is new, logs in by an app
/// password, opens its mailbox, and is dropped in IDLE.
#[test]
fn a_storm_of_reconnects_is_served() {
    let instance = Instance::start();
    let account = instance.account();
    let made = instance.pli(&["app-password", "add", &account.address, "--label", "phone", "--json"]).good();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let phone = Account { password: made["password"].as_str().unwrap().to_owned(), ..account.clone() };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let mut imap = Imap::login(&instance, &phone).unwrap();
                    imap.ok("SELECT INBOX (CONDSTORE)").unwrap();
                    imap.wire.line("i IDLE").unwrap();
                    assert!(imap.wire.read().unwrap().unwrap().starts_with(b"+"));
                }
            });
        }
    });
    // Nothing of them is left to count against the account.
    until("the sessions end", || instance.pli(&["who", "--json"]).good().trim() == "[]");
    Imap::login(&instance, &account).unwrap().logout();
}
