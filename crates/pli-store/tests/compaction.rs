//! Compaction: what nobody can ask for any more is gone from the disk, and everything else is where it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pli_io::sim::Fault;
use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

const ALL: Compaction = Compaction { all: true, bytes_per_second: None };

async fn compact(open: &Open, how: Compaction) -> Result<Compacted, StoreError> {
    open.store.compact(open.permit(Action::Compact, None), how).await
}

/// Every message of the account's INBOX, in order.
fn inbox(open: &Open, account: AccountId) -> Vec<Bytes> {
    let keys = open.keys(account);
    let inbox = open.mailbox(account, "INBOX").id;
    open.entries(account, inbox).into_iter().map(|entry| open.body_with(&keys, account, entry).unwrap()).collect()
}

/// A message that does not compress.
fn noise(number: u32) -> Bytes {
    let mut text = format!("Subject: n{number}\r\n\r\n");
    let mut state = u64::from(number) + 1;
    while text.len() < 3000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap()));
    }
    text.push_str("\r\n");
    Bytes::from(text)
}

/// Delivers some, expunges every second one. Returns what stays.
async fn churn(open: &Open, account: AccountId, numbers: std::ops::Range<u32>) -> Vec<Bytes> {
    let mailbox = open.mailbox(account, "INBOX").id;
    let mut stay = Vec::new();
    for number in numbers {
        let raw = noise(number);
        let uid = open.deliver(&[account], &raw).await.unwrap().value.local[0].2;
        if number % 2 == 0 {
            open.flag(account, mailbox, &[uid], SystemFlag::Deleted).await;
        } else {
            stay.push(raw);
        }
    }
    open.expunge(account, mailbox).await;
    stay
}

/// All bytes under a folder.
fn files(world: &World) -> Vec<Vec<u8>> {
    fn walk(dir: &std::path::Path, out: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else {
                out.push(std::fs::read(path).unwrap());
            }
        }
    }
    let mut out = Vec::new();
    walk(&world.dir, &mut out);
    out
}

/// Without the zeros that are written ahead.
fn segment_bytes(world: &World) -> u64 {
    let used = |bytes: Vec<u8>| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let dir = world.dir.join("segments");
    std::fs::read_dir(dir).unwrap().map(|entry| used(std::fs::read(entry.unwrap().path()).unwrap())).sum()
}

#[test]
fn expunged_bytes_go_after_the_window_and_nothing_else_does() {
    both(|world| async move {
        let open = world.create();
        open.store.set_retention(Duration::from_secs(24 * 3600));
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let trash = open.mailbox(ana, "INBOX").id;
        open.store.set_segment_bytes_max(40 << 10);
        let mut stay = churn(&open, ana, 0..30).await;
        // The ciphertext of one more message: what the log has grown by.
        let before = segment_bytes(&world);
        open.store.set_segment_bytes_max(1 << 30);
        let secret = noise(1000);
        let uid = open.deliver(&[ana], &secret).await.unwrap().value.local[0].2;
        assert!(segment_bytes(&world) > before + 3000);
        let newest = files(&world)
            .into_iter()
            .filter(|f| f.starts_with(b"PLISEG"))
            .max_by_key(|f| u32::from_be_bytes(f[12..16].try_into().unwrap()));
        let newest = newest.unwrap();
        // The last body frame: its magic, its length, its kind.
        let body = newest.windows(9).rposition(|w| w.starts_with(b"PLIF") && w[8] == 1).unwrap();
        let planted = newest[body + 1500..body + 1564].to_vec();
        let on_disk = |world: &World| files(world).iter().any(|f| f.windows(64).any(|w| w == planted));
        assert!(on_disk(&world));
        open.flag(ana, trash, &[uid], SystemFlag::Deleted).await;
        open.expunge(ana, trash).await;
        stay.extend(churn(&open, ana, 30..40).await);

        // Inside the window everything stays.
        let done = compact(&open, ALL).await.unwrap();
        assert_eq!((done.segments_dropped, done.bodies_purged), (0, 0));
        assert!(on_disk(&world));
        assert_eq!(inbox(&open, ana), stay);

        // A round inside the window, then the window goes by.
        world.clock.advance(Duration::from_secs(25 * 3600));
        let full = segment_bytes(&world);
        let done = compact(&open, ALL).await.unwrap();
        assert!(done.segments_dropped >= 3, "{done:?}");
        assert_eq!(done.bodies_purged, 21, "{done:?}");
        assert_eq!(done.segments_damaged, 0);
        assert!(!on_disk(&world), "the ciphertext of a purged message is still on the disk");
        assert_eq!(inbox(&open, ana), stay);
        open.check();
        assert!(segment_bytes(&world) < full, "{} of {full}", segment_bytes(&world));

        // And from the log alone.
        open.store.close();
        drop(open);
        if world.index == IndexEngine::Sled {
            std::fs::remove_dir_all(world.dir.join("index")).unwrap();
        }
        let open = world.open();
        assert_eq!(inbox(&open, ana), stay);
        open.check();
    });
}

