//! The index in memory: for tests and simulation, made again from the log at each start.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use super::{Index, IndexError, Next};
use crate::rows::Key;
use crate::store::IndexEngine;

/// A sorted map.
#[derive(Default)]
pub(crate) struct MemoryIndex(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.0.read().get(key).cloned())
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError> {
        if from >= to {
            return Ok(());
        }
        for (key, value) in self.0.read().range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            if visit(key, value) == Next::Stop {
                break;
            }
        }
        Ok(())
    }
    fn apply(&self, changes: Vec<(Key, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        let mut rows = self.0.write();
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert(key.to_vec(), value),
                None => rows.remove(&*key),
            };
        }
        Ok(())
    }
    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }
    fn size_bytes(&self) -> u64 {
        self.0.read().iter().map(|(k, v)| (k.len() as u64).saturating_add(v.len() as u64)).sum()
    }
    fn engine(&self) -> IndexEngine {
        IndexEngine::Memory
    }
}
