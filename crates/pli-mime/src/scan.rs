//! Bytes to [`Summary`]: one walk down the part tree, offsets exact, everything bounded.

use memchr::{memchr_iter, memmem};

use crate::address::{MailAddress, addresses};
use crate::date::parse_date;
use crate::header::{HeaderField, header_end, header_fields, line_end, unfold};
use crate::limits::Limits;
use crate::param::{self, Parametrised};
use crate::preview::preview;
use crate::summary::{AddressRow, ByteRange, Envelope, Kept, Part, PartKind, Run, Span, Summary};

/// Summarises a message. Never fails: whatever the bytes, there is a root part and an envelope.
#[must_use]
pub fn summarise(raw: &[u8], limits: &Limits) -> Summary {
    let mut scan = Scan { raw, limits, out: Summary { size: raw.len() as u64, ..Summary::default() } };
    scan.keep_header();
    scan.entity(Place { start: 0, end: raw.len(), depth: 0, digest: false, message: true });
    scan.out.date = scan.out.envelope().date().and_then(parse_date);
    scan.attachment_names();
    let text = preview(raw, &scan.out, limits.preview_chars_max);
    scan.out.preview = scan.put(text.as_bytes());
    scan.out
}

struct Scan<'a> {
    raw: &'a [u8],
    limits: &'a Limits,
    out: Summary,
}

/// Where an entity stands and what it is within.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    depth: u32,
    /// RFC 2046 §5.1.5: parts of a digest are messages by default.
    digest: bool,
    /// Whether the header is a message's, with an envelope.
    message: bool,
}

