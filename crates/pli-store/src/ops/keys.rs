//! Changes of keys: rewrapped blobs, new account keys, log keys made ahead, the progress of it all.

use pli_crypto::{AccountKeyBlob, EpochBlob};
use pli_types::AccountId;

use super::Result;
use crate::model::Account;
use crate::rows::directory::Blob;
use crate::rows::key::{KeyAge, KeyState};
use crate::rows::{Key, keys};
use crate::txn::Txn;

impl Txn<'_> {
    /// How far changes of keys are.
    pub(crate) fn key_state(&mut self) -> Result<KeyState> {
        Ok(self.load(&keys::key_state())?.unwrap_or_default())
    }
    pub(crate) fn put_key_state(&mut self, state: &KeyState) {
        self.put(keys::key_state(), state);
    }

    /// Puts a blob in another one's place, if that one still stands there.
    pub(crate) fn replace_blob(&mut self, key: Key, old: &Blob, new: Vec<u8>) -> Result<bool> {
        if self.load::<Blob>(&key)?.as_ref() != Some(old) {
            return Ok(false);
        }
        self.put(key, &Blob(new));
        Ok(true)
    }

    /// Puts a log key's row, unless there is one.
    pub(crate) fn add_log_key(&mut self, id: [u8; 5], wrapped: &[u8]) -> Result<()> {
        let key = keys::log_key(id);
        if self.get(&key)?.is_none() {
            self.put(key, &Blob(wrapped.to_vec()));
        }
        Ok(())
    }

    /// Gives an account its new K1 with all its epochs sealed to it; false if keys changed since they were read.
    pub(crate) fn renew_account(
        &mut self,
        id: AccountId,
        old: &Blob,
        new: &AccountKeyBlob,
        epochs: &[EpochBlob],
    ) -> Result<bool> {
        let there = self.list::<Blob>(&keys::epochs(id))?;
        let same = there.len() == epochs.len()
            && there.iter().zip(epochs).all(|((key, _), epoch)| *key == keys::epoch(id, epoch.epoch().0));
        if !same || !self.replace_blob(keys::account_key(id), old, new.encode())? {
            return Ok(false);
        }
        for epoch in epochs {
            self.put(keys::epoch(id, epoch.epoch().0), &Blob(epoch.encode()));
        }
        let before: Option<KeyAge> = self.load(&keys::key_age(id))?;
        let age = KeyAge { made: self.now(), secret_since: before.and_then(|age| age.secret_since) };
        self.put(keys::key_age(id), &age);
        self.own.keys_changed.push(id);
        Ok(true)
    }

    /// Notes that an account got a secret of its own later than its key.
    pub(crate) fn mark_late_secret(&mut self, id: AccountId) -> Result<()> {
        let made = match self.load::<KeyAge>(&keys::key_age(id))? {
            Some(age) => age.made,
            None => self.load::<Account>(&keys::account(id))?.map_or(self.now(), |account| account.created),
        };
        let age = KeyAge { made, secret_since: Some(self.now()) };
        self.put(keys::key_age(id), &age);
        Ok(())
    }

    /// Marks an account whose own secret is to be destroyed.
    pub(crate) fn begin_erasing(&mut self, id: AccountId) {
        let made = self.now();
        self.put(keys::erasing(id), &KeyAge { made, secret_since: None });
    }
    /// The own secret is destroyed.
    pub(crate) fn end_erasing(&mut self, id: AccountId) -> Result<bool> {
        let marked = self.get(&keys::erasing(id))?.is_some();
        self.delete(keys::erasing(id));
        Ok(marked)
    }
}
