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
