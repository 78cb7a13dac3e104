//! Summaries of regular and hostile messages: sizes add up, sections are slices, what is printed is valid IMAP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use pli_mime::{
    ByteRange, Limits, PartKind, PartRef, SearchField, Section, SectionKind, SectionPath, Summary, contains_folded,
    fold, searchable, section, summarise, write_body, write_envelope,
};
use proptest::prelude::*;

fn summary(raw: &[u8]) -> Summary {
    let summary = summarise(raw, &Limits::default());
    check(raw, &summary);
    summary
}

/// Everything that holds for every summary of every message.
fn check(raw: &[u8], summary: &Summary) {
    assert_eq!(summary.size().get(), raw.len() as u64);
    let root = summary.root();
    assert_eq!(root.header_range().start, 0);
    assert_eq!(root.header_range().end, root.body_range().start);
    assert_eq!(root.body_range().end, raw.len() as u64, "header and body are the whole message");
    let mut paths = Vec::new();
    walk(root, &mut vec![], true, &mut paths);
    for (path, range) in paths {
        let whole = section(raw, summary, &SectionPath { part: path.clone(), kind: SectionKind::Whole });
        assert_eq!(whole, Section::Slice(range.slice(raw)), "BODY[{path:?}]");
    }
    let again = Summary::decode(&summary.encode()).expect("what was encoded is decoded");
    assert_eq!(&again, summary);
    for extended in [false, true] {
        let mut line = b"* 1 FETCH (ENVELOPE ".to_vec();
        write_envelope(&mut line, summary.envelope());
        line.extend_from_slice(if extended { b" BODYSTRUCTURE " } else { b" BODY " });
        write_body(&mut line, root, extended);
        line.extend_from_slice(b")\r\n");
        // The independent parser's own recursion is bounded lower than ours.
        if depth(root) < 6 {
            let (rest, _) = ResponseCodec::new()
                .decode(&line)
                .unwrap_or_else(|error| panic!("{error:?} in {}", String::from_utf8_lossy(&line)));
            assert!(rest.is_empty());
        }
    }
}

fn depth(part: PartRef<'_>) -> usize {
    1 + part.children().map(depth).max().unwrap_or(0)
}

/// Ranges lie in their parents, one after the other; collects part numbers.
fn walk(part: PartRef<'_>, path: &mut Vec<u32>, is_message: bool, out: &mut Vec<(Vec<u32>, ByteRange)>) {
    let body = part.body_range();
    assert_eq!(part.size().get(), body.len());
    let mut at = body.start;
    for child in part.children() {
        assert!(child.header_range().start >= at && child.body_range().end <= body.end, "within, in order");
        assert_eq!(child.header_range().end, child.body_range().start);
        at = child.body_range().end;
    }
    match part.kind() {
        PartKind::Multipart => {
            assert!(part.children().count() > 0);
            for (number, child) in (1..).zip(part.children()) {
                path.push(number);
                out.push((path.clone(), child.body_range()));
                walk(child, path, false, out);
                path.pop();
            }
        }
        PartKind::Message => {
            assert_eq!(part.children().count(), 1);
            let child = part.children().next().unwrap();
            if is_message {
                path.push(1);
                out.push((path.clone(), body));
                walk(child, path, true, out);
                path.pop();
            } else {
                walk(child, path, true, out);
            }
        }
        PartKind::Leaf => {
            if is_message {
                path.push(1);
                out.push((path.clone(), body));
                path.pop();
            }
        }
    }
}

fn structure(raw: &[u8], extended: bool) -> String {
    let mut out = Vec::new();
    write_body(&mut out, summary(raw).root(), extended);
    String::from_utf8_lossy(&out).into_owned()
}

fn bytes_of(raw: &[u8], part: &[u32], kind: SectionKind) -> Option<Vec<u8>> {
    match section(raw, &summary(raw), &SectionPath { part: part.to_vec(), kind }) {
        Section::Slice(bytes) => Some(bytes.to_vec()),
        Section::Owned(bytes) => Some(bytes),
        Section::Missing => None,
    }
}