/// What a part's header says.
#[derive(Default)]
struct Fields<'a> {
    content_type: Option<&'a [u8]>,
    disposition: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    description: Option<&'a [u8]>,
    language: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// Copies bytes into the arena; empty once it is full.
    fn put(&mut self, bytes: &[u8]) -> Span {
        let bytes = bytes.get(..bytes.len().min(self.limits.string_bytes_max)).unwrap_or_default();
        self.put_long(bytes)
    }

    fn put_long(&mut self, bytes: &[u8]) -> Span {
        if self.out.arena.len().saturating_add(bytes.len()) > self.limits.arena_bytes_max {
            return Span::default();
        }
        let span = Span { start: self.out.arena.len() as u32, len: bytes.len() as u32 };
        self.out.arena.extend_from_slice(bytes);
        span
    }

    fn put_value(&mut self, value: &[u8]) -> Span {
        self.put(&unfold(value))
    }

    /// The top header at the arena's start: whole when it is small, else the fields that listings ask for.
    fn keep_header(&mut self) {
        let end = header_end(self.raw);
        let block = self.raw.get(..end).unwrap_or_default();
        let max = self.limits.header_kept_bytes_max;
        if block.len() <= max {
            self.put_long(block);
            self.out.kept = Kept::Whole;
        } else {
            let mut chosen = Vec::new();
            // All fields, however many: an answer from the chosen ones must be the answer from the whole block.
            for field in header_fields(block).filter(HeaderField::is_kept) {
                if chosen.len() + field.raw.len() > max {
                    // A listing with some fields missing would be wrong; then none is kept.
                    chosen.clear();
                    break;
                }
                chosen.extend_from_slice(field.raw);
            }
            let whole_scanned = block.len() as u64 <= self.limits.header_bytes_max;
            if chosen.is_empty() || !whole_scanned {
                self.out.kept = Kept::Nothing;
                return;
            }
            if let Some(blank) = blank_line(block) {
                chosen.extend_from_slice(blank);
            }
            self.put_long(&chosen);
            self.out.kept = Kept::Chosen;
        }
        self.out.kept_len = self.out.arena.len() as u32;
    }

    fn fields(&self, block: &'a [u8]) -> impl Iterator<Item = HeaderField<'a>> + use<'a> {
        let bytes = usize::try_from(self.limits.header_bytes_max).unwrap_or(usize::MAX).min(block.len());
        let fields = usize::try_from(self.limits.header_fields_max).unwrap_or(usize::MAX);
        header_fields(block.get(..bytes).unwrap_or_default()).take(fields)
    }

    /// One entity: its row, and its descendants' rows after it.
    fn entity(&mut self, place: Place) {
        let bytes = self.raw.get(place.start..place.end).unwrap_or_default();
        let header_length = header_end(bytes);
        let block = bytes.get(..header_length).unwrap_or_default();
        let body_start = place.start + header_length;
        let mut fields = Fields::default();
        let mut envelope_fields = Vec::new();
        for field in self.fields(block) {
            note(&mut fields, &field);
            if place.message && ENVELOPE_NAMES.iter().any(|name| field.is(name)) {
                envelope_fields.push(field);
            }
        }
        let index = self.out.parts.len();
        self.out.parts.push(Part {
            header: ByteRange::new(place.start, body_start),
            body: ByteRange::new(body_start, place.end),
            ..Part::default()
        });
        // The envelope of the message itself is row 0; an enclosed one hangs on its part.
        if place.message {
            let row = self.envelope(&envelope_fields);
            self.out.envelopes.push(row);
        }
        let typed = self.describe(index, &fields, place.digest);
        let deeper = Place { depth: place.depth + 1, digest: false, message: false, start: body_start, end: place.end };
        match typed {
            Typed::Multipart { boundary, digest } if self.may_go_down(&place) => {
                let parts_left = (self.limits.parts_max as usize).saturating_sub(self.out.parts.len());
                for (start, end) in split(self.raw, body_start, place.end, &boundary, parts_left) {
                    if self.out.parts.len() >= self.limits.parts_max as usize {
                        break;
                    }
                    self.entity(Place { start, end, digest, ..deeper });
                }
                if self.out.parts.len() > index + 1 {
                    self.set(index, |part| part.kind = PartKind::Multipart);
                } else {
                    self.make_leaf(index);
                }
            }
            Typed::Message if self.may_go_down(&place) => {
                let envelope = self.out.envelopes.len() as u32;
                self.entity(Place { message: true, ..deeper });
                self.set(index, |part| {
                    part.kind = PartKind::Message;
                    part.envelope = Some(envelope);
                });
                self.count_lines(index);
            }
            Typed::Multipart { .. } | Typed::Message => self.make_leaf(index),
            Typed::Text => self.count_lines(index),
            Typed::Other => {}
        }
        let next = self.out.parts.len() as u32;
        self.set(index, |part| part.next = next);
    }

    fn may_go_down(&self, place: &Place) -> bool {
        place.depth < self.limits.depth_max && self.out.parts.len() < self.limits.parts_max as usize
    }

    fn set(&mut self, index: usize, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.out.parts.get_mut(index) {
            change(part);
        }
    }

    /// A multipart without parts, or one too deep, is shown as text: a form that every parser accepts.
    fn make_leaf(&mut self, index: usize) {
        let (media_type, subtype) = (self.put(b"text"), self.put(b"plain"));
        self.set(index, |part| {
            part.kind = PartKind::Leaf;
            part.media_type = media_type;
            part.subtype = subtype;
            part.params = Run::default();
        });
        self.count_lines(index);
    }

    fn count_lines(&mut self, index: usize) {
        let Some(range) = self.out.parts.get(index).map(|part| part.body) else { return };
        let lines = memchr_iter(b'\n', range.slice(self.raw)).count() as u64;
        self.set(index, |part| part.lines = lines);
    }

    /// Fills the row from the header; says what kind of content follows.
    fn describe(&mut self, index: usize, fields: &Fields<'_>, digest: bool) -> Typed {
        let unfolded = fields.content_type.map(unfold);
        let params_left = (self.limits.params_max as usize).saturating_sub(self.out.params.len());
        let parsed = unfolded.as_deref().map(|value| param::parse(value, params_left)).unwrap_or_default();
        let (media, sub) = split_type(&parsed, digest);
        let typed = kind_of(media, sub, &parsed, fields.encoding);
        let media_type = self.put(media);
        let subtype = self.put(sub);
        let params = self.put_params(&parsed);
        let disposition_value = fields.disposition.map(unfold);
        let params_left = (self.limits.params_max as usize).saturating_sub(self.out.params.len());
        let disposition = disposition_value.as_deref().map(|value| param::parse(value, params_left));
        let disposition_params = disposition.as_ref().map(|d| self.put_params(d)).unwrap_or_default();
        let disposition = disposition.filter(|d| !d.value.is_empty()).map(|d| self.put(d.value));
        let mut string = |value: Option<&[u8]>| value.filter(|v| !v.trim_ascii().is_empty()).map(|v| self.put_value(v));
        let (id, description) = (string(fields.id), string(fields.description));
        let encoding = string(fields.encoding);
        let (language, location) = (string(fields.language), string(fields.location));
        self.set(index, |part| {
            part.media_type = media_type;
            part.subtype = subtype;
            part.params = params;
            part.disposition = disposition;
            part.disposition_params = disposition_params;
            part.id = id;
            part.description = description;
            part.encoding = encoding;
            part.language = language;
            part.location = location;
        });
        typed
    }

    fn put_params(&mut self, parsed: &Parametrised<'_>) -> Run {
        let start = self.out.params.len() as u32;
        for (name, value) in &parsed.params {
            let row = (self.put(name), self.put(value));
            self.out.params.push(row);
        }
        Run { start, end: self.out.params.len() as u32 }
    }

    fn envelope(&mut self, fields: &[HeaderField<'_>]) -> Envelope {
        let mut string = |name: &str| {
            let value = fields.iter().find(|field| field.is(name))?.value;
            Some(self.put_value(value))
        };
        let (date, subject) = (string("date"), string("subject"));
        let (in_reply_to, message_id) = (string("in-reply-to"), string("message-id"));
        let mut list = |name: &str, all: bool| {
            let start = self.out.addresses.len() as u32;
            for field in fields.iter().filter(|field| field.is(name)).take(if all { usize::MAX } else { 1 }) {
                let left = (self.limits.addresses_max as usize).saturating_sub(self.out.addresses.len());
                for address in addresses(field.value, left) {
                    let row = self.address(&address);
                    self.out.addresses.push(row);
                }
            }
            Run { start, end: self.out.addresses.len() as u32 }
        };
        Envelope {
            date,
            subject,
            from: list("from", false),
            sender: list("sender", false),
            reply_to: list("reply-to", false),
            to: list("to", true),
            cc: list("cc", true),
            bcc: list("bcc", true),
            in_reply_to,
            message_id,
        }
    }

    fn address(&mut self, address: &MailAddress) -> AddressRow {
        let mut field = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| self.put(bytes));
        AddressRow {
            name: field(&address.name),
            route: field(&address.route),
            mailbox: field(&address.mailbox),
            host: field(&address.host),
        }
    }

    fn attachment_names(&mut self) {
        let mut names = Vec::new();
        for part in self.out.parts() {
            if part.kind() == PartKind::Multipart {
                continue;
            }
            let named = param::joined(part.disposition_params(), "filename")
                .or_else(|| param::joined(part.params(), "name"))
                .map(|name| name.text());
            let attached = part.disposition().is_some_and(|d| d.eq_ignore_ascii_case(b"attachment"));
            match named {
                Some(name) => names.push(name),
                None if attached => names.push(String::new()),
                None => {}
            }
        }
        for name in names {
            let span = self.put(name.as_bytes());
            self.out.attachments.push(span);
        }
    }
}

