//! APPEND, one at a time or pipelined on each connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use crate::client::Connection;
use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::Watch;
use crate::{Common, Failure, measure};

/// `pli-bench append`
#[derive(Clone, Debug, clap::Args)]
pub struct Append {
    /// Connections at once, each to an account of its own.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
    /// Commands sent before the first is answered.
    #[arg(long, default_value_t = 1)]
    window: usize,
}

impl Append {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("append-{}", self.connections));
        figures.note("connections", self.connections);
        figures.note("messages", self.messages);
        figures.note("window", self.window);
        if let Some(dir) = &common.disk {
            figures.disk(dir)?;
        }
        let corpus = Arc::new(Corpus::new(common.seed, self.size));
        figures.set("message_bytes_mean", corpus.mean());
        let mut sessions = Vec::new();
        for number in 0..self.connections {
            sessions.push(common.imap()?.imap(&common.account(number), &common.password).await?);
        }
        let watch = Watch::start(common)?;
        let mut times = load(sessions, "INBOX", self.messages, self.window, corpus).await?;
        figures.set("appended_per_s", self.messages as f64 / watch.seconds());
        watch.stop(&mut figures, self.messages)?;
        figures.set("ok_p50_ms", measure::median(&mut times));
        figures.set("ok_p99_ms", measure::percentile(&mut times, 0.99));
        Ok(figures)
    }
}

/// Appends over these sessions, and gives the milliseconds to each OK.
pub async fn load(
    sessions: Vec<Connection>,
    mailbox: &'static str,
    messages: u64,
    window: usize,
    corpus: Arc<Corpus>,
) -> Result<Vec<f64>, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut load = JoinSet::new();
    for session in sessions {
        let (next, corpus) = (Arc::clone(&next), Arc::clone(&corpus));
        load.spawn(async move {
            let mut session = session;
            let mut times = Vec::new();
            let mut open: VecDeque<(String, Instant)> = VecDeque::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let more = number < messages;
                if more {
                    let tag = session.next_tag();
                    let message = corpus.get(number);
                    let head = format!("{tag} APPEND {mailbox} (\\Seen) {{{}+}}\r\n", message.len());
                    session.send(&[head.as_bytes(), &message[..], &b"\r\n"[..]].concat()).await?;
                    open.push_back((tag, Instant::now()));
                }
                while open.len() >= window.max(1) || (!more && !open.is_empty()) {
                    times.push(answered(&mut session, &mut open).await?);
                }
                if !more {
                    return Ok::<_, Failure>(times);
                }
            }
        });
    }
    let mut times = Vec::new();
    while let Some(outcome) = load.join_next().await {
        times.append(&mut outcome??);
    }
    Ok(times)
}

async fn answered(session: &mut Connection, open: &mut VecDeque<(String, Instant)>) -> Result<f64, Failure> {
    let (tag, begun) = open.pop_front().ok_or("nothing open")?;
    loop {
        let line = session.line().await?;
        if let Some(rest) = line.strip_prefix(format!("{tag} ").as_bytes()) {
            return if rest.starts_with(b"OK") {
                Ok(measure::ms(begun.elapsed()))
            } else {
                Err(String::from_utf8_lossy(&line).into_owned().into())
            };
        }
    }
}
