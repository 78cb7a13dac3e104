//! Invariants 6, 7, 9 and 10: accounts, mailboxes, quota, queue; and which messages a damaged body is.
//!
//! An account is read without holding anybody up. Where something does not fit, it is read again, the last time while
//! commits wait: then it is so.

use std::collections::{HashMap, HashSet};

use pli_crypto::{Opened, sha256};
use pli_types::{AccountId, BodyId, ByteCount, EmailId, MailboxId, QueueId, SystemFlag, Uid};

use super::{Check, Fix, Result};
use crate::body::read;
use crate::error::StoreError;
use crate::index::Next;
use crate::limits::VERIFY_TRIES_MAX;
use crate::model::{Account, Damage, HurtMessage, Mailbox};
use crate::model_queue::QueueRow;
use crate::read::Reader;
use crate::rows::directory::Blob;
use crate::rows::mail::{AccountState, BodyRow, EntryBlock, MessageRow};
use crate::rows::{Key, Table, decode, keys};

/// A message row of an account under count, by email id.
struct Message {
    email: u64,
    size: u64,
    /// References that no entry has accounted for yet.
    left: u32,
}

/// What one reading of an account found.
#[derive(Default)]
struct Found {
    damage: Vec<Damage>,
    /// Index bytes that were read.
    bytes: u64,
}

impl Found {
    fn add(&mut self, kind: &'static str, place: String, what: impl Into<String>) {
        self.damage.push(Damage { kind, place, what: what.into(), message: None });
    }
}