const NESTED: &[u8] = b"From: a@b\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\npreamble\r\n\
--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9t=E9\r\n\
--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=xy\r\n\r\n\
--xy\r\n\r\nplain\r\n--xy\r\nContent-Type: text/html\r\n\r\n<b>html</b>\r\n--xy--\r\n\
--x\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A9.pdf\r\n\
Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--x--\r\nepilogue\r\n";

#[test]
fn a_nested_message_is_described() {
    assert_eq!(
        structure(NESTED, false),
        "((\"text\" \"plain\" (\"charset\" \"iso-8859-1\") NIL NIL \"quoted-printable\" 7 0)\
(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 146 (NIL \"inner\" ((NIL NIL \"c\" \"d\")) ((NIL NIL \"c\" \"d\")) \
((NIL NIL \"c\" \"d\")) NIL NIL NIL NIL NIL) ((\"text\" \"plain\" NIL NIL NIL \"7BIT\" 5 0)\
(\"text\" \"html\" NIL NIL NIL \"7BIT\" 11 0) \"alternative\") 11)\
(\"application\" \"pdf\" (\"name\" \"a.pdf\") NIL NIL \"base64\" 4) \"mixed\")"
    );
    let summary = summary(NESTED);
    assert_eq!(summary.attachment_names().collect::<Vec<_>>(), ["é.pdf"]);
    assert_eq!(summary.preview(), "été");
}

#[test]
fn sections_are_numbered_as_the_rfc_says() {
    let get = |part: &[u32], kind| bytes_of(NESTED, part, kind).map(|b| String::from_utf8_lossy(&b).into_owned());
    assert_eq!(get(&[1], SectionKind::Whole).as_deref(), Some("=E9t=E9"));
    assert_eq!(get(&[2, 1], SectionKind::Whole).as_deref(), Some("plain"));
    assert_eq!(get(&[2, 2], SectionKind::Mime).as_deref(), Some("Content-Type: text/html\r\n\r\n"));
    assert!(get(&[2], SectionKind::Header).unwrap().starts_with("From: c@d\r\n"));
    assert!(get(&[2], SectionKind::Text).unwrap().starts_with("--xy\r\n"));
    assert_eq!(get(&[2], SectionKind::Mime).as_deref(), Some("Content-Type: message/rfc822\r\n\r\n"));
    assert_eq!(get(&[1], SectionKind::Header), None, "a text part has no message header");
    assert_eq!(get(&[4], SectionKind::Whole), None);
    assert_eq!(get(&[1, 1], SectionKind::Whole), None);
    let names = SectionKind::HeaderFields(vec![String::from("SUBJECT"), String::from("X")]);
    assert_eq!(get(&[], names).as_deref(), Some("Subject: outer\r\n\r\n"));
    let plain = b"A: b\r\n\r\nbody";
    assert_eq!(bytes_of(plain, &[1], SectionKind::Whole).unwrap(), b"body");
    assert_eq!(bytes_of(plain, &[], SectionKind::Text).unwrap(), b"body");
    assert_eq!(bytes_of(plain, &[], SectionKind::Whole).unwrap(), plain);
}

