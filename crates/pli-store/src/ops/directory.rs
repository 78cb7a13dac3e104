//! Accounts, aliases, domains.

use pli_crypto::{AccountKeyBlob, EpochBlob};
use pli_types::{AccountId, Address, ByteCount, MailboxName};

use super::Result;
use crate::error::StoreError;
use crate::model::{Account, AccountChange, Alias, Domain, Mailbox, NewAccount, Quota};
use crate::moment::hours::ChangedHours;
use crate::rows::directory::Blob;
use crate::rows::mail::{AccountState, MessageRow};
use crate::rows::{Key, keys};
use crate::txn::Txn;

impl Txn<'_> {
    fn address_is_taken(&mut self, address: &Address) -> Result<bool> {
        let key = address.key();
        Ok(self.get(&keys::address(self.base.keys, &key))?.is_some()
            || self.get(&keys::alias(self.base.keys, &key))?.is_some())
    }

    pub(crate) fn create_account(
        &mut self,
        id: AccountId,
        new: NewAccount,
        key: &AccountKeyBlob,
        epoch: &EpochBlob,
    ) -> Result<()> {
        if self.address_is_taken(&new.address)? {
            return Err(StoreError::Exists(new.address.to_string()));
        }
        let mut globals = self.globals()?;
        if self.get(&keys::account(id))?.is_some() || self.get(&keys::state(id))?.is_some() {
            return Err(StoreError::Exists(format!("account {id}")));
        }
        globals.next_account = globals.next_account.max(id.get());
        self.put(keys::globals(), &globals);
        let account = Account {
            id,
            address: new.address,
            display_name: new.display_name,
            profile: new.profile,
            password: new.password,
            suspended: false,
            quota: new.quota,
            language: new.language,
            created: self.now(),
        };
        self.put(keys::account(id), &account);
        self.put(keys::address(self.base.keys, &account.address.key()), &id);
        self.put(keys::account_key(id), &Blob(key.encode()));
        self.put(keys::epoch(id, epoch.epoch().0), &Blob(epoch.encode()));
        let mut state = AccountState::default();
        state.quota.limit = new.quota_in_force;
        let inbox = self.make_mailbox(id, &mut state, MailboxName::inbox(), None)?;
        self.subscribe(id, &inbox.name, true);
        state.inbox = inbox.id;
        for (name, special_use) in new.mailboxes {
            if self.mailbox_id(id, &name)?.is_none() {
                self.put_state(id, &state);
                self.subscribe(id, &name, true);
                self.create_mailbox(id, name, special_use)?;
                state = self.state(id)?;
            }
        }
        self.put_state(id, &state);
        Ok(())
    }

    pub(crate) fn change_account(&mut self, id: AccountId, change: AccountChange) -> Result<()> {
        let mut account: Account = self.load(&keys::account(id))?.ok_or(StoreError::NoAccount(id))?;
        if matches!(change.password, Some(Some(_))) && self.is_shared(&account)? {
            return Err(StoreError::Impossible("nobody logs in to a shared account"));
        }
        set(&mut account.profile, change.profile);
        set(&mut account.display_name, change.display_name);
        set(&mut account.password, change.password);
        set(&mut account.suspended, change.suspended);
        set(&mut account.quota, change.quota);
        set(&mut account.language, change.language);
        self.put(keys::account(id), &account);
        if let Some(limit) = change.quota_in_force {
            let mut state = self.state(id)?;
            state.quota.limit = limit;
            self.put_state(id, &state);
        }
        Ok(())
    }

    /// Removes an account with its mail and keys.
    pub(crate) fn remove_account(&mut self, id: AccountId) -> Result<Account> {
        let account: Account = self.load(&keys::account(id))?.ok_or(StoreError::NoAccount(id))?;
        let mut state = self.state(id)?;
        for (_, mailbox) in self.list::<Mailbox>(&keys::mailboxes(id))? {
            self.clear_mailbox(id, &mut state, &mailbox)?;
        }
        self.drop_search_segments(id)?;
        self.drop_app_passwords(id)?;
        self.forget_sharing(id)?;
        for (key, _) in self.list::<MailboxName>(&keys::subscriptions(id))? {
            self.delete(key);
        }
        for (key, _) in self.list::<Blob>(&keys::epochs(id))? {
            self.delete(key);
        }
        for (key, _) in self.list::<ChangedHours>(&keys::changed_days(id))? {
            self.delete(key);
        }
        self.delete(keys::account_key(id));
        self.delete(keys::key_age(id));
        self.delete(keys::state(id));
        self.delete(keys::address(self.base.keys, &account.address.key()));
        self.delete(keys::account(id));
        self.own.keys_changed.push(id);
        Ok(account)
    }

    pub(crate) fn set_alias(&mut self, alias: &Alias) -> Result<()> {
        let key = alias.address.key();
        if self.get(&keys::address(self.base.keys, &key))?.is_some() {
            return Err(StoreError::Exists(alias.address.to_string()));
        }
        self.put(keys::alias(self.base.keys, &key), alias);
        Ok(())
    }

    pub(crate) fn remove_alias(&mut self, address: &Address) -> Result<()> {
        let key = keys::alias(self.base.keys, &address.key());
        if self.get(&key)?.is_none() {
            return Err(StoreError::Missing(address.to_string()));
        }
        self.delete(key);
        Ok(())
    }

    pub(crate) fn add_domain(&mut self, name: String) -> Result<()> {
        let key = keys::domain(self.base.keys, &name);
        if self.get(&key)?.is_some() {
            return Err(StoreError::Exists(name));
        }
        let created = self.now();
        self.put(key, &Domain { name, created });
        Ok(())
    }

    pub(crate) fn remove_domain(&mut self, name: &str) -> Result<()> {
        let key = keys::domain(self.base.keys, name);
        if self.get(&key)?.is_none() {
            return Err(StoreError::Missing(name.to_owned()));
        }
        let accounts = self.list::<Account>(&Key::new(crate::rows::Table::Account))?;
        let aliases = self.list::<Alias>(&Key::new(crate::rows::Table::Alias))?;
        if accounts.iter().any(|(_, account)| account.address.domain() == name)
            || aliases.iter().any(|(_, alias)| alias.address.domain() == name)
        {
            return Err(StoreError::Impossible("accounts or aliases use the domain"));
        }
        self.delete(key);
        Ok(())
    }

    /// Counts the quota again. Returns what the row had and what there is.
    pub(crate) fn recalculate_quota(&mut self, id: AccountId) -> Result<(Quota, Quota)> {
        let mut state = self.state(id)?;
        let before = state.quota;
        let messages = self.list::<MessageRow>(&keys::messages(id))?;
        let bytes = messages.iter().map(|(_, message)| message.size).fold(0, u64::saturating_add);
        state.quota.bytes_used = ByteCount::new(bytes);
        state.quota.messages_used = messages.len() as u64;
        if state.quota != before {
            self.put_state(id, &state);
        }
        Ok((before, state.quota))
    }

    /// Adds an epoch's keys, unless somebody else was first or the account has another key by now.
    pub(crate) fn add_epoch(&mut self, id: AccountId, account: &AccountKeyBlob, epoch: &EpochBlob) -> Result<bool> {
        let key = keys::epoch(id, epoch.epoch().0);
        let present = self.load::<Blob>(&keys::account_key(id))?;
        let same = match present {
            // Wrapped anew it is still the same key.
            Some(blob) => AccountKeyBlob::decode(&blob.0)?.encryption_public() == account.encryption_public(),
            None => false,
        };
        if self.get(&key)?.is_some() || !same {
            return Ok(false);
        }
        self.put(key, &Blob(epoch.encode()));
        self.own.keys_changed.push(id);
        Ok(true)
    }
}

fn set<T>(field: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *field = value;
    }
}
