//! The mail of one account as it was at a moment of the past: its rows, replayed from the log into memory.
//!
//! A moment is the newest snapshot round that had ended by then (or the beginning of the log), and every batch after it
//! up to the last one whose time is not later. Bodies are not part of it: a message of the past finds its body by the
//! row that the body has today, be it a gone row; only where there is neither, the row of that time is kept.

mod build;
pub(crate) mod hours;
mod snapshots;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use pli_types::{AccountId, Action, BodyId, MailboxId, MailboxName, Uid, UnixMillis};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::engine::Engine;
use crate::error::{PastError, StoreError};
use crate::limits::{MOMENT_BYTES_KEPT_MAX, MOMENT_IDLE_MS, MOMENTS_BUILDING_MAX, MOMENTS_KEPT_MAX};
use crate::model::{Copied, Mailbox, Rewound};
use crate::ops::{PastEntry, PastMailbox, owner};
use crate::permit::{Committed, Permit};
use crate::read::{READ_ACTIONS, Reader};
use crate::rows::log::GoneRow;
use crate::rows::mail::{BodyRow, EntryBlock, MessageRow};
use crate::rows::{RowStore, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Actions whose permits open a moment.
const PAST_ACTIONS: &[Action] = &[Action::Past, Action::Inspect, Action::Rewind];

/// An account's mailboxes and messages as they were. It never changes.
pub struct Moment {
    account: AccountId,
    at: UnixMillis,
    rows: RowStore,
    /// Of the rows, in memory.
    bytes: u64,
    /// Every frame that it is made of could be read.
    is_whole: bool,
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("account", &self.account).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Moment {
    /// Whose.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }
    /// When.
    #[must_use]
    pub const fn at(&self) -> UnixMillis {
        self.at
    }
    /// False when a part of the log that it is made of is damaged: something may be missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }
    pub(crate) const fn rows(&self) -> &RowStore {
        &self.rows
    }
    /// A body's row: today's, as it was when its last reference went, or as it was then.
    pub(crate) fn body_row(&self, engine: &Engine, body: BodyId) -> Result<Option<BodyRow>> {
        // Twice: a body that is brought back between the two looks is in neither.
        for _ in 0..2 {
            if let Some(row) = engine.rows.load(&keys::body(body))? {
                return Ok(Some(row));
            }
            if let Some(gone) = engine.rows.load::<GoneRow>(&keys::gone(body))? {
                return Ok(Some(gone.body));
            }
        }
        match self.rows.load(&keys::body(body))? {
            Some(row) => Ok(Some(row)),
            None => Err(PastError::Gone.into()),
        }
    }
    /// What an operation needs to bring messages back: all of a mailbox, or those of some UIDs that exist.
    pub(crate) fn entries(&self, mailbox: MailboxId, only: Option<&[Uid]>) -> Result<PastMailbox> {
        let row: Mailbox = self.rows.load(&keys::mailbox(self.account, mailbox))?.ok_or(StoreError::NoMailbox)?;
        let mut entries = Vec::new();
        for (_, block) in self.rows.list::<EntryBlock>(&keys::entries(mailbox))? {
            for stored in block.0 {
                if only.is_some_and(|uids| uids.binary_search(&stored.entry.uid).is_err()) {
                    continue;
                }
                let key = keys::message(self.account, stored.entry.email);
                let message: Option<MessageRow> = self.rows.load(&key)?;
                let message = message.ok_or(StoreError::Damaged(crate::Damaged::Row("message")))?;
                entries.push(PastEntry { entry: stored.entry, message });
            }
        }
        Ok(PastMailbox { mailbox: row, entries })
    }
}

/// A moment that was asked for lately, and when.
struct Kept {
    moment: Arc<Moment>,
    used: Duration,
}

/// The moments at hand, those used last at the end.
pub(crate) struct Moments {
    kept: Mutex<VecDeque<Kept>>,
    building: Arc<Semaphore>,
    /// Whoever makes a moment of an account, or waits to.
    turns: Mutex<HashMap<AccountId, Weak<tokio::sync::Mutex<()>>>>,
}

/// The right to make a moment now.
struct Turn {
    _of_the_account: OwnedMutexGuard<()>,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            building: Arc::new(Semaphore::new(MOMENTS_BUILDING_MAX)),
            turns: Mutex::default(),
        }
    }
}

