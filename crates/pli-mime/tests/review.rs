//! What a second look at summaries found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pli_mime::{
    Limits, Section, SectionKind, SectionPath, contains_folded, fold, searchable, section, section_in_summary,
    summarise,
};

#[test]
fn a_preview_of_a_long_text_is_not_garbled() {
    // The look at the first 16 KiB ends within a letter, whatever its offset.
    for shift in 0..2 {
        let text =
            format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}{}", "x".repeat(shift), "привет ".repeat(5000));
        let found = summarise(text.as_bytes(), &Limits::default());
        assert!(found.preview().contains("привет"), "{shift}: {}", found.preview());
    }
}

#[test]
fn one_stray_byte_does_not_hide_a_text_from_search() {
    let mut raw = "Content-Type: text/plain; charset=utf-8\r\n\r\nréunion à l'été prochain\r\n".as_bytes().to_vec();
    raw.push(0xff);
    let found = summarise(&raw, &Limits::default());
    let needle = fold("ÉTÉ");
    assert!(searchable(&raw, &found, &mut |_, text| contains_folded(text, &needle)));
}

#[test]
fn a_listing_of_a_large_header_needs_no_body() {
    let mut raw = b"From: a@b\r\nSubject: x\r\n y\r\n".to_vec();
    raw.extend(b"ARC-Seal: i=1; aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(3000));
    raw.extend_from_slice(b"To: c@d\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n");
    let found = summarise(&raw, &Limits::default());
    let names = |n: &[&str]| n.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let path = SectionPath {
        part: vec![],
        kind: SectionKind::HeaderFields(names(&["from", "SUBJECT", "To", "Message-Id", "Cc"])),
    };
    let Section::Owned(whole) = section(&raw, &found, &path) else { panic!("no subset") };
    assert_eq!(section_in_summary(&found, &path), Some(whole));
    let other = SectionPath { part: vec![], kind: SectionKind::HeaderFields(names(&["From", "ARC-Seal"])) };
    assert_eq!(section_in_summary(&found, &other), None);
}

#[test]
fn a_message_whose_blank_line_was_lost_has_its_text() {
    // A router's alarm: the text follows the last field.
    let raw = b"From: box@example.org\r\nSubject: alarm\r\nThe cellar is wet.\r\n\r\nSecond paragraph.\r\n";
    let found = summarise(raw, &Limits::default());
    assert_eq!(found.preview(), "The cellar is wet. Second paragraph.");
    assert_eq!(found.root().body_range().slice(raw), b"The cellar is wet.\r\n\r\nSecond paragraph.\r\n");
    // The pieces join to the whole, whatever a client asks.
    let (head, body) = (found.root().header_range(), found.root().body_range());
    assert_eq!([head.slice(raw), body.slice(raw)].concat(), raw);
    // In a part: text right below the delimiter, and a part's fields without their blank line.
    let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nbare text\r\nin lines\r\n--b\r\n\
        Content-Type: text/html\r\n<p>rich</p>\r\n--b--\r\n";
    let found = summarise(raw, &Limits::default());
    let bodies: Vec<&[u8]> = found.root().children().map(|part| part.body_range().slice(raw)).collect();
    assert_eq!(bodies, [&b"bare text\r\nin lines"[..], b"<p>rich</p>"]);
    assert!(found.root().children().nth(1).unwrap().is("text", "html"));
    assert!(searchable(raw, &found, &mut |_, text| contains_folded(text, "rich")));
}

#[test]
fn parameters_in_pieces_are_put_together() {
    let raw = b"Content-Type: multipart/mixed; boundary*0=\"first-\"; boundary*1=\"second\"\r\n\r\n\
        --first-second\r\nContent-Type: text/plain; charset*=us-ascii'en'iso-8859-1\r\n\r\n\
        d\xe9j\xe0 vu\r\n\
        --first-second\r\nContent-Type: application/pdf; name=\"=?utf-8?Q?=C3=A9?=.pdf\"\r\n\
        Content-Disposition: attachment;\r\n filename*1*=%C3%A9.pdf;\r\n filename*0*=UTF-8''r%C3%A9sum\r\n\r\nx\r\n\
        --first-second--\r\n";
    let found = summarise(raw, &Limits::default());
    assert_eq!(found.root().children().count(), 2);
    assert_eq!(found.preview(), "déjà vu");
    assert_eq!(found.attachment_names().collect::<Vec<_>>(), ["résumé.pdf"]);
}

#[test]
fn utf_7_is_found() {
    let raw = b"Subject: =?utf-7?Q?R+AOk-union?=\r\nContent-Type: text/plain; charset=\"utf-7\"\r\n\r\nl'+AOk-t+AOk- prochain\r\n";
    let found = summarise(raw, &Limits::default());
    assert_eq!(found.preview(), "l'été prochain");
    for word in ["RÉUNION", "ÉTÉ"] {
        assert!(searchable(raw, &found, &mut |_, text| contains_folded(text, &fold(word))), "{word}");
    }
}
