//! The `[queue]` section of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the queue works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Seconds to wait after the first, second, … failed attempt; the last one repeats. RFC 5321 §4.5.4.1.
    pub retry_s: Vec<u32>,
    /// Seconds after which a row is given up and bounced. RFC 5321 §4.5.4.1: at least 4 to 5 days.
    pub expire_s: u32,
    /// Seconds after which a sender is told, once, that a message is late; 0: never.
    pub delay_notice_s: u32,
    /// Seconds that one attempt may take in all, besides a second for each 10 KB.
    pub attempt_timeout_s: u32,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections to one destination at once, when it takes mail well.
    pub connections_per_destination_max: usize,
    /// Messages over one connection.
    pub messages_per_connection_max: usize,
    /// Seconds after which a connection takes no further message.
    pub connection_age_max_s: u32,
    /// Recipients of one transaction. RFC 5321 §4.5.3.1.8: at least 100.
    pub recipients_per_transaction_max: usize,
    /// The port that other MTAs listen on.
    pub port: u16,
    /// Use STARTTLS where it is offered.
    pub starttls: bool,
    /// Private and loopback networks to which an MX record or an address literal may lead.
    pub private_networks: Vec<String>,
    /// Domain to `host:port`: these domains are not looked up. `*` is for all others.
    pub routes: BTreeMap<String, String>,
    /// What is to be known of hosts that `routes` names.
    pub hosts: Vec<HostConfig>,
    /// By the domain of the reverse-path: from where and under which name mail is sent.
    pub senders: BTreeMap<String, SenderConfig>,
    /// Days that the trace of mail is kept.
    pub trace_days: u32,
    /// Events that the trace has at most.
    pub trace_events_max: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            retry_s: vec![60, 300, 900, 1800, 3600, 7200, 14_400],
            expire_s: 5 * 86_400,
            delay_notice_s: 4 * 3600,
            attempt_timeout_s: 1200,
            connections_max: 256,
            connections_per_destination_max: 20,
            messages_per_connection_max: 100,
            connection_age_max_s: 300,
            recipients_per_transaction_max: 100,
            port: 25,
            starttls: true,
            private_networks: Vec::new(),
            routes: BTreeMap::new(),
            hosts: Vec::new(),
            senders: BTreeMap::new(),
            trace_days: 30,
            trace_events_max: 2_000_000,
        }
    }
}

/// A host of `routes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// `host:port` as in `routes`.
    pub host: String,
    /// Log in under this name.
    #[serde(default)]
    pub user: Option<String>,
    /// Whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Read from the file by whoever starts the queue.
    #[serde(skip)]
    pub password: Password,
    /// How TLS is made.
    #[serde(default)]
    pub tls: HostTls,
}

/// How TLS towards a host of `routes` is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostTls {
    /// Where it is offered; in the clear otherwise. Never with a password.
    #[default]
    Opportunistic,
    /// STARTTLS or nothing.
    Required,
    /// TLS from the first byte (465).
    Implicit,
    /// In the clear.
    Off,
}

/// A password that no log shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// How a domain's mail is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SenderConfig {
    /// Addresses of ours, one of each family at most.
    pub source: Vec<IpAddr>,
    /// The name in EHLO.
    pub ehlo: Option<String>,
}
