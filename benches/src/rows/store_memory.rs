//! Memory of a store with many accounts of which a few are active, and how it opens after a kill.
//!
//! The store is filled by one process, which is then killed, and opened and measured by another: what filling leaves in
//! memory is not the server's.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pli_types::{AccountId, Action, EmailId};

use crate::corpus::Corpus;
use crate::dice::Dice;
use crate::report::Figures;
use crate::store::{Bench, Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-memory`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreMemory {
    #[command(flatten)]
    place: Place,
    /// Accounts.
    #[arg(long, default_value_t = 100_000)]
    accounts_there: u64,
    /// Messages of all of them.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Active accounts in a thousand: each has a session with keys and INBOX selected, reads and gets mail.
    #[arg(long, default_value_t = 10)]
    active: u64,
    /// What this process does: the row starts the two others itself.
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// Their folder.
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

/// A process of the row.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Part {
    /// Fills the store, then kills itself.
    Fill,
    /// Opens it and works.
    Work,
}

impl StoreMemory {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        match (self.part, &self.folder) {
            (Some(Part::Fill), Some(folder)) => self.fill(common, Opening::kept(&self.place, folder)?).await,
            (Some(Part::Work), Some(folder)) => self.work(common, Opening::kept(&self.place, folder)?).await,
            _ => self.both(common),
        }
    }

    fn both(&self, common: &Common) -> Result<Figures, Failure> {
        let folder = self.place.folder()?;
        let part = |part: &str| -> Result<std::process::Output, Failure> {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("store-memory").arg("--json").arg("--part").arg(part).arg("--folder").arg(folder.path());
            command.arg("--accounts-there").arg(self.accounts_there.to_string());
            command.arg("--messages").arg(self.messages.to_string());
            command.arg("--active").arg(self.active.to_string());
            command.arg("--seed").arg(common.seed.to_string());
            command.arg("--index-cache-mb").arg(self.place.index_cache_mb.to_string());
            command.arg("--index").arg(self.place.index.to_string());
            Ok(command.stderr(Stdio::inherit()).output()?)
        };
        let filled = part("fill")?;
        if filled.status.success() {
            return Err("the filling process was to kill itself".into());
        }
        let worked = part("work")?;
        if !worked.status.success() {
            return Err("the working process failed".into());
        }
        Ok(serde_json::from_slice(&worked.stdout)?)
    }

    async fn fill(&self, common: &Common, opening: Opening) -> Result<Figures, Failure> {
        let bench = Arc::new(opening.create()?);
        let name = |bench: Arc<Bench>, number: u64| async move {
            bench.account(&format!("user{number}")).await?;
            Ok(())
        };
        side_by_side(&bench, self.accounts_there, name).await?;
        let accounts = bench.store.accounts(None, self.accounts_there as usize)?;
        let accounts: Arc<[AccountId]> = accounts.iter().map(|account| account.id).collect();
        let corpus = Arc::new(Corpus::new(common.seed, 1_200));
        let deliver = move |bench: Arc<Bench>, number: u64| {
            let (accounts, corpus) = (Arc::clone(&accounts), Arc::clone(&corpus));
            async move { bench.deliver(accounts[number as usize % accounts.len()], corpus.get(number)).await }
        };
        side_by_side(&bench, self.messages, deliver).await?;
        // As kill -9 would: nothing is flushed, closed or said.
        let pid = rustix::process::getpid();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        Err("still alive".into())
    }

    async fn work(&self, common: &Common, opening: Opening) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("store-memory-{}", self.place.index));
        figures.note("accounts", self.accounts_there);
        figures.note("messages", self.messages);
        figures.note("active_per_thousand", self.active);
        figures.note("index_cache_mb", self.place.index_cache_mb);
        let own = std::process::id();
        let begun = Instant::now();
        let bench = opening.open()?;
        figures.set("open_after_kill_s", begun.elapsed().as_secs_f64());
        figures.set("opened_rss_mb", measure::memory_of(own)?.rss_kb / 1024.0);
        let corpus = Corpus::new(common.seed, 20_480);
        let mut dice = Dice::new(common.seed);
        let accounts = bench.store.accounts(None, self.accounts_there as usize)?;
        let step = (1000 / self.active.max(1)).max(1) as usize;
        let active: Vec<_> = accounts.iter().step_by(step).map(|account| account.id).collect();
        drop(accounts);
        let mut sessions = Vec::new();
        for account in &active {
            let inbox = bench.inbox(*account)?;
            let keys = bench.keys(*account)?;
            let permit = bench.permit(Action::FetchContent, Some(*account), false);
            let view = bench.store.read(&permit)?.view(inbox)?;
            sessions.push((*account, keys, permit, view));
        }
        figures.set("sessions", sessions.len() as f64);
        for round in 0..3 {
            for (account, keys, permit, view) in &sessions {
                let reader = bench.store.read(permit)?;
                let emails: Vec<EmailId> = view.snapshot().iter().map(|(_, entry)| entry.email).collect();
                for listed in reader.list(&emails, Some(keys))? {
                    std::hint::black_box(listed?.summary()?);
                }
                if let Some(email) = emails.last() {
                    std::hint::black_box(reader.body(keys, *email, None)?);
                }
                bench.deliver(*account, corpus.get(dice.below(1 << 40) + round)).await?;
            }
        }
        let memory = measure::memory_of(own)?;
        figures.set("working_rss_mb", memory.rss_kb / 1024.0);
        figures.set("peak_rss_mb", measure::peak_of(own)? / 1024.0);
        let stat = bench.store.stat()?;
        figures.set("index_mb", stat.index_bytes as f64 / 1e6);
        figures.set("view_mb", stat.view_bytes as f64 / 1e6);
        bench.store.close();
        Ok(figures)
    }
}

/// So many of something, on all cores and many to a commit.
async fn side_by_side<F>(
    bench: &Arc<Bench>,
    count: u64,
    work: impl Fn(Arc<Bench>, u64) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..128)
        .map(|_| {
            let (bench, next, work) = (Arc::clone(bench), Arc::clone(&next), work.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<_, Failure>(());
                    }
                    work(Arc::clone(&bench), number).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
