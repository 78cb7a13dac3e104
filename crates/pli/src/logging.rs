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
    parse(level).map_err(|error| Failure::new(CONFIG, format!("log.level: {error}")))
}

/// The filter that `log.level` describes. A word that is no level is refused (the filter would take it as the name of
/// a part), and `debug` or `trace` alone is about Pli: the index writes hundreds of such lines a second.
pub fn parse(level: &str) -> Result<EnvFilter, String> {
    let mut directives = Vec::new();
    for part in level.split(',').map(str::trim) {
        match part.to_ascii_lowercase().as_str() {
            "off" | "error" | "warn" | "info" => directives.push(part.to_owned()),
            "debug" | "trace" => directives.extend([String::from("info"), format!("pli={part}")]),
            _ if part.contains('=') => directives.push(part.to_owned()),
            _ => return Err(format!("{part:?} is none of off, error, warn, info, debug, trace, nor PART=LEVEL")),
        }
    }
    EnvFilter::builder().parse(directives.join(",")).map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn levels_and_parts() {
        assert_eq!(parse("warn").unwrap().to_string(), "warn");
        assert_eq!(parse("info,pli_smtp=debug").unwrap().to_string(), "pli_smtp=debug,info");
        assert_eq!(parse("debug").unwrap().to_string(), "pli=debug,info");
        assert_eq!(parse("sled=trace").unwrap().to_string(), "sled=trace");
        for wrong in ["loud", "", "info,", "pli=loud"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
