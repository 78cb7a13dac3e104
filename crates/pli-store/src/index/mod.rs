//! The index: sorted rows over the log, made again from it whenever in doubt.

pub(crate) mod bench;
pub(crate) mod faulty;
pub(crate) mod fjall;
pub(crate) mod generation;
pub(crate) mod memory;
pub(crate) mod sled;
mod wall;

use thiserror::Error;

use crate::rows::Key;
use crate::store::IndexEngine;

/// The index failed: it is set aside and made again from the log.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    /// Its own error.
    #[error("{0}")]
    Failed(String),
    /// It panicked.
    #[error("the index engine panicked in {0}")]
    Panicked(&'static str),
}

/// What a scan does after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Goes on.
    More,
    /// Ends.
    Stop,
}

/// Sorted keys and sealed values. Nothing exists only here.
pub(crate) trait Index: Send + Sync {
    /// One value.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;
    /// Rows from `from` on, below `to`, in order.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError>;
    /// Puts and deletes, all of them or, after a crash, none.
    fn apply(&self, changes: Vec<(Key, Option<Vec<u8>>)>) -> Result<(), IndexError>;
    /// Makes everything applied so far durable.
    fn flush(&self) -> Result<(), IndexError>;
    /// Bytes on disk.
    fn size_bytes(&self) -> u64;
    /// Which one it is.
    fn engine(&self) -> IndexEngine;
}
