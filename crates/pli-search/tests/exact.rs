//! Searching the index finds what looking into every message finds: every field, every needle, over varied and broken
//! messages, before and after merging.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

#[allow(dead_code, clippy::unwrap_used, reason = "a file of the tests")]
#[path = "../../../tests/src/corpus.rs"]
mod corpus;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pli_mime::{Limits, SearchField, Summary, contains_folded, fold, header_decoded, searchable, summarise};
use pli_search::{Builder, CHUNK_BYTES, Damaged, Field, Front, Merged, Postings, front_bytes, merge, search};
use proptest::prelude::*;

type Mail = Vec<(u64, Vec<u8>, Summary)>;

fn mail(messages: Vec<Vec<u8>>) -> Mail {
    // Ids with holes.
    let ids = (1u64..).map(|n| n * 3 - n % 2);
    ids.zip(messages).map(|(id, raw)| (id, raw.clone(), summarise(&raw, &Limits::default()))).collect()
}

fn build(mail: &[(u64, Vec<u8>, Summary)]) -> (Front, Bytes) {
    let mut builder = Builder::new();
    for (id, raw, summary) in mail {
        builder.add(*id, raw, summary).unwrap();
    }
    open(builder.finish().unwrap())
}

fn open(bytes: Vec<u8>) -> (Front, Bytes) {
    let bytes = Bytes::from(bytes);
    let end = usize::try_from(front_bytes(&bytes).unwrap()).unwrap();
    (Front::parse(&bytes[..end]).unwrap(), bytes)
}

fn merged(parts: &[(Front, Bytes)], keep: &dyn Fn(u64) -> bool) -> (Front, Bytes) {
    let Merged::Segment { bytes, messages } = merge(parts, keep).unwrap() else { unreachable!("nothing stays") };
    let segment = open(bytes);
    assert_eq!(segment.0.emails().len(), messages as usize);
    segment
}

