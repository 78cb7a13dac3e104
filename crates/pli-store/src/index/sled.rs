//! sled behind its wall.

use std::path::Path;

use super::wall::Wall;
use super::{Index, IndexError, Next};
use crate::rows::Key;
use crate::store::IndexEngine;

/// sled 0.34. It is never the only place of anything, and is flushed in the background only.
pub(crate) struct SledIndex {
    wall: Wall,
    db: Option<::sled::Db>,
}

impl SledIndex {
    /// Opens or makes it.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let wall = Wall::default();
        let db = wall.call("open", || {
            ::sled::Config::new()
                .path(dir)
                .cache_capacity(cache_bytes)
                .mode(::sled::Mode::HighThroughput)
                .flush_every_ms(None)
                .open()
        })?;
        Ok(Self { wall, db: Some(db) })
    }
    fn call<T>(
        &self,
        what: &'static str,
        call: impl FnOnce(&::sled::Db) -> ::sled::Result<T>,
    ) -> Result<T, IndexError> {
        let db = self.db.as_ref().ok_or(IndexError::Failed(String::from("ended")))?;
        self.wall.call(what, || call(db))
    }
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.call("get", |db| db.get(key)).map(|found| found.map(|value| value.to_vec()))
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError> {
        if from >= to {
            return Ok(());
        }
        // The visitor runs outside the wall: a panic of ours is not sled's.
        let mut rows = self.call("scan", |db| Ok(db.range(from..to)))?;
        loop {
            match self.wall.call("scan", || rows.next().transpose())? {
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
        self.call("apply", |db| {
            let mut batch = ::sled::Batch::default();
            for (key, value) in changes {
                match value {
                    Some(value) => batch.insert(&*key, value),
                    None => batch.remove(&*key),
                }
            }
            db.apply_batch(batch)
        })
    }
    fn flush(&self) -> Result<(), IndexError> {
        self.call("flush", |db| db.flush()).map(|_| ())
    }
    fn size_bytes(&self) -> u64 {
        self.call("size", |db| db.size_on_disk()).unwrap_or(0)
    }
    fn engine(&self) -> IndexEngine {
        IndexEngine::Sled
    }
}

impl Drop for SledIndex {
    fn drop(&mut self) {
        self.wall.end(self.db.take(), |db| match db {
            Some(db) => self.wall.call("flush", || db.flush()).map(|_| ()),
            None => Ok(()),
        });
    }
}
