//! SEARCH answers the same with the index and without: every field, over varied and broken messages.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a file of the tests"
)]
#[path = "../../../tests/src/corpus.rs"]
mod corpus;
mod support;

use std::sync::Arc;
use std::time::Duration;

use pli_mime::{Limits, SearchField, contains_folded, fold, header_decoded, searchable, summarise};
use pli_types::{AccountId, Action, SessionId, SessionInfo};
use support::{Client, Server, server};

async fn append_all(client: &mut Client, messages: &[Vec<u8>]) {
    for batch in messages.chunks(20) {
        let mut command = b"APPEND INBOX".to_vec();
        for message in batch {
            command.extend_from_slice(format!(" {{{}+}}\r\n", message.len()).as_bytes());
            command.extend_from_slice(message);
        }
        client.send(b"x ").await;
        client.send(&command).await;
        client.send(b"\r\n").await;
        let answer = client.until("x ").await;
        assert!(answer.contains("x OK"), "{answer}");
    }
}

/// The numbers that a search finds.
async fn found(client: &mut Client, key: &str, text: Option<&str>) -> Vec<usize> {
    let literal = text.map(|text| format!(" {{{}+}}\r\n{text}", text.len())).unwrap_or_default();
    let answer = client.ok(&format!("SEARCH CHARSET UTF-8 {key}{literal}")).await;
    let line = answer.lines().find(|line| line.starts_with("* SEARCH")).unwrap();
    line.split(' ').skip(2).map(|n| n.parse().unwrap()).collect()
}

/// What a look into each message finds.
fn expected(messages: &[Vec<u8>], key: &str, text: &str) -> Vec<usize> {
    let needle = fold(text);
    let holds = |raw: &Vec<u8>| {
        let summary = summarise(raw, &Limits::default());
        let any = |header: bool| {
            needle.is_empty()
                || searchable(raw, &summary, &mut |field, text| {
                    (header || field != SearchField::Header) && contains_folded(text, &needle)
                })
        };
        match key {
            "TEXT" => any(true),
            "BODY" => any(false),
            field => {
                let range = summary.root().header_range();
                let block = &raw[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                let name = field.strip_prefix("HEADER ").unwrap_or(field);
                header_decoded(block, name).iter().any(|value| needle.is_empty() || contains_folded(value, &needle))
            }
        }
    };
    messages.iter().zip(1..).filter(|(raw, _)| holds(raw)).map(|(_, n)| n).collect()
}

/// Waits until sessions have made the index.
async fn indexed(server: &Server) {
    let session = Arc::new(SessionInfo {
        actor: pli_types::Actor::Account(AccountId::new(1)),
        protocol: pli_types::Protocol::Imap,
        ..SessionInfo::admin(SessionId(2), 0)
    });
    for _ in 0..400 {
        let permit = server.gate.admit(&session, Action::Search, &pli_gate::Target::default()).unwrap();
        if server.store.read(&permit).unwrap().search_behind().unwrap() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("the index was not made");
}

const KEYS: [&str; 12] = [
    "SUBJECT",
    "FROM",
    "TO",
    "CC",
    "BCC",
    "BODY",
    "TEXT",
    "HEADER Message-ID",
    "HEADER X-Number",
    "HEADER Reply-To",
    "HEADER X-Empty",
    "HEADER Content-Type",
];

const TEXTS: [&str; 26] = [
    "été",
    "ÉTÉ",
    "ete",
    "œuvre",
    "日本",
    "привет",
    "desu",
    "example.net",
    "ann@",
    "sender1",
    "budget",
    "résumé.pdf",
    "long lines",
    "dots and",
    "quoted\\\"d",
    "preamble",
    "html",
    "é",
    "x",
    "plain words. ",
    " suite",
    "multipart/mixed",
    "no such text at all",
    "undisclosed-recipients",
    "Ann Lee",
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_a_look_into_every_message() {
    let server = server().await;
    let mut client = server.login("alice").await;
    let messages = corpus::messages(21, 140);
    append_all(&mut client, &messages).await;
    client.ok("SELECT INBOX").await;
    indexed(&server).await;
    for key in KEYS {
        for text in TEXTS {
            let answer = found(&mut client, key, Some(text)).await;
            assert_eq!(answer, expected(&messages, key, text), "{key} {text:?}");
        }
    }
    assert!(server.store.search_memory() > 0, "the index was asked");
    // Mail that came since is found at once; what is gone is not.
    let late = b"From: late@example.net\r\nSubject: \xc3\xa9t\xc3\xa9 tardif\r\n\r\nbudget\r\n".to_vec();
    append_all(&mut client, std::slice::from_ref(&late)).await;
    let mut all = messages.clone();
    all.push(late);
    for (key, text) in [("SUBJECT", "été"), ("TEXT", "budget"), ("FROM", "late@")] {
        assert_eq!(found(&mut client, key, Some(text)).await, expected(&all, key, text), "{key} {text}");
    }
    client.ok("STORE 1:70 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    assert_eq!(found(&mut client, "TEXT", Some("budget")).await, expected(&all[70..], "TEXT", "budget"));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_together_with_flags_sizes_and_each_other() {
    let server = server().await;
    let mut client = server.login("alice").await;
    let messages = corpus::messages(22, 112);
    append_all(&mut client, &messages).await;
    client.ok("SELECT INBOX").await;
    indexed(&server).await;
    client.ok("STORE 1:100 +FLAGS.SILENT (\\Seen)").await;
    let (budget, html) = (expected(&messages, "TEXT", "budget"), expected(&messages, "BODY", "html"));
    let and: Vec<usize> = budget.iter().copied().filter(|n| html.contains(n)).collect();
    let neither: Vec<usize> = (1..=112).filter(|n| !budget.contains(n) && !html.contains(n)).collect();
    let large: Vec<usize> = budget.iter().copied().filter(|n| messages[n - 1].len() > 800).collect();
    assert!(!and.is_empty() && !neither.is_empty() && !large.is_empty());
    assert_eq!(found(&mut client, "TEXT budget BODY html", None).await, and);
    assert_eq!(found(&mut client, "NOT OR TEXT budget BODY html", None).await, neither);
    assert_eq!(found(&mut client, "LARGER 800 TEXT budget", None).await, large);
    // Twelve messages are unseen: too few to ask the index about.
    let unseen: Vec<usize> = budget.iter().copied().filter(|n| *n > 100).collect();
    assert_eq!(found(&mut client, "UNSEEN TEXT budget", None).await, unseen);
    assert_eq!(
        found(&mut client, "UID 1:50 NOT TEXT budget", None).await,
        (1..=50).filter(|n| !budget.contains(n)).collect::<Vec<_>>()
    );
    let answer = client.ok("UID SEARCH RETURN (COUNT) TEXT budget").await;
    assert!(answer.contains(&format!("COUNT {}", budget.len())), "{answer}");
    let sorted = client.ok("SORT (REVERSE ARRIVAL) UTF-8 TEXT budget").await;
    assert_eq!(sorted.lines().next().unwrap().split(' ').count(), budget.len() + 2, "{sorted}");
    // More texts than the index is asked about, all the same.
    let many = "SUBJECT e ".repeat(70);
    assert_eq!(found(&mut client, many.trim_end(), None).await, expected(&messages, "SUBJECT", "e"));
}