#[test]
fn an_index_that_has_grown_out_of_proportion_is_made_again() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let inbox_id = open.mailbox(ana, "INBOX").id;
        churn(&open, ana, 0..20).await;
        let uids: Vec<Uid> = open.entries(ana, inbox_id).into_iter().map(|entry| entry.uid).collect();
        for _ in 0..20 {
            open.flag(ana, inbox_id, &uids, SystemFlag::Seen).await;
            open.flag(ana, inbox_id, &uids, SystemFlag::Flagged).await;
        }
        let stay = inbox(&open, ana);
        // A size that is in proportion, or too small to matter, is left alone.
        compact(&open, ALL).await.unwrap();
        assert_eq!(open.store.rebuild_status().rebuilds, 0);
        open.store.set_index_bytes_min(1);
        compact(&open, ALL).await.unwrap();
        while open.store.rebuild_status().running {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = open.store.rebuild_status();
        assert_eq!((status.rebuilds, status.error), (u64::from(world.index == IndexEngine::Sled), None));
        if world.index == IndexEngine::Sled {
            let generations = std::fs::read_dir(world.dir.join("index")).unwrap();
            assert_eq!(generations.count(), 1, "the large one is gone");
        }
        assert_eq!(inbox(&open, ana), stay);
        open.check();
    });
}

#[test]
fn commits_and_reads_go_on_meanwhile() {
    both(|world| async move {
        let open = world.create();
        open.store.set_retention(Duration::ZERO);
        open.store.set_segment_bytes_max(32 << 10);
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let mut stay = churn(&open, ana, 0..60).await;
        for turn in 1..4 {
            let seen = inbox(&open, ana);
            let compaction = compact(&open, ALL);
            let more = churn(&open, ana, turn * 100..turn * 100 + 40);
            let (done, more) = tokio::join!(compaction, more);
            assert!(done.unwrap().segments_dropped > 0);
            assert_eq!(seen, stay);
            stay.extend(more);
            assert_eq!(inbox(&open, ana), stay, "turn {turn}");
            open.check();
        }
        // Without haste: little is old, nothing is lost.
        compact(&open, Compaction::default()).await.unwrap();
        assert_eq!(inbox(&open, ana), stay);
    });
}

#[test]
fn a_compaction_gives_way_to_a_verification() {
    both(|world| async move {
        let open = Arc::new(world.create());
        open.store.set_retention(Duration::ZERO);
        open.store.set_segment_bytes_max(32 << 10);
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let stay = churn(&open, ana, 0..60).await;
        let (checked, runtime) = (Arc::clone(&open), tokio::runtime::Handle::current());
        let (report, beside) = tokio::task::spawn_blocking(move || {
            let mut beside = None;
            let report = checked.store.verify_with(
                &checked.permit(Action::Verify, None),
                &VerifyOptions::default(),
                &mut |_| {
                    beside.get_or_insert_with(|| runtime.block_on(compact(&checked, ALL)).unwrap());
                },
            );
            (report.unwrap(), beside.unwrap())
        })
        .await
        .unwrap();
        assert_eq!(report.damage, []);
        assert_eq!(beside, Compacted { gave_way: true, ..Compacted::default() });
        let done = compact(&open, ALL).await.unwrap();
        assert!(done.segments_dropped > 0 && !done.gave_way, "{done:?}");
        assert_eq!(inbox(&open, ana), stay);
        open.check();
    });
}

#[test]
fn a_clock_that_jumps_ahead_purges_nothing() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        churn(&open, ana, 0..10).await;
        open.store.snapshot(open.permit(Action::Compact, None)).await.unwrap();
        world.clock.set(pli_types::UnixMillis(START.0 + 400 * 24 * 3600 * 1000));
        let done = compact(&open, ALL).await.unwrap();
        assert!(done.clock_jumped);
        assert_eq!((done.segments_dropped, done.bodies_purged), (0, 0));
    });
}

/// A crash after each disk operation of a compaction, one after the other.
#[test]
fn a_crash_at_any_step_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = keystore();
    for step in 0..400 {
        let world = World::sim(step, keys.clone());
        let disk = world.disk.clone().unwrap();
        let finished = runtime.block_on(async {
            let open = world.create();
            open.store.set_retention(Duration::ZERO);
            open.store.set_segment_bytes_max(16 << 10);
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            let stay = churn(&open, ana, 0..16).await;
            disk.inject(Fault::Crash, step);
            let done = compact(&open, ALL).await;
            disk.heal();
            let finished = done.is_ok() && !disk.has_crashed();
            drop(open);
            disk.restart();
            let open = world.open();
            assert_eq!(inbox(&open, ana), stay, "step {step}");
            open.check();
            open.store.set_retention(Duration::ZERO);
            let again = compact(&open, ALL).await.unwrap();
            assert_eq!(again.segments_damaged, 0, "step {step}");
            assert_eq!(inbox(&open, ana), stay, "step {step}, compacted again");
            open.check();
            finished
        });
        if finished {
            assert!(step > 20, "only {step} steps");
            return;
        }
    }
    panic!("the compaction has more steps than were tried");
}
