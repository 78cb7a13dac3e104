//! Every call that a workload makes of its disk fails once, and every call is once the last before the power goes: the
//! workload is always the same, the call and its failure change. What was answered is there, what was refused is not,
//! what was not answered is there whole or not at all, and the store goes on: at once after a full disk, else after a
//! new start. `PLI_SWEEP=all` tries each failure at each call, else they take turns at every fourth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod plain;
mod world;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plain::{Command, Flags, Twin};
use pli_io::sim::{CallFailure, SimDisk};
use pli_store::*;
use world::*;

/// EIO, ENOSPC, EROFS, EMFILE, and the power.
const FAILURES: [CallFailure; 5] = [
    CallFailure::Error(ErrorKind::Other),
    CallFailure::Error(ErrorKind::StorageFull),
    CallFailure::Error(ErrorKind::ReadOnlyFilesystem),
    CallFailure::Error(ErrorKind::ResourceBusy),
    CallFailure::Crash,
];

enum Step {
    Run(Command),
    /// Closed in order and opened again.
    Reopen,
}

fn deliver(twin: &mut Twin, to: &[usize], remote: usize, bytes: usize) -> Step {
    Step::Run(Command::Deliver { raw: twin.raw(bytes), to: to.to_vec(), remote })
}

fn append(twin: &mut Twin, to: &str, count: usize) -> Step {
    let raws = (0..count).map(|_| twin.raw(400)).collect();
    Step::Run(Command::Append { account: 0, to: to.to_owned(), raws, flags: Flags::from(["work".to_owned()]) })
}

fn deleted(of: &str, uids: &[u32]) -> Step {
    let flags = Flags::from(["\\deleted".to_owned(), "later".to_owned()]);
    Step::Run(Command::Flags { account: 0, of: of.to_owned(), uids: uids.to_vec(), mode: FlagMode::Add, flags })
}

fn copy(from: &str, uids: &[u32], to: &str, moving: bool) -> Step {
    Step::Run(Command::Copy { account: 0, from: from.to_owned(), uids: uids.to_vec(), to: to.to_owned(), moving })
}

/// Each kind of change, snapshots and compactions among them, over many small segments and three starts.
fn script(twin: &mut Twin) -> Vec<Step> {
    let inbox = || "INBOX".to_owned();
    let mut steps = vec![
        deliver(twin, &[0], 0, 900),
        deliver(twin, &[0, 1], 1, 3000),
        append(twin, "Trash", 3),
        deliver(twin, &[0], 0, 500),
        deleted("INBOX", &[1]),
        copy("INBOX", &[2, 3], "Trash", false),
        Step::Run(Command::Expunge { account: 0, of: inbox(), only: None }),
        Step::Run(Command::Create { account: 0, name: "a/b".to_owned() }),
        copy("Trash", &[1, 2], "a/b", true),
        Step::Reopen,
        Step::Run(Command::Read { account: 0, of: inbox() }),
        Step::Run(Command::Rename { account: 0, from: "a".to_owned(), to: "Archive/a".to_owned() }),
        Step::Run(Command::Subscribe { account: 1, name: inbox(), on: true }),
        Step::Run(Command::Snapshot),
        deliver(twin, &[1], 2, 100),
        Step::Run(Command::QueueHold { id: 2, held: true }),
        Step::Run(Command::QueueEnd { id: 1 }),
        Step::Run(Command::Delete { account: 0, name: "Trash".to_owned() }),
        Step::Run(Command::Compact { all: true }),
        deliver(twin, &[0], 0, 80_000),
        Step::Reopen,
        Step::Run(Command::RotateAccount { account: 0 }),
        deleted("INBOX", &[2, 3, 4]),
        Step::Run(Command::Expunge { account: 0, of: inbox(), only: Some(vec![3, 4]) }),
    ];
    let more = [
        Step::Run(Command::Rename { account: 0, from: inbox(), to: "Old".to_owned() }),
        Step::Run(Command::QueueEnd { id: 3 }),
        Step::Run(Command::Compact { all: true }),
        Step::Run(Command::Recalculate { account: 0 }),
    ];
    steps.push(deliver(twin, &[0, 1], 0, 700));
    steps.extend(more);
    steps
}

