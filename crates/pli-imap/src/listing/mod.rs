//! What clients ask for again and again, kept ready: pieces of FETCH answers, what SORT and THREAD compare, and the orders
//! that came of it.
//!
//! All of it follows from a message's bytes, which never change, so nothing here goes out of date; what may change
//! (flags, numbers) is never kept. One budget for all accounts; what was used longest ago goes, of an account that takes
//! more than half its own first. An account's part lasts as long as a session of it holds its [`Listing`], and no longer.

mod forms;
pub mod page;
mod rows;
mod shelf;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pli_types::{AccountId, MailboxId};

pub use forms::{Keeper, lasts};
pub use rows::{Forest, Record, Records, Text, View};
use shelf::{Place, Shelf, Value};

use forms::Form;
use pli_imap_proto::{FetchItem, SortKey, ThreadAlgorithm};

/// Forms that an account's sessions ask for at a time; those asked for longest ago are forgotten.
const FORMS_MAX: usize = 32;
/// Listings that one session holds: of its own account and of those whose mail it reads.
pub const HELD_MAX: usize = 8;

/// Of all accounts.
pub struct Listings {
    shelf: Arc<Mutex<Shelf>>,
    accounts: Mutex<std::collections::HashMap<AccountId, Weak<Listing>>>,
}

/// Of one account, for as long as somebody holds it.
pub struct Listing {
    account: AccountId,
    shelf: Arc<Mutex<Shelf>>,
    forms: Mutex<Forms>,
}

#[derive(Default)]
struct Forms {
    known: Vec<(Form, u32)>,
    last: u32,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listings {
    /// At most so many bytes; none: nothing is kept.
    pub fn new(bytes_max: u64) -> Self {
        Self { shelf: Arc::new(Mutex::new(Shelf::new(bytes_max))), accounts: Mutex::default() }
    }
    /// An account's; `None` where nothing is kept.
    pub fn of(&self, account: AccountId) -> Option<Arc<Listing>> {
        if locked(&self.shelf).bytes_max() == 0 {
            return None;
        }
        let mut accounts = locked(&self.accounts);
        if let Some(listing) = accounts.get(&account).and_then(Weak::upgrade) {
            return Some(listing);
        }
        if accounts.len() >= 64 && accounts.len().is_power_of_two() {
            accounts.retain(|_, listing| listing.strong_count() > 0);
        }
        let listing = Arc::new(Listing { account, shelf: Arc::clone(&self.shelf), forms: Mutex::default() });
        accounts.insert(account, Arc::downgrade(&listing));
        Some(listing)
    }
    /// Forgets what is kept of an account: a message turned out not to be what it was taken for.
    pub fn forget(&self, account: AccountId) {
        locked(&self.shelf).remove_account(account);
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        locked(&self.shelf).remove_account(self.account);
    }
}

impl Listing {
    /// The number of a form, in no other use.
    fn form(&self, wanted: &Form) -> u32 {
        let mut forms = locked(&self.forms);
        if let Some(at) = forms.known.iter().position(|(known, _)| known == wanted) {
            let found = forms.known.remove(at);
            let number = found.1;
            forms.known.push(found);
            return number;
        }
        if forms.known.len() >= FORMS_MAX {
            forms.known.remove(0);
        }
        forms.last = forms.last.saturating_add(1);
        let number = forms.last;
        forms.known.push((wanted.clone(), number));
        number
    }
    fn place(&self, mailbox: MailboxId, form: u32, chunk: u32) -> Place {
        Place { account: self.account, mailbox, form, chunk }
    }
    fn get(&self, place: &Place) -> Option<Value> {
        locked(&self.shelf).get(place)
    }
    fn put(&self, place: Place, value: Value) {
        locked(&self.shelf).put(place, value);
    }

