//! `BODY[section]`: which bytes a section names. RFC 9051 §6.4.5.1.

use crate::header::{header_end, header_fields, is_kept_name};
use crate::summary::{ByteRange, Kept, PartKind, PartRef, Summary};

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// `BODY[]`, `BODY[1]`
    Whole,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS`
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT`
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
}

/// A part's number and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionPath {
    /// Empty for the message itself.
    pub part: Vec<u32>,
    /// What of it.
    pub kind: SectionKind,
}

/// Where a section's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionSource {
    /// These bytes of the message.
    Range(ByteRange),
    /// Fields of the header block in this range.
    Filtered {
        /// The block.
        header: ByteRange,
        /// The names.
        names: Vec<String>,
        /// All but these.
        not: bool,
    },
    /// There is no such part.
    Missing,
}

/// A section's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    /// As they stand in the message.
    Slice(&'a [u8]),
    /// Put together from fields.
    Owned(Vec<u8>),
    /// There is no such part.
    Missing,
}

/// Finds the part of a number. A message that is no multipart has one part, number 1: its body.
pub(crate) fn find<'a>(root: PartRef<'a>, path: &[u32]) -> Option<PartRef<'a>> {
    let mut part = root;
    let mut is_message = true;
    for number in path {
        let index = usize::try_from(*number).ok()?.checked_sub(1)?;
        let within = if is_message { part } else { enclosed(part).unwrap_or(part) };
        part = if within.kind() == PartKind::Multipart {
            within.children().nth(index)?
        } else if index == 0 && (is_message || part.kind() == PartKind::Message) {
            within
        } else {
            return None;
        };
        is_message = false;
    }
    Some(part)
}

fn enclosed(part: PartRef<'_>) -> Option<PartRef<'_>> {
    if part.kind() == PartKind::Message { part.children().next() } else { None }
}

/// Where a section's bytes stand.
#[must_use]
pub fn section_range(summary: &Summary, path: &SectionPath) -> SectionSource {
    let Some(part) = find(summary.root(), &path.part) else { return SectionSource::Missing };
    let whole = ByteRange { start: 0, end: summary.size };
    // HEADER and TEXT are of a message: the one asked, or one that the part encloses.
    let message = if path.part.is_empty() { Some(part) } else { enclosed(part) };
    match (&path.kind, message) {
        (SectionKind::Whole, _) if path.part.is_empty() => SectionSource::Range(whole),
        (SectionKind::Whole, _) => SectionSource::Range(part.body_range()),
        (SectionKind::Mime, _) => SectionSource::Range(part.header_range()),
        (_, None) => SectionSource::Missing,
        (SectionKind::Header, Some(message)) => SectionSource::Range(message.header_range()),
        (SectionKind::Text, Some(message)) => SectionSource::Range(message.body_range()),
        (SectionKind::HeaderFields(names), Some(message)) => {
            SectionSource::Filtered { header: message.header_range(), names: names.clone(), not: false }
        }
        (SectionKind::HeaderFieldsNot(names), Some(message)) => {
            SectionSource::Filtered { header: message.header_range(), names: names.clone(), not: true }
        }
    }
}

/// A section's bytes, with the message at hand.
#[must_use]
pub fn section<'a>(raw: &'a [u8], summary: &Summary, path: &SectionPath) -> Section<'a> {
    match section_range(summary, path) {
        SectionSource::Range(range) => Section::Slice(range.slice(raw)),
        SectionSource::Filtered { header, names, not } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Section::Owned(filter_header(header.slice(raw), &names, not))
        }
        SectionSource::Missing => Section::Missing,
    }
}

/// A section's bytes out of the summary alone, where the kept header has them.
#[must_use]
pub fn section_in_summary(summary: &Summary, path: &SectionPath) -> Option<Vec<u8>> {
    if !path.part.is_empty() {
        return None;
    }
    let block = match (&path.kind, summary.kept) {
        (_, Kept::Whole) => summary.kept_block(),
        // A listing's fields of a header too large to be kept whole.
        (SectionKind::HeaderFields(names), Kept::Chosen) if names.iter().all(|name| is_kept_name(name)) => {
            summary.kept_block()
        }
        _ => return None,
    };
    match &path.kind {
        SectionKind::Header => Some(block.to_vec()),
        SectionKind::HeaderFields(names) | SectionKind::HeaderFieldsNot(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Some(filter_header(block, &names, matches!(path.kind, SectionKind::HeaderFieldsNot(_))))
        }
        SectionKind::Whole | SectionKind::Text | SectionKind::Mime => None,
    }
}

/// The fields of a block that are (or, with `not`, are not) named, as they stand, and the blank line.
#[must_use]
pub fn filter_header(block: &[u8], names: &[&str], not: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in header_fields(block) {
        let named = names.iter().any(|name| field.is(name));
        if named != not {
            out.extend_from_slice(field.raw);
        }
    }
    // RFC 9051 §6.4.5.1: the delimiting blank line is always there, unless the message has no body and none itself.
    let end = header_end(block);
    let head = block.get(..end).unwrap_or_default();
    if head.ends_with(b"\n\n") || head == b"\n" {
        out.push(b'\n')
    } else {
        out.extend_from_slice(b"\r\n")
    }
    out
}
