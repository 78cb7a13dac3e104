//! Faults short of a crash: full disks, failed calls, flipped bits, a lost index, wrong keys, a second process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::path::{Path, PathBuf};

use pli_crypto::{FileKeyStore, SecretString};
use pli_io::sim::Fault;
use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Everything that a client could see, in words.
fn picture(open: &Open, account: AccountId) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for mailbox in open.mailboxes(account) {
        writeln!(out, "{mailbox:?}").unwrap();
        let keys = open.keys(account);
        for entry in open.entries(account, mailbox.id) {
            let body = open.body_with(&keys, account, entry).map(|b| pli_crypto::sha256(&b));
            writeln!(out, "  {entry:?} {body:?}").unwrap();
        }
        let permit = open.permit(Action::Select, Some(account));
        let reader = open.store.read(&permit).unwrap();
        writeln!(out, "  {:?}", reader.expunged_since(mailbox.id, pli_types::ModSeq::new(0)).unwrap()).unwrap();
        writeln!(out, "  {:?}", reader.subscriptions().unwrap()).unwrap();
    }
    let permit = open.permit(Action::QueueRead, None);
    writeln!(out, "{:?}", open.store.queue_list(&permit, None, 100).unwrap()).unwrap();
    writeln!(out, "{:?}", open.store.quota(account).unwrap()).unwrap();
    writeln!(out, "{:?}", open.store.accounts(None, 100).unwrap()).unwrap();
    let audit = open.permit(Action::AuditRead, None);
    let events = open.store.audit_events(&audit, 0, 1000).unwrap();
    // That the index was made again is recorded, and is no answer of it.
    let events: Vec<_> = events.into_iter().filter(|(_, event)| event.operation != Action::Operate).collect();
    writeln!(out, "{events:?}").unwrap();
    out
}

