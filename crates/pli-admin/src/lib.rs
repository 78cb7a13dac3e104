//! The admin API: every administrative act as one [`Request`], carried out by one [`AdminService`].
//!
//! The command line speaks it over a unix socket while the server runs, and calls the same service on the opened store
//! when it does not. No policy of its own: each request goes through the gate, under the administrator's Unix user id.
//!
//! On the socket: one request a line as JSON, one [`Reply`] a line back; requests of one connection are answered in
//! order. Long work tells how far it is in lines of its own before the answer; who hangs up breaks it off. Who may connect is decided by the kernel's word (SO_PEERCRED): root, or the user the server runs as.
//!
//! Read [`Request`], then `service`.

mod client;
mod reply;
mod request;
mod service;
mod socket;

pub use client::{CallError, Client};
pub use reply::{ErrorKind, Failure, Reply};
pub use request::{PlainPassword, QueueAct, QueueFilter, QuotaSetting, Request};
pub use service::{AdminService, DEFAULT_MAILBOXES, ServerStatus, Tell};
pub use socket::AdminSocket;
