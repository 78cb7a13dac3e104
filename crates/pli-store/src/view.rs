//! A mailbox as its sessions see it: immutable snapshots of shared chunks.
//!
//! A session's picture of a mailbox *is* a [`Snapshot`]; what it has to be told is the difference between its own
//! snapshot and the current one. Chunks are shared by pointer, so that an idle session on a large mailbox costs
//! next to nothing and a difference looks only at chunks that changed.

use std::collections::BTreeMap;
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
    /// One that nobody changes.
    pub(crate) fn alone(snapshot: Snapshot) -> Arc<Self> {
        Arc::new(Self { current: watch::Sender::new(Arc::new(snapshot)) })
    }
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

impl Chunk {
    fn len(&self) -> usize {
        self.uids.len()
    }
    fn last(&self) -> u32 {
        self.uids.last().copied().unwrap_or(0)
    }
    fn entry(&self, at: usize) -> Option<Entry> {
        Some(Entry {
            uid: Uid::new(*self.uids.get(at)?),
            email: EmailId::new(*self.emails.get(at)?),
            modseq: ModSeq::new(*self.modseqs.get(at)?),
            flags: *self.flags.get(at)?,
        })
    }
    fn push(&mut self, entry: Entry) {
        self.uids.push(entry.uid.get());
        self.emails.push(entry.email.get());
        self.modseqs.push(entry.modseq.get());
        self.flags.push(entry.flags);
    }
    /// Puts an entry in its place, over the one of the same UID. True when it is new.
    fn put(&mut self, entry: Entry) -> bool {
        match self.uids.binary_search(&entry.uid.get()) {
            Ok(at) => {
                if let Some(email) = self.emails.get_mut(at) {
                    *email = entry.email.get();
                }
                if let Some(modseq) = self.modseqs.get_mut(at) {
                    *modseq = entry.modseq.get();
                }
                if let Some(flags) = self.flags.get_mut(at) {
                    *flags = entry.flags;
                }
                false
            }
            Err(at) => {
                self.uids.insert(at, entry.uid.get());
                self.emails.insert(at, entry.email.get());
                self.modseqs.insert(at, entry.modseq.get());
                self.flags.insert(at, entry.flags);
                true
            }
        }
    }
    fn remove(&mut self, uid: u32) -> bool {
        let Ok(at) = self.uids.binary_search(&uid) else { return false };
        self.uids.remove(at);
        self.emails.remove(at);
        self.modseqs.remove(at);
        self.flags.remove(at);
        true
    }
    fn split_off(&mut self, at: usize) -> Self {
        Self {
            uids: self.uids.split_off(at),
            emails: self.emails.split_off(at),
            modseqs: self.modseqs.split_off(at),
            flags: self.flags.split_off(at),
        }
    }
}

/// Packs entries, given in UID order, into chunks.
pub(crate) struct ChunkBuilder {
    chunks: Vec<Arc<Chunk>>,
    open: Chunk,
    count: u32,
}

impl ChunkBuilder {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), open: Chunk::default(), count: 0 }
    }
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.open.len() >= CHUNK_ENTRIES {
            self.chunks.push(Arc::new(std::mem::take(&mut self.open)));
        }
        self.open.push(entry);
        self.count = self.count.saturating_add(1);
    }
    pub(crate) fn finish(mut self) -> (Vec<Arc<Chunk>>, u32) {
        if self.open.len() > 0 {
            self.chunks.push(Arc::new(self.open));
        }
        (self.chunks, self.count)
    }
}

/// Position in a snapshot's chunks while two of them are walked side by side.
struct Walk<'a> {
    chunks: &'a [Arc<Chunk>],
    chunk: usize,
    at: usize,
    number: u32,
}

impl<'a> Walk<'a> {
    const fn new(chunks: &'a [Arc<Chunk>]) -> Self {
        Self { chunks, chunk: 0, at: 0, number: 1 }
    }
    fn current(&self) -> Option<&'a Arc<Chunk>> {
        self.chunks.get(self.chunk)
    }
    fn entry(&self) -> Option<Entry> {
        self.current().and_then(|chunk| chunk.entry(self.at))
    }
    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
        self.number = self.number.saturating_add(1);
        if self.current().is_some_and(|chunk| self.at >= chunk.len()) {
            self.chunk = self.chunk.saturating_add(1);
            self.at = 0;
        }
    }
    fn skip_chunk(&mut self) {
        let rest = self.current().map_or(0, |chunk| chunk.len().saturating_sub(self.at));
        self.number = self.number.saturating_add(u32::try_from(rest).unwrap_or(u32::MAX));
        self.chunk = self.chunk.saturating_add(1);
        self.at = 0;
    }
}

