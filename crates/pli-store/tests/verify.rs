//! What `verify` finds, how it goes on beside the work of the store, and that a message is stored once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

/// The key of a row: table, then parts.
fn key(table: u8, parts: &[u64]) -> Vec<u8> {
    let mut key = vec![table];
    parts.iter().for_each(|part| key.extend_from_slice(&part.to_be_bytes()));
    key
}

/// With so little memory that everything is sorted on disk.
fn with_runs(open: &Open) -> VerifyReport {
    let options = VerifyOptions { run_bytes: Some(1), ..VerifyOptions::default() };
    open.store.verify_with(&open.permit(Action::Verify, None), &options, &mut |_| {}).unwrap()
}

fn says(report: &VerifyReport, kind: &str, what: &str) -> bool {
    report.damage.iter().any(|damage| damage.kind == kind && damage.what.contains(what))
}

async fn some(open: &Open) -> AccountId {
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    for n in 0..5 {
        open.deliver_all(&[ana], &["out@elsewhere.test"], &message(&format!("m{n}"), 700)).await.unwrap();
    }
    ana
}

/// Each kind of damage to a row is found and named, in the log and in the index alone.
#[test]
fn planted_damage_is_found() {
    both(|world| async move {
        let open = world.create();
        let ana = some(&open).await.get();
        let inbox = open.mailbox(AccountId::new(ana), "INBOX").id.get();
        open.check();
        let body =
            u64::from_be_bytes(open.store.raw_row(&key(0x30, &[ana, 2])).unwrap().unwrap()[1..9].try_into().unwrap());
        let change = |at: usize| move |row: &mut Vec<u8>| row[at] ^= 1;
        let last = |row: &mut Vec<u8>| *row.last_mut().unwrap() ^= 1;
        type Change = Box<dyn Fn(&mut Vec<u8>)>;
        let state = key(0x16, &[ana]);
        // Version, two counters of a byte each, INBOX, mailboxes, then bytes and messages.
        let cases: Vec<(Vec<u8>, Change, &str, &str)> = vec![
            (state.clone(), Box::new(change(12)), "quota", "counted"),
            (state.clone(), Box::new(change(11)), "count", "mailboxes"),
            (state, Box::new(|row| row[1] = 1), "count", "email id"),
            // Version, id, account, the name with its length, use, UIDVALIDITY, UIDNEXT, modseq, messages, unseen.
            (key(0x20, &[ana, inbox]), Box::new(change(43)), "count", "counted"),
            (key(0x20, &[ana, inbox]), Box::new(change(47)), "count", "counted"),
            (key(0x20, &[ana, inbox]), Box::new(|row| row[31] = 1), "count", "UID or modseq"),
            (key(0x31, &[body]), Box::new(|row| row[0] = 9), "row", "does not decode"),
            (key(0x30, &[ana, 2]), Box::new(last), "", ""),
        ];
        for (key, change, kind, what) in cases {
            let before = open.store.raw_row(&key).unwrap().unwrap();
            let mut after = before.clone();
            change(&mut after);
            if !kind.is_empty() {
                open.store.plant_row(&key, Some(after.clone()), true).await.unwrap();
                let report = open.store.verify(&open.permit(Action::Verify, None), &mut |_, _| {});
                // A row that does not decode ends the count.
                if what == "does not decode" {
                    assert!(report.is_err() || says(&report.unwrap(), kind, what), "{what}");
                } else {
                    assert!(says(report.as_ref().unwrap(), kind, what), "{what}: {report:?}");
                }
                open.store.plant_row(&key, Some(before.clone()), true).await.unwrap();
                open.check();
            }
            // In the index alone: it is not what the log says.
            open.store.plant_row(&key, Some(after), false).await.unwrap();
            if what != "does not decode" {
                let report = open.verify();
                assert!(says(&report, "row", "log does not have it"), "{report:?}");
                assert_eq!(with_runs(&open).damage, report.damage);
            }
            open.store.plant_row(&key, Some(before), true).await.unwrap();
        }
        // A row that nobody wrote, one that is missing, and a body that nobody counts.
        let stray = key(0x30, &[ana, 77]);
        let copy = open.store.raw_row(&key(0x30, &[ana, 2])).unwrap();
        open.store.plant_row(&stray, copy.clone(), false).await.unwrap();
        assert!(says(&open.verify(), "row", "log does not have it"));
        open.store.plant_row(&stray, None, false).await.unwrap();
        open.check();
        open.store.plant_row(&key(0x30, &[ana, 2]), None, false).await.unwrap();
        let report = open.verify();
        assert!(says(&report, "row", "the log has it, the index does not"), "{report:?}");
        assert!(says(&report, "count", "used by"), "{report:?}");
        let lost = report.damage.iter().find_map(|damage| damage.message.as_ref()).unwrap();
        assert_eq!((&*lost.address, &*lost.mailbox, lost.uid), ("ana@example.org", "INBOX", Uid::new(2)));
        assert_eq!(with_runs(&open).damage, report.damage);
        open.store.plant_row(&key(0x30, &[ana, 2]), copy.clone(), true).await.unwrap();
        open.check();
        let body_row = open.store.raw_row(&key(0x31, &[body])).unwrap();
        open.store.plant_row(&key(0x31, &[body]), None, true).await.unwrap();
        assert!(says(&open.verify(), "count", "has no row"));
        open.store.plant_row(&key(0x31, &[body]), body_row, true).await.unwrap();
        // The queue's order, both ways.
        let permit = open.permit(Action::QueueRead, None);
        let row = open.store.queue_list(&permit, None, 1).unwrap().remove(0);
        let due = key(0x3a, &[row.next_attempt.0.unsigned_abs(), row.id.get()]);
        let value = open.store.raw_row(&due).unwrap();
        open.store.plant_row(&due, None, true).await.unwrap();
        assert!(says(&open.verify(), "count", "order is wrong"));
        open.store.plant_row(&due, value.clone(), true).await.unwrap();
        let stray = key(0x3a, &[7, row.id.get()]);
        open.store.plant_row(&stray, value, true).await.unwrap();
        assert!(says(&open.verify(), "count", "due at a time"));
        open.store.plant_row(&stray, None, true).await.unwrap();
        open.check();
    });
}

