//! The past: moments read from the log, and mail brought back out of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pli_store::*;
use pli_types::{AccountId, Action, ByteCount, MailboxId, SystemFlag, Uid, UnixMillis};
use world::*;

/// What an account's mail looks like: for each mailbox its UIDVALIDITY and, for each message, UID, flags and size.
type Picture = BTreeMap<String, (u32, Vec<(u32, u64, u64)>)>;

fn picture(reader: &Reader<'_>) -> Picture {
    let mut picture = Picture::new();
    for mailbox in reader.mailboxes().unwrap() {
        let snapshot = reader.view(mailbox.id).unwrap().snapshot();
        assert_eq!(snapshot.messages, mailbox.messages, "{}", mailbox.name);
        let entries = snapshot
            .iter()
            .map(|(_, entry)| (entry.uid.get(), entry.flags, reader.message(entry.email).unwrap().size.get()));
        picture.insert(mailbox.name.to_string(), (mailbox.uid_validity.get(), entries.collect()));
    }
    picture
}

fn now(open: &Open, account: AccountId) -> Picture {
    let permit = open.permit(Action::FetchMetadata, Some(account));
    picture(&open.store.read(&permit).unwrap())
}

async fn moment(open: &Open, account: AccountId, at: UnixMillis) -> Arc<Moment> {
    open.store.moment(&open.permit(Action::Past, Some(account)), at).await.unwrap()
}

async fn then(open: &Open, account: AccountId, at: UnixMillis) -> Picture {
    let moment = moment(open, account, at).await;
    assert!(moment.is_whole());
    let permit = open.permit(Action::FetchMetadata, Some(account));
    picture(&open.store.read_past(&permit, &moment).unwrap())
}

/// The time now; the clock goes on, so that what follows is later.
fn tick(world: &World) -> UnixMillis {
    use pli_io::Clock as _;
    let now = world.clock.now();
    world.clock.advance(Duration::from_secs(60));
    now
}

async fn delete(open: &Open, account: AccountId, mailbox: MailboxId, uid: Uid) {
    open.flag(account, mailbox, &[uid], SystemFlag::Deleted).await;
    assert_eq!(open.expunge(account, mailbox).await, [uid]);
}

async fn restore(
    open: &Open,
    moment: &Moment,
    from: MailboxId,
    uids: &[u32],
    to: MailboxId,
) -> Result<Vec<(Uid, Uid)>, StoreError> {
    let permit = open.permit(Action::Restore, Some(moment.account()));
    let uids = uids.iter().copied().map(Uid::new).collect();
    open.store.restore(permit, moment, from, uids, to).await.map(|done| done.value.uids)
}

#[test]
fn what_was_expunged_is_read_and_comes_back_byte_for_byte() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        let (first, second) = (message("first", 90_000), message("second", 700));
        open.deliver(&[ana], &first).await.unwrap();
        open.deliver(&[ana, bob], &second).await.unwrap();
        open.flag(ana, inbox, &[Uid::new(1)], SystemFlag::Flagged).await;
        let at = tick(&world);
        let before = now(&open, ana);
        delete(&open, ana, inbox, Uid::new(1)).await;
        delete(&open, ana, inbox, Uid::new(2)).await;
        tick(&world);

        let past = moment(&open, ana, at).await;
        let permit = open.permit(Action::FetchContent, Some(ana));
        let reader = open.store.read_past(&permit, &past).unwrap();
        assert_eq!(picture(&reader), before);
        let keys = open.keys(ana);
        let snapshot = reader.view(inbox).unwrap().snapshot();
        let email = |uid| snapshot.by_uid(Uid::new(uid)).unwrap().email;
        assert_eq!(reader.body(&keys, email(1), None).unwrap(), first);
        assert_eq!(reader.body(&keys, email(1), Some(70_000..70_100)).unwrap(), first.slice(70_000..70_100));
        assert_eq!(reader.body(&keys, email(2), None).unwrap(), second);
        assert_eq!(reader.summary(&keys, email(1)).unwrap().envelope().subject(), Some(b"first".as_slice()));
        // The same mail of somebody else is none of theirs.
        let others = open.permit(Action::FetchContent, Some(bob));
        assert!(matches!(open.store.read_past(&others, &past), Err(StoreError::WrongPermit)));

        let trash = open.mailbox(ana, "Trash").id;
        let used = open.store.quota(ana).unwrap();
        assert_eq!(used.messages_used, 0);
        let back = restore(&open, &past, inbox, &[1, 2, 9], trash).await.unwrap();
        assert_eq!(back, [(Uid::new(1), Uid::new(1)), (Uid::new(2), Uid::new(2))]);
        let entries = open.entries(ana, trash);
        assert_eq!(entries[0].flags, SystemFlag::Flagged.bit());
        assert_eq!(open.body(ana, entries[0]).unwrap(), first);
        assert_eq!(open.body(ana, entries[1]).unwrap(), second);
        assert!(entries.iter().all(|entry| entry.email != email(1) && entry.email != email(2)));
        let used = open.store.quota(ana).unwrap();
        assert_eq!((used.messages_used, used.bytes_used.get()), (2, (first.len() + second.len()) as u64));
        // One body each, as ever.
        assert_eq!(open.store.bodies().unwrap().0, 2);
        open.check();
        drop(open);
        let open = world.open();
        assert_eq!(open.body(ana, open.entries(ana, trash)[0]).unwrap(), first);
        open.check();
    });
}

