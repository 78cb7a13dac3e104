//! How soon an idle session hears of mail that LMTP (RFC 2033) brought.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::smtp;
use crate::side::login;
use crate::{Common, Failure, measure};

/// `pli-bench side exists`
#[derive(Clone, Debug, clap::Args)]
pub struct Exists {
    /// Port of LMTP.
    #[arg(long)]
    lmtp_port: u16,
    /// Deliveries, one after the other.
    #[arg(long, default_value_t = 100)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
}

const WAIT: Duration = Duration::from_secs(20);

impl Exists {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("exists");
        figures.note("messages", self.messages);
        let corpus = Corpus::new(common.seed, self.size);
        let mut listener = login(common).await?;
        listener.command("SELECT INBOX").await?;
        listener.send(b"i1 IDLE\r\n").await?;
        if !listener.line().await?.starts_with(b"+") {
            return Err("no continuation after IDLE".into());
        }
        let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let ear = tokio::spawn(async move {
            while let Ok(line) = listener.line().await {
                if line.ends_with(b" EXISTS") && news.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        let mut sender = common.lmtp(self.lmtp_port)?.lmtp().await?;
        let mut times = Vec::new();
        for number in 0..self.messages {
            let begun = Instant::now();
            let ack_ms = smtp::send(&mut sender, &common.account(0), &corpus.get(number)).await?;
            let acked = begun.elapsed();
            let at = timeout(WAIT, heard.recv()).await.map_err(|_| "no EXISTS")?.ok_or("the idle session ended")?;
            // From the last byte of the message: what was said before it is taken off.
            times.push(measure::ms(at - begun) - (measure::ms(acked) - ack_ms));
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        ear.abort();
        figures.set("p50_ms", measure::median(&mut times));
        figures.set("p99_ms", measure::percentile(&mut times, 0.99));
        Ok(figures)
    }
}
