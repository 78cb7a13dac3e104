//! The `[queue]` section of the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the queue works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Seconds to wait after the first, second, … failed attempt; the last one repeats. RFC 5321 §4.5.4.1.
    pub retry_s: Vec<u32>,
    /// Seconds after which a row is given up and bounced. RFC 5321 §4.5.4.1: at least 4 to 5 days.
    pub expire_s: u32,
    /// Destinations served at once.
    pub connections_max: usize,
    /// Connections to one destination at once.
    pub connections_per_destination_max: usize,
    /// Recipients of one transaction. RFC 5321 §4.5.3.1.8: at least 100.
    pub recipients_per_transaction_max: usize,
    /// The port that other MTAs listen on.
    pub port: u16,
    /// Use STARTTLS where it is offered.
    pub starttls: bool,
    /// Domain to `host:port`: these domains are not looked up.
    pub routes: BTreeMap<String, String>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            retry_s: vec![60, 300, 900, 1800, 3600, 7200, 14_400],
            expire_s: 5 * 86_400,
            connections_max: 32,
            connections_per_destination_max: 5,
            recipients_per_transaction_max: 100,
            port: 25,
            starttls: true,
            routes: BTreeMap::new(),
        }
    }
}
