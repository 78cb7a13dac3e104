//! What the store's files take, fresh and after months of deliveries, moves, flags and expunges.

use std::path::Path;

use pli_store::{Compaction, FlagMode};
use pli_types::{AccountId, Action, FlagSet, MailboxId, SystemFlag, Uid};

use crate::corpus::Corpus;
use crate::dice::Dice;
use crate::report::Figures;
use crate::store::{Bench, Opening, Place, Shifted};
use crate::{Common, Failure};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `pli-bench store-space`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreSpace {
    #[command(flatten)]
    place: Place,
    /// Messages there are at any time: many segments of the log.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Days of churn.
    #[arg(long, default_value_t = 60)]
    days: u64,
    /// Messages that come and go a day, in a thousand.
    #[arg(long, default_value_t = 20)]
    churn: u64,
    /// Days for which deleted mail stays within reach.
    #[arg(long, default_value_t = 30)]
    retention_days: u64,
}

/// Sizes as mail has them: most are small, most bytes are in the large ones.
const SIZES: [usize; 5] = [3_000, 6_000, 12_000, 40_000, 160_000];
const SHARES: [u64; 5] = [40, 25, 20, 10, 5];

struct Mix(Vec<Corpus>);

impl Mix {
    fn new(seed: u64) -> Self {
        Self(SIZES.iter().map(|size| Corpus::new(seed, *size)).collect())
    }
    fn get(&self, dice: &mut Dice, number: u64) -> Vec<u8> {
        let mut at = dice.below(100);
        for (corpus, share) in self.0.iter().zip(SHARES) {
            if at < share {
                return corpus.get(number);
            }
            at -= share;
        }
        self.0[0].get(number)
    }
}

impl StoreSpace {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("store-space-{}d", self.retention_days));
        figures.note("messages", self.messages);
        figures.note("days", self.days);
        figures.note("churn_per_thousand_a_day", self.churn);
        figures.note("retention_days", self.retention_days);
        let folder = self.place.folder()?;
        let clock = Shifted::new();
        let opening = Opening::new(&self.place, folder.path())?.clock(clock.clone());
        let bench = opening.create()?;
        bench.store.set_retention(std::time::Duration::from_secs(self.retention_days * 24 * 60 * 60));
        let account = bench.account("churn").await?;
        let inbox = bench.inbox(account)?;
        let archive = bench.mailbox(account, "Archive").await?;
        let (mix, mut dice) = (Mix::new(common.seed), Dice::new(common.seed));
        deliver(&bench, account, &mix, &mut dice, 0..self.messages).await?;
        let mut number = self.messages;
        let fresh = Space::of(&bench, opening.dir())?;
        figures.set("fresh_original_mb", fresh.original as f64 / 1e6);
        figures.set("fresh_ratio", fresh.ratio());
        figures.set("fresh_log_ratio", fresh.log as f64 / fresh.original as f64);
        let mut worst = 0.0_f64;
        for day in 0..self.days {
            let moved = self.messages * self.churn / 1000;
            deliver(&bench, account, &mix, &mut dice, number..number + moved).await?;
            number += moved;
            churn(&bench, account, (inbox, archive), moved as usize, &mut dice).await?;
            clock.advance(DAY_MS);
            bench.store.make_due_epochs(bench.permit(Action::KeyRotate, None, false)).await?;
            // A round takes some seconds of real time, spread over the commits; a day here takes one. What a server
            // would have written within the day is written before it ends.
            if day % (self.retention_days / 2).max(1) == 0 {
                bench.store.snapshot(bench.permit(Action::Compact, None, true)).await?;
            }
            let how = Compaction { all: false, bytes_per_second: None };
            bench.store.compact(bench.permit(Action::Compact, None, true), how).await?;
            while bench.store.rebuild_status().running {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            if day >= self.days / 2 {
                worst = worst.max(Space::of(&bench, opening.dir())?.ratio());
            }
        }
        let after = Space::of(&bench, opening.dir())?;
        figures.set("live_original_mb", after.original as f64 / 1e6);
        figures.set("files_mb", after.files as f64 / 1e6);
        figures.set("index_mb", after.index as f64 / 1e6);
        figures.set("churned_ratio", after.ratio());
        figures.set("churned_ratio_worst", worst);
        // What the window holds by promise: what was deleted within it.
        let window = self.retention_days.min(self.days) as f64 * (self.churn as f64 / 1000.0);
        figures.set("churned_ratio_with_window", after.ratio() / (1.0 + window));
        let how = Compaction { all: true, bytes_per_second: None };
        bench.store.compact(bench.permit(Action::Compact, None, true), how).await?;
        figures.set("compacted_ratio", Space::of(&bench, opening.dir())?.ratio());
        bench.store.close();
        Ok(figures)
    }
}

