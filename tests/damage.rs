//! Damage through the real binary: a flipped bit in a message, in a header, in
//! a batch; what IMAP serves, what `pli store verify` names, what `pli store
//! repair` mends, with the server running and stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::path::{Path, PathBuf};

use pli_tests::imap::{Imap, literal};
use pli_tests::{Account, Instance};
use serde_json::Value;

/// A check found something.
const CODE_FOUND: i32 = 1;

fn message(n: u32) -> Vec<u8> {
    let lines: String = (0..20).map(|line| format!("Line {line} of message {n}.\r\n")).collect();
    format!(
        "From: Bob <bob@example.net>\r\nTo: alice@example.org\r\nSubject: number {n}\r\n\
         Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{n}@example.net>\r\n\r\n{lines}"
    )
    .into_bytes()
}

/// A server with six messages of one account, stopped.
fn six() -> (Instance, Account) {
    let mut instance = Instance::start();
    let account = instance.account();
    let mut imap = Imap::login(&instance, &account).unwrap();
    for n in 1..=6 {
        imap.append("INBOX", "", &message(n)).unwrap();
    }
    imap.logout();
    assert_eq!(instance.stop(), 0);
    (instance, account)
}

fn segments(instance: &Instance) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(instance.dir.join("store/segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// Frames of a kind in a segment: offset and length of the payload.
fn frames(segment: &Path, kind: u8) -> Vec<(usize, usize)> {
    let bytes = std::fs::read(segment).unwrap();
    let (mut at, mut found) = (320, Vec::new());
    while bytes.get(at..at + 4) == Some(b"PLIF") {
        let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        if bytes[at + 8] == kind {
            found.push((at + 32, length));
        }
        at += (32 + length + 16).next_multiple_of(8);
    }
    found
}

/// The segment with the messages, and their body frames.
fn bodies(instance: &Instance) -> (PathBuf, Vec<(usize, usize)>) {
    let found = segments(instance).into_iter().map(|segment| (frames(&segment, 1), segment));
    found.map(|(frames, segment)| (segment, frames)).find(|(_, frames)| frames.len() >= 6).unwrap()
}

/// Where the last chunk of a body ends within its frame's payload: the summary follows.
fn last_chunk_end(file: &Path, at: usize) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let word = |place: usize| u32::from_be_bytes(bytes[at + place..at + place + 4].try_into().unwrap()) as usize;
    56 + 8 * word(4) + (0..word(4)).map(|chunk| word(56 + 8 * chunk)).sum::<usize>()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 4;
    std::fs::write(file, bytes).unwrap();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every message of INBOX is answered; those of `lost` (by number) with the notice, the others as they came.
fn all_served(instance: &Instance, account: &Account, lost: &[u32]) {
    let mut imap = Imap::login(instance, account).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let answer = imap.ok("FETCH 1:* (UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])").unwrap();
    assert_eq!(answer.untagged.len(), 6);
    for (n, response) in (1..).zip(&answer.untagged) {
        let body = literal(response).unwrap();
        let text = String::from_utf8_lossy(response).into_owned();
        assert!(text.contains(&format!("RFC822.SIZE {}", body.len())), "{text}");
        if lost.contains(&n) {
            assert!(String::from_utf8_lossy(&body).contains("ne peut pas \u{ea}tre affich\u{e9}"), "{text}");
        } else {
            assert_eq!(body, message(n), "message {n}");
        }
    }
    // The session goes on, and so do the other commands.
    let found = imap.ok("SEARCH BODY \"of message\"").unwrap();
    let found = String::from_utf8_lossy(&found.untagged[0]).into_owned();
    let expected: Vec<String> = (1..=6).filter(|n| !lost.contains(n)).map(|n: u32| n.to_string()).collect();
    assert!(found.trim_end().ends_with(&format!("SEARCH {}", expected.join(" "))), "{found}");
    let sorted = imap.ok("SORT (ARRIVAL) UTF-8 ALL").unwrap();
    assert_eq!(String::from_utf8_lossy(&sorted.untagged[0]).split_whitespace().count(), 2 + 6);
    imap.ok("COPY 1:* Archive").unwrap();
    imap.ok("STORE 1:* +FLAGS (\\Seen)").unwrap();
    imap.logout();
}

#[test]
fn a_flipped_bit_in_a_message_is_served_named_and_listed() {
    let (mut instance, account) = six();
    let (segment, bodies) = bodies(&instance);
    let at = bodies[3].0;
    flip(&segment, at + last_chunk_end(&segment, at) - 20);
    // A copy of the header besides.
    flip(&segment, 40);
    instance.serve();
    all_served(&instance, &account, &[4]);
    assert!(instance.log().contains("a placeholder is served"), "{}", instance.log());

    // Online: found, named, and told without a word of the content.
    let ran = instance.pli(&["store", "verify", "--json", "--fast"]);
    assert_eq!(ran.code, CODE_FOUND, "{}{}", ran.out, ran.err);
    let report = json(&ran.out);
    let named: Vec<&Value> = report["damage"].as_array().unwrap().iter().filter(|d| d["message"].is_object()).collect();
    assert!(
        named.iter().any(|d| {
            d["message"]["address"] == account.address.as_str()
                && d["message"]["mailbox"] == "INBOX"
                && d["message"]["uid"] == 4
        }),
        "{report}"
    );
    let text = instance.pli(&["store", "verify", "--lang", "en", "--rate", "100M"]);
    assert_eq!(text.code, CODE_FOUND);
    assert!(text.out.contains(&format!("{} INBOX UID 4", account.address)), "{}", text.out);
    let health = json(&instance.pli(&["health", "--json"]).good());
    assert_eq!(health["store"]["damaged_messages"], 1, "{health}");

    // The header is mended while it serves; the message cannot be.
    let ran = instance.pli(&["store", "repair", "--dry-run", "--json"]);
    assert_eq!(ran.code, CODE_FOUND);
    assert!(json(&ran.out)["mended"].to_string().contains("header"), "{}", ran.out);
    let ran = instance.pli(&["store", "repair", "--json"]);
    assert_eq!(ran.code, CODE_FOUND, "{}{}", ran.out, ran.err);
    let report = json(&ran.out);
    assert!(report["mended"].to_string().contains("its header is there twice again"), "{report}");
    assert!(report["left"].to_string().contains("\"uid\":4"), "{report}");
    assert!(Path::new(report["copies"].as_str().unwrap()).join("replaced.jsonl").exists(), "{report}");
    assert_eq!(instance.stop(), 0);

    // The bit back: everything is well, and the originals are what came in.
    flip(&segment, at + last_chunk_end(&segment, at) - 20);
    let ran = instance.pli(&["store", "verify", "--json", "--account", &account.address]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(json(&ran.out)["originals"], 6, "{}", ran.out);
    let ran = instance.pli(&["store", "repair", "--lang", "en"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("nothing to mend"), "{}", ran.out);
    instance.serve();
    all_served(&instance, &account, &[]);
}

/// A batch of the log is damaged, and the index that had its rows is lost: what only they said is gone. What is left is
/// served, and repair makes whole what can be.
#[test]
fn a_lost_batch_hides_no_other_message() {
    let (mut instance, account) = six();
    let (segment, _) = bodies(&instance);
    // The batch after the fourth message's body.
    let fourth = frames(&segment, 1)[3].0;
    let (at, length) = *frames(&segment, 2).iter().find(|(at, _)| *at > fourth).unwrap();
    flip(&segment, at + length / 2);
    // The index is there: it alone has the rows, and repair writes them into the log again.
    let ran = instance.pli(&["store", "repair", "--json"]);
    assert_eq!(ran.code, CODE_FOUND, "the damaged frame stays: {}{}", ran.out, ran.err);
    assert!(json(&ran.out)["left"].as_array().unwrap().iter().all(|d| d["kind"] == "frame"), "{}", ran.out);
    std::fs::remove_dir_all(instance.dir.join("store/index")).unwrap();
    instance.serve();
    all_served(&instance, &account, &[]);
    assert_eq!(instance.stop(), 0);

    // Another one, and this time the index goes first.
    let (mut instance, account) = six();
    let (segment, _) = bodies(&instance);
    let fourth = frames(&segment, 1)[3].0;
    let (at, length) = *frames(&segment, 2).iter().find(|(at, _)| *at > fourth).unwrap();
    flip(&segment, at + length / 2);
    std::fs::remove_dir_all(instance.dir.join("store/index")).unwrap();
    instance.serve();
    // Its entry is in the block that the fifth message wrote again, its row is nowhere.
    all_served(&instance, &account, &[4]);
    let ran = instance.pli(&["store", "verify", "--json", "--fast"]);
    assert_eq!(ran.code, CODE_FOUND);
    assert!(json(&ran.out)["damage"].to_string().contains("its message is lost"), "{}", ran.out);
    assert_eq!(instance.stop(), 0);
    let ran = instance.pli(&["store", "repair", "--json"]);
    assert_eq!(ran.code, CODE_FOUND, "{}{}", ran.out, ran.err);
    let left = json(&ran.out)["left"].clone();
    let lost: Vec<&Value> = left.as_array().unwrap().iter().filter(|d| d["message"].is_object()).collect();
    assert!(lost.iter().all(|d| d["message"]["address"] == account.address.as_str()), "{left}");
    assert!(lost.iter().any(|d| d["message"]["mailbox"] == "INBOX" && d["message"]["uid"] == 4), "{left}");
    assert!(!left.to_string().contains("counted"), "counts are mended: {left}");
    instance.serve();
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    assert_eq!(imap.bodies().unwrap().len(), 6);
}
