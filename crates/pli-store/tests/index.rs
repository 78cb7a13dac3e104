//! The index and its engines: changed from one to the other, made again from the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::path::Path;

use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Something of every kind of row.
async fn busy(open: &Open) -> AccountId {
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let inbox = open.mailbox(ana, "INBOX").id;
    for n in 0..60 {
        let remote: &[&str] = if n % 10 == 0 { &["x@elsewhere.example"] } else { &[] };
        open.deliver_all(&[ana], remote, &message(&format!("m{n}"), 3000)).await.unwrap();
    }
    open.flag(ana, inbox, &[Uid::new(2), Uid::new(9)], SystemFlag::Flagged).await;
    open.flag(ana, inbox, &[Uid::new(5), Uid::new(7)], SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    ana
}

/// Every answer about an account.
fn picture(open: &Open, account: AccountId) -> String {
    let keys = open.keys(account);
    let mut text = String::new();
    for mailbox in open.mailboxes(account) {
        text.push_str(&format!("{mailbox:?}\n"));
        for entry in open.entries(account, mailbox.id) {
            let body = open.body_with(&keys, account, entry).unwrap();
            text.push_str(&format!("{entry:?} {:?}\n", pli_crypto::sha256(&body)));
        }
    }
    let permit = open.permit(Action::QueueRead, None);
    text.push_str(&format!("{:?}\n", open.store.queue_list(&permit, None, 100).unwrap()));
    text.push_str(&format!("{:?} {:?}", open.store.quota(account).unwrap(), open.store.account(account).unwrap()));
    text
}

/// Names of the generations there are.
fn generations(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn another_engine_takes_the_index_over() {
    let mut world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let before = picture(&open, ana);
    drop(open);
    assert_eq!(generations(&world.dir), ["0001-sled"]);
    for (engine, names) in [
        (IndexEngine::Fjall, ["0001-sled", "0002-fjall"]),
        // Opened again as it is.
        (IndexEngine::Fjall, ["0001-sled", "0002-fjall"]),
        (IndexEngine::Sled, ["0002-fjall", "0003-sled"]),
        (IndexEngine::Sled, ["0002-fjall", "0003-sled"]),
    ] {
        world.index = engine;
        let open = world.open();
        assert_eq!(open.store.stat().unwrap().index_engine, engine.name());
        assert_eq!(picture(&open, ana), before);
        open.check();
        drop(open);
        assert_eq!(generations(&world.dir), names);
    }
}

#[test]
fn an_index_of_the_first_format_is_sleds() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let before = picture(&open, ana);
    drop(open);
    std::fs::rename(world.dir.join("index/0001-sled"), world.dir.join("index/0001")).unwrap();
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    drop(open);
    assert_eq!(generations(&world.dir), ["0001"]);
}

/// Waits for the rebuild that runs, and says how it ended.
fn rebuilt(open: &Open) -> RebuildStatus {
    for _ in 0..2000 {
        let status = open.store.rebuild_status();
        if !status.running {
            return status;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the rebuild does not end");
}

fn rebuild_events(open: &Open) -> Vec<String> {
    let permit = open.permit(Action::AuditRead, None);
    let events = open.store.audit_events(&permit, 0, 10_000).unwrap();
    events
        .into_iter()
        .filter(|(_, event)| event.operation == Action::Operate)
        .filter_map(|(_, event)| event.result.reason)
        .collect()
}

/// While it is made again, mail comes in and is read; what came in meanwhile is in the new one.
#[test]
fn an_index_is_made_again_while_it_serves() {
    for (engine, next) in [
        (IndexEngine::Sled, IndexEngine::Fjall),
        (IndexEngine::Fjall, IndexEngine::Sled),
        (IndexEngine::Fjall, IndexEngine::Fjall),
        (IndexEngine::Memory, IndexEngine::Memory),
    ] {
        let mut world = World::real(engine);
        let open = world.create();
        block_on(async {
            let ana = busy(&open).await;
            open.store.set_segment_bytes_max(60_000);
            for round in 0..3 {
                open.store.start_rebuild(&open.permit(Action::Operate, None), Some(next)).unwrap();
                let mut count = 0;
                while open.store.rebuild_status().running || count < 5 {
                    open.deliver(&[ana], &message(&format!("meanwhile{round}-{count}"), 4000)).await.unwrap();
                    count += 1;
                    assert!(open.store.condition().is_ok());
                }
                let status = rebuilt(&open);
                assert_eq!((status.error, status.rebuilds, &*status.engine), (None, round + 1, next.name()));
                assert!(status.serving && status.frames > 0);
                open.check();
            }
            open.deliver(&[ana], &message("after", 4000)).await.unwrap();
            assert_eq!(open.store.stat().unwrap().index_rebuilds, 3);
            let before = picture(&open, ana);
            drop(open);
            if engine != IndexEngine::Memory {
                let names = generations(&world.dir);
                assert_eq!(names.len(), 2, "{names:?}");
                assert_eq!(names[1], format!("0004-{}", next.name()));
            }
            world.index = next;
            let open = world.open();
            assert_eq!(open.store.stat().unwrap().index_rebuilds, 0);
            assert_eq!(picture(&open, ana), before);
            assert_eq!(rebuild_events(&open), ["index rebuilt: asked for"; 3]);
            open.check();
        });
    }
}

#[test]
fn two_rebuilds_at_once_and_one_without_leave_are_refused() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let wrong = open.permit(Action::Verify, None);
    assert!(matches!(open.store.start_rebuild(&wrong, None), Err(StoreError::WrongPermit)));
    let permit = open.permit(Action::Operate, None);
    assert!(matches!(open.store.start_rebuild(&permit, Some(IndexEngine::Memory)), Err(StoreError::Impossible(_))));
    // Held back, the committer does not change over.
    open.store.hold_commits(true);
    open.store.start_rebuild(&permit, None).unwrap();
    let second = open.store.start_rebuild(&permit, None);
    if open.store.rebuild_status().running {
        assert!(matches!(second, Err(StoreError::Impossible(_))), "{second:?}");
    }
    open.store.hold_commits(false);
    let before = picture(&open, ana);
    // Closed in the middle: the one in use stays.
    open.store.close();
    drop(open);
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    open.check();
}

/// Before the server starts: from segments alone, whatever is there.
#[test]
fn an_index_is_made_again_at_a_start() {
    let mut world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let before = picture(&open, ana);
    drop(open);
    for engine in [IndexEngine::Sled, IndexEngine::Fjall, IndexEngine::Sled] {
        world.index = engine;
        let progress = RebuildProgress::default();
        let open = Open::new(Store::open_rebuilding(world.options(), &progress).unwrap());
        let (done, total) = progress.bytes();
        assert!(done == total && total > 0 && progress.frames() > 60, "{done} {total}");
        let stat = open.store.stat().unwrap();
        assert_eq!((&*stat.index_engine, stat.index_rebuilds), (engine.name(), 1));
        assert_eq!(picture(&open, ana), before);
        open.check();
    }
    let progress = RebuildProgress::default();
    progress.cancel();
    assert!(matches!(Store::open_rebuilding(world.options(), &progress), Err(OpenError::Index(_))));
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    assert_eq!(rebuild_events(&open)[..3], ["index rebuilt: asked for"; 3]);
}

/// A generation beside the one in use, which a crash left half-filled, is removed.
#[test]
fn a_half_filled_generation_is_not_used() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let before = picture(&open, ana);
    drop(open);
    std::fs::create_dir(world.dir.join("index/0002-fjall")).unwrap();
    std::fs::write(world.dir.join("index/current"), "0001-sled").unwrap();
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    drop(open);
    assert_eq!(generations(&world.dir), ["0001-sled", "current"]);
}