#[test]
fn a_message_that_is_still_there_costs_nothing_and_deleted_stays_behind() {
    both(|world| async move {
        let open = world.create();
        let limit = QuotaLimit { bytes: None, messages: Some(1) };
        let ana = open.account("ana@example.org", limit).await;
        let (inbox, trash) = (open.mailbox(ana, "INBOX").id, open.mailbox(ana, "Trash").id);
        open.deliver(&[ana], &message("one", 500)).await.unwrap();
        open.flag(ana, inbox, &[Uid::new(1)], SystemFlag::Deleted).await;
        let at = tick(&world);
        let past = moment(&open, ana, at).await;
        restore(&open, &past, inbox, &[1], trash).await.unwrap();
        assert_eq!(open.entries(ana, trash)[0].email, open.entries(ana, inbox)[0].email);
        assert_eq!(open.entries(ana, trash)[0].flags, 0);
        assert_eq!(open.store.quota(ana).unwrap().messages_used, 1);
        open.check();
    });
}

#[test]
fn quota_holds_all_or_nothing() {
    both(|world| async move {
        let open = world.create();
        let limit = QuotaLimit { bytes: Some(ByteCount::new(3_000)), messages: None };
        let ana = open.account("ana@example.org", limit).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        for subject in ["a", "b"] {
            open.deliver(&[ana], &message(subject, 1_200)).await.unwrap();
        }
        let at = tick(&world);
        delete(&open, ana, inbox, Uid::new(1)).await;
        delete(&open, ana, inbox, Uid::new(2)).await;
        open.deliver(&[ana], &message("c", 1_200)).await.unwrap();
        let past = moment(&open, ana, at).await;
        let refused = restore(&open, &past, inbox, &[1, 2], inbox).await;
        assert!(matches!(refused, Err(StoreError::OverQuota { .. })), "{refused:?}");
        assert_eq!(open.entries(ana, inbox).len(), 1);
        restore(&open, &past, inbox, &[2], inbox).await.unwrap();
        assert_eq!(open.entries(ana, inbox).len(), 2);
        open.check();
    });
}

