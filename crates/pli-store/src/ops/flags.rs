//! STORE.

use pli_types::{AccountId, FlagSet, MailboxId, ModSeq, SystemFlag, Uid};

use super::{By, Result, keyword_bits};
use crate::model::{FlagMode, Flagged};
use crate::personal::overlay;
use crate::rows::sharing::Seen;
use crate::txn::Txn;

const SEEN: u64 = SystemFlag::Seen.bit();

/// What is asked of flags.
pub(crate) struct Change<'a> {
    pub(crate) mode: FlagMode,
    pub(crate) flags: &'a FlagSet,
    pub(crate) unchanged_since: Option<ModSeq>,
}

impl Txn<'_> {
    /// Changes flags of the UIDs that exist, those that `by` may. RFC 9051 §6.4.6, RFC 7162 §3.1.3, RFC 4314 §4.
    pub(crate) fn change_flags(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        change: &Change<'_>,
        by: By,
    ) -> Result<Flagged> {
        let Change { mode, flags, unchanged_since } = *change;
        let mut state = self.state(account)?;
        let mut row = self.mailbox(account, mailbox)?;
        let known = row.keywords.len();
        let may = by.may();
        let mut flags = flags.clone();
        if may >> super::KEYWORD_BIT == 0 {
            flags.keywords.clear();
        }
        // A keyword that the mailbox does not know cannot be removed from a message.
        let bits = flags.system | keyword_bits(&mut row, &flags.keywords, mode != FlagMode::Remove)?;
        let modseq = Self::next_modseq(&mut state);
        let sorted = super::ascending(uids);
        let marked = match by.person {
            Some(person) => self.seen_of(mailbox, person, &sorted)?,
            None => std::collections::BTreeMap::new(),
        };
        let mut out = Flagged::default();
        let mut marks: Vec<Seen> = Vec::new();
        let (mut unseen, mut deleted, mut changed) = (0_i64, 0_i64, false);
        self.edit_entries(mailbox, Some(&sorted), |mut entry| {
            // As `by` sees it.
            let mark = marked.get(&entry.uid.get());
            let (old, old_modseq) = match by.person {
                None => (entry.flags, entry.modseq),
                Some(_) => {
                    let seen = overlay(entry, mark.map(|mark| (mark.seen, mark.modseq)));
                    (seen.flags, seen.modseq)
                }
            };
            if unchanged_since.is_some_and(|since| old_modseq > since) {
                out.modified.push(entry.uid);
                return Some(entry);
            }
            out.uids.push(entry.uid);
            let wanted = match mode {
                FlagMode::Replace => bits,
                FlagMode::Add => old | bits,
                FlagMode::Remove => old & !bits,
            };
            let mut new = old & !may | wanted & may;
            if by.person.is_some() {
                if (new ^ old) & SEEN != 0 {
                    marks.push(Seen { uid: entry.uid, seen: new & SEEN != 0, modseq });
                }
                new = new & !SEEN | entry.flags & SEEN;
            }
            if new != entry.flags {
                let step = |flag: SystemFlag| {
                    i64::from(new & flag.bit() != 0).saturating_sub(i64::from(entry.flags & flag.bit() != 0))
                };
                unseen = unseen.saturating_sub(step(SystemFlag::Seen));
                deleted = deleted.saturating_add(step(SystemFlag::Deleted));
                entry.flags = new;
                entry.modseq = modseq;
                changed = true;
            }
            Some(entry)
        })?;
        if let Some(person) = by.person.filter(|_| !marks.is_empty()) {
            self.put_seen(mailbox, person, &marks)?;
        }
        if changed || !marks.is_empty() {
            self.put_state(account, &state);
        }
        if changed {
            row.unseen = shift(row.unseen, unseen);
            row.deleted = shift(row.deleted, deleted);
            row.highest_modseq = modseq;
        }
        if changed || row.keywords.len() != known {
            self.put_mailbox(&row);
        }
        Ok(out)
    }
}

fn shift(value: u32, by: i64) -> u32 {
    u32::try_from(i64::from(value).saturating_add(by).max(0)).unwrap_or(u32::MAX)
}
