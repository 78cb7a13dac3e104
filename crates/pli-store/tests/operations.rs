//! Every operation, over every index, each test ending with the store's own check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;

use pli_store::*;
use pli_types::{Action, ByteCount, FlagSet, Keyword, ModSeq, SystemFlag, Uid, UnixMillis};
use world::*;

#[test]
fn a_delivery_is_read_back_and_stays() {
    both(|world| async move {
        let raw = message("first", 20_000);
        let (ana, uid);
        {
            let open = world.create();
            ana = open.account("ana@example.org", QuotaLimit::default()).await;
            let bob = open.account("bob@example.org", QuotaLimit::default()).await;
            let done = open.deliver(&[ana, bob], &raw).await.unwrap();
            assert!(done.durable.sequence() > 0);
            uid = done.value.local[0].2;
            assert_eq!(uid, Uid::new(1));
            let inbox = open.mailbox(ana, "INBOX");
            assert_eq!((inbox.messages, inbox.unseen, inbox.bytes.get()), (1, 1, raw.len() as u64));
            let entry = open.entries(ana, inbox.id)[0];
            assert_eq!(open.body(ana, entry).unwrap(), raw);
            // One body for both.
            assert_eq!(open.store.bodies().unwrap().0, 1);
            assert_eq!(open.store.stat().unwrap().messages, 2);
            open.check();
        }
        let open = world.open();
        let inbox = open.mailbox(ana, "INBOX");
        let entry = open.entries(ana, inbox.id)[0];
        assert_eq!(entry.uid, uid);
        assert_eq!(open.body(ana, entry).unwrap(), raw);
        let permit = open.permit(Action::FetchMetadata, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        let summary = reader.summary(&open.keys(ana), entry.email).unwrap();
        assert_eq!(summary.size().get(), raw.len() as u64);
        assert_eq!(summary.envelope().subject(), Some(b"first".as_slice()));
        assert!(matches!(reader.body(&open.keys(ana), entry.email, None), Err(StoreError::WrongPermit)));
        open.check();
    });
}

#[test]
fn ranges_of_bodies_are_slices() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        for size in [0, 1, 300, 65_536, 400_000] {
            let raw = if size == 0 { bytes::Bytes::new() } else { message("ranges", size) };
            let raw = raw.slice(..raw.len().min(size.max(1).min(raw.len())));
            open.deliver(&[ana], &raw).await.unwrap();
            let inbox = open.mailbox(ana, "INBOX");
            let entry = *open.entries(ana, inbox.id).last().unwrap();
            let permit = open.permit(Action::FetchContent, Some(ana));
            let reader = open.store.read(&permit).unwrap();
            let keys = open.keys(ana);
            let len = raw.len() as u64;
            for (start, end) in [(0, len), (0, 1), (150, 260), (200, 70_000), (65_000, 66_000), (len, len + 9), (9, 3)]
            {
                let got = reader.body(&keys, entry.email, Some(start..end)).unwrap();
                let (start, end) = (start.min(len) as usize, end.min(len) as usize);
                assert_eq!(got, raw.slice(start..end.max(start)), "{size} {start}..{end}");
            }
        }
        open.check();
    });
}

