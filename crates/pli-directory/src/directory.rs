//! The directory over a store's rows.

use std::sync::Arc;

use pli_store::{Account, Domain, Store, StoreError};
use pli_types::{AccountId, Address, UnixMillis};

use crate::Profile;
use crate::route::{Route, Rows, route};
use crate::srs;

/// The directory.
pub struct Directory {
    store: Store,
    profiles: parking_lot::RwLock<Arc<[Profile]>>,
    postmaster: parking_lot::RwLock<Option<Address>>,
    separator: char,
}

impl Directory {
    /// Over a store, with the configured profiles and subaddress separator (`+`).
    #[must_use]
    pub fn new(store: Store, profiles: Vec<Profile>, separator: char) -> Self {
        Self {
            store,
            profiles: parking_lot::RwLock::new(profiles.into()),
            postmaster: parking_lot::RwLock::new(None),
            separator,
        }
    }
    /// Replaces the profiles (reload of the configuration).
    pub fn set_profiles(&self, profiles: Vec<Profile>) {
        *self.profiles.write() = profiles.into();
    }
    /// Who gets mail for postmaster and abuse of a local domain where no alias says otherwise.
    pub fn set_postmaster(&self, address: Option<Address>) {
        *self.postmaster.write() = address;
    }
    /// A profile by name.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Profile> {
        self.profiles.read().iter().find(|p| p.name == name).cloned()
    }
    /// All profiles, in the configuration's order.
    #[must_use]
    pub fn profiles(&self) -> Arc<[Profile]> {
        Arc::clone(&self.profiles.read())
    }
    /// The profile of an account; `None` when the configuration no longer has it.
    #[must_use]
    pub fn profile_of(&self, account: &Account) -> Option<Profile> {
        self.profile(&account.profile)
    }
    /// An account by id.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.store.account(id)
    }
    /// The domain that a bare local part at login belongs to: the one added first.
    pub fn first_domain(&self) -> Result<Option<Domain>, StoreError> {
        Ok(self.store.domains()?.into_iter().min_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name))))
    }
    /// The address that a login name means: an address, or a local part of the first domain. Whether there is an account
    /// of it is another question.
    pub fn login_address(&self, login: &str) -> Result<Option<Address>, StoreError> {
        if login.contains('@') {
            return Ok(Address::parse(login).ok());
        }
        Ok(self.first_domain()?.and_then(|domain| Address::new(login, &domain.name).ok()))
    }
    /// An account by address or login name (a local part of the first domain). A text that can be neither is nobody.
    pub fn account_by_login(&self, login: &str) -> Result<Option<Account>, StoreError> {
        match self.login_address(login)? {
            Some(address) => self.store.account_by_key(&address.key()),
            None => Ok(None),
        }
    }
    /// Where mail for an address goes: exact account, alias, subaddress, postmaster, catch-all. Alias loops end.
    pub fn route(&self, address: &Address) -> Result<Route, StoreError> {
        route(self, address)
    }
    /// The sender that mail has which is sent on for an address of `through`: a bounce comes back to us, and goes on from
    /// here. Our own senders stay as they are.
    pub fn sender_when_sent_on(&self, sender: &Address, through: &str, now: UnixMillis) -> Result<Address, StoreError> {
        if self.is_local(sender.domain())? {
            return Ok(sender.clone());
        }
        let key = |text: &str| self.store.forward_tag(text);
        Ok(srs::rewrite(&key, sender, through, now).unwrap_or_else(|| sender.clone()))
    }
    /// Where a bounce to such a sender goes. `None`: the address has not that form, or another domain.
    pub fn bounce_route(&self, address: &Address, now: UnixMillis) -> Result<Option<Route>, StoreError> {
        let key = |text: &str| self.store.forward_tag(text);
        let Some(found) = srs::undo(&key, address, now) else { return Ok(None) };
        if !self.is_local(address.domain())? {
            return Ok(None);
        }
        match found {
            Ok(sender) if !self.is_local(sender.domain())? => {
                Ok(Some(Route::To { local: Vec::new(), remote: vec![sender] }))
            }
            Ok(sender) => self.route(&sender).map(Some),
            Err(wrong) => {
                tracing::info!(?wrong, "an address of a sender that was never, or too long ago, sent on");
                Ok(Some(Route::Unknown))
            }
        }
    }
    /// Whether an account may send in the name of an address: its own, a subaddress of it, or an alias that leads to it
    /// alone (a catch-all is nobody's name).
    pub fn owns(&self, account: AccountId, address: &Address) -> Result<bool, StoreError> {
        let Some(row) = self.store.account(account)? else { return Ok(false) };
        if row.address.key() == address.key() || self.base(address).is_some_and(|b| b.key() == row.address.key()) {
            return Ok(true);
        }
        if self.store.alias(&address.key())?.is_none() {
            return Ok(false);
        }
        Ok(match self.route(address)? {
            Route::To { local, remote } => remote.is_empty() && local == [account],
            Route::Unknown | Route::Remote => false,
        })
    }
}

impl Rows for Directory {
    fn is_local(&self, domain: &str) -> Result<bool, StoreError> {
        Ok(self.store.domain(domain)?.is_some())
    }
    fn account_id(&self, key: &str) -> Result<Option<AccountId>, StoreError> {
        Ok(self.store.account_by_key(key)?.map(|a| a.id))
    }
    fn alias_targets(&self, key: &str) -> Result<Option<Vec<Address>>, StoreError> {
        Ok(self.store.alias(key)?.map(|a| a.targets))
    }
    fn postmaster(&self) -> Option<Address> {
        self.postmaster.read().clone()
    }
    fn separator(&self) -> char {
        self.separator
    }
}
