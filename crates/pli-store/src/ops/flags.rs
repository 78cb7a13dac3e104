//! STORE.

use std::collections::BTreeSet;

use pli_types::{AccountId, FlagSet, MailboxId, ModSeq, SystemFlag, Uid};

use super::{Result, keyword_bits};
use crate::model::{FlagMode, Flagged};
use crate::txn::Txn;

impl Txn<'_> {
    /// Changes flags of the UIDs that exist. RFC 9051 §6.4.6, RFC 7162 §3.1.3.
    pub(crate) fn change_flags(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        mode: FlagMode,
        flags: &FlagSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Flagged> {
        let mut state = self.state(account)?;
        let mut row = self.mailbox(account, mailbox)?;
        let known = row.keywords.len();
        // A keyword that the mailbox does not know cannot be removed from a message.
        let bits = flags.system | keyword_bits(&mut row, &flags.keywords, mode != FlagMode::Remove)?;
        let modseq = Self::next_modseq(&mut state);
        let sorted: Vec<Uid> = uids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut out = Flagged::default();
        let (mut unseen, mut deleted, mut changed) = (0_i64, 0_i64, false);
        self.edit_entries(mailbox, Some(&sorted), |mut entry| {
            if unchanged_since.is_some_and(|since| entry.modseq > since) {
                out.modified.push(entry.uid);
                return Some(entry);
            }
            out.uids.push(entry.uid);
            let new = match mode {
                FlagMode::Replace => bits,
                FlagMode::Add => entry.flags | bits,
                FlagMode::Remove => entry.flags & !bits,
            };
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
        if changed {
            row.unseen = shift(row.unseen, unseen);
            row.deleted = shift(row.deleted, deleted);
            row.highest_modseq = modseq;
            self.put_state(account, &state);
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