#[test]
fn hostile_messages_are_described_in_a_valid_form() {
    for raw in [
        &b""[..],
        b"\r\n",
        b"\n",
        b"no header at all",
        b"Subject: 8-bit \xe9\xff\r\nMessage-ID: <\"a\\b\"@c>\r\nTo: ;,<>@\r\n\r\n\0\0",
        b"Subject: nul \0 here\r\nFrom: \0@\0\r\n\r\n",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\nnever used",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n--a\r\n--a--",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a",
        b"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\nSubject: in\r\n\r\nx\r\n--a--",
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: /;;;=\"\r\n\r\n",
        b"Content-Type: text/plain; name=\"\xff\xfe\"\r\nContent-Language: fr, en, \r\nContent-Disposition: ;x=y\r\n\r\n",
        b"Content-Disposition: inline; filename=\"a\"\r\nContent-Location: http://a\r\nContent-ID: <x>\r\n\r\n",
        b"From: undisclosed-recipients:;\r\nTo: g: a@b, c: d;\r\nBcc: \r\n\r\n",
        b"Content-Type: TEXT\r\n\r\nx",
    ] {
        summary(raw);
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let started = Instant::now();
    // 10,000 parts inside each other.
    let mut deep = Vec::new();
    for level in 0..10_000 {
        deep.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").as_bytes(),
        );
    }
    let found = summary(&deep);
    assert!(found.parts().count() <= 60);
    // 10,000 messages inside each other.
    let found = summary(&b"Content-Type: message/rfc822\r\n\r\n".repeat(10_000));
    assert!(found.parts().count() <= 60);
    // 10,000 parts side by side.
    let mut wide = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    wide.extend(b"--b\r\n\r\nx\r\n".repeat(10_000));
    let found = summary(&wide);
    assert_eq!(found.parts().count(), 1000);
    // A header of 10 MB in one field, and in many.
    let mut long = b"Subject: ".to_vec();
    long.extend(b"a".repeat(10 << 20));
    long.extend_from_slice(b"\r\n\r\nbody");
    assert_eq!(summary(&long).root().body_range().len(), 4);
    let mut many = b"To: a@b, c@d, e@f\r\n".repeat(500_000);
    many.extend_from_slice(b"\r\nbody");
    let found = summary(&many);
    assert_eq!(found.root().body_range().len(), 4);
    assert!(found.encode().len() < 2 << 20, "what is kept is bounded");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn text_is_found_in_every_encoding() {
    let has = |raw: &[u8], needle: &str| {
        let needle = fold(needle);
        searchable(raw, &summary(raw), &mut |_, text| contains_folded(text, &needle))
    };
    assert!(has(NESTED, "ÉTÉ"), "quoted-printable latin-1");
    assert!(has(NESTED, "html"), "html as text");
    assert!(!has(NESTED, "<b>"), "without tags");
    assert!(has(NESTED, "é.PDF"), "attachment names");
    assert!(has(NESTED, "inner"), "enclosed header");
    assert!(has(b"Subject: =?utf-8?B?w6l0w6k=?=\r\n\r\n", "été"), "encoded words");
    assert!(has(b"Content-Transfer-Encoding: base64\r\n\r\nw6l0w6k=\r\n", "été"), "base64");
    assert!(has("\r\nété".as_bytes(), "ÉtÉ"), "8-bit");
    assert!(has("\r\ne\u{301}te\u{301}".as_bytes(), "été"), "decomposed");
    let mut fields = Vec::new();
    searchable(NESTED, &summary(NESTED), &mut |field, _| {
        fields.push(field);
        false
    });
    assert!(fields.contains(&SearchField::Header) && fields.contains(&SearchField::PartHeader));
}

/// Messages out of building blocks that mean something to the parser.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let block = prop_oneof![
        Just(b"Content-Type: multipart/mixed; boundary=b\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=\"b c\"\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\r\n".to_vec()),
        Just(b"Content-Disposition: attachment; filename*0*=utf-8''a%; filename*1=b\r\n".to_vec()),
        Just(b"From: \"a, b\" <c@d>, g: e@f;\r\n".to_vec()),
        Just(b"Subject: =?utf-8?q?=?= =?x?b?\r\n y\r\n".to_vec()),
        Just(b"--b\r\n".to_vec()),
        Just(b"\r\n--b c--\r\n".to_vec()),
        Just(b"--b--".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,20}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(block, 0..30).prop_map(|blocks| blocks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_a_sound_summary(raw in hostile()) {
        summary(&raw);
        searchable(&raw, &summary(&raw), &mut |_, text| contains_folded(text, "x"));
    }

    #[test]
    fn damaged_summaries_are_refused_or_readable(raw in hostile(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = summarise(&raw, &Limits::default()).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(summary) = Summary::decode(&bytes) {
            let mut out = Vec::new();
            write_envelope(&mut out, summary.envelope());
            write_body(&mut out, summary.root(), true);
            let _ = (summary.preview(), summary.attachment_names().count(), summary.parts().count());
        }
        let cut = bytes.len() / 2;
        let _ = Summary::decode(&bytes[..cut]);
    }

    #[test]
    fn any_bytes_are_no_summary_or_a_readable_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Summary::decode(&bytes);
    }
}
