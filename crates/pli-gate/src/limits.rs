//! Named limits of the gate.

use std::time::Duration;

/// Password checks at once: each takes 19 MiB and a core.
pub const VERIFYING_MAX: usize = 2;
/// Logins that wait or are being checked at once; more get [`crate::AuthError::Slowed`].
pub const LOGINS_WAITING_MAX: usize = 512;
/// The same from one network (IPv6: one /64). Pairs of account and network that are known do not count.
pub const LOGINS_WAITING_PER_NETWORK_MAX: u32 = 128;
/// How often the last use of an app password is written, at most.
pub const LAST_USE_EACH_MS: i64 = 10 * 60 * 1000;
/// Longest login name looked at, in bytes.
pub const LOGIN_BYTES_MAX: usize = 320;
/// Failures for one account that cost no delay.
pub const FAILURES_FREE: u32 = 3;
/// Failures from one network that cost no delay: behind a school's address stand thousands, and some mistype.
pub const NETWORK_FAILURES_FREE: u32 = 50;
/// The first delay; it doubles with each failure.
pub const DELAY_FIRST: Duration = Duration::from_millis(250);
/// The longest delay.
pub const DELAY_MAX: Duration = Duration::from_secs(15);
/// One failure is forgotten after this much time without another.
pub const FAILURE_FORGOTTEN: Duration = Duration::from_secs(60);
/// Failures counted beyond the free ones: after a quiet hour everything is forgotten.
pub const FAILURES_COUNTED_MAX: u32 = 60;
/// Logins for one account that wait out a delay at once; more get [`crate::AuthError::Slowed`].
pub const DELAYED_PER_ACCOUNT_MAX: u32 = 4;
/// The same for one network.
pub const DELAYED_PER_NETWORK_MAX: u32 = 64;
/// Addresses and accounts whose failures are kept; beyond it those longest without a failure are forgotten.
pub const FAILURE_KEYS_MAX: usize = 20_000;
/// Pairs of account and address that logged in with success, and are not slowed down by the failures of others.
pub const KNOWN_PAIRS_MAX: usize = 50_000;
/// How long such a pair is kept.
pub const KNOWN_PAIR_KEPT: Duration = Duration::from_hours(24 * 14);
/// Accounts whose submissions are counted at once.
pub const SUBMITTERS_MAX: usize = 100_000;
/// Refusals recorded at once, and one more for each [`REFUSAL_EACH`]: a flood of refusals must not fill the log.
pub const REFUSALS_BURST: u32 = 100;
/// See [`REFUSALS_BURST`].
pub const REFUSAL_EACH: Duration = Duration::from_millis(100);