#[test]
fn append_flags_copy_move_expunge() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let keys = open.keys(ana);
        let inbox = open.mailbox(ana, "INBOX").id;
        let trash = open.mailbox(ana, "Trash").id;
        let mut flags = FlagSet::default();
        flags.insert(SystemFlag::Seen);
        flags.insert_keyword(Keyword::new("$Important").unwrap());
        let messages = (0..40)
            .map(|n| AppendMessage {
                prepared: open.store.prepare(message(&format!("m{n}"), 500)).unwrap(),
                flags: flags.clone(),
                internal_date: Some(UnixMillis(n * 1000)),
            })
            .collect();
        let permit = open.permit(Action::Append, Some(ana));
        let appended = open.store.append(permit, &keys, inbox, messages).await.unwrap().value;
        assert_eq!(appended.uids.len(), 40);
        let before = open.view(ana, inbox).snapshot();
        assert_eq!(before.keywords.len(), 1);
        assert_eq!(before.by_number(1).unwrap().flags, SystemFlag::Seen.bit() | 1 << 5);

        // STORE with UNCHANGEDSINCE.
        let since = before.highest_modseq;
        let flagged = open.flag(ana, inbox, &[Uid::new(3), Uid::new(99)], SystemFlag::Flagged).await;
        assert_eq!(flagged.uids, [Uid::new(3)]);
        let permit = open.permit(Action::Store, Some(ana));
        let uids = vec![Uid::new(3), Uid::new(4)];
        let set: FlagSet = [SystemFlag::Deleted].into_iter().collect();
        let changed =
            open.store.change_flags(permit, inbox, uids, FlagMode::Add, set, Some(since)).await.unwrap().value;
        assert_eq!((changed.uids, changed.modified), (vec![Uid::new(4)], vec![Uid::new(3)]));
        let after = open.view(ana, inbox).snapshot();
        let changed: Vec<u32> = before.difference(&after).changed.iter().map(|e| e.uid.get()).collect();
        assert_eq!(changed, [3, 4]);

        // COPY costs no bytes.
        let log = open.store.bodies().unwrap().1;
        let quota = open.store.quota(ana).unwrap();
        let permit = open.permit(Action::Copy, Some(ana));
        let copied = open.store.copy(permit, inbox, vec![Uid::new(5), Uid::new(3)], trash).await.unwrap().value;
        assert_eq!(copied.uids, [(Uid::new(3), Uid::new(1)), (Uid::new(5), Uid::new(2))]);
        assert_eq!(open.store.bodies().unwrap().1, log);
        assert_eq!(open.store.quota(ana).unwrap(), quota);
        assert_eq!(&*open.view(ana, trash).snapshot().keywords, [Keyword::new("$important").unwrap()]);

        // MOVE.
        let permit = open.permit(Action::Move, Some(ana));
        let modseq = open.mailbox(ana, "INBOX").highest_modseq;
        let moved = open.store.move_messages(permit, inbox, vec![Uid::new(6)], trash).await.unwrap().value;
        assert_eq!(moved.uids, [(Uid::new(6), Uid::new(3))]);
        let permit = open.permit(Action::Select, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        assert_eq!(reader.expunged_since(inbox, modseq).unwrap(), [Uid::new(6)]);

        // EXPUNGE: what stands in two mailboxes stays in the other.
        open.flag(ana, inbox, &[Uid::new(3)], SystemFlag::Deleted).await;
        assert_eq!(open.expunge(ana, inbox).await, [Uid::new(3), Uid::new(4)]);
        assert_eq!(open.mailbox(ana, "INBOX").messages, 37);
        let kept = open.entries(ana, trash)[0];
        assert_eq!(open.body(ana, kept).unwrap(), message("m2", 500));
        assert_eq!(open.store.quota(ana).unwrap().messages_used, 39);
        let (was, is) = open.store.recalculate_quota(open.permit(Action::SetQuota, None), ana).await.unwrap().value;
        assert_eq!(was, is);
        open.check();
    });
}

