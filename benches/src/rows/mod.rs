//! The rows: one file a subcommand.

pub mod append;
pub mod exists;
pub mod flags;
pub mod idle;
pub mod index;
pub mod search;
pub mod smtp;
pub mod store_cipher;
pub mod store_commit;
pub mod store_compact;
pub mod store_growth;
pub mod store_memory;
pub mod store_space;
pub mod store_view;

use std::time::Instant;

use crate::report::Figures;
use crate::{Common, Failure, measure};

/// Only fdatasync.
pub fn disk(common: &Common) -> Result<Figures, Failure> {
    let mut figures = Figures::new("disk");
    figures.disk(common.disk.as_deref().ok_or("--disk DIR is needed")?)?;
    Ok(figures)
}

/// Wall and CPU time of a stretch of load.
pub struct Watch {
    begun: Instant,
    own: f64,
    server: Option<(u32, f64)>,
}

impl Watch {
    /// From now on.
    pub fn start(common: &Common) -> Result<Self, Failure> {
        let server = match common.pid {
            Some(pid) => Some((pid, measure::cpu_of(pid)?)),
            None => None,
        };
        Ok(Self { begun: Instant::now(), own: measure::own_cpu(), server })
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Writes CPU time down, the generator's and the server's, a message too.
    pub fn stop(self, figures: &mut Figures, messages: u64) -> Result<(), Failure> {
        figures.set("generator_cpu_s", measure::own_cpu() - self.own);
        if let Some((pid, before)) = self.server {
            let spent = measure::cpu_of(pid)? - before;
            figures.set("server_cpu_s", spent);
            figures.set("server_cpu_ms_per_message", spent * 1000.0 / messages.max(1) as f64);
        }
        Ok(())
    }
}

/// The number after a word in the lines of an answer: `MESSAGES 12`, `UIDNEXT 13`.
pub fn number_after(lines: &[String], word: &str) -> Option<u64> {
    lines.iter().find_map(|line| {
        let rest = line.split(word).nth(1)?.trim_start();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}
