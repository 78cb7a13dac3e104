"""Roundcube as Debian has it, behind PHP's own server: HOST IMAPS SUBMISSIONS CA USER PASSWORD

Logs in, lists, sorts, threads, searches, opens, flags, moves and sends, by the requests that its pages make; IMAP says what came of it."""
import http.cookiejar
import imaplib
import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

host, imaps, submissions, ca, user, password = sys.argv[1:]
MESSAGES = 40

imap = imaplib.IMAP4_SSL(host, int(imaps), ssl_context=ssl.create_default_context(cafile=ca))
imap.login(user, password)
for number in range(1, MESSAGES + 1):
    thread = f"In-Reply-To: <{number - 1}@x>\r\nReferences: <{number - 1}@x>\r\n" if number % 4 == 0 else ""
    text = f"From: Ann <ann@example.net>\r\nTo: {user}\r\nSubject: =?utf-8?Q?N=C2=B0_{number:03}?=\r\n{thread}" \
        f"Message-ID: <{number}@x>\r\nDate: Mon, 2 Nov 2026 10:{number:02}:00 +0000\r\n" \
        f"Content-Type: text/plain; charset=utf-8\r\n\r\nTexte num\u00e9ro {number}\r\n"
    assert imap.append("INBOX", None, None, text.encode())[0] == "OK"

work = pathlib.Path(tempfile.mkdtemp(prefix="pli-roundcube-"))
for name in ("config", "logs", "temp"):
    (work / name).mkdir()
database = sqlite3.connect(work / "db")
database.executescript(pathlib.Path("/usr/share/roundcube/SQL/sqlite.initial.sql").read_text())
database.close()
for name in ("defaults.inc.php", "mimetypes.php"):
    (work / "config" / name).write_bytes(pathlib.Path("/etc/roundcube", name).read_bytes())
(work / "config/config.inc.php").write_text(f"""<?php
$config = [
    'db_dsnw' => 'sqlite:///{work}/db?mode=0600',
    'imap_host' => 'ssl://{host}:{imaps}',
    'smtp_host' => 'ssl://{host}:{submissions}',
    'imap_conn_options' => ['ssl' => ['cafile' => '{ca}', 'verify_peer' => true]],
    'smtp_conn_options' => ['ssl' => ['cafile' => '{ca}', 'verify_peer' => true]],
    'smtp_user' => '%u', 'smtp_pass' => '%p',
    'des_key' => 'rcmail-0123456789abcdef!',
    'log_dir' => '{work}/logs', 'temp_dir' => '{work}/temp',
    'sent_mbox' => 'Sent', 'drafts_mbox' => 'Drafts', 'trash_mbox' => 'Trash', 'junk_mbox' => 'Junk',
    'plugins' => [], 'language' => 'en_US', 'enable_spellcheck' => false, 'mail_pagesize' => 25,
];
""")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
php = subprocess.Popen(
    ["php", "-d", "session.save_path=" + str(work / "temp"), "-S", f"127.0.0.1:{port}", "-t", "/var/lib/roundcube/public_html"],
    env={**os.environ, "ROUNDCUBE_CONFIG_DIR": str(work / "config")}, stdout=(work / "php.log").open("w"), stderr=subprocess.STDOUT)
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
base, token = f"http://127.0.0.1:{port}/", ""


def ask(fields, post=None):
    request = urllib.request.Request(base + "?" + urllib.parse.urlencode(fields))
    request.add_header("X-Roundcube-Request", token)
    data = urllib.parse.urlencode(post).encode() if post is not None else None
    return opener.open(request, data, timeout=60)


def page(fields, post=None):
    return ask(fields, post).read().decode()


def remote(action, **fields):
    """What the page's script asks; the answer tells the script what to do."""
    answer = json.loads(page({"_task": "mail", "_action": action, "_remote": "1", **fields}))
    return answer["exec"]


def change(action, **fields):
    answer = json.loads(page({"_task": "mail", "_action": action}, {"_remote": "1", "_token": token, **fields}))
    assert '"error"' not in answer["exec"], answer
    return answer


