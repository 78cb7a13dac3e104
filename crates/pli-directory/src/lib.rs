//! Who somebody is: accounts, profiles, credentials, aliases and domains, over the store's rows.
//!
//! No protocol, no sockets, no clock. LDAP and OIDC come later behind the same calls.

use std::sync::Arc;

use pli_store::{Account, QuotaLimit, Store, StoreError};
use pli_types::{AccountId, Address};

/// Where mail for an address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To these local accounts and (by aliases) remote addresses.
    To {
        /// Local accounts, each once.
        local: Vec<AccountId>,
        /// Remote addresses, each once.
        remote: Vec<Address>,
    },
    /// The domain is ours, the recipient is not known: `550 5.1.1`.
    Unknown,
    /// The domain is not ours.
    Remote,
}

/// A profile: rights and quota by kind of person, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
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

/// The directory.
pub struct Directory {
    store: Store,
    profiles: parking_lot::RwLock<Arc<[Profile]>>,
    separator: char,
}

impl Directory {
    /// Over a store, with the configured profiles and subaddress separator (`+`).
    #[must_use]
    pub fn new(store: Store, profiles: Vec<Profile>, separator: char) -> Self {
        Self { store, profiles: parking_lot::RwLock::new(profiles.into()), separator }
    }
    /// Replaces the profiles (reload of the configuration).
    pub fn set_profiles(&self, profiles: Vec<Profile>) {
        *self.profiles.write() = profiles.into();
    }
    /// A profile by name.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Profile> {
        self.profiles.read().iter().find(|p| p.name == name).cloned()
    }
    /// An account by address or login name.
    pub fn account_by_login(&self, login: &str) -> Result<Option<Account>, StoreError> {
        let _ = (login, &self.store, self.separator);
        todo!()
    }
    /// Where mail for an address goes: exact account, alias, subaddress, catch-all. Alias loops end.
    pub fn route(&self, address: &Address) -> Result<Route, StoreError> {
        let _ = address;
        todo!()
    }
}
