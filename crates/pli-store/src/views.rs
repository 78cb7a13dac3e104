//! The views that are loaded: shared while somebody looks, kept after as long as there is room for them.
//!
//! Room is counted in bytes. The views used last stay; one that a session has selected lives as long as the session
//! looks, whatever room there is, and its next reader shares it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pli_types::{AccountId, MailboxId};
use tokio::sync::watch;

use crate::limits::VIEW_BYTES_KEPT_MAX;
use crate::model::Mailbox;
use crate::txn::ViewChange;
use crate::view::{ChunkBuilder, Snapshot, View};

/// A view and what it costs.
struct Slot {
    view: Weak<View>,
    /// Keeps it alive.
    kept: Option<Arc<View>>,
    bytes: u64,
    /// When it was used last, counted in uses.
    used: u64,
}

/// A mailbox and who looks at it: 0 is whose it is, others see a \Seen of their own.
type Place = (MailboxId, AccountId);

fn place(mailbox: MailboxId, person: Option<AccountId>) -> Place {
    (mailbox, person.unwrap_or_default())
}

struct Loaded {
    views: BTreeMap<Place, Slot>,
    /// Those kept, by when they were used.
    order: BTreeMap<u64, Place>,
    uses: u64,
    kept_bytes: u64,
    bytes_max: u64,
    /// Number of views at which those that died are looked for.
    sweep_at: usize,
}

impl Default for Loaded {
    fn default() -> Self {
        Self {
            views: BTreeMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            kept_bytes: 0,
            bytes_max: VIEW_BYTES_KEPT_MAX,
            sweep_at: SWEEP_VIEWS,
        }
    }
}

/// Views before the first sweep.
const SWEEP_VIEWS: usize = 64;

impl Loaded {
    /// Marks a view as used now, and keeps it if there is room.
    fn touch(&mut self, place: Place, view: &Arc<View>) {
        self.uses = self.uses.saturating_add(1);
        let Some(slot) = self.views.get_mut(&place) else { return };
        if slot.kept.is_some() {
            self.order.remove(&slot.used);
        } else {
            slot.kept = Some(Arc::clone(view));
            self.kept_bytes = self.kept_bytes.saturating_add(slot.bytes);
        }
        slot.used = self.uses;
        self.order.insert(slot.used, place);
        self.make_room();
    }
    fn make_room(&mut self) {
        while self.kept_bytes > self.bytes_max {
            let Some((_, place)) = self.order.pop_first() else { return };
            if let Some(slot) = self.views.get_mut(&place) {
                slot.kept = None;
                self.kept_bytes = self.kept_bytes.saturating_sub(slot.bytes);
            }
        }
    }
    fn set_bytes(&mut self, place: Place, bytes: u64) {
        let Some(slot) = self.views.get_mut(&place) else { return };
        if slot.kept.is_some() {
            self.kept_bytes = self.kept_bytes.saturating_sub(slot.bytes).saturating_add(bytes);
        }
        slot.bytes = bytes;
        self.make_room();
    }
    fn remove(&mut self, place: Place) {
        if let Some(slot) = self.views.remove(&place)
            && slot.kept.is_some()
        {
            self.order.remove(&slot.used);
            self.kept_bytes = self.kept_bytes.saturating_sub(slot.bytes);
        }
    }
    fn sweep(&mut self) {
        if self.views.len() >= self.sweep_at {
            self.views.retain(|_, slot| slot.view.strong_count() > 0);
            self.sweep_at = self.views.len().saturating_mul(2).max(SWEEP_VIEWS);
        }
    }
}

/// All loaded views.
#[derive(Default)]
pub(crate) struct Views(Mutex<Loaded>);

/// A snapshot's head from a mailbox's row.
pub(crate) fn snapshot(mailbox: &Mailbox, builder: ChunkBuilder) -> Snapshot {
    let (chunks, messages) = builder.finish();
    Snapshot {
        mailbox: mailbox.id,
        uid_validity: mailbox.uid_validity,
        uid_next: mailbox.uid_next,
        highest_modseq: mailbox.highest_modseq,
        keywords: Arc::clone(&mailbox.keywords),
        exists: true,
        chunks,
        messages,
    }
}

