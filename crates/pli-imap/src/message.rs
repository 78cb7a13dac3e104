//! One message as FETCH and SEARCH read it: its row, its summary, and ranges of its bytes.

use std::num::NonZeroU32;
use std::ops::Range;

use bytes::Bytes;
use pli_crypto::Opened;
use pli_imap_proto::{FetchItem, Out, Partial, Section, SectionKind};
use pli_mime::{PartKind, SectionPath, SectionSource, Summary, section_in_summary, section_range};
use pli_store::{Damaged, Listed, Reader, StoreError};
use pli_types::{ByteCount, EmailId, UnixMillis};

use crate::limits::{BODY_CHUNK_BYTES, DECODE_BYTES_MAX};

/// A message up to this size is read once when several items want bytes of it.
const WHOLE_BYTES_MAX: u64 = 256 * 1024;

/// RFC 8474 §5.1: an object id, of letters and digits.
pub fn email_id(id: EmailId) -> String {
    format!("M{id}")
}

/// Runs work that keeps the processor busy without holding up the other sessions of this thread.
pub fn off_worker<T>(work: impl FnOnce() -> T) -> T {
    let many = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if many { tokio::task::block_in_place(work) } else { work() }
}

/// Reads; once more where it looks like damage. What was read while the index was being made again is not damage.
pub fn retried<T>(reader: Reader<'_>, read: &mut dyn FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match read() {
        Err(error) if error.is_damage() => {
            reader.confirm_damage()?;
            let again = read();
            reader.confirm_damage()?;
            again
        }
        other => other,
    }
}

/// A piece of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// There is no such part.
    None,
    /// Made or already read.
    Bytes(Vec<u8>),
    /// Stands in the message.
    Range(Range<u64>),
}

impl Content {
    /// RFC 9051 §6.4.5 `<offset.count>`: what lies past the end is cut off; beginning past the end gives nothing.
    fn cut(self, partial: Option<Partial>) -> Self {
        match (self, partial) {
            (Self::Bytes(bytes), partial @ Some(_)) => Self::Bytes(cut(&bytes, partial).to_vec()),
            (Self::Range(range), Some(partial)) => {
                let start = range.start.saturating_add(partial.offset).min(range.end);
                let end = start.saturating_add(partial.count).min(range.end);
                Self::Range(start..end)
            }
            (whole, _) => whole,
        }
    }
}

/// The same for bytes at hand.
pub fn cut(bytes: &[u8], partial: Option<Partial>) -> &[u8] {
    let Some(partial) = partial else { return bytes };
    let start = usize::try_from(partial.offset).unwrap_or(usize::MAX).min(bytes.len());
    let count = usize::try_from(partial.count).unwrap_or(usize::MAX);
    bytes.get(start..start.saturating_add(count).min(bytes.len())).unwrap_or_default()
}

/// How an item names its content.
pub enum Label<'a> {
    /// `BODY[section]<origin>`
    Section(&'a Section, Option<u64>),
    /// `RFC822` and its kin.
    Name(&'static str),
}

impl Label<'_> {
    pub fn write(&self, out: &mut Out, bytes: Option<&[u8]>) {
        match self {
            Self::Section(section, origin) => out.fetch_section(section, *origin, bytes),
            Self::Name(name) => out.fetch_string(name, bytes),
        }
    }
    pub fn write_start(&self, out: &mut Out, bytes: u64) {
        match self {
            Self::Section(section, origin) => out.fetch_section_start(section, *origin, bytes),
            Self::Name(name) => out.fetch_string_start(name, bytes),
        }
    }
}

/// What a message's row says.
#[derive(Clone, Copy)]
pub struct Row {
    /// RFC822.SIZE
    pub size: ByteCount,
    /// INTERNALDATE
    pub received: UnixMillis,
}

