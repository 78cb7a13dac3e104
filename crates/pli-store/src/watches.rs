//! Signals that something of an account changed: for sessions that are told of changes without asking.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use pli_types::{AccountId, Action};
use tokio::sync::watch;

use crate::error::StoreError;
use crate::ops::owner;
use crate::permit::Permit;
use crate::rows::{Key, Table};
use crate::store::Store;

/// One signal an account that is watched.
#[derive(Default)]
pub(crate) struct Watches(Mutex<HashMap<AccountId, watch::Sender<u64>>>);

impl Watches {
    fn watch(&self, account: AccountId) -> watch::Receiver<u64> {
        self.0.lock().entry(account).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// The accounts that are watched, among those whose mailboxes or subscriptions some rows are about.
    pub(crate) fn among<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> BTreeSet<AccountId> {
        let watched = self.0.lock();
        if watched.is_empty() {
            return BTreeSet::new();
        }
        let is_mail =
            |key: &&Key| matches!(key.table(), Some(Table::Mailbox | Table::MailboxName | Table::Subscription));
        let accounts = keys.filter(is_mail).map(|key| AccountId::new(key.number(1)));
        accounts.filter(|account| watched.contains_key(account)).collect()
    }

    /// The rows are applied: who watches these accounts is woken.
    pub(crate) fn wake(&self, accounts: &BTreeSet<AccountId>) {
        if accounts.is_empty() {
            return;
        }
        let mut watched = self.0.lock();
        for account in accounts {
            if let Some(signal) = watched.get(account) {
                signal.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
        watched.retain(|_, signal| signal.receiver_count() > 0);
    }
}

impl Store {
    /// Wakes when mailboxes of the permit's account, what is in them, or its subscriptions have changed.
    pub fn watch_account(&self, permit: &Permit) -> Result<watch::Receiver<u64>, StoreError> {
        Ok(self.engine().watches.watch(owner(permit, &[Action::List], None)?))
    }
}
