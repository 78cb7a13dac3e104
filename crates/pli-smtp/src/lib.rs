//! SMTP sessions: mail from other servers (MX), submission, LMTP.
//!
//! It never opens a file, reads no clock of its own and decides nothing about who may do what (the gate does). Its one
//! promise: `250` after a message leaves only with a [`pli_store::Durable`] in hand.
//!
//! Standards: RFC 5321, 1870 (SIZE), 2033 (LMTP), 2034 (ENHANCEDSTATUSCODES), 2920 (PIPELINING), 3030 (CHUNKING), 3207
//! (STARTTLS), 4616 and 4954 (AUTH), 6152 (8BITMIME), 6409 (submission), 6531 (SMTPUTF8).
//!
//! Read [`dialogue`] first (a session as a pure state machine: bytes in, replies and questions out), then `shell` (the
//! connection around it), then `transaction` (what the questions ask of the gate and the store), then `trace` (what is
//! put in front of a message, and what submission repairs). What a session answers when is in `docs/smtp.md`.

mod budget;
pub mod command;
mod config;
mod data;
pub mod dialogue;
mod limits;
mod path;
pub mod reply;
mod service;
mod shell;
mod trace;
mod transaction;

pub use config::SmtpConfig;
pub use path::ForwardPath;
pub use service::{Role, SmtpService};
