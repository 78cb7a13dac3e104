//! Where it all stands: a map under one lock, and who goes when room is needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pli_types::{AccountId, MailboxId};

use super::page::Page;
use super::rows::Forest;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub account: AccountId,
    pub mailbox: MailboxId,
    pub form: u32,
    pub chunk: u32,
}

#[derive(Clone)]
pub(super) enum Value {
    Page(Arc<Page>),
    Uids(Arc<[u32]>),
    Forest(Arc<Forest>),
}

impl Value {
    fn bytes(&self) -> u64 {
        // Two maps hold its place beside it.
        const HEAD: u64 = 256;
        let bytes = match self {
            Self::Page(page) => page.memory_bytes(),
            Self::Uids(uids) => size_of_val(&**uids),
            Self::Forest(forest) => forest.memory_bytes(),
        };
        HEAD.saturating_add(bytes as u64)
    }
}

struct Slot {
    value: Value,
    bytes: u64,
    /// When it was used last, counted in uses.
    used: u64,
}

#[derive(Default)]
struct Own {
    bytes: u64,
    order: BTreeMap<u64, Place>,
}

pub(super) struct Shelf {
    slots: BTreeMap<Place, Slot>,
    /// Of all, and of each account, by when they were used.
    order: BTreeMap<u64, Place>,
    accounts: HashMap<AccountId, Own>,
    uses: u64,
    bytes: u64,
    bytes_max: u64,
}

impl Shelf {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { slots: BTreeMap::new(), order: BTreeMap::new(), accounts: HashMap::new(), uses: 0, bytes: 0, bytes_max }
    }
    pub(super) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
    pub(super) fn get(&mut self, place: &Place) -> Option<Value> {
        let slot = self.slots.get_mut(place)?;
        self.uses = self.uses.saturating_add(1);
        self.order.remove(&slot.used);
        self.order.insert(self.uses, *place);
        if let Some(own) = self.accounts.get_mut(&place.account) {
            own.order.remove(&slot.used);
            own.order.insert(self.uses, *place);
        }
        slot.used = self.uses;
        Some(slot.value.clone())
    }
    pub(super) fn put(&mut self, place: Place, value: Value) {
        let bytes = value.bytes();
        self.remove(&place);
        // One thing alone never takes a quarter.
        if bytes > self.bytes_max / 4 {
            return;
        }
        self.uses = self.uses.saturating_add(1);
        let used = self.uses;
        self.slots.insert(place, Slot { value, bytes, used });
        self.order.insert(used, place);
        let own = self.accounts.entry(place.account).or_default();
        own.order.insert(used, place);
        own.bytes = own.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > self.bytes_max {
            let greedy = self.accounts.get(&place.account).filter(|own| own.bytes > self.bytes_max / 2);
            let oldest = greedy.map_or(&self.order, |own| &own.order).first_key_value();
            let Some(oldest) = oldest.map(|(_, place)| *place) else { return };
            self.remove(&oldest);
        }
    }
    fn remove(&mut self, place: &Place) {
        let Some(slot) = self.slots.remove(place) else { return };
        self.order.remove(&slot.used);
        self.bytes = self.bytes.saturating_sub(slot.bytes);
        if let Some(own) = self.accounts.get_mut(&place.account) {
            own.order.remove(&slot.used);
            own.bytes = own.bytes.saturating_sub(slot.bytes);
            if own.order.is_empty() {
                self.accounts.remove(&place.account);
            }
        }
    }
    pub(super) fn remove_account(&mut self, account: AccountId) {
        let Some(own) = self.accounts.remove(&account) else { return };
        self.bytes = self.bytes.saturating_sub(own.bytes);
        for (used, place) in own.order {
            self.order.remove(&used);
            self.slots.remove(&place);
        }
    }
}
