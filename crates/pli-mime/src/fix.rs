//! What submission looks at and mends in a header. RFC 6409 §8.

use crate::address::{MailAddress, addresses};
use crate::header::{header_end, header_fields, header_values};

/// Whether the message's header has a field of the name.
#[must_use]
pub fn has_header(raw: &[u8], name: &str) -> bool {
    header_values(header_block(raw), name).next().is_some()
}

/// How often the header has a field of the name.
#[must_use]
pub fn count_header(raw: &[u8], name: &str) -> usize {
    header_values(header_block(raw), name).count()
}

/// All addresses of all fields of a name, at most `max`; groups' starts and ends left out.
#[must_use]
pub fn header_addresses(raw: &[u8], name: &str, max: usize) -> Vec<MailAddress> {
    header_values(header_block(raw), name)
        .flat_map(|value| addresses(value, max))
        .filter(|address| address.host.is_some())
        .take(max)
        .collect()
}

/// The message without the fields of a name; every other byte as it was.
#[must_use]
pub fn remove_header(raw: &[u8], name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut copied = 0;
    for field in header_fields(header_block(raw)) {
        if field.is(name) {
            out.extend_from_slice(raw.get(copied..field.start).unwrap_or_default());
            copied = field.start + field.raw.len();
        }
    }
    out.extend_from_slice(raw.get(copied..).unwrap_or_default());
    out
}

/// The header block with its blank line.
#[must_use]
pub fn header_block(raw: &[u8]) -> &[u8] {
    raw.get(..header_end(raw)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_and_the_rest_stays() {
        let raw = b"From: a@b\r\nBCC: x@y,\r\n z@y\r\nbcc : q@r\r\nTo: c@d\r\n\r\nBcc: body\r\n";
        assert_eq!(remove_header(raw, "Bcc"), b"From: a@b\r\nTo: c@d\r\n\r\nBcc: body\r\n");
        assert!(has_header(raw, "to") && !has_header(raw, "date"));
        assert_eq!(header_addresses(raw, "bcc", 10).len(), 3);
    }
}
