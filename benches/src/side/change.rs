//! Changes of many messages: APPEND one by one, then STORE, COPY, MOVE and EXPUNGE in one command each.

use std::sync::Arc;

use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::append;
use crate::side::{fill, login, timed};
use crate::{Common, Failure, measure, talk};

/// `pli-bench side change`
#[derive(Clone, Debug, clap::Args)]
pub struct Change {
    /// Messages of each command.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Repetitions of all.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Connections of APPEND, each to an account of its own.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Messages of APPEND over one connection.
    #[arg(long, default_value_t = 1_000)]
    alone: u64,
}

const SIZE: usize = 4_096;
/// Messages of one command where the mailbox is filled.
const BATCH: usize = 100;

impl Change {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("change");
        figures.note("messages", self.messages);
        figures.note("append_connections", self.connections);
        let corpus = Arc::new(Corpus::new(common.seed, SIZE));
        for (name, connections, messages) in
            [("append_alone", 1, self.alone), ("append", self.connections, self.messages)]
        {
            let mut sessions = Vec::new();
            for number in 0..connections {
                sessions.push(common.imap()?.imap(&common.account(1 + number), &common.password).await?);
            }
            let begun = std::time::Instant::now();
            append::load(sessions, "INBOX", messages, 1, Arc::clone(&corpus)).await?;
            figures.set(&format!("{name}_per_s"), messages as f64 / begun.elapsed().as_secs_f64());
        }
        self.bulk(common, &mut figures).await?;
        Ok(figures)
    }

    async fn bulk(&self, common: &Common, figures: &mut Figures) -> Result<(), Failure> {
        let mut session = login(common).await?;
        for name in ["Work", "Copied", "Moved"] {
            session.command(&format!("CREATE {name}")).await?;
        }
        fill::append(&mut session, "Work", &talk::mailbox(common.seed, self.messages), BATCH).await?;
        // What is selected, what is done, the name of its figure.
        let steps = [
            ("Work", "STORE 1:* +FLAGS (\\Flagged)", "store_ms"),
            ("", "STORE 1:* -FLAGS.SILENT (\\Flagged)", "store_silent_ms"),
            ("", "COPY 1:* Copied", "copy_ms"),
            ("Copied", "MOVE 1:* Moved", "move_ms"),
            ("Moved", "STORE 1:* +FLAGS.SILENT (\\Deleted)", ""),
            ("", "EXPUNGE", "expunge_ms"),
        ];
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); steps.len()];
        for _ in 0..self.repeats {
            for ((mailbox, command, name), times) in steps.iter().zip(&mut times) {
                if !mailbox.is_empty() {
                    let lines = session.command(&format!("SELECT {mailbox}")).await?;
                    if !lines.iter().any(|line| *line == format!("* {} EXISTS", self.messages)) {
                        return Err(format!("{command}: {mailbox} has not {} messages", self.messages).into());
                    }
                }
                let (ms, _) = timed(&mut session, command).await.map_err(|error| format!("{command}: {error}"))?;
                if !name.is_empty() {
                    times.push(ms);
                }
            }
        }
        for ((.., name), times) in steps.iter().zip(&mut times) {
            if !name.is_empty() {
                figures.set(name, measure::median(times));
            }
        }
        Ok(())
    }
}