    /// Pieces of answers to a FETCH of these items.
    pub fn keeper(self: &Arc<Self>, mailbox: MailboxId, items: &[FetchItem], utf8: bool) -> Keeper {
        let form = self.form(&Form::Fetch(items.to_vec(), utf8));
        let count = items.iter().filter(|item| lasts(item)).count();
        Keeper::new(Arc::clone(self), mailbox, form, count)
    }
    /// What SORT and THREAD compare of each message.
    pub fn records(self: &Arc<Self>, mailbox: MailboxId) -> Records {
        Records::new(Keeper::new(Arc::clone(self), mailbox, self.form(&Form::Records), rows::FIELDS))
    }
    /// The UIDs of a mailbox in an order, as it was last made.
    pub fn order(&self, mailbox: MailboxId, criteria: &[(SortKey, bool)]) -> Option<Arc<[u32]>> {
        let form = self.form(&Form::Sorted(criteria.to_vec()));
        match self.get(&self.place(mailbox, form, 0))? {
            Value::Uids(uids) => Some(uids),
            _ => None,
        }
    }
    /// Keeps an order.
    pub fn put_order(&self, mailbox: MailboxId, criteria: &[(SortKey, bool)], uids: Arc<[u32]>) {
        let form = self.form(&Form::Sorted(criteria.to_vec()));
        self.put(self.place(mailbox, form, 0), Value::Uids(uids));
    }
    /// The threads that were last made.
    pub fn forest(&self, mailbox: MailboxId, algorithm: &ThreadAlgorithm) -> Option<Arc<Forest>> {
        let form = self.form(&Form::Threaded(algorithm.clone()));
        match self.get(&self.place(mailbox, form, 0))? {
            Value::Forest(forest) => Some(forest),
            _ => None,
        }
    }
    /// Keeps threads.
    pub fn put_forest(&self, mailbox: MailboxId, algorithm: &ThreadAlgorithm, forest: Arc<Forest>) {
        let form = self.form(&Form::Threaded(algorithm.clone()));
        self.put(self.place(mailbox, form, 0), Value::Forest(forest));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const BOX: MailboxId = MailboxId::new(7);

    fn fill(listing: &Arc<Listing>, uids: std::ops::RangeInclusive<u32>, text: &[u8]) {
        let mut keeper = listing.keeper(BOX, &[FetchItem::Envelope, FetchItem::Uid], false);
        for uid in uids {
            keeper.keep(uid, &[text]);
        }
        keeper.finish();
    }
    fn held(listing: &Arc<Listing>, uid: u32) -> Option<Vec<u8>> {
        let mut keeper = listing.keeper(BOX, &[FetchItem::Envelope, FetchItem::Uid], false);
        keeper.turn_to(uid).then(|| keeper.piece(0).to_vec())
    }

    #[test]
    fn what_was_kept_is_there_until_the_last_session_goes() {
        let listings = Listings::new(1 << 20);
        let listing = listings.of(AccountId::new(1)).unwrap();
        fill(&listing, 50..=140, b"ENVELOPE (one)");
        assert_eq!(held(&listing, 60).unwrap(), b"ENVELOPE (one)");
        assert_eq!(held(&listing, 140).unwrap(), b"ENVELOPE (one)");
        assert_eq!((held(&listing, 49), held(&listing, 141)), (None, None));
        // Another form, another mailbox, another account have their own.
        assert!(!listing.keeper(BOX, &[FetchItem::Envelope, FetchItem::Uid], true).turn_to(60));
        assert!(!listing.keeper(MailboxId::new(8), &[FetchItem::Envelope, FetchItem::Uid], false).turn_to(60));
        assert_eq!(held(&listings.of(AccountId::new(2)).unwrap(), 60), None);
        let again = listings.of(AccountId::new(1)).unwrap();
        drop(listing);
        assert!(held(&again, 60).is_some());
        drop(again);
        assert_eq!(locked(&listings.shelf).bytes(), 0);
        assert_eq!(held(&listings.of(AccountId::new(1)).unwrap(), 60), None);
    }

    #[test]
    fn a_page_grows_by_what_came_later() {
        let listings = Listings::new(1 << 20);
        let listing = listings.of(AccountId::new(1)).unwrap();
        fill(&listing, 70..=80, b"old");
        fill(&listing, 75..=90, b"new");
        assert_eq!(held(&listing, 74).unwrap(), b"old");
        assert_eq!((held(&listing, 75).unwrap(), held(&listing, 90).unwrap()), (b"new".to_vec(), b"new".to_vec()));
        // A single one is worth a page only where there is one.
        fill(&listing, 91..=91, b"more");
        fill(&listing, 1000..=1000, b"lone");
        assert_eq!((held(&listing, 91).unwrap(), held(&listing, 1000)), (b"more".to_vec(), None));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let listings = Listings::new(64 << 10);
        let (one, two) = (listings.of(AccountId::new(1)).unwrap(), listings.of(AccountId::new(2)).unwrap());
        // Nothing that compresses.
        let noise: Vec<u8> = (0..1000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[1]).collect();
        fill(&two, 0..=15, &noise[..200]);
        for round in 0..100 {
            fill(&one, round * 64..=round * 64 + 15, &noise);
            assert!(locked(&listings.shelf).bytes() <= 64 << 10);
        }
        // Who takes much pushes out his own.
        assert!(held(&two, 3).is_some() && held(&one, 3).is_none() && held(&one, 99 * 64).is_some());
        listings.forget(AccountId::new(1));
        assert!(held(&one, 99 * 64).is_none() && held(&two, 3).is_some());
    }

    #[test]
    fn without_room_there_is_none() {
        assert!(Listings::new(0).of(AccountId::new(1)).is_none());
    }
}