/// A message under a reader.
pub struct Message<'a> {
    reader: Reader<'a>,
    keys: &'a Opened,
    email: EmailId,
    /// Its row.
    pub row: Row,
    summary: Option<Summary>,
    whole: Option<Bytes>,
    keep_whole: bool,
    /// The part that was decoded last, and where it stands: several pieces of it cost one decoding.
    decoded: Option<(Range<u64>, Vec<u8>)>,
}

impl<'a> Message<'a> {
    /// Reads the row and, where asked, the summary.
    pub fn read(reader: Reader<'a>, keys: &'a Opened, email: EmailId, summary: bool) -> Result<Self, StoreError> {
        if reader.is_damaged(email) {
            return Self::placeholder(reader, keys, email);
        }
        let one = |keys| reader.list(&[email], keys)?.pop().ok_or(StoreError::NoMessage)?;
        let listed = match one(summary.then_some(keys)) {
            // The row may be whole and the summary not, which is then made again.
            Err(error) if summary && error.is_damage() => one(None)?,
            other => other?,
        };
        Self::from_listed(reader, keys, email, listed, summary)
    }

    /// A message that was read together with others; with `summary`, it has one.
    pub fn from_listed(
        reader: Reader<'a>,
        keys: &'a Opened,
        email: EmailId,
        listed: Listed,
        summary: bool,
    ) -> Result<Self, StoreError> {
        if reader.is_damaged(email) {
            return Self::placeholder(reader, keys, email);
        }
        let row = Row { size: listed.size, received: listed.received };
        // A damaged one is made again below.
        let known = listed.summary().unwrap_or_default();
        let mut message =
            Self { reader, keys, email, row, summary: known, whole: None, keep_whole: false, decoded: None };
        if summary {
            // A large one is left out of lists.
            message.summary()?;
        }
        Ok(message)
    }

    /// What stands in the place of a message that does not open: row, summary and bytes are the placeholder's.
    pub fn placeholder(reader: Reader<'a>, keys: &'a Opened, email: EmailId) -> Result<Self, StoreError> {
        let known = reader.salvage(email)?;
        let bytes = crate::placeholder::write(&known, reader.summary(keys, email).ok().as_ref());
        let row = Row { size: ByteCount::new(bytes.len() as u64), received: known.received.unwrap_or_default() };
        let summary = Some(pli_mime::summarise(&bytes, &pli_mime::Limits::default()));
        Ok(Self { reader, keys, email, row, summary, whole: Some(bytes), keep_whole: false, decoded: None })
    }

    /// Reads of a message, or, where it does not open, of its placeholder: damage is told to `damaged`, once a message.
    pub fn with<T>(
        reader: Reader<'a>,
        keys: &'a Opened,
        email: EmailId,
        summary: bool,
        damaged: &mut dyn FnMut(StoreError),
        mut work: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut read = || Self::read(reader, keys, email, summary).and_then(|mut message| work(&mut message));
        match retried(reader, &mut read) {
            Err(error) if error.is_damage() => {
                if reader.mark_damaged(email) {
                    damaged(error);
                }
                Self::placeholder(reader, keys, email).and_then(|mut message| work(&mut message))
            }
            other => other,
        }
    }

    /// Several pieces of a small message are cheaper read at once.
    pub fn expect_bodies(&mut self, count: usize) {
        self.keep_whole = count > 1 && self.row.size.get() <= WHOLE_BYTES_MAX;
    }

    /// The summary; read now if it was not before.
    pub fn summary(&mut self) -> Result<&Summary, StoreError> {
        if self.summary.is_none() {
            self.summary = Some(match self.reader.summary(self.keys, self.email) {
                Ok(summary) => summary,
                Err(StoreError::Damaged(Damaged::Summary(body))) => {
                    // Its bytes may be whole: then nothing is lost.
                    let summary = self.reader.summary_again(self.keys, self.email)?;
                    tracing::warn!(%body, "a damaged summary was made again from the message");
                    summary
                }
                Err(error) => return Err(error),
            });
        }
        self.summary.as_ref().ok_or(StoreError::NoMessage)
    }