/// What two snapshots have at one place.
enum Side {
    Old(u32, Entry),
    New,
    Both(Entry, Entry),
}

/// Walks two snapshots in UID order, skipping chunks that they share.
fn compare(old: &[Arc<Chunk>], new: &[Arc<Chunk>], mut visit: impl FnMut(Side)) {
    let (mut a, mut b) = (Walk::new(old), Walk::new(new));
    loop {
        if a.at == 0
            && b.at == 0
            && let (Some(x), Some(y)) = (a.current(), b.current())
            && Arc::ptr_eq(x, y)
        {
            a.skip_chunk();
            b.skip_chunk();
            continue;
        }
        match (a.entry(), b.entry()) {
            (None, None) => return,
            (Some(x), Some(y)) if x.uid == y.uid => {
                visit(Side::Both(x, y));
                a.step();
                b.step();
            }
            (Some(x), y) if y.is_none_or(|y| x.uid < y.uid) => {
                visit(Side::Old(a.number, x));
                a.step();
            }
            _ => {
                visit(Side::New);
                b.step();
            }
        }
    }
}

impl Snapshot {
    /// What it takes in memory, all chunks counted as its own.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        // Four vectors an entry; a chunk's head, its counters and the pointer to it; the snapshot and its view.
        const ENTRY: u64 = 4 + 3 * 8;
        const CHUNK: u64 = 4 * 24 + 16 + 8 + 4 * 16;
        const HEAD: u64 = 512;
        u64::from(self.messages)
            .saturating_mul(ENTRY)
            .saturating_add((self.chunks.len() as u64).saturating_mul(CHUNK))
            .saturating_add(HEAD)
    }
    /// Chunk index and place in it of a sequence number.
    fn locate(&self, number: u32) -> Option<(usize, usize)> {
        let mut rest = usize::try_from(number).ok()?.checked_sub(1)?;
        for (index, chunk) in self.chunks.iter().enumerate() {
            if rest < chunk.len() {
                return Some((index, rest));
            }
            rest = rest.saturating_sub(chunk.len());
        }
        None
    }
    /// Entry by sequence number (from 1).
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<Entry> {
        let (chunk, at) = self.locate(number)?;
        self.chunks.get(chunk)?.entry(at)
    }
    /// Sequence number (from 1) of a UID.
    #[must_use]
    pub fn number_of(&self, uid: Uid) -> Option<u32> {
        let index = self.chunks.partition_point(|chunk| chunk.last() < uid.get());
        let before: usize = self.chunks.get(..index)?.iter().map(|chunk| chunk.len()).sum();
        let at = self.chunks.get(index)?.uids.binary_search(&uid.get()).ok()?;
        u32::try_from(before.saturating_add(at).saturating_add(1)).ok()
    }
    /// Entry of a UID.
    #[must_use]
    pub fn by_uid(&self, uid: Uid) -> Option<Entry> {
        let chunk = self.chunks.get(self.chunks.partition_point(|chunk| chunk.last() < uid.get()))?;
        chunk.entry(chunk.uids.binary_search(&uid.get()).ok()?)
    }
    /// Entries from a place on, with sequence numbers counted from `number`.
    fn iter_from(&self, chunk: usize, at: usize, number: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let rest = self.chunks.get(chunk..).unwrap_or_default();
        rest.iter()
            .enumerate()
            .flat_map(move |(index, chunk)| {
                let start = if index == 0 { at } else { 0 };
                (start..chunk.len()).filter_map(move |place| chunk.entry(place))
            })
            .scan(number, |next, entry| {
                let number = *next;
                *next = next.saturating_add(1);
                Some((number, entry))
            })
    }
    /// Entries with UIDs in `first..=last`, with their sequence numbers.
    pub fn range(&self, first: Uid, last: Uid) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let index = self.chunks.partition_point(|chunk| chunk.last() < first.get());
        let before: usize = self.chunks.iter().take(index).map(|chunk| chunk.len()).sum();
        let at = self.chunks.get(index).map_or(0, |chunk| chunk.uids.partition_point(|uid| *uid < first.get()));
        let number = u32::try_from(before.saturating_add(at).saturating_add(1)).unwrap_or(u32::MAX);
        self.iter_from(index, at, number).take_while(move |(_, entry)| entry.uid <= last)
    }
    /// Entries with sequence numbers in `first..=last`, with these.
    pub fn range_numbers(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
        let first = first.max(1);
        let (chunk, at) = self.locate(first).unwrap_or((self.chunks.len(), 0));
        self.iter_from(chunk, at, first).take_while(move |(number, _)| *number <= last)
    }
    /// All entries with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        self.iter_from(0, 0, 1)
    }
    /// The highest UID.
    #[must_use]
    pub fn last_uid(&self) -> Option<Uid> {
        self.chunks.last().map(|chunk| Uid::new(chunk.last()))
    }
    /// What a holder of `self` must be told to arrive at `newer`.
    #[must_use]
    pub fn difference(&self, newer: &Snapshot) -> Difference {
        let mut out = Difference { keywords: self.keywords.len() != newer.keywords.len(), ..Difference::default() };
        compare(&self.chunks, &newer.chunks, |side| match side {
            Side::Old(number, entry) => out.expunged.push((number, entry.uid)),
            Side::New => out.added = out.added.saturating_add(1),
            Side::Both(old, new) => {
                if old.modseq != new.modseq {
                    out.changed.push(new);
                }
            }
        });
        out
    }
    /// `newer`, but with the entries of `self` that `newer` has lost still in their places: the picture of a session
    /// that may not be told of expunges now (RFC 9051 §7.5.1).
    #[must_use]
    pub fn keeping_expunged(&self, newer: &Snapshot) -> Snapshot {
        let mut lost = BTreeMap::new();
        compare(&self.chunks, &newer.chunks, |side| {
            if let Side::Old(_, entry) = side {
                lost.insert(entry.uid.get(), Some(entry));
            }
        });
        let mut kept = newer.clone();
        kept.patch(&lost);
        kept
    }

    /// Puts (`Some`) and removes (`None`) entries by UID. Chunks that hold none of them stay shared.
    pub(crate) fn patch(&mut self, changes: &BTreeMap<u32, Option<Entry>>) {
        let mut changes = changes.iter().peekable();
        let mut index = 0;
        while let Some(&(&uid, _)) = changes.peek() {
            index = self.chunks.partition_point(|chunk| chunk.last() < uid).max(index);
            let end = index.saturating_add(1) >= self.chunks.len();
            if end {
                break;
            }
            // Everything up to this chunk's last UID belongs to it.
            let Some(slot) = self.chunks.get_mut(index) else { break };
            let last = slot.last();
            let chunk = Arc::make_mut(slot);
            while let Some((&uid, change)) = changes.next_if(|(uid, _)| **uid <= last) {
                self.messages = apply(chunk, uid, *change, self.messages);
            }
            index = self.settle(index);
        }
        self.patch_end(changes);
    }

    /// The last chunk takes what lies in it and beyond it.
    fn patch_end<'a>(&mut self, changes: impl Iterator<Item = (&'a u32, &'a Option<Entry>)>) {
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut open = self.chunks.pop().unwrap_or_default();
        for (&uid, change) in changes {
            if change.is_some() && uid > open.last() && open.len() >= CHUNK_ENTRIES {
                self.chunks.push(std::mem::take(&mut open));
            }
            // A removal of what is not there must not copy a chunk.
            if change.is_none() && open.uids.binary_search(&uid).is_err() {
                continue;
            }
            self.messages = apply(Arc::make_mut(&mut open), uid, *change, self.messages);
        }
        self.chunks.push(open);
        let last = self.chunks.len().saturating_sub(1);
        self.settle(last);
    }

    /// Drops the chunk at `index` if it is empty, divides it if it is too long; returns the index after it.
    fn settle(&mut self, index: usize) -> usize {
        let Some(chunk) = self.chunks.get_mut(index) else { return index };
        if chunk.len() == 0 {
            self.chunks.remove(index);
            return index;
        }
        let mut next = index.saturating_add(1);
        let mut whole = chunk;
        while whole.len() > CHUNK_ENTRIES {
            let keep = CHUNK_ENTRIES;
            let rest = Arc::make_mut(whole).split_off(keep);
            self.chunks.insert(next, Arc::new(rest));
            next = next.saturating_add(1);
            match self.chunks.get_mut(next.saturating_sub(1)) {
                Some(chunk) => whole = chunk,
                None => break,
            }
        }
        next
    }
}

