//! The preview (RFC 8970), and HTML as text.

use mail_parser::decoders::html;

use crate::decode::{charset_to_utf8, transfer_decode};
use crate::summary::{PartKind, PartRef, Summary};

/// Encoded bytes of a part that a preview looks at.
const PREVIEW_BYTES_MAX: usize = 16 * 1024;

/// Tags, scripts and styles taken out, entities decoded.
#[must_use]
pub fn html_to_text(text: &str) -> String {
    html::html_to_text(text)
}

/// The first characters of the first text part that is no attachment, blanks collapsed.
pub(crate) fn preview(raw: &[u8], summary: &Summary, chars_max: usize) -> String {
    let texts = || summary.parts().filter(|part| is_shown_text(*part));
    // Plain text first: it is what the sender wrote for being read so.
    let part = texts().find(|part| part.is("text", "plain")).or_else(|| texts().next());
    let Some(part) = part else { return String::new() };
    let bytes = part.body_range().slice(raw);
    let bytes = bytes.get(..bytes.len().min(PREVIEW_BYTES_MAX)).unwrap_or_default();
    let decoded = transfer_decode(bytes, part.encoding());
    let text = charset_to_utf8(part.charset().as_deref(), &decoded);
    let text = if part.is("text", "html") { html_to_text(&text).into() } else { text };
    let mut out = String::with_capacity(chars_max);
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if chars > 0 {
            out.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars >= chars_max {
                return out;
            }
            out.push(c);
            chars += 1;
        }
    }
    out
}

fn is_shown_text(part: PartRef<'_>) -> bool {
    part.kind() == PartKind::Leaf
        && part.media_type().eq_ignore_ascii_case(b"text")
        && !part.disposition().is_some_and(|d| d.eq_ignore_ascii_case(b"attachment"))
}
