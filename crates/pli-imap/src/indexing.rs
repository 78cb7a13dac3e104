//! Bringing the search index up to date: done by sessions, since nothing else can read the mail, and beside them, so that
//! no command waits for it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pli_crypto::Opened;
use pli_gate::{Gate, Login, Target};
use pli_store::StoreError;
use pli_types::{AccountId, Action};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::limits::{INDEX_BEHIND_MESSAGES, INDEX_REST_MS_MAX, INDEX_WAY_MS, INDEX_WAY_MS_MAX};
use crate::message::off_worker;
use crate::service::ImapService;
use crate::state::{Open, Place, Selected};

/// Which accounts are waited for, and the one place to work in: half a core at most goes into indexing.
pub struct Indexing {
    accounts: Mutex<HashSet<AccountId>>,
    place: Semaphore,
    /// Commands now that somebody waits for and that read many messages.
    before: Arc<AtomicUsize>,
}

impl Default for Indexing {
    fn default() -> Self {
        Self { accounts: Mutex::default(), place: Semaphore::new(1), before: Arc::default() }
    }
}

/// A command that goes before, until it is dropped.
pub struct GoesFirst(Arc<AtomicUsize>);

impl Drop for GoesFirst {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Indexing {
    fn enter(&self, account: AccountId) -> bool {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(account)
    }
    /// While a command reads many messages, indexing waits: for a while, since a client may read slowly.
    pub fn give_way(&self) -> GoesFirst {
        self.before.fetch_add(1, Ordering::Relaxed);
        GoesFirst(Arc::clone(&self.before))
    }
    async fn wait_behind(&self) {
        let pause = Duration::from_millis(INDEX_WAY_MS);
        // A client that has just opened a mailbox is about to ask for its list.
        tokio::time::sleep(pause).await;
        let mut waited = pause;
        while self.before.load(Ordering::Relaxed) > 0 && waited < Duration::from_millis(INDEX_WAY_MS_MAX) {
            tokio::time::sleep(pause).await;
            waited = waited.saturating_add(pause);
        }
    }
    fn leave(&self, account: AccountId) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }
}

/// The mail to be indexed: who looks at it, whose it is, and its keys. It lasts as long as the session does.
#[derive(Clone)]
pub struct Mail {
    login: Weak<Login>,
    keys: Weak<Opened>,
    place: Place,
}

impl Mail {
    /// Of a mailbox just opened.
    pub fn new(login: &Arc<Login>, selected: &Selected) -> Self {
        let place = Place { account: selected.account, mailbox: selected.mailbox };
        Self { login: Arc::downgrade(login), keys: Arc::downgrade(&selected.keys), place }
    }
    /// Of the open mailbox.
    pub fn of(open: &Open) -> Self {
        Self { login: Arc::downgrade(&open.login), keys: Arc::downgrade(&open.keys), place: open.into() }
    }
    fn target(&self) -> Target {
        Target { account: Some(self.place.account), mailbox: Some(self.place.mailbox), ..Target::default() }
    }
}

/// Begins it if the index is well behind. Costs two rows.
pub fn begin_if_behind(service: &Arc<ImapService>, mail: &Mail) {
    let behind = || -> Option<u64> {
        let login = mail.login.upgrade()?;
        let permit = service.gate.admit(&login.session, Action::Search, &mail.target()).ok()?;
        service.gate.store().read(&permit).ok()?.search_behind().ok()
    };
    if behind().is_some_and(|behind| behind >= INDEX_BEHIND_MESSAGES) {
        begin(service, mail);
    }
}

/// Begins it. It goes on while there is something to do and the session lasts.
pub fn begin(service: &Arc<ImapService>, mail: &Mail) {
    let account = mail.place.account;
    if !service.indexing.enter(account) {
        return;
    }
    let (service, mail) = (Arc::clone(service), mail.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = service.shutdown.cancelled() => {}
            result = run(&service, &mail) => match result {
                Ok(steps) => debug!(%account, steps, "search index up to date"),
                Err(error) => warn!(%account, %error, "search index not up to date"),
            },
        }
        service.indexing.leave(account);
    });
}

async fn run(service: &ImapService, mail: &Mail) -> Result<u64, StoreError> {
    let mut steps = 0_u64;
    loop {
        let Ok(_place) = service.indexing.place.acquire().await else { return Ok(steps) };
        service.indexing.wait_behind().await;
        // A session that ended takes its keys with it.
        let (Some(login), Some(keys)) = (mail.login.upgrade(), mail.keys.upgrade()) else { return Ok(steps) };
        let begun = service.clock.monotonic();
        if !step(&service.gate, &login, &keys, mail).await? {
            return Ok(steps);
        }
        drop((login, keys));
        steps = steps.saturating_add(1);
        let took = service.clock.monotonic().saturating_sub(begun);
        tokio::time::sleep(took.min(Duration::from_millis(INDEX_REST_MS_MAX))).await;
    }
}

/// One step; false when there is nothing to do.
async fn step(gate: &Gate, login: &Login, keys: &Opened, mail: &Mail) -> Result<bool, StoreError> {
    // Asked again each time: the account may be suspended meanwhile.
    let Ok(permit) = gate.admit(&login.session, Action::Search, &mail.target()) else { return Ok(false) };
    let store = gate.store().clone();
    match off_worker(|| store.index_step(&permit, keys))? {
        None => Ok(false),
        Some(step) => store.commit_index(&permit, step).await.map(|()| true),
    }
}
