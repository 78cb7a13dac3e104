//! Crashes on a simulated disk: a thousand seeded cases. The disk loses what was not synced, by sectors and in any
//! order. What was acknowledged is there byte for byte, nothing is there twice or half, nothing goes back, and the
//! store's own check finds nothing. A failure prints its seed; `PLI_CRASH_SEED=n` runs that case alone,
//! `PLI_CRASH_CASES=n` that many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pli_crypto::KeyStore;
use pli_io::sim::{Fault, SimRandom};
use pli_store::*;
use pli_types::{AccountId, Action, MailboxId, ModSeq, SystemFlag, Uid};
use world::*;

/// What one account must have.
#[derive(Default)]
struct Expected {
    /// Acknowledged and not known to be gone.
    there: BTreeMap<Uid, Bytes>,
    /// Asked to go when the power went: there or not.
    perhaps_gone: BTreeSet<Uid>,
    /// Marked deleted, or asked to be.
    flagged: BTreeSet<Uid>,
    /// All that were ever sent here.
    sent: BTreeSet<Bytes>,
    uid_next: Uid,
    modseq: ModSeq,
}

struct Case {
    world: World,
    random: SimRandom,
    accounts: Vec<(AccountId, MailboxId, Expected)>,
    queued: BTreeMap<u64, Bytes>,
    sequence: u64,
    number: u64,
}

impl Case {
    /// Several operations in one commit group or in several; returns when all are answered.
    async fn group(&mut self, open: &Arc<Open>) {
        let count = 1 + self.random.below(6);
        open.store.hold_commits(true);
        let mut tasks = Vec::new();
        for _ in 0..count {
            self.number += 1;
            let raw = message(&format!("n{}", self.number), 100 + self.random.below(3000) as usize);
            let to: Vec<usize> =
                if self.random.below(4) == 0 { vec![0, 1] } else { vec![self.random.below(2) as usize] };
            let accounts: Vec<AccountId> = to.iter().map(|i| self.accounts[*i].0).collect();
            for i in &to {
                self.accounts[*i].2.sent.insert(raw.clone());
            }
            let remote = self.random.below(5) == 0;
            let open = Arc::clone(open);
            tasks.push((
                to,
                raw.clone(),
                tokio::spawn(async move {
                    let remote: &[&str] = if remote { &["x@remote.test"] } else { &[] };
                    open.deliver_all(&accounts, remote, &raw).await
                }),
            ));
        }
        for _ in 0..1000 {
            if open.store.waiting_operations() as u64 == count {
                break;
            }
            tokio::task::yield_now().await;
        }
        open.store.hold_commits(false);
        for (to, raw, task) in tasks {
            let Ok(done) = task.await.unwrap() else { continue };
            assert!(done.durable.sequence() > self.sequence, "the sequence goes back");
            for (place, (_, _, uid)) in to.iter().zip(&done.value.local) {
                assert!(self.accounts[*place].2.there.insert(*uid, raw.clone()).is_none(), "a UID twice");
            }
            for id in &done.value.queued {
                assert!(self.queued.insert(id.get(), raw.clone()).is_none(), "a queue id twice");
            }
        }
    }

    /// Marks some messages deleted and expunges them.
    async fn expunge(&mut self, open: &Open) {
        let which = self.random.below(2) as usize;
        let (account, inbox, expected) = &mut self.accounts[which];
        let uids: Vec<Uid> = expected.there.keys().copied().filter(|_| self.random.below(3) == 0).collect();
        let permit = open.permit(Action::Store, Some(*account));
        let flags = [SystemFlag::Deleted].into_iter().collect();
        // A flag that was refused by a failing disk may be there all the same after the next start.
        expected.flagged.extend(uids.iter().copied());
        if open.store.change_flags(permit, *inbox, uids, FlagMode::Add, flags, None).await.is_err() {
            return;
        }
        expected.perhaps_gone.clone_from(&expected.flagged);
        let permit = open.permit(Action::Expunge, Some(*account));
        if let Ok(done) = open.store.expunge(permit, *inbox, None).await {
            done.value.iter().for_each(|uid| drop(expected.there.remove(uid)));
            expected.perhaps_gone.clear();
        }
    }

    /// Copies within the account, so that references are counted through crashes too.
    async fn copy(&mut self, open: &Open) {
        let (account, inbox, expected) = &self.accounts[self.random.below(2) as usize];
        let uids: Vec<Uid> = expected.there.keys().copied().take(3).collect();
        let trash = open.mailbox(*account, "Trash").id;
        let permit = open.permit(Action::Copy, Some(*account));
        drop(open.store.copy(permit, *inbox, uids, trash).await);
    }

