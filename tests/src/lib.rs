//! The proof from outside: a real `pli` process on its own ports and folder,
//! spoken to in bytes.
//!
//! - [`Instance`]: quickstart, serve, accounts, kill, restart.
//! - [`Wire`]: one connection, in the clear or over TLS, read in protocol units.
//! - [`transcript`] and [`pattern`]: the language of `tests/transcripts/`,
//!   which `tests/README.md` documents.
//! - [`imap`] and [`smtp`]: the few commands that other tests need.
//! - [`picture`]: every answer of a server, to compare with another day's.
//! - [`fixture`]: stores that older programs wrote.
//! - [`corpus`]: varied messages from a seed.
//!
//! This crate knows the product only by its command line, its ports and its
//! files on disk: it uses none of the product's crates, so that no mistake can
//! be made twice and cancel out. (`fuzz.rs` alone calls their parsers.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

pub mod acknowledged;
pub mod corpus;
pub mod dice;
pub mod fixture;
pub mod hostile;
pub mod imap;
mod instance;
pub mod pattern;
pub mod picture;
mod ports;
pub mod smtp;
pub mod transcript;
mod wire;

pub use instance::{Account, Builder, Instance, Ran, moment_name, pli, private, repository, serve_fails};
pub use ports::{Claim, PORTS, Port, free as free_port};
pub use wire::{Dialect, Wire};