try:
    for _ in range(100):
        try:
            first = page({"_task": "login"})
            break
        except OSError:
            time.sleep(0.1)
    token = re.search(r'name="_token" value="([^"]+)"', first).group(1)
    mail = page({"_task": "login", "_action": "login"},
                {"_task": "login", "_action": "login", "_token": token, "_user": user, "_pass": password, "_url": ""})
    assert "logout" in mail and 'name="_pass"' not in mail, "login:\n" + mail[-2000:]
    token = re.search(r'"request_token":"([^"]+)"', mail).group(1)
    for name in ("Drafts", "Sent", "Junk", "Trash", "Archive"):
        assert f'"{name}"' in mail, name
    for way in ({"_sort": "arrival_DESC"}, {"_sort": "subject_ASC"}, {"_sort": "size_DESC"}):
        rows = re.findall(r"add_message_row\((\d+)", remote("list", _mbox="INBOX", **way))
        assert len(rows) == 25, (way, rows)
    assert rows, "a page"
    rows = re.findall(r"add_message_row\((\d+)", remote("list", _mbox="INBOX", _page="2", _sort="arrival_DESC"))
    assert len(rows) == MESSAGES - 25, rows
    assert "add_message_row" in remote("list", _mbox="INBOX", _threads="1", _sort="")
    found = remote("search", _mbox="INBOX", _q="N\u00b0 017", _headers="subject", _scope="base")
    assert len(re.findall("add_message_row", found)) == 1, found[:2000]
    found = remote("search", _mbox="INBOX", _q="num\u00e9ro 33", _headers="text", _scope="base")
    assert len(re.findall("add_message_row", found)) == 1, found[:2000]
    uid = re.search(r"add_message_row\((\d+)", remote("search", _mbox="INBOX", _q="N\u00b0 009", _headers="subject")).group(1)
    shown = page({"_task": "mail", "_action": "show", "_uid": uid, "_mbox": "INBOX"})
    assert "N\u00b0 009" in shown and "Texte num\u00e9ro 9" in shown, shown[-3000:]
    change("mark", _uid=uid, _mbox="INBOX", _flag="flagged")
    change("move", _uid=uid, _mbox="INBOX", _target_mbox="Archive")
    imap.select("INBOX")
    assert len(imap.search(None, "ALL")[1][0].split()) == MESSAGES - 1, "it went"
    imap.select("Archive")
    flags = imap.fetch("1", "(FLAGS)")[1][0].decode()
    assert "\\Flagged" in flags and "\\Seen" in flags, flags
    compose = ask({"_task": "mail", "_action": "compose"})
    ident = re.search(r"_id=([0-9a-f]+)", compose.geturl()).group(1)
    form = compose.read().decode()
    sender = re.search(r'<select name="_from"[^>]*>.*?<option value="(\d+)"', form, re.S)
    sender = sender.group(1) if sender else re.search(r'name="_from"[^>]*value="([^"]+)"', form).group(1)
    sent = page({"_task": "mail", "_action": "send"}, {
        "_token": token, "_id": ident, "_task": "mail", "_action": "send", "_from": sender, "_to": user,
        "_subject": "D\u00e9part", "_message": "Sous pli cachet\u00e9.", "_is_html": "0", "_framed": "1", "_store_target": "Sent",
        "_draft": "", "_attachments": ""})
    assert "sent_successfully" in sent, sent[-3000:]
    for mailbox in ("Sent", "INBOX"):
        imap.select(mailbox)
        imap.literal = "D\u00e9part".encode()
        assert len(imap.search("UTF-8", "SUBJECT")[1][0].split()) == 1, mailbox
    page({"_task": "logout", "_token": token})
except BaseException:
    for log in [work / "php.log", *(work / "logs").iterdir()]:
        print(f"== {log}\n{log.read_text()[-3000:]}", file=sys.stderr)
    raise
finally:
    php.terminate()
    php.wait(10)
    shutil.rmtree(work, ignore_errors=True)
version = re.search(r"RCMAIL_VERSION', '([^']+)'", pathlib.Path("/usr/share/roundcube/program/include/iniset.php").read_text())
print("roundcube", version.group(1))