/// What IMAP SEARCH does without an index.
fn holds(raw: &[u8], summary: &Summary, field: Field<'_>, needle: &str) -> bool {
    match field {
        Field::Header(name) => {
            let range = summary.root().header_range();
            let block = &raw[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            header_decoded(block, name).iter().any(|value| needle.is_empty() || contains_folded(value, needle))
        }
        Field::Body | Field::Text => {
            needle.is_empty()
                || searchable(raw, summary, &mut |place, text| {
                    (field == Field::Text || place != SearchField::Header) && contains_folded(text, needle)
                })
        }
    }
}

/// Checks one search over segments against a look into every message; returns how many were found and how many the
/// index could not decide.
fn check(mail: &Mail, segments: &[(Front, Bytes)], field: Field<'_>, needle: &str) -> (usize, usize) {
    let expected: BTreeSet<u64> =
        mail.iter().filter(|(_, raw, summary)| holds(raw, summary, field, needle)).map(|(id, ..)| *id).collect();
    let (mut found, mut unsure) = (BTreeSet::new(), 0);
    for (front, bytes) in segments {
        let outcome = search(front, bytes, field, needle).unwrap();
        let id = |doc: u32| front.emails()[doc as usize];
        found.extend(outcome.yes.iter().map(id));
        for email in outcome.maybe.iter().map(id) {
            unsure += 1;
            let (_, raw, summary) = mail.iter().find(|(id, ..)| *id == email).unwrap();
            assert!(!found.contains(&email), "decided and undecided at once");
            if holds(raw, summary, field, needle) {
                found.insert(email);
            }
        }
    }
    assert_eq!(found, expected, "{field:?} {needle:?}");
    (found.len(), unsure)
}

const FIELDS: [Field<'static>; 12] = [
    Field::Text,
    Field::Body,
    Field::Header("Subject"),
    Field::Header("from"),
    Field::Header("TO"),
    Field::Header("Cc"),
    Field::Header("Bcc"),
    Field::Header("Message-ID"),
    Field::Header("X-Number"),
    Field::Header("X-Empty"),
    Field::Header("Reply-To"),
    Field::Header("Content-Type"),
];

/// All texts of a message, folded.
fn texts(raw: &[u8], summary: &Summary) -> Vec<String> {
    let mut texts = Vec::new();
    searchable(raw, summary, &mut |_, text| {
        texts.push(fold(text));
        false
    });
    texts.retain(|text| !text.is_empty());
    texts
}

/// A stretch of some text in the mail.
fn needle(mail: &Mail, message: usize, text: usize, start: usize, len: usize) -> String {
    let (_, raw, summary) = &mail[message % mail.len()];
    let texts = texts(raw, summary);
    let Some(text) = (!texts.is_empty()).then(|| &texts[text % texts.len()]) else { return String::new() };
    let start = text.floor_char_boundary(start % text.len());
    text[start..text.floor_char_boundary((start + len).min(text.len()))].to_owned()
}

fn hostile() -> Vec<Vec<u8>> {
    let long = "ab\u{e9}cd".repeat(2000);
    let header = format!("X-{}: long name\r\nSubject: {}\r\n\r\nx\r\n", "N".repeat(700), long);
    vec![
        format!("Subject: one\r\n\r\n{long}needle{long} tail\r\n").into_bytes(),
        header.into_bytes(),
        b"Subject: \xcc\x81 combining first\r\n\r\n\xcc\x81 a\xcc\x81\r\n".to_vec(),
        "Subject: \u{fb01}n \u{132} \u{1e9e}\r\n\r\n\u{3a3}\u{39f}\u{3a3} \u{130}stanbul\r\n".as_bytes().to_vec(),
        b"\r\n".to_vec(),
        b"Subject\r\n: nameless\r\nA:\r\nB:b\r\n\r\n".to_vec(),
        b"Subject: nul \x00 in\x0bside\x0c \x1c \x85\r\n\r\n\x00\x0b\x1f\r\n".to_vec(),
        "Subject: blank\u{a0}and\u{3000}wide\u{2028}line\r\n\r\n\u{200b}zero\u{feff}width\r\n".as_bytes().to_vec(),
    ]
}

#[test]
fn planted_texts_are_found_where_they_stand() {
    let mut messages = corpus::messages(3, 140);
    messages.extend(hostile());
    let mail = mail(messages);
    let whole = [build(&mail)];
    let cases = [
        ("ann@example.net", Field::Header("cc"), 1),
        ("example.net", Field::Header("from"), 100),
        ("\u{e9}t\u{e9}", Field::Text, 10),
        ("\u{e9}quipe", Field::Header("reply-to"), 5),
        ("日本", Field::Body, 5),
        ("desu", Field::Text, 1),
        ("résumé.pdf", Field::Body, 5),
        ("x-number:", Field::Text, 9),
        ("needle", Field::Body, 1),
        ("html", Field::Body, 10),
    ];
    for (needle, field, least) in cases {
        let (found, unsure) = check(&mail, &whole, field, needle);
        assert!(found >= least && unsure == 0, "{needle}: {found} found, {unsure} unsure");
    }
    // One to two characters are decided too.
    assert_eq!(check(&mail, &whole, Field::Text, "é").1, 0);
    // Several words: few are left to look into.
    let (found, unsure) = check(&mail, &whole, Field::Header("subject"), "long lines");
    assert!(found == 10 && unsure == 10, "{found} {unsure}");
    // An empty text: whether the field is there.
    assert_eq!(check(&mail, &whole, Field::Header("x-number"), ""), (10, 0));
    assert_eq!(check(&mail, &whole, Field::Header("x-empty"), ""), (10, 0));
    assert_eq!(check(&mail, &whole, Field::Header("no-such"), "").0, 0);
    assert_eq!(check(&mail, &whole, Field::Header(""), "").0, 0);
    check(&mail, &whole, Field::Header(&format!("x-{}", "n".repeat(700))), "");
    check(&mail, &whole, Field::Header(&format!("x-{}", "n".repeat(700))), "name");
    // Nothing of a damaged segment is believed.
    assert!(Front::parse(b"PLISRCH\x02").is_err());
}

#[test]
fn merged_segments_answer_the_same_and_let_go_of_what_is_gone() {
    let mut messages = corpus::messages(5, 210);
    messages.extend(hostile());
    let mail = mail(messages);
    // Interleaved: every third message, and one of them twice.
    let mut parts: Vec<(Front, Bytes)> =
        (0..3).map(|n| build(&mail.iter().skip(n).step_by(3).cloned().collect::<Vec<_>>())).collect();
    parts.push(build(&mail[4..6]));
    let all = [merged(&parts, &|_| true)];
    assert_eq!(all[0].1, build(&mail).1, "the same bytes as made at once");
    for (at, field) in FIELDS.iter().enumerate() {
        for step in 0..6 {
            check(&mail, &all, *field, &needle(&mail, at * 17 + step * 29, step, step * 5, step + 2));
        }
    }
    let gone: Mail = mail.iter().filter(|(id, ..)| id % 2 == 0).cloned().collect();
    let kept = merged(&all, &|id| id % 2 == 0);
    assert_eq!(kept.1, build(&gone).1, "as if they had never been there");
    assert!(matches!(merge(&all, &|_| false).unwrap(), Merged::Nothing));
}

/// Letters with so many different words that there are many chunks: prose, and traces of transport.
fn varied(messages: usize) -> Mail {
    let mut state = 7u64;
    let mut roll = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        state >> 33
    };
    let mut noise = |count: usize, letters: usize| {
        let mut out = String::new();
        for n in 0..count {
            let word = (0..letters).map(|_| char::from(b'a' + u8::try_from(roll() % 26).unwrap()));
            out.extend(word);
            out.push_str(if n % 8 == 7 { "\r\n\t" } else { " " });
        }
        out.trim_end().to_owned()
    };
    let letter = |n: usize| {
        let (signature, id, text) = (noise(400, 60), noise(1, 30), noise(900, 24));
        let extra = if n.is_multiple_of(5) { "of quetzalcoatl, zal" } else { "x" };
        format!(
            "DKIM-Signature: b={signature}\r\nMessage-ID: <{id}@example.org>\r\nSubject: letter {n} {extra}\r\n\
             MIME-Version: 1.0\r\n\r\n{text}\r\nend{n}\r\n"
        )
        .into_bytes()
    };
    mail((0..messages).map(letter).collect())
}

