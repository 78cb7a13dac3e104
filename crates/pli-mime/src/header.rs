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
///
/// RFC 7103 §7.2: a line that is no field and continues none may be a slip within the header, or the body of a message
/// whose blank line was lost. It is a slip if a field that mail has follows before the next blank line.
#[must_use]
pub fn header_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    // A field is known to begin here: what stands before it needs no other look ahead, so that time stays linear.
    let mut sure = 0;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = bytes.get(at..end).unwrap_or_default();
        if is_blank(line) {
            return end;
        }
        if at >= sure && !belongs(line, at) {
            match field_ahead(bytes, end) {
                Some(found) => sure = found,
                None => return at,
            }
        }
        at = end;
    }
    at
}

/// Whether a line can stand in a header: a field, the continuation of one, or what an mbox puts first.
fn belongs(line: &[u8], at: usize) -> bool {
    match line.first() {
        Some(b' ' | b'\t') => at > 0,
        _ if at == 0 && (line.starts_with(b"From ") || line.starts_with(b">From ")) => true,
        _ => colon(line).is_some(),
    }
}

/// Where the next line begins that is a field of mail, before a blank line.
fn field_ahead(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = bytes.get(at..end).unwrap_or_default();
        if is_blank(line) {
            return None;
        }
        let name = colon(line).and_then(|colon| line.get(..colon)).unwrap_or_default().trim_ascii_end();
        if is_of_mail(name) {
            return Some(at);
        }
        at = end;
    }
    None
}

/// Names that a body's own lines (`Note: …`) hardly begin with.
fn is_of_mail(name: &[u8]) -> bool {
    let starts = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            && name.len() > prefix.len()
    };
    ["x-", "content-", "arc-", "list-", "resent-"].into_iter().any(starts)
        || ["received", "dkim-signature", "authentication-results", "user-agent", "thread-index", "thread-topic"]
            .into_iter()
            .chain(KEPT_NAMES)
            .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Where a field's colon is; `None` if these bytes begin no field.
fn colon(raw: &[u8]) -> Option<usize> {
    let colon = memchr(b':', raw)?;
    // No field's value begins so, and lines of bodies do: `https://…`.
    let link = raw.get(colon + 1..colon + 3) == Some(b"//");
    (!link && name_is_plain(raw.get(..colon)?)).then_some(colon)
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
        let (name, value) = match colon(raw) {
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

    fn body(message: &str) -> &str {
        message.get(header_end(message.as_bytes())..).unwrap()
    }

    #[test]
    fn a_body_begins_where_its_blank_line_was_lost() {
        // Scripts and devices: the text follows the last field at once.
        assert_eq!(body("From: a@b\r\nSubject: x\r\nHello,\r\n\r\ntext\r\n"), "Hello,\r\n\r\ntext\r\n");
        assert_eq!(body("Subject: x\n<html><body>\n<p style=\"a: b\">\n"), "<html><body>\n<p style=\"a: b\">\n");
        assert_eq!(body("Subject: x\r\nHello,\r\nNote: y\r\n\r\nz"), "Hello,\r\nNote: y\r\n\r\nz");
        assert_eq!(body("Subject: x\r\nhttps://example.org/\r\n"), "https://example.org/\r\n");
        assert_eq!(body("Subject: x\r\nDear all: we meet\r\n"), "Dear all: we meet\r\n");
        // No header at all, and a part right below its delimiter.
        assert_eq!(body("just text\r\nin lines\r\n\r\nmore"), "just text\r\nin lines\r\n\r\nmore");
        assert_eq!(body("  indented\r\ntext"), "  indented\r\ntext");
        assert_eq!(body("\0\0\u{1}"), "\0\0\u{1}");
    }

    #[test]
    fn a_slip_within_a_header_does_not_end_it() {
        assert_eq!(body("Subject: x\r\nFolded badly\r\nTo: a@b\r\n\r\ntext"), "text");
        assert_eq!(body("Received: by x\r\nid 7;\r\n Mon\r\nand more\r\nMIME-Version: 1.0\r\n\r\ntext"), "text");
        assert_eq!(body("From me@x Mon Jan  1\r\nNote: y\r\n\r\ntext"), "text");
        assert_eq!(body(">From me@x Mon Jan  1\r\n\r\ntext"), "text");
        assert_eq!(body("junk\r\nX-A: y\r\n\r\ntext"), "text");
        // A header that ends with the message is whole.
        assert_eq!(body("Subject: x\r\n folded\r\n"), "");
    }

    #[test]
    fn slips_without_end_take_linear_time() {
        let mut raw = b"Subject: x\n".to_vec();
        raw.extend(b"a\n".repeat(500_000));
        let lost = raw.clone();
        raw.extend_from_slice(b"To: b\n\n");
        assert_eq!((header_end(&raw), header_end(&lost)), (raw.len(), 11));
    }
}
