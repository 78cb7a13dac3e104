//! Whole messages of the size that mail has.

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::side::{Repeats, fill, login, timed};
use crate::{Common, Failure};

/// `pli-bench side bodies`
#[derive(Clone, Debug, clap::Args)]
pub struct Bodies {
    /// Messages.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 65_536)]
    size: usize,
    /// How often they are read again.
    #[command(flatten)]
    repeats: Repeats,
}

/// Messages of one command where the mailbox is filled.
const BATCH: usize = 20;
const MEGA: f64 = 1e6;

impl Bodies {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("bodies");
        figures.note("messages", self.messages);
        let corpus = Corpus::new(common.seed, self.size);
        let messages: Vec<Vec<u8>> = (0..self.messages).map(|number| corpus.get(number)).collect();
        let bytes: usize = messages.iter().map(Vec::len).sum();
        let mut session = login(common).await?;
        session.command("CREATE Bodies").await?;
        fill::append(&mut session, "Bodies", &messages, BATCH).await?;
        session.command("SELECT Bodies").await?;
        let command = "FETCH 1:* (BODY.PEEK[])";
        let (first, drained) = timed(&mut session, command).await?;
        if drained.bytes < bytes {
            return Err(format!("{} bytes of {bytes}", drained.bytes).into());
        }
        let mb_per_s = |ms: f64| bytes as f64 / MEGA / (ms / 1000.0);
        figures.set("first_mb_per_s", mb_per_s(first));
        figures.set("mb_per_s", mb_per_s(self.repeats.median(&mut session, command).await?.0));
        Ok(figures)
    }
}