impl Moments {
    fn get(&self, account: AccountId, at: UnixMillis, now: Duration) -> Option<Arc<Moment>> {
        let mut kept = self.kept.lock();
        let place = kept.iter().position(|kept| kept.moment.account == account && kept.moment.at == at)?;
        let found = kept.remove(place)?;
        let moment = Arc::clone(&found.moment);
        kept.push_back(Kept { used: now, ..found });
        Some(moment)
    }
    fn put(&self, moment: &Arc<Moment>, now: Duration) {
        let mut kept = self.kept.lock();
        kept.push_back(Kept { moment: Arc::clone(moment), used: now });
        let bytes = |kept: &VecDeque<Kept>| kept.iter().map(|kept| kept.moment.bytes).fold(0, u64::saturating_add);
        while kept.len() > MOMENTS_KEPT_MAX || (kept.len() > 1 && bytes(&kept) > MOMENT_BYTES_KEPT_MAX) {
            kept.pop_front();
        }
    }
    /// Waits until a moment of an account may be made. One at a time for each account, so that nobody who goes through his
    /// past keeps the others from theirs. `None` once the store is closed.
    async fn turn(&self, account: AccountId) -> Option<Turn> {
        let mine = {
            let mut turns = self.turns.lock();
            turns.retain(|_, turn| turn.strong_count() > 0);
            let mine = turns.get(&account).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(account, Arc::downgrade(&mine));
            mine
        };
        let of_the_account = mine.lock_owned().await;
        let of_all = Arc::clone(&self.building).acquire_owned().await.ok()?;
        Some(Turn { _of_the_account: of_the_account, _of_all: of_all })
    }
    /// Lets go of what nobody asks for any more.
    pub(crate) fn tidy(&self, now: Duration) {
        let idle = Duration::from_millis(MOMENT_IDLE_MS);
        self.kept.lock().retain(|kept| now.saturating_sub(kept.used) < idle);
    }
    /// Lets go of an account's: it is gone, and so are its keys.
    pub(crate) fn forget(&self, account: AccountId) {
        self.kept.lock().retain(|kept| kept.moment.account != account);
    }
}

