//! Snapshot rounds: an index made again from one equals the index there was, whatever went on meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag};
use world::*;

/// Everything that an account's session could ask.
fn answers(open: &Open, account: AccountId) -> Vec<String> {
    let keys = open.keys(account);
    let mut all = Vec::new();
    for mailbox in open.mailboxes(account) {
        all.push(format!("{mailbox:?}"));
        for entry in open.entries(account, mailbox.id) {
            let body = open.body_with(&keys, account, entry).unwrap();
            all.push(format!("{entry:?} {}", String::from_utf8_lossy(&body)));
        }
    }
    all.push(format!("{:?}", open.store.quota(account).unwrap()));
    all
}

async fn work(open: &Open, account: AccountId, from: u32) {
    let inbox = open.mailbox(account, "INBOX").id;
    for number in from..from.saturating_add(100) {
        let remote: &[&str] = if number % 20 == 0 { &["out@elsewhere.test"] } else { &[] };
        let raw = message(&format!("m{number}"), 300 + 20 * number as usize);
        let done = open.deliver_all(&[account], remote, &raw).await.unwrap().value;
        if number % 3 == 0 {
            open.flag(account, inbox, &[done.local[0].2], SystemFlag::Deleted).await;
        }
        if number % 10 == 0 {
            open.expunge(account, inbox).await;
        }
    }
}

async fn snapshots(world: World) {
    let mut open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    for turn in 0..2 {
        open.store.set_segment_bytes_max(64 << 10);
        work(&open, ana, turn * 1000).await;
        let round = open.store.snapshot(open.permit(Action::Verify, None));
        // What is committed while a round is written is no less there.
        let (done, ()) = tokio::join!(round, work(&open, ana, turn * 1000 + 500));
        done.unwrap();
        work(&open, ana, turn * 1000 + 800).await;
        open.check();
        let before = answers(&open, ana);
        open.store.close();
        drop(open);
        if world.index == IndexEngine::Sled {
            std::fs::remove_dir_all(world.dir.join("index")).unwrap();
        }
        open = world.open();
        assert_eq!(answers(&open, ana), before, "turn {turn}");
        open.check();
    }
}

#[test]
fn an_index_made_from_a_round_equals_the_old_one() {
    both(snapshots);
}

#[test]
fn a_simulated_disk_does_it_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(snapshots(World::sim(5, keystore())));
}