#[test]
fn mailboxes_are_made_renamed_deleted() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let names = |open: &Open| -> Vec<String> { open.mailboxes(ana).iter().map(|m| m.name.to_string()).collect() };
        assert_eq!(names(&open), ["Archive", "Archive/2026", "INBOX", "Trash"]);
        let create = |text: &str| open.store.create_mailbox(open.permit(Action::Create, Some(ana)), name(text), None);
        let first = create("a/b/c").await.unwrap().value;
        assert!(matches!(create("a/b").await, Err(StoreError::Exists(_))));
        open.deliver(&[ana], &message("x", 100)).await.unwrap();
        let rename = |id, to: &str| open.store.rename_mailbox(open.permit(Action::Rename, Some(ana)), id, name(to));
        let b = open.mailbox(ana, "a/b");
        rename(b.id, "z/y").await.unwrap();
        assert_eq!(names(&open), ["Archive", "Archive/2026", "INBOX", "Trash", "a", "z", "z/y", "z/y/c"]);
        assert_eq!(open.mailbox(ana, "z/y/c").id, first.id);
        assert!(matches!(rename(b.id, "z/y/c/d").await, Err(StoreError::Impossible(_))));
        assert!(matches!(rename(b.id, "Trash").await, Err(StoreError::Exists(_))));
        // RFC 9051 §6.3.6: INBOX's messages move.
        rename(open.mailbox(ana, "INBOX").id, "old mail").await.unwrap();
        assert_eq!(open.mailbox(ana, "INBOX").messages, 0);
        assert_eq!(open.mailbox(ana, "old mail").messages, 1);
        let delete = |id| open.store.delete_mailbox(open.permit(Action::Delete, Some(ana)), id);
        assert!(matches!(delete(open.mailbox(ana, "INBOX").id).await, Err(StoreError::Impossible(_))));
        let old = open.mailbox(ana, "old mail");
        let view = open.view(ana, old.id);
        delete(old.id).await.unwrap();
        assert!(!view.snapshot().exists);
        assert_eq!(open.store.quota(ana).unwrap().messages_used, 0);
        // A mailbox of a name used before has a UIDVALIDITY above.
        let again = create("old mail").await.unwrap().value;
        assert!(again.uid_validity > old.uid_validity);
        assert!(again.id > old.id);
        let subscribe =
            |text: &str, on| open.store.subscribe(open.permit(Action::Subscribe, Some(ana)), name(text), on);
        subscribe("no such", true).await.unwrap();
        subscribe("Trash", false).await.unwrap();
        let permit = open.permit(Action::List, Some(ana));
        let subscribed = open.store.read(&permit).unwrap().subscriptions().unwrap();
        assert_eq!(subscribed, [name("Archive/2026"), name("INBOX"), name("no such")]);
        open.check();
    });
}

#[test]
fn the_last_bytes_of_a_quota_are_taken_once() {
    both(|world| async move {
        let open = Arc::new(world.create());
        let raw = message("quota", 1000);
        let limit = QuotaLimit { bytes: Some(ByteCount::new(raw.len() as u64 * 3)), messages: None };
        let ana = open.account("ana@example.org", limit).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        // All in one group.
        open.store.hold_commits(true);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (open, raw) = (Arc::clone(&open), raw.clone());
                tokio::spawn(async move { open.deliver(&[ana, bob], &raw).await })
            })
            .collect();
        while open.store.waiting_operations() < 8 {
            tokio::task::yield_now().await;
        }
        open.store.hold_commits(false);
        let mut taken = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => taken += 1,
                Err(StoreError::OverQuota { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(taken, 3);
        // All or nothing: Bob did not get what Ana had no room for.
        assert_eq!(open.mailbox(bob, "INBOX").messages, 3);
        assert_eq!(open.store.quota(ana).unwrap().bytes_used.get(), raw.len() as u64 * 3);
        assert_eq!(open.store.bodies().unwrap().0, 3);
        open.check();
    });
}

#[test]
fn a_group_is_one_sync() {
    both(|world| async move {
        let open = Arc::new(world.create());
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let before = open.store.stat().unwrap();
        for _ in 0..5 {
            open.store.hold_commits(true);
            let tasks: Vec<_> = (0..10)
                .map(|n| {
                    let open = Arc::clone(&open);
                    tokio::spawn(async move { open.deliver(&[ana], &message(&format!("g{n}"), 300)).await.unwrap() })
                })
                .collect();
            while open.store.waiting_operations() < 10 {
                tokio::task::yield_now().await;
            }
            open.store.hold_commits(false);
            for task in tasks {
                task.await.unwrap();
            }
        }
        let after = open.store.stat().unwrap();
        assert_eq!(after.commits - before.commits, 50);
        assert_eq!(after.commit_groups - before.commit_groups, 5);
        assert_eq!(after.log_syncs - before.log_syncs, 5);
        open.check();
    });
}

