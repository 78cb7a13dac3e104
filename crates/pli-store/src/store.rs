//! The store's handle: opening, closing, and the directory's rows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_crypto::{KeyStore, Opened};
use pli_io::{DiskFile, Env};
use pli_types::{AccountId, Action, MailboxId, SpecialUse};

use crate::audit::AuditLog;
use crate::body::Prepared;
use crate::commit::Committer;
use crate::engine::{Engine, Parts};
use crate::error::{OpenError, StoreError};
use crate::index::Next;
use crate::keys::{self as header, StoreKeys};
use crate::limits::PREPARE_SPLIT_MESSAGES;
use crate::log::writer::LogWriter;
use crate::model::{Account, Alias, Domain, Mailbox, Quota, StoreStat};
use crate::open::{ReplayError, Replayed, list_segments, lock, open_index, rebuild_bases, record_position, replay};
use crate::ops::owner;
use crate::permit::{Mint, Permit};
use crate::read::{READ_ACTIONS, Reader};
use crate::rebuild::{self, RebuildProgress};
use crate::rows::mail::{AccountState, BodyRow, Globals};
use crate::rows::search::SearchRow;
use crate::rows::{Key, RowStore, Table, decode, keys};
use crate::snapshot::Rounds;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Which index engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexEngine {
    /// sled 0.34.
    #[default]
    Sled,
    /// fjall 3, for large stores.
    Fjall,
    /// In memory, made again from the log at each start: tests and simulation.
    Memory,
}

impl IndexEngine {
    /// Its name in the configuration, and in the name of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }
    /// The engine of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Sled, Self::Fjall, Self::Memory].into_iter().find(|engine| engine.name() == name)
    }
}

/// How to open a store.
pub struct StoreOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// Disk, clock, randomness.
    pub env: Env,
    /// The root of all keys.
    pub keys: Arc<dyn KeyStore>,
    /// The index.
    pub index: IndexEngine,
    /// Cache of the index, in bytes.
    pub index_cache_bytes: u64,
    /// The audit log's origin line (C2SP tlog-checkpoint), for instance `mail.example.org/pli`.
    pub site: String,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    engine: Arc<Engine>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Arc<dyn DiskFile>>>,
}

