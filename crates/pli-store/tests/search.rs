//! The search index in the store: made in steps by a session, off the way of deliveries, and gone with what it covers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::BTreeSet;

use bytes::Bytes;
use pli_crypto::Opened;
use pli_store::*;
use pli_types::{AccountId, Action, EmailId, SystemFlag, Uid};
use world::*;

fn mail(n: usize) -> Bytes {
    let subject = if n.is_multiple_of(10) { "budget dixième" } else { "courrier" };
    let text = format!(
        "From: Ana <ana{n}@example.org>\r\nTo: bob@example.net\r\nSubject: {subject}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nMessage n{n}x, parmi d'autres. {}\r\n",
        "mots ".repeat(n % 7)
    );
    Bytes::from(text)
}

/// Brings the index up to date; returns the number of steps.
async fn index(open: &Open, keys: &Opened, account: AccountId) -> usize {
    let permit = open.permit(Action::Search, Some(account));
    let mut steps = 0;
    while let Some(step) = open.store.index_step(&permit, keys).unwrap() {
        open.store.commit_index(&permit, step).await.unwrap();
        steps += 1;
    }
    steps
}

fn search(open: &Open, keys: &Opened, account: AccountId, field: SearchField<'_>, text: &str) -> Found {
    let permit = open.permit(Action::Search, Some(account));
    open.store.read(&permit).unwrap().search(keys, field, text).unwrap()
}

fn behind(open: &Open, account: AccountId) -> u64 {
    let permit = open.permit(Action::Search, Some(account));
    open.store.read(&permit).unwrap().search_behind().unwrap()
}

fn with(found: &Found, open: &Open, account: AccountId, verdict: Verdict) -> BTreeSet<u64> {
    let inbox = open.mailbox(account, "INBOX").id;
    let emails = open.entries(account, inbox).into_iter().map(|entry| entry.email);
    emails.filter(|email| found.verdict(*email) == verdict).map(EmailId::get).collect()
}

#[test]
fn a_session_makes_the_index_and_searches_see_all_that_came() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        for n in 1..=300 {
            open.deliver(&[ana], &mail(n)).await.unwrap();
        }
        let before = open.store.quota(ana).unwrap();
        let keys = open.keys(ana);
        let subject = SearchField::Header("subject");
        let unknown = search(&open, &keys, ana, subject, "dixième");
        assert_eq!(with(&unknown, &open, ana, Verdict::Unknown).len(), 300);
        assert_eq!(behind(&open, ana), 300);

        assert_eq!(index(&open, &keys, ana).await, 1);
        assert_eq!(behind(&open, ana), 0);
        let found = search(&open, &keys, ana, subject, "dixième");
        assert_eq!(with(&found, &open, ana, Verdict::Yes), (1..=30).map(|n| n * 10).collect());
        assert_eq!(with(&found, &open, ana, Verdict::No).len(), 270);
        let one = search(&open, &keys, ana, SearchField::Body, "n123x");
        assert_eq!(with(&one, &open, ana, Verdict::Yes), BTreeSet::from([123]));
        let phrase = search(&open, &keys, ana, SearchField::Text, "n123x, parmi");
        assert_eq!(with(&phrase, &open, ana, Verdict::Maybe), BTreeSet::from([123]));

        // What comes later is not covered, and is told to be so.
        open.deliver(&[ana], &mail(301)).await.unwrap();
        let found = search(&open, &keys, ana, subject, "dixième");
        assert_eq!(with(&found, &open, ana, Verdict::Unknown), BTreeSet::from([301]));
        // Quota is that of the mail alone, and so are the counts.
        let now = open.store.quota(ana).unwrap();
        assert_eq!(now.messages_used, before.messages_used + 1);
        assert_eq!(now.bytes_used.get(), before.bytes_used.get() + mail(301).len() as u64);
        let stat = open.store.stat().unwrap();
        assert_eq!((stat.messages, stat.message_bytes), (301, now.bytes_used.get()));
        assert_eq!(open.store.bodies().unwrap(), (301, now.bytes_used.get()));
        assert!(stat.search_bytes > 1000);
        open.check();

        // Another account's keys open nothing of it.
        let permit = open.permit(Action::Search, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        assert!(matches!(reader.search(&open.keys(bob), subject, "dixième"), Err(StoreError::Keys(_))));
        let permit = open.permit(Action::List, Some(ana));
        let listing = open.store.read(&permit).unwrap().search(&keys, subject, "dixième");
        assert!(matches!(listing, Err(StoreError::WrongPermit)));

        // It is there after a new start, the index of rows made again from the log.
        open.store.close();
        drop(open);
        if world.index != IndexEngine::Memory {
            std::fs::remove_dir_all(world.dir.join("index")).unwrap();
        }
        let open = world.open();
        let found = search(&open, &open.keys(ana), ana, subject, "dixième");
        assert_eq!(with(&found, &open, ana, Verdict::Yes).len(), 30);
        open.check();

        // It goes with the account.
        open.store.remove_account(open.permit(Action::AccountRemove, Some(ana)), ana).await.unwrap();
        let stat = open.store.stat().unwrap();
        assert_eq!((open.store.bodies().unwrap().0, stat.search_bytes), (0, 0));
        open.check();
    });
}

