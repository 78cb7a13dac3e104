//! The committer's part in making the index again: it waits for a new one when the old one has failed, and changes over
//! to one that was filled beside it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Committer;
use crate::error::StoreError;
use crate::index::Index;
use crate::index::generation::use_newest;
use crate::limits::{REBUILD_PATIENCE_MS, REBUILD_RETRY_MS_MAX, REBUILD_WAIT_MS};
use crate::queue::Taken;
use crate::rebuild::{Built, Ready, RebuildProgress, Source, event};
use crate::store::IndexEngine;

/// How long callers have waited so far.
#[derive(Default)]
struct Waiting {
    ms: u64,
}

impl Committer {
    /// Makes the index again until there is a whole one, or until the store closes.
    pub(super) fn heal(&mut self, taken: &mut Taken) {
        let engine = Arc::clone(&self.engine);
        // One that is being filled beside a failed one would do, but where it is nobody knows; this one is sure.
        engine.rebuilds.stop();
        self.join_flush();
        let kind = engine.rows.index().engine();
        let mut waiting = Waiting::default();
        let mut pause = REBUILD_WAIT_MS;
        while engine.rows.is_broken() && !taken.closing {
            tracing::warn!(engine = kind.name(), "the index is being made again from the log");
            match self.build(kind, taken, &mut waiting) {
                Ok(built) => self.take_over(built),
                Err(error) if taken.closing => tracing::warn!(%error, "the store closes without an index"),
                Err(error) => {
                    tracing::error!(%error, retry_ms = pause, "the index could not be made again");
                    let mut paused = 0;
                    while paused < pause && !taken.closing {
                        self.wait(taken, &mut waiting);
                        paused = paused.saturating_add(REBUILD_WAIT_MS);
                    }
                    pause = pause.saturating_mul(2).min(REBUILD_RETRY_MS_MAX);
                }
            }
        }
        if engine.rows.is_broken() {
            refuse(taken);
        }
    }

    /// Builds on a thread of its own, so that callers can be answered meanwhile.
    fn build(&mut self, kind: IndexEngine, taken: &mut Taken, waiting: &mut Waiting) -> Result<Built, StoreError> {
        let Some(progress) = self.engine.rebuilds.begin(kind, false) else {
            return Err(StoreError::Rebuilding);
        };
        let done = self.build_beside_callers(kind, &progress, taken, waiting);
        self.engine.rebuilds.end(done.as_ref().err());
        done
    }
    fn build_beside_callers(
        &mut self,
        kind: IndexEngine,
        progress: &RebuildProgress,
        taken: &mut Taken,
        waiting: &mut Waiting,
    ) -> Result<Built, StoreError> {
        let engine = Arc::clone(&self.engine);
        let watch = progress.clone();
        // Everything up to here is on disk by a finished group, and nothing is written meanwhile.
        let until = engine.progress.lock().applied;
        let work = move || Source::of(&engine, until).build(kind, false, &watch);
        let building = std::thread::Builder::new().name(String::from("index-rebuild")).spawn(work)?;
        while !building.is_finished() {
            self.wait(taken, waiting);
            if taken.closing {
                progress.cancel();
            }
        }
        building.join().unwrap_or_else(|_| Err(StoreError::Index(String::from("its maker panicked"))))
    }

    /// Callers wait a little, since most stores are made again in less than a moment; then they are told.
    fn wait(&mut self, taken: &mut Taken, waiting: &mut Waiting) {
        if waiting.ms < REBUILD_PATIENCE_MS {
            std::thread::sleep(Duration::from_millis(REBUILD_WAIT_MS));
            taken.closing |= self.engine.queue.is_closing();
        } else {
            refuse(taken);
            let more = self.engine.queue.take(Duration::from_millis(REBUILD_WAIT_MS));
            self.notes.extend(more.notes);
            taken.traces.extend(more.traces);
            taken.jobs = more.jobs;
            taken.closing = more.closing;
        }
        waiting.ms = waiting.ms.saturating_add(REBUILD_WAIT_MS);
    }

    fn take_over(&mut self, built: Built) {
        let engine = Arc::clone(&self.engine);
        let (frames, damaged) = (built.replayed.batches, built.replayed.damaged.len() as u64);
        let at = built.replayed.applied.segment;
        self.replace(&built.index, at, true);
        self.notes.push(event(&engine.keys.site, engine.now(), "it had failed", frames, damaged));
        tracing::warn!(frames, damaged, "the index has been made again");
    }

    /// `at`: the segment up to which the new one is on disk. `views`: whether they are to be loaded again.
    fn replace(&mut self, index: &Arc<dyn Index>, at: u32, views: bool) {
        let engine = &self.engine;
        // A flush of the old one must not record its position for the new one.
        let _flushing = engine.flush.lock();
        let _applying = engine.apply.write();
        engine.rows.replace_index(Arc::clone(index));
        engine.flushed_segment.store(at, Ordering::Release);
        engine.progress.lock().unflushed = 1;
        if views {
            self.cache.clear();
            engine.views.clear();
        }
    }

    /// Changes over to an index that was filled beside the one in use.
    pub(super) fn adopt(&mut self, ready: Ready) {
        let done = self.change_over(&ready.index, &ready);
        if ready.adopted.send(done).is_err() {
            tracing::warn!("nobody waits for the new index any more");
        }
    }
    fn change_over(&mut self, index: &Arc<dyn Index>, ready: &Ready) -> Result<(), StoreError> {
        let engine = Arc::clone(&self.engine);
        let until = engine.progress.lock().applied;
        Source::of(&engine, until).catch_up(index, ready.at, &RebuildProgress::default())?;
        self.replace(index, ready.at.segment, false);
        if index.engine() != IndexEngine::Memory {
            use_newest(&engine.env, &engine.dir);
        }
        Ok(())
    }
}

fn refuse(taken: &mut Taken) {
    taken.jobs.drain(..).for_each(|job| (job.refuse)(StoreError::Rebuilding));
}
