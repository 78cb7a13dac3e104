//! Starting, stopping and what stands in the way: a wrong configuration, a
//! port in use, the wrong key, no store, a second process, a full disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pli_tests::acknowledged::{Fate, Found, Ledger, Message, message};
use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Builder, Claim, Instance, Ran, pli, serve_fails};

/// What is waited for comes long before this.
const WAIT: Duration = Duration::from_secs(20);

/// Exit codes of docs/cli.md.
const CODE_NO_INPUT: i32 = 66;
const CODE_UNAVAILABLE: i32 = 69;
const CODE_TEMPORARY: i32 = 75;
const CODE_CONFIG: i32 = 78;

fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word:?} is not in: {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

/// The number of the first line that starts with this text.
fn line_of(path: &Path, start: &str) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

/// Serve and `config check` both name this word and the line.
fn refuses(table: &str, line: &str, word: &str) {
    let instance = Builder::default().config(table, line).prepare();
    let number = format!("line {}", line_of(&instance.config, line));
    says(&serve_fails(&pli(), &instance.config), CODE_CONFIG, &[word, &number]);
    says(&instance.pli(&["config", "check", "--lang", "en"]), CODE_CONFIG, &[word, &number]);
}

#[test]
fn a_right_configuration_passes_the_check() {
    let instance = Builder::default().prepare();
    instance.pli(&["config", "check"]).good();
}

#[test]
fn an_unknown_key_is_named() {
    refuses("server", "colour = \"red\"", "colour");
}

#[test]
fn a_wrong_type_is_named() {
    refuses("listen", "port_offset = \"many\"", "many");
}

#[test]
fn a_value_without_sense_is_named() {
    refuses("queue", "retry_s = [0]", "retry_s");
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_held() {
    let mut instance = Builder::default().prepare();
    let port = instance.port("imaps");
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    says(&serve_fails(&pli(), &instance.config), CODE_UNAVAILABLE, &[&port.to_string()]);
    drop(other);
    instance.serve();
    assert_eq!(instance.stop(), 0);
}

#[test]
fn the_wrong_root_key_is_refused() {
    let mut instance = Builder::default().prepare();
    let other = Builder::default().prepare();
    let key = instance.dir.join("keys/root.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::copy(other.dir.join("keys/root.key"), &key).unwrap();
    says(&serve_fails(&pli(), &instance.config), CODE_CONFIG, &["key"]);
    // The attempt has changed nothing: with its own key the store opens.
    std::fs::write(&key, kept).unwrap();
    instance.serve();
    Imap::login(&instance, &instance.admin).unwrap().logout();
}

#[test]
fn a_missing_key_or_store_is_named() {
    let instance = Builder::default().prepare();
    let away = instance.dir.join("away");
    let key = instance.dir.join("keys/root.key");
    std::fs::rename(&key, &away).unwrap();
    says(&serve_fails(&pli(), &instance.config), CODE_NO_INPUT, &["root.key"]);
    std::fs::rename(&away, &key).unwrap();
    let store = instance.dir.join("store");
    std::fs::rename(&store, &away).unwrap();
    says(&serve_fails(&pli(), &instance.config), CODE_NO_INPUT, &["store"]);
    // A store is made by quickstart only: an unmounted disk must not start an empty one.
    assert!(!store.join("log").exists());
}

#[test]
fn a_second_process_is_told_the_first_ones_number() {
    let instance = Instance::start();
    // On the same ports, whichever is found first: the ports or the store.
    let ran = serve_fails(&pli(), &instance.config);
    assert!([CODE_UNAVAILABLE, CODE_TEMPORARY].contains(&ran.code), "{}", ran.err);
    // On ports of its own it is the store that refuses.
    let other = Claim::take();
    let text = std::fs::read_to_string(&instance.config).unwrap();
    let line = text.lines().find(|line| line.starts_with("port_offset")).unwrap();
    let config = instance.dir.join("second.toml");
    std::fs::write(&config, text.replace(line, &format!("port_offset = {}", other.offset))).unwrap();
    says(&serve_fails(&pli(), &config), CODE_TEMPORARY, &[&instance.pid().to_string()]);
    Imap::login(&instance, &instance.admin).unwrap().logout();
}

#[test]
fn a_broken_configuration_at_reload_changes_nothing() {
    let instance = Instance::start();
    let mut before = Imap::login(&instance, &instance.admin).unwrap();
    let good = std::fs::read_to_string(&instance.config).unwrap();
    std::fs::write(&instance.config, good.replacen("[server]", "[server]\ncolour = \"red\"", 1)).unwrap();
    instance.reload();
    until(|| instance.log().contains("colour"), "the log names the unknown key");
    let number = format!("line {}", line_of(&instance.config, "colour"));
    assert!(instance.log().contains(&number), "{}", instance.log());
    before.ok("NOOP").unwrap();
    Imap::login(&instance, &instance.admin).unwrap().logout();
    std::fs::write(&instance.config, good).unwrap();
    instance.reload();
    before.ok("NOOP").unwrap();
    Imap::login(&instance, &instance.admin).unwrap().logout();
    assert!(instance.alive());
}

fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", WAIT.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sigterm_ends_in_order() {
    let mut instance = Instance::start();
    let account = instance.account();
    let mut idle = Imap::login(&instance, &account).unwrap();
    idle.ok("SELECT INBOX").unwrap();
    idle.wire.line("i1 IDLE").unwrap();
    assert!(idle.wire.read().unwrap().unwrap().starts_with(b"+"));
    let mut smtp = Smtp::mx(&instance).unwrap();
    for mark in 1..=3 {
        smtp.send("a@example.net", &[&account.address], &message(mark)).unwrap();
    }
    let begun = Instant::now();
    assert_eq!(instance.stop(), 0, "{}", instance.log());
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
    let mut heard = Vec::new();
    while let Some(response) = idle.wire.read().unwrap() {
        heard.push(String::from_utf8_lossy(&response).into_owned());
    }
    // RFC 9051 §7.1.5: the announcement of an autologout or shutdown.
    assert!(heard.iter().any(|line| line.starts_with("* BYE")), "{heard:?}");
    instance.serve();
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let bodies = imap.bodies().unwrap();
    assert_eq!(bodies.len(), 3);
    for (mark, (_, bytes)) in (1..=3).zip(bodies) {
        assert!(bytes.ends_with(&message(mark)), "message {mark}");
    }
}

/// A small file system of its own, unmounted at the end.
struct Mounted(tempfile::TempDir);

/// Bytes of the small file system.
const DISK_BYTES: u64 = 96 << 20;

impl Mounted {
    fn new() -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("pli-disk-").tempdir().unwrap();
        let outcome = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match outcome {
            Ok(output) if output.status.success() => Ok(Self(dir)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes all room but this many bytes.
    fn fill(&self, left: u64) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = File::options().create(true).append(true).mode(0o600).open(&path).unwrap();
        let block = vec![0_u8; 64 << 10];
        while file.write_all(&block).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(left)).unwrap();
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_mail_and_loses_none() {
    let disk = match Mounted::new() {
        Ok(disk) => disk,
        // Nothing was tested, and the output says so.
        Err(text) => {
            println!("skipped: a file system of its own needs the right to mount: {text}");
            return;
        }
    };
    let mut instance = Builder::default().dir(&disk.0.path().join("mail")).start();
    let account = Account { address: "full@example.org".into(), password: "Correct-Horse-full".into() };
    instance.add(&account);
    let ledger = Ledger::default();
    let place = (account.address.clone(), "INBOX".to_owned());
    let mut next = 0;
    let mut open = Imap::login(&instance, &account).unwrap();
    open.ok("SELECT INBOX").unwrap();
    let filler = disk.fill(1 << 20);
    let mut refused = 0;
    // More than the room that is left, however well the messages compress.
    while refused < 5 {
        next += 1;
        assert!(next < 2_000, "no message was ever refused");
        match send(&instance, &account, next) {
            Ok(_) => ledger.write(&place, next, Fate::Kept),
            Err(reply) => {
                // RFC 5321 §4.2.3: 452 insufficient system storage; 451 local error.
                assert!(reply.starts_with("452") || reply.starts_with("451"), "message {next}: {reply}");
                ledger.write(&place, next, Fate::Gone);
                refused += 1;
            }
        }
    }
    assert!(instance.alive(), "{}", instance.log());
    // Reading is recorded too, and the record has no room: a clean NO is right, half an answer is not.
    open.ok("NOOP").unwrap();
    match open.bodies() {
        Ok(bodies) => assert_eq!(bodies.len(), ledger.kept()),
        Err(text) => assert!(text.contains("NO [UNAVAILABLE]"), "{text}"),
    }
    std::fs::remove_file(filler).unwrap();
    // The first attempt with room again may be the one that notices.
    let mut attempts = 0;
    loop {
        next += 1;
        attempts += 1;
        match send(&instance, &account, next) {
            Ok(_) => break ledger.write(&place, next, Fate::Kept),
            Err(reply) => {
                assert!(attempts < 100, "with room again: {reply}\n{}", instance.log());
                ledger.write(&place, next, Fate::Gone);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    let kept = ledger.kept();
    assert!(kept > 1, "nothing was accepted before the disk was full");
    ledger.compare(&place, &read(&instance, &account)).unwrap();
    assert_eq!(instance.stop(), 0, "{}", instance.log());
    instance.pli(&["store", "verify"]).good();
    instance.serve();
    ledger.compare(&place, &read(&instance, &account)).unwrap();
    assert_eq!(ledger.kept(), kept);
    println!("{kept} messages kept, {refused} refused, {attempts} attempts after room was made");
}

fn send(instance: &Instance, account: &Account, mark: u64) -> Result<String, String> {
    // A connection each: a server may close one after an error of its own.
    Smtp::mx(instance)?
        .send("a@example.net", &[&account.address], &message(mark))
        .map_err(|text| text.rsplit_once(">: ").map_or(text.clone(), |(_, reply)| reply.to_owned()))
}

fn read(instance: &Instance, account: &Account) -> Found {
    // An index that the full disk broke is made again from the log; until then a login is told to come back.
    for _ in 0..100 {
        match Imap::login(instance, account) {
            Ok(mut imap) => return select(&mut imap),
            Err(text) => assert!(text.contains("NO [UNAVAILABLE]"), "{text}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("still unavailable after 10 s: {}", instance.log());
}

fn select(imap: &mut Imap) -> Found {
    let answer = imap.ok("SELECT INBOX").unwrap();
    let text: String = answer.untagged.iter().map(|line| String::from_utf8_lossy(line) + "\n").collect();
    let code = |name: &str| text.split(name).nth(1).unwrap().split(']').next().unwrap().trim().parse().unwrap();
    let message = |(uid, bytes)| Message { uid, bytes, ..Message::default() };
    let messages = imap.bodies().unwrap().into_iter().map(message).collect();
    Found { uid_validity: code("[UIDVALIDITY"), uid_next: code("[UIDNEXT"), messages, ..Found::default() }
}
