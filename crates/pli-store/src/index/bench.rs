//! An engine by itself and what an index consists of: for benchmarks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::fjall::FjallIndex;
use super::memory::MemoryIndex;
use super::sled::SledIndex;
use super::{Index, Next};
use crate::error::StoreError;
use crate::rows::Key;
use crate::store::{IndexEngine, Store};

/// An engine without a store around it.
#[doc(hidden)]
pub struct IndexBench(Arc<dyn Index>);

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Index(error.to_string())
}

impl IndexBench {
    /// Opens or makes an index in a folder.
    pub fn open(engine: IndexEngine, dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self(match engine {
            IndexEngine::Sled => Arc::new(SledIndex::open(dir, cache_bytes).map_err(failed)?),
            IndexEngine::Fjall => Arc::new(FjallIndex::open(dir, cache_bytes).map_err(failed)?),
            IndexEngine::Memory => Arc::new(MemoryIndex::default()),
        }))
    }
    /// Puts rows, as one commit group does.
    pub fn put(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
        self.0.apply(rows.into_iter().map(|(key, value)| (Key::bound(&key), Some(value))).collect()).map_err(failed)
    }
    /// The length of a value, which is read whole.
    pub fn get(&self, key: &[u8]) -> Result<Option<usize>, StoreError> {
        Ok(self.0.get(key).map_err(failed)?.map(|value| value.len()))
    }
    /// Rows and bytes between two keys.
    pub fn scan(&self, from: &[u8], to: &[u8]) -> Result<(u64, u64), StoreError> {
        let (mut rows, mut bytes) = (0_u64, 0_u64);
        let walked = self.0.scan(from, to, &mut |_, value| {
            rows = rows.saturating_add(1);
            bytes = bytes.saturating_add(value.len() as u64);
            Next::More
        });
        walked.map_err(failed).map(|()| (rows, bytes))
    }
    /// Makes it durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.0.flush().map_err(failed)
    }
}

impl Store {
    /// Of each table of the index: its number, its rows, bytes of their keys and of their sealed values.
    #[doc(hidden)]
    pub fn index_tables(&self) -> Result<Vec<(u8, u64, u64, u64)>, StoreError> {
        let mut tables: BTreeMap<u8, (u64, u64, u64)> = BTreeMap::new();
        let walked = self.engine().rows.index().scan(&[0], &[u8::MAX], &mut |key, value| {
            let (rows, keys, values) = tables.entry(key.first().copied().unwrap_or(0)).or_default();
            *rows = rows.saturating_add(1);
            *keys = keys.saturating_add(key.len() as u64);
            *values = values.saturating_add(value.len() as u64);
            Next::More
        });
        walked.map_err(failed)?;
        Ok(tables.into_iter().map(|(table, (rows, keys, values))| (table, rows, keys, values)).collect())
    }
}
