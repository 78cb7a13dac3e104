//! Profiles: rights and quota by kind of person.

use pli_store::QuotaLimit;
use serde::{Deserialize, Serialize};

/// A profile: rights and quota by kind of person, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `student`, `alumni`, `staff`, `teacher`, or another.
    pub name: String,
    /// Limits.
    pub quota: QuotaLimit,
    /// May log in by IMAP.
    pub imap: bool,
    /// May submit mail.
    pub submission: bool,
    /// May send to other domains.
    pub relay: bool,
    /// Messages submitted per hour.
    pub submit_per_hour: Option<u32>,
    /// Recipients of one message.
    pub recipients_max: Option<u32>,
}
