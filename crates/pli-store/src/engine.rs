//! The open store behind its handles: what readers and the committer share.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pli_crypto::{
    Aad, AccountKeyBlob, Epoch, EpochBlob, EpochPublic, KeyStore, KeyWrap, MessageKey, SENDER_MS_MAX, Sender,
};
use pli_io::{DiskFile, Env, OpenMode};
use pli_types::{AccountId, BodyId, UnixMillis};
use tokio::sync::watch;

use crate::audit::LogKeys;
use crate::body::{BodyPlace, Compressors, Decompressors};
use crate::error::{Damaged, StoreError};
use crate::keys::StoreKeys;
use crate::limits::{CLOCK_JUMP_MS, DELIVERY_KEYS_MAX, INDEX_BYTES_MIN, OPEN_SEGMENTS_MAX, RETENTION_MS};
use crate::log::segment::{segment_bytes, segment_path};
use crate::log::writer::Position;
use crate::many::ReadHelpers;
use crate::moment::Moments;
use crate::open::record_position;
use crate::queue::CommitQueue;
use crate::rebuild::Rebuilds;
use crate::rows::directory::Blob;
use crate::rows::mail::{BodyRow, Globals};
use crate::rows::{RowStore, decode, keys};
use crate::salvage::{DamagedMessages, SummariesAgain};
use crate::search::SearchCache;
use crate::sharing::SharingCache;
use crate::store::IndexEngine;
use crate::views::Views;
use crate::watches::Watches;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Counts since start.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

/// How far the index is, and how far it is on disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) applied: Position,
    /// Log bytes applied since the last flush.
    pub(crate) unflushed: u64,
}

/// Newest public keys of accounts that receive mail, and what was agreed with them in the last minute.
#[derive(Default)]
struct DeliveryKeys {
    keys: HashMap<AccountId, EpochPublic>,
    order: VecDeque<AccountId>,
    senders: HashMap<AccountId, Sender>,
    /// In the order in which they were made, with the time.
    made: VecDeque<(UnixMillis, AccountId)>,
}