#[test]
fn queue_rows_come_go_and_keep_their_bytes() {
    both(|world| async move {
        let raw = message("out", 3000);
        let ids;
        {
            let open = world.create();
            let mut changed = open.store.queue_changed();
            ids = open.deliver_all(&[], &["a@remote.test", "b@remote.test"], &raw).await.unwrap().value.queued;
            assert!(changed.has_changed().unwrap());
            changed.mark_unchanged();
            open.check();
        }
        let open = world.open();
        let read = open.permit(Action::QueueRead, None);
        let due = open.store.queue_due(&read, START, 10).unwrap();
        assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
        assert_eq!(open.store.queue_body(&read, ids[1]).unwrap(), raw);
        let later = START.plus_ms(60_000);
        let change = |id, change| open.store.queue_change(open.permit(Action::QueueAttempt, None), id, change);
        change(ids[0], QueueChange::Deferred { error: String::from("450"), next_attempt: later }).await.unwrap();
        change(ids[1], QueueChange::Hold).await.unwrap();
        assert!(open.store.queue_due(&read, START, 10).unwrap().is_empty());
        assert_eq!(open.store.queue_next(&read).unwrap(), Some(later));
        assert_eq!(open.store.queue_row(&read, ids[0]).unwrap().unwrap().attempts, 1);
        change(ids[1], QueueChange::Release).await.unwrap();
        assert_eq!(open.store.queue_due(&read, START, 10).unwrap().len(), 1);
        open.check();
        let end = |id| {
            let permit = open.permit(Action::QueueAttempt, None);
            open.store.queue_end(permit, id, QueueOutcome::Delivered(String::from("250 ok")))
        };
        end(ids[1]).await.unwrap();
        assert_eq!(open.store.queue_body(&read, ids[0]).unwrap(), raw);
        assert_eq!(open.store.bodies().unwrap().0, 1);
        end(ids[0]).await.unwrap();
        assert!(matches!(end(ids[0]).await, Err(StoreError::NoQueueRow(_))));
        assert_eq!(open.store.bodies().unwrap().0, 0);
        open.check();
    });
}

#[test]
fn the_directory_is_kept() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("Ana@Example.org", QuotaLimit::default()).await;
        let domain = |open: &Open| open.permit(Action::DomainChange, None);
        open.store.add_domain(domain(&open), String::from("example.org")).await.unwrap();
        assert!(open.store.domain("example.org").unwrap().is_some());
        let used = open.store.remove_domain(domain(&open), String::from("example.org")).await;
        assert!(matches!(used, Err(StoreError::Impossible(_))));
        assert_eq!(open.store.account_by_key("ana@example.org").unwrap().unwrap().id, ana);
        let alias = Alias { address: address("info@example.org"), targets: vec![address("ana@example.org")] };
        open.store.set_alias(open.permit(Action::AliasChange, None), alias.clone()).await.unwrap();
        assert_eq!(open.store.alias("info@example.org").unwrap(), Some(alias));
        let change =
            AccountChange { suspended: Some(true), password: Some(Some(String::from("$x"))), ..Default::default() };
        open.store.change_account(open.permit(Action::AccountChange, None), ana, change).await.unwrap();
        let account = open.store.account(ana).unwrap().unwrap();
        assert!(account.suspended && account.password.is_some());
        open.deliver(&[ana], &message("x", 100)).await.unwrap();
        open.store.remove_account(open.permit(Action::AccountRemove, None), ana).await.unwrap();
        assert_eq!(open.store.account(ana).unwrap(), None);
        let stat = open.store.stat().unwrap();
        assert_eq!((stat.accounts, stat.messages, stat.message_bytes), (0, 0, 0));
        assert_eq!(open.store.bodies().unwrap(), (0, 0));
        open.store.remove_alias(open.permit(Action::AliasChange, None), address("info@example.org")).await.unwrap();
        open.store.remove_domain(domain(&open), String::from("example.org")).await.unwrap();
        let next = open.account("ana@example.org", QuotaLimit::default()).await;
        assert!(next > ana);
        open.check();
    });
}

