//! A mailbox of a million, made by COPY, and how soon it is open.

use std::time::Instant;

use crate::report::Figures;
use crate::side::{BIG, HUGE, login, timed};
use crate::{Common, Failure, measure};

/// `pli-bench side grow`
#[derive(Clone, Debug, clap::Args)]
pub struct Grow {
    /// Messages that the large mailbox has.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// How often it is copied.
    #[arg(long, default_value_t = 10)]
    times: u64,
    /// Messages of one COPY.
    #[arg(long, default_value_t = 10_000)]
    batch: u64,
}

/// `pli-bench side select`
#[derive(Clone, Debug, clap::Args)]
pub struct Select {
    /// Messages that the mailbox has.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Repetitions.
    #[arg(long, default_value_t = 11)]
    repeats: usize,
}

impl Grow {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("grow");
        figures.note("messages", self.messages * self.times);
        let mut session = login(common).await?;
        session.command(&format!("CREATE {HUGE}")).await?;
        session.command(&format!("SELECT {BIG}")).await?;
        let begun = Instant::now();
        for _ in 0..self.times {
            let mut from = 1;
            while from <= self.messages {
                let to = (from + self.batch - 1).min(self.messages);
                timed(&mut session, &format!("COPY {from}:{to} {HUGE}")).await?;
                from = to + 1;
            }
        }
        figures.set("copied_per_s", (self.messages * self.times) as f64 / begun.elapsed().as_secs_f64());
        // So that what follows finds the mailbox as a user would have left it.
        session.command(&format!("SELECT {HUGE}")).await?;
        session.command("LOGOUT").await.map(|_| figures)
    }
}

impl Select {
    /// Runs the part; the server has just been started.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("select");
        figures.note("messages", self.messages);
        let mut session = login(common).await?;
        let command = format!("SELECT {HUGE}");
        let begun = Instant::now();
        let lines = session.command(&command).await?;
        figures.set("cold_ms", measure::ms(begun.elapsed()));
        if !lines.iter().any(|line| *line == format!("* {} EXISTS", self.messages)) {
            return Err(format!("{HUGE} has not {} messages", self.messages).into());
        }
        let mut times = Vec::new();
        for _ in 0..self.repeats {
            session.command("SELECT INBOX").await?;
            times.push(timed(&mut session, &command).await?.0);
        }
        figures.set("warm_ms", measure::median(&mut times));
        Ok(figures)
    }
}
