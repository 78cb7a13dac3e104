//! Which messages a command means: sets of numbers or UIDs over a picture.

use pli_imap_proto::{MessageSet, PartialRange, Resolved, SequenceSet};
use pli_store::{Entry, Snapshot};
use pli_types::Uid;

use crate::fail::Fail;

/// A set, made definite for one picture.
#[derive(Clone, Debug)]
pub enum Picked {
    /// Message numbers.
    Numbers(Resolved),
    /// UIDs.
    Uids(Resolved),
}

/// Resolves a set over a picture. `saved` is `$`.
pub fn pick(picture: &Snapshot, uid: bool, set: &MessageSet, saved: &[Uid]) -> Result<Picked, Fail> {
    match set {
        // RFC 9051 §6.4.4.1: `$` names messages, whichever way the command counts.
        MessageSet::Saved => Ok(Picked::Uids(
            SequenceSet::from_sorted(saved.iter().map(|u| u.get())).map(|s| s.resolve(u32::MAX)).unwrap_or_default(),
        )),
        MessageSet::Set(set) if uid => Ok(Picked::Uids(uids(picture, set))),
        MessageSet::Set(set) => numbers(picture, set).map(Picked::Numbers),
    }
}

/// RFC 9051 §9 `seq-number`: a number above EXISTS is BAD; `*` in an empty mailbox means nothing (clients ask it).
pub fn numbers(picture: &Snapshot, set: &SequenceSet) -> Result<Resolved, Fail> {
    let beyond = set.largest().is_some_and(|n| n > picture.messages);
    let resolved = set.resolve(picture.messages);
    // `1:*` on an empty mailbox is asked by many clients and means nothing; a range that starts within is cut.
    if beyond && resolved.is_empty() && !set.has_star() {
        return Err(Fail::Bad("No such message number"));
    }
    Ok(resolved)
}

/// RFC 9051 §6.4.9: UIDs that are not there are ignored.
pub fn uids(picture: &Snapshot, set: &SequenceSet) -> Resolved {
    match picture.last_uid() {
        // Nothing there: nothing is meant, `*` included.
        None => Resolved::default(),
        Some(last) => set.resolve(last.get()),
    }
}

impl Picked {
    /// RFC 9394 §3.3: of the messages only those at some places.
    pub fn cut(&mut self, picture: &Snapshot, range: PartialRange) {
        let count = self.entries(picture).count();
        self.keep(picture, range.places(count));
    }
    /// RFC 9738 §3: of more messages than the limit only those with the highest UIDs; then the lowest of these UIDs.
    pub fn limit(&mut self, picture: &Snapshot, limit: Option<u32>) -> Option<Uid> {
        let limit = usize::try_from(limit?).unwrap_or(usize::MAX);
        let count = self.entries(picture).count();
        if count <= limit {
            return None;
        }
        self.keep(picture, count.saturating_sub(limit)..count);
        self.entries(picture).next().map(|(_, entry)| entry.uid)
    }
    fn keep(&mut self, picture: &Snapshot, places: std::ops::Range<usize>) {
        let mut entries = self.entries(picture).skip(places.start).take(places.len()).map(|(_, entry)| entry.uid.get());
        let first = entries.next();
        let ends = first.map(|first| (first, entries.last().unwrap_or(first)));
        let (first, last) = ends.unwrap_or((1, 0));
        // Between the two all that was meant: sets are in the mailbox's order.
        let kept = self.entries(picture).map(|(_, entry)| entry.uid.get()).filter(|uid| (first..=last).contains(uid));
        let ranges = SequenceSet::from_sorted(kept).map(|set| set.resolve(u32::MAX)).unwrap_or_default();
        *self = Self::Uids(ranges);
    }
    /// The messages, in order, with their numbers.
    pub fn entries<'a>(&'a self, picture: &'a Snapshot) -> Box<dyn Iterator<Item = (u32, Entry)> + Send + 'a> {
        match self {
            Self::Numbers(set) => Box::new(set.ranges().iter().flat_map(|&(a, b)| picture.range_numbers(a, b))),
            Self::Uids(set) => {
                Box::new(set.ranges().iter().flat_map(|&(a, b)| picture.range(Uid::new(a), Uid::new(b))))
            }
        }
    }
    /// Their UIDs.
    pub fn uid_list(&self, picture: &Snapshot) -> Vec<Uid> {
        self.entries(picture).map(|(_, entry)| entry.uid).collect()
    }
}