const ENVELOPE_NAMES: [&str; 10] =
    ["date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id"];

fn note<'a>(fields: &mut Fields<'a>, field: &HeaderField<'a>) {
    // All of them begin so; the check saves seven comparisons for each other field.
    if !field.name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-")) {
        return;
    }
    let slot = [
        ("content-type", &mut fields.content_type),
        ("content-disposition", &mut fields.disposition),
        ("content-transfer-encoding", &mut fields.encoding),
        ("content-id", &mut fields.id),
        ("content-description", &mut fields.description),
        ("content-language", &mut fields.language),
        ("content-location", &mut fields.location),
    ]
    .into_iter()
    .find(|(name, _)| field.is(name));
    if let Some((_, slot)) = slot {
        slot.get_or_insert(field.value);
    }
}

enum Typed {
    Multipart { boundary: Vec<u8>, digest: bool },
    Message,
    Text,
    Other,
}

/// Type and subtype; RFC 2045 §5.2: what cannot be read is text/plain.
fn split_type<'p>(parsed: &Parametrised<'p>, digest: bool) -> (&'p [u8], &'p [u8]) {
    let default: (&[u8], &[u8]) = if digest { (b"message", b"rfc822") } else { (b"text", b"plain") };
    let value = parsed.value;
    if value.is_empty() {
        return default;
    }
    let Some(slash) = memchr::memchr(b'/', value) else { return (b"text", b"plain") };
    let (media, sub) = value.split_at(slash);
    let (media, sub) = (media.trim_ascii(), sub.get(1..).unwrap_or_default().trim_ascii());
    let token = |t: &[u8]| !t.is_empty() && t.iter().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"[]?=".contains(b));
    if token(media) && token(sub) { (media, sub) } else { (b"text", b"plain") }
}

