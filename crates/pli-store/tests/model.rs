//! Random commands against a plain model, with crashes, failed calls and new starts in between: thousands of cases over
//! the index in memory on a simulated disk, and some over each index on the real one. A failure prints its seed:
//! `PLI_MODEL_SEED=n` runs that case alone, `PLI_MODEL_CASES=n` that many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod plain;
mod world;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plain::Twin;
use pli_io::sim::{CallFailure, SimDisk};
use pli_store::*;
use world::*;

/// What may become of one call in a life of the store.
const FAILURES: [CallFailure; 5] = [
    CallFailure::Crash,
    CallFailure::Crash,
    CallFailure::Error(ErrorKind::Other),
    CallFailure::Error(ErrorKind::StorageFull),
    CallFailure::Error(ErrorKind::ReadOnlyFilesystem),
];

/// The store is opened again; what fails once does not fail a second time.
fn reopen(world: &World, disk: &SimDisk) -> Open {
    let mut errors = Vec::new();
    for _ in 0..4 {
        match Store::open(world.options()) {
            Ok(open) => {
                disk.heal();
                return Open::new(open);
            }
            Err(error) => errors.push(format!("{error} (after a failed {:?})", disk.struck())),
        }
        assert!(disk.struck().is_some(), "opening failed: {errors:?}");
        if disk.has_crashed() {
            disk.restart();
        }
    }
    panic!("the store does not open: {errors:?}");
}

/// One case on the simulated disk: three lives, each ended by a crash, a failed call or in order.
async fn on_a_bad_disk(seed: u64, start: &World) {
    let world = start.fork(seed);
    let disk = world.disk.clone().unwrap();
    let mut open = world.open();
    let mut twin = Twin::new(seed, &world, &open).await;
    let segment_bytes_max = [256 << 20, 8 << 10, 40 << 10][seed as usize % 3];
    let window = Duration::from_secs([30 * 86_400, 0, 3][seed as usize / 3 % 3]);
    open.store.set_retention(window);
    for _ in 0..3 {
        open.store.set_segment_bytes_max(segment_bytes_max);
        if twin.random.below(4) != 0 {
            let failure = FAILURES[twin.random.below(FAILURES.len() as u64) as usize];
            disk.fail_call(twin.random.below(60), failure);
        }
        let mut unanswered = None;
        for _ in 0..twin.random.below(12) {
            world.clock.advance(Duration::from_millis(1 + twin.random.below(700)));
            let command = twin.plan(&open);
            tracing::info!(?command);
            match twin.run(&open, &command).await {
                Ok(()) => {}
                Err(StoreError::DiskFull) => assert!(disk.struck().is_some(), "no room for {command:?}"),
                Err(error) => {
                    tracing::info!(%error, ?command, struck = ?disk.struck(), "no answer");
                    assert!(disk.struck().is_some(), "{command:?}: {error}");
                    unanswered = Some(command);
                    break;
                }
            }
        }
        if twin.random.below(3) == 0 {
            open.store.close();
        }
        // Power goes at any end but some, so that what only the page cache had is lost.
        let lost = twin.random.below(4) != 0;
        if lost {
            disk.crash();
        }
        drop(open);
        if disk.has_crashed() {
            disk.restart();
        }
        if twin.random.below(3) == 0 {
            let failure = FAILURES[twin.random.below(FAILURES.len() as u64) as usize];
            disk.fail_call(twin.random.below(40), failure);
        }
        tracing::info!(lost, struck = ?disk.struck(), "a new start");
        open = reopen(&world, &disk);
        open.store.set_retention(window);
        twin.compare(&open, unanswered.as_ref());
        if twin.random.below(4) == 0 {
            twin.compare_past(&open).await;
        }
    }
}

/// One case on the real disk: new starts only.
async fn on_the_real_disk(seed: u64, index: IndexEngine) {
    let world = World::real(index);
    let mut open = world.create();
    let mut twin = Twin::new(seed, &world, &open).await;
    for _ in 0..4 {
        for _ in 0..twin.random.below(25) {
            world.clock.advance(Duration::from_millis(1 + twin.random.below(700)));
            let command = twin.plan(&open);
            twin.run(&open, &command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        }
        if twin.random.below(2) == 0 {
            twin.compare(&open, None);
            twin.compare_past(&open).await;
        }
        drop(open);
        open = world.open();
        twin.compare(&open, None);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn the_store_is_its_model_whatever_the_disk_does() {
    let seeds = match number("PLI_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_MODEL_CASES").unwrap_or(1000),
    };
    if number("PLI_MODEL_SEED").is_some() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    }
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                // The accounts' keys cost more than the rest of a case: they are made once.
                let start = World::sim(seeds.start, keystore());
                runtime.block_on(async { drop(Twin::new(0, &start, &start.create()).await) });
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let running = Seed(seed);
                    runtime.block_on(on_a_bad_disk(seed, &start));
                    drop(running);
                }
            });
        }
    });
    let done = plain::done();
    println!("segments dropped, bodies moved and purged, messages restored, moments compared: {done:?}");
    assert!(seeds.end - seeds.start < 500 || done.iter().all(|count| *count > 0), "{done:?}");
}

#[test]
fn the_store_is_its_model_over_every_index() {
    let seeds = match number("PLI_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_MODEL_CASES").unwrap_or(1000) / 100,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for seed in seeds {
        for index in ENGINES {
            let running = Seed(seed);
            runtime.block_on(on_the_real_disk(seed, index));
            drop(running);
        }
    }
}

/// Tells the line that replays a failure.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: PLI_MODEL_SEED={} cargo test -p pli-store --test model", self.0);
        }
    }
}