    /// Bytes of the message.
    pub fn bytes(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        if let Some(whole) = &self.whole {
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(whole.len());
            let (start, end) = (at(range.start), at(range.end));
            return Ok(whole.slice(start.min(end)..end));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.reader.body(self.keys, self.email, Some(range))
    }

    fn load(&mut self) -> Result<(), StoreError> {
        if self.keep_whole && self.whole.is_none() {
            self.whole = Some(self.reader.body(self.keys, self.email, None)?);
        }
        Ok(())
    }

    /// ENVELOPE
    pub fn write_envelope(&self, out: &mut Out) {
        let mut text = Vec::new();
        if let Some(summary) = &self.summary {
            pli_mime::write_envelope(&mut text, summary.envelope());
        }
        out.fetch_raw("ENVELOPE", &text);
    }

    /// BODY and BODYSTRUCTURE
    pub fn write_structure(&self, out: &mut Out, extended: bool) {
        let mut text = Vec::new();
        if let Some(summary) = &self.summary {
            pli_mime::write_body(&mut text, summary.root(), extended);
        }
        out.fetch_raw(if extended { "BODYSTRUCTURE" } else { "BODY" }, &text);
    }

    /// PREVIEW
    pub fn write_preview(&self, out: &mut Out) {
        out.fetch_preview(self.summary.as_ref().map(Summary::preview));
    }

    /// How an item is named, and the content that it asks.
    pub fn section<'i>(&mut self, item: &'i FetchItem) -> (Label<'i>, Result<Content, StoreError>) {
        let mut whole = |kind| self.content(&Section { part: Vec::new(), kind });
        match item {
            FetchItem::Rfc822 => (Label::Name("RFC822"), whole(SectionKind::Full)),
            FetchItem::Rfc822Header => (Label::Name("RFC822.HEADER"), whole(SectionKind::Header)),
            FetchItem::Rfc822Text => (Label::Name("RFC822.TEXT"), whole(SectionKind::Text)),
            FetchItem::Section { section, partial, .. } => {
                let origin = partial.map(|partial| partial.offset);
                (Label::Section(section, origin), self.content(section).map(|content| content.cut(*partial)))
            }
            _ => (Label::Name("RFC822"), Ok(Content::None)),
        }
    }

    /// RFC 9051 §6.4.5.1
    fn content(&mut self, section: &Section) -> Result<Content, StoreError> {
        self.load()?;
        let size = self.row.size.get();
        if section.part.is_empty() && section.kind == SectionKind::Full {
            return Ok(Content::Range(0..size));
        }
        let path = path_of(section);
        let summary = self.summary()?;
        // The top header stands in the summary as a rule: no body is opened for it.
        if let Some(bytes) = section_in_summary(summary, &path) {
            return Ok(Content::Bytes(bytes));
        }
        Ok(match section_range(summary, &path) {
            SectionSource::Missing => Content::None,
            SectionSource::Range(range) => Content::Range(range.start..range.end),
            SectionSource::Filtered { header, names, not } => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let block = self.bytes(header.start..header.end)?;
                Content::Bytes(pli_mime::filter_header(&block, &names, not))
            }
        })
    }

    /// RFC 3516 §4.2: a part with its transfer encoding undone. `None`: no such part; `Some(None)`: an encoding that
    /// is not known.
    pub fn binary(&mut self, path: &[NonZeroU32]) -> Result<Option<Option<&[u8]>>, StoreError> {
        self.load()?;
        let size = self.row.size.get();
        if path.is_empty() {
            return self.decoded(0..size, None).map(|bytes| Some(Some(bytes)));
        }
        let summary = self.summary()?;
        let path = SectionPath { part: numbers(path), kind: pli_mime::SectionKind::Whole };
        let SectionSource::Range(range) = section_range(summary, &path) else { return Ok(None) };
        let Some(part) = summary.parts().find(|part| part.body_range() == range) else { return Ok(None) };
        let encoding = part.encoding().map(|e| e.trim_ascii().to_ascii_lowercase()).unwrap_or_default();
        let plain = part.kind() != PartKind::Leaf || matches!(&*encoding, b"" | b"7bit" | b"8bit" | b"binary");
        let known = plain || matches!(&*encoding, b"base64" | b"quoted-printable");
        if !known {
            return Ok(Some(None));
        }
        self.decoded(range.start..range.end, (!plain).then_some(&*encoding)).map(|bytes| Some(Some(bytes)))
    }

    fn decoded(&mut self, range: Range<u64>, encoding: Option<&[u8]>) -> Result<&[u8], StoreError> {
        if self.decoded.as_ref().is_none_or(|(of, _)| *of != range) {
            let bytes = self.bytes(range.start..range.end.min(range.start.saturating_add(DECODE_BYTES_MAX)))?;
            let decoded = encoding.map_or_else(|| bytes.to_vec(), |encoding| decode(&bytes, encoding));
            self.decoded = Some((range, decoded));
        }
        Ok(self.decoded.as_ref().map_or(&[], |(_, bytes)| bytes))
    }

    /// All bytes, up to a bound, for searching.
    pub fn all_bytes(&mut self) -> Result<Bytes, StoreError> {
        let size = self.row.size.get().min(DECODE_BYTES_MAX);
        if size == self.row.size.get() {
            // A search for several texts opens the body once.
            self.keep_whole = true;
            self.load()?;
        }
        if size <= BODY_CHUNK_BYTES {
            return self.bytes(0..size);
        }
        self.reader.body(self.keys, self.email, Some(0..size))
    }
}