#[test]
fn moments_outside_the_window_are_refused() {
    both(|world| async move {
        use pli_io::Clock as _;
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        open.store.set_retention(Duration::from_secs(3600));
        let permit = open.permit(Action::Past, Some(ana));
        let now = world.clock.now();
        let refused = |error| match error {
            Err(StoreError::Past(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(open.store.moment(&permit, now).await), PastError::Future);
        let earliest = now.plus_ms(-3_600_000);
        assert_eq!(refused(open.store.moment(&permit, earliest.plus_ms(-1)).await), PastError::TooOld { earliest });
        // Before the account was: nothing there.
        let moment = open.store.moment(&permit, earliest).await.unwrap();
        let read = open.permit(Action::List, Some(ana));
        assert_eq!(open.store.read_past(&read, &moment).unwrap().mailboxes().unwrap(), []);
        let wrong = open.permit(Action::List, Some(ana));
        assert!(matches!(open.store.moment(&wrong, earliest).await, Err(StoreError::WrongPermit)));
        let gone = AccountId::new(99);
        let nobody = open.permit(Action::Past, Some(gone));
        assert!(matches!(open.store.moment(&nobody, earliest).await, Err(StoreError::NoAccount(id)) if id == gone));
    });
}

/// A small generator, so that each case replays from its number.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// One random change.
async fn change(open: &Open, account: AccountId, state: &mut u64) {
    let mailboxes = open.mailboxes(account);
    let mailbox = &mailboxes[next(state) as usize % mailboxes.len()];
    let other = &mailboxes[next(state) as usize % mailboxes.len()];
    let entries = open.entries(account, mailbox.id);
    let uid = entries.get(next(state) as usize % entries.len().max(1)).map_or(Uid::new(1), |entry| entry.uid);
    match next(state) % 8 {
        0 | 1 => {
            let raw = message(&format!("m{}", next(state)), 300 + next(state) as usize % 900);
            open.deliver(&[account], &raw).await.unwrap();
        }
        2 => {
            open.flag(account, mailbox.id, &[uid], SystemFlag::Seen).await;
        }
        3 => {
            open.flag(account, mailbox.id, &[uid], SystemFlag::Deleted).await;
            open.expunge(account, mailbox.id).await;
        }
        4 => {
            let permit = open.permit(Action::Copy, Some(account));
            open.store.copy(permit, mailbox.id, vec![uid], other.id).await.unwrap();
        }
        5 => {
            let permit = open.permit(Action::Move, Some(account));
            open.store.move_messages(permit, mailbox.id, vec![uid], other.id).await.unwrap();
        }
        6 => {
            let permit = open.permit(Action::Create, Some(account));
            let made = open.store.create_mailbox(permit, name(&format!("f{}", next(state) % 5)), None).await;
            assert!(matches!(made, Ok(_) | Err(StoreError::Exists(_))));
        }
        _ if mailbox.name.is_inbox() => {}
        _ => {
            if next(state).is_multiple_of(2) {
                let permit = open.permit(Action::Delete, Some(account));
                open.store.delete_mailbox(permit, mailbox.id).await.unwrap();
            } else {
                let permit = open.permit(Action::Rename, Some(account));
                let to = name(&format!("r{}", next(state)));
                open.store.rename_mailbox(permit, mailbox.id, to).await.unwrap();
            }
        }
    }
}

#[test]
fn any_moment_is_as_it_was() {
    both(|world| async move {
        let mut open = world.create();
        open.store.set_segment_bytes_max(16 << 10);
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        let mut state = 7;
        let mut seen = Vec::new();
        for number in 0..40 {
            // Others, whose rows fill the snapshots before and after.
            let other = open.account(&format!("x{number}@example.org"), QuotaLimit::default()).await;
            let raws: Vec<_> = (0..3).map(|n| message(&format!("x{number}-{n}"), 6_000)).collect();
            for raw in raws {
                open.deliver(&[other], &raw).await.unwrap();
            }
        }
        for step in 0..120 {
            if step % 25 == 10 {
                let round = open.store.snapshot(open.permit(Action::Verify, None));
                let busy = async {
                    for _ in 0..10 {
                        change(&open, ana, &mut state).await;
                    }
                };
                let (round, ()) = tokio::join!(round, busy);
                round.unwrap();
            }
            change(&open, ana, &mut state).await;
            change(&open, bob, &mut state).await;
            seen.push((tick(&world), now(&open, ana), now(&open, bob)));
            if step % 40 == 39 {
                drop(open);
                open = world.open();
                open.store.set_segment_bytes_max(16 << 10);
            }
        }
        for (at, ana_then, bob_then) in seen.iter().step_by(7) {
            assert_eq!(then(&open, ana, *at).await, *ana_then, "{at}");
            // Any time up to the next change is the same moment.
            assert_eq!(then(&open, bob, at.plus_ms(59_999)).await, *bob_then, "{at}");
        }
        // Messages that are long gone are still read.
        let keys = open.keys(ana);
        let permit = open.permit(Action::FetchContent, Some(ana));
        for (at, ..) in seen.iter().step_by(30) {
            let past = moment(&open, ana, *at).await;
            let reader = open.store.read_past(&permit, &past).unwrap();
            for mailbox in reader.mailboxes().unwrap() {
                for (_, entry) in reader.view(mailbox.id).unwrap().snapshot().iter() {
                    let meta = reader.message(entry.email).unwrap();
                    assert_eq!(pli_crypto::sha256(&reader.body(&keys, entry.email, None).unwrap()), meta.digest);
                }
            }
        }
        open.check();
    });
}

/// A clock that was wrong for a while does not hide what came before and after.
#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    both(|world| async move {
        use pli_io::Clock as _;
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let right = world.clock.now();
        world.clock.set(right.plus_ms(86_400_000));
        open.deliver(&[ana], &message("ahead", 400)).await.unwrap();
        world.clock.set(right.plus_ms(1000));
        open.deliver(&[ana], &message("right again", 400)).await.unwrap();
        let at = tick(&world);
        open.deliver(&[ana], &message("later", 400)).await.unwrap();
        assert_eq!(then(&open, ana, at).await["INBOX"].1.len(), 2);
    });
}

