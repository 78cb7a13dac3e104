//! Logs: on standard error, for people or as JSON; the level can change while serving.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use crate::failure::{CONFIG, Failure, SOFTWARE};

/// Changes the level while serving.
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Sets another level.
    pub fn set(&self, level: &str) -> Result<(), Failure> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|error| Failure::new(SOFTWARE, error.to_string()))
    }
}

fn filter(level: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::builder().parse(level).map_err(|error| Failure::new(CONFIG, format!("log.level: {error}")))
}

/// Starts logging for the rest of the process.
pub fn start(log: &Log) -> Result<Level, Failure> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour)).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    started.map_err(|error| Failure::new(SOFTWARE, format!("logging: {error}")))?;
    Ok(Level(handle))
}