impl Check<'_, '_> {
    /// Every account.
    pub(super) fn accounts(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.accounts(after, 100)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for account in &page {
                self.account(account)?;
            }
        }
    }

    fn account(&mut self, account: &Account) -> Result<()> {
        let engine = self.engine;
        let mut before = None;
        for turn in 0..=VERIFY_TRIES_MAX {
            let still = (turn == VERIFY_TRIES_MAX).then(|| engine.apply.read());
            let found = match self.count_account(account) {
                // Removed since it was listed.
                Err(StoreError::NoAccount(_)) => return Ok(()),
                other => other?,
            };
            drop(still);
            self.meter.spend(found.bytes)?;
            if found.damage.is_empty() {
                break;
            }
            let is_certain = turn == VERIFY_TRIES_MAX || before.as_ref() == Some(&found.damage);
            if is_certain {
                found.damage.into_iter().for_each(|damage| self.add(damage));
                self.fix(Fix::Account(account.id));
                break;
            }
            before = Some(found.damage);
        }
        self.report.accounts = self.report.accounts.saturating_add(1);
        Ok(())
    }

    /// Reads an account once.
    fn count_account(&self, account: &Account) -> Result<Found> {
        let rows = &self.engine.rows;
        let id = account.id;
        let place = |what: &str| format!("account {id}{what}");
        let mut found = Found::default();
        if rows.get(&keys::account(id))?.is_none() {
            return Err(StoreError::NoAccount(id));
        }
        let address = keys::address(&self.engine.keys, &account.address.key());
        if rows.load::<AccountId>(&address)? != Some(id) {
            found.add("row", place(""), "its address leads elsewhere");
        }
        let Some(state) = rows.load::<AccountState>(&keys::state(id))? else {
            found.add("row", place(""), "it has no state");
            return Ok(found);
        };
        let mut messages: Vec<Message> = Vec::new();
        let (mut sum, mut highest) = (0_u64, 0_u64);
        rows.scan(&keys::messages(id), None, |key, value| {
            found.bytes = found.bytes.saturating_add(key.len().saturating_add(value.len()) as u64);
            let row: MessageRow = decode(&value)?;
            let email = key.number(9);
            highest = highest.max(email);
            sum = sum.saturating_add(row.size);
            messages.push(Message { email, size: row.size, left: row.refs });
            Ok(Next::More)
        })?;
        let quota = state.quota;
        if (quota.bytes_used.get(), quota.messages_used) != (sum, messages.len() as u64) {
            let what = format!(
                "counted {} bytes in {} messages, there are {sum} in {}",
                quota.bytes_used,
                quota.messages_used,
                messages.len()
            );
            found.add("quota", place(""), what);
        }
        if highest > state.next_email {
            found.add("count", place(""), "an email id is above the last one given out");
        }
        let mailboxes = rows.list::<Mailbox>(&keys::mailboxes(id))?;
        if mailboxes.len() != state.mailboxes as usize {
            let what = format!("counted {} mailboxes, there are {}", state.mailboxes, mailboxes.len());
            found.add("count", place(""), what);
        }
        let names = rows.list::<MailboxId>(&keys::mailbox_names(id))?;
        if names.len() != mailboxes.len() {
            found.add("row", place(""), format!("{} names lead to {} mailboxes", names.len(), mailboxes.len()));
        }
        if !mailboxes.iter().any(|(_, mailbox)| mailbox.id == state.inbox && mailbox.name.is_inbox()) {
            found.add("row", place(""), "its INBOX is not there");
        }
        for (_, mailbox) in &mailboxes {
            self.count_mailbox(account, mailbox, &state, &mut messages, &mut found)?;
        }
        for message in messages.iter().filter(|message| message.left != 0) {
            let what = format!("{} entries fewer than it counts", message.left);
            found.add("count", place(&format!(", message {}", message.email)), what);
        }
        Ok(found)
    }

    fn count_mailbox(
        &self,
        account: &Account,
        mailbox: &Mailbox,
        state: &AccountState,
        messages: &mut [Message],
        found: &mut Found,
    ) -> Result<()> {
        let engine = self.engine;
        let place = format!("account {}, mailbox {}", mailbox.account, mailbox.id);
        let name = keys::mailbox_name(&engine.keys, mailbox.account, mailbox.name.as_str());
        if engine.rows.load::<MailboxId>(&name)? != Some(mailbox.id) {
            found.add("row", place.clone(), "its name leads elsewhere");
        }
        let (mut count, mut unseen, mut deleted, mut bytes) = (0_u32, 0_u32, 0_u32, 0_u64);
        let mut last_uid = 0;
        engine.rows.scan(&keys::entries(mailbox.id), None, |key, value| {
            found.bytes = found.bytes.saturating_add(key.len().saturating_add(value.len()) as u64);
            for stored in decode::<EntryBlock>(&value)?.0 {
                let entry = stored.entry;
                let at = || format!("{place}, UID {}", entry.uid);
                count = count.saturating_add(1);
                unseen = unseen.saturating_add(u32::from(entry.flags & SystemFlag::Seen.bit() == 0));
                deleted = deleted.saturating_add(u32::from(entry.flags & SystemFlag::Deleted.bit() != 0));
                let message = messages.binary_search_by_key(&entry.email.get(), |message| message.email).ok();
                match message.and_then(|index| messages.get_mut(index)) {
                    Some(message) => {
                        bytes = bytes.saturating_add(message.size);
                        if message.left == 0 {
                            found.add("count", at(), "its message counts fewer entries");
                        }
                        message.left = message.left.saturating_sub(1);
                    }
                    None => {
                        let message = Some(hurt(account, mailbox, entry.uid, entry.email, None));
                        let what = String::from("its message is lost");
                        found.damage.push(Damage { kind: "row", place: at(), what, message });
                    }
                }
                let in_order = entry.uid.get() > last_uid && entry.uid < mailbox.uid_next;
                if !in_order || entry.modseq > mailbox.highest_modseq {
                    found.add("count", at(), "UID or modseq out of order");
                }
                last_uid = entry.uid.get();
            }
            Ok(Next::More)
        })?;
        let counted = (mailbox.messages, mailbox.unseen, mailbox.deleted, mailbox.bytes.get());
        if counted != (count, unseen, deleted, bytes) || mailbox.highest_modseq.get() > state.modseq {
            let what = format!("counted {counted:?}, there are {:?}", (count, unseen, deleted, bytes));
            found.add("count", place.clone(), what);
        }
        for (_, what) in super::seen::wrong_marks(engine, mailbox.id)? {
            found.add("count", place.clone(), what);
        }
        Ok(())
    }

    /// The order of dues, and the bodies whose key the store has at hand: what comes out is what came in.
    pub(super) fn queue(&mut self) -> Result<()> {
        let rows = &self.engine.rows;
        // Nothing is looked up within a scan: a commit that waits to write would hold the look-up back, and that the scan.
        let mut waiting: Vec<(QueueId, i64, bool)> = Vec::new();
        rows.scan(&Key::new(Table::Queue), None, |_, value| {
            let row: QueueRow = decode(&value)?;
            waiting.push((row.id, row.next_attempt.0.max(0), row.held));
            Ok(Next::More)
        })?;
        let mut due: HashSet<(i64, QueueId)> = HashSet::new();
        rows.scan(&Key::new(Table::QueueDue), None, |key, _| {
            due.insert((key.number(1).cast_signed(), QueueId::new(key.number(9))));
            Ok(Next::More)
        })?;
        let mut wrong: Vec<QueueId> = Vec::new();
        for (id, time, held) in waiting {
            if due.remove(&(time, id)) == held {
                wrong.push(id);
            }
        }
        let stray: Vec<(i64, QueueId)> = due.into_iter().collect();
        for id in wrong {
            let _still = self.engine.apply.read();
            let Some(row) = rows.load::<QueueRow>(&keys::queue(id))? else { continue };
            if rows.get(&keys::due(row.next_attempt.0, id))?.is_some() == row.held {
                self.damage("count", format!("queue entry {id}"), "its place in the order is wrong");
                self.fix(Fix::QueueOrder { id, stray: None });
            }
        }
        for (time, id) in stray {
            let _still = self.engine.apply.read();
            let row: Option<QueueRow> = rows.load(&keys::queue(id))?;
            let is_stray = row.is_none_or(|row| row.held || row.next_attempt.0.max(0) != time);
            if is_stray && rows.get(&keys::due(time, id))?.is_some() {
                self.damage("count", format!("queue entry {id}"), "it is due at a time at which it is not");
                self.fix(Fix::QueueOrder { id, stray: Some(time) });
            }
        }
        self.queue_bodies()
    }

    fn queue_bodies(&mut self) -> Result<()> {
        let engine = self.engine;
        for (key, wrapped) in engine.rows.list::<Blob>(&Key::new(Table::QueueBody))? {
            let id = BodyId::new(key.number(1));
            if self.bad.contains(&id) {
                self.fix(Fix::QueueBody(id));
                continue;
            }
            let opened = (|| {
                let row = engine.rows.load::<BodyRow>(&keys::body(id))?;
                let row = row.ok_or(StoreError::Damaged(crate::Damaged::Row("body")))?;
                let key = self.store.queue_key(id, &wrapped)?;
                let file = engine.segment_file(row.segment)?;
                let bytes = read(&engine.body_place(&*file), id, &row, &key.derive(), None)?;
                Ok::<_, StoreError>((row.digest == [0; 32] || sha256(&bytes) == row.digest, bytes.len()))
            })();
            // Its last recipient may have been served meanwhile.
            if engine.rows.get(&key)?.is_none() {
                continue;
            }
            match opened {
                Ok((true, bytes)) => {
                    self.report.originals = self.report.originals.saturating_add(1);
                    self.meter.spend(bytes as u64)?;
                }
                Ok((false, _)) => self.damage("body", format!("body {id}"), "its bytes are not those that came in"),
                Err(error) if error.is_damage() => {
                    self.damage("body", format!("body {id}, in the queue"), error.to_string());
                    self.fix(Fix::QueueBody(id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Which messages the damaged bodies are.
    pub(super) fn name_messages(&mut self) -> Result<()> {
        let bad = std::mem::take(&mut self.bad);
        if bad.is_empty() {
            return Ok(());
        }
        let mut named = HashSet::new();
        let mut after = None;
        loop {
            let page = self.store.accounts(after, 100)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for account in &page {
                self.name_messages_of(account, &bad, &mut named)?;
            }
        }
        for body in bad.iter().filter(|body| !named.contains(*body)) {
            let rows = &self.engine.rows;
            let what = if rows.get(&keys::gone(*body))?.is_some() {
                "its frame is damaged; it was deleted, and could be brought back until the retention window is over"
            } else {
                "its frame is damaged"
            };
            self.damage("body", format!("body {body}"), what);
        }
        self.bad = bad;
        Ok(())
    }

    fn name_messages_of(
        &mut self,
        account: &Account,
        bad: &HashSet<BodyId>,
        named: &mut HashSet<BodyId>,
    ) -> Result<()> {
        let rows = &self.engine.rows;
        let mut emails: HashMap<EmailId, MessageRow> = HashMap::new();
        rows.scan(&keys::messages(account.id), None, |key, value| {
            let row: MessageRow = decode(&value)?;
            if bad.contains(&row.body) {
                emails.insert(EmailId::new(key.number(9)), row);
            }
            Ok(Next::More)
        })?;
        if emails.is_empty() {
            return Ok(());
        }
        for (_, mailbox) in rows.list::<Mailbox>(&keys::mailboxes(account.id))? {
            for (_, block) in rows.list::<EntryBlock>(&keys::entries(mailbox.id))? {
                for entry in block.0.iter().map(|stored| stored.entry) {
                    let Some(row) = emails.get(&entry.email) else { continue };
                    named.insert(row.body);
                    // Whoever reads it sees the placeholder from now on, before its bytes are asked for.
                    self.engine.damaged.insert(account.id, entry.email);
                    let place = format!("account {}, mailbox {}, UID {}", account.id, mailbox.id, entry.uid);
                    let what = format!("the frame of body {} is damaged", row.body);
                    let message = Some(hurt(account, &mailbox, entry.uid, entry.email, Some(row)));
                    self.add(Damage { kind: "body", place, what, message });
                }
            }
        }
        Ok(())
    }

    /// Opens every message of an account, and compares what comes out with what came in.
    pub(super) fn originals(&mut self, account: &Account, keys_of: &Opened) -> Result<()> {
        let engine = self.engine;
        let action = pli_types::Action::FetchContent;
        let reader = Reader { engine, account: account.id, action, past: None, person: None, only: None };
        let mut wrong: HashMap<EmailId, String> = HashMap::new();
        let mut emails: Vec<EmailId> = Vec::new();
        engine.rows.scan(&keys::messages(account.id), None, |key, _| {
            emails.push(EmailId::new(key.number(9)));
            Ok(Next::More)
        })?;
        for email in emails {
            let opened = reader.original(keys_of, email);
            match opened {
                Ok((true, bytes)) => {
                    self.report.originals = self.report.originals.saturating_add(1);
                    self.meter.spend(bytes)?;
                }
                Ok((false, _)) => {
                    wrong.insert(email, String::from("its bytes are not those that came in"));
                }
                Err(StoreError::NoMessage) => {}
                Err(error) if error.is_damage() => {
                    wrong.insert(email, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        for (_, mailbox) in engine.rows.list::<Mailbox>(&keys::mailboxes(account.id))? {
            for (_, block) in engine.rows.list::<EntryBlock>(&keys::entries(mailbox.id))? {
                for entry in block.0.iter().map(|stored| stored.entry) {
                    let Some(what) = wrong.get(&entry.email) else { continue };
                    let row: Option<MessageRow> = engine.rows.load(&keys::message(account.id, entry.email))?;
                    let place = format!("account {}, mailbox {}, UID {}", account.id, mailbox.id, entry.uid);
                    let message = Some(hurt(account, &mailbox, entry.uid, entry.email, row.as_ref()));
                    self.add(Damage { kind: "body", place, what: what.clone(), message });
                }
            }
        }
        Ok(())
    }
}

fn hurt(account: &Account, mailbox: &Mailbox, uid: Uid, email: EmailId, row: Option<&MessageRow>) -> HurtMessage {
    HurtMessage {
        account: account.id,
        address: account.address.to_string(),
        mailbox: mailbox.name.to_string(),
        uid,
        email,
        size: row.map(|row| ByteCount::new(row.size)),
        received: row.map(|row| row.received.secs()),
    }
}