#[test]
fn permits_fit_or_nothing_is_done() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        let wrong = open.store.expunge(open.permit(Action::Store, Some(ana)), inbox, None).await;
        assert!(matches!(wrong, Err(StoreError::WrongPermit)));
        // Another's mailbox is not there.
        let other = open.store.expunge(open.permit(Action::Expunge, Some(bob)), inbox, None).await;
        assert!(matches!(other, Err(StoreError::NoMailbox)));
        assert!(open.store.open_keys(&open.permit(Action::Select, Some(ana))).is_err());
        // Another's keys open nothing.
        open.deliver(&[ana], &message("secret", 100)).await.unwrap();
        let entry = open.entries(ana, inbox)[0];
        let permit = open.permit(Action::FetchContent, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        assert!(matches!(reader.body(&open.keys(bob), entry.email, None), Err(StoreError::Keys(_))));
        open.check();
    });
}

#[test]
fn the_first_read_replaces_the_seal() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let raw = message("first read", 400);
        open.deliver(&[ana], &raw).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX").id;
        let entry = open.entries(ana, inbox)[0];
        let before = open.store.stat().unwrap();
        assert_eq!(open.body(ana, entry).unwrap(), raw);
        // Rides along with the next commit that waits for nobody; here with closing.
        open.store.close();
        drop(open);
        let open = world.open();
        assert_eq!(open.body(ana, entry).unwrap(), raw);
        let events = open.store.stat().unwrap().audit_entries;
        assert_eq!(events, before.audit_entries, "a wrap is no event");
        open.check();
    });
}

#[test]
fn views_follow_commits() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let inbox = open.mailbox(ana, "INBOX").id;
        let view = open.view(ana, inbox);
        let mut watch = view.subscribe();
        let before = view.snapshot();
        open.deliver(&[ana], &message("one", 100)).await.unwrap();
        assert!(watch.has_changed().unwrap());
        let now = watch.borrow_and_update().clone();
        assert_eq!(before.difference(&now).added, 1);
        assert_eq!((now.messages, now.uid_next), (1, Uid::new(2)));
        open.flag(ana, inbox, &[Uid::new(1)], SystemFlag::Deleted).await;
        open.expunge(ana, inbox).await;
        let last = view.snapshot();
        assert_eq!(now.difference(&last).expunged, [(1, Uid::new(1))]);
        assert!(last.highest_modseq > now.highest_modseq);
        assert!(last.highest_modseq > ModSeq::new(0));
        // A view loaded anew is the one that was patched.
        drop((view, open));
        let open = world.open();
        let fresh = open.view(ana, inbox).snapshot();
        assert_eq!((fresh.messages, fresh.uid_next, fresh.highest_modseq), (0, Uid::new(2), last.highest_modseq));
    });
}

#[test]
fn events_are_recorded_with_their_effects() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        open.deliver(&[ana], &message("x", 100)).await.unwrap();
        let event = pli_audit::Event::new("here", open.session(), Action::Login, START).account(ana);
        open.store.record(open.permit(Action::Login, Some(ana)), event.clone()).await.unwrap();
        open.store.note(open.permit(Action::Logout, Some(ana)), event);
        open.store.close();
        drop(open);
        let open = world.open();
        let read = open.permit(Action::AuditRead, None);
        let events = open.store.audit_events(&read, 0, 100).unwrap();
        let actions: Vec<Action> = events.iter().map(|(_, event)| event.operation).collect();
        use Action::{AccountCreate, Deliver, Login};
        assert_eq!(actions, [AccountCreate, Deliver, Deliver, Login, Login]);
        assert_eq!(events.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let (size, note) = open.store.audit_checkpoint();
        assert_eq!(size, 5);
        assert!(note.unwrap().starts_with("mail.example.org/pli\n5\n"));
        assert_eq!(open.store.audit_verify(&open.permit(Action::Verify, None)).unwrap().damage, []);
        open.check();
    });
}

