//! Credentials: app passwords, and what a login leaves behind.

use pli_types::AccountId;

use super::Result;
use crate::error::StoreError;
use crate::limits::APP_PASSWORDS_MAX;
use crate::model::{Account, AppPassword, LoginTrace, NewAppPassword};
use crate::rows::keys;
use crate::txn::Txn;

impl Txn<'_> {
    /// Adds an app password; returns its number, which is never given again while a younger one stands.
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
        let id = there.iter().map(|(_, app)| app.id).max().unwrap_or(0).saturating_add(1);
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
        Ok(row)
    }

    /// All of an account, with the account.
    pub(crate) fn drop_app_passwords(&mut self, account: AccountId) -> Result<()> {
        for (key, _) in self.list::<AppPassword>(&keys::app_passwords(account))? {
            self.delete(key);
        }
        Ok(())
    }

    /// What a login changes. An app password that was revoked, or a password that was changed, between the check and this
    /// commit makes it no login.
    pub(crate) fn trace_login(&mut self, account: AccountId, trace: LoginTrace) -> Result<()> {
        let mut row: Account = self.load(&keys::account(account))?.ok_or(StoreError::NoAccount(account))?;
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
