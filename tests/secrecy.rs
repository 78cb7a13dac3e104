//! What the disk and the logs must not tell: words of messages, names of
//! mailboxes, addresses and flags are nowhere in the store's files, in no
//! encoding; and no file but the certificates is readable by others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Builder, Instance};

/// Planted words: long enough that chance does not make them.
const SUBJECT: &str = "Zorbeltraxsubject";
const BODY: &str = "Quimblefaxbodytext";
const ATTACHMENT: &str = "Vintrokelattachment";
const FILE_NAME: &str = "Hobrandelfilename";
const MAILBOX: &str = "Grelmoriamailbox";
const SENDER: &str = "wexforditsender";
const SENDER_NAME: &str = "Ploverinadisplay";
const LOCAL: &str = "jandrobelrecipient";
const TAG: &str = "mirquelintag";
const REMOTE: &str = "tolvandrisremote";
const FLAG: &str = "Sarpidonkeyword";
const SOUGHT: &str = "Dulcimaranquery";
const PASSWORD: &str = "Kestrovanpassword";

/// What no store file holds.
const SEALED: [&str; 13] =
    [SUBJECT, BODY, ATTACHMENT, FILE_NAME, MAILBOX, SENDER, SENDER_NAME, LOCAL, TAG, REMOTE, FLAG, SOUGHT, PASSWORD];
/// What no log holds. Addresses may be there: an administrator traces mail by them.
const UNTOLD: [&str; 8] = [SUBJECT, BODY, ATTACHMENT, FILE_NAME, MAILBOX, FLAG, SOUGHT, PASSWORD];