impl Handle {
    fn close(&self) {
        self.engine.queue.close();
        self.engine.rebuilds.stop();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
        self.engine.rows.close();
        self.engine.views.clear();
        *self.lock.lock() = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    /// Makes an empty store.
    pub fn create(options: StoreOptions) -> std::result::Result<(Self, Mint), OpenError> {
        let disk = &*options.env.disk;
        disk.create_dir_all(&options.dir)?;
        let lock = lock(disk, &options.dir)?;
        if disk.exists(&options.dir.join(header::HEADER_FILE)) {
            return Err(OpenError::AlreadyThere(options.dir.display().to_string()));
        }
        disk.create_dir_all(&options.dir.join("segments"))?;
        let now = options.env.clock.now();
        let keys = header::create(disk, &options.dir, &*options.keys, &options.site, now)?;
        Self::start(options, keys, lock, None)
    }

    /// Opens a store: checks the header, replays the log's tail, starts the committer.
    pub fn open(options: StoreOptions) -> std::result::Result<(Self, Mint), OpenError> {
        Self::open_with(options, None)
    }
    /// Opens a store with an index that is made again from the log, by the engine that the options name.
    pub fn open_rebuilding(
        options: StoreOptions,
        progress: &RebuildProgress,
    ) -> std::result::Result<(Self, Mint), OpenError> {
        Self::open_with(options, Some(progress))
    }

    fn open_with(
        options: StoreOptions,
        rebuild: Option<&RebuildProgress>,
    ) -> std::result::Result<(Self, Mint), OpenError> {
        let disk = &*options.env.disk;
        if !disk.exists(&options.dir.join(header::HEADER_FILE)) {
            return Err(OpenError::NoStore(options.dir.display().to_string()));
        }
        let lock = lock(disk, &options.dir)?;
        let keys = header::open(disk, &options.dir, &*options.keys)?;
        disk.create_dir_all(&options.dir.join("segments"))?;
        Self::start(options, keys, lock, rebuild)
    }

    fn start(
        options: StoreOptions,
        keys: StoreKeys,
        lock: Arc<dyn DiskFile>,
        rebuild: Option<&RebuildProgress>,
    ) -> std::result::Result<(Self, Mint), OpenError> {
        let keys = Arc::new(keys);
        let Recovered { rows, replayed, audit, note, rounds, log_bytes } = recover(&options, &keys, rebuild)?;
        // Filled from the beginning: there was none, or none that fits, or another one was wanted.
        let rebuilt = replayed.from.is_some() && replayed.batches > 0 && options.index != IndexEngine::Memory;
        let damaged = replayed.damaged.len() as u64;
        let why = if rebuild.is_some() { "asked for" } else { "the start found none to use" };
        let record = rebuild::event(&keys.site, options.env.clock.now(), why, replayed.batches, damaged);
        let log = LogWriter::new(
            options.env.clone(),
            options.dir.join("segments"),
            Arc::clone(&keys),
            replayed.previous,
            replayed.next_number,
        );
        let engine = Arc::new(Engine::new(Parts {
            env: options.env,
            dir: options.dir,
            engine: options.index,
            index_cache_bytes: options.index_cache_bytes,
            keystore: options.keys,
            keys,
            rows,
            open_number: replayed.next_number,
            applied: replayed.applied,
            log_bytes,
            audit_head: (audit.size(), note),
        }));
        if rebuilt {
            engine.rebuilds.count_one();
            engine.queue.note(record);
        }
        let committer = Committer::new(Arc::clone(&engine), log, audit, rounds);
        let thread = std::thread::Builder::new().name(String::from("store-commit")).spawn(move || committer.run())?;
        let handle = Handle { engine, thread: Mutex::new(Some(thread)), lock: Mutex::new(Some(lock)) };
        Ok((Self { handle: Arc::new(handle) }, Mint::new()))
    }

    /// Finishes what is queued, writes a checkpoint, stops the committer. Later calls fail with `Stopped`.
    pub fn close(&self) {
        self.handle.close();
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }
    fn rows(&self) -> &RowStore {
        &self.handle.engine.rows
    }

    // ---- the directory's rows: read without a permit, since they are needed before anybody is known ----

    /// An account.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.rows().load(&keys::account(id))
    }
    /// By primary address ([`pli_types::Address::key`]).
    pub fn account_by_key(&self, key: &str) -> Result<Option<Account>> {
        match self.rows().load::<AccountId>(&keys::address(&self.engine().keys, key))? {
            Some(id) => self.account(id),
            None => Ok(None),
        }
    }
    /// Accounts after an id, in id order.
    pub fn accounts(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Account>> {
        let prefix = Key::new(Table::Account);
        let from = after.map(|id| keys::account(AccountId::new(id.get().saturating_add(1))));
        let mut accounts = Vec::new();
        if limit == 0 {
            return Ok(accounts);
        }
        self.rows().scan(&prefix, from.as_ref(), |_, bytes| {
            accounts.push(decode(&bytes)?);
            Ok(if accounts.len() >= limit { Next::Stop } else { Next::More })
        })?;
        Ok(accounts)
    }
    /// An alias by [`pli_types::Address::key`].
    pub fn alias(&self, key: &str) -> Result<Option<Alias>> {
        self.rows().load(&keys::alias(&self.engine().keys, key))
    }
    /// All aliases.
    pub fn aliases(&self) -> Result<Vec<Alias>> {
        let rows = self.rows().list::<Alias>(&Key::new(Table::Alias))?;
        let mut aliases: Vec<Alias> = rows.into_iter().map(|(_, alias)| alias).collect();
        aliases.sort_by_key(|alias| alias.address.key());
        Ok(aliases)
    }
    /// Whether the domain is ours.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        self.rows().load(&keys::domain(&self.engine().keys, name))
    }
    /// All domains, in the order in which they were added.
    pub fn domains(&self) -> Result<Vec<Domain>> {
        let rows = self.rows().list::<Domain>(&Key::new(Table::Domain))?;
        let mut domains: Vec<Domain> = rows.into_iter().map(|(_, domain)| domain).collect();
        domains.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(domains)
    }
    /// Quota and use of an account (needed at RCPT time, before there is a permit).
    pub fn quota(&self, account: AccountId) -> Result<Quota> {
        let state: Option<AccountState> = self.rows().load(&keys::state(account))?;
        state.map(|state| state.quota).ok_or(StoreError::NoAccount(account))
    }

    // ---- reading an account's mail ----