async fn rewind(
    open: &Open,
    moment: &Moment,
    only: Option<&str>,
    dry_run: bool,
) -> Result<Vec<(String, u32, u32, u32)>, StoreError> {
    let permit = open.permit(Action::Rewind, Some(moment.account()));
    let only = only.map(name);
    let done = open.store.rewind(permit, moment, only.as_ref(), name("Aside"), dry_run).await?;
    Ok(done.into_iter().map(|r| (r.mailbox.name.to_string(), r.same, r.restored, r.aside)).collect())
}

/// Flags and content of a mailbox, in its order.
fn contents(open: &Open, account: AccountId, mailbox: &str) -> Vec<(u64, bytes::Bytes)> {
    let id = open.mailbox(account, mailbox).id;
    let entries = open.entries(account, id);
    entries.iter().map(|entry| (entry.flags, open.body(account, *entry).unwrap())).collect()
}

#[test]
fn a_mailbox_is_put_back_and_what_came_later_stays_aside() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let inbox = open.mailbox(ana, "INBOX");
        for subject in ["one", "two", "three"] {
            open.deliver(&[ana], &message(subject, 800)).await.unwrap();
        }
        open.flag(ana, inbox.id, &[Uid::new(2)], SystemFlag::Seen).await;
        // The same message twice in one mailbox.
        let permit = open.permit(Action::Copy, Some(ana));
        open.store.copy(permit, inbox.id, vec![Uid::new(3)], inbox.id).await.unwrap();
        let then = contents(&open, ana, "INBOX");
        let at = tick(&world);
        delete(&open, ana, inbox.id, Uid::new(1)).await;
        delete(&open, ana, inbox.id, Uid::new(4)).await;
        open.flag(ana, inbox.id, &[Uid::new(2)], SystemFlag::Flagged).await;
        let permit = open.permit(Action::Delete, Some(ana));
        open.store.delete_mailbox(permit, open.mailbox(ana, "Archive/2026").id).await.unwrap();
        open.deliver(&[ana], &message("later", 800)).await.unwrap();
        let (before, used) = (now(&open, ana), open.store.quota(ana).unwrap());
        let watched = open.view(ana, inbox.id);

        let past = moment(&open, ana, at).await;
        let plan = rewind(&open, &past, Some("INBOX"), true).await.unwrap();
        assert_eq!(plan, [(String::from("INBOX"), 2, 2, 1)]);
        assert_eq!((now(&open, ana), open.store.quota(ana).unwrap()), (before.clone(), used));
        assert_eq!(rewind(&open, &past, Some("INBOX"), false).await.unwrap(), plan);
        assert_eq!(contents(&open, ana, "INBOX"), then);
        assert_eq!(contents(&open, ana, "Aside/INBOX"), [(0, message("later", 800))]);
        let row = open.mailbox(ana, "INBOX");
        assert!(row.uid_validity > inbox.uid_validity);
        let uids: Vec<u32> = open.entries(ana, inbox.id).iter().map(|entry| entry.uid.get()).collect();
        assert_eq!(uids, [6, 7, 8, 9]);
        // Who has it open sees the new messages, not the old ones under new numbers.
        assert_eq!(watched.snapshot().iter().map(|(_, entry)| entry.uid.get()).collect::<Vec<_>>(), uids);
        let used = open.store.quota(ana).unwrap();
        assert_eq!(used.messages_used, 4);
        open.check();

        // All of it: the mailbox that was deleted is there again.
        let all = rewind(&open, &past, None, false).await.unwrap();
        let names: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["Archive", "Archive/2026", "INBOX", "Trash"]);
        assert_eq!(contents(&open, ana, "INBOX"), then);
        assert!(matches!(rewind(&open, &past, Some("Nowhere"), false).await, Err(StoreError::Missing(_))));
        let wrong = open.permit(Action::Restore, Some(ana));
        assert!(matches!(
            open.store.rewind(wrong, &past, None, name("Aside"), false).await,
            Err(StoreError::WrongPermit)
        ));
        open.check();
        drop(open);
        let open = world.open();
        assert_eq!(contents(&open, ana, "INBOX"), then);
        open.check();
    });
}

