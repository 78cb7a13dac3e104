//! The index and its engines: changed from one to the other, made again from the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::path::Path;

use pli_store::*;
use pli_types::{AccountId, SystemFlag, Uid};
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
    let permit = open.permit(pli_types::Action::QueueRead, None);
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