/// Many to a commit, as a busy server has them.
async fn deliver(
    bench: &Bench,
    account: AccountId,
    mix: &Mix,
    dice: &mut Dice,
    numbers: std::ops::Range<u64>,
) -> Result<(), Failure> {
    let numbers: Vec<u64> = numbers.collect();
    for group in numbers.chunks(64) {
        let all = group.iter().map(|number| bench.deliver(account, mix.get(dice, *number)));
        let all: Vec<_> = all.collect();
        futures::future::try_join_all(all).await?;
    }
    Ok(())
}

/// A day's work of a person: old mail is filed and flagged, as much as came is deleted.
async fn churn(
    bench: &Bench,
    account: AccountId,
    (inbox, archive): (MailboxId, MailboxId),
    count: usize,
    dice: &mut Dice,
) -> Result<(), Failure> {
    let flags = |flag: SystemFlag| -> FlagSet { [flag].into_iter().collect() };
    let mut uids = pick(bench, account, inbox, 3 * count, dice)?;
    let permit = bench.permit(Action::Store, Some(account), true);
    bench.store.change_flags(permit, inbox, uids.clone(), FlagMode::Add, flags(SystemFlag::Seen), None).await?;
    let filed = uids.split_off(uids.len() / 3);
    let permit = bench.permit(Action::Move, Some(account), true);
    bench.store.move_messages(permit, inbox, filed, archive).await?;
    // Of the inbox and of the archive in turn, so that both keep their size.
    let mut left = count;
    for mailbox in [archive, inbox] {
        let gone = pick(bench, account, mailbox, left, dice)?;
        left -= gone.len();
        if gone.is_empty() {
            continue;
        }
        let permit = bench.permit(Action::Store, Some(account), true);
        let (add, deleted) = (FlagMode::Add, flags(SystemFlag::Deleted));
        bench.store.change_flags(permit, mailbox, gone.clone(), add, deleted, None).await?;
        bench.store.expunge(bench.permit(Action::Expunge, Some(account), true), mailbox, Some(gone)).await?;
    }
    Ok(())
}

/// Some UIDs of a mailbox, ascending.
fn pick(
    bench: &Bench,
    account: AccountId,
    mailbox: MailboxId,
    count: usize,
    dice: &mut Dice,
) -> Result<Vec<Uid>, Failure> {
    let permit = bench.permit(Action::Select, Some(account), false);
    let snapshot = bench.store.read(&permit)?.view(mailbox)?.snapshot();
    let mut uids: Vec<Uid> = snapshot.iter().map(|(_, entry)| entry.uid).collect();
    while uids.len() > count {
        uids.swap_remove(dice.below(uids.len() as u64) as usize);
    }
    uids.sort_unstable();
    Ok(uids)
}

struct Space {
    /// Of the mail that is there.
    original: u64,
    files: u64,
    log: u64,
    index: u64,
}

impl Space {
    fn of(bench: &Bench, dir: &Path) -> Result<Self, Failure> {
        Ok(Self {
            original: bench.store.bodies()?.1.max(1),
            files: disk_bytes(dir)?,
            log: disk_bytes(&dir.join("segments"))?,
            index: disk_bytes(&dir.join("index"))?,
        })
    }
    fn ratio(&self) -> f64 {
        self.files as f64 / self.original as f64
    }
}

/// Blocks that all files of a folder take on the disk.
fn disk_bytes(dir: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // The index removes files of its own while they are counted.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
