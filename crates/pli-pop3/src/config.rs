//! What an administrator can set for POP3.

use serde::Deserialize;

/// The `[pop3]` table of `pli.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3Config {
    /// A session without a command for so long is closed, and removes nothing. RFC 1939 §3: at least 10 minutes.
    pub idle_timeout_s: u64,
    /// A session that has not logged in is closed after so long without a command.
    pub login_timeout_s: u64,
    /// Failed logins on one connection before it is closed.
    pub login_failures_max: u32,
    /// Wrong commands on one connection before it is closed.
    pub bad_commands_max: u32,
}

impl Default for Pop3Config {
    fn default() -> Self {
        Self { idle_timeout_s: 10 * 60, login_timeout_s: 60, login_failures_max: 5, bad_commands_max: 20 }
    }
}
