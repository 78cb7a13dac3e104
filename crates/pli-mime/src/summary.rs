//! The summary: flat tables over one arena of bytes, so that it decodes with a handful of allocations.

use std::borrow::Cow;

use pli_types::{ByteCount, UnixMillis};

use crate::header::{HeaderField, header_fields};
use crate::param::joined;

/// A half-open range of byte offsets into the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
    /// Whether it holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
    /// The slice of `raw`, cut at its end; empty if it lies outside.
    #[must_use]
    pub fn slice(self, raw: &[u8]) -> &[u8] {
        let end = usize::try_from(self.end).unwrap_or(usize::MAX).min(raw.len());
        let start = usize::try_from(self.start).unwrap_or(usize::MAX).min(end);
        raw.get(start..end).unwrap_or_default()
    }
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u64, end: end as u64 }
    }
}

/// Bytes in the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

/// A run of rows in one of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: u32,
    pub end: u32,
}

impl Run {
    pub(crate) fn of<T>(self, table: &[T]) -> &[T] {
        table.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// How much of the top header stands at the arena's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// None.
    #[default]
    Nothing,
    /// The whole block, blank line included.
    Whole,
    /// All fields whose names are in [`crate::header::KEPT_NAMES`], as they stand, then the blank line if there is one.
    Chosen,
}

/// What a part is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartKind {
    /// Content without parts of its own.
    #[default]
    Leaf,
    /// `multipart/*` with at least one child.
    Multipart,
    /// `message/rfc822` or `message/global` whose one child is the enclosed message.
    Message,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub kind: PartKind,
    /// Index past the part's last descendant.
    pub next: u32,
    pub header: ByteRange,
    pub body: ByteRange,
    pub media_type: Span,
    pub subtype: Span,
    pub params: Run,
    pub id: Option<Span>,
    pub description: Option<Span>,
    pub encoding: Option<Span>,
    pub disposition: Option<Span>,
    pub disposition_params: Run,
    pub language: Option<Span>,
    pub location: Option<Span>,
    pub lines: u64,
    /// Row of the enclosed message's envelope (only [`PartKind::Message`]).
    pub envelope: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressRow {
    pub name: Option<Span>,
    pub route: Option<Span>,
    pub mailbox: Option<Span>,
    pub host: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub date: Option<Span>,
    pub subject: Option<Span>,
    pub from: Run,
    pub sender: Run,
    pub reply_to: Run,
    pub to: Run,
    pub cc: Run,
    pub bcc: Run,
    pub in_reply_to: Option<Span>,
    pub message_id: Option<Span>,
}

/// Everything about a message that is asked for without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub(crate) size: u64,
    pub(crate) date: Option<UnixMillis>,
    pub(crate) arena: Vec<u8>,
    pub(crate) kept: Kept,
    pub(crate) kept_len: u32,
    /// In the order of the message, parents first. Row 0 is the message itself.
    pub(crate) parts: Vec<Part>,
    pub(crate) params: Vec<(Span, Span)>,
    pub(crate) addresses: Vec<AddressRow>,
    /// Row 0 is the message's own.
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) preview: Span,
    pub(crate) attachments: Vec<Span>,
}