/// Counts what is read, and does both halves on threads.
struct Counting(Bytes, AtomicU64);

impl Postings for Counting {
    type Error = Damaged;
    fn read(&self, range: std::ops::Range<u64>) -> Result<Bytes, Damaged> {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert_eq!(range.start / CHUNK_BYTES as u64, (range.end - 1) / CHUNK_BYTES as u64, "one read is enough");
        self.0.read(range)
    }
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        std::thread::scope(|scope| {
            scope.spawn(second);
            first();
        });
    }
}

#[test]
fn a_search_reads_few_of_many_chunks_and_finds_the_same() {
    let mail = varied(60);
    let segment = build(&mail);
    let fields = [Field::Text, Field::Body, Field::Header("subject"), Field::Header("message-id")];
    for (at, field) in FIELDS.iter().take(8).step_by(2).enumerate() {
        for (step, len) in [2usize, 3, 4, 7, 30, 90].into_iter().enumerate() {
            check(&mail, std::slice::from_ref(&segment), *field, &needle(&mail, at * 7 + step, step, at * 111, len));
        }
    }
    for needle in ["quetzalcoatl", "etzal", "zal", "version", "end1", "nowhere-at-all", "xqz"] {
        for field in fields {
            check(&mail, std::slice::from_ref(&segment), field, needle);
        }
    }
    let (front, bytes) = segment;
    let reads = |field, text| {
        let counting = Counting(bytes.clone(), AtomicU64::new(0));
        let found = search(&front, &counting, field, text).unwrap().yes.len();
        (counting.1.into_inner(), found)
    };
    let all = bytes.len() as u64 / CHUNK_BYTES as u64;
    assert!(all > 40, "{all}");
    // Four letters and more: the filter's rows and a few chunks.
    let (few, found) = reads(Field::Text, "quetzalcoatl");
    assert!(few < 9 + all / 8 && found == 12, "{few} of {all}");
    assert_eq!(reads(Field::Text, "nowhere-at-all").1, 0);
    assert!(reads(Field::Text, "nowhere-at-all").0 < 11 + all / 8);
    // Texts and subjects do not stand among traces; what all messages have is found before those are looked at.
    let every = reads(Field::Text, "zal").0;
    let (body, some, found) = (reads(Field::Body, "zal").0, reads(Field::Text, "ver").0, reads(Field::Text, "ver").1);
    assert!(every > 40 && body < every * 2 / 3 && some < every * 2 / 3, "{body} and {some} of {every}");
    assert_eq!(found, 60);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_index_finds_what_a_look_into_every_message_finds(
        seed in 1u64..1_000_000,
        split in 1usize..40,
        picks in prop::collection::vec((0usize..1000, 0usize..40, 0usize..5000, 0usize..100, 0usize..12), 24),
        noise in "[ -~é\t]{0,4}",
    ) {
        let mut messages = corpus::messages(seed, 34);
        messages.extend(hostile());
        let mail = mail(messages);
        let split = split.min(mail.len() - 1);
        let segments = [build(&mail[..split]), build(&mail[split..])];
        for (message, text, start, len, field) in picks {
            check(&mail, &segments, FIELDS[field], &needle(&mail, message, text, start, len));
        }
        check(&mail, &segments, Field::Text, &fold(&noise));
        check(&mail, &segments, Field::Header("Subject"), &fold(&noise));
    }
}
