//! A message's bytes → its [`Summary`]: envelope, part tree with byte offsets, header fields, preview.
//!
//! One job: read hostile bytes once, and answer everything a mail client asks about a message from what was
//! learnt: ENVELOPE, BODYSTRUCTURE, `BODY[…]` ranges, header subsets, searchable text. It also holds the small
//! helpers that submission needs to look at and repair a header ([`fix`]).
//!
//! It deliberately knows no store, no clock, no sockets and no IMAP commands; it changes no byte of a message
//! (only [`fix::remove_header`] and [`binary_to_base64`] do, on request).
//!
//! Standards: RFC 5322, 2045, 2046, 2047, 2183, 2231, 9051 §6.4.5.1 and §7.5.2, 8970 (preview), leniency after
//! RFC 7103.
//!
//! Entry: [`summarise`]. Invariants:
//! - it never fails and never panics, whatever the bytes; time and memory are bounded by [`Limits`];
//! - every range lies in its parent's body range, siblings do not overlap;
//! - a multipart has at least one child, a message part exactly one (else it is shown as a leaf);
//! - what [`write_envelope`] and [`write_body`] print is valid IMAP for every summary, decoded ones included.

mod address;
mod binary;
mod codec;
mod date;
mod decode;
pub mod fix;
mod header;
mod limits;
mod param;
mod preview;
mod print;
mod scan;
mod search;
mod section;
mod summary;
mod utf7;

pub use address::{MailAddress, addresses};
pub use binary::binary_to_base64;
pub use codec::{DecodeError, FORMAT_VERSION};
pub use date::parse_date;
pub use decode::{charset_to_utf8, decode_words, transfer_decode};
pub use header::{HeaderField, header_decoded, header_end, header_fields, header_values, unfold};
pub use limits::Limits;
pub use preview::html_to_text;
pub use print::{write_body, write_envelope, write_nstring, write_string};
pub use scan::summarise;
pub use search::{SearchField, contains_folded, fold, fold_fuzzy, searchable};
pub use section::{
    Section, SectionKind, SectionPath, SectionSource, filter_header, section, section_in_summary, section_range,
};
pub use summary::{AddressRef, ByteRange, EnvelopeRef, PartKind, PartRef, Summary};
