//! A large mailbox in the store: opened cold, its flags, its summaries.

use std::hint::black_box;
use std::time::Instant;

use pli_store::{Reader, Snapshot};
use pli_types::{Action, EmailId};

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::store::{Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-view`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreView {
    #[command(flatten)]
    place: Place,
    /// Messages in the mailbox.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 2_560)]
    size: usize,
    /// Repetitions of what is short.
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    /// Messages that a listing reads at a time, as FETCH does.
    #[arg(long, default_value_t = 512)]
    batch: usize,
}

impl StoreView {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("store-view");
        figures.note("messages", self.messages);
        figures.note("batch", self.batch);
        figures.note("index_cache_mb", self.place.index_cache_mb);
        let folder = self.place.folder()?;
        let opening = Opening::new(&self.place, folder.path())?;
        let corpus = Corpus::new(common.seed, self.size);
        let bench = opening.create()?;
        let account = bench.account("large").await?;
        let inbox = bench.inbox(account)?;
        let begun = Instant::now();
        bench.fill(account, inbox, self.messages, |number| corpus.get(number)).await?;
        figures.set("filled_per_s", self.messages as f64 / begun.elapsed().as_secs_f64());
        bench.store.close();
        // A new process's store: nothing of the mailbox is in memory but the kernel's cache of files.
        drop(bench);
        let mut colds = Vec::new();
        for _ in 0..3 {
            let bench = opening.open()?;
            let permit = bench.permit(Action::Select, Some(account), false);
            let begun = Instant::now();
            let view = bench.store.read(&permit)?.view(inbox)?;
            colds.push(measure::ms(begun.elapsed()));
            drop(view);
            bench.store.close();
        }
        figures.set("open_cold_ms", measure::median(&mut colds));
        let bench = opening.open()?;
        let permit = bench.permit(Action::FetchMetadata, Some(account), false);
        let reader = bench.store.read(&permit)?;
        let snapshot = reader.view(inbox)?.snapshot();
        let mut flags = self.times(|| {
            black_box(snapshot.iter().fold(0_u64, |sum, (number, entry)| sum ^ entry.flags ^ u64::from(number)));
            Ok(())
        })?;
        figures.set("flags_ms", measure::median(&mut flags));
        let keys = bench.keys(account)?;
        let begun = Instant::now();
        self.list(&reader, &snapshot, Some(&keys))?;
        figures.set("summaries_first_ms", measure::ms(begun.elapsed()));
        let cpu = measure::own_cpu();
        let mut later = self.times(|| self.list(&reader, &snapshot, Some(&keys)))?;
        figures.set("summaries_cpu_ms", (measure::own_cpu() - cpu) * 1000.0 / self.repeats as f64);
        figures.set("summaries_ms", measure::median(&mut later));
        let mut rows = self.times(|| self.list(&reader, &snapshot, None))?;
        figures.set("rows_ms", measure::median(&mut rows));
        let mut single = Vec::new();
        let some = self.messages.min(10_000);
        for _ in 0..3 {
            let begun = Instant::now();
            for (_, entry) in snapshot.iter().take(some as usize) {
                black_box(reader.summary(&keys, entry.email)?);
            }
            single.push(begun.elapsed().as_secs_f64() * 1e6 / some as f64);
        }
        figures.set("one_summary_us", measure::median(&mut single));
        bench.store.close();
        Ok(figures)
    }

    fn times(&self, mut work: impl FnMut() -> Result<(), Failure>) -> Result<Vec<f64>, Failure> {
        let mut times = Vec::new();
        for _ in 0..self.repeats {
            let begun = Instant::now();
            work()?;
            times.push(measure::ms(begun.elapsed()));
        }
        Ok(times)
    }

    fn list(&self, reader: &Reader<'_>, snapshot: &Snapshot, keys: Option<&pli_crypto::Opened>) -> Result<(), Failure> {
        let emails: Vec<EmailId> = snapshot.iter().map(|(_, entry)| entry.email).collect();
        for batch in emails.chunks(self.batch) {
            for listed in reader.list(batch, keys)? {
                black_box(listed?.summary()?);
            }
        }
        Ok(())
    }
}