/// The shared state.
pub(crate) struct Engine {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    pub(crate) engine: IndexEngine,
    pub(crate) index_cache_bytes: u64,
    pub(crate) keystore: Arc<dyn KeyStore>,
    pub(crate) keys: Arc<StoreKeys>,
    pub(crate) rows: RowStore,
    /// Held for writing while a group's rows are applied and its views patched; for reading while several rows are
    /// read that must fit each other.
    pub(crate) apply: RwLock<()>,
    pub(crate) views: Views,
    pub(crate) watches: Watches,
    pub(crate) queue: CommitQueue,
    pub(crate) compressors: Compressors,
    pub(crate) decompressors: Decompressors,
    pub(crate) read_helpers: ReadHelpers,
    pub(crate) log_keys: LogKeys,
    /// Held by the one change of keys that goes on.
    pub(crate) rotation: tokio::sync::Mutex<()>,
    pub(crate) counts: Counts,
    pub(crate) progress: Mutex<Progress>,
    /// Number of audit entries and the newest checkpoint.
    pub(crate) audit_head: Mutex<(u64, Option<String>)>,
    pub(crate) queue_changed: watch::Sender<u64>,
    pub(crate) queue_news: Mutex<crate::model_queue::QueueNews>,
    /// Why no more commits are taken.
    pub(crate) stopped: Mutex<Option<String>>,
    pub(crate) open_number: u32,
    pub(crate) next_body: AtomicU32,
    /// The last account id given out.
    last_account: Mutex<u64>,
    /// A segment that is longer takes no further group.
    /// Said by a test; else 0, and the log's size decides.
    pub(crate) segment_bytes_max: AtomicU64,
    /// A smaller index is not made again for its size.
    pub(crate) index_bytes_min: AtomicU64,
    /// Bytes of all segments.
    pub(crate) log_bytes: AtomicU64,
    /// How many times a snapshot round was asked for.
    pub(crate) snapshots_asked: AtomicU64,
    /// How many of these have been answered by a round that began later.
    pub(crate) snapshots_served: watch::Sender<u64>,
    /// The segment being written is to end with the next group.
    pub(crate) roll_wanted: AtomicBool,
    /// Segment of the position that the index on disk goes on from.
    pub(crate) flushed_segment: AtomicU32,
    /// Held while the index is flushed.
    pub(crate) flush: Mutex<()>,
    /// Held by a compaction.
    pub(crate) compacting: tokio::sync::Mutex<()>,
    /// Both clocks at the start.
    started: (UnixMillis, Duration),
    /// How long the past stays within reach, in milliseconds.
    pub(crate) retention_ms: AtomicU64,
    /// Moments of the past that are in use or were lately.
    pub(crate) moments: Moments,
    /// The index being made again.
    pub(crate) rebuilds: Rebuilds,
    /// Held by the one verification or repair that runs.
    pub(crate) verifying: Mutex<()>,
    /// Messages that were found not to open.
    pub(crate) damaged: DamagedMessages,
    pub(crate) summaries_again: SummariesAgain,
    pub(crate) search: SearchCache,
    pub(crate) sharing: SharingCache,
    /// Mailboxes that an account may have.
    pub(crate) mailboxes_max: AtomicU32,
    delivery: Mutex<DeliveryKeys>,
    files: Mutex<HashMap<u32, Arc<dyn DiskFile>>>,
}

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    pub(crate) engine: IndexEngine,
    pub(crate) index_cache_bytes: u64,
    pub(crate) keystore: Arc<dyn KeyStore>,
    pub(crate) keys: Arc<StoreKeys>,
    pub(crate) rows: RowStore,
    pub(crate) open_number: u32,
    pub(crate) applied: Position,
    pub(crate) log_bytes: u64,
    pub(crate) audit_head: (u64, Option<String>),
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let started = (parts.env.clock.now(), parts.env.clock.monotonic());
        let is_memory = parts.engine == IndexEngine::Memory;
        let flushed = if is_memory { u32::MAX } else { parts.applied.segment };
        Self {
            env: parts.env,
            dir: parts.dir,
            engine: parts.engine,
            index_cache_bytes: parts.index_cache_bytes,
            keystore: parts.keystore,
            keys: parts.keys,
            rows: parts.rows,
            apply: RwLock::new(()),
            views: Views::default(),
            watches: Watches::default(),
            queue: CommitQueue::new(),
            compressors: Compressors::default(),
            decompressors: Decompressors::default(),
            read_helpers: ReadHelpers::default(),
            log_keys: LogKeys::default(),
            rotation: tokio::sync::Mutex::new(()),
            counts: Counts::default(),
            progress: Mutex::new(Progress { applied: parts.applied, unflushed: 0 }),
            audit_head: Mutex::new(parts.audit_head),
            queue_changed: watch::Sender::new(0),
            queue_news: Mutex::new(crate::model_queue::QueueNews { ids: Vec::new(), all: true }),
            stopped: Mutex::new(None),
            open_number: parts.open_number,
            next_body: AtomicU32::new(0),
            last_account: Mutex::new(0),
            segment_bytes_max: AtomicU64::new(0),
            log_bytes: AtomicU64::new(parts.log_bytes),
            index_bytes_min: AtomicU64::new(INDEX_BYTES_MIN),
            snapshots_asked: AtomicU64::new(0),
            snapshots_served: watch::Sender::new(0),
            roll_wanted: AtomicBool::new(false),
            flushed_segment: AtomicU32::new(flushed),
            flush: Mutex::new(()),
            compacting: tokio::sync::Mutex::new(()),
            started,
            retention_ms: AtomicU64::new(RETENTION_MS),
            moments: Moments::default(),
            rebuilds: Rebuilds::default(),
            verifying: Mutex::new(()),
            damaged: DamagedMessages::default(),
            summaries_again: SummariesAgain::default(),
            search: SearchCache::default(),
            sharing: SharingCache::default(),
            mailboxes_max: AtomicU32::new(crate::limits::MAILBOXES_MAX),
            delivery: Mutex::new(DeliveryKeys::default()),
            files: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.env.clock.now()
    }
    pub(crate) fn segments_dir(&self) -> PathBuf {
        self.dir.join("segments")
    }

    /// A body id that no other open of the store gives out: the number of the segment that this open may begin with,
    /// then a counter.
    pub(crate) fn new_body(&self) -> Result<BodyId> {
        let counter = self.next_body.fetch_add(1, Ordering::Relaxed);
        if counter == u32::MAX {
            return Err(StoreError::Limit("bodies of one run"));
        }
        Ok(BodyId::new(u64::from(self.open_number) << 32 | u64::from(counter)))
    }

    /// An account id that nobody has had, for keys that are bound to it before the account is made. It is on disk with
    /// the account; one that comes to nothing is given out again after the next start.
    pub(crate) fn new_account(&self) -> Result<AccountId> {
        let known = self.rows.load::<Globals>(&keys::globals())?.unwrap_or_default().next_account;
        let mut last = self.last_account.lock();
        *last = (*last).max(known).saturating_add(1);
        Ok(AccountId::new(*last))
    }

    /// A segment's file for reading.
    pub(crate) fn segment_file(&self, number: u32) -> Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.files.lock().get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.env.disk.open(&segment_path(&self.segments_dir(), number), OpenMode::Read)?;
        let mut files = self.files.lock();
        if files.len() >= OPEN_SEGMENTS_MAX {
            files.clear();
        }
        files.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// Bytes of a segment's file that are log: all, but for the zeros ahead of the log's end.
    pub(crate) fn segment_length(&self, number: u32) -> Result<u64> {
        let now = self.progress.lock().applied;
        if number == now.segment { Ok(now.offset) } else { Ok(self.segment_file(number)?.len()?) }
    }

    /// How long the segment that is written may become.
    pub(crate) fn segment_bytes(&self) -> u64 {
        match self.segment_bytes_max.load(Ordering::Relaxed) {
            0 => segment_bytes(self.log_bytes.load(Ordering::Relaxed)),
            said => said,
        }
    }

    /// A body's row and the file that it stands in. A compaction may have moved it since its row was read.
    pub(crate) fn body_file(&self, id: BodyId, row: BodyRow) -> Result<(BodyRow, Arc<dyn DiskFile>)> {
        match self.segment_file(row.segment) {
            Ok(file) => Ok((row, file)),
            Err(StoreError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                let again: Option<BodyRow> = self.rows.load(&keys::body(id))?;
                let again = again.filter(|again| again.segment != row.segment);
                let row = again.ok_or(StoreError::Damaged(Damaged::Row("body")))?;
                let file = self.segment_file(row.segment)?;
                Ok((row, file))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the index durable as far as it is now, and records how far that is. A failure makes it anew.
    pub(crate) fn flush_index(&self) {
        if self.engine == IndexEngine::Memory {
            return;
        }
        // The position recorded last must be the newest.
        let _one = self.flush.lock();
        let applied = self.progress.lock().applied;
        let index = self.rows.index();
        match index.flush().and_then(|()| record_position(&self.rows, &*index, &applied)) {
            Ok(()) => self.flushed_segment.store(applied.segment, Ordering::Release),
            Err(error) => drop(self.rows.fail(&error)),
        }
    }

    /// Lets go of a segment's file.
    pub(crate) fn forget_segment(&self, number: u32) {
        self.files.lock().remove(&number);
    }

    /// Whether the wall clock has run ahead of the monotonic one since the start: then no retention window ends.
    pub(crate) fn clock_jumped(&self) -> bool {
        let (wall, monotonic) = self.started;
        let passed = self.env.clock.monotonic().saturating_sub(monotonic);
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        self.now().0.saturating_sub(wall.0).saturating_sub(passed) > CLOCK_JUMP_MS
    }

    pub(crate) fn body_place<'a>(&'a self, file: &'a dyn DiskFile) -> BodyPlace<'a> {
        BodyPlace { store: self.keys.id, decompressors: &self.decompressors, file }
    }

    pub(crate) fn account_aad(&self, account: AccountId) -> Aad {
        Aad::for_account(self.keys.id, account)
    }
    pub(crate) fn account_key(&self, account: AccountId) -> Result<AccountKeyBlob> {
        let blob: Blob = self.rows.load(&keys::account_key(account))?.ok_or(StoreError::NoAccount(account))?;
        Ok(AccountKeyBlob::decode(&blob.0)?)
    }
    pub(crate) fn epoch_blob(&self, account: AccountId, epoch: Epoch) -> Result<Option<EpochBlob>> {
        let blob: Option<Blob> = self.rows.load(&keys::epoch(account, epoch.0))?;
        blob.map(|blob| EpochBlob::decode(&blob.0).map_err(StoreError::from)).transpose()
    }
    /// The account's public key for new mail: of the present epoch, or of the newest before it (delivery makes no keys).
    pub(crate) fn delivery_key(&self, account: AccountId, now: UnixMillis) -> Result<EpochPublic> {
        let present = Epoch::at(now);
        if let Some(key) = self.delivery.lock().keys.get(&account)
            && key.epoch() == present
        {
            return Ok(*key);
        }
        let public = {
            // Both rows of one moment: a rotation changes them together.
            let _applying = self.apply.read();
            let mut newest = None;
            self.rows.scan(&keys::epochs(account), None, |key, bytes| {
                if newest.is_none() || Epoch(key.number32(9)) <= present {
                    newest = Some(decode::<Blob>(&bytes)?);
                }
                Ok(crate::index::Next::More)
            })?;
            let blob = EpochBlob::decode(&newest.ok_or(StoreError::NoAccount(account))?.0)?;
            blob.public(&self.account_key(account)?, &self.account_aad(account))?
        };
        let mut cache = self.delivery.lock();
        if cache.keys.insert(account, public).is_none() {
            cache.order.push_back(account);
        }
        while cache.order.len() > DELIVERY_KEYS_MAX {
            if let Some(oldest) = cache.order.pop_front() {
                cache.keys.remove(&oldest);
            }
        }
        Ok(public)
    }
    /// Seals a message's key to the account, by the agreement of this minute.
    pub(crate) fn seal_for(
        &self,
        account: AccountId,
        now: UnixMillis,
        key: &MessageKey,
        aad: &[u8],
    ) -> Result<KeyWrap> {
        let public = self.delivery_key(account, now)?;
        {
            let mut cache = self.delivery.lock();
            let sender = cache.senders.get_mut(&account).filter(|sender| sender.epoch() == public.epoch());
            if let Some(wrap) = sender.and_then(|sender| sender.seal(now, key, aad)) {
                return Ok(wrap);
            }
        }
        // Outside the lock: a curve operation holds nobody up.
        let mut sender = public.sender(now)?;
        let wrap = sender.seal(now, key, aad).ok_or(StoreError::Impossible("a new agreement is over"))?;
        self.forget_senders(now);
        let mut cache = self.delivery.lock();
        if cache.senders.len() < DELIVERY_KEYS_MAX {
            cache.senders.insert(account, sender);
            cache.made.push_back((now, account));
        }
        Ok(wrap)
    }
    /// Drops agreements whose minute is over: what they sealed is from then on for its account alone.
    pub(crate) fn forget_senders(&self, now: UnixMillis) {
        let mut cache = self.delivery.lock();
        while let Some((made, account)) = cache.made.front().copied() {
            if (0..SENDER_MS_MAX).contains(&now.0.saturating_sub(made.0)) {
                break;
            }
            cache.made.pop_front();
            if cache.senders.get(&account).is_some_and(|sender| sender.is_over(now)) {
                cache.senders.remove(&account);
            }
        }
    }
    pub(crate) fn forget_delivery_key(&self, account: AccountId) {
        let mut cache = self.delivery.lock();
        cache.keys.remove(&account);
        cache.senders.remove(&account);
        cache.order.retain(|known| *known != account);
    }

    pub(crate) fn stop(&self, reason: String) -> StoreError {
        tracing::error!(%reason, "the store takes no more changes");
        let mut stopped = self.stopped.lock();
        let reason = stopped.get_or_insert(reason).clone();
        StoreError::Stopped(reason)
    }
    pub(crate) fn stop_reason(&self) -> Option<StoreError> {
        self.stopped.lock().clone().map(StoreError::Stopped)
    }
}
