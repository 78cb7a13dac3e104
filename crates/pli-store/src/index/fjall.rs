//! fjall behind its wall: a log-structured tree, for large stores.

use std::path::Path;
use std::time::Duration;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::wall::Wall;
use super::{Index, IndexError, Next};
use crate::rows::Key;
use crate::store::IndexEngine;

/// The one keyspace: one order of rows, one tree.
const KEYSPACE: &str = "rows";
/// Threads that write tables and merge them.
const WORKERS: usize = 2;
/// Rows in memory before they become a table.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Journals on disk before the tables behind them are written; the least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Table files kept open.
const OPEN_TABLES: usize = 128;
/// Tables in memory that wait for a worker. From four on fjall waits inside the call for as long as it takes, and if its
/// workers have died that is for ever; so the waiting is done here.
const WAITING_TABLES_MAX: usize = 2;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// fjall 3. It has a journal of its own, which is synced by `flush` only.
pub(crate) struct FjallIndex {
    wall: Wall,
    open: Option<Open>,
}

struct Open {
    db: Database,
    rows: Keyspace,
}

impl FjallIndex {
    /// Opens or makes it.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let wall = Wall::default();
        let open = wall.call("open", || {
            let db = Database::builder(dir)
                .cache_size(cache_bytes)
                .worker_threads(WORKERS)
                .max_cached_files(Some(OPEN_TABLES))
                .max_journaling_size(JOURNAL_BYTES)
                .manual_journal_persist(true)
                .open()?;
            let rows = db.keyspace(KEYSPACE, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
            Ok::<_, ::fjall::Error>(Open { db, rows })
        })?;
        Ok(Self { wall, open: Some(open) })
    }
    fn call<T>(&self, what: &'static str, call: impl FnOnce(&Open) -> ::fjall::Result<T>) -> Result<T, IndexError> {
        let open = self.open.as_ref().ok_or(IndexError::Failed(String::from("ended")))?;
        self.wall.call(what, || call(open))
    }

    /// Waits until the workers have caught up.
    fn wait(&self) -> Result<(), IndexError> {
        let mut waited = Duration::ZERO;
        while self.call("apply", |open| Ok(open.rows.sealed_memtable_count()))? > WAITING_TABLES_MAX {
            if waited >= PATIENCE {
                return self.wall.call("apply", || Err("its workers do not come to an end"));
            }
            // Says whether a worker has died.
            self.call("apply", |open| open.db.persist(PersistMode::Buffer))?;
            std::thread::sleep(PAUSE);
            waited = waited.saturating_add(PAUSE);
        }
        Ok(())
    }
}

impl Index for FjallIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.call("get", |open| open.rows.get(key)).map(|found| found.map(|value| value.to_vec()))
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError> {
        if from >= to {
            return Ok(());
        }
        // The visitor runs outside the wall: a panic of ours is not fjall's.
        let mut rows = self.call("scan", |open| Ok(open.rows.range(from..to)))?;
        loop {
            match self.wall.call("scan", || rows.next().map(::fjall::Guard::into_inner).transpose())? {
                Some((key, value)) => {
                    if visit(&key, &value) == Next::Stop {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
    }
    fn apply(&self, changes: Vec<(Key, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        self.wait()?;
        self.call("apply", |open| {
            let mut batch = open.db.batch();
            for (key, value) in changes {
                match value {
                    Some(value) => batch.insert(&open.rows, &*key, value),
                    None => batch.remove(&open.rows, &*key),
                }
            }
            batch.commit()
        })
    }
    fn flush(&self) -> Result<(), IndexError> {
        self.call("flush", |open| open.db.persist(PersistMode::SyncAll))
    }
    fn size_bytes(&self) -> u64 {
        self.call("size", |open| open.db.disk_space()).unwrap_or(0)
    }
    fn engine(&self) -> IndexEngine {
        IndexEngine::Fjall
    }
}

impl Drop for FjallIndex {
    fn drop(&mut self) {
        self.wall.end(self.open.take(), |open| match open {
            Some(open) => self.wall.call("flush", || open.db.persist(PersistMode::SyncAll)),
            None => Ok(()),
        });
    }
}
