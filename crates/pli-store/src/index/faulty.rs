//! An index that fails on demand, for tests of what stands behind the wall: at its n-th call of a kind it panics or gives
//! an error, as an engine would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::wall::Wall;
use super::{Index, IndexError, Next};
use crate::rows::Key;
use crate::store::IndexEngine;

/// What is called.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexCall {
    Get,
    Scan,
    Apply,
    Flush,
}

/// When and how an index fails.
#[doc(hidden)]
#[derive(Debug)]
pub struct IndexFault {
    /// At which calls.
    pub call: IndexCall,
    /// So many of them go well first.
    pub after: AtomicU64,
    /// A panic instead of an error.
    pub panic: bool,
    /// An apply puts half of its rows before it fails.
    pub half: bool,
    /// How many more new indexes fail like this; each that is made takes one.
    pub again: AtomicU64,
    /// How often it has struck.
    pub struck: AtomicU64,
}

impl IndexFault {
    /// Fails once, at the call after `after` others.
    #[must_use]
    pub fn once(call: IndexCall, after: u64, panic: bool) -> Self {
        let none = AtomicU64::new(0);
        Self { call, after: AtomicU64::new(after), panic, half: false, again: none, struck: AtomicU64::new(0) }
    }
    /// Whether one more new index is to fail.
    pub(crate) fn takes_another(&self) -> bool {
        self.again.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }
    fn is_due(&self, call: IndexCall) -> bool {
        if self.call != call {
            return false;
        }
        let left = self.after.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        // Once it has failed it goes on failing: nothing more comes out of a broken engine.
        left.is_err()
    }
}

/// An engine with a fault.
pub(crate) struct FaultyIndex {
    inner: Arc<dyn Index>,
    fault: Arc<IndexFault>,
    wall: Wall,
}

impl FaultyIndex {
    pub(crate) fn new(inner: Arc<dyn Index>, fault: Arc<IndexFault>) -> Self {
        Self { inner, fault, wall: Wall::default() }
    }
    fn strike(&self, call: IndexCall, what: &'static str) -> Result<(), IndexError> {
        if !self.fault.is_due(call) {
            return Ok(());
        }
        self.fault.struck.fetch_add(1, Ordering::AcqRel);
        let panics = self.fault.panic;
        self.wall.call(what, || {
            // As a panic of an engine, but without the message of one in the tests' output.
            if panics {
                std::panic::resume_unwind(Box::new("a fault"));
            }
            Err("a fault")
        })
    }
}

impl Index for FaultyIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.strike(IndexCall::Get, "get")?;
        self.inner.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Next) -> Result<(), IndexError> {
        let mut failed = Ok(());
        self.inner.scan(from, to, &mut |key, value| {
            // In the middle, when some rows have been shown.
            failed = self.strike(IndexCall::Scan, "scan");
            if failed.is_err() { Next::Stop } else { visit(key, value) }
        })?;
        failed
    }
    fn apply(&self, changes: Vec<(Key, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        if let Err(error) = self.strike(IndexCall::Apply, "apply") {
            if self.fault.half {
                let half = changes.len() / 2;
                self.inner.apply(changes.into_iter().take(half).collect())?;
            }
            return Err(error);
        }
        self.inner.apply(changes)
    }
    fn flush(&self) -> Result<(), IndexError> {
        self.strike(IndexCall::Flush, "flush")?;
        self.inner.flush()
    }
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }
    fn engine(&self) -> IndexEngine {
        self.inner.engine()
    }
}
