//! MULTIAPPEND (RFC 3502) of many small messages, command after command.

use std::collections::VecDeque;

use crate::client::Connection;
use crate::report::Figures;
use crate::rows::Watch;
use crate::side::{BIG, login};
use crate::{Common, Failure, talk};

/// `pli-bench side fill`
#[derive(Clone, Debug, clap::Args)]
pub struct Fill {
    /// Messages.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Messages of one command.
    #[arg(long, default_value_t = 100)]
    batch: usize,
}

/// Commands sent before the first is answered.
const WINDOW: usize = 4;

impl Fill {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("fill");
        figures.note("messages", self.messages);
        figures.note("batch", self.batch);
        // Made before the clock runs.
        let messages = talk::mailbox(common.seed, self.messages);
        let bytes: usize = messages.iter().map(Vec::len).sum();
        figures.set("message_bytes_mean", bytes as f64 / messages.len().max(1) as f64);
        let mut session = login(common).await?;
        session.command(&format!("CREATE {BIG}")).await?;
        let watch = Watch::start(common)?;
        append(&mut session, BIG, &messages, self.batch).await?;
        figures.set("appended_per_s", self.messages as f64 / watch.seconds());
        watch.stop(&mut figures, self.messages)?;
        Ok(figures)
    }
}

/// Appends all of them, so many with each command.
pub async fn append(
    session: &mut Connection,
    mailbox: &str,
    messages: &[Vec<u8>],
    batch: usize,
) -> Result<(), Failure> {
    let mut open: VecDeque<String> = VecDeque::new();
    for some in messages.chunks(batch.max(1)) {
        let tag = session.next_tag();
        let mut bytes = format!("{tag} APPEND {mailbox}").into_bytes();
        for message in some {
            bytes.extend_from_slice(format!(" (\\Seen) {{{}+}}\r\n", message.len()).as_bytes());
            bytes.extend_from_slice(message);
        }
        bytes.extend_from_slice(b"\r\n");
        session.send(&bytes).await?;
        open.push_back(tag);
        if open.len() >= WINDOW {
            session.answered(&open.pop_front().unwrap_or_default()).await?;
        }
    }
    for tag in open {
        session.answered(&tag).await?;
    }
    Ok(())
}
