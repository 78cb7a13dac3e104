//! What was expunged from a mailbox, for clients that were away (RFC 7162 QRESYNC): bounded in rows and in UIDs.
//!
//! Each expunge leaves a row. Many old rows become one, under the newest of their modseqs: a client from in between is
//! told of some UIDs that it knows are gone, which does no harm. When the UIDs are too many, the oldest rows go and the
//! history's floor rises; to a client from below it every UID that is not there is told.

use pli_types::{MailboxId, ModSeq, Uid};

use super::Result;
use crate::limits::{EXPUNGED_ROW_UIDS_MAX, HISTORY_ROWS_KEPT, HISTORY_ROWS_MAX, HISTORY_UIDS_MAX};
use crate::rows::mail::{Expunged, History};
use crate::rows::{Key, keys};
use crate::txn::Txn;

/// Where the modseq stands in a row's key.
const MODSEQ_AT: usize = 9;

impl Txn<'_> {
    /// Remembers UIDs (ascending) that one modseq removed.
    pub(crate) fn note_expunged(&mut self, mailbox: MailboxId, modseq: ModSeq, uids: &[Uid]) -> Result<()> {
        let key = keys::history(mailbox);
        let mut history = match self.load(&key)? {
            Some(history) => history,
            // None so far, or the rows of a version that kept no count.
            None => {
                self.list::<Expunged>(&keys::expunges(mailbox))?.iter().fold(History::default(), |history, (_, row)| {
                    History {
                        floor: history.floor,
                        rows: history.rows.saturating_add(1),
                        uids: history.uids.saturating_add(row.0.len() as u64),
                    }
                })
            }
        };
        self.forget_seen(mailbox, uids)?;
        self.put_expunged(mailbox, modseq, uids, &mut history);
        if history.rows > HISTORY_ROWS_MAX || history.uids > HISTORY_UIDS_MAX {
            self.shorten(mailbox, &mut history)?;
        }
        self.put(key, &history);
        Ok(())
    }

    /// No row over a bound: the first has the plain key, others a number behind it.
    fn put_expunged(&mut self, mailbox: MailboxId, modseq: ModSeq, uids: &[Uid], history: &mut History) {
        let key = keys::expunged(mailbox, modseq);
        for (part, piece) in (0_u32..).zip(uids.chunks(EXPUNGED_ROW_UIDS_MAX)) {
            self.put(if part == 0 { key } else { key.u32(part) }, &Expunged(piece.to_vec()));
            history.rows = history.rows.saturating_add(1);
            history.uids = history.uids.saturating_add(piece.len() as u64);
        }
    }

    /// Makes one of the old rows, or drops them.
    fn shorten(&mut self, mailbox: MailboxId, history: &mut History) -> Result<()> {
        let rows = self.list::<Expunged>(&keys::expunges(mailbox))?;
        let modseq = |row: &(Key, Expunged)| row.0.number(MODSEQ_AT);
        let mut groups: Vec<&[(Key, Expunged)]> = rows.chunk_by(|a, b| modseq(a) == modseq(b)).collect();
        let uids = |groups: &[&[(Key, Expunged)]]| -> u64 {
            groups.iter().flat_map(|group| group.iter()).map(|(_, row)| row.0.len() as u64).sum()
        };
        let mut left = *history;
        // The oldest go first; half of what there may be stays, so that this is seldom.
        if history.uids > HISTORY_UIDS_MAX {
            while uids(&groups) > HISTORY_UIDS_MAX / 2 && !groups.is_empty() {
                let group = groups.remove(0);
                left.floor = group.last().map_or(left.floor, |row| ModSeq::new(modseq(row)));
                group.iter().for_each(|(key, _)| self.delete(*key));
            }
        }
        let old = groups.len().saturating_sub(HISTORY_ROWS_KEPT);
        let (old, new) = groups.split_at(old);
        left.rows = new.iter().map(|group| group.len() as u64).sum();
        left.uids = uids(new);
        if let Some(newest) = old.last().and_then(|group| group.last()) {
            let newest = ModSeq::new(modseq(newest));
            let mut merged: Vec<Uid> = Vec::new();
            for (key, row) in old.iter().flat_map(|group| group.iter()) {
                merged.extend(&row.0);
                self.delete(*key);
            }
            merged.sort_unstable();
            merged.dedup();
            self.put_expunged(mailbox, newest, &merged, &mut left);
        }
        *history = left;
        Ok(())
    }

    /// The mailbox goes, and this with it.
    pub(crate) fn forget_expunged(&mut self, mailbox: MailboxId) -> Result<()> {
        for (key, _) in self.list::<Expunged>(&keys::expunges(mailbox))? {
            self.delete(key);
        }
        if self.get(&keys::history(mailbox))?.is_some() {
            self.delete(keys::history(mailbox));
        }
        Ok(())
    }
}
