//! The search index of one account's mail, without its storage: words, segments, queries.
//!
//! A *segment* is a run of bytes made once from some messages and never changed: which messages it covers, every word
//! in them (as IMAP SEARCH folds texts: lower case, NFKC), and for each word which messages hold it and in which fields.
//! Words stand beside each other as plain text in chunks of 64 KiB, so that a substring is looked for in all of them with
//! one pass; a filter says which chunks cannot have it.
//! [`search`] answers exactly what a look into every message would answer, or says for which messages it cannot;
//! [`rank`] finds by stems and without accents, best first. Small segments are [`merge`]d into larger ones.
//!
//! It does no I/O: a segment's first part ([`Front`]) is given as bytes, all else is read through [`Postings`].
//!
//! Read `docs/design/search.md`, then [`Builder`], [`Front`], [`search`].

mod build;
mod chunk;
mod codec;
mod docs;
mod encode;
mod field;
mod filter;
mod front;
mod look;
mod merge;
mod query;
mod rank;
mod words;

pub use build::{Builder, Refused};
pub use chunk::CHUNK_BYTES;
pub use docs::DocSet;
pub use field::Field;
pub use front::{Damaged, Front, Postings, front_bytes};
pub use merge::{Merged, merge};
pub use query::{Outcome, search};
pub use rank::{Query, Scored, rank};

/// What makes the same segment of the same messages: raised when folding, decoding, cutting or the bytes change. Segments
/// of another version are not used, and are made anew.
pub const TEXT_VERSION: u32 = 2;

/// Bytes of one segment: more is not merged into one.
pub const SEGMENT_BYTES_MAX: usize = 96 << 20;
