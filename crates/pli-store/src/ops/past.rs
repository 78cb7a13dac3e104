//! What brings mail of the past back: copies out of a moment, and mailboxes put back to it.

use std::collections::{HashMap, HashSet};

use pli_types::{AccountId, EmailId, MailboxId, MailboxName, ModSeq, SystemFlag, Uid, UidValidity};

use super::append::{charge, next_uid};
use super::{By, Result, count, translate};
use crate::error::{Damaged, PastError, StoreError};
use crate::limits::MESSAGE_COPIES_MAX;
use crate::model::{Mailbox, Rewound};
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
type Renewed = HashMap<EmailId, EmailId>;

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
            let email = self.message_again(account, &mut state, entry, &mut renewed)?;
            // What comes back is not to be expunged with the next breath.
            let flags = entry.entry.flags & !SystemFlag::Deleted.bit();
            let uid = self.enter_again(&past.mailbox, (email, flags, entry.message.size), &mut target, modseq)?;
            copied.push((entry.entry.uid, uid));
        }
        target.highest_modseq = modseq;
        self.put_mailbox(&target);
        self.put_state(account, &state);
        Ok((target.uid_validity, copied))
    }

    /// An entry at a mailbox's end, with flags of a mailbox of the past. The mailbox is not put.
    fn enter_again(
        &mut self,
        source: &Mailbox,
        (email, flags, size): (EmailId, u64, u64),
        target: &mut Mailbox,
        modseq: ModSeq,
    ) -> Result<Uid> {
        let flags = translate(flags, source, target)?;
        let uid = next_uid(target)?;
        self.append_entry(target.id, Entry { uid, email, modseq, flags })?;
        count(target, flags, size, true);
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

    /// Puts a mailbox back to what it was: its messages with the flags that they had, under new UIDs and a new
    /// UIDVALIDITY. What came later is moved to a mailbox below `aside`. A mailbox that is gone is made anew.
    pub(crate) fn rewind(&mut self, account: AccountId, past: &PastMailbox, aside: &MailboxName) -> Result<Rewound> {
        let name = &past.mailbox.name;
        let id = match self.mailbox_id(account, name)? {
            Some(id) => id,
            None => self.create_mailbox(account, name.clone(), None)?.id,
        };
        let then: HashSet<EmailId> = past.entries.iter().map(|past| past.entry.email).collect();
        let present = self.entries(id, None)?;
        let later: Vec<Uid> = present.iter().filter(|e| !then.contains(&e.email)).map(|e| e.uid).collect();
        if !later.is_empty() {
            let target = self.aside(account, aside, name)?;
            self.copy_or_move(account, id, Some(&later), target, true, By::OWNER)?;
        }
        let (same, restored) = self.replace_entries(account, id, past)?;
        let mailbox = self.mailbox(account, id)?;
        Ok(Rewound { mailbox, same, restored, aside: u32::try_from(later.len()).unwrap_or(u32::MAX) })
    }

    /// The mailbox for what came later than the past of another one.
    fn aside(&mut self, account: AccountId, aside: &MailboxName, name: &MailboxName) -> Result<MailboxId> {
        // A name that would be too long gives way to the level above.
        let name = MailboxName::new(&format!("{aside}/{name}")).unwrap_or_else(|_| aside.clone());
        match self.mailbox_id(account, &name)? {
            Some(id) => Ok(id),
            None => Ok(self.create_mailbox(account, name, None)?.id),
        }
    }

    /// All entries of a mailbox, which are all of messages of its past, go; those of its past come. Returns how many
    /// messages were still there and how many came back.
    fn replace_entries(&mut self, account: AccountId, id: MailboxId, past: &PastMailbox) -> Result<(u32, u32)> {
        let mut state = self.state(account)?;
        let mut row = self.mailbox(account, id)?;
        let modseq = Self::next_modseq(&mut state);
        let mut removed = Vec::new();
        self.edit_entries(id, None, |entry| {
            removed.push(entry);
            None
        })?;
        let mut held: HashMap<EmailId, Vec<Entry>> = HashMap::new();
        for entry in &removed {
            let message: Option<MessageRow> = self.load(&keys::message(account, entry.email))?;
            let message = message.ok_or(StoreError::Damaged(Damaged::Row("message")))?;
            count(&mut row, entry.flags, message.size, false);
            held.entry(entry.email).or_default().push(*entry);
        }
        let mut renewed = Renewed::new();
        let (mut same, mut restored) = (0_u32, 0_u32);
        for entry in &past.entries {
            // The place that an entry gives up is another's of the same message: nothing is counted.
            let email = if held.get_mut(&entry.entry.email).and_then(Vec::pop).is_some() {
                same = same.saturating_add(1);
                entry.entry.email
            } else {
                restored = restored.saturating_add(1);
                self.message_again(account, &mut state, entry, &mut renewed)?
            };
            self.enter_again(&past.mailbox, (email, entry.entry.flags, entry.message.size), &mut row, modseq)?;
        }
        for entry in held.into_values().flatten() {
            self.release_entry(account, &mut state, entry)?;
        }
        if !removed.is_empty() {
            let gone: Vec<Uid> = removed.iter().map(|entry| entry.uid).collect();
            self.note_expunged(id, modseq, &gone)?;
        }
        // RFC 9051 §2.3.1.1: what clients have of the mailbox is not to be taken for what is there now.
        row.uid_validity = self.next_uid_validity()?;
        row.highest_modseq = modseq;
        self.put_mailbox(&row);
        self.put_state(account, &state);
        Ok((same, restored))
    }
}