fn apply(chunk: &mut Chunk, uid: u32, change: Option<Entry>, messages: u32) -> u32 {
    match change {
        Some(entry) => messages.saturating_add(u32::from(chunk.put(entry))),
        None => messages.saturating_sub(u32::from(chunk.remove(uid))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn entry(uid: u32, modseq: u64) -> Entry {
        Entry { uid: Uid::new(uid), email: EmailId::new(u64::from(uid)), modseq: ModSeq::new(modseq), flags: 0 }
    }

    fn snapshot(uids: impl Iterator<Item = u32>) -> Snapshot {
        let mut builder = ChunkBuilder::new();
        uids.for_each(|uid| builder.push(entry(uid, 1)));
        let (chunks, messages) = builder.finish();
        Snapshot {
            mailbox: MailboxId::new(1),
            uid_validity: UidValidity::new(1),
            uid_next: Uid::new(1),
            highest_modseq: ModSeq::new(1),
            keywords: Arc::new([]),
            exists: true,
            chunks,
            messages,
        }
    }

    /// A small generator, so that each case replays from its number.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    fn listing(snapshot: &Snapshot) -> Vec<(u32, u32, u64)> {
        snapshot.iter().map(|(n, e)| (n, e.uid.get(), e.modseq.get())).collect()
    }

    #[test]
    fn numbers_and_uids_agree() {
        let s = snapshot((1..=5000).map(|n| n * 3));
        assert_eq!(s.messages, 5000);
        for number in [1, 2, 1023, 1024, 1025, 4999, 5000] {
            let e = s.by_number(number).unwrap();
            assert_eq!(e.uid.get(), number * 3);
            assert_eq!(s.number_of(e.uid), Some(number));
            assert_eq!(s.by_uid(e.uid), Some(e));
        }
        assert_eq!(s.by_number(0), None);
        assert_eq!(s.by_number(5001), None);
        assert_eq!(s.number_of(Uid::new(4)), None);
        assert_eq!(s.last_uid(), Some(Uid::new(15000)));
        let found: Vec<_> = s.range(Uid::new(3070), Uid::new(3080)).map(|(n, e)| (n, e.uid.get())).collect();
        assert_eq!(found, [(1024, 3072), (1025, 3075), (1026, 3078)]);
        assert_eq!(s.range_numbers(4999, 9000).count(), 2);
        assert_eq!(s.range(Uid::new(16000), Uid::new(17000)).count(), 0);
    }

    #[test]
    fn patches_differences_and_kept_expunges_follow_a_plain_model() {
        for case in 0..300 {
            let mut state = case;
            let before: std::collections::BTreeSet<u32> =
                (0..next(&mut state) % 4000).map(|_| u32::try_from(next(&mut state) % 9000).unwrap() + 1).collect();
            let old = snapshot(before.iter().copied());
            let mut changes = BTreeMap::new();
            for _ in 0..next(&mut state) % 3000 {
                let uid = u32::try_from(next(&mut state) % 9000).unwrap() + 1;
                if next(&mut state).is_multiple_of(2) {
                    changes.insert(uid, None);
                } else if before.contains(&uid) {
                    changes.insert(uid, Some(entry(uid, 2)));
                }
            }
            for uid in 9001..9001 + u32::try_from(next(&mut state) % 1500).unwrap() {
                changes.insert(uid, Some(entry(uid, 2)));
            }
            let mut model: BTreeMap<u32, u64> = before.iter().map(|uid| (*uid, 1)).collect();
            for (uid, change) in &changes {
                match change {
                    Some(e) => model.insert(*uid, e.modseq.get()),
                    None => model.remove(uid),
                };
            }
            let mut new = old.clone();
            new.patch(&changes);
            let expected: Vec<_> = model.iter().zip(1..).map(|((uid, modseq), n)| (n, *uid, *modseq)).collect();
            assert_eq!(listing(&new), expected, "case {case}");
            assert_eq!(new.messages as usize, model.len(), "case {case}");
            assert!(new.chunks.iter().all(|c| c.len() > 0 && c.len() <= CHUNK_ENTRIES), "case {case}");

            let difference = old.difference(&new);
            let expunged: Vec<_> = before
                .iter()
                .zip(1..)
                .filter(|(uid, _)| !model.contains_key(uid))
                .map(|(uid, n)| (n, Uid::new(*uid)))
                .collect();
            assert_eq!(difference.expunged, expunged, "case {case}");
            let changed: Vec<_> =
                before.iter().filter(|uid| model.get(uid) == Some(&2)).map(|uid| Uid::new(*uid)).collect();
            assert_eq!(difference.changed.iter().map(|e| e.uid).collect::<Vec<_>>(), changed, "case {case}");
            let added = model.keys().filter(|uid| !before.contains(uid)).count();
            assert_eq!(difference.added as usize, added, "case {case}");

            let kept = old.keeping_expunged(&new);
            let mut union = model.clone();
            before.iter().for_each(|uid| {
                union.entry(*uid).or_insert(1);
            });
            let expected: Vec<_> = union.iter().zip(1..).map(|((uid, modseq), n)| (n, *uid, *modseq)).collect();
            assert_eq!(listing(&kept), expected, "case {case}");
            assert!(old.difference(&kept).expunged.is_empty(), "case {case}");
            assert_eq!(kept.difference(&new).expunged.len(), expunged.len(), "case {case}");
        }
    }

    #[test]
    fn untouched_chunks_stay_shared() {
        let old = snapshot(1..=10_240);
        let mut new = old.clone();
        new.patch(&BTreeMap::from([(2000, Some(entry(2000, 9)))]));
        let shared = old.chunks.iter().zip(&new.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, 9);
    }
}
