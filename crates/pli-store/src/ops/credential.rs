//! Credentials: app passwords, and what a login leaves behind.

use pli_crypto::ScramVerifier;
use pli_types::AccountId;

use super::Result;
use crate::error::StoreError;
use crate::limits::APP_PASSWORDS_MAX;
use crate::model::{Account, AppPassword, LoginTrace, NewAppPassword};
use crate::rows::credential::AppNumber;
use crate::rows::keys;
use crate::txn::Txn;

impl Txn<'_> {
    /// Adds an app password; returns its number, which is never given again.
    pub(crate) fn add_app_password(&mut self, account: AccountId, new: NewAppPassword) -> Result<u32> {
        if self.get(&keys::account(account))?.is_none() {
            return Err(StoreError::NoAccount(account));
        }
        let there = self.list::<AppPassword>(&keys::app_passwords(account))?;
        if there.len() >= APP_PASSWORDS_MAX {
            return Err(StoreError::Limit("app passwords of the account"));
        }
        if there.iter().any(|(_, app)| app.label == new.label) {
            return Err(StoreError::Exists(new.label));
        }
        let given = self.load::<AppNumber>(&keys::app_number(account))?.map_or(0, |number| number.0);
        let id = there.iter().map(|(_, app)| app.id).fold(given, u32::max).checked_add(1);
        let id = id.ok_or(StoreError::Limit("numbers of app passwords of the account"))?;
        let NewAppPassword { label, hash, scram, iterations } = new;
        let row = AppPassword { id, label, created: self.now(), last_used: None, hash, scram, iterations };
        self.put(keys::app_password(account, id), &row);
        Ok(id)
    }

    /// Removes an app password.
    pub(crate) fn remove_app_password(&mut self, account: AccountId, id: u32) -> Result<AppPassword> {
        let key = keys::app_password(account, id);
        let row = self.load(&key)?.ok_or_else(|| StoreError::Missing(format!("app password {id}")))?;
        self.delete(key);
        // The sessions, records and memories of this one must not become those of another.
        let kept = keys::app_number(account);
        let given = self.load::<AppNumber>(&kept)?.map_or(0, |number| number.0);
        if id > given {
            self.put(kept, &AppNumber(id));
        }
        Ok(row)
    }

    /// All of an account, with the account.
    pub(crate) fn drop_app_passwords(&mut self, account: AccountId) -> Result<()> {
        for (key, _) in self.list::<AppPassword>(&keys::app_passwords(account))? {
            self.delete(key);
        }
        self.delete(keys::app_number(account));
        Ok(())
    }

    /// What a login changes. An app password that was revoked, or a password that was changed, between the check and this
    /// commit makes it no login: who ends sessions afterwards has them all.
    pub(crate) fn trace_login(&mut self, account: AccountId, trace: LoginTrace) -> Result<()> {
        let mut row: Account = self.load(&keys::account(account))?.ok_or(StoreError::NoAccount(account))?;
        if row.suspended {
            return Err(StoreError::Missing(String::from("the account's right to log in")));
        }
        if let Some(entry) = &trace.entry
            && !row.password.as_deref().is_some_and(|there| ScramVerifier::same_password(there, entry))
        {
            return Err(StoreError::Missing(String::from("the password that was shown")));
        }
        if let Some(id) = trace.app {
            let key = keys::app_password(account, id);
            let mut app: AppPassword =
                self.load(&key)?.ok_or_else(|| StoreError::Missing(format!("app password {id}")))?;
            if trace.touch {
                app.last_used = Some(self.now());
                self.put(key, &app);
            }
        }
        if let Some((old, new)) = trace.renewed
            && row.password.as_deref() == Some(old.as_str())
        {
            row.password = Some(new);
            self.put(keys::account(account), &row);
        }
        Ok(())
    }
}
