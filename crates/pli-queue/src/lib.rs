//! Outbound mail: takes due rows of the queue, delivers them by MX, and commits each outcome.
//!
//! It opens no file, reads no clock (time comes through `pli-io`) and decides nothing about who may send: a row is in
//! the queue because the gate admitted it. Its one guarantee: a row leaves the queue only in the commit that records
//! how it ended, and a bounce is in the same commit as the end of the rows it is about.
//!
//! Read [`QueueRunner::run`], then `plan` (what is tried when), `deliver` and `transaction` (the SMTP dialogue), `settle`
//! (what is committed) and `report` (RFC 3464), then `docs/design/queue.md`.

mod config;
mod deliver;
mod hosts;
mod networks;
mod outcome;
mod plan;
mod report;
mod runner;
mod schedule;
mod settle;
mod transaction;

pub use config::{HostConfig, HostTls, Password, QueueConfig, SenderConfig};
pub use networks::is_network;
pub use outcome::{Outcome, Reason, Taken};
pub use plan::DestinationState;
pub use report::{About, Report, Told};
pub use runner::{QueueRunner, RowState};
pub use schedule::next_attempt;