#[tokio::test]
async fn small_segments_are_merged_and_let_go_of_removed_messages() {
    let world = World::real(IndexEngine::Memory);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let keys = open.keys(ana);
    let inbox = open.mailbox(ana, "INBOX").id;
    let mut steps = 0;
    for n in 1..=96 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
        if n % 8 == 0 {
            steps += index(&open, &keys, ana).await;
        }
    }
    assert!(steps > 12, "12 segments were made and some merged: {steps}");
    let number = |found: &Found| with(found, &open, ana, Verdict::Yes).len();
    assert_eq!(number(&search(&open, &keys, ana, SearchField::Header("from"), "@example.org")), 96);
    assert_eq!(number(&search(&open, &keys, ana, SearchField::Text, "dixième")), 9);
    // Few segments: each of their bodies counts as one in the log's accounts only.
    let size = open.store.stat().unwrap().search_bytes;
    let most: Vec<Uid> = (1..=90).map(Uid::new).collect();
    open.flag(ana, inbox, &most, SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    assert_eq!(index(&open, &keys, ana).await, 1);
    assert!(open.store.stat().unwrap().search_bytes < size / 4);
    assert_eq!(number(&search(&open, &keys, ana, SearchField::Header("from"), "@example.org")), 6);
    open.check();
    // All of them.
    open.flag(ana, inbox, &(91..=96).map(Uid::new).collect::<Vec<_>>(), SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    for n in 1..=70 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    index(&open, &keys, ana).await;
    assert_eq!(number(&search(&open, &keys, ana, SearchField::Header("from"), "@example.org")), 70);
    open.check();
}

#[tokio::test]
async fn a_step_that_is_not_committed_leaves_nothing_and_two_do_not_meet() {
    let world = World::real(IndexEngine::Memory);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let keys = open.keys(ana);
    for n in 1..=5 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    let permit = open.permit(Action::Search, Some(ana));
    let step = open.store.index_step(&permit, &keys).unwrap().unwrap();
    assert!(open.store.index_step(&permit, &keys).unwrap().is_none(), "somebody is at it");
    drop(step);
    assert_eq!(behind(&open, ana), 5);
    let step = open.store.index_step(&permit, &keys).unwrap().unwrap();
    // The account goes meanwhile.
    open.store.remove_account(open.permit(Action::AccountRemove, Some(ana)), ana).await.unwrap();
    assert!(matches!(open.store.commit_index(&permit, step).await, Err(StoreError::NoAccount(_))));
    assert_eq!(open.store.stat().unwrap().search_bytes, 0);
    open.check();
}

#[tokio::test]
async fn words_are_not_on_the_disk_and_a_damaged_segment_covers_nothing() {
    let world = World::sim(11, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let keys = open.keys(ana);
    for n in 1..=400 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    let log = |disk: &pli_io::sim::SimDisk| {
        let files = disk.files();
        let newest = files.into_iter().rfind(|(path, _)| path.extension().is_some_and(|e| e == "seg"));
        let mut bytes = newest.unwrap().1;
        // The zeros that are written ahead.
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes
    };
    let before = log(&disk).len();
    assert_eq!(index(&open, &keys, ana).await, 1);
    let bytes = log(&disk);
    for word in ["dixième", "courrier", "example.net", "PLISRCH", "n123x"] {
        assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{word}");
    }
    assert!(bytes.len() > before + 8000, "the segment is there");
    assert_eq!(with(&search(&open, &keys, ana, SearchField::Text, "dixième"), &open, ana, Verdict::Yes).len(), 40);

    // Wraps of message keys were written as well: somewhere among them stands the segment.
    for offset in (before as u64..bytes.len() as u64).step_by(1000) {
        disk.flip(std::path::Path::new("/store/segments/00000001.seg"), offset, 3).unwrap();
    }
    open.store.forget_search();
    let found = search(&open, &keys, ana, SearchField::Text, "dixième");
    assert_eq!(with(&found, &open, ana, Verdict::Unknown).len(), 400, "looked into instead");
    let damage = open.verify().damage;
    assert!(damage.iter().any(|damage| damage.kind == "body" || damage.kind == "frame"), "{damage:?}");
}

#[tokio::test]
async fn ranked_search_finds_by_stems_the_newest_mail_too() {
    let world = World::real(IndexEngine::Memory);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let keys = open.keys(ana);
    for n in 1..=40 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    index(&open, &keys, ana).await;
    for n in 41..=50 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    let permit = open.permit(Action::Search, Some(ana));
    let reader = open.store.read(&permit).unwrap();
    let find = |words: &str, limit| {
        reader.search_ranked(&keys, words, limit).unwrap().into_iter().map(|r| r.email.get()).collect::<Vec<_>>()
    };
    let mut all = find("DIXIEMES", 100);
    all.sort_unstable();
    assert_eq!(all, [10, 20, 30, 40, 50]);
    assert_eq!(find("dixième", 2).len(), 2);
    assert_eq!(find("n50x budget", 10)[0], 50);
    let inbox = open.mailbox(ana, "INBOX").id;
    open.flag(ana, inbox, &[Uid::new(10), Uid::new(50)], SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    let mut left = find("dixième", 100);
    left.sort_unstable();
    assert_eq!(left, [20, 30, 40]);
}

#[tokio::test]
async fn cold_and_warm_answers_are_the_same() {
    let world = World::real(IndexEngine::Memory);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let keys = open.keys(ana);
    for n in 1..=200 {
        open.deliver(&[ana], &mail(n)).await.unwrap();
    }
    index(&open, &keys, ana).await;
    open.store.forget_search();
    assert_eq!(open.store.search_memory(), 0);
    let cold = with(&search(&open, &keys, ana, SearchField::Body, "mots"), &open, ana, Verdict::Yes);
    assert!(open.store.search_memory() > 1000);
    let warm = with(&search(&open, &keys, ana, SearchField::Body, "mots"), &open, ana, Verdict::Yes);
    assert_eq!(cold, warm);
    assert_eq!(cold.len(), (1..=200).filter(|n| n % 7 != 0).count());
}