#[test]
fn new_epochs_are_made_ahead() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let make = || open.store.make_due_epochs(open.permit(Action::KeyRotate, None));
        make().await.unwrap();
        world.clock.advance(std::time::Duration::from_secs(31 * 86_400));
        // Late: the old epoch still serves.
        let raw = message("late", 100);
        open.deliver(&[ana], &raw).await.unwrap();
        assert!(make().await.unwrap() >= 1);
        assert_eq!(make().await.unwrap(), 0);
        open.deliver(&[ana], &raw).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX").id;
        for entry in open.entries(ana, inbox) {
            assert_eq!(open.body(ana, entry).unwrap(), raw);
        }
        open.check();
    });
}

/// An account's id and the keys of an epoch are in the commit of their audit event, not before it.
#[test]
fn effects_and_their_events_are_one_commit() {
    both(|world| async move {
        let open = world.create();
        let commits = || open.store.stat().unwrap().commits;
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        assert_eq!(commits(), 1);
        let again = NewAccount {
            address: address("ana@example.org"),
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: QuotaLimit::default(),
            language: String::from("fr"),
            mailboxes: Vec::new(),
        };
        let refused = open.store.create_account(open.permit(Action::AccountCreate, None), again).await;
        assert!(matches!(refused, Err(StoreError::Exists(_))));
        let ben = open.account("ben@example.org", QuotaLimit::default()).await;
        assert!(ben > ana);
        assert_eq!(commits(), 2);
        world.clock.advance(std::time::Duration::from_secs(31 * 86_400));
        let made = open.store.make_due_epochs(open.permit(Action::KeyRotate, None)).await.unwrap();
        assert!(made >= 2);
        assert_eq!(commits(), 3);
        let events = open.store.audit_events(&open.permit(Action::AuditRead, None), 0, 100).unwrap();
        assert_eq!(events.iter().filter(|(_, e)| format!("{e:?}").contains("\"epochs\"")).count(), 1);
        open.check();
    });
}

#[test]
fn a_mailbox_copied_into_itself_ends() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        open.deliver(&[ana], &message("many", 200)).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX").id;
        let mut refused = false;
        for _ in 0..12 {
            let uids: Vec<Uid> = open.entries(ana, inbox).iter().map(|entry| entry.uid).collect();
            match open.store.copy(open.permit(Action::Copy, Some(ana)), inbox, uids, inbox).await {
                Ok(_) => assert!(!refused),
                Err(StoreError::Limit(_)) => refused = true,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused);
        assert!(open.entries(ana, inbox).len() <= 100);
        open.check();
    });
}

#[test]
fn counts_are_those_of_the_accounts_and_no_message_is_looked_at() {
    both(|world| async move {
        let open = world.create();
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let bob = open.account("bob@example.org", QuotaLimit::default()).await;
        let (one, two) = (message("one", 700), message("two", 900));
        open.deliver_all(&[ana, bob], &["x@remote.test"], &one).await.unwrap();
        open.deliver(&[bob], &two).await.unwrap();
        let sizes = [one.len() as u64, two.len() as u64];
        let shown = |open: &Open| {
            let stat = open.store.stat().unwrap();
            (stat.accounts, stat.messages, stat.message_bytes, stat.queued)
        };
        let expected = (2, 3, 2 * sizes[0] + sizes[1], 1);
        assert_eq!(shown(&open), expected);
        assert_eq!(open.store.bodies().unwrap(), (2, sizes[0] + sizes[1]));
        open.check();
        // A body row that cannot be read would break off whatever goes over all of them.
        let key = [&[0x31u8][..], &[0xfe; 8]].concat();
        open.store.plant_row(&key, Some(b"no row".to_vec()), false).await.unwrap();
        assert!(open.store.bodies().is_err());
        assert_eq!(shown(&open), expected);
    });
}
