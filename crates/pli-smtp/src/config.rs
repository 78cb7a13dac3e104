//! The `[smtp]` section of the configuration.

use serde::{Deserialize, Serialize};

/// What an administrator can set for SMTP, submission and LMTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpConfig {
    /// The largest message, in bytes, as SIZE announces it: `552 5.3.4`. RFC 1870.
    pub message_bytes_max: u64,
    /// Bytes of all messages that are being received at once; over it `452 4.3.1`.
    pub in_flight_bytes_max: u64,
    /// Recipients of one message from another server; over it `452 4.5.3`. RFC 5321 §4.5.3.1.8: at least 100.
    pub recipients_max: u32,
    /// Recipients of one submitted message, where the profile sets no smaller number.
    pub submission_recipients_max: u32,
    /// Seconds to wait for a command. RFC 5321 §4.5.3.2.7: 300.
    pub command_timeout_s: u64,
    /// Seconds to wait for the next bytes of a message. RFC 5321 §4.5.3.2.5: at least 180.
    pub data_timeout_s: u64,
    /// Seconds that one message may take in all.
    pub message_timeout_s: u64,
    /// Commands that are unknown, wrong or out of order before the session is closed with `421`.
    pub bad_commands_max: u32,
    /// Failed logins on one connection before it is closed.
    pub login_failures_max: u32,
    /// Submission sessions that one account may have at once; the next login gets `454`.
    pub connections_per_account_max: usize,
    /// Seconds that a submitted message may be told to wait. RFC 4865.
    pub future_release_max_s: u32,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 50 * 1024 * 1024,
            in_flight_bytes_max: 256 * 1024 * 1024,
            recipients_max: 100,
            submission_recipients_max: 500,
            command_timeout_s: 300,
            data_timeout_s: 180,
            message_timeout_s: 3600,
            bad_commands_max: 20,
            login_failures_max: 3,
            connections_per_account_max: 100,
            future_release_max_s: 30 * 86_400,
        }
    }
}
