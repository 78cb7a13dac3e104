//! Keys with the real server: rotation while it serves, through kill -9; an account erased; a root key in a token, there,
//! gone and back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Instance, private};
use serde_json::Value;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "648219";

fn message(subject: &str) -> Vec<u8> {
    format!("From: ana@elsewhere.test\r\nTo: x@example.org\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n")
        .into_bytes()
}

fn deliver(instance: &Instance, to: &Account, subject: &str) {
    let mut smtp = Smtp::mx(instance).unwrap();
    smtp.send("ana@elsewhere.test", &[&to.address], &message(subject)).unwrap();
    smtp.quit();
}

/// Subjects in the INBOX; bodies are read.
fn inbox(instance: &Instance, account: &Account) -> Vec<String> {
    let mut imap = Imap::login(instance, account).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let bodies = imap.bodies().unwrap();
    imap.logout();
    let subject = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().find_map(|line| line.strip_prefix("body of ")).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    bodies.iter().map(|(_, bytes)| subject(bytes)).collect()
}

fn json(instance: &Instance, words: &[&str]) -> Value {
    let text = instance.pli(&[words, &["--json"]].concat()).good();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn rotations_while_it_serves_and_after_kills() {
    let mut instance = Instance::start();
    let (a, b) = (instance.account(), instance.account());
    deliver(&instance, &a, "one");
    let mut open = Imap::login(&instance, &a).unwrap();
    open.ok("SELECT INBOX").unwrap();
    assert_eq!(json(&instance, &["key", "rotate"])["version"], 2);
    assert_eq!(json(&instance, &["key", "rotate", "root"])["version"], 3);
    assert_eq!(json(&instance, &["key", "rotate", "account", &a.address])["renewed"], 1);
    deliver(&instance, &a, "two");
    deliver(&instance, &b, "three");
    // The session from before goes on.
    open.ok("NOOP").unwrap();
    assert_eq!(open.bodies().unwrap().len(), 2);
    let status = json(&instance, &["key", "status"]);
    assert_eq!((&status["store"], &status["under_other_roots"]), (&"file".into(), &0.into()));
    assert_eq!(status["versions"], serde_json::json!([2, 3]));
    assert!(instance.pli(&["key", "rotate", "account"]).code != 0);
    for round in 0..4_u64 {
        let mut command = Command::new(pli_tests::pli());
        let words: &[&str] = if round % 2 == 0 { &["root", "--forget"] } else { &["account", "--all"] };
        command.args(["key", "rotate"]).args(words).arg("--config").arg(&instance.config);
        let mut child =
            command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 17));
        instance.kill();
        child.wait().unwrap();
        instance.serve();
        assert_eq!(inbox(&instance, &a), ["one", "two"]);
        assert_eq!(inbox(&instance, &b), ["three"]);
    }
    json(&instance, &["key", "rotate", "root", "--forget"]);
    let status = json(&instance, &["key", "status"]);
    assert_eq!(status["versions"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(instance.stop(), 0);
    // Without a server too.
    json(&instance, &["key", "rotate", "account", "--all"]);
    let text = instance.pli(&["key", "status", "--lang", "en"]).good();
    assert!(text.contains("root key due") && text.contains("accounts under another root key"), "{text}");
    instance.pli(&["store", "verify"]).good();
    instance.pli(&["audit", "verify"]).good();
    instance.serve();
    assert_eq!(inbox(&instance, &a), ["one", "two"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_erased_account_is_in_no_backup() {
    let mut instance = Instance::start();
    let (a, b) = (instance.account(), instance.account());
    deliver(&instance, &a, "gone");
    deliver(&instance, &b, "stays");
    assert_eq!(instance.stop(), 0);
    let (store, backup) = (instance.dir.join("store"), instance.dir.join("backup"));
    copy(&store, &backup);
    instance.serve();
    assert!(instance.pli(&["account", "rm", &a.address, "--erase"]).code != 0, "without --yes");
    let answer = json(&instance, &["account", "rm", &a.address, "--erase", "--yes"]);
    assert_eq!((&answer["erased"], &answer["covers_since"]), (&true.into(), &Value::Null));
    assert_eq!(instance.stop(), 0);
    // The backup comes back; the file of account secrets is the newest, as docs/howto/keys.md says.
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&backup, &store).unwrap();
    instance.serve();
    assert_eq!(inbox(&instance, &b), ["stays"]);
    let mut imap = Imap::login(&instance, &a).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let read = imap.command("UID FETCH 1 (BODY.PEEK[])").unwrap();
    assert!(!format!("{read:?}").contains("body of gone"), "{read:?}");
    drop(imap);
    deliver(&instance, &b, "more");
    assert_eq!(inbox(&instance, &b), ["stays", "more"]);
    // Without the file nothing starts, rather than nobody reading his mail.
    assert_eq!(instance.stop(), 0);
    let secrets = instance.dir.join("keys/accounts.key");
    std::fs::rename(&secrets, instance.dir.join("keys/away")).unwrap();
    let ran = instance.pli(&["key", "status"]);
    assert!(ran.code != 0 && ran.err.contains("keys.accounts"), "{}{}", ran.out, ran.err);
    let _ = std::fs::remove_file(&secrets);
    std::fs::rename(instance.dir.join("keys/away"), &secrets).unwrap();
    instance.serve();
    assert_eq!(inbox(&instance, &b), ["stays", "more"]);
}

/// Runs a test of this file in a process that knows SoftHSM's configuration; what it starts inherits it.
fn with_token(name: &str) -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return true;
    }
    assert!(Path::new(MODULE).exists(), "no SoftHSM2: cargo xtask packages");
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    let run = |program: &Path, words: &[&str]| {
        let output = Command::new(program).args(words).env("SOFTHSM2_CONF", &conf).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let words = ["--init-token", "--free", "--label", "pli-test", "--pin", PIN, "--so-pin", "12345678"];
    run(Path::new("softhsm2-util"), &words);
    let text = run(&std::env::current_exe().unwrap(), &[name, "--exact", "--nocapture"]);
    assert!(text.contains("1 passed"), "{text}");
    false
}

fn token_config(instance: &Instance, previous: bool) {
    let text = std::fs::read_to_string(&instance.config).unwrap();
    let previous = if previous { "previous = \"file\"\n" } else { "" };
    let text = text
        .lines()
        .filter(|line| !line.starts_with("previous = "))
        .map(|line| match line {
            "source = \"file\"" | "source = \"pkcs11\"" => format!("source = \"pkcs11\"\n{previous}"),
            "module = \"\"" => format!("module = \"{MODULE}\""),
            "token = \"pli\"" => String::from("token = \"pli-test\""),
            "pin = \"credential:pli-pin\"" => String::from("pin = \"file:keys/pin\""),
            other => other.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&instance.config, text + "\n").unwrap();
}

#[test]
fn a_root_key_in_a_token() {
    if !with_token("a_root_key_in_a_token") {
        return;
    }
    let mut instance = Instance::start();
    let (a, b) = (instance.account(), instance.account());
    deliver(&instance, &a, "under-the-file");
    assert_eq!(instance.stop(), 0);

    // From the file into the token.
    private(&instance.dir.join("keys/pin"), format!("{PIN}\n").as_bytes());
    token_config(&instance, true);
    let ran = instance.pli(&["key", "status"]);
    assert!(ran.code != 0 && ran.err.contains("pli key init"), "{}", ran.err);
    assert!(instance.pli(&["key", "init"]).good().contains("SoftHSM is no HSM"));
    instance.serve();
    wait_for(|| instance.log().contains("SoftHSM is no HSM"));
    assert_eq!(inbox(&instance, &a), ["under-the-file"]);
    wait_for(|| json(&instance, &["key", "status"])["under_other_roots"] == 0);
    assert_eq!(instance.stop(), 0);
    std::fs::remove_file(instance.dir.join("keys/root.key")).unwrap();
    token_config(&instance, false);
    instance.serve();
    deliver(&instance, &a, "under-the-token");
    assert_eq!(inbox(&instance, &a), ["under-the-file", "under-the-token"]);
    let new = Account { address: String::from("new@example.org"), password: String::from("a long password 1") };
    instance.add(&new);
    deliver(&instance, &new, "first");
    assert_eq!(inbox(&instance, &new), ["first"]);
    let rotated = json(&instance, &["key", "rotate", "root", "--forget"]);
    assert_eq!((&rotated["version"], &rotated["failed"]), (&2.into(), &0.into()));
    assert_eq!(rotated["forgotten"], 1);
    assert_eq!(json(&instance, &["key", "status"])["store"], "pkcs11");
    instance.kill();
    instance.serve();
    assert_eq!(inbox(&instance, &a), ["under-the-file", "under-the-token"]);

    // Gone: mail is taken, nobody reads, nothing is lost.
    let conf = std::env::var("SOFTHSM2_CONF").unwrap();
    let tokens = Path::new(&conf).parent().unwrap().join("tokens");
    std::fs::rename(&tokens, tokens.with_extension("away")).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    deliver(&instance, &a, "while-it-was-gone");
    deliver(&instance, &b, "of-another");
    let mut imap = Imap::connect(&instance).unwrap();
    let answer = imap.command(&format!("LOGIN {} \"{}\"", a.address, a.password)).unwrap();
    let answer = format!("{answer:?}");
    assert!(answer.contains("UNAVAILABLE") && answer.contains("key store does not answer"), "{answer}");
    // Submission needs no private key.
    let mut smtp = Smtp::submission(&instance, &a).unwrap();
    let text = String::from_utf8(message("sent-meanwhile")).unwrap().replace("ana@elsewhere.test", &a.address);
    smtp.send(&a.address, &[&b.address], text.as_bytes()).unwrap();
    smtp.quit();
    let status = json(&instance, &["key", "status"]);
    assert!(status["unavailable"].is_string(), "{status}");
    assert!(instance.alive());
    std::fs::remove_dir(&tokens).unwrap();
    std::fs::rename(tokens.with_extension("away"), &tokens).unwrap();
    assert_eq!(inbox(&instance, &a), ["under-the-file", "under-the-token", "while-it-was-gone"]);
    assert_eq!(inbox(&instance, &b), ["of-another", "sent-meanwhile"]);
    assert_eq!(json(&instance, &["key", "status"])["unavailable"], Value::Null);
    assert!(!instance.log().contains(PIN));
    json(&instance, &["account", "rm", &new.address, "--erase", "--yes"]);
    assert_eq!(instance.stop(), 0);
    instance.pli(&["store", "verify"]).good();
}

fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not come about");
}

#[test]
fn a_root_key_from_a_credential() {
    let mut instance = Instance::start();
    let a = instance.account();
    deliver(&instance, &a, "one");
    assert_eq!(instance.stop(), 0);
    let credentials = instance.dir.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::rename(instance.dir.join("keys/root.key"), credentials.join("pli-root-key")).unwrap();
    let text = std::fs::read_to_string(&instance.config).unwrap();
    std::fs::write(&instance.config, text.replacen("source = \"file\"", "source = \"credential\"", 1)).unwrap();
    let ran = instance.pli(&["key", "status"]);
    assert!(ran.code != 0 && ran.err.contains("CREDENTIALS_DIRECTORY"), "{}", ran.err);
    let run = |words: &[&str]| {
        let mut command = Command::new(pli_tests::pli());
        command
            .args(words)
            .arg("--json")
            .arg("--config")
            .arg(&instance.config)
            .env("CREDENTIALS_DIRECTORY", &credentials);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (good, text) = run(&["key", "status"]);
    assert!(good && text.contains("\"credential\""), "{text}");
    let (good, text) = run(&["key", "rotate"]);
    assert!(!good && text.contains("next-root"), "{text}");
    // The owner's way to a new version.
    let next = instance.dir.join("next");
    let from = credentials.join("pli-root-key");
    let (good, text) = run(&["key", "next-root", from.to_str().unwrap(), next.to_str().unwrap()]);
    assert!(good, "{text}");
    std::fs::rename(&next, &from).unwrap();
    let (good, text) = run(&["key", "status"]);
    assert!(good && text.contains('2'), "{text}");
    // It fits: nothing but the place of the key has changed.
    std::fs::rename(&from, instance.dir.join("keys/root.key")).unwrap();
    let text = std::fs::read_to_string(&instance.config).unwrap();
    std::fs::write(&instance.config, text.replacen("source = \"credential\"", "source = \"file\"", 1)).unwrap();
    instance.serve();
    wait_for(|| json(&instance, &["key", "status"])["under_other_roots"] == 0);
    assert_eq!(inbox(&instance, &a), ["one"]);
}
