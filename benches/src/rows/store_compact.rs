//! What compaction does to those who commit meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pli_store::{Compaction, FlagMode};
use pli_types::{AccountId, Action, FlagSet, SystemFlag};

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::store::{Bench, Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-compact`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreCompact {
    #[command(flatten)]
    place: Place,
    /// Messages in the store; half of them are expunged before.
    #[arg(long, default_value_t = 40_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
    /// Commits a second while it is measured.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Megabytes that the compaction moves in a second, as the server lets it.
    #[arg(long, default_value_t = 20)]
    move_mb_per_s: u64,
}

impl StoreCompact {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("store-compact");
        figures.note("messages", self.messages);
        figures.note("commits_per_s", self.rate);
        figures.note("move_mb_per_s", self.move_mb_per_s);
        let folder = self.place.folder()?;
        let bench = Arc::new(Opening::new(&self.place, folder.path())?.create()?);
        bench.store.set_retention(Duration::ZERO);
        let corpus = Arc::new(Corpus::new(common.seed, self.size));
        let account = bench.account("compact").await?;
        bench.fill(account, bench.inbox(account)?, self.messages, |number| corpus.get(number)).await?;
        expunge_half(&bench, account).await?;

        let still = Arc::new(AtomicBool::new(true));
        let quiet = tokio::spawn(commits(Arc::clone(&bench), account, Arc::clone(&corpus), self.rate, still.clone()));
        tokio::time::sleep(Duration::from_secs(8)).await;
        still.store(false, Ordering::Relaxed);
        let mut quiet = quiet.await??;

        let still = Arc::new(AtomicBool::new(true));
        let busy = tokio::spawn(commits(Arc::clone(&bench), account, Arc::clone(&corpus), self.rate, still.clone()));
        let begun = Instant::now();
        let how = Compaction { all: true, bytes_per_second: Some(self.move_mb_per_s << 20) };
        let done = bench.store.compact(bench.permit(Action::Compact, None, true), how).await?;
        let seconds = begun.elapsed().as_secs_f64();
        still.store(false, Ordering::Relaxed);
        let mut busy = busy.await??;

        figures.set("segments_dropped", done.segments_dropped as f64);
        figures.set("moved_mb", done.bytes_moved as f64 / 1e6);
        figures.set("dropped_mb", done.bytes_dropped as f64 / 1e6);
        figures.set("compaction_seconds", seconds);
        figures.set("commits_meanwhile", busy.len() as f64);
        figures.set("quiet_p50_ms", measure::median(&mut quiet));
        figures.set("busy_p50_ms", measure::median(&mut busy));
        let (before, during) = (measure::percentile(&mut quiet, 0.99), measure::percentile(&mut busy, 0.99));
        figures.set("quiet_p99_ms", before);
        figures.set("busy_p99_ms", during);
        figures.set("p99_ratio", during / before);
        bench.store.close();
        Ok(figures)
    }
}

/// Every second message of the inbox goes.
async fn expunge_half(bench: &Bench, account: AccountId) -> Result<(), Failure> {
    let inbox = bench.inbox(account)?;
    let permit = bench.permit(Action::Select, Some(account), false);
    let view = bench.store.read(&permit)?.view(inbox)?.snapshot();
    let uids: Vec<_> = view.iter().map(|(_, entry)| entry.uid).step_by(2).collect();
    drop(view);
    let deleted: FlagSet = [SystemFlag::Deleted].into_iter().collect();
    for some in uids.chunks(2000) {
        let permit = bench.permit(Action::Store, Some(account), true);
        bench.store.change_flags(permit, inbox, some.to_vec(), FlagMode::Add, deleted.clone(), None).await?;
        bench.store.expunge(bench.permit(Action::Expunge, Some(account), true), inbox, Some(some.to_vec())).await?;
    }
    Ok(())
}

/// Deliveries at a pace, each begun when it is due, until told otherwise: what each took, in ms.
async fn commits(
    bench: Arc<Bench>,
    account: AccountId,
    corpus: Arc<Corpus>,
    rate: u64,
    still: Arc<AtomicBool>,
) -> Result<Vec<f64>, Failure> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (bench, corpus, still, next) =
                (Arc::clone(&bench), Arc::clone(&corpus), Arc::clone(&still), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while still.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
                    tokio::time::sleep_until(due.into()).await;
                    let prepared = bench.store.prepare(corpus.get(1_000_000 + number).into())?;
                    let start = Instant::now();
                    bench.deliver_prepared(account, prepared).await?;
                    times.push(measure::ms(start.elapsed()));
                }
                Ok::<_, Failure>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}
