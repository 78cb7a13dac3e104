//! What encryption costs: processor time of a message, delivered and read, beside a build that seals nothing.

use std::path::PathBuf;
use std::time::Instant;

use pli_types::{Action, EmailId};

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::store::{Opening, Place};
use crate::{Common, Failure, measure};

/// `pli-bench store-cipher`
#[derive(Clone, Debug, clap::Args)]
pub struct StoreCipher {
    #[command(flatten)]
    place: Place,
    /// Messages.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
    /// The JSON line of a build with the feature `null-cipher`, to compare with.
    #[arg(long)]
    against: Option<PathBuf>,
}

impl StoreCipher {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let name = if pli_crypto::NULL_CIPHER { "store-cipher-null" } else { "store-cipher" };
        let mut figures = Figures::new(name);
        figures.note("messages", self.messages);
        let folder = self.place.folder()?;
        let bench = Opening::new(&self.place, folder.path())?.create()?;
        let account = bench.account("user").await?;
        let corpus = Corpus::new(common.seed, self.size);
        // Sixteen at a time, as under load: what a commit costs is shared by its group.
        let deliver = |from: u64, to: u64| {
            let (bench, corpus) = (&bench, &corpus);
            async move {
                for start in (from..to).step_by(16) {
                    let group = (start..to.min(start + 16)).map(|number| bench.deliver(account, corpus.get(number)));
                    futures::future::try_join_all(group).await?;
                }
                Ok::<_, Failure>(())
            }
        };
        deliver(0, self.messages / 10).await?;
        let (cpu, begun) = (measure::own_cpu(), Instant::now());
        deliver(self.messages, 2 * self.messages).await?;
        // What makes the messages is not the store.
        let making = measure::own_cpu();
        (0..self.messages).for_each(|number| drop(std::hint::black_box(corpus.get(number))));
        let made = measure::own_cpu() - making;
        let deliver_ms = (making - cpu - made) * 1000.0 / self.messages as f64;
        figures.set("deliver_cpu_ms", deliver_ms);
        figures.set("deliver_wall_s", begun.elapsed().as_secs_f64());
        let keys = bench.keys(account)?;
        let permit = bench.permit(Action::FetchContent, Some(account), false);
        let reader = bench.store.read(&permit)?;
        let view = reader.view(bench.inbox(account)?)?;
        let emails: Vec<EmailId> = view.snapshot().iter().map(|(_, entry)| entry.email).collect();
        let read = || -> Result<f64, Failure> {
            let cpu = measure::own_cpu();
            for email in &emails {
                std::hint::black_box(reader.body(&keys, *email, None)?);
            }
            Ok((measure::own_cpu() - cpu) * 1000.0 / emails.len() as f64)
        };
        // The first reading opens the seals of delivery, later ones their wraps.
        let first = read()?;
        figures.set("first_read_cpu_ms", first);
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        figures.set("read_cpu_ms", read()?);
        if let Some(path) = &self.against {
            let null: Figures = serde_json::from_str(std::fs::read_to_string(path)?.trim())?;
            for name in ["deliver_cpu_ms", "first_read_cpu_ms", "read_cpu_ms"] {
                let (with, without) = (figures.get(name), null.get(name));
                if let (Some(with), Some(without)) = (with, without) {
                    figures.set(&name.replace("cpu_ms", "cost_percent"), (with / without - 1.0) * 100.0);
                }
            }
        }
        bench.store.close();
        Ok(figures)
    }
}