impl Summary {
    /// RFC822.SIZE: the length of the message's bytes.
    #[must_use]
    pub const fn size(&self) -> ByteCount {
        ByteCount::new(self.size)
    }
    /// Length of the top header with its blank line.
    #[must_use]
    pub fn header_len(&self) -> u64 {
        self.root().header_range().end
    }
    /// The Date field as a point in time, if it can be read. For SENTBEFORE, SENTON, SENTSINCE and SORT DATE.
    #[must_use]
    pub const fn date(&self) -> Option<UnixMillis> {
        self.date
    }
    /// The message's envelope.
    #[must_use]
    pub fn envelope(&self) -> EnvelopeRef<'_> {
        EnvelopeRef { summary: self, row: self.envelopes.first() }
    }
    /// The message itself as a part; its body range is `BODY[TEXT]`.
    #[must_use]
    pub fn root(&self) -> PartRef<'_> {
        PartRef { summary: self, index: 0 }
    }
    /// All parts in the order of the message, parents first.
    pub fn parts(&self) -> impl Iterator<Item = PartRef<'_>> {
        (0..self.parts.len() as u32).map(|index| PartRef { summary: self, index })
    }
    /// RFC 8970: the first characters of the text, in UTF-8, blanks collapsed.
    #[must_use]
    pub fn preview(&self) -> &str {
        std::str::from_utf8(self.span(self.preview)).unwrap_or_default()
    }
    /// Names of attachments, decoded.
    pub fn attachment_names(&self) -> impl Iterator<Item = &str> {
        self.attachments.iter().map(|s| std::str::from_utf8(self.span(*s)).unwrap_or_default())
    }
    /// Whether any part asks to be shown as an attachment or has a name.
    #[must_use]
    pub fn has_attachments(&self) -> bool {
        !self.attachments.is_empty()
    }
    /// The whole top header with its blank line, if it was small enough to be kept.
    #[must_use]
    pub fn header_block(&self) -> Option<&[u8]> {
        (self.kept == Kept::Whole).then(|| self.kept_block())
    }
    /// The kept fields of the top header as they stand in the message: all of them if [`Self::header_block`] is
    /// `Some`, else those that clients ask for in listings.
    pub fn kept_fields(&self) -> impl Iterator<Item = HeaderField<'_>> {
        header_fields(self.kept_block())
    }
    pub(crate) fn kept_block(&self) -> &[u8] {
        self.arena.get(..self.kept_len as usize).unwrap_or_default()
    }
    pub(crate) fn span(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.arena.get(start..start.saturating_add(span.len as usize)).unwrap_or_default()
    }
}

/// One part of a message.
#[derive(Clone, Copy, Debug)]
pub struct PartRef<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) index: u32,
}

static NO_PART: Part = Part {
    kind: PartKind::Leaf,
    next: 0,
    header: ByteRange { start: 0, end: 0 },
    body: ByteRange { start: 0, end: 0 },
    media_type: Span { start: 0, len: 0 },
    subtype: Span { start: 0, len: 0 },
    params: Run { start: 0, end: 0 },
    id: None,
    description: None,
    encoding: None,
    disposition: None,
    disposition_params: Run { start: 0, end: 0 },
    language: None,
    location: None,
    lines: 0,
    envelope: None,
};

impl<'a> PartRef<'a> {
    pub(crate) fn row(self) -> &'a Part {
        self.summary.parts.get(self.index as usize).unwrap_or(&NO_PART)
    }
    /// Leaf, multipart or message.
    #[must_use]
    pub fn kind(self) -> PartKind {
        self.row().kind
    }
    /// `text` of `text/plain`, as written.
    #[must_use]
    pub fn media_type(self) -> &'a [u8] {
        self.summary.span(self.row().media_type)
    }
    /// `plain` of `text/plain`, as written.
    #[must_use]
    pub fn subtype(self) -> &'a [u8] {
        self.summary.span(self.row().subtype)
    }
    /// Whether the type is `media_type/subtype`, in any case.
    #[must_use]
    pub fn is(self, media_type: &str, subtype: &str) -> bool {
        self.media_type().eq_ignore_ascii_case(media_type.as_bytes())
            && self.subtype().eq_ignore_ascii_case(subtype.as_bytes())
    }
    /// Parameters of Content-Type as on the wire (RFC 2231 continuations are not joined), unquoted.
    pub fn params(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        pairs(self.summary, self.row().params)
    }
    /// The first Content-Type parameter of that name.
    #[must_use]
    pub fn param(self, name: &str) -> Option<&'a [u8]> {
        self.params().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }
    /// The charset of a text: one that is written in RFC 2231's form too.
    #[must_use]
    pub fn charset(self) -> Option<Cow<'a, [u8]>> {
        joined(self.params(), "charset").map(|found| found.bytes)
    }
    /// Content-ID.
    #[must_use]
    pub fn id(self) -> Option<&'a [u8]> {
        self.row().id.map(|s| self.summary.span(s))
    }
    /// Content-Description.
    #[must_use]
    pub fn description(self) -> Option<&'a [u8]> {
        self.row().description.map(|s| self.summary.span(s))
    }
    /// Content-Transfer-Encoding if the header has one.
    #[must_use]
    pub fn encoding(self) -> Option<&'a [u8]> {
        self.row().encoding.map(|s| self.summary.span(s))
    }
    /// Content-Disposition's type.
    #[must_use]
    pub fn disposition(self) -> Option<&'a [u8]> {
        self.row().disposition.map(|s| self.summary.span(s))
    }
    /// Content-Disposition's parameters as on the wire.
    pub fn disposition_params(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        pairs(self.summary, self.row().disposition_params)
    }
    /// Content-Language as written (tags with commas between).
    #[must_use]
    pub fn language(self) -> Option<&'a [u8]> {
        self.row().language.map(|s| self.summary.span(s))
    }
    /// Content-Location.
    #[must_use]
    pub fn location(self) -> Option<&'a [u8]> {
        self.row().location.map(|s| self.summary.span(s))
    }
    /// Size of the body in its transfer encoding.
    #[must_use]
    pub fn size(self) -> ByteCount {
        ByteCount::new(self.row().body.len())
    }
    /// Line feeds in the body (text and message parts; 0 for others).
    #[must_use]
    pub fn lines(self) -> u64 {
        self.row().lines
    }
    /// The part's header with its blank line: `BODY[n.MIME]`.
    #[must_use]
    pub fn header_range(self) -> ByteRange {
        self.row().header
    }
    /// The part's body: `BODY[n]`.
    #[must_use]
    pub fn body_range(self) -> ByteRange {
        self.row().body
    }
    /// The direct parts: of a multipart its parts, of a message part the enclosed message.
    pub fn children(self) -> impl Iterator<Item = PartRef<'a>> {
        let summary = self.summary;
        let end = if self.kind() == PartKind::Leaf { 0 } else { self.row().next };
        let mut index = self.index.saturating_add(1);
        std::iter::from_fn(move || {
            if index >= end {
                return None;
            }
            let child = PartRef { summary, index };
            index = child.row().next.max(index.saturating_add(1));
            Some(child)
        })
    }
    /// The envelope of the message that a message part encloses.
    #[must_use]
    pub fn envelope(self) -> Option<EnvelopeRef<'a>> {
        let row = self.row().envelope?;
        Some(EnvelopeRef { summary: self.summary, row: self.summary.envelopes.get(row as usize) })
    }
}

