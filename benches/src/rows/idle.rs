//! What an idle session costs in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Connection;
use crate::corpus::Corpus;
use crate::report::Figures;
use crate::rows::{Watch, smtp};
use crate::{Common, Failure, measure};

/// `pli-bench idle`
#[derive(Clone, Debug, clap::Args)]
pub struct Idle {
    /// Sessions in IDLE.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Logins at once.
    #[arg(long, default_value_t = 4)]
    logins: usize,
    /// Seconds between the last IDLE and the measurement.
    #[arg(long, default_value_t = 5)]
    settle: u64,
    /// Port of LMTP: one message to each account then, which each of its sessions has to hear of.
    #[arg(long)]
    deliver_to: Option<u16>,
}

/// Size of those messages in bytes.
const SIZE: usize = 4_096;
/// A session that has not heard of its message after so long never will.
const HEARS: Duration = Duration::from_secs(30);

impl Idle {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let pid = common.pid.ok_or("--pid PID is needed")?;
        let mut figures = Figures::new(if self.deliver_to.is_some() { "idle-told" } else { "idle" });
        figures.note("sessions", self.sessions);
        // Logins of every account, so that what an account costs is not taken
        // for what a session costs; they stay open to the end.
        let mut all = self.open(common, 0..common.accounts).await?;
        self.settle().await;
        let before = measure::memory_of_all(pid)?;
        let from = all.len();
        let watch = Watch::start(common)?;
        all.append(&mut self.open(common, from..from + self.sessions).await?);
        figures.set("logins_per_s", self.sessions as f64 / watch.seconds());
        watch.stop(&mut figures, self.sessions as u64)?;
        self.settle().await;
        let after = measure::memory_of_all(pid)?;
        let sessions = self.sessions as f64;
        figures.set("rss_before_kb", before.rss_kb);
        figures.set("rss_after_kb", after.rss_kb);
        figures.set("pss_before_kb", before.pss_kb);
        figures.set("pss_after_kb", after.pss_kb);
        figures.set("rss_per_session_kb", (after.rss_kb - before.rss_kb) / sessions);
        figures.set("pss_per_session_kb", (after.pss_kb - before.pss_kb) / sessions);
        if let Some(port) = self.deliver_to {
            all = self.deliver(common, port, all, &mut figures).await?;
        }
        // Idle is not dead: each session still answers.
        for (_, session) in &mut all {
            session.send(b"DONE\r\n").await?;
            let line = session.line().await?;
            if !line.starts_with(b"i1 OK") && !line.starts_with(b"* ") {
                return Err(String::from_utf8_lossy(&line).into_owned().into());
            }
        }
        Ok(figures)
    }

    /// One message to each account; every session must be told of its own.
    async fn deliver(
        &self,
        common: &Common,
        port: u16,
        sessions: Vec<(usize, Connection)>,
        figures: &mut Figures,
    ) -> Result<Vec<(usize, Connection)>, Failure> {
        let mut ears = JoinSet::new();
        for (number, mut session) in sessions {
            ears.spawn(async move {
                let heard = async {
                    while !session.line().await?.ends_with(b" EXISTS") {}
                    Ok::<_, Failure>(Instant::now())
                };
                let at = timeout(HEARS, heard).await.map_err(|_| format!("session {number} heard of nothing"))??;
                Ok::<_, Failure>((number, session, at))
            });
        }
        let corpus = Corpus::new(common.seed, SIZE);
        let mut sender = common.lmtp(port)?.lmtp().await?;
        let mut taken = Vec::new();
        for number in 0..common.accounts {
            smtp::send(&mut sender, &common.account(number), &corpus.get(number as u64)).await?;
            taken.push(Instant::now());
        }
        let (mut all, mut times) = (Vec::new(), Vec::new());
        while let Some(outcome) = ears.join_next().await {
            let (number, session, at) = outcome??;
            // The session may hear of it before the sender reads that it was taken.
            let taken = taken.get(number % common.accounts.max(1)).ok_or("no such account")?;
            times.push(measure::ms(at.saturating_duration_since(*taken)));
            all.push((number, session));
        }
        figures.set("told", times.len() as f64);
        figures.set("taken_to_exists_p50_ms", measure::median(&mut times));
        figures.set("taken_to_exists_p99_ms", measure::percentile(&mut times, 0.99));
        figures.set("taken_to_exists_max_ms", measure::percentile(&mut times, 1.0));
        Ok(all)
    }

    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(self.settle)).await;
    }

    async fn open(
        &self,
        common: &Common,
        numbers: std::ops::Range<usize>,
    ) -> Result<Vec<(usize, Connection)>, Failure> {
        let target = common.imap()?;
        let gate = Arc::new(Semaphore::new(self.logins.max(1)));
        let mut work = JoinSet::new();
        for number in numbers {
            let (target, gate) = (target.clone(), Arc::clone(&gate));
            let (user, password) = (common.account(number), common.password.clone());
            work.spawn(async move {
                let _turn = gate.acquire_owned().await?;
                let mut session = target.imap(&user, &password).await?;
                session.command("SELECT INBOX").await?;
                session.send(b"i1 IDLE\r\n").await?;
                let line = session.line().await?;
                if line.starts_with(b"+") {
                    Ok::<_, Failure>((number, session))
                } else {
                    Err(String::from_utf8_lossy(&line).into_owned().into())
                }
            });
        }
        let mut sessions = Vec::new();
        while let Some(outcome) = work.join_next().await {
            sessions.push(outcome??);
        }
        Ok(sessions)
    }
}

/// Memory of the server as it is now.
pub fn start_rss(common: &Common) -> Result<Figures, Failure> {
    let memory = measure::memory_of(common.pid.ok_or("--pid PID is needed")?)?;
    let mut figures = Figures::new("start-rss");
    figures.set("rss_mb", memory.rss_kb / 1024.0);
    figures.set("pss_mb", memory.pss_kb / 1024.0);
    Ok(figures)
}