    /// Opens an account's keys for a session that has authenticated (permit for `Login`), or for one who has a right to
    /// another's mail (`OpenShared`).
    pub fn open_keys(&self, permit: &Permit) -> Result<Opened> {
        self.opened_keys(owner(permit, &[Action::Login, Action::OpenShared], None)?)
    }
    pub(crate) fn opened_keys(&self, account: AccountId) -> Result<Opened> {
        let engine = self.engine();
        let blob = engine.account_key(account)?;
        let weak = Arc::downgrade(engine);
        let source = move || weak.upgrade()?.account_key(account).ok();
        Ok(Opened::new(Arc::clone(&engine.keystore), blob, engine.account_aad(account)).with_source(Arc::new(source)))
    }
    /// Opens the epoch that new mail of an account is under, where the key store may be out of reach: a session that could
    /// read nothing is better refused at once. What it opened is kept for the session's first reading.
    pub fn touch_keys(&self, account: AccountId, keys: &Opened) -> Result<()> {
        let engine = self.engine();
        let now = engine.now();
        let epoch = engine.delivery_key(account, now)?.epoch();
        keys.epoch(now, epoch, &|epoch| engine.epoch_blob(account, epoch).ok().flatten())?;
        Ok(())
    }
    /// Whether private keys can be out of reach while the server runs.
    pub fn keys_may_be_gone(&self) -> bool {
        self.engine().keystore.may_be_gone()
    }
    /// Reads the mail of the permit's account.
    pub fn read<'a>(&'a self, permit: &'a Permit) -> Result<Reader<'a>> {
        let account = owner(permit, READ_ACTIONS, None)?;
        let grant = permit.grant();
        Ok(Reader {
            engine: self.engine(),
            account,
            action: grant.action,
            past: None,
            person: permit.person(),
            only: grant.mailbox,
        })
    }

    /// Where a delivery that is to go into the mailbox of a special use has to go; `None` where the account has none.
    pub fn delivery_mailbox(&self, permit: &Permit, special_use: SpecialUse) -> Result<Option<MailboxId>> {
        let account = owner(permit, &[Action::Deliver], None)?;
        let action = permit.grant().action;
        let reader = Reader { engine: self.engine(), account, action, past: None, person: None, only: None };
        let with_use = |mailbox: &Mailbox| mailbox.special_use == Some(special_use);
        Ok(reader.mailboxes()?.into_iter().find(with_use).map(|mailbox| mailbox.id))
    }

    /// Compresses, seals and summarises a message. CPU only, no lock; about 0.3 ms for 20 KB.
    pub fn prepare(&self, raw: Bytes) -> Result<Prepared> {
        let engine = self.engine();
        crate::body::prepare(engine.keys.id, &engine.compressors, engine.new_body()?, &raw)
    }
    /// The same of several messages, in their order; of many, a second core takes half.
    pub fn prepare_all(&self, mut raws: Vec<Bytes>) -> Result<Vec<Prepared>> {
        let helper = if raws.len() >= PREPARE_SPLIT_MESSAGES { self.engine().read_helpers.place() } else { None };
        let all = |raws: Vec<Bytes>| raws.into_iter().map(|raw| self.prepare(raw)).collect::<Result<Vec<_>>>();
        let Some(_place) = helper else { return all(raws) };
        let second = raws.split_off(raws.len() / 2);
        std::thread::scope(|scope| {
            let name = String::from("store-prepare");
            // What a thread that could not be begun was given is gone: it is a copy, of counted bytes.
            let given = second.clone();
            let other = std::thread::Builder::new().name(name).spawn_scoped(scope, move || all(given));
            let mut prepared = all(raws)?;
            prepared.extend(match other {
                Ok(thread) => {
                    drop(second);
                    thread.join().map_err(|_| StoreError::Stopped(String::from("a helper panicked")))??
                }
                Err(_) => all(second)?,
            });
            Ok(prepared)
        })
    }

    // ---- the whole ----

