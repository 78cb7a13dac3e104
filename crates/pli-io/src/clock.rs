//! Time: wall clock and a monotonic one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pli_types::UnixMillis;

/// A source of time.
pub trait Clock: Send + Sync {
    /// Wall-clock time; may jump.
    fn now(&self) -> UnixMillis;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
