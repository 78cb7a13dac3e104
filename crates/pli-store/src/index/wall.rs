//! The wall around an index engine: its errors and panics end here, and mean that the index is made again.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::IndexError;

/// Around one engine. Remembers whether anything ever went wrong behind it.
#[derive(Default)]
pub(crate) struct Wall {
    failed: AtomicBool,
}

impl Wall {
    /// Calls the engine. It keeps no invariant of ours, so that nothing is left half-done here by a panic of its own.
    pub(crate) fn call<T, E: Display>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, IndexError> {
        let done = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => IndexError::Failed(format!("{what}: {error}")),
            Err(_) => IndexError::Panicked(what),
        };
        self.failed.store(true, Ordering::Relaxed);
        Err(done)
    }

    /// Lets go of the engine. What failed once may panic again when it ends, or not end at all: that must hold up nobody.
    pub(crate) fn end<T: Send + 'static>(&self, engine: T, flush: impl FnOnce(&T) -> Result<(), IndexError>) {
        if self.failed.load(Ordering::Relaxed) {
            let spawned = std::thread::Builder::new().name(String::from("index-end")).spawn(move || quietly(engine));
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread to end an index that failed");
            }
            return;
        }
        // What is lost here is applied again from the log.
        if let Err(error) = flush(&engine) {
            tracing::warn!(%error, "the index did not flush at its end");
        }
        quietly(engine);
    }
}

fn quietly<T>(engine: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(engine))).is_err() {
        tracing::warn!("the index engine panicked at its end");
    }
}
