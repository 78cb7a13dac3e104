//! What SEARCH looks at: headers and texts decoded to UTF-8, compared without case.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::decode::{charset_to_utf8, decode_words, transfer_decode};
use crate::header::{header_fields, unfold};
use crate::preview::html_to_text;
use crate::summary::{PartKind, PartRef, Summary};

/// Where a piece of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchField {
    /// A field of the message's header, name and value.
    Header,
    /// A field of a part's header, or of an enclosed message's.
    PartHeader,
    /// The decoded text of a part.
    Text,
    /// The name of an attachment.
    AttachmentName,
}

/// Gives each piece of searchable text in turn, decoded; stops when `found` says true, and returns that.
pub fn searchable(raw: &[u8], summary: &Summary, found: &mut dyn FnMut(SearchField, &str) -> bool) -> bool {
    for part in summary.parts() {
        let place = if part.index == 0 { SearchField::Header } else { SearchField::PartHeader };
        for field in header_fields(part.header_range().slice(raw)) {
            let name = String::from_utf8_lossy(field.name);
            let text = format!("{name}: {}", decode_words(&unfold(field.value)));
            if found(place, &text) {
                return true;
            }
        }
        if part.kind() == PartKind::Leaf && is_text(part) && found(SearchField::Text, &text_of(raw, part)) {
            return true;
        }
    }
    summary.attachment_names().any(|name| !name.is_empty() && found(SearchField::AttachmentName, name))
}

/// Text parts, and what is wrongly called something else is not searched.
fn is_text(part: PartRef<'_>) -> bool {
    part.media_type().eq_ignore_ascii_case(b"text") || part.media_type().eq_ignore_ascii_case(b"message")
}

fn text_of(raw: &[u8], part: PartRef<'_>) -> String {
    let bytes = transfer_decode(part.body_range().slice(raw), part.encoding());
    let text = charset_to_utf8(part.charset().as_deref(), &bytes);
    if part.is("text", "html") { html_to_text(&text) } else { text.into_owned() }
}

/// The form in which texts are compared: lower case, canonical composition. RFC 5051's effect for what people type.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// The same without accents: `été` is `ete`.
#[must_use]
pub fn fold_fuzzy(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// Whether `text` contains what was folded before.
#[must_use]
pub fn contains_folded(text: &str, folded_needle: &str) -> bool {
    if folded_needle.is_empty() {
        return true;
    }
    memchr::memmem::find(fold(text).as_bytes(), folded_needle.as_bytes()).is_some()
}
