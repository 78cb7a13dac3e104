//! Bytes to whole commands, in whatever pieces they come.
//!
//! The framer knows lines and literals and nothing else. The session keeps the read buffer; the framer copies only
//! what it must hold until a command is whole, and holds nothing between commands. The message of APPEND never
//! passes through its buffer: the session gets it piece by piece out of its own read buffer.
//!
//! Loop: `while let Some(event) = framer.next(&mut input) { .. }`, then read more. After [`Event::AppendLiteral`] the
//! session must call [`Framer::stream`], [`Framer::collect`] or [`Framer::refuse`] before the next call.

use std::borrow::Cow;

use crate::command::Tag;
use crate::limits::{
    COMMAND_BYTES_MAX, LITERAL_BYTES_MAX, LITERALS_BYTES_MAX, LITERALS_COUNT_MAX, NARROW_BYTES_MAX, RAW_LINE_BYTES_MAX,
};
use crate::number::parse_u64;

/// Longest `~{n+}`; more digits are no literal.
const MARKER_BYTES_MAX: usize = 24;

/// What the framer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// A whole command without its line end; collected literals stand in it as `{n}`, CR LF and their bytes.
    Command(Cow<'i, [u8]>),
    /// A synchronising literal within the limits: send `+ ` and a text.
    Continue,
    /// APPEND announces a message. [`Framer::prefix`] has the text so far. For `sync` the client waits for `+ `.
    AppendLiteral(Announced),
    /// A piece of the message that [`Framer::stream`] asked for.
    Stream {
        /// May be empty (with `last`).
        bytes: &'i [u8],
        /// The message is whole.
        last: bool,
    },
    /// The rest of an APPEND after its last streamed message, without the line end: see [`crate::AppendReader::end`].
    AppendEnd(Cow<'i, [u8]>),
    /// The line that [`Framer::expect_line`] asked for, without its end.
    Line(Cow<'i, [u8]>),
    /// A command that is dropped; answer `tag BAD` (`* BAD` without a tag). The framer skips the rest by itself.
    Refused {
        /// If one could be read.
        tag: Option<Tag>,
        /// Why.
        why: Refusal,
    },
}

/// A literal that is about to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its size.
    pub bytes: u64,
    /// `{n}`: the client waits; not `{n+}`.
    pub sync: bool,
    /// `~{n}`: it may hold NUL.
    pub binary: bool,
}

/// Why a command is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Over [`COMMAND_BYTES_MAX`] or [`RAW_LINE_BYTES_MAX`].
    #[error("Line too long")]
    LineTooLong,
    /// RFC 9051 §9 `CHAR8`: NUL is in no text and no plain literal.
    #[error("NUL in command")]
    Nul,
    /// Over [`LITERAL_BYTES_MAX`] or [`LITERALS_BYTES_MAX`]. Answer with TOOBIG; when the client does not wait for
    /// an answer and so many bytes are too many to skip, close with BYE (RFC 7888 §4).
    #[error("Literal too long")]
    LiteralTooLong(Announced),
    /// Over [`LITERALS_COUNT_MAX`].
    #[error("Too many literals")]
    TooManyLiterals,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In the text of a command.
    #[default]
    Text,
    /// In a collected literal.
    Collect { left: u64, binary: bool },
    /// The session has not yet said what to do.
    Asked(Announced),
    /// In a streamed literal.
    Stream { left: u64 },
    /// In a literal that nobody wants.
    SkipLiteral { left: u64 },
    /// In a line that nobody wants; `buf` holds the end of it.
    SkipLine,
    /// In a line of SASL or IDLE.
    Line,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Framer {
    state: State,
    buf: Vec<u8>,
    /// Where in `buf` the text behind the last literal starts: nothing before it can be part of a `{n}`.
    text_start: usize,
    /// Bytes of text of this command, without literals.
    text_bytes: usize,
    literals_count: usize,
    literals_bytes: u64,
    /// Of the APPEND whose message was streamed.
    streamed: Option<Option<Tag>>,
    /// Little is kept: see [`Framer::set_narrow`].
    narrow: bool,
}

/// How far a line goes.
enum Scan<'i> {
    /// All of the input, and the line is not over.
    Open,
    /// Up to a line feed; with all of the line.
    Line(Cow<'i, [u8]>),
    Refused(Refusal),
}

impl Framer {
    /// Between commands, without a buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory that the framer holds; 0 between commands.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.buf.capacity()
    }

    /// Whether nothing of a command has come yet.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Text | State::Line) && self.buf.is_empty() && self.streamed.is_none()
    }

    /// While narrow, a command with its literals is [`NARROW_BYTES_MAX`] at most: before login, when anybody can open
    /// many connections and begin a command on each.
    pub const fn set_narrow(&mut self, narrow: bool) {
        self.narrow = narrow;
    }

    /// After [`Event::AppendLiteral`]: the text so far, with the `{n}` at its end. For a second message of the same
    /// APPEND it is what came after the first.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.buf
    }

    /// The announced message comes as [`Event::Stream`].
    pub fn stream(&mut self) {
        if let State::Asked(announced) = self.state {
            if self.streamed.is_none() {
                self.streamed = Some(read_tag(&self.buf));
            }
            self.buf = Vec::new();
            self.text_bytes = 0;
            self.text_start = 0;
            self.state = State::Stream { left: announced.bytes };
        }
    }

    /// The announced message is taken into the command, whatever its size: the session knows that it is small. All
    /// messages of one APPEND are collected or all are streamed.
    pub fn collect(&mut self) {
        if let State::Asked(announced) = self.state {
            self.begin_collect(announced);
        }
    }

    /// The announced message is not wanted: the session has answered `tag NO` or `tag BAD`. What the client sends
    /// of it all the same is skipped.
    pub fn refuse(&mut self) {
        if let State::Asked(announced) = self.state {
            self.drop_literal(announced);
        }
    }

    /// While a message streams: the rest of it and of its command is not wanted.
    pub fn abandon(&mut self) {
        if let State::Stream { left } = self.state {
            self.reset();
            self.state = State::SkipLiteral { left };
        } else if self.streamed.is_some() && self.state == State::Text {
            let tail = std::mem::take(&mut self.buf);
            self.reset();
            self.skip_line(&tail);
        }
    }

    /// The next line is no command: DONE, or a SASL answer. Only between commands.
    pub const fn expect_line(&mut self) {
        if matches!(self.state, State::Text) && self.buf.is_empty() {
            self.state = State::Line;
        }
    }

    /// Takes back [`Self::expect_line`] if nothing of the line has come.
    pub const fn expect_command(&mut self) {
        if matches!(self.state, State::Line) && self.buf.is_empty() {
            self.state = State::Text;
        }
    }

    /// Takes bytes off the front of `input` up to the next event. `None`: all is taken, more must come.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Option<Event<'i>> {
        loop {
            match self.state {
                State::Asked(_) => self.refuse(),
                State::Stream { left } => return self.next_piece(left, input),
                _ if input.is_empty() => return None,
                State::Text => {
                    let scan = self.scan_line(COMMAND_BYTES_MAX, input);
                    if let Some(event) = self.text(scan) {
                        return Some(event);
                    }
                }
                State::Line => match self.scan_line(RAW_LINE_BYTES_MAX, input) {
                    Scan::Open => {}
                    Scan::Line(line) => {
                        self.reset();
                        return Some(Event::Line(line));
                    }
                    Scan::Refused(why) => return Some(self.refused(None, why)),
                },
                State::Collect { left, binary } => {
                    if let Some(event) = self.collect_piece(left, binary, input) {
                        return Some(event);
                    }
                }
                State::SkipLiteral { left } => {
                    let left = left - take(input, left).len() as u64;
                    self.state = if left == 0 { State::SkipLine } else { State::SkipLiteral { left } };
                }
                State::SkipLine => self.skip_more(input),
            }
        }
    }

    /// Between commands again, without a buffer.
    fn reset(&mut self) {
        *self = Self { narrow: self.narrow, ..Self::default() };
    }

    fn scan_line<'i>(&mut self, bytes_max: usize, input: &mut &'i [u8]) -> Scan<'i> {
        let narrow = if self.narrow { NARROW_BYTES_MAX.saturating_sub(self.buf.len()) } else { usize::MAX };
        let room = bytes_max.saturating_sub(self.text_bytes).min(narrow);
        let found = memchr::memchr2(b'\n', 0, input);
        let end = found.unwrap_or(input.len());
        if end > room {
            let part = take(input, room as u64);
            self.buf.extend_from_slice(part);
            return Scan::Refused(Refusal::LineTooLong);
        }
        let part = take(input, end as u64);
        let Some(stop) = take(input, u64::from(found.is_some())).first() else {
            self.text_bytes += part.len();
            self.buf.extend_from_slice(part);
            return Scan::Open;
        };
        self.text_bytes += part.len();
        if *stop == 0 {
            self.buf.extend_from_slice(part);
            // The NUL ends what may be read of the line's tail too.
            return Scan::Refused(Refusal::Nul);
        }
        if self.buf.is_empty() {
            return Scan::Line(Cow::Borrowed(part.strip_suffix(b"\r").unwrap_or(part)));
        }
        let mut line = std::mem::take(&mut self.buf);
        line.extend_from_slice(part);
        // A CR that a literal ends with is the literal's.
        if line.len() > self.text_start && line.ends_with(b"\r") {
            line.pop();
        }
        Scan::Line(Cow::Owned(line))
    }

    fn text<'i>(&mut self, scan: Scan<'i>) -> Option<Event<'i>> {
        let line = match scan {
            Scan::Open => return None,
            Scan::Refused(why) => {
                let tag = self.tag();
                return Some(self.refused(tag, why));
            }
            Scan::Line(line) => line,
        };
        if let Some(announced) = line.get(self.text_start..).and_then(read_marker) {
            self.buf = line.into_owned();
            return self.announce(announced);
        }
        if self.streamed.is_some() {
            self.reset();
            return Some(Event::AppendEnd(line));
        }
        let blank = self.literals_count == 0 && line.iter().all(|b| matches!(b, b' ' | b'\t'));
        self.reset();
        (!blank).then_some(Event::Command(line))
    }

    /// A literal stands at the end of `buf`.
    fn announce<'i>(&mut self, announced: Announced) -> Option<Event<'i>> {
        if self.streamed.is_some() || is_append_message(&self.buf) {
            self.state = State::Asked(announced);
            return Some(Event::AppendLiteral(announced));
        }
        let total = self.literals_bytes.saturating_add(announced.bytes);
        let held = (self.buf.len() as u64).saturating_add(announced.bytes);
        let too_wide = self.narrow && held > NARROW_BYTES_MAX as u64;
        let why = if announced.bytes > LITERAL_BYTES_MAX || total > LITERALS_BYTES_MAX || too_wide {
            Some(Refusal::LiteralTooLong(announced))
        } else if self.literals_count == LITERALS_COUNT_MAX {
            Some(Refusal::TooManyLiterals)
        } else {
            None
        };
        if let Some(why) = why {
            let tag = self.tag();
            self.drop_literal(announced);
            return Some(Event::Refused { tag, why });
        }
        self.literals_bytes = total;
        self.begin_collect(announced);
        announced.sync.then_some(Event::Continue)
    }

    fn begin_collect(&mut self, announced: Announced) {
        self.literals_count += 1;
        self.buf.extend_from_slice(b"\r\n");
        self.state = State::Collect { left: announced.bytes, binary: announced.binary };
        if announced.bytes == 0 {
            self.end_collect();
        }
    }

    const fn end_collect(&mut self) {
        self.state = State::Text;
        self.text_start = self.buf.len();
    }

    /// RFC 9051 §4.3: a client that waits gives the command up when it is answered NO or BAD; another one sends all.
    fn drop_literal(&mut self, announced: Announced) {
        self.reset();
        if !announced.sync {
            self.state = State::SkipLiteral { left: announced.bytes };
        }
    }

    fn next_piece<'i>(&mut self, left: u64, input: &mut &'i [u8]) -> Option<Event<'i>> {
        if input.is_empty() && left > 0 {
            return None;
        }
        let bytes = take(input, left);
        let left = left - bytes.len() as u64;
        self.state = if left == 0 { State::Text } else { State::Stream { left } };
        Some(Event::Stream { bytes, last: left == 0 })
    }

    fn collect_piece<'i>(&mut self, left: u64, binary: bool, input: &mut &'i [u8]) -> Option<Event<'i>> {
        let piece = take(input, left);
        let left = left - piece.len() as u64;
        if !binary && memchr::memchr(0, piece).is_some() {
            let tag = self.tag();
            self.reset();
            self.state = State::SkipLiteral { left };
            if left == 0 {
                self.state = State::SkipLine;
            }
            return Some(Event::Refused { tag, why: Refusal::Nul });
        }
        self.buf.extend_from_slice(piece);
        self.state = State::Collect { left, binary };
        if left == 0 {
            self.end_collect();
        }
        None
    }

    fn tag(&self) -> Option<Tag> {
        self.streamed.clone().unwrap_or_else(|| read_tag(&self.buf))
    }

    fn refused<'i>(&mut self, tag: Option<Tag>, why: Refusal) -> Event<'i> {
        let buf = std::mem::take(&mut self.buf);
        let tail = if why == Refusal::Nul { None } else { buf.get(self.text_start..) };
        self.reset();
        self.skip_line(tail.unwrap_or_default());
        Event::Refused { tag, why }
    }

    /// The rest of the line that ends with `tail` so far is skipped.
    fn skip_line(&mut self, tail: &[u8]) {
        self.state = State::SkipLine;
        self.keep_tail(tail);
    }

    fn keep_tail(&mut self, more: &[u8]) {
        let keep = MARKER_BYTES_MAX + 1;
        self.buf.extend_from_slice(more.get(more.len().saturating_sub(keep)..).unwrap_or_default());
        let over = self.buf.len().saturating_sub(keep);
        self.buf.drain(..over);
    }

    fn skip_more(&mut self, input: &mut &[u8]) {
        let found = memchr::memchr(b'\n', input);
        let part = take(input, found.unwrap_or(input.len()) as u64);
        self.keep_tail(part);
        if take(input, u64::from(found.is_some())).is_empty() {
            return;
        }
        let line = self.buf.strip_suffix(b"\r").unwrap_or(&self.buf);
        let next = read_marker(line).filter(|a| !a.sync);
        self.reset();
        if let Some(announced) = next {
            self.state = State::SkipLiteral { left: announced.bytes };
        }
    }
}

