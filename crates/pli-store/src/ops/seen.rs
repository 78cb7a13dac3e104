//! Who has seen what of another's mailbox. The mailbox's own flag word keeps the owner's \Seen; everybody else has rows
//! of his own, with modseqs of the account, so that each one's CONDSTORE is exact and nobody hears of another's reading.

use std::collections::{BTreeMap, BTreeSet};

use pli_types::{AccountId, MailboxId, ModSeq, SystemFlag, Uid};

use super::{By, Result};
use crate::rows::sharing::{Seen, SeenBlock, SeenHead, seen_block_of};
use crate::rows::{Key, keys};
use crate::txn::Txn;

/// Where the account stands in the key of a head or a block.
pub(crate) const PERSON_AT: usize = 9;

impl Txn<'_> {
    /// What somebody has marked of these UIDs (ascending).
    pub(crate) fn seen_of(
        &mut self,
        mailbox: MailboxId,
        person: AccountId,
        uids: &[Uid],
    ) -> Result<BTreeMap<u32, Seen>> {
        let mut found = BTreeMap::new();
        for part in uids.chunk_by(|a, b| seen_block_of(*a) == seen_block_of(*b)) {
            let Some(first) = part.first() else { continue };
            let key = keys::seen_block(mailbox, person, seen_block_of(*first));
            let block: SeenBlock = self.load(&key)?.unwrap_or_default();
            let asked = block.0.into_iter().filter(|seen| part.binary_search(&seen.uid).is_ok());
            found.extend(asked.map(|seen| (seen.uid.get(), seen)));
        }
        Ok(found)
    }

    /// Marks messages (ascending) for somebody, and tells his views.
    pub(crate) fn put_seen(&mut self, mailbox: MailboxId, person: AccountId, changes: &[Seen]) -> Result<()> {
        let head_key = keys::seen_head(mailbox, person);
        let mut head: SeenHead = self.load(&head_key)?.unwrap_or_default();
        for part in changes.chunk_by(|a, b| seen_block_of(a.uid) == seen_block_of(b.uid)) {
            let Some(first) = part.first() else { continue };
            let key = keys::seen_block(mailbox, person, seen_block_of(first.uid));
            let mut block: SeenBlock = self.load(&key)?.unwrap_or_default();
            for change in part {
                match block.0.binary_search_by_key(&change.uid, |seen| seen.uid) {
                    Ok(at) => {
                        if let Some(seen) = block.0.get_mut(at) {
                            head.seen = head.seen.saturating_sub(u32::from(seen.seen));
                            *seen = *change;
                        }
                    }
                    Err(at) => block.0.insert(at, *change),
                }
                head.seen = head.seen.saturating_add(u32::from(change.seen));
                head.highest = head.highest.max(change.modseq);
                let told = &mut self.own.views.entry(mailbox).or_default().seen;
                told.insert((person, change.uid.get()), (change.seen, change.modseq));
            }
            self.put(key, &block);
        }
        self.put(head_key, &head);
        Ok(())
    }

    /// New messages (ascending) that somebody has put in as seen.
    pub(crate) fn mark_new(
        &mut self,
        mailbox: MailboxId,
        person: AccountId,
        uids: impl Iterator<Item = Uid>,
    ) -> Result<()> {
        let mut marks = Vec::new();
        for uid in uids {
            let entry = self.entries(mailbox, Some(&[uid]))?;
            marks.extend(entry.first().map(|entry| Seen { uid, seen: true, modseq: entry.modseq }));
        }
        if marks.is_empty() { Ok(()) } else { self.put_seen(mailbox, person, &marks) }
    }

    /// Who has marked something in a mailbox.
    fn people(&mut self, mailbox: MailboxId) -> Result<Vec<AccountId>> {
        let heads = self.list::<SeenHead>(&keys::seen_heads(mailbox))?;
        Ok(heads.into_iter().map(|(key, _)| AccountId::new(key.number(PERSON_AT))).collect())
    }

    /// Copies of messages are seen by whoever has seen the messages. Pairs of source and target ascend.
    pub(crate) fn carry_seen(
        &mut self,
        from: MailboxId,
        to: MailboxId,
        pairs: &[(Uid, Uid)],
        modseq: ModSeq,
        by: By,
    ) -> Result<()> {
        let uids: Vec<Uid> = pairs.iter().map(|(uid, _)| *uid).collect();
        // RFC 4314 §4: who may not set \\Seen there does not set it by a copy.
        let may = |person| by.person != Some(person) || by.may() & SystemFlag::Seen.bit() != 0;
        for person in self.people(from)?.into_iter().filter(|person| may(*person)) {
            let seen = self.seen_of(from, person, &uids)?;
            let marks: Vec<Seen> = pairs
                .iter()
                .filter(|(uid, _)| seen.get(&uid.get()).is_some_and(|seen| seen.seen))
                .map(|(_, uid)| Seen { uid: *uid, seen: true, modseq })
                .collect();
            if !marks.is_empty() {
                self.put_seen(to, person, &marks)?;
            }
        }
        Ok(())
    }

    /// Messages (ascending) are gone, and what anybody marked of them.
    pub(crate) fn forget_seen(&mut self, mailbox: MailboxId, uids: &[Uid]) -> Result<()> {
        for person in self.people(mailbox)? {
            let key = keys::seen_head(mailbox, person);
            let mut head: SeenHead = self.load(&key)?.unwrap_or_default();
            for part in uids.chunk_by(|a, b| seen_block_of(*a) == seen_block_of(*b)) {
                let Some(first) = part.first() else { continue };
                let key = keys::seen_block(mailbox, person, seen_block_of(*first));
                let Some(mut block) = self.load::<SeenBlock>(&key)? else { continue };
                let before = block.0.len();
                block.0.retain(|seen| {
                    let gone = part.binary_search(&seen.uid).is_ok();
                    head.seen = head.seen.saturating_sub(u32::from(gone && seen.seen));
                    !gone
                });
                if block.0.is_empty() {
                    self.delete(key);
                } else if block.0.len() < before {
                    self.put(key, &block);
                }
            }
            self.put(key, &head);
        }
        Ok(())
    }

    /// A mailbox is gone, or nobody's reading of it counts any more.
    pub(crate) fn forget_all_seen(&mut self, mailbox: MailboxId, only: Option<AccountId>) -> Result<()> {
        for person in self.people(mailbox)?.into_iter().filter(|person| only.is_none_or(|only| only == *person)) {
            self.delete(keys::seen_head(mailbox, person));
            let blocks: Vec<Key> =
                self.list::<SeenBlock>(&keys::seen_blocks(mailbox, person))?.into_iter().map(|(key, _)| key).collect();
            blocks.into_iter().for_each(|key| self.delete(key));
        }
        Ok(())
    }

    /// Counts again what others have seen of a mailbox; marks of messages that are not there go.
    pub(crate) fn mend_seen(&mut self, mailbox: MailboxId) -> Result<Vec<String>> {
        let heads = self.list::<SeenHead>(&keys::seen_heads(mailbox))?;
        let mut changed = Vec::new();
        if heads.is_empty() {
            return Ok(changed);
        }
        let there: BTreeSet<Uid> = self.entries(mailbox, None)?.into_iter().map(|entry| entry.uid).collect();
        for (key, head) in heads {
            let person = AccountId::new(key.number(PERSON_AT));
            let mut now = SeenHead { seen: 0, highest: head.highest };
            let mut stray = false;
            for (key, mut block) in self.list::<SeenBlock>(&keys::seen_blocks(mailbox, person))? {
                let before = block.0.len();
                block.0.retain(|mark| there.contains(&mark.uid));
                for mark in &block.0 {
                    now.seen = now.seen.saturating_add(u32::from(mark.seen));
                    now.highest = now.highest.max(mark.modseq);
                }
                if block.0.len() < before {
                    stray = true;
                    self.put(key, &block);
                }
            }
            if stray || now != head {
                self.put(key, &now);
                changed.push(format!("mailbox {mailbox}: what account {person} has seen of it is counted again"));
            }
        }
        Ok(changed)
    }
}