impl Views {
    pub(crate) fn get(&self, mailbox: MailboxId, person: Option<AccountId>) -> Option<Arc<View>> {
        let place = place(mailbox, person);
        let mut loaded = self.0.lock();
        let view = loaded.views.get(&place)?.view.upgrade()?;
        loaded.touch(place, &view);
        Some(view)
    }
    /// Shares a snapshot just loaded; must be called under the apply lock under which it was read.
    pub(crate) fn insert(&self, snapshot: Snapshot, person: Option<AccountId>) -> Arc<View> {
        let place = place(snapshot.mailbox, person);
        let mut loaded = self.0.lock();
        if let Some(view) = loaded.views.get(&place).and_then(|slot| slot.view.upgrade()) {
            return view;
        }
        let bytes = snapshot.memory_bytes();
        let view = Arc::new(View { current: watch::Sender::new(Arc::new(snapshot)) });
        loaded.sweep();
        loaded.remove(place);
        loaded.views.insert(place, Slot { view: Arc::downgrade(&view), kept: None, bytes, used: 0 });
        loaded.touch(place, &view);
        view
    }
    /// Sets how many bytes the views that are kept may take.
    pub(crate) fn set_bytes_max(&self, bytes: u64) {
        let mut loaded = self.0.lock();
        loaded.bytes_max = bytes;
        loaded.make_room();
    }
    /// Views that are loaded, in use or kept, and their bytes.
    pub(crate) fn loaded(&self) -> (u64, u64) {
        let loaded = self.0.lock();
        let alive = loaded.views.values().filter(|slot| slot.view.strong_count() > 0);
        alive.fold((0, 0), |(views, bytes), slot| (views + 1, slot.bytes.saturating_add(bytes)))
    }
    /// Takes a group's changes over into the views that are loaded, and wakes those who watch.
    pub(crate) fn publish(&self, changes: BTreeMap<MailboxId, ViewChange>) {
        for (mailbox, change) in changes {
            let places = (mailbox, AccountId::default())..=(mailbox, AccountId::new(u64::MAX));
            let views: Vec<(Place, Arc<View>)> = {
                let loaded = self.0.lock();
                let alive = |(place, slot): (&Place, &Slot)| slot.view.upgrade().map(|view| (*place, view));
                loaded.views.range(places).filter_map(alive).collect()
            };
            for (place, view) in views {
                self.publish_one(place, &view, &change);
            }
        }
    }
    fn publish_one(&self, place: Place, view: &View, change: &ViewChange) {
        let person = Some(place.1).filter(|person| *person != AccountId::default());
        let mut next = Snapshot::clone(&view.snapshot());
        let personal = match person {
            Some(person) => match change.entries_for(person, &next) {
                Some(entries) => Some(entries),
                None => return,
            },
            // What others have seen is nothing to the owner.
            None if change.mailbox.is_none() && change.entries.is_empty() => return,
            None => None,
        };
        let entries = personal.as_ref().unwrap_or(&change.entries);
        match &change.mailbox {
            Some(None) => {
                next.exists = false;
                self.0.lock().remove(place);
            }
            Some(Some(row)) => {
                next.uid_validity = row.uid_validity;
                next.uid_next = row.uid_next;
                next.highest_modseq =
                    if person.is_some() { row.highest_modseq.max(next.highest_modseq) } else { row.highest_modseq };
                next.keywords = Arc::clone(&row.keywords);
                next.patch(entries);
            }
            None => next.patch(entries),
        }
        if let Some(person) = person {
            next.highest_modseq = next.highest_modseq.max(change.highest_for(person));
        }
        let bytes = next.memory_bytes();
        view.current.send_replace(Arc::new(next));
        self.0.lock().set_bytes(place, bytes);
    }
    pub(crate) fn clear(&self) {
        let mut loaded = self.0.lock();
        *loaded = Loaded { bytes_max: loaded.bytes_max, ..Loaded::default() };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::view::Entry;
    use pli_types::{EmailId, ModSeq, Uid, UidValidity};

    fn snapshot(mailbox: u64, messages: u32) -> Snapshot {
        let mut builder = ChunkBuilder::new();
        for uid in 1..=messages {
            let email = EmailId::new(uid.into());
            builder.push(Entry { uid: Uid::new(uid), email, modseq: ModSeq::new(1), flags: 0 });
        }
        let (chunks, messages) = builder.finish();
        Snapshot {
            mailbox: MailboxId::new(mailbox),
            uid_validity: UidValidity::new(1),
            uid_next: Uid::new(messages + 1),
            highest_modseq: ModSeq::new(1),
            keywords: Arc::new([]),
            exists: true,
            chunks,
            messages,
        }
    }

    fn has(views: &Views, mailbox: u64) -> bool {
        views.0.lock().views.get(&place(MailboxId::new(mailbox), None)).is_some_and(|slot| slot.view.strong_count() > 0)
    }

    #[test]
    fn the_ones_used_longest_ago_go() {
        let views = Views::default();
        let one = snapshot(1, 2000).memory_bytes();
        assert!((2000 * 28..2000 * 28 + 4096).contains(&one), "{one}");
        views.set_bytes_max(3 * one);
        for mailbox in 1..=3 {
            drop(views.insert(snapshot(mailbox, 2000), None));
        }
        assert_eq!(views.loaded(), (3, 3 * one));
        assert!(views.get(MailboxId::new(1), None).is_some());
        drop(views.insert(snapshot(4, 2000), None));
        assert!(has(&views, 1) && !has(&views, 2) && has(&views, 3) && has(&views, 4));
        // One in use stays, and is shared; it counts as used when somebody asks.
        let held = views.get(MailboxId::new(3), None).unwrap();
        views.set_bytes_max(0);
        assert_eq!(views.loaded(), (1, one));
        assert!(Arc::ptr_eq(&held, &views.get(MailboxId::new(3), None).unwrap()));
        drop(held);
        assert_eq!(views.loaded(), (0, 0));
        assert!(views.get(MailboxId::new(3), None).is_none());
    }

    #[test]
    fn growth_is_counted_and_deletion_gives_back() {
        let views = Views::default();
        let mailbox = MailboxId::new(1);
        drop(views.insert(snapshot(1, 10), None));
        let (_, before) = views.loaded();
        let entry =
            |uid: u32| Entry { uid: Uid::new(uid), email: EmailId::new(uid.into()), modseq: ModSeq::new(2), flags: 0 };
        let entries = (11..=5000).map(|uid| (uid, Some(entry(uid)))).collect();
        views.publish(BTreeMap::from([(mailbox, ViewChange { mailbox: None, entries, seen: BTreeMap::new() })]));
        let (_, after) = views.loaded();
        assert!(after > before + 4900 * 28, "{before} {after}");
        assert_eq!(views.0.lock().kept_bytes, after);
        views.publish(BTreeMap::from([(
            mailbox,
            ViewChange { mailbox: Some(None), entries: BTreeMap::new(), seen: BTreeMap::new() },
        )]));
        assert_eq!((views.loaded(), views.0.lock().kept_bytes), ((0, 0), 0));
    }

    #[test]
    fn many_small_ones_are_swept() {
        let views = Views::default();
        views.set_bytes_max(10_000);
        for mailbox in 0..1000 {
            drop(views.insert(snapshot(mailbox, 1), None));
        }
        let loaded = views.0.lock();
        assert!(loaded.views.len() < 200 && loaded.order.len() < 100, "{}", loaded.views.len());
        assert!(loaded.kept_bytes <= 10_000);
    }
}
