//! What `repair` mends, what it leaves, and that it makes nothing worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

fn key(table: u8, parts: &[u64]) -> Vec<u8> {
    let mut key = vec![table];
    parts.iter().for_each(|part| key.extend_from_slice(&part.to_be_bytes()));
    key
}

async fn repair(open: &Open, dry_run: bool, online: bool) -> RepairReport {
    let options = RepairOptions { dry_run, online, ..RepairOptions::default() };
    open.store.repair(open.permit(Action::Repair, None), options, Box::new(|_| {})).await.unwrap()
}

async fn mails(open: &Open) -> AccountId {
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    for n in 0..5 {
        open.deliver_all(&[ana], &["out@elsewhere.test"], &message(&format!("m{n}"), 700)).await.unwrap();
    }
    ana
}

fn bodies(open: &Open, account: AccountId) -> Vec<String> {
    let keys = open.keys(account);
    let mut all = Vec::new();
    for mailbox in open.mailboxes(account) {
        for entry in open.entries(account, mailbox.id) {
            all.push(String::from_utf8_lossy(&open.body_with(&keys, account, entry).unwrap()).into_owned());
        }
    }
    all.sort();
    all
}

fn body_of(open: &Open, account: AccountId, email: u64) -> u64 {
    let row = open.store.raw_row(&key(0x30, &[account.get(), email])).unwrap().unwrap();
    u64::from_be_bytes(row[1..9].try_into().unwrap())
}

/// Each wrong row, count, name and order is mended; mail and numbers are as they were; it is recorded; a second repair
/// finds nothing.
#[test]
fn what_can_be_mended_is_mended() {
    both(|world| async move {
        let open = world.create();
        let ana = mails(&open).await;
        let inbox = open.mailbox(ana, "INBOX");
        let before = (bodies(&open, ana), open.mailboxes(ana), open.store.quota(ana).unwrap());
        assert_eq!(repair(&open, false, false).await, RepairReport { passes: 1, ..RepairReport::default() });
        type Change = Box<dyn Fn(&mut Vec<u8>)>;
        let body = body_of(&open, ana, 2);
        let mailbox = key(0x20, &[ana.get(), inbox.id.get()]);
        let cases: Vec<(Vec<u8>, Option<Change>)> = vec![
            // Quota, number of mailboxes, the counts of a mailbox.
            (key(0x16, &[ana.get()]), Some(Box::new(|row| row[12] ^= 1))),
            (key(0x16, &[ana.get()]), Some(Box::new(|row| row[11] ^= 1))),
            (mailbox.clone(), Some(Box::new(|row| row[43] ^= 1))),
            (mailbox, Some(Box::new(|row| row[47] ^= 1))),
            // A row of the index alone that is another one's, and one that is missing there.
            (key(0x30, &[ana.get(), 3]), None),
            (key(0x31, &[body]), None),
        ];
        for (at, (row, change)) in cases.into_iter().enumerate() {
            let value = open.store.raw_row(&row).unwrap().unwrap();
            let planted = change.as_ref().map(|change| {
                let mut value = value.clone();
                change(&mut value);
                value
            });
            // In the index alone, and (for counts) in the log as well.
            for in_log in [false, true] {
                if in_log && change.is_none() {
                    continue;
                }
                open.store.plant_row(&row, planted.clone(), in_log).await.unwrap();
                assert!(!open.verify().damage.is_empty(), "case {at}");
                let would = repair(&open, true, false).await;
                assert!(would.dry_run && !would.mended.is_empty() && would.copies.is_none(), "{would:?}");
                assert!(!open.verify().damage.is_empty(), "case {at}: a dry run changes nothing");
                let done = repair(&open, false, false).await;
                assert_eq!(done.left, [], "case {at}: {done:?}");
                assert!(!done.mended.is_empty());
                // What was replaced is there to look at, and nothing of it in the clear.
                let copies =
                    std::fs::read_to_string(std::path::Path::new(&done.copies.unwrap()).join("replaced.jsonl"));
                assert!(copies.unwrap().contains("\"sealed\""));
                open.check();
                world.clock.advance(std::time::Duration::from_secs(1));
                let after = (bodies(&open, ana), open.mailboxes(ana), open.store.quota(ana).unwrap());
                assert_eq!(after, before, "case {at}, in the log: {in_log}");
            }
        }
        let events = open.store.audit_events(&open.permit(Action::AuditRead, None), 0, 1000).unwrap();
        assert!(events.iter().filter(|(_, event)| format!("{event:?}").contains("Repair")).count() >= 6);
        open.check();
        // And after a start from the log alone.
        open.store.close();
        drop(open);
        let _ = std::fs::remove_dir_all(world.dir.join("index"));
        let open = world.open();
        assert_eq!((bodies(&open, ana), open.mailboxes(ana), open.store.quota(ana).unwrap()), before);
        open.check();
    });
}

