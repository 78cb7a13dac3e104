//! Ranked search: stems, accents, and the better place first.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use pli_mime::{Limits, summarise};
use pli_search::{Builder, Front, Query, front_bytes, rank};

fn find(mail: &[&str], query: &str) -> Vec<u64> {
    let mut builder = Builder::new();
    for (raw, id) in mail.iter().zip(1..) {
        builder.add(id, raw.as_bytes(), &summarise(raw.as_bytes(), &Limits::default())).unwrap();
    }
    let bytes = Bytes::from(builder.finish().unwrap());
    let front = Front::parse(&bytes[..usize::try_from(front_bytes(&bytes).unwrap()).unwrap()]).unwrap();
    let found = rank(&[(&front, bytes)], &Query::new(query), &|_| true, 10).unwrap();
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
    found.into_iter().map(|scored| scored.email).collect()
}

fn text(subject: &str, body: &str) -> String {
    format!("From: a@example.org\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n")
}

#[test]
fn accents_and_endings_do_not_count() {
    let all = [
        text("un", "Cet été, les œuvres seront publiées."),
        text("deux", "L'ETE prochain; publier une oeuvre"),
        text("three", "The letters were connected, (running) nationally."),
        text("quatre", "rien de tout cela"),
    ];
    let mail: Vec<&str> = all.iter().map(String::as_str).collect();
    let sorted = |query| {
        let mut found = find(&mail, query);
        found.sort_unstable();
        found
    };
    for query in ["été", "ETE", "ete", "œuvre", "OEUVRES", "publiée", "publier", "publies"] {
        assert_eq!(sorted(query), [1, 2], "{query}");
    }
    for query in ["letter", "connecting", "runs", "nationalism"] {
        assert_eq!(sorted(query), [3], "{query}");
    }
    assert_eq!(sorted("absent"), Vec::<u64>::new());
    assert_eq!(sorted("  ,; "), Vec::<u64>::new());
}

#[test]
fn subjects_weigh_more_and_rare_words_too() {
    let all = [
        text("divers", "budget and other matters"),
        text("Budget", "other matters"),
        text("matters", "other, nothing else"),
        text("x", &format!("budget {}", "filler words ".repeat(200))),
    ];
    let mail: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(find(&mail, "budget"), [2, 1, 4]);
    // Both words beat one of them.
    assert_eq!(find(&mail, "budget nothing")[..2], [3, 2]);
    assert_eq!(find(&mail, "other budget").len(), 4);
}