fn pairs(summary: &Summary, run: Run) -> impl Iterator<Item = (&[u8], &[u8])> {
    run.of(&summary.params).iter().map(|(n, v)| (summary.span(*n), summary.span(*v)))
}

/// An envelope. Strings are unfolded raw values: encoded words are kept.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeRef<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) row: Option<&'a Envelope>,
}

macro_rules! envelope_strings {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(self) -> Option<&'a [u8]> {
            self.row.and_then(|r| r.$name).map(|s| self.summary.span(s))
        }
    )* };
}
macro_rules! envelope_addresses {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        pub fn $name(self) -> impl ExactSizeIterator<Item = AddressRef<'a>> {
            self.list(self.row.map(|r| r.$name).unwrap_or_default())
        }
    )* };
}

impl<'a> EnvelopeRef<'a> {
    envelope_strings! {
        /// Date.
        date,
        /// Subject.
        subject,
        /// In-Reply-To.
        in_reply_to,
        /// Message-ID.
        message_id,
    }
    envelope_addresses! {
        /// From (the first such field).
        from,
        /// Sender as written; without the default.
        sender,
        /// Reply-To as written; without the default.
        reply_to,
        /// To (all such fields).
        to,
        /// Cc (all such fields).
        cc,
        /// Bcc (all such fields).
        bcc,
    }
    fn list(self, run: Run) -> impl ExactSizeIterator<Item = AddressRef<'a>> {
        let summary = self.summary;
        run.of(&summary.addresses).iter().map(move |row| AddressRef {
            name: row.name.map(|s| summary.span(s)),
            route: row.route.map(|s| summary.span(s)),
            mailbox: row.mailbox.map(|s| summary.span(s)),
            host: row.host.map(|s| summary.span(s)),
        })
    }
}

/// One address structure of an envelope. RFC 9051 §7.5.2: `host` `None` and `mailbox` `Some` opens a group, both
/// `None` closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRef<'a> {
    /// Display name, unquoted, encoded words kept.
    pub name: Option<&'a [u8]>,
    /// Source route.
    pub route: Option<&'a [u8]>,
    /// Local part, or the group's name.
    pub mailbox: Option<&'a [u8]>,
    /// Domain.
    pub host: Option<&'a [u8]>,
}
