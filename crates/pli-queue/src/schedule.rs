//! When a row is tried again: pure, time comes in.

use pli_types::UnixMillis;

use crate::QueueConfig;

/// The next attempt after `attempts` failed ones, or `None` when the row's time is over.
///
/// The delay is moved by up to an eighth either way, so that rows of one moment do not come back in one moment.
#[must_use]
pub fn next_attempt(
    config: &QueueConfig,
    created: UnixMillis,
    now: UnixMillis,
    attempts: u32,
    jitter: u64,
) -> Option<UnixMillis> {
    let expires = created.plus_ms(i64::from(config.expire_s) * 1000);
    if now >= expires {
        return None;
    }
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let delay_s = config.retry_s.get(step).or_else(|| config.retry_s.last()).copied().unwrap_or(3600).max(1);
    let delay_ms = i64::from(delay_s) * 1000;
    let spread = (delay_ms / 4).max(1);
    let moved = delay_ms - spread / 2 + i64::try_from(jitter % spread.unsigned_abs()).unwrap_or(0);
    // The last attempt is made at the end, not thrown away.
    Some(now.plus_ms(moved).min(expires))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn delays_grow_and_end() {
        let config = QueueConfig::default();
        let start = UnixMillis(0);
        let mut now = start;
        let mut last_delay = 0;
        let mut attempts = 0;
        while let Some(next) = next_attempt(&config, start, now, attempts + 1, 0) {
            attempts += 1;
            let delay = next.0 - now.0;
            assert!(next > now, "time goes on");
            if attempts < 7 {
                assert!(delay > last_delay, "attempt {attempts}");
            }
            last_delay = delay;
            now = next;
            assert!(attempts < 100, "it ends");
        }
        assert_eq!(now, UnixMillis(5 * 86_400_000), "the last attempt is made when the time is over");
    }

    #[test]
    fn jitter_stays_within_an_eighth() {
        let config = QueueConfig::default();
        for jitter in [0, 1, 12_345, u64::MAX] {
            let next = next_attempt(&config, UnixMillis(0), UnixMillis(0), 1, jitter).unwrap();
            assert!((52_500..=67_500).contains(&next.0), "{next}");
        }
    }

    #[test]
    fn an_empty_list_still_has_a_delay() {
        let config = QueueConfig { retry_s: Vec::new(), ..QueueConfig::default() };
        assert!(next_attempt(&config, UnixMillis(0), UnixMillis(0), 1, 0).unwrap() > UnixMillis(0));
    }
}
