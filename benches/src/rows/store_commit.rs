//! Durable commits against the bare disk, which writes the same bytes with as many syncs right after.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pli_types::AccountId;

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::store::{Bench, Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-commit`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreCommit {
    #[command(flatten)]
    place: Place,
    /// Writers at once.
    #[arg(long, default_value_t = 16)]
    writers: usize,
    /// Messages delivered at full speed.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
    /// Seconds at half of that speed.
    #[arg(long, default_value_t = 5)]
    half_seconds: u64,
}

/// What one stretch of load gave.
struct Stretch {
    seconds: f64,
    /// Each commit alone, the message sealed before, in ms.
    commits: Vec<f64>,
    log_bytes: u64,
    syncs: u64,
    cpu: f64,
}

impl StoreCommit {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("store-commit-{}", self.writers));
        figures.note("writers", self.writers);
        figures.note("messages", self.messages);
        let folder = self.place.folder()?;
        let bench = Arc::new(Opening::new(&self.place, folder.path())?.create()?);
        let corpus = Arc::new(Corpus::new(common.seed, self.size));
        figures.set("message_bytes_mean", corpus.mean());
        let mut accounts = Vec::new();
        for number in 0..common.accounts.max(1) {
            accounts.push(bench.account(&format!("user{number}")).await?);
        }
        let accounts: Arc<[AccountId]> = accounts.into();
        // Warms caches, contexts and delivery keys.
        self.stretch(&bench, &accounts, &corpus, self.messages / 10, None).await?;
        let mut full = self.stretch(&bench, &accounts, &corpus, self.messages, None).await?;
        let bare = bare(folder.path(), full.log_bytes, full.syncs)?;
        let rate = self.messages as f64 / full.seconds;
        figures.set("commits_per_s", rate);
        figures.set("commit_p50_ms", measure::median(&mut full.commits));
        figures.set("commit_p99_ms", measure::percentile(&mut full.commits, 0.99));
        figures.set("log_mb_per_s", full.log_bytes as f64 / 1e6 / full.seconds);
        figures.set("messages_per_sync", self.messages as f64 / full.syncs as f64);
        figures.set("bare_seconds", bare.0);
        figures.set("bare_sync_p50_ms", bare.1);
        figures.set("percent_of_bare_disk", bare.0 / full.seconds * 100.0);
        figures.set("cpu_ms_per_message", full.cpu * 1000.0 / self.messages as f64);
        let pace = Duration::from_secs_f64(2.0 / rate);
        let count = (self.half_seconds as f64 * rate / 2.0) as u64;
        if count > 0 {
            let mut half = self.stretch(&bench, &accounts, &corpus, count, Some(pace)).await?;
            let one = one_sync(folder.path(), (full.log_bytes / self.messages) as usize)?;
            let p99 = measure::percentile(&mut half.commits, 0.99);
            figures.set("half_load_p50_ms", measure::median(&mut half.commits));
            figures.set("half_load_p99_ms", p99);
            figures.set("one_bare_sync_ms", one);
            figures.set("half_load_p99_in_bare_syncs", p99 / one);
        }
        bench.store.close();
        Ok(figures)
    }

    /// So many messages by all writers; with a pace, each begins when it is due, whether others are done or not.
    async fn stretch(
        &self,
        bench: &Arc<Bench>,
        accounts: &Arc<[AccountId]>,
        corpus: &Arc<Corpus>,
        count: u64,
        pace: Option<Duration>,
    ) -> Result<Stretch, Failure> {
        let before = bench.store.stat()?;
        let (next, cpu, begun) = (Arc::new(AtomicU64::new(0)), measure::own_cpu(), Instant::now());
        let tasks: Vec<_> = (0..self.writers)
            .map(|_| {
                let (bench, next, accounts, corpus) =
                    (Arc::clone(bench), Arc::clone(&next), Arc::clone(accounts), Arc::clone(corpus));
                tokio::spawn(async move {
                    let mut commits = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok::<_, Failure>(commits);
                        }
                        if let Some(pace) = pace {
                            let due = begun + pace.mul_f64(number as f64);
                            tokio::time::sleep_until(due.into()).await;
                        }
                        let account = accounts[number as usize % accounts.len()];
                        let prepared = bench.store.prepare(corpus.get(number).into())?;
                        let start = Instant::now();
                        bench.deliver_prepared(account, prepared).await?;
                        commits.push(measure::ms(start.elapsed()));
                    }
                })
            })
            .collect();
        let mut commits = Vec::new();
        for task in tasks {
            commits.extend(task.await??);
        }
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), measure::own_cpu() - cpu);
        let after = bench.store.stat()?;
        Ok(Stretch {
            seconds,
            commits,
            log_bytes: after.log_bytes - before.log_bytes,
            syncs: (after.log_syncs - before.log_syncs).max(1),
            cpu,
        })
    }
}

/// The same bytes in as many pieces, each written to the end of a file and synced: seconds, and one piece's median.
fn bare(dir: &Path, bytes: u64, syncs: u64) -> Result<(f64, f64), Failure> {
    let path = dir.join("bare");
    let mut file = File::create(&path)?;
    let piece = vec![0xA5_u8; (bytes / syncs).max(1) as usize];
    let mut times = Vec::with_capacity(syncs as usize);
    let begun = Instant::now();
    for _ in 0..syncs {
        let start = Instant::now();
        file.write_all(&piece)?;
        file.sync_data()?;
        times.push(measure::ms(start.elapsed()));
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok((seconds, measure::median(&mut times)))
}

/// The median of one message's write and sync, with pauses between as at half load.
fn one_sync(dir: &Path, bytes: usize) -> Result<f64, Failure> {
    let path = dir.join("bare");
    let mut file = File::create(&path)?;
    let piece = vec![0xA5_u8; bytes.max(1)];
    let mut times = Vec::new();
    for _ in 0..300 {
        let start = Instant::now();
        file.write_all(&piece)?;
        file.sync_data()?;
        times.push(measure::ms(start.elapsed()));
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(measure::median(&mut times))
}
