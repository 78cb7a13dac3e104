//! FETCH of all flags and of all envelopes in a large mailbox.

use std::sync::Arc;
use std::time::Instant;

use crate::client::{Connection, Drained};
use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::{Watch, append, number_after};
use crate::{Common, Failure, measure};

/// `pli-bench imap-flags`
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// Messages in the mailbox; it is filled up to that.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 2_560)]
    size: usize,
    /// Connections of the filling.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Hot repetitions.
    #[arg(long, default_value_t = 11)]
    repeats: usize,
    /// Leaves out ENVELOPE and structure.
    #[arg(long)]
    flags_only: bool,
}

const MAILBOX: &str = "Big";
/// Commands of the filling sent before the first is answered.
const WINDOW: usize = 32;

impl Flags {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("imap-flags");
        figures.note("messages", self.messages);
        let mut session = self.login(common).await?;
        // There already when the row runs again; SELECT complains when it is missing.
        let _ = session.command(&format!("CREATE {MAILBOX}")).await;
        self.fill(common, &mut session, &mut figures).await?;
        let cpu = measure::own_cpu();
        let begun = Instant::now();
        session.command(&format!("SELECT {MAILBOX}")).await?;
        figures.set("select_first_ms", measure::ms(begun.elapsed()));
        let mut selects = Vec::new();
        for _ in 0..self.repeats {
            let begun = Instant::now();
            session.command(&format!("SELECT {MAILBOX}")).await?;
            selects.push(measure::ms(begun.elapsed()));
        }
        figures.set("select_hot_ms", measure::median(&mut selects));
        let (first, drained) = self.fetch(&mut session, "(FLAGS)").await?;
        figures.set("flags_first_ms", first);
        figures.set("flags_answer_bytes", drained.bytes as f64);
        let mut hot = Vec::new();
        for _ in 0..self.repeats {
            hot.push(self.fetch(&mut session, "(FLAGS)").await?.0);
        }
        figures.set("flags_hot_ms", measure::median(&mut hot));
        figures.set("flags_hot_max_ms", measure::percentile(&mut hot, 1.0));
        figures.set("generator_cpu_s", measure::own_cpu() - cpu);
        if !self.flags_only {
            let items = "(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)";
            let (first, drained) = self.fetch(&mut session, items).await?;
            figures.set("envelope_first_ms", first);
            figures.set("envelope_answer_bytes", drained.bytes as f64);
            let mut later = Vec::new();
            for _ in 0..3 {
                later.push(self.fetch(&mut session, items).await?.0);
            }
            figures.set("envelope_later_ms", measure::median(&mut later));
        }
        Ok(figures)
    }

    async fn login(&self, common: &Common) -> Result<Connection, Failure> {
        common.imap()?.imap(&common.account(0), &common.password).await
    }

    async fn fill(&self, common: &Common, session: &mut Connection, figures: &mut Figures) -> Result<(), Failure> {
        let lines = session.command(&format!("STATUS {MAILBOX} (MESSAGES)")).await?;
        let there = number_after(&lines, "MESSAGES ").ok_or("STATUS without MESSAGES")?;
        let missing = self.messages.saturating_sub(there);
        if missing == 0 {
            return Ok(());
        }
        let mut sessions = Vec::new();
        for _ in 0..self.connections {
            sessions.push(self.login(common).await?);
        }
        let corpus = Arc::new(Corpus::new(common.seed, self.size));
        figures.set("message_bytes_mean", corpus.mean());
        let watch = Watch::start(common)?;
        append::load(sessions, MAILBOX, missing, WINDOW, corpus).await?;
        figures.set("filled_per_s", missing as f64 / watch.seconds());
        Ok(())
    }

    async fn fetch(&self, session: &mut Connection, items: &str) -> Result<(f64, Drained), Failure> {
        let begun = Instant::now();
        let drained = session.drain(&format!("FETCH 1:* {items}")).await?;
        let time = measure::ms(begun.elapsed());
        if (drained.fetches as u64) < self.messages {
            return Err(format!("{} FETCH responses, {} messages", drained.fetches, self.messages).into());
        }
        Ok((time, drained))
    }
}