/// What is sorted on disk gives the same answer as what fits in memory, over snapshots and compaction as well.
#[test]
fn sorted_on_disk_or_in_memory() {
    both(|world| async move {
        let open = world.create();
        open.store.set_segment_bytes_max(32 << 10);
        let ana = some(&open).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        for turn in 0..3_u32 {
            for n in 0..60 {
                open.deliver(&[ana], &message(&format!("t{turn}n{n}"), 900)).await.unwrap();
            }
            let uids: Vec<Uid> = (1..40).map(|n| Uid::new(n + 60 * turn)).collect();
            open.flag(ana, inbox, &uids, SystemFlag::Deleted).await;
            open.expunge(ana, inbox).await;
            open.store.snapshot(open.permit(Action::Verify, None)).await.unwrap();
        }
        let report = with_runs(&open);
        assert_eq!(report.damage, []);
        assert_eq!(report, open.verify());
        assert!(report.snapshots > 0 && report.segments > 3, "{report:?}");
        assert_eq!(report.bodies, 5 + 180, "those that are gone are there still");
        // The log loses a batch of the window: what only it said is named.
        assert!(!world.dir.join("verify").exists());
    });
}

/// Nothing is found wrong that only changed meanwhile.
#[test]
fn work_beside_it_is_no_damage() {
    for index in [IndexEngine::Memory, IndexEngine::Sled] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::real(index);
            let open = Arc::new(world.create());
            open.store.set_segment_bytes_max(256 << 10);
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            let ben = open.account("ben@example.org", QuotaLimit::default()).await;
            for n in 0..50 {
                open.deliver(&[ana, ben], &message(&format!("first{n}"), 400)).await.unwrap();
            }
            let stop = Arc::new(AtomicBool::new(false));
            let worker = {
                let (open, stop) = (Arc::clone(&open), Arc::clone(&stop));
                tokio::spawn(async move {
                    let inbox = open.mailbox(ana, "INBOX").id;
                    let archive = open.mailbox(ana, "Archive/2026").id;
                    let mut n = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        n += 1;
                        let remote: &[&str] = if n.is_multiple_of(3) { &["out@elsewhere.test"] } else { &[] };
                        let done =
                            open.deliver_all(&[ana, ben], remote, &message(&format!("m{n}"), 600)).await.unwrap();
                        let uid = done.value.local[0].2;
                        let copy = open.store.copy(open.permit(Action::Copy, Some(ana)), inbox, vec![uid], archive);
                        copy.await.unwrap();
                        open.flag(ana, inbox, &[uid], SystemFlag::Deleted).await;
                        if n.is_multiple_of(5) {
                            open.expunge(ana, inbox).await;
                        }
                        if let Some(id) = done.value.queued.first().filter(|_| n.is_multiple_of(2)) {
                            let permit = open.permit(Action::QueueAttempt, None);
                            open.store
                                .queue_end(permit, *id, QueueOutcome::Delivered(String::from("250")))
                                .await
                                .unwrap();
                        }
                        if n.is_multiple_of(20) {
                            open.store.snapshot(open.permit(Action::Verify, None)).await.unwrap();
                        }
                    }
                    n
                })
            };
            let checker = Arc::clone(&open);
            let reports = tokio::task::spawn_blocking(move || {
                let until = Instant::now() + Duration::from_secs(4);
                let mut reports = Vec::new();
                while Instant::now() < until {
                    reports.push(if reports.len() % 2 == 0 { with_runs(&checker) } else { checker.verify() });
                }
                reports
            })
            .await
            .unwrap();
            stop.store(true, Ordering::Relaxed);
            let done = worker.await.unwrap();
            assert!(done > 10 && reports.len() > 1, "{done} rounds of work, {} checks", reports.len());
            for report in &reports {
                assert_eq!(report.damage, []);
            }
            let last = open.verify();
            assert_eq!((last.damage.len(), last.undecided), (0, 0), "{last:?}");
        });
    }
}

