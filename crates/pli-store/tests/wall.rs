//! The wall around the index: whatever its engine does, and whatever becomes of its files, the store heals by itself, says
//! so, never answers wrongly and loses nothing.
//!
//! `PLI_WALL_SEEDS` sets how many seeds the damage of files is tried with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pli_io::Random;
use pli_io::sim::SimRandom;
use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

/// Long enough for any rebuild here, on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Tries until the index is there again; any other error fails the test.
async fn steady<T>(mut work: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    let began = Instant::now();
    loop {
        match work().await {
            Ok(value) => return value,
            Err(StoreError::Rebuilding) => assert!(began.elapsed() < LONG, "it does not heal"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All bodies of an account's mailboxes, in order, with flags.
fn read(open: &Open, account: AccountId) -> Result<Vec<(String, u32, u64, Bytes)>, StoreError> {
    let login = open.permit(Action::Login, Some(account));
    let keys = open.store.open_keys(&login)?;
    let list = open.permit(Action::List, Some(account));
    let select = open.permit(Action::Select, Some(account));
    let fetch = open.permit(Action::FetchContent, Some(account));
    let mut found = Vec::new();
    for mailbox in open.store.read(&list)?.mailboxes()? {
        let view = open.store.read(&select)?.view(mailbox.id)?;
        for (_, entry) in view.snapshot().iter() {
            let body = open.store.read(&fetch)?.body(&keys, entry.email, None)?;
            found.push((mailbox.name.to_string(), entry.uid.get(), entry.flags, body));
        }
    }
    Ok(found)
}

fn rebuild_events(open: &Open) -> usize {
    let permit = open.permit(Action::AuditRead, None);
    let events = open.store.audit_events(&permit, 0, 100_000).unwrap();
    let rebuilt = |reason: &Option<String>| reason.as_ref().is_some_and(|reason| reason.starts_with("index rebuilt"));
    events.iter().filter(|(_, event)| event.operation == Action::Operate && rebuilt(&event.result.reason)).count()
}

/// Mail comes and is read while the engine fails at some moment.
async fn fails(engine: IndexEngine, fault: IndexFault) {
    let what = format!("{engine:?} {fault:?}");
    let world = World::real(engine);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let inbox = open.mailbox(ana, "INBOX").id;
    let fault = Arc::new(fault);
    let mut mail = Vec::new();
    for n in 0..40 {
        if n == 8 {
            open.store.inject_index_fault(Arc::clone(&fault));
        }
        let raw = message(&format!("m{n}"), 2000);
        steady(async || open.deliver(&[ana], &raw).await).await;
        mail.push(raw);
        if n % 5 == 4 {
            let uids = vec![Uid::new(n)];
            let set = || [SystemFlag::Flagged].into_iter().collect();
            let store = || open.permit(Action::Store, Some(ana));
            steady(async || open.store.change_flags(store(), inbox, uids.clone(), FlagMode::Add, set(), None).await)
                .await;
        }
        if n % 3 == 0 {
            let found = steady(async || read(&open, ana)).await;
            let bodies: Vec<&Bytes> = found.iter().map(|(.., body)| body).collect();
            assert_eq!(bodies, mail.iter().collect::<Vec<_>>(), "{what}");
        }
    }
    // The flush goes every few seconds of the clock, which stands here.
    if fault.call == IndexCall::Flush {
        world.clock.advance(Duration::from_secs(10));
        steady(async || open.deliver(&[ana], &message("late", 100)).await).await;
        mail.push(message("late", 100));
        let began = Instant::now();
        while fault.struck.load(Ordering::Acquire) == 0 || open.store.condition().is_err() {
            assert!(began.elapsed() < LONG, "{what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert!(fault.struck.load(Ordering::Acquire) > 0, "{what} never struck");
    let found = steady(async || read(&open, ana)).await;
    open.check();
    let rebuilds = open.store.stat().unwrap().index_rebuilds;
    assert!(rebuilds > 0 && open.store.rebuild_status().error.is_none(), "{what}");
    open.store.close();
    drop(open);
    let open = world.open();
    assert_eq!(read(&open, ana).unwrap(), found, "{what}");
    assert_eq!(found.len(), mail.len(), "{what}");
    assert_eq!(rebuild_events(&open) as u64, rebuilds, "{what}");
    open.check();
}

#[test]
fn whatever_an_engine_does_is_healed() {
    let random = SimRandom::new(0x77a11);
    for engine in ENGINES {
        for call in [IndexCall::Get, IndexCall::Scan, IndexCall::Apply, IndexCall::Flush] {
            for panic in [false, true] {
                let most = match call {
                    IndexCall::Flush => 1,
                    IndexCall::Get => 60,
                    IndexCall::Scan => 8,
                    IndexCall::Apply => 30,
                };
                if call == IndexCall::Flush && engine == IndexEngine::Memory {
                    // Never flushed.
                    continue;
                }
                let mut fault = IndexFault::once(call, random.below(most), panic);
                fault.half = panic;
                block_on(fails(engine, fault));
            }
        }
    }
}

/// A new index that fails too is tried again; callers are told meanwhile, and soon.
#[test]
fn a_rebuild_that_fails_is_tried_again_while_callers_are_told() {
    block_on(async {
        for engine in ENGINES {
            let world = World::real(engine);
            let open = world.create();
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            let raw = message("before", 3000);
            open.deliver(&[ana], &raw).await.unwrap();
            let fault = IndexFault::once(IndexCall::Apply, 0, true);
            fault.again.store(u64::MAX, Ordering::Release);
            let fault = Arc::new(fault);
            open.store.inject_index_fault(Arc::clone(&fault));
            // On disk before the index was asked: it counts.
            open.deliver(&[ana], &message("durable", 3000)).await.unwrap();
            assert!(matches!(open.store.condition(), Err(StoreError::Rebuilding)));
            assert!(matches!(read(&open, ana), Err(StoreError::Rebuilding)));
            let prepared = open.store.prepare(raw.clone()).unwrap();
            let permit = open.permit(Action::Login, Some(ana));
            assert!(matches!(open.store.open_keys(&permit), Err(StoreError::Rebuilding)));
            drop(prepared);
            let began = Instant::now();
            let set_alias = || {
                let alias = Alias { address: address("a@example.org"), targets: vec![address("ana@example.org")] };
                open.store.set_alias(open.permit(Action::AliasChange, None), alias)
            };
            let told = set_alias().await.map(|_| ());
            assert!(matches!(told, Err(StoreError::Rebuilding)), "{told:?}");
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
            assert!(fault.struck.load(Ordering::Acquire) > 1, "it was tried again");
            assert!(open.store.rebuild_status().error.is_some() || open.store.rebuild_status().running);
            // What was wrong is mended.
            fault.again.store(0, Ordering::Release);
            steady(async || set_alias().await).await;
            let found: Vec<Bytes> = read(&open, ana).unwrap().into_iter().map(|(.., body)| body).collect();
            assert_eq!(found, [raw.clone(), message("durable", 3000)]);
            open.check();
            // One that is broken when the store closes is made at the next start.
            let fault = IndexFault::once(IndexCall::Apply, 0, false);
            fault.again.store(u64::MAX, Ordering::Release);
            open.store.inject_index_fault(Arc::new(fault));
            open.deliver(&[ana], &message("last", 3000)).await.unwrap();
            open.store.close();
            drop(open);
            let open = world.open();
            let found: Vec<Bytes> = read(&open, ana).unwrap().into_iter().map(|(.., body)| body).collect();
            assert_eq!(found, [raw, message("durable", 3000), message("last", 3000)]);
            open.check();
        }
    });
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A file's bytes without the zeros at its end (journals are made long beforehand), and its length.
type Saved = (PathBuf, Vec<u8>, u64);

fn save(dir: &Path) -> Vec<Saved> {
    let read = |path: PathBuf| {
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len() as u64;
        bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
        (path, bytes, length)
    };
    files_below(dir).into_iter().map(read).collect()
}

fn write(path: &Path, bytes: &[u8], length: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length.max(bytes.len() as u64)).unwrap();
}

fn restore(dir: &Path, saved: &[Saved]) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    saved.iter().for_each(|(path, bytes, length)| write(path, bytes, *length));
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Delete,
    Empty,
    CutHalf,
    CutOne,
    Zero,
    FlipMany,
    FlipOne,
    ZeroPage,
    Repeat,
    Garbage,
}

const HARMS: [Harm; 10] = [
    Harm::Delete,
    Harm::Empty,
    Harm::CutHalf,
    Harm::CutOne,
    Harm::Zero,
    Harm::FlipMany,
    Harm::FlipOne,
    Harm::ZeroPage,
    Harm::Repeat,
    Harm::Garbage,
];

fn harm((path, bytes, length): &Saved, harm: Harm, random: &mut SimRandom) {
    let mut bytes = bytes.clone();
    let mut length = *length;
    let len = bytes.len() as u64;
    match harm {
        Harm::Delete => return std::fs::remove_file(path).unwrap(),
        Harm::Empty => (bytes, length) = (Vec::new(), 0),
        Harm::CutHalf => {
            bytes.truncate(bytes.len() / 2);
            length = bytes.len() as u64;
        }
        Harm::CutOne => {
            bytes.pop();
            length = bytes.len() as u64;
        }
        Harm::Zero => bytes.fill(0),
        Harm::FlipMany => bytes.iter_mut().step_by(97).for_each(|b| *b ^= 0x55),
        Harm::FlipOne if len > 0 => bytes[random.below(len) as usize] ^= 1 << random.below(8),
        Harm::ZeroPage if len > 0 => {
            let at = random.below(len) as usize;
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
        }
        Harm::Repeat if len > 1 => {
            let half = bytes.len() / 2;
            bytes.copy_within(0..half, half);
        }
        Harm::Garbage => bytes.iter_mut().for_each(|b| *b = random.next_u64() as u8),
        Harm::FlipOne | Harm::ZeroPage | Harm::Repeat => {}
    }
    write(path, &bytes, length);
}

/// Runs something that must end.
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || drop(done.send(work())));
    match ended.recv_timeout(LONG) {
        Ok(value) => value,
        Err(_) if thread.is_finished() => panic!("{what}: it panicked"),
        Err(_) => panic!("{what}: it does not end"),
    }
}

/// Some mail, moved and flagged, over several starts, so that an engine has something of each kind of file.
fn filled(engine: IndexEngine) -> (World, AccountId) {
    let world = World::real(engine);
    let mut open = world.create();
    let ana = block_on(open.account("ana@example.org", QuotaLimit::default()));
    for round in 0..3 {
        block_on(async {
            for n in 0..25 {
                open.deliver(&[ana], &message(&format!("m{round}-{n}"), 1500)).await.unwrap();
            }
            let inbox = open.mailbox(ana, "INBOX").id;
            open.flag(ana, inbox, &[Uid::new(3 + round * 9)], SystemFlag::Deleted).await;
            open.expunge(ana, inbox).await;
            // One message of more rows than a page of an engine holds.
            open.deliver(&[ana], &message(&format!("large{round}"), 90_000)).await.unwrap();
        });
        drop(open);
        open = world.open();
    }
    (world, ana)
}

/// One damaged file, the store opened over it: it must come up, and answer as before.
fn opened_over(world: &World, ana: AccountId, right: &[(String, u32, u64, Bytes)], what: &str) -> u64 {
    let options = world.options();
    let (expected, label) = (right.to_vec(), what.to_owned());
    ends(what, move || {
        block_on(async {
            let open = Open::new(Store::open(options).unwrap_or_else(|error| panic!("{label}: {error}")));
            let found = steady(async || read(&open, ana)).await;
            assert_eq!(found, expected, "{label}");
            // Goes on as if nothing had been.
            let raw = message("after", 900);
            steady(async || open.deliver(&[ana], &raw).await).await;
            let found = steady(async || read(&open, ana)).await;
            assert_eq!(found.len(), expected.len() + 1, "{label}");
            let verify = open.permit(Action::Verify, None);
            let report = steady(async || open.store.verify(&verify, &mut |_, _| {})).await;
            assert_eq!(report.damage, [], "{label}");
            let rebuilds = open.store.stat().unwrap().index_rebuilds;
            assert_eq!(rebuild_events(&open) as u64, rebuilds, "{label}");
            open.store.close();
            rebuilds
        })
    })
}

fn damage_every_file(engine: IndexEngine) {
    let (world, ana) = filled(engine);
    let open = world.open();
    let right = read(&open, ana).unwrap();
    drop(open);
    let seeds = std::env::var("PLI_WALL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let saved = save(&world.dir);
    let index = world.dir.join("index");
    let files: Vec<&Saved> = saved.iter().filter(|(path, ..)| path.starts_with(&index)).collect();
    assert!(files.len() >= 3, "{files:?}");
    let mut rebuilds = 0;
    for seed in 0..seeds {
        for (number, file) in files.iter().enumerate() {
            for kind in HARMS {
                if seed > 0 && !matches!(kind, Harm::FlipOne | Harm::ZeroPage) {
                    continue;
                }
                let name = file.0.strip_prefix(&index).unwrap().display();
                let what = format!("{engine:?} seed {seed}: {kind:?} of {name}");
                restore(&world.dir, &saved);
                harm(file, kind, &mut SimRandom::new(seed << 16 | number as u64));
                eprintln!("{what}");
                rebuilds += opened_over(&world, ana, &right, &what);
            }
        }
    }
    assert!(rebuilds > files.len() as u64, "{rebuilds} rebuilds");
}

#[test]
fn every_file_of_sled_may_be_damaged() {
    damage_every_file(IndexEngine::Sled);
}

#[test]
fn every_file_of_fjall_may_be_damaged() {
    damage_every_file(IndexEngine::Fjall);
}

/// The same while the store is open, and mail goes on coming.
#[test]
fn files_may_be_damaged_while_the_store_is_open() {
    for engine in [IndexEngine::Sled, IndexEngine::Fjall] {
        for kind in [Harm::Empty, Harm::Zero, Harm::Garbage, Harm::Delete] {
            let (world, ana) = filled(engine);
            let what = format!("{engine:?} {kind:?} while open");
            eprintln!("{what}");
            ends(&what.clone(), move || {
                block_on(async {
                    let open = world.open();
                    let mut right = read(&open, ana).unwrap();
                    for saved in save(&world.dir.join("index")) {
                        harm(&saved, kind, &mut SimRandom::new(5));
                    }
                    for n in 0..30 {
                        let raw = message(&format!("while{n}"), 1500);
                        steady(async || open.deliver(&[ana], &raw).await).await;
                        let found = steady(async || read(&open, ana)).await;
                        assert_eq!(found.len(), right.len() + 1, "{what}");
                        assert!(found.iter().any(|(.., body)| *body == raw), "{what}");
                        right = found;
                    }
                    open.store.close();
                    drop(open);
                    opened_over(&world, ana, &right, &what);
                });
            });
        }
    }
}
