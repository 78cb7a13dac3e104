//! Making the index again from the log: at a start, when it failed, or because somebody asked.
//!
//! One that failed is of no use: until the new one is whole, reads answer `Rebuilding`, and so do operations after a short
//! wait. One that is whole goes on serving while another is filled beside it; the committer brings the new one up to the
//! log's end and changes over between two groups.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pli_audit::Event;
use pli_io::Env;
use pli_types::{Action, SessionId, SessionInfo, UnixMillis};

use crate::engine::Engine;
use crate::error::StoreError;
use crate::index::Index;
use crate::index::faulty::{FaultyIndex, IndexFault};
use crate::index::generation::{open_beside, open_index, remove_older};
use crate::keys::StoreKeys;
use crate::limits::{INDEX_TIMES_MAX, REBUILD_ROUNDS_MAX, REBUILD_WAIT_MS};
use crate::log::writer::Position;
use crate::model::RebuildStatus;
use crate::open::{Reach, ReplayError, Replayed, rebuild_bases, record_position, replay_to};
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::log::RoundRow;
use crate::rows::{Key, RowStore, Table};
use crate::store::{IndexEngine, Store};

/// Why an index is made again that had become too large.
const GROWN: &str = "it had grown";

/// How far a replay is, and whether it is to be broken off.
#[derive(Clone, Debug, Default)]
pub struct RebuildProgress(Arc<Watch>);

#[derive(Debug, Default)]
struct Watch {
    done: AtomicU64,
    total: AtomicU64,
    frames: AtomicU64,
    cancelled: AtomicBool,
}

impl RebuildProgress {
    /// Bytes of the log that have been read, and how many there are to read; 0 before that is known.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let total = self.0.total.load(Ordering::Relaxed);
        (self.0.done.load(Ordering::Relaxed).min(total), total)
    }
    /// Frames that have been applied.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }
    /// Breaks it off; what is there stays as it is.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }
    pub(crate) fn expect(&self, bytes: u64) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.frames.store(0, Ordering::Relaxed);
        self.0.total.store(bytes, Ordering::Relaxed);
    }
    pub(crate) fn saw(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
    pub(crate) fn applied(&self) {
        self.0.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is known of rebuilds.
#[derive(Default)]
pub(crate) struct Rebuilds {
    /// Since the start, that of the start included.
    count: AtomicU64,
    state: Mutex<State>,
    /// An index that was filled beside the one in use, for the committer to change over to.
    ready: Mutex<Option<Ready>>,
    asked: Mutex<Option<JoinHandle<()>>>,
    /// A test's.
    fault: Mutex<Option<Arc<IndexFault>>>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    last_error: Option<String>,
    last_frames: u64,
}

struct Running {
    engine: IndexEngine,
    /// Whether the index in use is whole and goes on serving.
    beside: bool,
    progress: RebuildProgress,
}

/// A filled index and how far it is.
pub(crate) struct Ready {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) at: Position,
    pub(crate) adopted: SyncSender<Result<(), StoreError>>,
}

/// An index made from the log.
pub(crate) struct Built {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) replayed: Replayed,
}

impl Rebuilds {
    /// One begins; `None` while another is running.
    pub(crate) fn begin(&self, engine: IndexEngine, beside: bool) -> Option<RebuildProgress> {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return None;
        }
        let progress = RebuildProgress::default();
        state.running = Some(Running { engine, beside, progress: progress.clone() });
        state.last_error = None;
        Some(progress)
    }
    /// It ended.
    pub(crate) fn end(&self, error: Option<&StoreError>) {
        let mut state = self.state.lock();
        if let Some(running) = state.running.take() {
            state.last_frames = running.progress.frames();
        }
        state.last_error = error.map(ToString::to_string);
        if error.is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
    pub(crate) fn count_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn take_ready(&self) -> Option<Ready> {
        self.ready.lock().take()
    }
    /// Ends the one that somebody asked for, and waits until it has ended.
    pub(crate) fn stop(&self) {
        if let Some(running) = &self.state.lock().running
            && running.beside
        {
            running.progress.cancel();
        }
        let asked = self.asked.lock().take();
        if let Some(thread) = asked
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes an index panicked");
        }
    }
    fn status(&self) -> RebuildStatus {
        let state = self.state.lock();
        let mut status =
            RebuildStatus { rebuilds: self.count(), error: state.last_error.clone(), ..Default::default() };
        match &state.running {
            Some(running) => {
                (status.done_bytes, status.total_bytes) = running.progress.bytes();
                status.frames = running.progress.frames();
                status.running = true;
                status.serving = running.beside;
                running.engine.name().clone_into(&mut status.engine);
            }
            None => status.frames = state.last_frames,
        }
        status
    }
}

