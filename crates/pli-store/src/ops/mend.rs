//! What `repair` does to rows: counts and names are made again from what is there. Nothing that a message is made of goes.

use std::collections::BTreeMap;

use pli_types::{AccountId, BodyId, ByteCount, EmailId, MailboxId, MailboxName, ModSeq, QueueId, Uid};

use super::append::next_uid;
use super::{Result, count};
use crate::error::StoreError;
use crate::model::{Account, Mailbox};
use crate::model_queue::{QueueChange, QueueRow};
use crate::rows::directory::Blob;
use crate::rows::mail::{AccountState, BodyRow, EntryBlock, MessageRow};
use crate::rows::{Key, Table, keys};
use crate::txn::Txn;
use crate::view::Entry;

/// Where messages go that no mailbox has any more, by the account's language.
fn recovered(language: &str) -> &'static str {
    if language == "fr" { "Récupérés" } else { "Recovered" }
}

/// What is known of a message row while its account is counted.
struct Known {
    row: MessageRow,
    entries: u32,
}

impl Txn<'_> {
    /// Makes an account's counts, names and references again from its messages and entries. Says what it changed.
    pub(crate) fn mend_account(&mut self, id: AccountId) -> Result<Vec<String>> {
        let account: Account = self.load(&keys::account(id))?.ok_or(StoreError::NoAccount(id))?;
        let mut changed = Vec::new();
        let address = keys::address(self.base.keys, &account.address.key());
        if self.load::<AccountId>(&address)? != Some(id) {
            self.put(address, &id);
            changed.push(format!("account {id}: its address leads to it again"));
        }
        let before: Option<AccountState> = self.load(&keys::state(id))?;
        let mut state = before.unwrap_or_default();
        let mut messages: BTreeMap<u64, Known> = BTreeMap::new();
        for (key, row) in self.list::<MessageRow>(&keys::messages(id))? {
            messages.insert(key.number(9), Known { row, entries: 0 });
        }
        let mut mailboxes: Vec<Mailbox> =
            self.list::<Mailbox>(&keys::mailboxes(id))?.into_iter().map(|(_, mailbox)| mailbox).collect();
        for mailbox in &mut mailboxes {
            let was = mailbox.clone();
            self.mend_mailbox(mailbox, &mut messages)?;
            changed.extend(self.mend_seen(mailbox.id)?);
            state.modseq = state.modseq.max(mailbox.highest_modseq.get());
            if *mailbox != was {
                self.put_mailbox(mailbox);
                changed.push(format!("account {id}, mailbox {}: counted again", mailbox.id));
            }
        }
        changed.extend(self.mend_names(id, &mut mailboxes)?);
        state.next_email = state.next_email.max(messages.keys().next_back().copied().unwrap_or(0));
        state.mailboxes = u32::try_from(mailboxes.len()).unwrap_or(u32::MAX);
        match mailboxes.iter().find(|mailbox| mailbox.name.is_inbox()) {
            Some(inbox) => state.inbox = inbox.id,
            None => {
                let inbox = self.make_mailbox(id, &mut state, MailboxName::inbox(), None)?;
                state.inbox = inbox.id;
                changed.push(format!("account {id}: INBOX made again"));
            }
        }
        self.put_state(id, &state);
        changed.extend(self.mend_messages(&account, &mut messages)?);
        let mut state = self.state(id)?;
        let bytes = messages.values().map(|known| known.row.size).fold(0, u64::saturating_add);
        state.quota.bytes_used = ByteCount::new(bytes);
        state.quota.messages_used = messages.len() as u64;
        if before.is_none() {
            state.quota.limit = account.quota.unwrap_or_default();
        }
        if Some(state) != before {
            changed.push(format!("account {id}: quota and counters made again"));
        }
        self.put_state(id, &state);
        Ok(changed)
    }

    fn mend_mailbox(&mut self, mailbox: &mut Mailbox, messages: &mut BTreeMap<u64, Known>) -> Result<()> {
        (mailbox.messages, mailbox.unseen, mailbox.deleted, mailbox.bytes) = (0, 0, 0, ByteCount::default());
        for (_, block) in self.list::<EntryBlock>(&keys::entries(mailbox.id))? {
            for entry in block.0.iter().map(|stored| stored.entry) {
                let known = messages.get_mut(&entry.email.get());
                let size = known.as_ref().map_or(0, |known| known.row.size);
                if let Some(known) = known {
                    known.entries = known.entries.saturating_add(1);
                }
                count(mailbox, entry.flags, size, true);
                // RFC 9051 §2.3.1.1: what was given out is never given out again.
                mailbox.uid_next = mailbox.uid_next.max(Uid::new(entry.uid.get().saturating_add(1)));
                mailbox.highest_modseq = mailbox.highest_modseq.max(entry.modseq);
            }
        }
        Ok(())
    }

    /// Each mailbox by its name, and no name that leads elsewhere.
    fn mend_names(&mut self, account: AccountId, mailboxes: &mut [Mailbox]) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        let mut wanted: BTreeMap<Key, MailboxId> = BTreeMap::new();
        for mailbox in mailboxes.iter_mut() {
            let mut key = keys::mailbox_name(self.base.keys, account, mailbox.name.as_str());
            if wanted.contains_key(&key) {
                let name = MailboxName::new(&format!("{} ({})", mailbox.name, mailbox.id));
                mailbox.name = name.map_err(|_| StoreError::Impossible("a name would become too long"))?;
                key = keys::mailbox_name(self.base.keys, account, mailbox.name.as_str());
                self.put_mailbox(mailbox);
                changed.push(format!("account {account}, mailbox {}: renamed, another has its name", mailbox.id));
            }
            wanted.insert(key, mailbox.id);
        }
        for (key, id) in self.list::<MailboxId>(&keys::mailbox_names(account))? {
            if wanted.get(&key) == Some(&id) {
                wanted.remove(&key);
            } else if !wanted.contains_key(&key) {
                self.delete(key);
                changed.push(format!("account {account}: a name that led nowhere is gone"));
            }
        }
        for (key, id) in wanted {
            self.put(key, &id);
            changed.push(format!("account {account}, mailbox {id}: its name leads to it again"));
        }
        Ok(changed)
    }

    /// References of messages; those that no mailbox has get a place.
    fn mend_messages(&mut self, account: &Account, messages: &mut BTreeMap<u64, Known>) -> Result<Vec<String>> {
        let id = account.id;
        let mut changed = Vec::new();
        let mut lost = Vec::new();
        for (email, known) in messages.iter_mut() {
            if known.entries == 0 {
                lost.push(*email);
                known.entries = 1;
            }
            if known.row.refs != known.entries {
                known.row.refs = known.entries;
                self.put(keys::message(id, EmailId::new(*email)), &known.row);
                changed.push(format!("account {id}, message {email}: references counted again"));
            }
        }
        if lost.is_empty() {
            return Ok(changed);
        }
        let name =
            MailboxName::new(recovered(&account.language)).map_err(|_| StoreError::Impossible("a mailbox name"))?;
        let mut mailbox = match self.mailbox_id(id, &name)? {
            Some(mailbox) => self.mailbox(id, mailbox)?,
            None => {
                self.subscribe(id, &name, true);
                self.create_mailbox(id, name, None)?
            }
        };
        let mut state = self.state(id)?;
        let modseq: ModSeq = Self::next_modseq(&mut state);
        self.put_state(id, &state);
        for email in lost {
            let size = messages.get(&email).map_or(0, |known| known.row.size);
            let uid = next_uid(&mut mailbox)?;
            self.append_entry(mailbox.id, Entry { uid, email: EmailId::new(email), modseq, flags: 0 })?;
            count(&mut mailbox, 0, size, true);
            changed.push(format!("account {id}, message {email}: in mailbox {} now, UID {uid}", mailbox.id));
        }
        mailbox.highest_modseq = modseq;
        self.put_mailbox(&mailbox);
        Ok(changed)
    }

    /// What a body counts. One that nothing uses goes, as it would have with its last message.
    pub(crate) fn mend_body_counts(&mut self, body: BodyId, messages: u32, queued: u32) -> Result<()> {
        let key = keys::body(body);
        let Some(mut row) = self.load::<BodyRow>(&key)? else { return Ok(()) };
        if messages == 0 && queued == 0 {
            (row.messages, row.queued) = (1, 0);
            self.put(key, &row);
            return self.release_body(body, false);
        }
        (row.messages, row.queued) = (messages, queued);
        self.put(key, &row);
        Ok(())
    }

    /// A queue row's place in the order; or one that is nobody's goes.
    pub(crate) fn mend_queue_order(&mut self, id: QueueId, stray: Option<i64>) -> Result<()> {
        if let Some(time) = stray {
            self.delete(keys::due(time, id));
        }
        if let Some(row) = self.load::<QueueRow>(&keys::queue(id))? {
            if row.held {
                self.delete(keys::due(row.next_attempt.0, id));
            }
            self.put_queue_row(&row, None);
        }
        Ok(())
    }

    /// A message of the queue that does not open: its rows are held with the reason; a key that no row uses goes. Returns those that were
    /// not held before.
    pub(crate) fn mend_queue_body(&mut self, body: BodyId) -> Result<Vec<QueueId>> {
        let rows = self.list::<QueueRow>(&Key::new(Table::Queue))?;
        let mut held = Vec::new();
        let mut is_used = false;
        for (_, row) in rows.into_iter().filter(|(_, row)| row.body == body) {
            is_used = true;
            if !row.held {
                let error = String::from("damaged: the message does not open");
                self.queue_change(row.id, QueueChange::Damaged { error })?;
                held.push(row.id);
            }
        }
        if !is_used && self.load::<Blob>(&keys::queue_body(body))?.is_some() {
            self.delete(keys::queue_body(body));
        }
        Ok(held)
    }
}