fn decode(bytes: &[u8], encoding: &[u8]) -> Vec<u8> {
    pli_mime::transfer_decode(bytes, Some(encoding)).into_owned()
}

fn numbers(path: &[NonZeroU32]) -> Vec<u32> {
    path.iter().map(|n| n.get()).collect()
}

/// The section in the words of `pli-mime`.
fn path_of(section: &Section) -> SectionPath {
    use pli_mime::SectionKind as Kind;
    let names = |names: &[Box<str>]| names.iter().map(|name| name.to_string()).collect();
    let kind = match &section.kind {
        SectionKind::Full => Kind::Whole,
        SectionKind::Header => Kind::Header,
        SectionKind::HeaderFields(fields) => Kind::HeaderFields(names(fields)),
        SectionKind::HeaderFieldsNot(fields) => Kind::HeaderFieldsNot(names(fields)),
        SectionKind::Text => Kind::Text,
        SectionKind::Mime => Kind::Mime,
    };
    SectionPath { part: numbers(&section.part), kind }
}

impl Message<'_> {
    /// The values of all fields of a name in the top header, decoded.
    pub fn header_values(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        let summary = self.summary()?;
        let range = summary.root().header_range();
        if let Some(block) = summary.header_block() {
            return Ok(pli_mime::header_decoded(block, name));
        }
        let kind = pli_mime::SectionKind::HeaderFields(vec![name.to_owned()]);
        if let Some(block) = section_in_summary(summary, &SectionPath { part: Vec::new(), kind }) {
            return Ok(pli_mime::header_decoded(&block, name));
        }
        let block = self.bytes(range.start..range.end)?;
        Ok(pli_mime::header_decoded(&block, name))
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, cut};
    use pli_imap_proto::Partial;

    #[test]
    fn a_partial_past_the_end_is_empty() {
        let partial = |offset, count| Some(Partial { offset, count });
        assert_eq!(cut(b"abcdef", partial(2, 3)), b"cde");
        assert_eq!(cut(b"abcdef", partial(4, 100)), b"ef");
        assert_eq!(cut(b"abcdef", partial(6, 1)), b"");
        assert_eq!(cut(b"abcdef", partial(u64::MAX, u64::MAX)), b"");
        assert_eq!(Content::Range(10..20).cut(partial(4, 100)), Content::Range(14..20));
        assert_eq!(Content::Range(10..20).cut(partial(u64::MAX, 1)), Content::Range(20..20));
    }
}