    /// Everything that was acknowledged is there; nothing is there that nobody sent.
    fn compare(&mut self, open: &Open) {
        open.check();
        for (account, inbox, expected) in &mut self.accounts {
            let mailbox = open.mailbox(*account, "INBOX");
            assert!(mailbox.uid_next >= expected.uid_next, "UIDs go back");
            assert!(mailbox.highest_modseq >= expected.modseq, "modseq goes back");
            (expected.uid_next, expected.modseq) = (mailbox.uid_next, mailbox.highest_modseq);
            let entries = open.entries(*account, *inbox);
            let mut found = BTreeMap::new();
            let keys = open.keys(*account);
            for entry in entries {
                let raw = open.body_with(&keys, *account, entry).expect("a message does not open");
                assert!(expected.sent.contains(&raw), "half a message");
                found.insert(entry.uid, raw);
            }
            let distinct: BTreeSet<&Bytes> = found.values().collect();
            assert_eq!(distinct.len(), found.len(), "a message twice");
            for (uid, raw) in &expected.there {
                if found.get(uid) != Some(raw) && !expected.perhaps_gone.contains(uid) {
                    panic!("message {uid} was acknowledged and is lost");
                }
            }
            expected.there = found;
            expected.perhaps_gone.clear();
        }
        let permit = open.permit(Action::QueueRead, None);
        for (id, raw) in &self.queued {
            let body = open.store.queue_body(&permit, pli_types::QueueId::new(*id));
            assert_eq!(body.expect("a queue entry is lost"), raw);
        }
        self.queued = open
            .store
            .queue_list(&permit, None, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|row| (row.id.get(), open.store.queue_body(&permit, row.id).unwrap()))
            .collect();
    }

    /// Opens, with the power going during that too sometimes.
    fn reopen(&mut self) -> Open {
        let disk = self.world.disk.clone().unwrap();
        for _ in 0..20 {
            if self.random.below(3) == 0 {
                disk.inject(Fault::Crash, self.random.below(4));
            }
            match Store::open(self.world.options()) {
                Ok(open) => {
                    disk.heal();
                    return Open::new(open);
                }
                Err(error) => assert!(disk.has_crashed(), "opening failed: {error}"),
            }
            disk.restart();
        }
        panic!("the store does not open");
    }
}

async fn run(seed: u64, keys: Arc<dyn KeyStore>) {
    let world = World::sim(seed, keys);
    let disk = world.disk.clone().unwrap();
    let mut open = Arc::new(world.create());
    // Half of the cases roll over to new segments all the time.
    let segment_bytes_max = if seed.is_multiple_of(2) { 256 << 20 } else { 8 << 10 };
    open.store.set_segment_bytes_max(segment_bytes_max);
    let mut accounts = Vec::new();
    for address in ["ana@example.org", "bob@example.org"] {
        let id = open.account(address, QuotaLimit::default()).await;
        accounts.push((id, open.mailbox(id, "INBOX").id, Expected::default()));
    }
    let random = SimRandom::new(seed ^ 0x5eed);
    let mut case = Case { world, random, accounts, queued: BTreeMap::new(), sequence: 0, number: 0 };
    for _ in 0..3 {
        let fault = if case.random.below(8) == 0 { Fault::Sync } else { Fault::Crash };
        disk.inject(fault, case.random.below(30));
        for _ in 0..8 {
            if disk.has_crashed() {
                break;
            }
            case.world.clock.advance(std::time::Duration::from_millis(case.random.below(900)));
            match case.random.below(4) {
                0 => case.expunge(&open).await,
                1 if !disk.has_crashed() => case.copy(&open).await,
                _ => case.group(&open).await,
            }
        }
        if case.random.below(5) == 0 {
            open.store.close();
        }
        disk.crash();
        drop(open);
        disk.restart();
        open = Arc::new(case.reopen());
        open.store.set_segment_bytes_max(segment_bytes_max);
        case.compare(&open);
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PLI_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_CRASH_CASES").unwrap_or(1000),
    };
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let keys = keystore();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let running = Seed(seed);
                    runtime.block_on(run(seed, Arc::clone(&keys)));
                    drop(running);
                }
            });
        }
    });
}

/// Tells the line that replays a failure.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: PLI_CRASH_SEED={} cargo test -p pli-store --test crash", self.0);
        }
    }
}
