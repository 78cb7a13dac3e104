//! Lists of a large mailbox: flags, envelopes, Thunderbird's headers, sorted, threaded.

use crate::report::Figures;
use crate::side::{BIG, Repeats, login, timed};
use crate::{Common, Failure};

/// `pli-bench side list`
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// Messages that the mailbox has.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// How often the second time is taken.
    #[command(flatten)]
    repeats: Repeats,
}

/// Name of the figure, the command, whether each message is answered for.
const ROWS: [(&str, &str, bool); 7] = [
    ("flags", "FETCH 1:* (FLAGS)", true),
    ("envelope", "FETCH 1:* (ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)", true),
    (
        "thunderbird",
        "UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority \
         X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])",
        true,
    ),
    ("sort_subject", "SORT (SUBJECT) UTF-8 ALL", false),
    ("sort_date", "SORT (REVERSE DATE) UTF-8 ALL", false),
    ("sort_from", "UID SORT (FROM DATE) UTF-8 ALL", false),
    ("thread_references", "THREAD REFERENCES UTF-8 ALL", false),
];

impl List {
    /// Runs the part.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("list");
        figures.note("messages", self.messages);
        let mut session = login(common).await?;
        // The index is warm: the mailbox has been open before.
        session.command(&format!("SELECT {BIG}")).await?;
        for (name, command, each) in ROWS {
            let (first, drained) = timed(&mut session, command).await?;
            if each && drained.fetches < self.messages {
                return Err(format!("{name}: {} FETCH responses, {} messages", drained.fetches, self.messages).into());
            }
            if drained.bytes < self.messages * 2 {
                return Err(format!("{name}: only {} bytes of answer", drained.bytes).into());
            }
            figures.set(&format!("{name}_first_ms"), first);
            figures.set(&format!("{name}_answer_bytes"), drained.bytes as f64);
            let (again, _) = self.repeats.median(&mut session, command).await?;
            figures.set(&format!("{name}_ms"), again);
        }
        Ok(figures)
    }
}
