//! How soon an idle session hears of new mail.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::smtp;
use crate::{Common, Failure, measure};

/// `pli-bench exists`
#[derive(Clone, Debug, clap::Args)]
pub struct Exists {
    /// Deliveries, one after the other.
    #[arg(long, default_value_t = 300)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 20_480)]
    size: usize,
}

const WAIT: Duration = Duration::from_secs(30);

impl Exists {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("exists");
        figures.note("messages", self.messages);
        let corpus = Corpus::new(common.seed, self.size);
        let user = common.account(0);
        let mut listener = common.imap()?.imap(&user, &common.password).await?;
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
        let mut sender = common.smtp()?.smtp().await?;
        let (mut from_data, mut from_ack) = (Vec::new(), Vec::new());
        for number in 0..self.messages {
            let ack_ms = smtp::send(&mut sender, &user, &corpus.get(number)).await?;
            let acked = Instant::now();
            let at = timeout(WAIT, heard.recv()).await?.ok_or("the idle session ended")?;
            // EXISTS may come before the 250 is read: then the difference is negative.
            let after_ack = if at >= acked { measure::ms(at - acked) } else { -measure::ms(acked - at) };
            from_ack.push(after_ack);
            from_data.push(ack_ms + after_ack);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        ear.abort();
        figures.set("data_to_exists_p50_ms", measure::median(&mut from_data));
        figures.set("data_to_exists_p99_ms", measure::percentile(&mut from_data, 0.99));
        figures.set("ack_to_exists_p50_ms", measure::median(&mut from_ack));
        figures.set("ack_to_exists_p99_ms", measure::percentile(&mut from_ack, 0.99));
        Ok(figures)
    }
}
