//! IMAP's grammar: bytes to commands, and answers to bytes.
//!
//! Pure: no runtime, no clock, no sockets. It does not know sessions, capabilities, mailboxes or what a command
//! does; it does not decode MIME or charsets. Standards: RFC 9051 (IMAP4rev2) and RFC 3501 (rev1) with RFC 2342,
//! 2971, 3502, 4314, 4315, 4731, 4959, 4978, 5032, 5161, 5182, 5256, 5258, 5267, 5464, 5530, 5819, 6154, 6203, 6851, 6855, 7162,
//! 7377, 7888, 8438, 8440, 8474, 8514, 8970, 9208, 9394, 9585, 9586, 9590, 9738 and 10022.
//!
//! A newcomer reads [`Framer`] (bytes to whole commands), [`parse`] (a whole command to a [`Command`]) and [`Out`]
//! (answers). Invariants: no input panics; any split of the input gives the same events; every size, depth and count
//! has a limit in [`limits`]; between commands the framer holds no memory; nothing that [`Out`] writes from a text or
//! name can break a line.

mod acl;
mod append;
mod chars;
mod code;
pub mod command;
mod context;
mod create;
mod cursor;
mod date;
mod fetch;
mod filter;
mod framer;
pub mod limits;
mod list;
mod listing;
mod metadata;
mod notify;
mod number;
mod out;
mod out_data;
mod out_fetch;
mod out_search;
mod parse;
mod query;
mod quota;
mod search;
mod select;
mod sequence;
mod sort;
mod status;
mod store;
mod url;
mod urlauth;
pub mod utf7;

pub use append::parse_append_prefix;
pub use code::Code;
pub use command::*;
pub use framer::{Announced, Event, Framer, Refusal};
pub use number::push_number;
pub use out::{Out, Status, Translator};
pub use out_data::{ListAttribute, ListRow, QuotaResource, StatusValue};
pub use out_search::{Change, ESearch};
pub use parse::{decode_base64, parse};
pub use search::parse_search_keys;
pub use sequence::{Bound, Resolved, SequenceSet, write_compact};
pub use url::{Access, ImapUrl, UrlAuth};