/// Up to `bytes` bytes off the front.
fn take<'i>(input: &mut &'i [u8], bytes: u64) -> &'i [u8] {
    let at = usize::try_from(bytes).unwrap_or(usize::MAX).min(input.len());
    let (part, rest) = input.split_at_checked(at).unwrap_or((input, &[]));
    *input = rest;
    part
}

/// RFC 9051 §9 `literal`, `literal8`, RFC 7888 §8: `{n}`, `{n+}`, `~{n}` at the end of a line.
fn read_marker(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let window = inner.get(inner.len().saturating_sub(MARKER_BYTES_MAX)..)?;
    let at = memchr::memrchr(b'{', window)?;
    let digits = window.get(at + 1..)?;
    let sync = !digits.ends_with(b"+");
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let binary = window.get(..at)?.ends_with(b"~");
    // A number too large for us is still a number to the client.
    is_number.then(|| Announced { bytes: parse_u64(digits).unwrap_or(u64::MAX), sync, binary })
}

fn read_tag(text: &[u8]) -> Option<Tag> {
    let end = memchr::memchr(b' ', text)?;
    Tag::new(text.get(..end)?)
}

/// Whether the literal at the end of `text` is of an APPEND's (or REPLACE's) messages, and not the mailbox name, which
/// stands first.
fn is_append_message(text: &[u8]) -> bool {
    let next = |text: &mut &[u8]| {
        let rest = text.trim_ascii_start();
        let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end).unwrap_or_default();
        *text = rest;
        word.to_ascii_uppercase()
    };
    let mut rest = text;
    next(&mut rest);
    let mut verb = next(&mut rest);
    if verb == b"UID" {
        verb = next(&mut rest);
        if verb == b"APPEND" {
            return false;
        }
    }
    match verb.as_slice() {
        b"APPEND" => {}
        // RFC 8508 §3.2: the message's number stands before the name.
        b"REPLACE" => drop(next(&mut rest)),
        _ => return false,
    }
    // A name that was a literal has a line end before it.
    let name_is_literal = rest.trim_ascii_start().first() == Some(&b'{');
    !name_is_literal || memchr::memchr(b'\n', rest).is_some()
}