async fn busy(open: &Open) -> AccountId {
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let inbox = open.mailbox(ana, "INBOX").id;
    for n in 0..40 {
        open.deliver_all(&[ana], if n % 9 == 0 { &["x@remote.test"] } else { &[] }, &message(&format!("m{n}"), 800))
            .await
            .unwrap();
    }
    open.flag(ana, inbox, &[Uid::new(3), Uid::new(30)], SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    let trash = open.mailbox(ana, "Trash").id;
    let permit = open.permit(Action::Copy, Some(ana));
    open.store.copy(permit, inbox, vec![Uid::new(5), Uid::new(6)], trash).await.unwrap();
    ana
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let world = World::sim(1, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    block_on(async {
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        open.deliver(&[ana], &message("fits", 500)).await.unwrap();
        let used: u64 = disk.files().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        disk.set_space(Some(used + 600));
        for n in 0..5 {
            // More than there is room written ahead.
            let full = open.deliver(&[ana], &message(&format!("full{n}"), 4_000_000)).await;
            assert!(matches!(full, Err(StoreError::DiskFull)), "{full:?}");
        }
        assert_eq!(open.mailbox(ana, "INBOX").messages, 1);
        disk.set_space(None);
        open.deliver(&[ana], &message("fits again", 500)).await.unwrap();
        open.check();
        open.store.close();
    });
    drop(open);
    let open = world.open();
    open.check();
    assert_eq!(open.store.stat().unwrap().messages, 2);
}

#[test]
fn at_the_limit_of_open_files_it_refuses_and_goes_on_when_that_is_over() {
    let world = World::sim(8, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    let ana = block_on(async {
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        // Each group needs a segment of its own.
        open.store.set_segment_bytes_max(1);
        open.deliver(&[ana], &message("before", 500)).await.unwrap();
        disk.set_out_of_files(true);
        for n in 0..5 {
            let refused = open.deliver(&[ana], &message(&format!("refused{n}"), 500)).await;
            assert!(matches!(refused, Err(StoreError::NoFiles)), "{refused:?}");
        }
        open.store.condition().unwrap();
        disk.set_out_of_files(false);
        open.deliver(&[ana], &message("after", 500)).await.unwrap();
        open.check();
        open.store.close();
        ana
    });
    drop(open);
    let open = world.open();
    open.check();
    assert_eq!(open.mailbox(ana, "INBOX").messages, 2);
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_taken_until_it_is_opened_again() {
    for fault in [Fault::Write, Fault::ShortWrite, Fault::Sync] {
        let world = World::sim(2, keystore());
        let disk = world.disk.clone().unwrap();
        let open = world.create();
        let ana = block_on(async {
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            open.deliver(&[ana], &message("before", 500)).await.unwrap();
            disk.inject(fault, 0);
            let failed = open.deliver(&[ana], &message("lost", 500)).await;
            assert!(matches!(failed, Err(StoreError::Stopped(_))), "{fault:?} {failed:?}");
            let after = open.deliver(&[ana], &message("after", 500)).await;
            assert!(matches!(after, Err(StoreError::Stopped(_))));
            // What is there is still read.
            let inbox = open.mailbox(ana, "INBOX").id;
            assert_eq!(open.body(ana, open.entries(ana, inbox)[0]).unwrap(), message("before", 500));
            ana
        });
        drop(open);
        let open = world.open();
        open.check();
        block_on(open.deliver(&[ana], &message("again", 500))).unwrap();
        open.check();
    }
}

/// After a failed fdatasync the page cache shows what the disk does not have, and no later sync mends that by itself.
#[test]
fn what_a_failed_sync_left_is_written_again_or_cut_off() {
    for seed in 0..40 {
        let world = World::sim(seed, keystore());
        let disk = world.disk.clone().unwrap();
        let open = world.create();
        let ana = block_on(async {
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            open.deliver(&[ana], &message("before", 500)).await.unwrap();
            disk.inject(Fault::Sync, 0);
            open.deliver(&[ana], &message("unknown", 3000)).await.unwrap_err();
            ana
        });
        drop(open);
        // The process starts again; the machine, and its page cache, went on.
        let open = world.open();
        let messages = open.mailbox(ana, "INBOX").messages;
        block_on(open.deliver(&[ana], &message("after", 500))).unwrap();
        disk.crash();
        drop(open);
        disk.restart();
        let open = world.open();
        assert_eq!(open.mailbox(ana, "INBOX").messages, messages + 1);
        open.check();
    }
}

#[test]
fn half_a_segment_header_holds_nothing() {
    let world = World::sim(7, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    let ana = block_on(open.account("ana@example.org", QuotaLimit::default()));
    open.store.close();
    drop(open);
    let open = world.open();
    // The first write of a new start is the header of its segment.
    disk.inject(Fault::ShortWrite, 0);
    block_on(open.deliver(&[ana], &message("x", 500))).unwrap_err();
    drop(open);
    let open = world.open();
    block_on(open.deliver(&[ana], &message("y", 500))).unwrap();
    open.check();
}

#[test]
fn a_failed_read_is_an_error_of_that_read() {
    let world = World::sim(3, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    block_on(async {
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        open.deliver(&[ana], &message("x", 500)).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX").id;
        let entry = open.entries(ana, inbox)[0];
        disk.inject(Fault::Read, 0);
        assert!(matches!(open.body(ana, entry), Err(StoreError::Io(_))));
        assert!(open.body(ana, entry).is_ok());
    });
}

#[test]
fn the_wrong_key_and_a_second_process_are_told() {
    let mut world = World::real(IndexEngine::Sled);
    let open = world.create();
    let second = Store::open(world.options()).err().unwrap();
    assert!(matches!(second, OpenError::InUse { pid } if pid == std::process::id()), "{second}");
    assert!(matches!(Store::create(world.options()), Err(OpenError::InUse { .. })));
    drop(open);
    assert!(matches!(Store::create(world.options()), Err(OpenError::AlreadyThere(_))));
    let right = std::mem::replace(&mut world.keys, keystore());
    assert!(matches!(Store::open(world.options()), Err(OpenError::WrongKey)));
    let (under_passphrase, _) = FileKeyStore::generate(Some(&SecretString::from("x"))).unwrap();
    world.keys = std::sync::Arc::new(under_passphrase);
    assert!(matches!(Store::open(world.options()), Err(OpenError::WrongKey)));
    world.keys = right;
    world.open().check();
    world.dir = world.dir.join("nothing");
    assert!(matches!(Store::open(world.options()), Err(OpenError::NoStore(_))));
}

#[test]
fn a_lost_index_comes_back_equal() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    open.store.close();
    drop(open);
    let open = world.open();
    let before = picture(&open, ana);
    open.check();
    drop(open);
    std::fs::remove_dir_all(world.dir.join("index")).unwrap();
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    open.check();
    drop(open);
    // The other engine, from the same log.
    let world = World { index: IndexEngine::Memory, ..world };
    let open = world.open();
    assert_eq!(picture(&open, ana), before);
    open.check();
}

/// Every file of sled damaged, one after the other.
#[test]
fn a_damaged_index_is_made_again() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    open.store.close();
    let before;
    {
        drop(open);
        let open = world.open();
        before = picture(&open, ana);
    }
    for round in 0..4 {
        let mut files = Vec::new();
        collect(&world.dir.join("index"), &mut files);
        let newest = files
            .iter()
            .filter_map(|f| f.strip_prefix(world.dir.join("index")).ok())
            .filter_map(|f| f.iter().next())
            .max()
            .unwrap()
            .to_owned();
        for file in files.iter().filter(|f| f.starts_with(world.dir.join("index").join(&newest))) {
            let mut bytes = std::fs::read(file).unwrap();
            match round {
                0 => bytes.truncate(bytes.len() / 2),
                1 => bytes.iter_mut().step_by(97).for_each(|b| *b ^= 0x55),
                2 => bytes.clear(),
                _ => bytes = vec![0xff; bytes.len()],
            }
            std::fs::write(file, bytes).unwrap();
        }
        let open = world.open();
        // Damage that shows only when a row is read leads to a rebuild while it runs.
        for _ in 0..100 {
            if open.store.stat().is_ok()
                && open
                    .store
                    .verify(&open.permit(Action::Verify, None), &mut |_, _| {})
                    .is_ok_and(|r| r.damage.is_empty())
            {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        open.check();
        assert_eq!(picture(&open, ana), before, "round {round}");
    }
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// One flipped bit anywhere in the log is found and named, and hurts one message at most.
#[test]
fn a_flipped_bit_is_found_and_hurts_one_message_only() {
    let world = World::sim(4, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    let ana = block_on(async {
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        for n in 0..12 {
            open.deliver(&[ana], &message(&format!("m{n}"), 700)).await.unwrap();
        }
        ana
    });
    let inbox = open.mailbox(ana, "INBOX").id;
    // While the server runs, so that the index has the rows: the log is the one that is damaged.
    let segment = Path::new("/store/segments/00000001.seg");
    let length = disk.files().iter().find(|(path, _)| path == segment).unwrap().1.len() as u64;
    let mut hurt = 0;
    let keys = open.keys(ana);
    for offset in (0..length).step_by(53) {
        let bit = 1 << (offset % 8);
        disk.flip(segment, offset, bit).unwrap();
        let report = open.verify();
        let is_padding = report.damage.is_empty();
        let unreadable =
            open.entries(ana, inbox).into_iter().filter(|e| open.body_with(&keys, ana, *e).is_err()).count();
        assert!(unreadable <= 1, "offset {offset}: {unreadable} messages hurt");
        hurt += unreadable;
        if unreadable == 1 {
            let named = report.damage.iter().filter(|d| d.kind == "body" && d.place.contains("UID")).count();
            assert_eq!(named, 1, "offset {offset}: {:?}", report.damage);
        }
        disk.flip(segment, offset, bit).unwrap();
        if is_padding {
            // Nothing but the zeros between frames may change unseen.
            let bytes = &disk.files().into_iter().find(|(path, _)| path == segment).unwrap().1;
            assert_eq!(bytes[offset as usize], 0, "offset {offset} is unprotected");
        }
    }
    assert!(hurt > 10);
    open.check();
}

/// The same after a start from the log alone: what the damaged frame held is missing, the rest is served.
#[test]
fn a_start_over_damage_serves_the_rest() {
    let mut missing = 0;
    for offset_step in 0..24 {
        let world = World::sim(5, keystore());
        let disk = world.disk.clone().unwrap();
        let open = world.create();
        let ana = block_on(async {
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            for n in 0..10 {
                open.deliver(&[ana], &message(&format!("m{n}"), 700)).await.unwrap();
            }
            ana
        });
        drop(open);
        let segment = Path::new("/store/segments/00000001.seg");
        let length = disk.files().iter().find(|(path, _)| path == segment).unwrap().1.len() as u64;
        // In the second half: the first holds the account itself.
        let offset = length / 2 + offset_step * (length / 2 / 24);
        disk.flip(segment, offset, 4).unwrap();
        let open = world.open();
        let inbox = open.mailbox(ana, "INBOX").id;
        let keys = open.keys(ana);
        let readable = open.entries(ana, inbox).into_iter().filter(|e| open.body_with(&keys, ana, *e).is_ok()).count();
        assert!(readable >= 9, "offset {offset}: only {readable} left");
        if readable < 10 {
            missing += 1;
            assert!(!open.verify().damage.is_empty(), "offset {offset}: unseen");
        }
        block_on(open.deliver(&[ana], &message("goes on", 100))).unwrap();
    }
    assert!(missing > 3);
}

#[test]
fn a_torn_tail_is_cut_off() {
    for cut in 1..60 {
        let world = World::sim(cut, keystore());
        let disk = world.disk.clone().unwrap();
        let open = world.create();
        let ana = block_on(async {
            let ana = open.account("ana@example.org", QuotaLimit::default()).await;
            open.deliver(&[ana], &message("stays", 300)).await.unwrap();
            disk.inject(Fault::Sync, 0);
            open.deliver(&[ana], &message("torn", 2000)).await.unwrap_err();
            ana
        });
        disk.crash();
        drop(open);
        disk.restart();
        let open = world.open();
        let messages = open.mailbox(ana, "INBOX").messages;
        assert!(messages == 1 || messages == 2);
        open.check();
        block_on(open.deliver(&[ana], &message("next", 300))).unwrap();
        open.check();
        drop(open);
        let open = world.open();
        assert_eq!(open.mailbox(ana, "INBOX").messages, messages + 1);
        open.check();
    }
}

#[test]
fn the_disk_shows_no_plaintext() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    block_on(async {
        let ana = open.account("margarethe@example.org", QuotaLimit::default()).await;
        let permit = open.permit(Action::Create, Some(ana));
        open.store.create_mailbox(permit, name("Geheimfach"), None).await.unwrap();
        // Too short and too random to be compressed away.
        for n in 0..50 {
            let raw = message(&format!("Quittenbrot{n}"), 200 + n * 40);
            open.deliver_all(&[ana], &["kassiopeia@remote.test"], &raw).await.unwrap();
        }
        let permit = open.permit(Action::FetchContent, Some(ana));
        let inbox = open.mailbox(ana, "INBOX").id;
        let keys = open.keys(ana);
        for entry in open.entries(ana, inbox) {
            open.store.read(&permit).unwrap().summary(&keys, entry.email).unwrap();
        }
    });
    open.store.close();
    drop(open);
    let mut files = Vec::new();
    collect(&world.dir, &mut files);
    assert!(files.len() > 4);
    let mut bytes_seen = 0;
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        bytes_seen += bytes.len();
        for word in ["Quittenbrot", "margarethe", "Geheimfach", "kassiopeia", "remote.test", "ana@example", "INBOX"] {
            let found = bytes.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
            assert!(!found, "{word} in {}", file.display());
        }
    }
    assert!(bytes_seen > 50_000);
}

#[test]
fn replay_is_idempotent() {
    let world = World::real(IndexEngine::Sled);
    let open = world.create();
    let ana = block_on(busy(&open));
    let before = picture(&open, ana);
    // As after a kill: the index has more than its recorded position says, or less.
    let copy = tempfile::tempdir().unwrap();
    let target = copy.path().join("store");
    copy_dir(&world.dir, &target);
    drop(open);
    for _ in 0..3 {
        let again = World { dir: target.clone(), keys: world.keys.clone(), ..World::real(IndexEngine::Sled) };
        let open = again.open();
        assert_eq!(picture(&open, ana), before);
        open.check();
    }
}

#[test]
fn a_damaged_summary_is_made_again_once() {
    let world = World::sim(9, keystore());
    let disk = world.disk.clone().unwrap();
    let open = world.create();
    block_on(async {
        let ana = open.account("ana@example.org", QuotaLimit::default()).await;
        let ben = open.account("ben@example.org", QuotaLimit::default()).await;
        open.deliver(&[ana], &message("whole", 500)).await.unwrap();
        let inbox = open.mailbox(ana, "INBOX").id;
        let email = open.entries(ana, inbox)[0].email;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let message_row =
            open.store.raw_row(&[&[0x30][..], &ana.get().to_be_bytes(), &email.get().to_be_bytes()].concat());
        let body = message_row.unwrap().unwrap()[1..9].to_vec();
        let row = open.store.raw_row(&[&[0x31][..], &body].concat()).unwrap().unwrap();
        // The last byte of the frame's payload, behind its header of 32.
        let last = number(&row[5..13]) + 32 + number(&row[13..17]) - 1;
        let (segment, _) =
            disk.files().into_iter().find(|(path, _)| path.starts_with(world.dir.join("segments"))).unwrap();
        disk.flip(&segment, last, 1).unwrap();

        let permit = open.permit(Action::FetchContent, Some(ana));
        let reader = open.store.read(&permit).unwrap();
        let keys = open.keys(ana);
        let lost = reader.summary(&keys, email);
        assert!(matches!(lost, Err(StoreError::Damaged(Damaged::Summary(_)))), "{lost:?}");
        let made = reader.summary_again(&keys, email).unwrap();
        // From now on it is there, sealed as before.
        assert_eq!(reader.summary(&keys, email).unwrap(), made);
        assert!(reader.summary(&open.keys(ben), email).is_err());
        // What verifies looks at the disk.
        let permit = open.permit(Action::Verify, Some(ana));
        let report = open.store.verify_messages(&permit, &VerifyOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.damage.len(), 1, "{report:?}");
    });
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
