//! Parts of search segments in memory, bounded in bytes, those used last kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_search::Front;
use pli_types::{AccountId, BodyId, UnixMillis};

use super::limits::{SEARCH_CACHE_BYTES_MAX, SEARCH_CACHE_IDLE_MS};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Front(BodyId),
    Block(BodyId, u64),
}

enum Kept {
    Front(Arc<Front>),
    Block(Bytes),
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Front(front) => front.memory(),
            Self::Block(block) => block.len(),
        }
    }
}

struct Item {
    kept: Kept,
    /// Its key in the order of use.
    turn: u64,
    used: UnixMillis,
}

#[derive(Default)]
struct Parts {
    items: HashMap<Part, Item>,
    order: BTreeMap<u64, Part>,
    turn: u64,
    bytes: usize,
}

impl Parts {
    fn next_turn(&mut self) -> u64 {
        self.turn = self.turn.saturating_add(1);
        self.turn
    }
    fn take(&mut self, part: Part) {
        if let Some(item) = self.items.remove(&part) {
            self.order.remove(&item.turn);
            self.bytes = self.bytes.saturating_sub(item.kept.bytes());
        }
    }
    fn get<T>(&mut self, part: Part, now: UnixMillis, as_it_is: impl FnOnce(&Kept) -> Option<T>) -> Option<T> {
        let turn = self.next_turn();
        let item = self.items.get_mut(&part)?;
        self.order.remove(&item.turn);
        self.order.insert(turn, part);
        (item.turn, item.used) = (turn, now);
        as_it_is(&item.kept)
    }
    fn put(&mut self, part: Part, kept: Kept, now: UnixMillis) {
        self.take(part);
        let turn = self.next_turn();
        self.bytes = self.bytes.saturating_add(kept.bytes());
        self.items.insert(part, Item { kept, turn, used: now });
        self.order.insert(turn, part);
        while let Some((_, oldest)) = self.order.first_key_value().map(|(turn, part)| (*turn, *part)) {
            let idle = self.items.get(&oldest).is_some_and(|item| {
                // A clock that went back must not keep plain text in memory for ever.
                !(0..SEARCH_CACHE_IDLE_MS).contains(&now.0.saturating_sub(item.used.0))
            });
            if self.bytes <= SEARCH_CACHE_BYTES_MAX && !idle {
                break;
            }
            self.take(oldest);
        }
    }
}

/// The cache, and which accounts are being indexed.
#[derive(Default)]
pub(crate) struct SearchCache {
    parts: Mutex<Parts>,
    busy: Mutex<HashSet<AccountId>>,
}

impl SearchCache {
    pub(super) fn front(&self, body: BodyId, now: UnixMillis) -> Option<Arc<Front>> {
        self.parts.lock().get(Part::Front(body), now, |kept| match kept {
            Kept::Front(front) => Some(Arc::clone(front)),
            Kept::Block(_) => None,
        })
    }
    pub(super) fn put_front(&self, body: BodyId, front: &Arc<Front>, now: UnixMillis) {
        self.parts.lock().put(Part::Front(body), Kept::Front(Arc::clone(front)), now);
    }
    pub(super) fn block(&self, body: BodyId, number: u64, now: UnixMillis) -> Option<Bytes> {
        self.parts.lock().get(Part::Block(body, number), now, |kept| match kept {
            Kept::Block(block) => Some(block.clone()),
            Kept::Front(_) => None,
        })
    }
    pub(super) fn put_block(&self, body: BodyId, number: u64, block: &Bytes, now: UnixMillis) {
        self.parts.lock().put(Part::Block(body, number), Kept::Block(block.clone()), now);
    }
    /// Forgets a segment that was replaced.
    pub(super) fn forget(&self, body: BodyId) {
        let mut parts = self.parts.lock();
        let mut gone: Vec<Part> = parts.items.keys().copied().collect();
        gone.retain(|part| matches!(part, Part::Front(of) | Part::Block(of, _) if *of == body));
        gone.into_iter().for_each(|part| parts.take(part));
    }
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.lock().bytes
    }
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.parts.lock() = Parts::default();
    }
    /// Whether the account's index is free to be worked on; then it is taken.
    pub(super) fn begin(&self, account: AccountId) -> bool {
        self.busy.lock().insert(account)
    }
    pub(super) fn end(&self, account: AccountId) {
        self.busy.lock().remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_idle_parts_go() {
        let cache = SearchCache::default();
        let now = UnixMillis(1_000_000);
        let block = Bytes::from(vec![0; SEARCH_CACHE_BYTES_MAX / 4]);
        for number in 0..4 {
            cache.put_block(BodyId::new(1), number, &block, now);
        }
        assert!(cache.block(BodyId::new(1), 0, now).is_some());
        cache.put_block(BodyId::new(2), 0, &block, now);
        assert!(cache.block(BodyId::new(1), 0, now).is_some(), "used last");
        assert!(cache.block(BodyId::new(1), 1, now).is_none(), "the oldest");
        assert_eq!(cache.bytes(), SEARCH_CACHE_BYTES_MAX / 4 * 4);
        cache.forget(BodyId::new(1));
        assert_eq!(cache.bytes(), SEARCH_CACHE_BYTES_MAX / 4);
        let later = UnixMillis(now.0 + SEARCH_CACHE_IDLE_MS);
        cache.put_block(BodyId::new(3), 0, &Bytes::from_static(b"x"), later);
        assert_eq!(cache.bytes(), 1);
        // A part larger than all of the room is not kept.
        cache.put_block(BodyId::new(4), 0, &Bytes::from(vec![0; SEARCH_CACHE_BYTES_MAX + 1]), later);
        assert_eq!(cache.bytes(), 0);
    }
}
