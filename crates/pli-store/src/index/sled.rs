//! sled behind its wall: errors and panics end here, and mean that the index is made again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Index, IndexError, Next};
use crate::rows::Key;

/// sled 0.34. It is never the only place of anything, and is flushed in the background only.
pub(crate) struct SledIndex(::sled::Db);

/// Calls sled; a panic inside becomes an error. sled keeps no invariant of ours, so nothing is left half-done here.
fn wall<T>(what: &'static str, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError::Failed(format!("{what}: {error}"))),
        Err(_) => Err(IndexError::Panicked(what)),
    }
}

impl SledIndex {
    /// Opens or makes it.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        wall("open", || {
            ::sled::Config::new()
                .path(dir)
                .cache_capacity(cache_bytes)
                .mode(::sled::Mode::HighThroughput)
                .flush_every_ms(None)
                .open()
        })
        .map(Self)
    }
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        wall("get", || self.0.get(key)).map(|found| found.map(|value| value.to_vec()))
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError> {
        if from >= to {
            return Ok(());
        }
        // The visitor runs outside the wall: a panic of ours is not sled's.
        let mut rows = wall("scan", || Ok(self.0.range(from..to)))?;
        loop {
            match wall("scan", || rows.next().transpose())? {
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
        wall("apply", || {
            let mut batch = ::sled::Batch::default();
            for (key, value) in changes {
                match value {
                    Some(value) => batch.insert(&*key, value),
                    None => batch.remove(&*key),
                }
            }
            self.0.apply_batch(batch)
        })
    }
    fn flush(&self) -> Result<(), IndexError> {
        wall("flush", || self.0.flush()).map(|_| ())
    }
    fn size_bytes(&self) -> u64 {
        wall("size", || self.0.size_on_disk()).unwrap_or(0)
    }
    fn name(&self) -> &'static str {
        "sled"
    }
}

impl Drop for SledIndex {
    fn drop(&mut self) {
        // What is lost here is applied again from the log.
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the index did not flush at its end");
        }
    }
}
