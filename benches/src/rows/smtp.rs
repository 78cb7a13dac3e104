//! Mail from another server, over many connections at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::client::{Connection, Target};
use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::{Watch, number_after};
use crate::{Common, Failure, measure};

/// How long mail may take to become readable after the last acknowledgement.
const READABLE: Duration = Duration::from_secs(120);

/// `pli-bench smtp`
#[derive(Clone, Debug, clap::Args)]
pub struct Smtp {
    /// Connections at once.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
    /// Messages of one connection before it is opened again.
    #[arg(long, default_value_t = 1_000)]
    per_connection: u64,
    /// Leaves out the count over IMAP.
    #[arg(long)]
    accepted_only: bool,
}

impl Smtp {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("smtp-{}", self.connections));
        figures.note("connections", self.connections);
        figures.note("messages", self.messages);
        let corpus = Arc::new(Corpus::new(common.seed, self.size));
        figures.set("message_bytes_mean", corpus.mean());
        if let Some(dir) = &common.disk {
            figures.disk(dir)?;
        }
        let mut readers = if self.accepted_only { Vec::new() } else { readers(common).await? };
        let before = count(&mut readers).await?;
        let target = common.smtp()?;
        let start = Arc::new(Barrier::new(self.connections + 1));
        let next = Arc::new(AtomicU64::new(0));
        let mut load = JoinSet::new();
        for _ in 0..self.connections {
            let worker = Worker {
                row: self.clone(),
                common: common.clone(),
                target: target.clone(),
                corpus: Arc::clone(&corpus),
                next: Arc::clone(&next),
            };
            load.spawn(worker.run(Arc::clone(&start)));
        }
        start.wait().await;
        let watch = Watch::start(common)?;
        let mut times = Vec::with_capacity(self.messages as usize);
        while let Some(outcome) = load.join_next().await {
            times.append(&mut outcome??);
        }
        let seconds = watch.seconds();
        figures.set("accepted_per_s", self.messages as f64 / seconds);
        if !readers.is_empty() {
            while count(&mut readers).await? < before + self.messages {
                if watch.seconds() > seconds + READABLE.as_secs_f64() {
                    return Err("not all that was accepted became readable".into());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            figures.set("readable_per_s", self.messages as f64 / watch.seconds());
        }
        watch.stop(&mut figures, self.messages)?;
        figures.set("ack_p50_ms", measure::median(&mut times));
        figures.set("ack_p99_ms", measure::percentile(&mut times, 0.99));
        figures.set("ack_max_ms", measure::percentile(&mut times, 1.0));
        Ok(figures)
    }
}

/// A session for each account, to count what can be read.
async fn readers(common: &Common) -> Result<Vec<Connection>, Failure> {
    let target = common.imap()?;
    let mut readers = Vec::new();
    for number in 0..common.accounts {
        readers.push(target.imap(&common.account(number), &common.password).await?);
    }
    Ok(readers)
}

async fn count(readers: &mut [Connection]) -> Result<u64, Failure> {
    let mut all = 0;
    for reader in readers {
        let lines = reader.command("STATUS INBOX (MESSAGES)").await?;
        all += number_after(&lines, "MESSAGES ").ok_or("STATUS without MESSAGES")?;
    }
    Ok(all)
}

struct Worker {
    row: Smtp,
    common: Common,
    target: Target,
    corpus: Arc<Corpus>,
    next: Arc<AtomicU64>,
}

impl Worker {
    /// Acknowledgement times in milliseconds: from the last byte sent to the 250.
    async fn run(self, start: Arc<Barrier>) -> Result<Vec<f64>, Failure> {
        let opened = self.target.smtp().await;
        // Everybody waits here, those who failed too: the others would wait for ever.
        start.wait().await;
        let mut connection = opened?;
        let mut times = Vec::new();
        let mut sent = 0;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.row.messages {
                connection.send(b"QUIT\r\n").await?;
                return Ok(times);
            }
            if sent == self.row.per_connection {
                connection.send(b"QUIT\r\n").await?;
                connection = self.target.smtp().await?;
                sent = 0;
            }
            let to = self.common.account(number as usize);
            times.push(send(&mut connection, &to, &self.corpus.get(number)).await?);
            sent += 1;
        }
    }
}

/// One message with pipelined commands (RFC 2920).
pub async fn send(connection: &mut Connection, to: &str, message: &[u8]) -> Result<f64, Failure> {
    let commands = format!("MAIL FROM:<load@bench.example.net>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
    connection.send(commands.as_bytes()).await?;
    connection.reply("250").await?;
    connection.reply("250").await?;
    connection.reply("354").await?;
    let mut bytes = Vec::with_capacity(message.len() + 3);
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(b".\r\n");
    connection.send(&bytes).await?;
    let begun = Instant::now();
    connection.reply("250").await?;
    Ok(measure::ms(begun.elapsed()))
}