#[test]
fn a_rewinding_over_quota_leaves_everything() {
    both(|world| async move {
        let open = world.create();
        let limit = QuotaLimit { bytes: None, messages: Some(2) };
        let ana = open.account("ana@example.org", limit).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        open.deliver(&[ana], &message("one", 400)).await.unwrap();
        open.deliver(&[ana], &message("two", 400)).await.unwrap();
        let at = tick(&world);
        delete(&open, ana, inbox, Uid::new(1)).await;
        open.deliver(&[ana], &message("later", 400)).await.unwrap();
        let before = now(&open, ana);
        let past = moment(&open, ana, at).await;
        for dry_run in [true, false] {
            let refused = rewind(&open, &past, None, dry_run).await;
            assert!(matches!(refused, Err(StoreError::OverQuota { .. })), "{refused:?}");
        }
        assert_eq!(now(&open, ana), before);
        open.check();
    });
}

#[test]
fn hours_with_changes_are_listed_while_the_window_reaches_them() {
    both(|world| async move {
        use pli_io::Clock as _;
        const HOUR: i64 = 3_600_000;
        let hour = |time: UnixMillis| UnixMillis(time.0 - time.0.rem_euclid(HOUR));
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        let start = hour(world.clock.now());
        let hours = |account| open.store.changed_hours(&open.permit(Action::Past, Some(account))).unwrap();
        world.clock.set(start.plus_ms(5 * HOUR + 60_000));
        open.deliver(&[ana], &message("five hours later", 400)).await.unwrap();
        open.deliver(&[ana], &message("again", 400)).await.unwrap();
        world.clock.set(start.plus_ms(30 * HOUR));
        open.flag(ana, open.mailbox(ana, "INBOX").id, &[Uid::new(1)], SystemFlag::Seen).await;
        assert_eq!(hours(ana), [start, start.plus_ms(5 * HOUR), start.plus_ms(30 * HOUR)]);
        assert_eq!(hours(bob), [start]);
        open.store.set_retention(Duration::from_secs(24 * 3600));
        assert_eq!(hours(ana), [start.plus_ms(30 * HOUR)]);
        open.check();
        // The rows of days out of reach go with the first change of a day.
        world.clock.set(start.plus_ms(100 * HOUR));
        open.deliver(&[ana], &message("days later", 400)).await.unwrap();
        open.store.set_retention(Duration::from_secs(1000 * 3600));
        assert_eq!(hours(ana), [start.plus_ms(100 * HOUR)]);
        let permit = open.permit(Action::AccountRemove, Some(ana));
        open.store.remove_account(permit, ana).await.unwrap();
        open.check();
    });
}

/// A moment after a snapshot round is made from it alone; one before it is refused once the log's beginning is gone.
#[test]
fn a_moment_after_a_round_needs_nothing_before_it() {
    both(|world| async move {
        let open = world.create();
        open.store.set_segment_bytes_max(8 << 10);
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let early = tick(&world);
        for number in 0..30 {
            open.deliver(&[ana], &message(&format!("m{number}"), 900)).await.unwrap();
        }
        open.store.snapshot(open.permit(Action::Verify, None)).await.unwrap();
        let at = tick(&world);
        let before = now(&open, ana);
        delete(&open, ana, open.mailbox(ana, "INBOX").id, Uid::new(4)).await;
        tick(&world);
        std::fs::remove_file(world.dir.join("segments/00000001.seg")).unwrap();
        std::fs::remove_file(world.dir.join("segments/00000002.seg")).unwrap();
        assert_eq!(then(&open, ana, at).await, before);
        let refused = open.store.moment(&open.permit(Action::Past, Some(ana)), early).await;
        assert!(matches!(refused, Err(StoreError::Past(PastError::TooOld { .. }))), "{refused:?}");
    });
}

