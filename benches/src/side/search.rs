//! SEARCH TEXT of a word that one message in a thousand has.

use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::report::Figures;
use crate::rows::number_after;
use crate::side::{BIG, login};
use crate::{Common, Failure, measure, talk};

/// `pli-bench side search`
#[derive(Clone, Debug, clap::Args)]
pub struct Search {
    /// Messages that the mailbox has.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Waits so many seconds at most until the server's index is made; 0 for a server without one.
    #[arg(long, default_value_t = 0)]
    index_s: u64,
    /// Repetitions.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
}

/// A search for what is nowhere is quicker than this for each thousand messages once it looks into none of them.
const INDEXED_MS_PER_THOUSAND: f64 = 0.5;
/// And never has to be quicker than this.
const INDEXED_MS: f64 = 10.0;
/// A search that takes longer is not repeated.
const LONG_MS: f64 = 2_000.0;

impl Search {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("search");
        figures.note("messages", self.messages);
        let mut session = login(common).await?;
        session.command(&format!("SELECT {BIG}")).await?;
        if self.index_s > 0 {
            let begun = Instant::now();
            let soon = (INDEXED_MS_PER_THOUSAND * self.messages as f64 / 1000.0).max(INDEXED_MS);
            while ask(&mut session, "no-such-word-anywhere").await?.0 > soon {
                if begun.elapsed() > Duration::from_secs(self.index_s) {
                    return Err("searching did not become quick".into());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            figures.set("index_wait_s", begun.elapsed().as_secs_f64());
        }
        let mut times = Vec::new();
        while times.len() < self.repeats {
            let (ms, found) = ask(&mut session, talk::RARE).await?;
            if found != self.messages.div_ceil(1000) {
                return Err(format!("{found} messages found").into());
            }
            figures.set("found", found as f64);
            times.push(ms);
            if ms > LONG_MS {
                break;
            }
        }
        figures.set("text_ms", measure::median(&mut times));
        Ok(figures)
    }
}

async fn ask(session: &mut Connection, word: &str) -> Result<(f64, u64), Failure> {
    let begun = Instant::now();
    let lines = session.command(&format!("SEARCH RETURN (COUNT) CHARSET UTF-8 TEXT {word}")).await?;
    let ms = measure::ms(begun.elapsed());
    Ok((ms, number_after(&lines, "COUNT ").ok_or("ESEARCH without COUNT")?))
}
