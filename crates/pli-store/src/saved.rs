//! When messages were put into a mailbox (RFC 8514 §3).

use pli_types::{MailboxId, Uid, UnixMillis};

use crate::error::StoreError;
use crate::index::Next;
use crate::read::Reader;
use crate::rows::mail::{EntryBlock, block_of};
use crate::rows::{decode, keys};

impl Reader<'_> {
    /// The save dates of messages from a UID on, in UID order: those up to `last`, and at most about `count_max` of them.
    /// Copies and moves have one of their own.
    pub fn saved_from(
        &self,
        mailbox: MailboxId,
        first: Uid,
        last: Uid,
        count_max: usize,
    ) -> Result<Vec<(Uid, UnixMillis)>, StoreError> {
        let mut saved = Vec::new();
        self.index().scan(&keys::entries(mailbox), Some(&keys::block(mailbox, block_of(first))), |_, bytes| {
            for stored in decode::<EntryBlock>(&bytes)?.0 {
                let uid = stored.entry.uid;
                if uid > last {
                    return Ok(Next::Stop);
                }
                if uid >= first {
                    saved.push((uid, stored.saved));
                }
            }
            Ok(if saved.len() >= count_max { Next::Stop } else { Next::More })
        })?;
        Ok(saved)
    }
}