fn kind_of(media: &[u8], sub: &[u8], parsed: &Parametrised<'_>, encoding: Option<&[u8]>) -> Typed {
    if media.eq_ignore_ascii_case(b"multipart") {
        // RFC 2046 §5.1.1: 1 to 70 characters; longer ones exist.
        let boundary = param::joined(parsed.pairs(), "boundary")
            .map(|found| found.bytes.trim_ascii_end().to_vec())
            .filter(|b| !b.is_empty() && b.len() <= 512);
        // Without a boundary there are no parts: an empty one splits into none.
        return Typed::Multipart {
            boundary: boundary.unwrap_or_default(),
            digest: sub.eq_ignore_ascii_case(b"digest"),
        };
    }
    // RFC 2046 §5.2.1 forbids an encoding here; where there is one, the message inside cannot be read in place.
    let encoded = encoding.is_some_and(|e| {
        let e = e.trim_ascii();
        e.eq_ignore_ascii_case(b"base64") || e.eq_ignore_ascii_case(b"quoted-printable")
    });
    if media.eq_ignore_ascii_case(b"message")
        && (sub.eq_ignore_ascii_case(b"rfc822") || sub.eq_ignore_ascii_case(b"global"))
        && !encoded
    {
        return Typed::Message;
    }
    if media.eq_ignore_ascii_case(b"text") { Typed::Text } else { Typed::Other }
}

/// RFC 2046 §5.1.1: the parts between delimiter lines, at most `max`. The line end before a delimiter belongs to it.
fn split(raw: &[u8], start: usize, end: usize, boundary: &[u8], max: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    if boundary.is_empty() {
        return parts;
    }
    let body = raw.get(start..end).unwrap_or_default();
    let mut needle = b"--".to_vec();
    needle.extend_from_slice(boundary);
    let finder = memmem::Finder::new(&needle);
    let mut open: Option<usize> = None;
    let mut from = 0;
    while let Some(found) = finder.find(body.get(from..).unwrap_or_default()) {
        let at = from + found;
        from = at + needle.len();
        let at_line_start = at == 0 || body.get(at - 1) == Some(&b'\n');
        if !at_line_start {
            continue;
        }
        let line = line_end(body, from);
        let tail = body.get(from..line).unwrap_or_default();
        let (last, rest) = tail.strip_prefix(b"--").map_or((false, tail), |rest| (true, rest));
        // Another boundary that begins with this one.
        if !rest.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(open) = open {
            parts.push((start + open, start + before_line_end(body, open, at)));
        }
        // Parts past the limit have no rows: a body of delimiters alone must not fill memory with their places.
        if last || parts.len() >= max {
            return parts;
        }
        open = Some(line);
        from = line;
    }
    // No closing delimiter: the last part goes to the end.
    if let Some(open) = open {
        parts.push((start + open, end));
    }
    parts
}

fn before_line_end(body: &[u8], open: usize, at: usize) -> usize {
    let part = body.get(open..at).unwrap_or_default();
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    let part = part.strip_suffix(b"\r").unwrap_or(part);
    open + part.len()
}

fn blank_line(block: &[u8]) -> Option<&[u8]> {
    ["\r\n\r\n", "\n\r\n", "\n\n"]
        .into_iter()
        .find(|end| block.ends_with(end.as_bytes()))
        .map(|end| if end.ends_with("\r\n") { &b"\r\n"[..] } else { &b"\n"[..] })
}
