//! The rows in which another IMAP server stands beside: the same load, row by row, over the same ports' worth of TLS.
//!
//! `benches/imap.sh` starts the servers one after the other and calls these; `report` makes the table.

mod bodies;
mod change;
mod exists;
mod fill;
mod list;
mod logins;
mod report;
mod search;
mod select;

use std::time::{Duration, Instant};

use crate::client::{Connection, Drained};
use crate::report::Figures;
use crate::rows::idle::Idle;
use crate::{Common, Failure, measure};

/// The mailbox of the large lists.
pub const BIG: &str = "Big";
/// The mailbox of a million.
pub const HUGE: &str = "Huge";

/// `pli-bench side`
#[derive(Clone, Debug, clap::Args)]
pub struct Side {
    /// The server's name in the table.
    #[arg(long, global = true, default_value = "pli")]
    server: String,
    /// What is measured.
    #[command(subcommand)]
    part: Part,
}

/// What is measured.
#[derive(Clone, Debug, clap::Subcommand)]
enum Part {
    /// Waits until a login succeeds.
    Ready(logins::Ready),
    /// The password as a PHC string, with Pli's parameters.
    Hash,
    /// MULTIAPPEND of small messages into the large mailbox.
    Fill(fill::Fill),
    /// FETCH of flags, of envelopes, of Thunderbird's header list; SORT; THREAD.
    List(list::List),
    /// SEARCH TEXT in the large mailbox.
    Search(search::Search),
    /// APPEND, STORE, COPY, MOVE and EXPUNGE.
    Change(change::Change),
    /// Whole messages.
    Bodies(bodies::Bodies),
    /// Copies the large mailbox into one that is larger by so many times.
    Grow(select::Grow),
    /// SELECT of that one.
    Select(select::Select),
    /// From the end of DATA over LMTP to EXISTS in an idle session.
    Exists(exists::Exists),
    /// Memory of idle TLS sessions, over all processes of the server.
    Idle(Idle),
    /// Logins a second.
    Logins(logins::Logins),
    /// The table of all recorded lines.
    Report(report::Report),
}

impl Side {
    /// Runs the part; gives nothing where nothing is measured.
    pub async fn run(&self, common: &Common) -> Result<Option<Figures>, Failure> {
        let mut figures = match &self.part {
            Part::Ready(part) => return part.run(common).await.map(|()| None),
            Part::Hash => return hash(common).map(|()| None),
            Part::Report(part) => return part.run().map(|()| None),
            Part::Fill(part) => part.run(common).await?,
            Part::List(part) => part.run(common).await?,
            Part::Search(part) => part.run(common).await?,
            Part::Change(part) => part.run(common).await?,
            Part::Bodies(part) => part.run(common).await?,
            Part::Grow(part) => part.run(common).await?,
            Part::Select(part) => part.run(common).await?,
            Part::Exists(part) => part.run(common).await?,
            Part::Idle(part) => part.run(common).await?,
            Part::Logins(part) => part.run(common).await?,
        };
        figures.note("server", &self.server);
        Ok(Some(figures))
    }
}

fn hash(common: &Common) -> Result<(), Failure> {
    let password = pli_crypto::SecretString::from(common.password.clone());
    println!("{}", pli_crypto::hash_password(&password)?);
    Ok(())
}

async fn login(common: &Common) -> Result<Connection, Failure> {
    common.imap()?.imap(&common.account(0), &common.password).await
}

/// A command with a large answer, and its milliseconds.
async fn timed(session: &mut Connection, command: &str) -> Result<(f64, Drained), Failure> {
    let begun = Instant::now();
    let drained = session.drain(command).await?;
    Ok((measure::ms(begun.elapsed()), drained))
}

/// What bounds a repetition: whichever comes first.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Repeats {
    /// Repetitions of each command at most.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Seconds after which it is not repeated once more.
    #[arg(long, default_value_t = 5)]
    repeat_s: u64,
}

impl Repeats {
    /// The median of a command's milliseconds, and the last answer's size.
    async fn median(&self, session: &mut Connection, command: &str) -> Result<(f64, Drained), Failure> {
        let begun = Instant::now();
        let mut times = Vec::new();
        loop {
            let (ms, drained) = timed(session, command).await?;
            times.push(ms);
            if times.len() >= self.repeats || begun.elapsed() > Duration::from_secs(self.repeat_s) {
                return Ok((measure::median(&mut times), drained));
            }
        }
    }
}
