//! The past from the command line: what an administrator sees of it, and putting mailboxes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use pli_tests::imap::Imap;
use pli_tests::{Account, Instance, moment_name};
use serde_json::Value;

/// Exit codes of docs/cli.md.
const CODE_USAGE: i32 = 64;
const CODE_NO_INPUT: i32 = 66;
const CODE_NO_PERMISSION: i32 = 77;

fn message(subject: &str) -> Vec<u8> {
    format!("From: a@example.net\r\nSubject: {subject}\r\n\r\nThe text of {subject}.\r\n").into_bytes()
}

fn json(instance: &Instance, words: &[&str]) -> Value {
    let mut all = words.to_vec();
    all.push("--json");
    serde_json::from_str(&instance.pli(&all).good()).unwrap()
}

/// Two messages, then a moment, then one of them is gone and a third has come.
fn prepared(instance: &Instance) -> (Account, String) {
    let account = instance.account();
    let mut imap = Imap::login(instance, &account).unwrap();
    imap.append("INBOX", "(\\Flagged) ", &message("one")).unwrap();
    imap.append("INBOX", "", &message("two")).unwrap();
    let at = moment_name();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 1 +FLAGS (\\Deleted)").unwrap();
    imap.ok("EXPUNGE").unwrap();
    imap.append("INBOX", "", &message("three")).unwrap();
    imap.logout();
    (account, at)
}

fn uids(found: &Value) -> Vec<u64> {
    found["messages"].as_array().unwrap().iter().map(|message| message["uid"].as_u64().unwrap()).collect()
}

#[test]
fn an_administrator_looks_at_the_past() {
    let mut instance = Instance::start();
    let (account, at) = prepared(&instance);
    let address = account.address.as_str();
    for _ in 0..2 {
        let listed = json(&instance, &["store", "at", &at, "--account", address]);
        let mailboxes = listed[0]["mailboxes"].as_array().unwrap();
        let inbox = mailboxes.iter().find(|mailbox| mailbox["name"] == "INBOX").unwrap();
        assert_eq!((inbox["messages"].as_u64(), inbox["unseen"].as_u64()), (Some(2), Some(2)), "{inbox}");
        let found = json(&instance, &["store", "at", &at, "--account", address, "messages", "INBOX"]);
        assert_eq!(uids(&found), [1, 2]);
        assert_eq!(found["messages"][0]["flags"], serde_json::json!(["\\Flagged"]));
        assert!(!found.to_string().contains("The text of"), "{found}");
        let table = instance.pli(&["store", "at", &at, "--account", address, "list"]).good();
        assert!(table.contains("INBOX") && table.contains(address), "{table}");
        // The same without a server.
        if instance.alive() {
            instance.stop();
        }
    }
    // Everybody's, the two accounts of the start among them.
    assert!(json(&instance, &["store", "at", &at]).as_array().unwrap().len() >= 3);
    let events = instance.pli(&["audit", "tail", "-n", "100", "--json"]).good();
    assert!(events.matches("\"inspect\"").count() >= 5, "{events}");

    for (words, code) in [
        (vec!["store", "at", "yesterday"], CODE_USAGE),
        (vec!["store", "at", &at, "messages", "INBOX"], CODE_USAGE),
        (vec!["store", "at", "2999-01-01 10h", "--account", address], CODE_NO_INPUT),
        (vec!["store", "at", "1999-01-01 10h", "--account", address], CODE_NO_INPUT),
        (vec!["store", "at", &at, "--account", address, "messages", "Nowhere"], CODE_NO_INPUT),
        // What messages say is their owner's: there is no such command.
        (vec!["store", "at", &at, "--account", address, "cat", "INBOX", "1"], CODE_USAGE),
        (vec!["store", "at", &at, "--account", address, "export", "INBOX", "out"], CODE_USAGE),
        (vec!["store", "at", &at, "--account", "nobody@example.org"], CODE_NO_INPUT),
    ] {
        let ran = instance.pli(&words);
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
    }
}

#[test]
fn an_administrator_puts_a_mailbox_back() {
    let mut instance = Instance::start();
    let (account, at) = prepared(&instance);
    let address = account.address.as_str();
    let mut imap = Imap::login(&instance, &account).unwrap();
    let validity = |imap: &mut Imap| {
        let text =
            String::from_utf8_lossy(&imap.ok("STATUS INBOX (UIDVALIDITY)").unwrap().untagged.concat()).into_owned();
        text.split("UIDVALIDITY ").nth(1).unwrap().split(')').next().unwrap().parse::<u64>().unwrap()
    };
    let before = validity(&mut imap);
    let rewind = ["store", "rewind", address, &at, "--mailbox", "INBOX"];
    let plan = json(&instance, &[&rewind[..], &["--dry-run"]].concat());
    assert_eq!(plan["mailboxes"][0]["restored"], 1, "{plan}");
    assert_eq!(plan["mailboxes"][0]["aside"], 1, "{plan}");
    assert_eq!(validity(&mut imap), before);
    // The quota holds.
    instance.pli(&["quota", "set", address, "150"]).good();
    let ran = instance.pli(&rewind);
    assert_eq!(ran.code, CODE_NO_PERMISSION, "{ran:?}");
    instance.pli(&["quota", "set", address, "1M"]).good();

    let done = json(&instance, &rewind);
    let aside = done["aside"].as_str().unwrap().to_owned();
    assert!(aside.starts_with("Restauration-20"), "{aside}");
    assert!(validity(&mut imap) > before);
    imap.ok("SELECT INBOX").unwrap();
    let bodies: Vec<Vec<u8>> = imap.bodies().unwrap().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, [message("one"), message("two")]);
    imap.ok(&format!("SELECT {aside}/INBOX")).unwrap();
    let bodies: Vec<Vec<u8>> = imap.bodies().unwrap().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, [message("three")]);
    imap.logout();
    let events = instance.pli(&["audit", "tail", "-n", "50", "--json"]).good();
    assert!(events.contains("\"rewind\""), "{events}");

    // Without a server, all mailboxes.
    instance.stop();
    let done = json(&instance, &["store", "rewind", address, &at]);
    let names: Vec<&str> = done["mailboxes"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"INBOX") && names.contains(&"Trash"), "{names:?}");
    instance.pli(&["store", "verify"]).good();
    let ran = instance.pli(&["store", "rewind", address, &at, "--mailbox", "Nowhere"]);
    assert_eq!(ran.code, CODE_NO_INPUT, "{ran:?}");
}
