//! INBOX as a session has it: numbered messages that do not change until its end.

use pli_crypto::Opened;
use pli_gate::{Gate, Login, Target};
use pli_store::{Permit, StoreError};
use pli_types::{Action, EmailId, MailboxId, MailboxName, Uid, UidValidity};

use crate::limits::{CHUNK_BYTES, MESSAGES_MAX, SIZES_AT_ONCE};

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) uid: Uid,
    pub(crate) email: EmailId,
    pub(crate) size: u64,
    /// To be removed at QUIT.
    pub(crate) deleted: bool,
}

/// What a session lists.
pub(crate) struct Maildrop {
    pub(crate) mailbox: MailboxId,
    validity: UidValidity,
    items: Vec<Item>,
}

/// Runs work that keeps the processor busy without holding up the other sessions of this thread.
fn off_worker<T>(work: impl FnOnce() -> T) -> T {
    let many = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if many { tokio::task::block_in_place(work) } else { work() }
}

/// Why something cannot be had: the gate or the store.
#[derive(Debug)]
pub(crate) enum Trouble {
    Refused(pli_gate::Refusal),
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A permit for the account's own mail.
pub(crate) fn admit(gate: &Gate, login: &Login, action: Action, mailbox: Option<MailboxId>) -> Result<Permit, Trouble> {
    let target = Target { mailbox, ..Target::default() };
    gate.admit(&login.session, action, &target).map_err(Trouble::Refused)
}

impl Maildrop {
    /// Reads what there is.
    pub(crate) fn open(gate: &Gate, login: &Login) -> Result<Self, Trouble> {
        let permit = admit(gate, login, Action::Select, None)?;
        let reader = gate.store().read(&permit)?;
        let inbox = reader.mailbox_by_name(&MailboxName::inbox())?.ok_or(StoreError::NoMailbox)?;
        let snapshot = off_worker(|| reader.view(inbox.id))?.snapshot();
        let entries: Vec<(Uid, EmailId)> =
            snapshot.iter().map(|(_, entry)| (entry.uid, entry.email)).take(MESSAGES_MAX).collect();
        let permit = admit(gate, login, Action::FetchMetadata, Some(inbox.id))?;
        let reader = gate.store().read(&permit)?;
        let mut items = Vec::with_capacity(entries.len());
        for some in entries.chunks(SIZES_AT_ONCE) {
            let emails: Vec<EmailId> = some.iter().map(|(_, email)| *email).collect();
            let listed = off_worker(|| reader.list(&emails, None))?;
            for ((uid, email), listed) in some.iter().zip(listed) {
                match listed {
                    Ok(listed) => {
                        items.push(Item { uid: *uid, email: *email, size: listed.size.get(), deleted: false });
                    }
                    // Gone since the view was taken, or damaged: nobody can be given it.
                    Err(StoreError::NoMessage) => {}
                    Err(error) => tracing::warn!(%email, %error, "a message cannot be listed"),
                }
            }
        }
        Ok(Self { mailbox: inbox.id, validity: snapshot.uid_validity, items })
    }

    /// A message by its number, unless it is marked as deleted.
    pub(crate) fn get(&self, number: u32) -> Option<Item> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.items.get(index).copied().filter(|item| !item.deleted)
    }

    /// All that are not marked as deleted, with their numbers.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, Item)> + '_ {
        (1_u32..).zip(self.items.iter().copied()).filter(|(_, item)| !item.deleted)
    }

    /// Their number and size.
    pub(crate) fn total(&self) -> (usize, u64) {
        self.each().fold((0, 0), |(count, size), (_, item)| (count + 1, size + item.size))
    }

    /// What UIDL calls a message. RFC 1939 §7: 1 to 70 characters from 0x21 to 0x7E, never used again.
    pub(crate) fn unique(&self, item: Item) -> String {
        format!("{}-{}", self.validity, item.uid)
    }

    /// Marks a message; `None` if there is none.
    pub(crate) fn delete(&mut self, number: u32) -> Option<()> {
        self.get(number)?;
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.items.get_mut(index)?.deleted = true;
        Some(())
    }

    /// Takes all marks away.
    pub(crate) fn reset(&mut self) {
        self.items.iter_mut().for_each(|item| item.deleted = false);
    }

    /// The UIDs of those that are marked.
    pub(crate) fn deleted(&self) -> Vec<Uid> {
        self.items.iter().filter(|item| item.deleted).map(|item| item.uid).collect()
    }
}

/// The next piece of a message from a place on; empty at its end.
pub(crate) fn piece(
    gate: &Gate,
    permit: &Permit,
    keys: &Opened,
    item: Item,
    from: u64,
) -> Result<bytes::Bytes, Trouble> {
    let range = from..from.saturating_add(CHUNK_BYTES).min(item.size.max(from));
    if range.is_empty() {
        return Ok(bytes::Bytes::new());
    }
    let reader = gate.store().read(permit)?;
    Ok(off_worker(|| reader.body(keys, item.email, Some(range)))?)
}

/// Where a message's body begins, and whether a blank line stands before it.
pub(crate) fn header_bytes(gate: &Gate, permit: &Permit, keys: &Opened, item: Item) -> Result<u64, Trouble> {
    let reader = gate.store().read(permit)?;
    Ok(off_worker(|| reader.summary(keys, item.email))?.header_len())
}
