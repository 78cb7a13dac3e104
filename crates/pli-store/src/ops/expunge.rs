//! EXPUNGE: entries go, messages with their last entry, bodies with their last message.

use pli_types::{AccountId, ByteCount, MailboxId, SystemFlag, Uid};

use super::{Result, count};
use crate::error::StoreError;
use crate::limits::PRELOAD_ROWS;
use crate::rows::mail::{AccountState, MessageRow};
use crate::rows::{Key, Table, keys};
use crate::txn::Txn;
use crate::view::Entry;

impl Txn<'_> {
    /// A message's row; `None` if damage took it, which must not keep its entries from being moved and removed.
    pub(super) fn message_or_lost(&mut self, key: &Key) -> Result<Option<MessageRow>> {
        match self.load(key) {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) | Err(StoreError::Damaged(_)) => {
                tracing::error!(account = key.number(1), email = key.number(9), "an entry has no message row");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the rows of the first of these messages, which are about to be asked for.
    pub(super) fn preload_messages(&mut self, account: AccountId, entries: &[Entry]) -> Result<()> {
        let ids = entries.iter().take(PRELOAD_ROWS).map(|entry| entry.email.get()).collect();
        self.preload(&keys::messages(account), ids)
    }

    /// And those of their bodies.
    fn preload_bodies(&mut self, account: AccountId, entries: &[Entry]) -> Result<()> {
        let mut ids = Vec::new();
        for entry in entries.iter().take(PRELOAD_ROWS) {
            if let Ok(Some(message)) = self.load::<MessageRow>(&keys::message(account, entry.email)) {
                ids.push(message.body.get());
            }
        }
        self.preload(&Key::new(Table::Body), ids)
    }

    /// One entry less of a message. Returns its size.
    pub(crate) fn release_entry(&mut self, account: AccountId, state: &mut AccountState, entry: Entry) -> Result<u64> {
        let key = keys::message(account, entry.email);
        let Some(mut message) = self.message_or_lost(&key)? else { return Ok(0) };
        message.refs = message.refs.saturating_sub(1);
        if message.refs > 0 {
            self.put(key, &message);
            return Ok(message.size);
        }
        self.delete(key);
        let quota = &mut state.quota;
        quota.bytes_used = ByteCount::new(quota.bytes_used.get().saturating_sub(message.size));
        quota.messages_used = quota.messages_used.saturating_sub(1);
        self.release_body(message.body, false)?;
        Ok(message.size)
    }

    /// Removes messages with \Deleted, all of them or those among `only`. RFC 9051 §6.4.3, §6.4.9.
    pub(crate) fn expunge(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        only: Option<Vec<Uid>>,
    ) -> Result<Vec<Uid>> {
        if self.mailbox(account, mailbox)?.deleted == 0 {
            return Ok(Vec::new());
        }
        let sorted: Option<Vec<Uid>> = only.map(|uids| super::ascending(&uids));
        self.expunge_those(account, mailbox, sorted.as_deref(), |entry| entry.flags & SystemFlag::Deleted.bit() != 0)
    }

    /// Removes messages, whatever their flags; returns those that were there.
    pub(crate) fn remove_all(&mut self, account: AccountId, mailbox: MailboxId, uids: Vec<Uid>) -> Result<Vec<Uid>> {
        let sorted = super::ascending(&uids);
        self.expunge_those(account, mailbox, Some(&sorted), |_| true)
    }

    /// Removes one message, whatever its flags. RFC 8508 §3.4.
    pub(crate) fn remove(&mut self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<()> {
        let gone = self.expunge_those(account, mailbox, Some(&[uid]), |_| true)?;
        if gone.is_empty() { Err(StoreError::NoMessage) } else { Ok(()) }
    }

    fn expunge_those(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        only: Option<&[Uid]>,
        goes: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Uid>> {
        let mut state = self.state(account)?;
        let mut row = self.mailbox(account, mailbox)?;
        let mut gone = Vec::new();
        self.edit_entries(mailbox, only, |entry| {
            if !goes(&entry) {
                return Some(entry);
            }
            gone.push(entry);
            None
        })?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let modseq = Self::next_modseq(&mut state);
        for (place, entry) in gone.iter().enumerate() {
            if place.is_multiple_of(PRELOAD_ROWS) {
                self.preload_messages(account, gone.get(place..).unwrap_or_default())?;
                self.preload_bodies(account, gone.get(place..).unwrap_or_default())?;
            }
            let size = self.release_entry(account, &mut state, *entry)?;
            count(&mut row, entry.flags, size, false);
        }
        row.highest_modseq = modseq;
        let uids: Vec<Uid> = gone.iter().map(|entry| entry.uid).collect();
        self.note_expunged(mailbox, modseq, &uids)?;
        self.put_mailbox(&row);
        self.put_state(account, &state);
        Ok(uids)
    }
}