/// Messages that no mailbox has any more come back in a mailbox of their own; a body whose row is lost is found again.
#[test]
fn lost_places_and_bodies_are_found_again() {
    both(|world| async move {
        let open = world.create();
        let ana = mails(&open).await;
        let inbox = open.mailbox(ana, "INBOX");
        let before = bodies(&open, ana);
        // The block of entries is gone from the log too.
        let mut block = key(0x23, &[inbox.id.get()]);
        block.extend_from_slice(&0_u32.to_be_bytes());
        open.store.plant_row(&block, None, true).await.unwrap();
        let done = repair(&open, false, false).await;
        assert_eq!(done.left, [], "{done:?}");
        assert_eq!(open.mailbox(ana, "INBOX").messages, 0);
        assert_eq!(open.mailbox(ana, "INBOX").uid_next, inbox.uid_next, "UIDs are never given out again");
        assert_eq!(open.mailbox(ana, "Récupérés").messages, 5);
        assert_eq!(bodies(&open, ana), before);
        open.check();
        // A body's row.
        let body = body_of(&open, ana, 4);
        open.store.plant_row(&key(0x31, &[body]), None, true).await.unwrap();
        let done = repair(&open, false, false).await;
        assert_eq!(done.left, [], "{done:?}");
        assert_eq!(bodies(&open, ana), before);
        open.check();
        // Its summary stands in the frame, and can be made again besides.
        let permit = open.permit(Action::FetchContent, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        let email = pli_types::EmailId::new(4);
        let keys = open.keys(ana);
        assert_eq!(reader.summary(&keys, email).unwrap(), reader.summary_again(&keys, email).unwrap());
        assert_eq!(reader.summary_again(&keys, email).unwrap().envelope().subject(), Some(&b"m3"[..]));
        // It goes like any other.
        let mailbox = open.mailbox(ana, "Récupérés").id;
        let all: Vec<Uid> = open.entries(ana, mailbox).into_iter().map(|entry| entry.uid).collect();
        open.flag(ana, mailbox, &all, SystemFlag::Deleted).await;
        open.expunge(ana, mailbox).await;
        open.check();
    });
}

/// What cannot be mended is listed by address, mailbox and UID; and nothing else is touched.
#[test]
fn what_is_lost_is_listed() {
    both(|world| async move {
        let open = world.create();
        let ana = mails(&open).await;
        open.store.close();
        drop(open);
        // A bit in the frame of the second message's body.
        let path = world.dir.join("segments/00000001.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        let (mut at, mut seen) = (320_usize, 0);
        loop {
            let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            seen += u32::from(bytes[at + 8] == 1);
            if seen == 2 {
                bytes[at + 32 + length / 2] ^= 1;
                break;
            }
            at += (32 + length + 16).next_multiple_of(8);
        }
        // And one in the first copy of the header.
        bytes[50] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let open = world.open();
        let done = repair(&open, false, false).await;
        assert!(done.mended.iter().any(|what| what.contains("its header is there twice again")), "{done:?}");
        let messages: Vec<&HurtMessage> = done.left.iter().filter_map(|damage| damage.message.as_ref()).collect();
        assert_eq!(messages.len(), 1, "{done:?}");
        let lost = messages[0];
        assert_eq!((&*lost.address, &*lost.mailbox, lost.uid), ("ana@example.org", "INBOX", Uid::new(2)));
        assert!(lost.size.is_some() && lost.received.is_some());
        assert!(done.left.iter().any(|damage| damage.kind == "frame"), "{done:?}");
        // The header is whole, the frame is as it was; the four others are served.
        bytes[50] ^= 1;
        assert_eq!(std::fs::read(&path).unwrap()[..bytes.len()], bytes[..]);
        let inbox = open.mailbox(ana, "INBOX").id;
        let keys = open.keys(ana);
        let readable = open.entries(ana, inbox).into_iter().filter(|e| open.body_with(&keys, ana, *e).is_ok()).count();
        assert_eq!(readable, 4);
        // Its queue entry is held with the reason.
        let permit = open.permit(Action::QueueRead, None);
        let rows = open.store.queue_list(&permit, None, 10).unwrap();
        let held: Vec<&QueueRow> = rows.iter().filter(|row| row.held).collect();
        assert_eq!((rows.len(), held.len()), (5, 1));
        assert!(held[0].last_error.as_deref().unwrap().contains("damaged"));
        // Again: nothing more to do, the same is left.
        let again = repair(&open, false, false).await;
        assert_eq!((again.mended.len(), again.left.len()), (0, done.left.len()), "{again:?}");
    });
}

/// While others use the store, only what is counted within its commit is mended.
#[test]
fn online_it_leaves_rows_alone() {
    both(|world| async move {
        let open = world.create();
        let ana = mails(&open).await;
        let state = key(0x16, &[ana.get()]);
        let mut value = open.store.raw_row(&state).unwrap().unwrap();
        value[12] ^= 1;
        open.store.plant_row(&state, Some(value), true).await.unwrap();
        let lost = key(0x30, &[ana.get(), 3]);
        open.store.plant_row(&lost, None, false).await.unwrap();
        let done = repair(&open, false, true).await;
        assert!(done.needs_offline.iter().any(|what| what.contains("row Message")), "{done:?}");
        assert!(open.store.raw_row(&lost).unwrap().is_none());
        let done = repair(&open, false, false).await;
        assert_eq!(done.left, [], "{done:?}");
        open.check();
    });
}
