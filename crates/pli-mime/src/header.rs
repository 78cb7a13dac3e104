//! Header blocks: where they end, and the fields in them.

use std::borrow::Cow;

use memchr::memchr;

use crate::decode::decode_words;

/// Fields kept of a top header that is too large to be kept whole: what clients ask for in listings.
pub(crate) const KEPT_NAMES: [&str; 30] = [
    "auto-submitted",
    "bcc",
    "cc",
    "content-language",
    "content-transfer-encoding",
    "content-type",
    "date",
    "delivered-to",
    "from",
    "importance",
    "in-reply-to",
    "list-archive",
    "list-help",
    "list-id",
    "list-post",
    "list-subscribe",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "message-id",
    "mime-version",
    "newsgroups",
    "precedence",
    "priority",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "x-priority",
];

/// One field as it stands in a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The name, without blanks around it. Empty for a line that is no field.
    pub name: &'a [u8],
    /// What follows the colon, folding and last line end included.
    pub value: &'a [u8],
    /// The whole field.
    pub raw: &'a [u8],
    /// Where the field begins in the block.
    pub start: usize,
}

impl HeaderField<'_> {
    /// Whether the name is this one, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        !self.name.is_empty() && self.name.eq_ignore_ascii_case(name.as_bytes())
    }
    pub(crate) fn is_kept(&self) -> bool {
        KEPT_NAMES.iter().any(|name| self.is(name))
    }
}

/// Whether fields of this name are kept of every top header of which anything is.
pub(crate) fn is_kept_name(name: &str) -> bool {
    KEPT_NAMES.iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

/// Where the line that starts at `from` ends, line feed included.
pub(crate) fn line_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr(b'\n', rest).map_or(bytes.len(), |at| from + at + 1)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n" | b"\r" | b"")
}

/// The length of the header block at the start of `bytes`, with its blank line; all of it if there is none.
#[must_use]
pub fn header_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = bytes.get(at..end).unwrap_or_default();
        at = end;
        if is_blank(line) {
            break;
        }
    }
    at
}

/// The fields of a header block. A line without a colon that continues nothing is a field without a name.
pub fn header_fields(block: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= block.len() {
            return None;
        }
        let start = at;
        let mut end = line_end(block, at);
        if is_blank(block.get(start..end).unwrap_or_default()) {
            return None;
        }
        // RFC 5322 §2.2.3: a line that starts with a blank goes on with the one before.
        while matches!(block.get(end), Some(b' ' | b'\t')) {
            end = line_end(block, end);
        }
        at = end;
        let raw = block.get(start..end).unwrap_or_default();
        let colon = memchr(b':', raw).filter(|colon| name_is_plain(raw.get(..*colon).unwrap_or_default()));
        let (name, value) = match colon {
            Some(colon) => {
                (raw.get(..colon).unwrap_or_default().trim_ascii(), raw.get(colon + 1..).unwrap_or_default())
            }
            None => (&[][..], raw),
        };
        Some(HeaderField { name, value, raw, start })
    })
}

/// RFC 5322 §2.2: printable ASCII without the colon; blanks before the colon are let through (RFC 7103 §7.1.2).
fn name_is_plain(name: &[u8]) -> bool {
    let name = name.trim_ascii_end();
    !name.is_empty() && name.iter().all(|b| (0x21..=0x7e).contains(b))
}

/// Raw values of all fields of a name.
pub fn header_values<'a>(block: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header_fields(block).filter(move |field| field.is(name)).map(|field| field.value)
}

/// Takes line ends out of a folded value and blanks off its ends. RFC 5322 §2.2.3.
#[must_use]
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if value.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        Cow::Owned(value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect())
    } else {
        Cow::Borrowed(value)
    }
}

/// Values of all fields of a name, unfolded, encoded words decoded.
#[must_use]
pub fn header_decoded(block: &[u8], name: &str) -> Vec<String> {
    header_values(block, name).map(|value| decode_words(&unfold(value))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn fields_fold_and_end() {
        let block = b"Subject: a\r\n b\r\nX : y\nno colon here\r\nTo:\r\n\r\nbody: x\r\n";
        let fields: Vec<_> = header_fields(block).collect();
        let names: Vec<&[u8]> = fields.iter().map(|f| f.name).collect();
        assert_eq!(names, [&b"Subject"[..], b"X", b"", b"To"]);
        assert_eq!(&*unfold(fields.first().unwrap().value), b"a b");
        assert_eq!(header_end(block), block.len() - b"body: x\r\n".len());
    }

    #[test]
    fn a_block_may_have_no_end_or_no_field() {
        assert_eq!(header_end(b"A: b"), 4);
        assert_eq!(header_end(b"\r\nbody"), 2);
        assert_eq!(header_end(b""), 0);
        assert_eq!(header_fields(b"\r\nA: b").count(), 0);
    }
}
