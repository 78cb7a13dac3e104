//! Logins a second over TLS, each with a connection of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::report::Figures;
use crate::side::login;
use crate::{Common, Failure, measure};

/// `pli-bench side ready`
#[derive(Clone, Debug, clap::Args)]
pub struct Ready {
    /// Seconds to wait at most.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// `pli-bench side logins`
#[derive(Clone, Debug, clap::Args)]
pub struct Logins {
    /// Logins in all.
    #[arg(long, default_value_t = 400)]
    logins: usize,
    /// At once.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Name of the figures: which password, and how the server keeps it.
    #[arg(long, default_value = "password")]
    what: String,
    /// Lines of an address, a blank and its password, instead of the accounts' own.
    #[arg(long)]
    credentials: Option<PathBuf>,
}

impl Ready {
    /// Waits.
    pub async fn run(&self, common: &Common) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let Err(error) = login(common).await else { return Ok(()) };
            if begun.elapsed() > Duration::from_secs(self.seconds) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Logins {
    /// Runs the part: each account once, which is the first time where the server has just been started, then all.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new(&format!("logins-{}", self.what));
        figures.note("connections", self.connections);
        figures.note("logins", self.logins);
        let credentials: Vec<(String, String)> = match &self.credentials {
            Some(path) => std::fs::read_to_string(path)?
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(user, password)| (user.to_owned(), password.to_owned()))
                .collect(),
            None => (0..common.accounts).map(|number| (common.account(number), common.password.clone())).collect(),
        };
        let credentials = Arc::new(credentials);
        let (seconds, mut times) = self.load(common, &credentials, credentials.len()).await?;
        figures.set("first_per_s", credentials.len() as f64 / seconds);
        figures.set("first_p50_ms", measure::median(&mut times));
        let (seconds, mut times) = self.load(common, &credentials, self.logins).await?;
        figures.set("per_s", self.logins as f64 / seconds);
        figures.set("p50_ms", measure::median(&mut times));
        Ok(figures)
    }

    async fn load(
        &self,
        common: &Common,
        credentials: &Arc<Vec<(String, String)>>,
        logins: usize,
    ) -> Result<(f64, Vec<f64>), Failure> {
        let (target, next) = (common.imap()?, Arc::new(AtomicUsize::new(0)));
        let begun = Instant::now();
        let mut load = JoinSet::new();
        for _ in 0..self.connections {
            let (target, next, credentials) = (target.clone(), Arc::clone(&next), Arc::clone(credentials));
            load.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((user, password)) =
                        credentials.get(number % credentials.len().max(1)).filter(|_| number < logins)
                    else {
                        return Ok::<_, Failure>(times);
                    };
                    let begun = Instant::now();
                    target.imap(user, password).await?;
                    times.push(measure::ms(begun.elapsed()));
                }
            });
        }
        let mut times = Vec::new();
        while let Some(outcome) = load.join_next().await {
            times.append(&mut outcome??);
        }
        Ok((begun.elapsed().as_secs_f64(), times))
    }
}
