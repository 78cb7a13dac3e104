//! Two to eight sessions at random on two mailboxes; after every command the picture of the session that gave it, and of
//! each one in IDLE, is compared with the truth. Sessions come back with QRESYNC, with CONDSTORE and with nothing.
//!
//! `PLI_SESSION_RUNS` runs that many seeds, `PLI_SESSION_SEED` one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod commands;
mod picture;
#[path = "../support/mod.rs"]
mod support;
mod truth;
mod world;

use support::server;
use world::World;

/// Runs without being asked for more.
const RUNS: u64 = 12;
/// Commands of a run.
const COMMANDS: usize = 120;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_believes_what_is_true() {
    let seeds = match number("PLI_SESSION_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("PLI_SESSION_RUNS").unwrap_or(RUNS),
    };
    let mut home = server().await;
    let mut commands = 0;
    for seed in seeds.clone() {
        // The store keeps what was expunged: a new one now and then.
        if seed % 500 == 0 {
            home = server().await;
        }
        let mut world = World::new(&home, seed).await;
        for _ in 0..COMMANDS {
            world.step().await;
        }
        world.end().await;
        commands += world.commands;
    }
    println!("{} runs, {commands} commands", seeds.end() - seeds.start() + 1);
}