/// What says where an index comes from and how far it goes.
pub(crate) struct Source<'a> {
    pub(crate) env: &'a Env,
    pub(crate) dir: &'a Path,
    pub(crate) keys: &'a Arc<StoreKeys>,
    pub(crate) cache_bytes: u64,
    pub(crate) until: Position,
    fault: Option<Arc<IndexFault>>,
}

impl<'a> Source<'a> {
    pub(crate) fn of(engine: &'a Engine, until: Position) -> Self {
        let cache_bytes = engine.index_cache_bytes;
        let fault = engine.rebuilds.fault.lock().clone();
        Self { env: &engine.env, dir: &engine.dir, keys: &engine.keys, cache_bytes, until, fault }
    }

    /// Makes an index of an engine, all of it on disk when it returns. `beside`: the one in use stays in use.
    pub(crate) fn build(
        &self,
        engine: IndexEngine,
        beside: bool,
        progress: &RebuildProgress,
    ) -> Result<Built, StoreError> {
        let segments = self.dir.join("segments");
        let mut first = None;
        for base in rebuild_bases(self.env, &segments, self.keys)? {
            let opened = if beside && engine != IndexEngine::Memory {
                open_beside(self.env, self.dir, engine, self.cache_bytes)
            } else {
                open_index(self.env, self.dir, engine, self.cache_bytes, true)
            };
            let mut index = opened.map_err(|error| StoreError::Index(error.to_string()))?;
            if let Some(fault) = self.fault.as_ref().filter(|fault| fault.takes_another()) {
                index = Arc::new(FaultyIndex::new(index, Arc::clone(fault)));
            }
            let rows = RowStore::new(Arc::clone(&index), Arc::clone(self.keys));
            let reach = Reach { from: None, base, until: Some(self.until), progress };
            let replayed = replay_to(self.env, &segments, self.keys, &rows, &reach).map_err(failed)?;
            let whole = !replayed.has_hole();
            if whole || first.is_none() {
                first = Some(Built { index, replayed });
            }
            // Made from a damaged snapshot: an older one may be whole.
            if whole {
                break;
            }
        }
        let built = first.ok_or_else(|| StoreError::Index(String::from("there is no log")))?;
        self.record(&*built.index, &self.until)?;
        Ok(built)
    }

    /// Applies what the log has got since.
    pub(crate) fn catch_up(
        &self,
        index: &Arc<dyn Index>,
        at: Position,
        progress: &RebuildProgress,
    ) -> Result<(), StoreError> {
        if at == self.until {
            return Ok(());
        }
        let rows = RowStore::new(Arc::clone(index), Arc::clone(self.keys));
        let reach = Reach { from: Some(at), base: None, until: Some(self.until), progress };
        replay_to(self.env, &self.dir.join("segments"), self.keys, &rows, &reach).map_err(failed).map(|_| ())
    }

    fn record(&self, index: &dyn Index, position: &Position) -> Result<(), StoreError> {
        let rows = RowStore::new(Arc::new(crate::index::memory::MemoryIndex::default()), Arc::clone(self.keys));
        let recorded = index.flush().and_then(|()| record_position(&rows, index, position));
        recorded.map_err(|error| StoreError::Index(error.to_string()))
    }
}

fn failed(error: ReplayError) -> StoreError {
    match error {
        ReplayError::Io(error) => StoreError::Io(error),
        ReplayError::Index => StoreError::Index(String::from("the new index failed")),
        ReplayError::Cancelled => StoreError::Index(String::from("broken off")),
    }
}

/// The record that an index was made again.
pub(crate) fn event(site: &str, now: UnixMillis, why: &str, frames: u64, damaged: u64) -> Event {
    let session = SessionInfo::system(SessionId(0));
    let mut event = Event::new(site, &session, Action::Operate, now).policy("operate", None);
    event = event.count("frames", frames).count("damaged", damaged);
    event.result.reason = Some(format!("index rebuilt: {why}"));
    event
}