/// Every message of every mailbox of a moment opens, and is what came in.
fn opens(open: &Open, keys: &pli_crypto::Opened, past: &Moment) -> usize {
    let permit = open.permit(Action::FetchContent, Some(past.account()));
    let reader = open.store.read_past(&permit, past).unwrap();
    let mut count = 0;
    for mailbox in reader.mailboxes().unwrap() {
        for (_, entry) in reader.view(mailbox.id).unwrap().snapshot().iter() {
            let meta = reader.message(entry.email).unwrap();
            assert_eq!(pli_crypto::sha256(&reader.body(keys, entry.email, None).unwrap()), meta.digest);
            count += 1;
        }
    }
    count
}

#[test]
fn moments_of_the_window_survive_compaction_and_older_ones_are_refused() {
    both(|world| async move {
        let all = Compaction { all: true, bytes_per_second: None };
        let open = world.create();
        open.store.set_segment_bytes_max(16 << 10);
        open.store.set_retention(Duration::from_secs(24 * 3600));
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let keys = open.keys(ana);
        let mut state = 11;
        let mut seen = Vec::new();
        let mut dropped = 0;
        for step in 0..72 {
            for _ in 0..4 {
                change(&open, ana, &mut state).await;
            }
            seen.push((tick(&world), now(&open, ana)));
            world.clock.advance(Duration::from_secs(3540));
            if step % 6 == 5 {
                let done = open.store.compact(open.permit(Action::Compact, None), all).await.unwrap();
                dropped += done.segments_dropped;
            }
        }
        assert!(dropped > 5, "{dropped}");
        let earliest = open.store.earliest_moment();
        let (inside, outside): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(at, _)| *at >= earliest);
        assert!(inside.len() >= 23 && outside.len() >= 40);
        let mut messages = 0;
        for (at, picture) in inside.iter().step_by(3) {
            assert_eq!(then(&open, ana, *at).await, *picture, "{at}");
            messages += opens(&open, &keys, &*moment(&open, ana, *at).await);
        }
        assert!(messages > 50, "{messages}");
        // A longer window does not bring back what is gone: it is refused, not shown with holes.
        open.store.set_retention(Duration::from_secs(1000 * 3600));
        let (at, _) = &outside[3];
        let refused = open.store.moment(&open.permit(Action::Past, Some(ana)), *at).await;
        assert!(matches!(refused, Err(StoreError::Past(PastError::TooOld { .. }))), "{refused:?}");
        open.check();
    });
}

#[test]
fn a_message_that_the_window_has_left_is_gone_for_good() {
    both(|world| async move {
        let all = Compaction { all: true, bytes_per_second: None };
        let open = world.create();
        open.store.set_retention(Duration::from_secs(24 * 3600));
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        open.deliver(&[ana], &message("gone", 3_000)).await.unwrap();
        open.deliver(&[ana], &message("stays", 3_000)).await.unwrap();
        let at = tick(&world);
        // Somebody looks at it for a long time.
        let past = moment(&open, ana, at).await;
        delete(&open, ana, inbox, Uid::new(1)).await;
        for _ in 0..3 {
            open.store.compact(open.permit(Action::Compact, None), all).await.unwrap();
            world.clock.advance(Duration::from_secs(25 * 3600));
        }
        let permit = open.permit(Action::FetchContent, Some(ana));
        let reader = open.store.read_past(&permit, &past).unwrap();
        let emails: Vec<_> = reader.view(inbox).unwrap().snapshot().iter().map(|(_, entry)| entry.email).collect();
        let keys = open.keys(ana);
        assert!(matches!(reader.body(&keys, emails[0], None), Err(StoreError::Past(PastError::Gone))));
        assert_eq!(reader.body(&keys, emails[1], None).unwrap(), message("stays", 3_000));
        let refused = restore(&open, &past, inbox, &[1, 2], inbox).await;
        assert!(matches!(refused, Err(StoreError::Past(PastError::Gone))), "{refused:?}");
        assert_eq!(open.entries(ana, inbox).len(), 1);
        restore(&open, &past, inbox, &[2], inbox).await.unwrap();
        open.check();
    });
}
