//! POP3 over TLS: a mailbox's messages for old devices and programs that fetch mail.
//!
//! One job: sessions of RFC 1939 over INBOX, as the gate lets them. It deliberately knows no other mailbox, no flags, no
//! files, and no port without TLS: `STLS` and `APOP` are not there.
//!
//! Standards: RFC 1939, RFC 2449 (CAPA, response codes, pipelining), RFC 1734 and RFC 5034 (AUTH), RFC 3206 (codes of
//! failed logins), RFC 8314 (TLS from the first byte, port 995).
//!
//! Entry: [`Pop3Service::serve`]. Invariants:
//! - a mailbox has one session at most; what it lists does not change until it ends;
//! - a message is removed by QUIT alone, all of a session in one commit; however else a session ends, nothing is;
//! - the number that UIDL gives a message is never another's (UIDVALIDITY and UID);
//! - memory of a session is bounded: lines, the list of messages, one piece of a message at a time.

pub mod command;
mod config;
mod dots;
mod limits;
pub mod lines;
mod maildrop;
mod service;
mod session;

pub use config::Pop3Config;
pub use dots::Dots;
pub use limits::{AUTH_LINE_BYTES_MAX, LINE_BYTES_MAX};
pub use service::Pop3Service;