/// Opens; an opening that the failure hits is tried again, as an administrator would.
fn open(world: &World, disk: &SimDisk) -> Open {
    let mut told = Vec::new();
    for _ in 0..3 {
        match Store::open(world.options()) {
            Ok(opened) => {
                let open = Open::new(opened);
                open.store.set_segment_bytes_max(4 << 10);
                open.store.set_retention(Duration::ZERO);
                return open;
            }
            Err(error) => told.push(error.to_string()),
        }
        assert!(disk.struck().is_some(), "{told:?}");
        if disk.has_crashed() {
            disk.restart();
        }
    }
    panic!("the store does not open: {told:?}");
}

/// The workload with one failure, or none. Returns the calls it took.
async fn run(start: &World, seed: u64, failure: Option<(u64, CallFailure)>) -> u64 {
    let world = start.fork(seed);
    let disk = world.disk.clone().unwrap();
    let first = open(&world, &disk);
    let mut twin = Twin::new(seed, &world, &first).await;
    first.store.close();
    drop(first);
    let steps = script(&mut twin);
    let before = disk.calls();
    if let Some((skip, failure)) = failure {
        disk.fail_call(skip, failure);
    }
    let full = failure.is_some_and(|(_, failure)| failure == CallFailure::Error(ErrorKind::StorageFull));
    let mut at = open(&world, &disk);
    for step in &steps {
        world.clock.advance(Duration::from_millis(300));
        let Step::Run(command) = step else {
            at.store.close();
            drop(at);
            if disk.has_crashed() {
                disk.restart();
            }
            at = open(&world, &disk);
            // A comparison reads everything, and is not what the failure is for.
            if disk.struck().is_some() {
                twin.compare(&at, None);
            }
            continue;
        };
        let struck_before = disk.struck().is_some();
        let Err(error) = twin.run(&at, command).await else { continue };
        let struck = disk.struck().unwrap_or_else(|| panic!("{command:?}: {error}"));
        assert!(!struck_before || disk.has_crashed(), "{command:?} after {struck}: {error}");
        if matches!(error, StoreError::DiskFull) {
            // Nothing happened, and there is room again: the same once more goes well.
            twin.run(&at, command).await.unwrap_or_else(|error| panic!("{command:?} after {struck}: {error}"));
            continue;
        }
        assert!(!(full && struck.starts_with("write /store/segments")), "a full disk stopped the store: {error}");
        drop(at);
        if disk.has_crashed() {
            disk.restart();
        }
        at = open(&world, &disk);
        twin.compare(&at, Some(command));
    }
    let calls = disk.calls() - before;
    twin.compare(&at, None);
    // What was answered is on the disk.
    disk.crash();
    drop(at);
    disk.restart();
    twin.compare(&open(&world, &disk), None);
    calls
}

#[test]
fn any_call_fails_once() {
    let all = std::env::var("PLI_SWEEP").is_ok_and(|text| text == "all");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let start = World::sim(1, keystore());
    let calls = runtime().block_on(async {
        drop(Twin::new(0, &start, &start.create()).await);
        run(&start, 1, None).await
    });
    assert!(calls > 100, "{calls}");
    assert!(plain::done()[..2].iter().all(|count| *count > 0), "nothing was compacted: {:?}", plain::done());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = runtime();
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let (call, kind) = if all { (number / 5, number % 5) } else { (number * 4, number % 5) };
                    if call >= calls {
                        return;
                    }
                    let failure = FAILURES[kind as usize];
                    let running = Told(call, failure);
                    runtime.block_on(run(&start, call, Some((call, failure))));
                    drop(running);
                }
            });
        }
    });
    println!("{calls} calls, {} failures", next.load(Ordering::SeqCst) - 2);
}

/// Tells what failed.
struct Told(u64, CallFailure);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("call {} with {:?}", self.0, self.1);
        }
    }
}