    /// Whether the store takes changes now, and if not, why. Costs nothing: a monitor may ask each second.
    pub fn condition(&self) -> Result<()> {
        let engine = self.engine();
        match engine.stop_reason() {
            Some(error) => Err(error),
            None => engine.rows.check(),
        }
    }
    /// How many bodies there are, and their original bytes: each once, whoever has it. Scans all of them: for tests and
    /// measurements.
    pub fn bodies(&self) -> Result<(u64, u64)> {
        let rows = &self.engine().rows;
        let (mut bodies, mut bytes) = (0_u64, 0_u64);
        rows.scan(&Key::new(Table::Body), None, |_, row| {
            bodies = bodies.saturating_add(1);
            bytes = bytes.saturating_add(decode::<BodyRow>(&row)?.size);
            Ok(Next::More)
        })?;
        // Search segments stand in the log as bodies do, and are no mail.
        rows.scan(&Key::new(Table::SearchSegment), None, |_, row| {
            bodies = bodies.saturating_sub(1);
            bytes = bytes.saturating_sub(decode::<SearchRow>(&row)?.size);
            Ok(Next::More)
        })?;
        Ok((bodies, bytes))
    }
    /// Sizes and counts, out of what each account counts: as long as the lists of accounts and of the queue, whatever
    /// the accounts hold.
    pub fn stat(&self) -> Result<StoreStat> {
        let engine = self.engine();
        let (mut accounts, mut queued) = (0_u64, 0_u64);
        engine.rows.scan(&Key::new(Table::Account), None, |_, _| {
            accounts = accounts.saturating_add(1);
            Ok(Next::More)
        })?;
        engine.rows.scan(&Key::new(Table::Queue), None, |_, _| {
            queued = queued.saturating_add(1);
            Ok(Next::More)
        })?;
        let (mut messages, mut message_bytes) = (0_u64, 0_u64);
        engine.rows.scan(&Key::new(Table::AccountState), None, |_, bytes| {
            let quota = decode::<AccountState>(&bytes)?.quota;
            messages = messages.saturating_add(quota.messages_used);
            message_bytes = message_bytes.saturating_add(quota.bytes_used.get());
            Ok(Next::More)
        })?;
        // A few rows an account.
        let mut search_bytes = 0_u64;
        engine.rows.scan(&Key::new(Table::SearchSegment), None, |_, bytes| {
            search_bytes = search_bytes.saturating_add(decode::<SearchRow>(&bytes)?.size);
            Ok(Next::More)
        })?;
        let segments = list_segments(&*engine.env.disk, &engine.segments_dir())?;
        let mut log_bytes = 0_u64;
        for number in &segments {
            log_bytes = log_bytes.saturating_add(engine.segment_length(*number)?);
        }
        let index = engine.rows.index();
        let (views, view_bytes) = engine.views.loaded();
        Ok(StoreStat {
            accounts,
            messages,
            message_bytes,
            search_bytes,
            segments: segments.len() as u64,
            log_bytes,
            index_bytes: index.size_bytes(),
            queued,
            audit_entries: engine.audit_head.lock().0,
            commits: engine.counts.commits.load(Ordering::Relaxed),
            commit_groups: engine.counts.groups.load(Ordering::Relaxed),
            log_syncs: engine.counts.syncs.load(Ordering::Relaxed),
            index_engine: index.engine().name().to_owned(),
            index_rebuilds: engine.rebuilds.count(),
            views,
            view_bytes,
        })
    }

