//! The names of things: ids, counts, flags, addresses, sessions, actions.
//!
//! This crate does no I/O, reads no clock and knows no protocol bytes. Every other crate may use it and it
//! uses none of them. A value of one of these types is valid by construction (parse, don't validate).
//!
//! A newcomer reads [`ids`], then [`Action`] (what a protocol command can do) and [`SessionInfo`] (who asks).

mod action;
mod address;
mod envelope;
mod flags;
pub mod ids;
mod mailbox_name;
mod rights;
mod session;
mod time;
pub mod xtext;

pub use action::Action;
pub use address::{Address, AddressError};
pub use envelope::{DeliverBy, EnvelopeParameters, MailParameters, Notify, RcptParameters, Ret};
pub use flags::{FLAGS_MAX_KEYWORDS, FlagSet, Keyword, KeywordError, SystemFlag};
pub use ids::{AccountId, BodyId, ByteCount, EmailId, MailboxId, ModSeq, QueueId, Uid, UidValidity};
pub use mailbox_name::{MAILBOX_NAME_BYTES_MAX, MailboxName, MailboxNameError, SpecialUse};
pub use rights::{Rights, RightsError};
pub use session::{Actor, Protocol, SessionId, SessionInfo, TlsInfo};
pub use time::UnixMillis;
