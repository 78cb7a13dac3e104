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

#[cfg(test)]
mod readme {
    use crate::repository;

    /// The table of clients names tests that are there.
    #[test]
    fn the_tests_of_each_client_are_there() {
        let root = repository();
        let text = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
        let table = text.split("## Clients").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        let mut rows = 0;
        for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")) {
            let Some(shown) = line.split(" | ").nth(2).filter(|_| !line.starts_with("| ---")) else { continue };
            rows += 1;
            let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
            let mut functions = Vec::new();
            for name in names {
                if name.ends_with(".rs") {
                    let source = std::fs::read_to_string(root.join(name)).unwrap_or_else(|_| panic!("no {name}"));
                    for function in functions.drain(..) {
                        assert!(source.contains(&format!("fn {function}(")), "no {function} in {name}");
                    }
                } else if name.contains('/') {
                    assert!(root.join("tests/transcripts").join(name).with_extension("txt").exists(), "no {name}");
                } else {
                    functions.push(name);
                }
            }
            assert!(functions.is_empty(), "no file for {functions:?}");
        }
        assert_eq!(rows, 32);
    }
}
