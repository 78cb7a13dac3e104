//! Credentials: what logins read before anybody is known, and the changes of app passwords.

use pli_audit::Event;
use pli_crypto::{SCRAM_SALT_BYTES, ScramKeys};
use pli_types::{AccountId, Action};

use crate::error::StoreError;
use crate::model::{AppPassword, LoginTrace, NewAppPassword};
use crate::ops::allowed;
use crate::permit::{Committed, Permit};
use crate::rows::keys;
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// The salt of SCRAM for an address ([`pli_types::Address::key`]), whether there is an account of it or not: always the
    /// same, and of no use to who wants to know which.
    #[must_use]
    pub fn scram_salt(&self, address: &str) -> [u8; SCRAM_SALT_BYTES] {
        let tag = self.engine().keys.login(b"scram salt", address);
        tag.first_chunk().copied().unwrap_or_default()
    }
    /// The tag in the rewritten sender of mail that is sent on: whoever shows it has it from this store.
    #[must_use]
    pub fn forward_tag(&self, text: &str) -> [u8; 32] {
        self.engine().keys.login(b"forward", text)
    }
    /// Keys for an account without any: no proof is right under them.
    #[must_use]
    pub fn no_scram_keys(&self, address: &str) -> ScramKeys {
        let (stored, server) =
            (self.engine().keys.login(b"scram stored", address), self.engine().keys.login(b"scram server", address));
        let mut bytes = [0; 64];
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(&stored);
        second.copy_from_slice(&server);
        ScramKeys::from_bytes(&bytes)
    }
    /// The keyed hash of an app password. Fast: these have so many random letters that nobody guesses them.
    #[must_use]
    pub fn app_password_hash(&self, account: AccountId, password: &str) -> [u8; 32] {
        let mut role = b"app password ".to_vec();
        role.extend_from_slice(&account.get().to_be_bytes());
        self.engine().keys.login(&role, password)
    }
    /// The app passwords of an account, by number.
    pub fn app_passwords(&self, account: AccountId) -> Result<Vec<AppPassword>> {
        let rows = self.engine().rows.list::<AppPassword>(&keys::app_passwords(account))?;
        Ok(rows.into_iter().map(|(_, app)| app).collect())
    }
    /// Adds an app password; returns its number.
    pub async fn add_app_password(
        &self,
        permit: Permit,
        account: AccountId,
        new: NewAppPassword,
    ) -> Result<Committed<u32>> {
        allowed(&permit, &[Action::AppPasswordChange], Some(account))?;
        self.commit(move |txn| {
            let id = txn.add_app_password(account, new)?;
            txn.audit(&permit, |event| event.account(account).count("app-password-added", id.into()));
            Ok(id)
        })
        .await
    }
    /// Removes an app password; returns what it was.
    pub async fn remove_app_password(
        &self,
        permit: Permit,
        account: AccountId,
        id: u32,
    ) -> Result<Committed<AppPassword>> {
        allowed(&permit, &[Action::AppPasswordChange], Some(account))?;
        self.commit(move |txn| {
            let removed = txn.remove_app_password(account, id)?;
            txn.audit(&permit, |event| event.account(account).count("app-password-revoked", id.into()));
            Ok(removed)
        })
        .await
    }
    /// Records a login with what it changes, in one commit.
    pub async fn record_login(&self, permit: Permit, event: Event, trace: LoginTrace) -> Result<Committed<()>> {
        allowed(&permit, &[Action::Login], None)?;
        let account = permit.grant().account.ok_or(StoreError::WrongPermit)?;
        self.commit(move |txn| {
            txn.trace_login(account, trace)?;
            txn.own.events.push(event);
            drop(permit);
            Ok(())
        })
        .await
    }
}