impl Store {
    /// The mail of the permit's account as it was at a moment inside the retention window. Reads a part of the log, off
    /// the async threads.
    pub async fn moment(&self, permit: &Permit, at: UnixMillis) -> Result<Arc<Moment>> {
        let account = owner(permit, PAST_ACTIONS, None)?;
        let engine = self.engine();
        // The present millisecond is not over: a group may still get its time.
        if at >= engine.now() {
            return Err(PastError::Future.into());
        }
        let earliest = self.earliest_moment();
        if at < earliest {
            return Err(PastError::TooOld { earliest }.into());
        }
        self.account(account)?.ok_or(StoreError::NoAccount(account))?;
        if let Some(found) = engine.moments.get(account, at, engine.env.clock.monotonic()) {
            return Ok(found);
        }
        let closed = || StoreError::Stopped(String::from("the store is closed"));
        let turn = engine.moments.turn(account).await.ok_or_else(closed)?;
        // Whoever waited with us may have made it.
        if let Some(found) = engine.moments.get(account, at, engine.env.clock.monotonic()) {
            return Ok(found);
        }
        // A group that began before now and is not applied yet belongs to the moment: the committer gets round to us
        // after it. A store that takes no more changes has none.
        match self.commit(|_| Ok(())).await {
            Ok(_) | Err(StoreError::Stopped(_)) => {}
            Err(error) => return Err(error),
        }
        let shared = Arc::clone(engine);
        let built = tokio::task::spawn_blocking(move || {
            // The work goes on when nobody waits for it any more, and so does the turn.
            let _turn = turn;
            build::build(&shared, account, at)
        })
        .await;
        let moment = Arc::new(built.map_err(|_| closed())??);
        engine.moments.put(&moment, engine.env.clock.monotonic());
        Ok(moment)
    }
    /// The earliest moment that can be looked at now.
    #[must_use]
    pub fn earliest_moment(&self) -> UnixMillis {
        let engine = self.engine();
        let window = engine.retention_ms.load(std::sync::atomic::Ordering::Relaxed);
        UnixMillis(engine.now().0.saturating_sub(i64::try_from(window).unwrap_or(i64::MAX)))
    }
    /// Reads a moment as [`Store::read`] reads the present; the permit is for the same account.
    pub fn read_past<'a>(&'a self, permit: &'a Permit, moment: &'a Moment) -> Result<Reader<'a>> {
        let account = owner(permit, READ_ACTIONS, None)?;
        // The past is its owner's.
        if account != moment.account || permit.person().is_some() {
            return Err(StoreError::WrongPermit);
        }
        Ok(Reader {
            engine: self.engine(),
            account,
            action: permit.grant().action,
            past: Some(moment),
            person: None,
            only: None,
        })
    }
    /// Copies messages of a moment into a mailbox of the present. What is still in the account gets one more place, at
    /// no cost; what is gone is made anew, with a new email id, and counts against the quota. \Deleted is left behind.
    pub async fn restore(
        &self,
        permit: Permit,
        moment: &Moment,
        from: MailboxId,
        mut uids: Vec<Uid>,
        to: MailboxId,
    ) -> Result<Committed<Copied>> {
        let account = owner(&permit, &[Action::Restore], Some(to))?;
        if account != moment.account {
            return Err(StoreError::WrongPermit);
        }
        uids.sort_unstable();
        uids.dedup();
        let past = moment.entries(from, Some(&uids))?;
        let at = moment.at;
        self.commit(move |txn| {
            let (uid_validity, uids) = txn.restore(account, &past, to)?;
            txn.audit(&permit, |event| {
                let seconds = u64::try_from(at.secs()).unwrap_or(0);
                event.mailbox(to, uid_validity).count("messages", uids.len() as u64).count("moment", seconds)
            });
            Ok(Copied { uid_validity, uids })
        })
        .await
    }
    /// Puts mailboxes of an account back to a moment, all that it had or one, in one commit: messages, flags, no names.
    /// UIDVALIDITY is raised, UIDs are new. What came later is moved below `aside`, so that no mail is lost. With
    /// `dry_run` nothing changes, and the answer is what would be.
    pub async fn rewind(
        &self,
        permit: Permit,
        moment: &Moment,
        only: Option<&MailboxName>,
        aside: MailboxName,
        dry_run: bool,
    ) -> Result<Vec<Rewound>> {
        let account = owner(&permit, &[Action::Rewind], None)?;
        if account != moment.account {
            return Err(StoreError::WrongPermit);
        }
        if !moment.is_whole {
            return Err(StoreError::Impossible("a part of the log that this moment is made of is damaged"));
        }
        let mut mailboxes: Vec<Mailbox> =
            moment.rows.list::<Mailbox>(&keys::mailboxes(account))?.into_iter().map(|(_, mailbox)| mailbox).collect();
        mailboxes.retain(|mailbox| only.is_none_or(|name| mailbox.name == *name));
        mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
        if let (Some(name), true) = (only, mailboxes.is_empty()) {
            return Err(StoreError::Missing(name.to_string()));
        }
        let past = mailboxes.iter().map(|m| moment.entries(m.id, None)).collect::<Result<Vec<_>>>()?;
        let seconds = u64::try_from(moment.at.secs()).unwrap_or(0);
        // An operation that fails leaves nothing behind: that is what a dry run does.
        let (told, tried) = tokio::sync::oneshot::channel();
        let done = self.commit(move |txn| {
            let mut all = Vec::with_capacity(past.len());
            for past in &past {
                let rewound = txn.rewind(account, past, &aside)?;
                txn.audit(&permit, |event| {
                    event
                        .mailbox(rewound.mailbox.id, rewound.mailbox.uid_validity)
                        .count("moment", seconds)
                        .count("messages", rewound.mailbox.messages.into())
                        .count("restored", rewound.restored.into())
                        .count("aside", rewound.aside.into())
                });
                all.push(rewound);
            }
            if dry_run {
                let _ = told.send(all);
                return Err(StoreError::Impossible("a dry run"));
            }
            Ok(all)
        });
        match done.await {
            Ok(done) => Ok(done.value),
            Err(error) => tried.await.map_err(|_| error),
        }
    }
    /// The hours (their beginnings, in UTC) inside the window in which something of the permit's account changed,
    /// ascending. What changed before the store kept this is not among them.
    pub fn changed_hours(&self, permit: &Permit) -> Result<Vec<UnixMillis>> {
        let account = owner(permit, PAST_ACTIONS, None)?;
        let earliest = self.earliest_moment();
        let mut hours = hours::list(&self.engine().rows, account)?;
        hours.retain(|hour| *hour >= earliest);
        Ok(hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a turn is given at once.
    async fn at_once(moments: &Moments, account: u64) -> Option<Turn> {
        tokio::select! {
            biased;
            turn = moments.turn(AccountId::new(account)) => turn,
            () = tokio::task::yield_now() => None,
        }
    }

    #[tokio::test]
    async fn an_account_makes_one_moment_at_a_time_and_others_theirs() {
        let moments = Moments::default();
        let first = at_once(&moments, 1).await.unwrap();
        assert!(at_once(&moments, 1).await.is_none());
        assert!(at_once(&moments, 1).await.is_none());
        let second = at_once(&moments, 2).await.unwrap();
        // Two are made: whoever it is waits.
        assert!(at_once(&moments, 3).await.is_none());
        drop(first);
        assert!(at_once(&moments, 1).await.is_some());
        assert!(at_once(&moments, 3).await.is_some());
        drop(second);
        assert!(at_once(&moments, 2).await.is_some());
        assert_eq!(moments.turns.lock().len(), 1, "those who are done leave nothing");
    }
}
