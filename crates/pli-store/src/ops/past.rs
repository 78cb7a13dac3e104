//! What brings mail of the past back: copies out of a moment, and mailboxes put back to it.

use std::collections::HashMap;

use pli_types::{AccountId, EmailId, MailboxId, ModSeq, SystemFlag, Uid, UidValidity};

use super::append::{charge, next_uid};
use super::{Result, count, translate};
use crate::error::{PastError, StoreError};
use crate::limits::MESSAGE_COPIES_MAX;
use crate::model::Mailbox;
use crate::rows::keys;
use crate::rows::mail::{AccountState, MessageRow};
use crate::txn::Txn;
use crate::view::Entry;

/// An entry of the past with its message.
pub(crate) struct PastEntry {
    pub(crate) entry: Entry,
    pub(crate) message: MessageRow,
}

/// A mailbox of the past, or some of its entries.
pub(crate) struct PastMailbox {
    pub(crate) mailbox: Mailbox,
    /// By UID.
    pub(crate) entries: Vec<PastEntry>,
}

/// Messages that one operation made anew, by the email ids that they had.
pub(crate) type Renewed = HashMap<EmailId, EmailId>;

impl Txn<'_> {
    /// Copies entries of the past to a mailbox's end.
    pub(crate) fn restore(
        &mut self,
        account: AccountId,
        past: &PastMailbox,
        to: MailboxId,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>)> {
        let mut state = self.state(account)?;
        let mut target = self.mailbox(account, to)?;
        if past.entries.is_empty() {
            return Ok((target.uid_validity, Vec::new()));
        }
        let modseq = Self::next_modseq(&mut state);
        let mut renewed = Renewed::new();
        let mut copied = Vec::with_capacity(past.entries.len());
        for entry in &past.entries {
            let uid =
                self.bring_back(account, &mut state, (&past.mailbox, entry), &mut target, modseq, &mut renewed)?;
            copied.push((entry.entry.uid, uid));
        }
        target.highest_modseq = modseq;
        self.put_mailbox(&target);
        self.put_state(account, &state);
        Ok((target.uid_validity, copied))
    }

    /// One entry of the past, at a mailbox's end. Neither mailbox nor state are put.
    pub(crate) fn bring_back(
        &mut self,
        account: AccountId,
        state: &mut AccountState,
        (source, past): (&Mailbox, &PastEntry),
        target: &mut Mailbox,
        modseq: ModSeq,
        renewed: &mut Renewed,
    ) -> Result<Uid> {
        let email = self.message_again(account, state, past, renewed)?;
        // What comes back is not to be expunged with the next breath.
        let flags = translate(past.entry.flags & !SystemFlag::Deleted.bit(), source, target)?;
        let uid = next_uid(target)?;
        self.append_entry(target.id, Entry { uid, email, modseq, flags })?;
        count(target, flags, past.message.size, true);
        Ok(uid)
    }

    /// The message with one more entry: the one that is still there, or a new one of the same bytes.
    fn message_again(
        &mut self,
        account: AccountId,
        state: &mut AccountState,
        past: &PastEntry,
        renewed: &mut Renewed,
    ) -> Result<EmailId> {
        let email = renewed.get(&past.entry.email).copied().unwrap_or(past.entry.email);
        let key = keys::message(account, email);
        if let Some(mut message) = self.load::<MessageRow>(&key)? {
            if message.refs >= MESSAGE_COPIES_MAX {
                return Err(StoreError::Limit("copies of one message"));
            }
            message.refs = message.refs.saturating_add(1);
            self.put(key, &message);
            return Ok(email);
        }
        charge(state, past.message.size)?;
        self.revive_body(past.message.body).map_err(|error| match error {
            StoreError::Missing(_) => PastError::Gone.into(),
            error => error,
        })?;
        state.next_email = state.next_email.saturating_add(1);
        let new = EmailId::new(state.next_email);
        // K3's wrap is bound to account and body, not to the email id: it opens as it stands.
        self.put(keys::message(account, new), &MessageRow { refs: 1, ..past.message });
        renewed.insert(past.entry.email, new);
        Ok(new)
    }
}
