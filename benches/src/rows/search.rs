//! SEARCH in a large mailbox of varied letters: words, substrings, fields; with the index and while it is made.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::Connection;
use crate::letters;
use crate::report::Figures;
use crate::rows::{Watch, number_after};
use crate::{Common, Failure, measure};

/// `pli-bench search`
#[derive(Clone, Debug, clap::Args)]
pub struct Search {
    /// Letters in the mailbox; it is filled up to that.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Connections of the filling.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Repetitions of each search.
    #[arg(long, default_value_t = 11)]
    repeats: usize,
    /// Seconds to wait at most for the server's index.
    #[arg(long, default_value_t = 600)]
    patience_s: u64,
}

const MAILBOX: &str = "Letters";
/// Commands of the filling sent before the first is answered.
const WINDOW: usize = 32;
/// A search for what is nowhere is quicker than this for each thousand messages once it looks into none of them.
const INDEXED_MS_PER_THOUSAND: f64 = 3.0;

impl Search {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("search");
        figures.note("messages", self.messages);
        let mut session = common.imap()?.imap(&common.account(0), &common.password).await?;
        // There already when the row runs again; SELECT complains when it is missing.
        let _ = session.command(&format!("CREATE {MAILBOX}")).await;
        self.fill(common, &mut session, &mut figures).await?;
        session.command(&format!("SELECT {MAILBOX}")).await?;
        let absent = "TEXT no-such-word-anywhere";
        let begun = Instant::now();
        let (first, found) = ask(&mut session, absent).await?;
        if found != 0 {
            return Err(format!("{found} messages have a word that none has").into());
        }
        figures.set("first_search_ms", first);
        let soon = INDEXED_MS_PER_THOUSAND * (self.messages as f64 / 1000.0).max(4.0);
        while ask(&mut session, absent).await?.0 > soon {
            if begun.elapsed() > Duration::from_secs(self.patience_s) {
                return Err("searching did not become quick".into());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        figures.set("quick_after_s", begun.elapsed().as_secs_f64());
        let (common_word, some_word) = (letters::word(3), letters::word(400));
        let cases = [
            ("rare_word", format!("TEXT {}", letters::RARE)),
            ("rare_inside", String::from("TEXT tzalcoa")),
            ("common_word", literal("BODY", &common_word)),
            ("some_word", literal("TEXT", &some_word)),
            ("three_letters", String::from("TEXT ver")),
            ("from_domain", String::from("FROM @site17.example.net")),
            ("subject", literal("SUBJECT", &some_word)),
            ("absent", String::from(absent)),
            ("phrase", format!("BODY \"et {} aussi\"", letters::RARE)),
        ];
        for (name, key) in cases {
            let mut times = Vec::new();
            let mut found = 0;
            for _ in 0..self.repeats {
                let (ms, count) = ask(&mut session, &key).await?;
                times.push(ms);
                found = count;
            }
            figures.set(&format!("{name}_ms"), measure::median(&mut times));
            figures.set(&format!("{name}_found"), found as f64);
        }
        Ok(figures)
    }

    async fn fill(&self, common: &Common, session: &mut Connection, figures: &mut Figures) -> Result<(), Failure> {
        let lines = session.command(&format!("STATUS {MAILBOX} (MESSAGES)")).await?;
        let there = number_after(&lines, "MESSAGES ").ok_or("STATUS without MESSAGES")?;
        if there >= self.messages {
            return Ok(());
        }
        let watch = Watch::start(common)?;
        let next = Arc::new(AtomicU64::new(there));
        let mut load = JoinSet::new();
        for _ in 0..self.connections {
            let session = common.imap()?.imap(&common.account(0), &common.password).await?;
            load.spawn(append(session, Arc::clone(&next), self.messages, common.seed));
        }
        while let Some(outcome) = load.join_next().await {
            outcome??;
        }
        figures.set("filled_per_s", (self.messages - there) as f64 / watch.seconds());
        Ok(())
    }
}

async fn append(mut session: Connection, next: Arc<AtomicU64>, messages: u64, seed: u64) -> Result<(), Failure> {
    let mut open: VecDeque<String> = VecDeque::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let more = number < messages;
        if more {
            let tag = session.next_tag();
            let letter = letters::letter(seed, number);
            let head = format!("{tag} APPEND {MAILBOX} {{{}+}}\r\n", letter.len());
            session.send(&[head.as_bytes(), &letter[..], &b"\r\n"[..]].concat()).await?;
            open.push_back(tag);
        }
        while open.len() >= WINDOW || (!more && !open.is_empty()) {
            let tag = open.pop_front().ok_or("nothing open")?;
            let line = loop {
                let line = session.line().await?;
                if line.starts_with(format!("{tag} ").as_bytes()) {
                    break line;
                }
            };
            if !line.starts_with(format!("{tag} OK").as_bytes()) {
                return Err(String::from_utf8_lossy(&line).into_owned().into());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// A key with a text that may have accents.
fn literal(key: &str, text: &str) -> String {
    format!("{key} {{{}+}}\r\n{text}", text.len())
}

/// Milliseconds, and how many messages were found.
async fn ask(session: &mut Connection, key: &str) -> Result<(f64, u64), Failure> {
    let begun = Instant::now();
    let lines = session.command(&format!("SEARCH RETURN (COUNT) CHARSET UTF-8 {key}")).await?;
    let ms = measure::ms(begun.elapsed());
    Ok((ms, number_after(&lines, "COUNT ").ok_or("ESEARCH without COUNT")?))
}
