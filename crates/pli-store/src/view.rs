//! A mailbox as its sessions see it: immutable snapshots of shared chunks.
//!
//! A session's picture of a mailbox *is* a [`Snapshot`]; what it has to be told is the difference between its own
//! snapshot and the current one. Chunks are shared by pointer, so that an idle session on a large mailbox costs
//! next to nothing and a difference looks only at chunks that changed.

use std::sync::Arc;

use pli_types::{EmailId, Keyword, MailboxId, ModSeq, Uid, UidValidity};
use tokio::sync::watch;

/// One message of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// Its row.
    pub email: EmailId,
    /// Last change.
    pub modseq: ModSeq,
    /// Flag word: system flags in bits 0 to 4, keywords after.
    pub flags: u64,
}

/// Entries per chunk.
pub const CHUNK_ENTRIES: usize = 1024;

/// Up to [`CHUNK_ENTRIES`] entries in UID order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Ascending.
    pub uids: Vec<u32>,
    /// As [`Entry::email`].
    pub emails: Vec<u64>,
    /// As [`Entry::modseq`].
    pub modseqs: Vec<u64>,
    /// As [`Entry::flags`].
    pub flags: Vec<u64>,
}

/// A mailbox at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: UidValidity,
    /// The next UID.
    pub uid_next: Uid,
    /// RFC 7162 §3.1.2.
    pub highest_modseq: ModSeq,
    /// The keyword at position n is bit 5 + n.
    pub keywords: Arc<[Keyword]>,
    /// False once the mailbox was deleted.
    pub exists: bool,
    /// In UID order, none empty.
    pub chunks: Vec<Arc<Chunk>>,
    /// Number of entries in all chunks.
    pub messages: u32,
}

/// What changed between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// UIDs in the old one only, ascending, with their sequence numbers in the old one.
    pub expunged: Vec<(u32, Uid)>,
    /// UIDs in both whose modseq differs, ascending, with the new entry.
    pub changed: Vec<Entry>,
    /// Number of entries in the new one only.
    pub added: u32,
    /// Whether the keyword table grew.
    pub keywords: bool,
}

/// The shared view: its current snapshot and a signal for each new one.
pub struct View {
    pub(crate) current: watch::Sender<Arc<Snapshot>>,
}

impl View {
    /// The current snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.borrow().clone()
    }
    /// Wakes at each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }
}

impl Snapshot {
    /// Entry by sequence number (from 1).
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<Entry> {
        let _ = number;
        todo!()
    }
    /// Sequence number (from 1) of a UID.
    #[must_use]
    pub fn number_of(&self, uid: Uid) -> Option<u32> {
        let _ = uid;
        todo!()
    }
    /// Entries with UIDs in `first..=last`, with their sequence numbers.
    pub fn range(&self, first: Uid, last: Uid) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let _ = (first, last);
        std::iter::empty()
    }
    /// Entries with sequence numbers in `first..=last`, with these.
    pub fn range_numbers(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let _ = (first, last);
        std::iter::empty()
    }
    /// All entries with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        self.range_numbers(1, u32::MAX)
    }
    /// The highest UID.
    #[must_use]
    pub fn last_uid(&self) -> Option<Uid> {
        todo!()
    }
    /// What a holder of `self` must be told to arrive at `newer`.
    #[must_use]
    pub fn difference(&self, newer: &Snapshot) -> Difference {
        let _ = newer;
        todo!()
    }
    /// `newer`, but with the entries of `self` that `newer` has lost still in their places: the picture of a session
    /// that may not be told of expunges now (RFC 9051 §7.5.1).
    #[must_use]
    pub fn keeping_expunged(&self, newer: &Snapshot) -> Snapshot {
        let _ = newer;
        todo!()
    }
}
