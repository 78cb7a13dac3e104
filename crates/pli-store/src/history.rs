//! What vanished from a mailbox since a client saw it last (RFC 7162 §3.2.10).

use pli_types::{ModSeq, Uid};

use crate::error::StoreError;
use crate::index::Next;
use crate::read::Reader;
use crate::rows::mail::{Expunged, History};
use crate::rows::{decode, keys};
use crate::view::Snapshot;

type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Reader<'_> {
    /// UIDs that were expunged after a modseq and are not in `snapshot`, as ascending ranges with both ends in. Where
    /// the history does not go back so far: all UIDs below UIDNEXT that are not there (RFC 7162 §3.2.5.2 lets a server
    /// tell more than it must).
    pub fn vanished_since(&self, snapshot: &Snapshot, since: ModSeq) -> Result<Vec<(u32, u32)>> {
        let mailbox = snapshot.mailbox;
        // Under the lock: the floor does not rise between the reading of it and of the rows.
        let _still = self.engine.apply.read();
        self.mailbox(mailbox)?.ok_or(StoreError::NoMailbox)?;
        let history: Option<History> = self.index().load(&keys::history(mailbox))?;
        if since < history.unwrap_or_default().floor {
            return Ok(snapshot.gaps());
        }
        let from = keys::expunged(mailbox, ModSeq::new(since.get().saturating_add(1)));
        let mut uids: Vec<Uid> = Vec::new();
        self.index().scan(&keys::expunges(mailbox), Some(&from), |_, bytes| {
            uids.extend(decode::<Expunged>(&bytes)?.0);
            Ok(Next::More)
        })?;
        uids.sort_unstable();
        uids.dedup();
        // What was expunged after the snapshot was taken is told later.
        uids.retain(|uid| snapshot.by_uid(*uid).is_none());
        let follows = |a: &Uid, b: &Uid| a.get().checked_add(1) == Some(b.get());
        Ok(uids.chunk_by(follows).filter_map(|run| Some((run.first()?.get(), run.last()?.get()))).collect())
    }
}

impl Snapshot {
    /// UIDs below UIDNEXT that are not there.
    fn gaps(&self) -> Vec<(u32, u32)> {
        let mut gaps = Vec::new();
        let mut next = 1_u32;
        for (_, entry) in self.iter() {
            let uid = entry.uid.get();
            if uid > next {
                gaps.push((next, uid.saturating_sub(1)));
            }
            next = uid.saturating_add(1);
        }
        if self.uid_next.get() > next {
            gaps.push((next, self.uid_next.get().saturating_sub(1)));
        }
        gaps
    }
}
