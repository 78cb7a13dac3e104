//! A message that does not open: a placeholder stands for it, and all others are served.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::os::unix::fs::FileExt as _;

use pli_gate::Target;
use pli_types::{AccountId, Action, SessionId, SessionInfo};
use support::{Client, Server, message, server};

/// Offset and length of the payloads of the log's body frames, in order.
fn bodies(server: &Server) -> Vec<(u64, u64)> {
    let bytes = std::fs::read(server.segment()).unwrap();
    let mut at = 320_usize;
    let mut found = Vec::new();
    while bytes.get(at..at + 4) == Some(b"PLIF") {
        let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        if bytes[at + 8] == 1 {
            found.push((at as u64 + 32, length as u64));
        }
        at += (32 + length + 16).next_multiple_of(8);
    }
    found
}

/// Bytes of a frame's payload before its summary: the head's 56, the chunk table, the chunks.
fn before_summary(server: &Server, (start, length): (u64, u64)) -> u64 {
    let file = std::fs::File::open(server.segment()).unwrap();
    let mut payload = vec![0; length as usize];
    file.read_exact_at(&mut payload, start).unwrap();
    let word = |at: usize| u64::from(u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
    let count = word(4);
    56 + 8 * count + (0..count).map(|chunk| word(56 + 8 * chunk as usize)).sum::<u64>()
}

/// Flips a bit of a body's last chunk, `from_end` bytes before its end.
fn flip(server: &Server, body: usize, from_end: u64) {
    let (start, length) = bodies(server)[body];
    flip_at(server, start + before_summary(server, (start, length)) - 1 - from_end);
}

/// Flips a bit of the summary at the end of a body's frame.
fn flip_summary(server: &Server, body: usize) {
    let (start, length) = bodies(server)[body];
    assert!(before_summary(server, (start, length)) < length, "no summary");
    flip_at(server, start + length - 1);
}

fn flip_at(server: &Server, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(server.segment()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// Noise that does not compress.
fn noise(bytes: usize) -> String {
    let mut seed = 9_u64;
    let mut text = String::with_capacity(bytes + 80);
    while text.len() < bytes {
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{seed:016x}"));
        }
        text.push_str("\r\n");
    }
    text
}

/// The literal of a response's `BODY[]`, and the number before it.
fn content(text: &str) -> (usize, String) {
    let start = text.find("BODY[] {").unwrap_or_else(|| panic!("no BODY[] in {text}")) + 8;
    let (size, rest) = text[start..].split_once("}\r\n").unwrap();
    let size: usize = size.parse().unwrap();
    (size, rest[..size].to_owned())
}

fn number(text: &str, name: &str) -> u64 {
    let rest = &text[text.find(name).unwrap_or_else(|| panic!("no {name} in {text}")) + name.len()..];
    rest.trim_start().chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

async fn five(server: &Server) -> Client {
    let mut client = server.inbox().await;
    for n in 1..=5 {
        client.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    client.ok("NOOP").await;
    client
}

fn audited(server: &Server) -> usize {
    let admin = std::sync::Arc::new(SessionInfo::admin(SessionId(9), 0));
    let permit = server.gate.admit(&admin, Action::AuditRead, &Target::default()).unwrap();
    let events = server.store.audit_events(&permit, 0, 10_000).unwrap();
    events.iter().filter(|(_, event)| format!("{event:?}").contains("placeholder")).count()
}

/// Whether the message served under a number is the placeholder, with all that is said of it in agreement.
async fn is_placeholder(client: &mut Client, n: u32) {
    let text = client.ok(&format!("FETCH {n} (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")).await;
    let (size, body) = content(&text);
    assert_eq!(number(&text, "RFC822.SIZE"), size as u64, "{text}");
    assert!(body.contains("This message cannot be shown."), "{body}");
    assert!(text.contains("BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"utf-8\")"), "{text}");
    assert!(text.contains("[unreadable]"), "{text}");
    // The same piece by piece, in other commands.
    let alone = client.ok(&format!("FETCH {n} RFC822.SIZE")).await;
    assert_eq!(number(&alone, "RFC822.SIZE"), size as u64);
    let text = client.ok(&format!("FETCH {n} (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")).await;
    let head = number(&text, "BODY[HEADER] {");
    let rest = number(&text, "BODY[TEXT] {");
    assert_eq!(head + rest, size as u64, "{text}");
    let partial = client.ok(&format!("FETCH {n} BODY.PEEK[]<5.7>")).await;
    assert!(partial.contains(&body[5..12]) || partial.contains("{7}"), "{partial}");
    let one = client.ok(&format!("FETCH {n} BODY.PEEK[1]")).await;
    assert_eq!(number(&one, "BODY[1] {"), rest, "{one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_body_is_a_placeholder_and_the_rest_is_served() {
    let server = server().await;
    let mut client = five(&server).await;
    flip(&server, 2, 20);
    let text = client.ok("FETCH 1:* (UID BODY.PEEK[])").await;
    assert_eq!(text.matches(" FETCH (").count(), 5, "{text}");
    for n in [1, 2, 4, 5] {
        assert!(text.contains(&format!("Hello m{n}.")), "{text}");
    }
    assert!(!text.contains("Hello m3.") && text.contains("This message cannot be shown."), "{text}");
    is_placeholder(&mut client, 3).await;
    // It keeps the name by which its owner knows it.
    let text = client.ok("FETCH 3 ENVELOPE").await;
    assert!(text.contains("[unreadable] m3") && text.contains("<m3@x>") && text.contains("ann"), "{text}");
    // Other sessions see the same; it is recorded once.
    let mut other = server.inbox().await;
    is_placeholder(&mut other, 3).await;
    let text = other.ok("UID FETCH 1:* (FLAGS RFC822.SIZE)").await;
    assert_eq!(text.matches(" FETCH (").count(), 5, "{text}");
    client.ok("LOGOUT").await;
    other.ok("LOGOUT").await;
    assert_eq!(audited(&server), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searching_sorting_threading_and_copying_go_on() {
    let server = server().await;
    let mut client = five(&server).await;
    flip(&server, 2, 20);
    assert_eq!(client.ok("SEARCH BODY Hello").await.lines().next().unwrap(), "* SEARCH 1 2 4 5");
    // It is searched as it is shown.
    assert!(client.ok("SEARCH TEXT \"cannot be shown\"").await.starts_with("* SEARCH 3\r\n"));
    assert!(client.ok("SEARCH SUBJECT m").await.starts_with("* SEARCH 1 2 3 4 5\r\n"));
    // RFC 5256 §2.1: the word in brackets is no part of what subjects are sorted by.
    assert!(client.ok("SORT (REVERSE SUBJECT) UTF-8 ALL").await.starts_with("* SORT 5 4 3 2 1\r\n"));
    assert!(client.ok("THREAD REFERENCES UTF-8 ALL").await.starts_with("* THREAD (1)(2)(3)(4)(5)\r\n"));
    assert!(client.ok("COPY 1:* Archive").await.starts_with("a OK [COPYUID"));
    assert!(client.ok("STORE 3 +FLAGS (\\Flagged)").await.contains("\\Flagged"));
    client.ok("SELECT Archive").await;
    let text = client.ok("FETCH 1:* BODY.PEEK[]").await;
    assert_eq!(text.matches("Hello m").count(), 4, "{text}");
    is_placeholder(&mut client, 3).await;
    client.ok("STORE 3 +FLAGS (\\Deleted)").await;
    assert!(client.ok("EXPUNGE").await.contains("* 3 EXPUNGE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_in_french_reads_french() {
    let server = server().await;
    let mut client = five(&server).await;
    let admin = std::sync::Arc::new(SessionInfo::admin(SessionId(9), 0));
    let target = Target { account: Some(AccountId::new(1)), ..Target::default() };
    let permit = server.gate.admit(&admin, Action::AccountChange, &target).unwrap();
    let change = pli_store::AccountChange { language: Some(String::from("fr")), ..Default::default() };
    server.store.change_account(permit, AccountId::new(1), change).await.unwrap();
    flip(&server, 0, 20);
    let text = client.ok("FETCH 1 BODY[]").await;
    assert!(text.contains("Ce message ne peut pas être affiché.") && text.contains("administrateur"), "{text}");
}

/// Damage behind what is sent already: what opens is served, a notice fills the hole, the session goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_the_midst_of_a_long_message_leaves_a_hole() {
    let server = server().await;
    let mut client = server.inbox().await;
    let long = format!("{}{}The end.\r\n", message("long"), noise(3_000_000));
    client.append("INBOX", "", &long).await;
    client.append("INBOX", "", &message("after")).await;
    client.ok("NOOP").await;
    flip(&server, 0, 400_000);
    let text = client.ok("FETCH 1:2 BODY.PEEK[]").await;
    assert!(text.contains("Hello after."), "the next one");
    let (size, body) = content(&text);
    assert_eq!(size, long.len());
    assert!(
        body.contains("[pli: this part of the message is damaged and cannot be read]")
            && body.ends_with("The end.\r\n")
    );
    let wrong = body.bytes().zip(long.bytes()).filter(|(a, b)| a != b).count();
    assert!(wrong > 0 && wrong <= 3 * 64 * 1024, "{wrong} bytes lost");
    // From now on it is known.
    is_placeholder(&mut client, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_summary_is_made_again_from_the_message() {
    let server = server().await;
    let mut client = five(&server).await;
    flip_summary(&server, 2);
    let text = client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)").await;
    assert_eq!(text.matches(" FETCH (").count(), 5, "{text}");
    assert!(text.contains("\"m3\"") && !text.contains("unreadable"), "{text}");
    let text = client.ok("FETCH 3 (RFC822.SIZE BODY.PEEK[])").await;
    assert!(text.contains("Hello m3."), "{text}");
    // Both damaged: nothing is left but what the rows say.
    flip(&server, 2, 20);
    is_placeholder(&mut client, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_lost_leave_a_placeholder() {
    let server = server().await;
    let mut client = five(&server).await;
    // The body's row, then the message's own.
    let (body, _) = body_row(&server, 2);
    server.store.plant_row(&body, None, true).await.unwrap();
    is_placeholder(&mut client, 2).await;
    let message = [&[0x30][..], &1_u64.to_be_bytes(), &4_u64.to_be_bytes()].concat();
    server.store.plant_row(&message, None, true).await.unwrap();
    is_placeholder(&mut client, 4).await;
    // The wrap of its key.
    let message = [&[0x30][..], &1_u64.to_be_bytes(), &5_u64.to_be_bytes()].concat();
    let mut row = server.store.raw_row(&message).unwrap().unwrap();
    *row.last_mut().unwrap() ^= 1;
    server.store.plant_row(&message, Some(row), true).await.unwrap();
    is_placeholder(&mut client, 5).await;
    let text = client.ok("FETCH 1:* BODY.PEEK[]").await;
    assert_eq!(text.matches(" FETCH (").count(), 5, "{text}");
    assert!(text.contains("Hello m1.") && text.contains("Hello m3."), "{text}");
    // What nobody has any more can be removed.
    client.ok("STORE 2,4 +FLAGS (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    assert_eq!(client.ok("FETCH 1:* UID").await.matches(" FETCH (").count(), 3);
    // One that was expunged is gone, and no placeholder comes for it.
    let mut other = server.inbox().await;
    client.ok("STORE 1 +FLAGS (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    let text = other.ok("FETCH 1 BODY.PEEK[]").await;
    assert!(text.contains("[EXPUNGEISSUED]") && !text.contains("cannot be shown"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_not_there_is_damage() {
    let server = server().await;
    let mut client = five(&server).await;
    let (key, value) = body_row(&server, 1);
    let mut elsewhere = value;
    elsewhere[1..5].copy_from_slice(&77_u32.to_be_bytes());
    server.store.plant_row(&key, Some(elsewhere), true).await.unwrap();
    is_placeholder(&mut client, 1).await;
    assert!(client.ok("FETCH 2 BODY.PEEK[]").await.contains("Hello m2."));
}

/// Key and value of the row of a message's body, by its email id in the first account.
fn body_row(server: &Server, email: u64) -> (Vec<u8>, Vec<u8>) {
    let message = [&[0x30][..], &1_u64.to_be_bytes(), &email.to_be_bytes()].concat();
    let row = server.store.raw_row(&message).unwrap().unwrap();
    let key = [&[0x31][..], &row[1..9]].concat();
    let value = server.store.raw_row(&key).unwrap().unwrap();
    (key, value)
}
