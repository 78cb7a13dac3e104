//! Another's mailbox as somebody sees it: the flags that all share, and a \Seen of his own.

use std::collections::BTreeMap;

use pli_types::{AccountId, MailboxId, ModSeq, SystemFlag};

use crate::error::StoreError;
use crate::index::Next;
use crate::model::Mailbox;
use crate::read::Reader;
use crate::rows::sharing::{SeenBlock, SeenHead};
use crate::rows::{decode, keys};
use crate::txn::ViewChange;
use crate::view::{Entry, Snapshot};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Whether a message is seen, and since when.
pub(crate) type Mark = (bool, ModSeq);

const SEEN: u64 = SystemFlag::Seen.bit();

/// An entry as somebody sees it who has marked it so, or not at all.
pub(crate) fn overlay(entry: Entry, mark: Option<Mark>) -> Entry {
    let (seen, modseq) = mark.unwrap_or_default();
    let flags = entry.flags & !SEEN | if seen { SEEN } else { 0 };
    Entry { flags, modseq: entry.modseq.max(modseq), ..entry }
}

impl Reader<'_> {
    /// What the one who reads has marked of a mailbox; nothing where it is his own.
    pub(crate) fn marks(&self, mailbox: MailboxId) -> Result<BTreeMap<u32, Mark>> {
        let mut marks = BTreeMap::new();
        let Some(person) = self.person else { return Ok(marks) };
        self.index().scan(&keys::seen_blocks(mailbox, person), None, |_, bytes| {
            let block: SeenBlock = decode(&bytes)?;
            marks.extend(block.0.iter().map(|seen| (seen.uid.get(), (seen.seen, seen.modseq))));
            Ok(Next::More)
        })?;
        Ok(marks)
    }
    /// A mailbox's row as the one who reads sees it.
    pub(crate) fn as_seen(&self, mailbox: Mailbox) -> Result<Mailbox> {
        let Some(person) = self.person else { return Ok(mailbox) };
        let head: SeenHead = self.index().load(&keys::seen_head(mailbox.id, person))?.unwrap_or_default();
        Ok(Mailbox {
            unseen: mailbox.messages.saturating_sub(head.seen),
            highest_modseq: mailbox.highest_modseq.max(head.highest),
            ..mailbox
        })
    }
}

impl ViewChange {
    /// The part of a change that somebody's view takes over; `None` if there is nothing in it for him.
    pub(crate) fn entries_for(&self, person: AccountId, now: &Snapshot) -> Option<BTreeMap<u32, Option<Entry>>> {
        let marks = self.seen.range((person, 0)..=(person, u32::MAX));
        if self.mailbox.is_none() && self.entries.is_empty() && marks.clone().next().is_none() {
            return None;
        }
        let known =
            |uid: u32| now.by_uid(pli_types::Uid::new(uid)).map(|entry| (entry.flags & SEEN != 0, ModSeq::default()));
        // What he had marked before stays; its modseq is below that of any change.
        let shared = self.entries.iter().map(|(uid, entry)| (*uid, entry.map(|entry| overlay(entry, known(*uid)))));
        let mut entries: BTreeMap<u32, Option<Entry>> = shared.collect();
        for ((_, uid), mark) in marks {
            let before = match entries.get(uid) {
                Some(entry) => *entry,
                None => now.by_uid(pli_types::Uid::new(*uid)),
            };
            if let Some(before) = before {
                entries.insert(*uid, Some(overlay(before, Some(*mark))));
            }
        }
        Some(entries)
    }
    /// The newest modseq of what somebody marked.
    pub(crate) fn highest_for(&self, person: AccountId) -> ModSeq {
        let marks = self.seen.range((person, 0)..=(person, u32::MAX));
        marks.map(|(_, (_, modseq))| *modseq).max().unwrap_or_default()
    }
}