/// Every form in which a word could lie in a file.
fn forms(word: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms = Vec::new();
    for (case, word) in
        [("as planted", word.to_owned()), ("in lower case", word.to_lowercase()), ("in capitals", word.to_uppercase())]
    {
        forms.push((format!("in clear, {case}"), word.clone().into_bytes()));
        forms.push((format!("in UTF-16 LE, {case}"), word.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        forms.push((format!("in UTF-16 BE, {case}"), word.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        forms.push((format!("in hexadecimal, {case}"), hexadecimal(word.as_bytes())));
        for before in 0..3 {
            for (name, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
                forms.push((format!("in {name} at {before}, {case}"), inner(engine, before, &word)));
            }
        }
    }
    forms
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// The characters that a word gives in base64 whatever stands around it, when
/// `before` bytes (modulo three) precede it.
fn inner(engine: &impl base64::Engine, before: usize, word: &str) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(word.as_bytes());
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    engine.encode(&bytes).as_bytes()[first..last].to_vec()
}

fn holds(bytes: &[u8], form: &[u8]) -> bool {
    let mut rest = bytes;
    // The first byte by a fast search: the files are large, and the forms many.
    while let Some(at) = rest.iter().position(|byte| *byte == form[0]) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// All words in all forms in all files: what was found.
fn search(files: &[PathBuf], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).unwrap();
        for word in words {
            for (name, form) in forms(word) {
                if holds(&bytes, &form) {
                    found.push(format!("{word} {name} in {}", path.display()));
                }
            }
        }
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            all.extend(files(&path));
        } else if kind.is_file() {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn letter() -> Vec<u8> {
    let attachment = STANDARD.encode(format!("x{ATTACHMENT} and {ATTACHMENT}"));
    format!(
        "From: {SENDER_NAME} <{SENDER}@example.net>\r\nTo: <{LOCAL}@example.org>\r\nSubject: {SUBJECT}\r\n\
         Date: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <secrecy@example.net>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{BODY} and some more text.\r\n\
         --b\r\nContent-Type: application/octet-stream; name={FILE_NAME}.bin\r\n\
         Content-Disposition: attachment; filename={FILE_NAME}.bin\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{attachment}\r\n--b--\r\n"
    )
    .into_bytes()
}

/// Everything that puts the planted words into the server.
fn plant(instance: &Instance) -> Account {
    let account = Account { address: format!("{LOCAL}@example.org"), password: PASSWORD.to_owned() };
    instance.add(&account);
    let sender = format!("{SENDER}@example.net");
    let mut mx = Smtp::mx(instance).unwrap();
    mx.send(&sender, &[&account.address], &letter()).unwrap();
    mx.send(&sender, &[&format!("{LOCAL}+{TAG}@example.org")], &letter()).unwrap();
    // A message for another domain that nobody takes stays in the queue.
    let mut submission = Smtp::submission(instance, &account).unwrap();
    let own = String::from_utf8(letter()).unwrap().replace(&sender, &account.address);
    submission.send(&account.address, &[&format!("{REMOTE}@away.test")], own.as_bytes()).unwrap();
    let mut imap = Imap::login(instance, &account).unwrap();
    imap.ok(&format!("CREATE {MAILBOX}")).unwrap();
    imap.append(MAILBOX, &format!("({FLAG})"), &letter()).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok(&format!("STORE 1 +FLAGS ({FLAG})")).unwrap();
    imap.ok(&format!("COPY 1 {MAILBOX}")).unwrap();
    // Searching may build an index; failing logins may be logged.
    for words in [format!("BODY {SOUGHT}"), format!("TEXT {BODY}"), format!("SUBJECT {SUBJECT}")] {
        imap.ok(&format!("SEARCH {words}")).unwrap();
    }
    imap.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[])").unwrap();
    let answer = imap.ok(&format!("STATUS {MAILBOX} (MESSAGES)")).unwrap();
    let text = String::from_utf8_lossy(&answer.untagged[0]).into_owned();
    assert!(text.contains("MESSAGES 2"), "the words were not planted: {text}");
    let wrong = Account { password: format!("{PASSWORD}x"), ..account.clone() };
    assert!(Imap::login(instance, &wrong).is_err());
    account
}

#[test]
fn the_search_finds_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    for (number, (name, _)) in forms(SUBJECT).iter().enumerate() {
        let text = format!("{}{SUBJECT} and more", &"abc"[..number % 3]);
        let bytes = if name.contains("UTF-16 LE") {
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else if name.contains("UTF-16 BE") {
            text.encode_utf16().flat_map(u16::to_be_bytes).collect()
        } else if name.contains("hexadecimal") {
            hexadecimal(text.as_bytes())
        } else if name.contains("base64") {
            STANDARD.encode(text).into_bytes()
        } else {
            text.into_bytes()
        };
        let path = dir.path().join("planted");
        std::fs::write(&path, bytes).unwrap();
        assert!(!search(&[path], &[SUBJECT, BODY]).is_empty(), "{name}");
    }
    let path = dir.path().join("planted");
    std::fs::write(&path, "nothing of that kind").unwrap();
    assert!(search(&[path], &SEALED).is_empty());
}

#[test]
fn store_and_logs_tell_nothing() {
    let mut instance = Builder::default()
        .config("dns", "resolver = \"off\"")
        .config("queue", "routes = { \"away.test\" = \"127.0.0.1:9\" }")
        .config("log", "level = \"trace\"")
        .start();
    let account = plant(&instance);
    let store = instance.dir.join("store");
    let running = search(&files(&store), &SEALED);
    assert!(running.is_empty(), "while it runs: {running:#?}");
    assert_eq!(instance.stop(), 0);
    let all = files(&store);
    let size: u64 = all.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size > 4 * letter().len() as u64, "the store has {size} bytes in {all:?}: where is the mail?");
    let found = search(&all, &SEALED);
    assert!(found.is_empty(), "after it stopped: {found:#?}");
    for path in &all {
        // RFC 8878 §3.1.1: a frame's magic number. Compressed text is not sealed text.
        let bytes = std::fs::read(path).unwrap();
        assert!(!holds(&bytes, &[0x28, 0xB5, 0x2F, 0xFD]), "compressed in the clear: {}", path.display());
    }
    // Even at the most talkative level.
    let log = instance.dir.join("serve.log");
    assert!(std::fs::metadata(&log).unwrap().len() > 0, "no log to look into");
    let told = search(&[log], &UNTOLD);
    assert!(told.is_empty(), "in the log: {told:#?}");
    // The mail is there for its owner all the same.
    instance.serve();
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok(&format!("SELECT {MAILBOX}")).unwrap();
    let bodies = imap.bodies().unwrap();
    assert_eq!(bodies.len(), 2);
    assert!(bodies.iter().all(|(_, bytes)| bytes.ends_with(&letter())));
}

#[test]
fn files_are_the_owners_alone() {
    let mut instance = Instance::start();
    let account = instance.account();
    Smtp::mx(&instance).unwrap().send("a@example.net", &[&account.address], &letter()).unwrap();
    assert_eq!(instance.stop(), 0);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    for name in ["pli.toml", "keys/root.key", "tls/key.pem"] {
        assert_eq!(mode(&instance.dir.join(name)), 0o600, "{name}");
    }
    // Certificates are public; the log is the test's own file.
    let public = [instance.ca.clone(), instance.dir.join("tls/cert.pem"), instance.dir.join("serve.log")];
    for path in files(&instance.dir) {
        let known = public.iter().any(|public| public.file_name() == path.file_name());
        assert!(known || mode(&path) & 0o077 == 0, "{} has mode {:o}", path.display(), mode(&path));
    }
    for name in ["keys", "store"] {
        assert_eq!(mode(&instance.dir.join(name)) & 0o077, 0, "{name}");
    }
}
