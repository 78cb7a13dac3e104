//! SMTP sessions: mail from other servers (MX), submission, LMTP.
//!
//! It never opens a file, reads no clock of its own and decides nothing about who may do what (the gate does). Its one
//! promise: `250` after a message leaves only with a [`pli_store::Durable`] in hand.
//!
//! Standards: RFC 5321, 2033 (LMTP), 3463 (status codes), 4616 and 4954 (AUTH), 6409 (submission), and the extensions of
//! [`extension`].
//!
//! Read [`dialogue`] first (a session as a pure state machine: bytes in, replies and questions out), then `shell` (the
//! connection around it), then `transaction` (what the questions ask of the gate and the store), then `trace` (what is
//! put in front of a message, and what submission repairs). What a session answers when is in `docs/smtp.md`.

mod authenticate;
mod budget;
pub mod command;
mod config;
mod data;
pub mod dialogue;
mod envelope;
pub mod extension;
mod limits;
mod parameter;
mod path;
pub mod reply;
mod service;
mod shell;
mod trace;
mod transaction;

pub use authenticate::Checks;
pub use config::SmtpConfig;
pub use path::ForwardPath;
pub use service::{Role, SmtpService};