/// A verification at a low pace holds no commit back, tells how far it is, runs alone, and can be broken off.
#[test]
fn it_goes_at_its_pace_and_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::real(IndexEngine::Memory);
        world.env.clock = Arc::new(pli_io::RealClock::new());
        let open = Arc::new(world.create());
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        for n in 0..100 {
            open.deliver(&[ana], &message(&format!("m{n}"), 2000)).await.unwrap();
        }
        let log = open.store.stat().unwrap().log_bytes;
        let options = VerifyOptions { bytes_per_second: Some(log / 2), ..VerifyOptions::default() };
        let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let check = {
            let (open, options, told) = (Arc::clone(&open), options.clone(), Arc::clone(&told));
            tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let tell = &mut |progress: &VerifyProgress| told.lock().push(*progress);
                let report = open.store.verify_with(&open.permit(Action::Verify, None), &options, tell).unwrap();
                (report, began.elapsed())
            })
        };
        let slowest = Arc::new(AtomicU64::new(0));
        let mut delivered = 0;
        while !check.is_finished() {
            let began = Instant::now();
            open.deliver(&[ana], &message(&format!("beside{delivered}"), 500)).await.unwrap();
            slowest.fetch_max(u64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
            delivered += 1;
            if delivered == 3 {
                let second = open.store.verify(&open.permit(Action::Verify, None), &mut |_, _| {});
                assert!(matches!(second, Err(StoreError::Impossible(_))), "{second:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (report, took) = check.await.unwrap();
        assert_eq!(report.damage, []);
        assert!(took >= Duration::from_millis(1900), "{took:?}");
        assert!(delivered >= 20, "{delivered} deliveries in {took:?}");
        assert!(slowest.load(Ordering::Relaxed) < 1000, "a commit waited {slowest:?} ms");
        let told = told.lock();
        assert!(told.len() > 5 && told.windows(2).all(|pair| pair[0].done <= pair[1].done), "{told:?}");
        assert_eq!(
            told.last().map(|last| (last.done, last.step)),
            Some((told.last().unwrap().total, VerifyStep::Audit))
        );
        assert!(told.iter().any(|progress| progress.eta_s.is_some()));
        drop(told);
        options.cancel.store(true, Ordering::Relaxed);
        let broken = open.store.verify_with(&open.permit(Action::Verify, None), &options, &mut |_| {});
        assert!(matches!(broken, Err(StoreError::Impossible(_))), "{broken:?}");
    });
}

/// An account's messages are opened and compared with what came in.
#[test]
fn originals_are_compared() {
    both(|world| async move {
        let open = world.create();
        let ana = some(&open).await;
        let permit = || open.permit(Action::Verify, Some(ana));
        let verify = || open.store.verify_messages(&permit(), &VerifyOptions::default(), &mut |_| {}).unwrap();
        let report = verify();
        assert_eq!((report.originals, report.damage.len()), (5, 0));
        // The row's SHA-256 of the original: the first of two before the counts and the summary.
        let message = open.store.raw_row(&key(0x30, &[ana.get(), 3])).unwrap().unwrap();
        let body = u64::from_be_bytes(message[1..9].try_into().unwrap());
        let mut row = open.store.raw_row(&key(0x31, &[body])).unwrap().unwrap();
        let at = row.len().min(1 + 4 + 8 + 4 + 2 + 5);
        row[at] ^= 1;
        open.store.plant_row(&key(0x31, &[body]), Some(row), true).await.unwrap();
        let report = verify();
        assert_eq!(report.originals, 4);
        assert!(says(&report, "body", "not those that came in"), "{report:?}");
        assert_eq!(report.damage[0].message.as_ref().unwrap().uid, Uid::new(3));
        // The queue has a key of its own for it.
        assert!(says(&open.verify(), "body", "not those that came in"));
    });
}

/// Frames of bodies in the log.
fn body_frames(world: &World) -> usize {
    let bytes = std::fs::read(world.dir.join("segments/00000001.seg")).unwrap();
    let (mut at, mut found) = (320_usize, 0);
    while bytes.get(at..at + 4) == Some(b"PLIF") {
        let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found += usize::from(bytes[at + 8] == 1);
        at += (32 + length + 16).next_multiple_of(8);
    }
    found
}

/// One body for 500 recipients, copies and moves; its references are exact at each step, and it goes with the last.
#[test]
fn a_message_is_stored_once() {
    both(|world| async move {
        let open = world.create();
        let mut accounts = Vec::new();
        for n in 0..500 {
            let new = NewAccount {
                address: address(&format!("r{n}@example.org")),
                display_name: None,
                profile: String::from("staff"),
                password: None,
                quota: None,
                quota_in_force: QuotaLimit::default(),
                language: String::from("en"),
                mailboxes: if n < 2 { vec![(name("Kept"), None)] } else { Vec::new() },
            };
            let made = open.store.create_account(open.permit(Action::AccountCreate, None), new);
            accounts.push(made.await.unwrap().value);
        }
        let raw = message("to all", 20_000);
        open.deliver_all(&accounts, &["out@elsewhere.test"], &raw).await.unwrap();
        assert_eq!(body_frames(&world), 1);
        let row = open.store.raw_row(&key(0x30, &[accounts[0].get(), 1])).unwrap().unwrap();
        let body = key(0x31, &[u64::from_be_bytes(row[1..9].try_into().unwrap())]);
        assert!(open.store.raw_row(&body).unwrap().is_some());
        let stat = open.store.stat().unwrap();
        assert_eq!((stat.messages, stat.message_bytes), (500, 500 * raw.len() as u64), "in each account");
        assert_eq!(open.store.bodies().unwrap(), (1, raw.len() as u64), "stored once");
        open.check();
        // COPY and MOVE write rows.
        let first = accounts[0];
        let (inbox, kept) = (open.mailbox(first, "INBOX").id, open.mailbox(first, "Kept").id);
        for _ in 0..3 {
            let permit = open.permit(Action::Copy, Some(first));
            open.store.copy(permit, inbox, vec![Uid::new(1)], kept).await.unwrap();
        }
        let permit = open.permit(Action::Move, Some(first));
        open.store.move_messages(permit, kept, vec![Uid::new(2)], inbox).await.unwrap();
        open.check();
        assert_eq!((body_frames(&world), open.store.quota(first).unwrap().messages_used), (1, 1));
        for account in &accounts[..10] {
            let inbox = open.mailbox(*account, "INBOX").id;
            open.flag(*account, inbox, &[Uid::new(1)], SystemFlag::Deleted).await;
            open.expunge(*account, inbox).await;
        }
        open.check();
        for account in &accounts[10..] {
            open.store.remove_account(open.permit(Action::AccountRemove, None), *account).await.unwrap();
        }
        open.check();
        assert!(open.store.raw_row(&body).unwrap().is_some(), "the first account's copies and the queue have it");
        open.store.remove_account(open.permit(Action::AccountRemove, None), first).await.unwrap();
        open.check();
        let permit = open.permit(Action::QueueRead, None);
        let queued = open.store.queue_list(&permit, None, 10).unwrap().remove(0);
        assert_eq!(open.store.queue_body(&permit, queued.id).unwrap(), raw);
        let permit = open.permit(Action::QueueAttempt, None);
        open.store.queue_end(permit, queued.id, QueueOutcome::Dropped).await.unwrap();
        assert!(open.store.raw_row(&body).unwrap().is_none());
        open.check();
    });
}
