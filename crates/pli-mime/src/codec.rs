//! The summary as bytes: what the store seals beside a body. Version, counts, rows, arena.

use pli_types::UnixMillis;
use thiserror::Error;

use crate::summary::{AddressRow, ByteRange, Envelope, Kept, Part, PartKind, Run, Span, Summary};

/// The first byte of an encoded summary.
pub const FORMAT_VERSION: u8 = 1;

/// More rows than this in one table is damage, whatever the limits were when it was written.
const ROWS_MAX: u64 = 1 << 20;

/// Rows for which room is made before they are read.
const ROWS_RESERVED_MAX: usize = 256;

/// Why bytes are no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Written by a later version.
    #[error("summary of an unknown version {0}")]
    Version(u8),
    /// Cut short, too long, or a value that cannot be.
    #[error("summary cannot be read")]
    Malformed,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl Summary {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(self.arena.len() + 64 + self.parts.len() * 32));
        out.0.push(FORMAT_VERSION);
        out.number(self.size);
        out.signed(self.date.map(|date| date.0));
        out.0.push(match self.kept {
            Kept::Nothing => 0,
            Kept::Whole => 1,
            Kept::Chosen => 2,
        });
        out.number(u64::from(self.kept_len));
        out.span(self.preview);
        out.table(&self.parts, Writer::part);
        out.table(&self.params, |out, (name, value)| {
            out.span(*name);
            out.span(*value);
        });
        out.table(&self.addresses, |out, row| {
            for field in [row.name, row.route, row.mailbox, row.host] {
                out.maybe(field);
            }
        });
        out.table(&self.envelopes, Writer::envelope);
        out.table(&self.attachments, |out, span| out.span(*span));
        out.number(self.arena.len() as u64);
        out.0.extend_from_slice(&self.arena);
        out.0
    }

    /// From bytes. Whatever they are, what comes out can be read and printed.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader(bytes);
        let version = r.byte()?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::Version(version));
        }
        let mut summary = Self {
            size: r.number()?,
            date: r.signed()?.map(UnixMillis),
            kept: match r.byte()? {
                0 => Kept::Nothing,
                1 => Kept::Whole,
                2 => Kept::Chosen,
                _ => return Err(DecodeError::Malformed),
            },
            kept_len: r.small()?,
            preview: r.span()?,
            ..Self::default()
        };
        summary.parts = r.table(Reader::part)?;
        summary.params = r.table(|r| Ok((r.span()?, r.span()?)))?;
        summary.addresses =
            r.table(|r| Ok(AddressRow { name: r.maybe()?, route: r.maybe()?, mailbox: r.maybe()?, host: r.maybe()? }))?;
        summary.envelopes = r.table(Reader::envelope)?;
        summary.attachments = r.table(Reader::span)?;
        let length = usize::try_from(r.number()?).map_err(|_| DecodeError::Malformed)?;
        if r.0.len() != length {
            return Err(DecodeError::Malformed);
        }
        summary.arena = r.0.to_vec();
        // A tree's rows end within their parent: otherwise reading it could take time without bound.
        let count = summary.parts.len() as u32;
        let mut ends: Vec<u32> = Vec::new();
        for (index, part) in (0u32..).zip(&summary.parts) {
            while ends.last().is_some_and(|end| *end <= index) {
                ends.pop();
            }
            let limit = ends.last().copied().unwrap_or(count);
            if part.next <= index || part.next > limit {
                return Err(DecodeError::Malformed);
            }
            if part.kind != PartKind::Leaf {
                ends.push(part.next);
                // Printing goes down the tree by recursion.
                if ends.len() > 200 {
                    return Err(DecodeError::Malformed);
                }
            }
        }
        Ok(summary)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// LEB128.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
    fn signed(&mut self, value: Option<i64>) {
        match value {
            // Zigzag, moved up by one; zero is none.
            Some(v) => {
                self.0.push(1);
                self.0.extend_from_slice(&v.to_le_bytes());
            }
            None => self.0.push(0),
        }
    }
    fn span(&mut self, span: Span) {
        self.number(u64::from(span.start));
        self.number(u64::from(span.len));
    }
    fn maybe(&mut self, span: Option<Span>) {
        match span {
            Some(span) => {
                self.number(u64::from(span.start) + 1);
                self.number(u64::from(span.len));
            }
            None => self.0.push(0),
        }
    }
    fn run(&mut self, run: Run) {
        self.number(u64::from(run.start));
        self.number(u64::from(run.end));
    }
    fn range(&mut self, range: ByteRange) {
        self.number(range.start);
        self.number(range.end);
    }
    fn table<T>(&mut self, rows: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(rows.len() as u64);
        for row in rows {
            write(self, row);
        }
    }
    fn part(&mut self, part: &Part) {
        self.0.push(match part.kind {
            PartKind::Leaf => 0,
            PartKind::Multipart => 1,
            PartKind::Message => 2,
        });
        self.number(u64::from(part.next));
        self.range(part.header);
        self.range(part.body);
        self.span(part.media_type);
        self.span(part.subtype);
        self.run(part.params);
        for field in [part.id, part.description, part.encoding, part.disposition] {
            self.maybe(field);
        }
        self.run(part.disposition_params);
        self.maybe(part.language);
        self.maybe(part.location);
        self.number(part.lines);
        self.number(part.envelope.map_or(0, |row| u64::from(row) + 1));
    }
    fn envelope(&mut self, envelope: &Envelope) {
        for field in [envelope.date, envelope.subject, envelope.in_reply_to, envelope.message_id] {
            self.maybe(field);
        }
        for run in [envelope.from, envelope.sender, envelope.reply_to, envelope.to, envelope.cc, envelope.bcc] {
            self.run(run);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }
    fn number(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed)
    }
    fn small(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| DecodeError::Malformed)
    }
    fn signed(&mut self) -> Result<Option<i64>> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(DecodeError::Malformed)?;
                self.0 = rest;
                Ok(Some(i64::from_le_bytes(*bytes)))
            }
            _ => Err(DecodeError::Malformed),
        }
    }
    fn span(&mut self) -> Result<Span> {
        Ok(Span { start: self.small()?, len: self.small()? })
    }
    fn maybe(&mut self) -> Result<Option<Span>> {
        match self.small()? {
            0 => Ok(None),
            start => Ok(Some(Span { start: start - 1, len: self.small()? })),
        }
    }
    fn run(&mut self) -> Result<Run> {
        Ok(Run { start: self.small()?, end: self.small()? })
    }
    fn range(&mut self) -> Result<ByteRange> {
        Ok(ByteRange { start: self.number()?, end: self.number()? })
    }
    fn table<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        // A row has a byte at least: a count beyond what is left is damage, and must not reserve memory.
        if count > ROWS_MAX || count > self.0.len() as u64 {
            return Err(DecodeError::Malformed);
        }
        // Exactly as many as there are, so that no table is moved while it grows; many only as they are read.
        let count = count as usize;
        let mut rows = Vec::with_capacity(count.min(ROWS_RESERVED_MAX));
        for _ in 0..count {
            rows.push(read(self)?);
        }
        Ok(rows)
    }
    fn part(&mut self) -> Result<Part> {
        Ok(Part {
            kind: match self.byte()? {
                0 => PartKind::Leaf,
                1 => PartKind::Multipart,
                2 => PartKind::Message,
                _ => return Err(DecodeError::Malformed),
            },
            next: self.small()?,
            header: self.range()?,
            body: self.range()?,
            media_type: self.span()?,
            subtype: self.span()?,
            params: self.run()?,
            id: self.maybe()?,
            description: self.maybe()?,
            encoding: self.maybe()?,
            disposition: self.maybe()?,
            disposition_params: self.run()?,
            language: self.maybe()?,
            location: self.maybe()?,
            lines: self.number()?,
            envelope: self.small()?.checked_sub(1),
        })
    }
    fn envelope(&mut self) -> Result<Envelope> {
        let (date, subject) = (self.maybe()?, self.maybe()?);
        let (in_reply_to, message_id) = (self.maybe()?, self.maybe()?);
        Ok(Envelope {
            date,
            subject,
            in_reply_to,
            message_id,
            from: self.run()?,
            sender: self.run()?,
            reply_to: self.run()?,
            to: self.run()?,
            cc: self.run()?,
            bcc: self.run()?,
        })
    }
}
