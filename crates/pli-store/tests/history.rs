//! The history of expunges: bounded, and never an answer that hides one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::BTreeSet;

use pli_store::*;
use pli_types::{Action, ModSeq, SystemFlag, Uid};
use world::*;

/// Floor, rows, UIDs, as the row has them.
fn history(open: &Open, mailbox: pli_types::MailboxId) -> (u64, u64, u64) {
    let row = open.store.raw_row(&[&[0x54][..], &mailbox.get().to_be_bytes()].concat()).unwrap().unwrap();
    let mut numbers = Vec::new();
    let mut rest = &row[1..];
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        numbers.push(rest[..end].iter().rev().fold(0_u64, |n, byte| n << 7 | u64::from(byte & 0x7f)));
        rest = &rest[end..];
    }
    (numbers[0], numbers[1], numbers[2])
}

#[tokio::test]
async fn what_vanished_is_told_however_long_one_was_away() {
    let world = World::sim(1, keystore());
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    for n in 0..180 {
        open.deliver(&[ana], &message(&format!("number {n}"), 10)).await.unwrap();
    }
    // Entries by the thousand without as many messages.
    let inbox = open.mailbox(ana, "INBOX").id;
    let permit = open.permit(Action::Create, Some(ana));
    let target = open.store.create_mailbox(permit, name("Box"), None).await.unwrap().value.id;
    let all: Vec<Uid> = open.entries(ana, inbox).iter().map(|entry| entry.uid).collect();
    for _ in 0..99 {
        let permit = open.permit(Action::Copy, Some(ana));
        open.store.copy(permit, inbox, all.clone(), target).await.unwrap();
    }
    let mut told: Vec<(ModSeq, Uid)> = Vec::new();
    let mut moments = vec![open.mailbox(ana, "Box").highest_modseq];
    let mut rows_max = 0;
    // Every seventh of the first, one by one; then the rest in pieces of different sizes.
    let mut left: BTreeSet<Uid> = open.entries(ana, target).iter().map(|entry| entry.uid).collect();
    assert_eq!(left.len(), 17_820);
    let singles: Vec<Vec<Uid>> = left.iter().step_by(7).take(700).map(|uid| vec![*uid]).collect();
    singles.iter().flatten().for_each(|uid| {
        left.remove(uid);
    });
    let rest: Vec<Uid> = left.iter().copied().collect();
    let pieces = singles.into_iter().chain(rest[..16_900].chunks(1_690).map(<[Uid]>::to_vec));
    for gone in pieces {
        open.flag(ana, target, &gone, SystemFlag::Deleted).await;
        let permit = open.permit(Action::Expunge, Some(ana));
        assert_eq!(open.store.expunge(permit, target, Some(gone.clone())).await.unwrap().value, gone);
        let now = open.mailbox(ana, "Box").highest_modseq;
        told.extend(gone.iter().map(|uid| (now, *uid)));
        moments.push(now);
        let (_, rows, uids) = history(&open, target);
        rows_max = rows_max.max(rows);
        assert!(uids <= 16_384);
    }
    assert!((400..=512).contains(&rows_max), "{rows_max}");
    let (floor, rows, _) = history(&open, target);
    assert!(floor > 0 && rows < 520, "{floor} {rows}");
    let permit = open.permit(Action::Select, Some(ana));
    let reader = open.store.read(&permit).unwrap();
    let snapshot = reader.view(target).unwrap().snapshot();
    let there: BTreeSet<u32> = snapshot.iter().map(|(_, entry)| entry.uid.get()).collect();
    for since in moments {
        let ranges = reader.vanished_since(&snapshot, since).unwrap();
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "ranges rise and do not touch");
        let answer: BTreeSet<u32> = ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
        assert!(answer.is_disjoint(&there));
        assert!(told.iter().filter(|(modseq, _)| *modseq > since).all(|(_, uid)| answer.contains(&uid.get())));
        if since.get() < floor {
            assert_eq!(answer.len() + there.len(), 17_820, "all that is not there");
        }
    }
    // Another mailbox of the name starts anew.
    let permit = open.permit(Action::Delete, Some(ana));
    open.store.delete_mailbox(permit, target).await.unwrap();
    assert_eq!(open.store.raw_row(&[&[0x54][..], &target.get().to_be_bytes()].concat()).unwrap(), None);
    open.check();
}
