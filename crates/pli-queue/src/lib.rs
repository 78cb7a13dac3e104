//! Outbound mail: takes due rows of the queue, delivers them by MX, and commits each outcome.
//!
//! It opens no file, reads no clock (time comes through `pli-io`) and decides nothing about who may send: a row is in
//! the queue because the gate admitted it. Its one guarantee: a row leaves the queue only in the commit that records
//! how it ended, and a bounce is in the same commit as the end of the rows it is about.
//!
//! Read [`QueueRunner::run`], then `transaction` (the SMTP dialogue), then `docs/design/queue.md`.

mod bounce;
mod config;
mod deliver;
mod outcome;
mod parameters;
mod runner;
mod schedule;
mod transaction;

pub use config::QueueConfig;
pub use outcome::Outcome;
pub use parameters::{Notify, Parameters, Return, from_xtext, xtext};
pub use runner::QueueRunner;
pub use schedule::next_attempt;
