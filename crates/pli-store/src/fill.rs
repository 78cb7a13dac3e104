//! Filling an index from the log: what replay reads is gathered, of each row its last value is kept, and a second thread
//! applies it in large batches in the order of keys.
//!
//! A mailbox's row changes with each delivery, its blocks of entries too: of the rows in a log most are replaced by later
//! ones soon. And a tree is fastest when keys come in their order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use pli_crypto::NONCE_BYTES;

use crate::index::{Index, IndexError, Next};
use crate::limits::{FILL_BATCH_ROWS, FILL_WINDOW_BYTES};
use crate::log::batch::RowChange;
use crate::log::snapshot::{SnapshotHead, SnapshotRow};
use crate::open::ReplayError;
use crate::rebuild::RebuildProgress;
use crate::rows::{Key, RowStore, Table, row_nonce};

type Result<T, E = ReplayError> = std::result::Result<T, E>;
/// Rows on their way to the index, sealed.
type Changes = Vec<(Key, Option<Vec<u8>>)>;

/// What weighs a row besides its bytes.
const ROW_OVERHEAD: usize = 128;

/// A row's last value, and the nonce that its place in the log gives it.
struct Last {
    nonce: [u8; NONCE_BYTES],
    value: Option<Box<[u8]>>,
}

/// Between the thread that reads the log and the one that changes the index.
pub(crate) struct Filler<'a> {
    rows: &'a RowStore,
    window: BTreeMap<Key, Last>,
    bytes: usize,
    to_apply: SyncSender<Job>,
    failed: &'a AtomicBool,
    progress: &'a RebuildProgress,
}

enum Job {
    Apply(Changes),
    /// Tells when everything before it has been applied.
    Settle(SyncSender<()>),
}

/// Runs `read`, which gives the filler what it finds in the log; returns once all of it is in the index.
pub(crate) fn fill<T>(
    rows: &RowStore,
    progress: &RebuildProgress,
    read: impl FnOnce(&mut Filler<'_>) -> Result<T>,
) -> Result<T> {
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One window is applied while the next one is gathered.
        let (to_apply, jobs) = sync_channel(1);
        let index = rows.index();
        let flag = &failed;
        let applying = std::thread::Builder::new()
            .name(String::from("index-fill"))
            .spawn_scoped(scope, move || apply_all(&*index, &jobs, flag))?;
        let mut filler = Filler { rows, window: BTreeMap::new(), bytes: 0, to_apply, failed: flag, progress };
        let done = read(&mut filler).and_then(|done| filler.push().map(|()| done));
        drop(filler);
        if applying.join().is_err() || failed.load(Ordering::Acquire) {
            return Err(ReplayError::Index);
        }
        done
    })
}

fn apply_all(index: &dyn Index, jobs: &Receiver<Job>, failed: &AtomicBool) {
    for job in jobs {
        match job {
            Job::Apply(changes) => {
                let mut changes = changes.into_iter();
                loop {
                    let batch: Changes = changes.by_ref().take(FILL_BATCH_ROWS).collect();
                    if batch.is_empty() {
                        break;
                    }
                    if let Err(error) = index.apply(batch) {
                        tracing::error!(%error, "the index failed while it was filled");
                        failed.store(true, Ordering::Release);
                        return;
                    }
                }
            }
            Job::Settle(done) => {
                let _ = done.send(());
            }
        }
    }
}

impl Filler<'_> {
    /// So many bytes of the log have been read.
    pub(crate) fn saw(&self, bytes: u64) -> Result<()> {
        self.progress.saw(bytes);
        if self.progress.is_cancelled() { Err(ReplayError::Cancelled) } else { Ok(()) }
    }
    /// So many are to be read.
    pub(crate) fn expect(&self, bytes: u64) {
        self.progress.expect(bytes);
    }

    /// The rows of a batch frame.
    pub(crate) fn batch(&mut self, (segment, offset): (u32, u64), changes: Vec<RowChange<'_>>) -> Result<()> {
        self.progress.applied();
        for ((key, value), number) in changes.into_iter().zip(0_u32..) {
            self.put(key, row_nonce(segment, offset, number), value);
        }
        if self.bytes >= FILL_WINDOW_BYTES { self.push() } else { Ok(()) }
    }

    /// A snapshot frame: its rows replace whatever its range has.
    pub(crate) fn snapshot(
        &mut self,
        (segment, offset): (u32, u64),
        head: &SnapshotHead,
        found: Vec<SnapshotRow<'_>>,
    ) -> Result<()> {
        self.progress.applied();
        // What the range has in the index can only be told when nothing is on its way there.
        self.settle()?;
        let end: &[u8] = if head.to.is_empty() { &[u8::MAX] } else { &head.to };
        if *head.from >= *end {
            return Ok(());
        }
        for (_, last) in self.window.range_mut(Key::bound(&head.from)..Key::bound(end)) {
            let freed = last.value.take().map_or(0, |value| value.len());
            self.bytes = self.bytes.saturating_sub(freed);
        }
        let window = &mut self.window;
        let listed = self.rows.index().scan(&head.from, end, &mut |key, _| {
            if let Some(key) = Key::parse(key).filter(|key| key.table() != Some(Table::Position)) {
                window.entry(key).or_insert(Last { nonce: [0; NONCE_BYTES], value: None });
            }
            Next::More
        });
        listed.map_err(|error| failed(&error))?;
        for ((key, value), number) in found.into_iter().zip(0_u32..) {
            self.put(key, row_nonce(segment, offset, number), Some(value));
        }
        if self.bytes >= FILL_WINDOW_BYTES { self.push() } else { Ok(()) }
    }

    fn put(&mut self, key: Key, nonce: [u8; NONCE_BYTES], value: Option<&[u8]>) {
        let size = value.map_or(0, <[u8]>::len).saturating_add(ROW_OVERHEAD);
        let before = self.window.insert(key, Last { nonce, value: value.map(Box::from) });
        let freed = before.map_or(0, |last| last.value.map_or(0, |value| value.len()).saturating_add(ROW_OVERHEAD));
        self.bytes = self.bytes.saturating_add(size).saturating_sub(freed);
    }

    /// Seals what has been gathered and hands it over.
    fn push(&mut self) -> Result<()> {
        self.bytes = 0;
        let window = std::mem::take(&mut self.window);
        if window.is_empty() {
            return Ok(());
        }
        let seal = |(key, last): (Key, Last)| (key, last.value.map(|value| self.rows.seal(last.nonce, &key, &value)));
        self.send(Job::Apply(window.into_iter().map(seal).collect()))
    }
    fn settle(&self) -> Result<()> {
        let (done, settled) = sync_channel(1);
        self.send(Job::Settle(done))?;
        settled.recv().map_err(|_| ReplayError::Index)
    }
    fn send(&self, job: Job) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(ReplayError::Index);
        }
        self.to_apply.send(job).map_err(|_| ReplayError::Index)
    }
}

fn failed(error: &IndexError) -> ReplayError {
    tracing::error!(%error, "the index failed during replay");
    ReplayError::Index
}
