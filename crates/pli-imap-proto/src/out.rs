//! Answers: a writer over a byte buffer with one method for each thing that a server says.
//!
//! The FETCH path uses no formatting machinery and allocates nothing. Strings are written so that every strict
//! client can read them: quoted when that is enough, else a literal.

use pli_types::{ModSeq, UnixMillis};

use crate::chars;
use crate::code::Code;
use crate::command::{CommandError, Tag};
use crate::number::push_number;
use crate::sequence::write_compact;
use crate::utf7;

/// A string up to this length is quoted if its bytes allow; a longer one is a literal.
const QUOTED_BYTES_MAX: usize = 1_000;

/// RFC 9051 §7.1: how a command or the connection fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// OK
    Ok,
    /// NO
    No,
    /// BAD
    Bad,
    /// BYE, only untagged
    Bye,
    /// PREAUTH, only as the greeting
    Preauth,
}

impl Status {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Ok => b"OK ",
            Self::No => b"NO ",
            Self::Bad => b"BAD ",
            Self::Bye => b"BYE ",
            Self::Preauth => b"PREAUTH ",
        }
    }
}

/// Gives a text in another language.
pub type Translator = fn(&str) -> Option<std::borrow::Cow<'static, str>>;

/// The buffer of answers that a session fills and sends.
#[derive(Debug, Default)]
pub struct Out {
    buf: Vec<u8>,
    utf8: bool,
    /// RFC 5255 §3.2: gives the text in the chosen language, where there is one.
    translator: Option<Translator>,
    /// RFC 9586 §3: message numbers are never said.
    pub(crate) uid_only: bool,
    /// The next FETCH item is the first.
    pub(crate) first_item: bool,
}

/// The buffer.
impl Out {
    /// An empty one, without capacity.
    #[must_use]
    pub const fn new() -> Self {
        Self { buf: Vec::new(), utf8: false, translator: None, uid_only: false, first_item: false }
    }
    /// Writes into a buffer that is there, behind what it holds.
    #[must_use]
    pub const fn with_buffer(buf: Vec<u8>) -> Self {
        Self { buf, utf8: false, translator: None, uid_only: false, first_item: false }
    }
    /// RFC 6855 §3, RFC 9051 §6.3.1: after UTF8=ACCEPT or IMAP4rev2 is enabled, names and quoted strings are UTF-8.
    pub const fn set_utf8(&mut self, utf8: bool) {
        self.utf8 = utf8;
    }
    /// RFC 5255 §3.2: from now on texts are in this language, and in UTF-8.
    pub const fn set_translator(&mut self, translator: Option<Translator>) {
        self.translator = translator;
    }
    /// See [`Self::set_utf8`].
    #[must_use]
    pub const fn is_utf8(&self) -> bool {
        self.utf8
    }
    /// RFC 9586 §3: from now on UIDFETCH stands for FETCH.
    pub const fn set_uid_only(&mut self, uid_only: bool) {
        self.uid_only = uid_only;
    }
    /// What is written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }
    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.buf.len()
    }
    /// Nothing written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }
    /// Takes the bytes out; the buffer stays without capacity (an idle session holds none).
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }
    /// Forgets the bytes and keeps the capacity.
    pub fn clear(&mut self) {
        self.buf.clear();
    }
    /// Takes back what was written after the buffer had `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }
    /// The buffer itself, for writers of ENVELOPE and BODYSTRUCTURE.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }
}

