//! IMAP4rev2 and IMAP4rev1 sessions.
//!
//! One job: turn the commands of `pli-imap-proto` into calls of the gate and the store, and what they answer into
//! responses, exactly as RFC 9051 and RFC 3501 say. It knows no bytes of the grammar, opens no file, reads no clock
//! but the one it is given, and touches no mail without a permit of the gate.
//!
//! Standards: RFC 9051, RFC 3501 and the extensions in [`table`].
//!
//! Entry: [`ImapService::serve`]. Read [`table`] (every command with its states and its actions), `session` (the
//! loop), `picture` (what a session is told of a mailbox, and when), then a file of `command`.
//!
//! Invariants:
//! - a session's picture of a mailbox is a snapshot; message numbers change only by what was sent;
//! - EXPUNGE is never sent during FETCH, STORE or SEARCH, nor outside a command (RFC 9051 §7.5.1);
//! - a command uses no action at the gate that its row in the table does not name;
//! - a message that does not open is served as a placeholder; it ends no session and hides no other message;
//! - what is kept ready of an account (`listing`) goes with its last session;
//! - a session that waits holds neither input nor output buffer.

mod answer;
mod budget;
mod collate;
mod command;
mod config;
mod context;
mod deflate;
pub mod extension;
mod fail;
mod filter;
mod filters;
mod indexing;
mod language;
pub mod limits;
mod listing;
mod message;
mod notify;
mod others;
mod past;
mod pick;
mod picture;
mod placeholder;
pub mod quirks;
mod records;
mod saved;
mod search;
mod service;
mod session;
mod state;
mod subject;
pub mod table;
mod threading;
mod uid_only;
mod url;
mod wire;

pub use config::ImapConfig;
pub use past::{moment_label, parse_moment};
pub use quirks::Quirk;
pub use service::{ImapService, Peer, Security};
pub use table::{ROWS, Row};