    /// How long what was deleted or changed stays within reach: gone bodies keep their bytes, and any moment since then
    /// can be looked at. 30 days unless set.
    pub fn set_retention(&self, window: std::time::Duration) {
        self.engine().retention_ms.store(u64::try_from(window.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many mailboxes an account may have: 10,000 unless set. Those that there are stay.
    pub fn set_mailboxes_max(&self, mailboxes: u32) {
        self.engine().mailboxes_max.store(mailboxes, Ordering::Relaxed);
    }
    /// How many mailboxes an account has, and may have (RFC 9208 §5.3).
    pub fn mailbox_quota(&self, account: AccountId) -> Result<(u32, u32)> {
        let state: Option<AccountState> = self.rows().load(&keys::state(account))?;
        let used = state.ok_or(StoreError::NoAccount(account))?.mailboxes;
        Ok((used, self.engine().mailboxes_max.load(Ordering::Relaxed)))
    }

    /// How many bytes the views of mailboxes that were used last may take; those that sessions look at live anyway.
    /// 32 MiB unless set.
    pub fn set_view_memory(&self, bytes: u64) {
        self.engine().views.set_bytes_max(bytes);
    }

    /// Holds the committer back while `true`, so that a test decides what makes a commit group.
    #[doc(hidden)]
    pub fn hold_commits(&self, held: bool) {
        self.engine().queue.hold(held);
    }
    /// Shortens segments, so that a test has many of them.
    #[doc(hidden)]
    pub fn set_segment_bytes_max(&self, bytes: u64) {
        self.engine().segment_bytes_max.store(bytes, Ordering::Relaxed);
    }
    /// Lets a small index be made again for its size, too.
    #[doc(hidden)]
    pub fn set_index_bytes_min(&self, bytes: u64) {
        self.engine().index_bytes_min.store(bytes, Ordering::Relaxed);
    }
    /// A row's plain bytes by its key, for tests of damage.
    #[doc(hidden)]
    pub fn raw_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = Key::parse(key).ok_or(StoreError::Impossible("no key"))?;
        self.rows().get(&key)
    }
    /// Puts or deletes a row whatever the invariants say, for tests of damage: by a commit, or in the index alone.
    #[doc(hidden)]
    pub async fn plant_row(&self, key: &[u8], value: Option<Vec<u8>>, in_log: bool) -> Result<()> {
        let key = Key::parse(key).ok_or(StoreError::Impossible("no key"))?;
        if in_log {
            self.commit(move |txn| {
                txn.own.rows.insert(key, value.map(Bytes::from));
                Ok(())
            })
            .await?;
            return Ok(());
        }
        let engine = self.engine();
        let applied = engine.progress.lock().applied;
        // A row number that no batch has.
        let nonce = crate::rows::row_nonce(applied.segment, applied.offset, u32::MAX - 1);
        let sealed = value.map(|value| engine.rows.seal(nonce, &key, &value));
        engine.rows.index().apply(vec![(key, sealed)]).map_err(|error| engine.rows.fail(&error))
    }
    /// Operations that wait for the committer.
    #[doc(hidden)]
    pub fn waiting_operations(&self) -> usize {
        self.engine().queue.len()
    }
}

/// What a start takes up.
struct Recovered {
    rows: RowStore,
    replayed: Replayed,
    audit: AuditLog,
    note: Option<String>,
    rounds: Rounds,
    log_bytes: u64,
}

/// Opens the index and brings it up to the log's end; makes it again when it is of no use or when that is wanted.
fn recover(
    options: &StoreOptions,
    keys: &Arc<StoreKeys>,
    rebuild: Option<&RebuildProgress>,
) -> std::result::Result<Recovered, OpenError> {
    let take_up = |rows: RowStore, replayed: Replayed| -> std::result::Result<Recovered, OpenError> {
        let audit = AuditLog::load(&rows, Arc::clone(&keys.signer), keys.site.clone());
        let (audit, note) = audit.map_err(|error| OpenError::Damaged(error.to_string()))?;
        let (rounds, log_bytes) = Rounds::load(&options.env, &options.dir.join("segments"), &rows)?;
        Ok(Recovered { rows, replayed, audit, note, rounds, log_bytes })
    };
    let unwatched = RebuildProgress::default();
    if rebuild.is_none()
        && let Some((rows, replayed)) = bring_up(options, keys, false, &unwatched)?
    {
        match take_up(rows, replayed) {
            Err(OpenError::Damaged(what)) => {
                tracing::error!(what, "the index lacks what a start needs; it is made again from the log");
            }
            other => return other,
        }
    }
    let made = bring_up(options, keys, true, rebuild.unwrap_or(&unwatched))?;
    let (rows, replayed) = made.ok_or_else(|| OpenError::Index(String::from("a new index failed")))?;
    take_up(rows, replayed)
}

/// Opens the index and brings it up to the log's end; `None` when the index is of no use.
fn bring_up(
    options: &StoreOptions,
    keys: &Arc<StoreKeys>,
    fresh: bool,
    progress: &RebuildProgress,
) -> std::result::Result<Option<(RowStore, Replayed)>, OpenError> {
    let segments = options.dir.join("segments");
    let bases = rebuild_bases(&options.env, &segments, keys)?;
    let mut first = None;
    for base in bases {
        let index = open_index(&options.env, &options.dir, options.index, options.index_cache_bytes, fresh)?;
        let rows = RowStore::new(Arc::clone(&index), Arc::clone(keys));
        let replayed = match replay(&options.env, &segments, keys, &rows, (base, progress)) {
            Ok(replayed) => replayed,
            Err(ReplayError::Index) => return Ok(None),
            Err(ReplayError::Cancelled) => return Err(OpenError::Index(String::from("broken off"))),
            Err(ReplayError::Io(error)) => return Err(OpenError::Io(error)),
        };
        // Its rows open, or the index is another store's or damaged.
        if rows.load::<Globals>(&keys::globals()).is_err() {
            return Ok(None);
        }
        let recorded = replayed.found == Some(replayed.applied)
            || index.flush().and_then(|()| record_position(&rows, &*index, &replayed.applied)).is_ok();
        if !recorded {
            return Ok(None);
        }
        // Made from a damaged snapshot: an older one may be whole. Other damage is the same from wherever one begins.
        if replayed.from.is_none() || !replayed.has_hole() {
            return Ok(Some((rows, replayed)));
        }
        if !fresh {
            return Ok(None);
        }
        first.get_or_insert((rows, replayed));
    }
    Ok(first)
}