/// The pieces.
impl Out {
    /// Bytes as they stand.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }
    /// A number in decimal.
    pub fn number(&mut self, n: u64) {
        push_number(&mut self.buf, n);
    }
    pub(crate) fn space_number(&mut self, n: u64) {
        self.buf.push(b' ');
        push_number(&mut self.buf, n);
    }
    /// End of line.
    pub fn crlf(&mut self) {
        self.raw(b"\r\n");
    }
    pub(crate) fn runs(&mut self, numbers: impl IntoIterator<Item = u32>) {
        write_compact(&mut self.buf, numbers);
    }
    /// RFC 9051 §9 `literal`: `{n}` and the bytes.
    pub fn literal(&mut self, bytes: &[u8]) {
        self.literal_header(bytes.len() as u64);
        self.raw(bytes);
    }
    /// `{n}` and the line end: exactly `bytes` bytes must follow, by [`Self::raw`] or past this buffer.
    pub fn literal_header(&mut self, bytes: u64) {
        self.buf.push(b'{');
        self.number(bytes);
        self.raw(b"}\r\n");
    }
    /// RFC 9051 §9 `literal8`: `~{n}` and the bytes, which may hold NUL.
    pub fn literal8(&mut self, bytes: &[u8]) {
        self.buf.push(b'~');
        self.literal(bytes);
    }
    /// RFC 9051 §9 `string`: quoted or a literal. NUL cannot stand in either and is left out.
    pub fn string(&mut self, bytes: &[u8]) {
        if memchr::memchr(0, bytes).is_some() {
            let clean: Vec<u8> = bytes.iter().copied().filter(|&b| b != 0).collect();
            return self.string(&clean);
        }
        let line_end = memchr::memchr2(b'\r', b'\n', bytes).is_some();
        let quotable = bytes.is_ascii() || self.utf8 && std::str::from_utf8(bytes).is_ok();
        if quotable && !line_end && bytes.len() <= QUOTED_BYTES_MAX {
            self.quoted(bytes);
        } else {
            self.literal(bytes);
        }
    }
    /// Between quotes; the caller knows that no CR, LF or NUL is in it.
    fn quoted(&mut self, bytes: &[u8]) {
        self.buf.push(b'"');
        let mut rest = bytes;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            let (plain, tail) = rest.split_at(at);
            self.raw(plain);
            self.buf.push(b'\\');
            self.buf.extend(tail.first());
            rest = tail.get(1..).unwrap_or_default();
        }
        self.raw(rest);
        self.buf.push(b'"');
    }
    /// RFC 9051 §9 `nstring`: a string or NIL.
    pub fn nstring(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.string(bytes),
            None => self.raw(b"NIL"),
        }
    }
    /// RFC 9051 §9 `astring`: bare if nobody can misread it, else a string.
    pub fn astring(&mut self, bytes: &[u8]) {
        let plain = |&b: &u8| b.is_ascii_alphanumeric() || b"-_./&,+@".contains(&b);
        let bare = !bytes.is_empty() && bytes.len() <= 255 && bytes.iter().all(plain);
        if bare && !bytes.eq_ignore_ascii_case(b"NIL") {
            self.raw(bytes);
        } else {
            self.string(bytes);
        }
    }
    /// A mailbox name, UTF-8 in, spelt as the client wants it.
    pub fn mailbox(&mut self, name: &str) {
        if self.utf8 {
            self.astring(name.as_bytes());
        } else if name.is_ascii() && !name.contains('&') {
            // RFC 3501 §5.1.3: printable ASCII stands for itself; a control character goes through the encoder.
            if name.bytes().any(|b| b.is_ascii_control()) {
                self.astring(utf7::encode(name).as_bytes());
            } else {
                self.astring(name.as_bytes());
            }
        } else {
            self.astring(utf7::encode(name).as_bytes());
        }
    }
    /// An atom or flag; anything else in it is left out, so that no value can break the line.
    pub(crate) fn atom(&mut self, text: &str) {
        let fits = |b: &u8| chars::is_atom_char(*b) || matches!(b, b'\\' | b']');
        self.buf.extend(text.bytes().filter(fits));
    }
}

/// Status answers.
impl Out {
    /// `* OK [CODE] text`: the greeting, BYE, and anything that belongs to no command.
    pub fn untagged(&mut self, status: Status, code: Option<Code<'_>>, text: &str) {
        self.raw(b"* ");
        self.status_line(status, code, text);
    }
    /// `tag OK [CODE] text`.
    pub fn tagged(&mut self, tag: &Tag, status: Status, code: Option<Code<'_>>, text: &str) {
        self.raw(tag.as_str().as_bytes());
        self.buf.push(b' ');
        self.status_line(status, code, text);
    }
    fn status_line(&mut self, status: Status, code: Option<Code<'_>>, text: &str) {
        self.raw(status.name());
        if let Some(code) = code {
            code.write(self);
        }
        self.text(text);
        self.crlf();
    }
    /// RFC 9051 §9 `text`: one character at least and no line end; UTF-8 only where it is enabled.
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return self.raw(b"-");
        }
        let translated = self.translator.and_then(|translator| translator(text));
        let utf8 = self.utf8 || translated.is_some();
        for c in translated.as_deref().unwrap_or(text).chars() {
            if matches!(c, ' '..='~') {
                self.buf.extend(u8::try_from(c));
            } else if utf8 && !c.is_control() {
                self.raw(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                self.buf.push(b'?');
            }
        }
    }
    /// `+ text`: go on (a literal, IDLE). An empty text gives `+ ` and the line end.
    pub fn continuation(&mut self, text: &str) {
        self.raw(b"+ ");
        if !text.is_empty() {
            self.text(text);
        }
        self.crlf();
    }
    /// `+ ` and a SASL challenge in Base64.
    pub fn continuation_base64(&mut self, challenge: &[u8]) {
        use base64::Engine as _;
        self.raw(b"+ ");
        self.raw(base64::engine::general_purpose::STANDARD.encode(challenge).as_bytes());
        self.crlf();
    }
    /// What a line that is no command gets: `* BAD`, `tag BAD` or, for an impossible mailbox name, `tag NO`.
    pub fn command_error(&mut self, error: &CommandError) {
        match error {
            CommandError::NoTag => self.untagged(Status::Bad, None, "A command starts with a tag"),
            CommandError::UnknownCommand { tag } => self.tagged(tag, Status::Bad, None, "Unknown command"),
            CommandError::BadArguments { tag, text } => self.tagged(tag, Status::Bad, None, text),
            CommandError::MailboxName { tag, text, creating } => {
                let code = if *creating { Code::Cannot } else { Code::NonExistent };
                self.tagged(tag, Status::No, Some(code), text);
            }
        }
    }
}

/// Dates.
impl Out {
    /// RFC 9051 §9 `date-time` in UTC, with its quotes. Times outside the years 1 to 9999 are moved to the nearest.
    pub fn date_time(&mut self, at: UnixMillis) {
        crate::date::write_date_time(&mut self.buf, at);
    }
    /// A mod-sequence between parentheses, ` (MODSEQ n)`.
    pub(crate) fn modseq_list(&mut self, modseq: ModSeq) {
        self.raw(b" (MODSEQ ");
        self.number(modseq.get());
        self.buf.push(b')');
    }
}
