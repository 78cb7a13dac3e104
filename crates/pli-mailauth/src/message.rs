//! A message as signatures see it: header fields in order, byte for byte, and the body.

use memchr::{memchr, memmem};

/// Fields looked at; a header of more is no person's.
const FIELDS_MAX: usize = 2000;

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Up to the colon, as it stands.
    pub name: &'a [u8],
    /// Name, value and CRLF, as they stand.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether it has this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }
    /// What stands after the colon, with folding and the last CRLF.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.raw.get(self.name.len() + 1..).unwrap_or_default()
    }
    /// The value on one line, blanks around it gone; `None` if it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = std::str::from_utf8(self.value()).ok()?;
        Some(text.replace(['\r', '\n'], "").trim().to_owned())
    }
}

/// Fields and body.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// In order.
    pub fields: Vec<Field<'a>>,
    /// After the blank line.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes a message apart. A line that is no field ends the header, as a blank line does.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Self {
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut rest = raw;
        while !rest.is_empty() {
            if let Some(body) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
                return Self { fields, body };
            }
            let end = field_end(rest);
            let (field, after) = rest.split_at(end);
            let colon = memchr(b':', field);
            let name = colon.and_then(|at| field.get(..at)).filter(|name| is_name(name));
            let Some(name) = name else { return Self { fields, body: rest } };
            if fields.len() < FIELDS_MAX {
                fields.push(Field { name, raw: field });
            }
            rest = after;
        }
        Self { fields, body: &[] }
    }

    /// Fields of a name, in order.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }
}

/// RFC 5322 §2.2, blanks before the colon let through.
fn is_name(name: &[u8]) -> bool {
    let name = name.trim_ascii_end();
    !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && *b != b':')
}

/// After the line end that no blank follows.
fn field_end(text: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr(b'\n', rest)) {
        from += at + 1;
        if !matches!(text.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    text.len()
}

/// The message without the fields that `goes` says; every other byte as it was.
#[must_use]
pub fn without(raw: &[u8], mut goes: impl FnMut(&Field<'_>) -> bool) -> Vec<u8> {
    let message = Message::parse(raw);
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = 0;
    for field in &message.fields {
        bytes += field.raw.len();
        if !goes(field) {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(raw.get(bytes..).unwrap_or_default());
    out
}

/// Whether a text holds another, both folded to lower case by the caller.
#[must_use]
pub fn holds(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}