/// Fills an index beside the one in use and has the committer change over to it.
fn beside(engine: &Arc<Engine>, kind: IndexEngine, why: &str, progress: &RebuildProgress) -> Result<(), StoreError> {
    // A compaction removes segments that are being read here.
    let _none = loop {
        match engine.compacting.try_lock() {
            Ok(none) => break none,
            Err(_) if progress.is_cancelled() => return Err(StoreError::Index(String::from("broken off"))),
            Err(_) => std::thread::sleep(Duration::from_millis(REBUILD_WAIT_MS)),
        }
    };
    let mut at = engine.progress.lock().applied;
    tracing::info!(engine = kind.name(), "the index is being made again beside the one in use");
    let built = Source::of(engine, at).build(kind, true, progress)?;
    // What came in meanwhile, until so little is left that the committer can do the rest between two groups.
    for _ in 0..REBUILD_ROUNDS_MAX {
        let now = engine.progress.lock().applied;
        if now == at {
            break;
        }
        let source = Source::of(engine, now);
        source.catch_up(&built.index, at, progress)?;
        source.record(&*built.index, &now)?;
        at = now;
    }
    let (adopted, answer) = sync_channel(1);
    *engine.rebuilds.ready.lock() = Some(Ready { index: built.index, at, adopted });
    engine.queue.nudge();
    loop {
        match answer.recv_timeout(Duration::from_millis(REBUILD_WAIT_MS)) {
            Ok(done) => break done?,
            Err(RecvTimeoutError::Timeout) if !progress.is_cancelled() => {}
            Err(_) => {
                drop(engine.rebuilds.take_ready());
                return Err(StoreError::Index(String::from("broken off")));
            }
        }
    }
    if why == GROWN {
        remove_older(&engine.env, &engine.dir);
    }
    let damaged = built.replayed.damaged.len() as u64;
    engine.queue.note(event(&engine.keys.site, engine.now(), why, progress.frames(), damaged));
    tracing::info!(engine = kind.name(), frames = progress.frames(), "the index has been made again and is in use");
    Ok(())
}

impl Store {
    /// Begins to make the index again from the log, with another engine if one is named, beside the one in use, which
    /// serves meanwhile. [`Self::rebuild_status`] says how far it is.
    pub fn start_rebuild(&self, permit: &Permit, kind: Option<IndexEngine>) -> Result<(), StoreError> {
        allowed(permit, &[Action::Operate], None)?;
        self.begin_rebuild(kind, "asked for")
    }
    /// Makes the index again when it has become much larger than its rows: sled keeps the room of what changed, and gives
    /// it back late or never.
    pub(crate) fn shrink_index(&self) -> Result<(), StoreError> {
        let engine = self.engine();
        let newest = engine.rows.list::<RoundRow>(&Key::new(Table::Round))?.pop();
        let Some((_, round)) = newest else { return Ok(()) };
        let index = engine.rows.index();
        let most = round.bytes.saturating_mul(INDEX_TIMES_MAX).max(engine.index_bytes_min.load(Ordering::Relaxed));
        if index.engine() != IndexEngine::Sled || index.size_bytes() <= most || engine.rebuilds.status().running {
            return Ok(());
        }
        tracing::info!(bytes = index.size_bytes(), rows = round.bytes, "the index holds much more room than rows");
        self.begin_rebuild(None, GROWN)
    }
    fn begin_rebuild(&self, kind: Option<IndexEngine>, why: &'static str) -> Result<(), StoreError> {
        let engine = Arc::clone(self.engine());
        self.condition()?;
        let present = engine.rows.index().engine();
        let kind = kind.unwrap_or(present);
        if (kind == IndexEngine::Memory) != (engine.engine == IndexEngine::Memory) {
            return Err(StoreError::Impossible("from memory to disk or back goes by the configuration, at a start"));
        }
        let mut asked = engine.rebuilds.asked.lock();
        let Some(progress) = engine.rebuilds.begin(kind, true) else {
            return Err(StoreError::Impossible("the index is being made again already"));
        };
        let shared = Arc::clone(&engine);
        let work = move || {
            let done = beside(&shared, kind, why, &progress);
            if let Err(error) = &done {
                tracing::error!(%error, "the index could not be made again; the one in use stays");
            }
            shared.rebuilds.end(done.as_ref().err());
        };
        match std::thread::Builder::new().name(String::from("index-rebuild")).spawn(work) {
            Ok(thread) => {
                *asked = Some(thread);
                Ok(())
            }
            Err(error) => {
                let error = StoreError::Io(error);
                engine.rebuilds.end(Some(&error));
                Err(error)
            }
        }
    }
    /// Lets the index fail.
    #[doc(hidden)]
    pub fn inject_index_fault(&self, fault: Arc<IndexFault>) {
        let engine = self.engine();
        *engine.rebuilds.fault.lock() = Some(Arc::clone(&fault));
        let _applying = engine.apply.write();
        engine.rows.replace_index(Arc::new(FaultyIndex::new(engine.rows.index(), fault)));
    }
    /// How far the index is that is being made again, or how the last one ended.
    #[must_use]
    pub fn rebuild_status(&self) -> RebuildStatus {
        let engine = self.engine();
        let mut status = engine.rebuilds.status();
        if !status.running {
            engine.rows.index().engine().name().clone_into(&mut status.engine);
            status.serving = self.condition().is_ok();
        }
        status
    }
}
