//! What an administrator can set for IMAP.

use serde::Deserialize;

use crate::quirks::Quirk;

/// The `[imap]` table of `pli.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImapConfig {
    /// The largest message that APPEND takes, in bytes: `NO [TOOBIG]`.
    pub message_bytes_max: u64,
    /// Bytes of all messages that are being appended at once, by all sessions: over it `NO [LIMIT]`.
    pub in_flight_bytes_max: u64,
    /// An authenticated session without a command for so long is closed. RFC 9051 §5.4: at least 30 minutes.
    pub idle_timeout_s: u64,
    /// A session that has not logged in is closed after so long without a command, and after three times as long in all.
    pub login_timeout_s: u64,
    /// Failed logins on one connection before it is closed.
    pub login_failures_max: u32,
    /// Connections that one account may have at once; the next login gets `NO [LIMIT]`.
    pub connections_per_account_max: usize,
    /// `* OK Still here` in IDLE this often, so that middleboxes keep the connection; 0: never.
    pub keepalive_s: u64,
    /// Takes LOGIN and AUTHENTICATE outside TLS too. Only for tests and for a proxy on the same machine.
    pub login_without_tls: bool,
    /// Shows the past as mailboxes below `Restauration` (`Restore`): each hour inside the store's retention window.
    pub restore: bool,
    /// Whose clocks name these hours: a name of the IANA time zone database.
    pub restore_time_zone: chrono_tz::Tz,
    /// RFC 9738: messages that one command may be about; 0: any number, and MESSAGELIMIT is not announced.
    pub message_limit: u32,
    /// Bytes of answers to FETCH, SORT and THREAD that are kept ready, of all accounts whose sessions last; 0: none.
    pub list_cache_bytes: u64,
    /// Capabilities that nobody gets.
    pub hidden_capabilities: Vec<String>,
    /// Capabilities that some clients or accounts do not get.
    pub quirks: Vec<Quirk>,
}

impl Default for ImapConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 50 * 1024 * 1024,
            in_flight_bytes_max: 256 * 1024 * 1024,
            idle_timeout_s: 30 * 60,
            login_timeout_s: 60,
            login_failures_max: 5,
            connections_per_account_max: 200,
            keepalive_s: 120,
            login_without_tls: false,
            restore: true,
            restore_time_zone: chrono_tz::UTC,
            message_limit: 0,
            list_cache_bytes: 96 * 1024 * 1024,
            hidden_capabilities: Vec::new(),
            quirks: Vec::new(),
        }
    }
}
