//! The committer: the one thread that writes. A group of operations is one write, one fdatasync, one change of the
//! index, and then the answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pli_types::UnixMillis;

use crate::audit::{AuditLog, Grown};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::limits::{
    FLUSH_LOG_BYTES, FLUSH_MS, GROUP_BYTES_MAX, GROUP_ROW_BYTES_MAX, IDLE_MS, OPERATION_ROW_BYTES_MAX,
};
use crate::log::batch::encode_batch;
use crate::log::writer::{LogWriter, Position, WriteError};
use crate::model_queue::TraceEvent;
use crate::moment::hours;
use crate::permit::Durable;
use crate::queue::{Job, Reply, Rewraps, Taken};
use crate::rows::mail::MessageRow;
use crate::rows::{Row, keys, row_nonce};
use crate::snapshot::{Piece, Rounds, Step};
use crate::store::IndexEngine;
use crate::txn::{GroupBase, Pending, RowCache, Txn};

mod rebuild;

/// The committer's own state.
pub(crate) struct Committer {
    engine: Arc<Engine>,
    log: LogWriter,
    audit: AuditLog,
    cache: RowCache,
    last_checkpoint: Duration,
    last_flush: Duration,
    flushing: Option<std::thread::JoinHandle<()>>,
    notes: Vec<pli_audit::Event>,
    rounds: Rounds,
}

/// A group on its way.
struct Group {
    pending: Pending,
    replies: Vec<Reply>,
}

impl Committer {
    pub(crate) fn new(engine: Arc<Engine>, mut log: LogWriter, audit: AuditLog, rounds: Rounds) -> Self {
        log.base = rounds.base();
        let weak = Arc::downgrade(&engine);
        engine.rows.on_failure(move || {
            if let Some(engine) = weak.upgrade() {
                engine.queue.nudge();
            }
        });
        Self {
            engine,
            log,
            audit,
            cache: RowCache::default(),
            last_checkpoint: Duration::ZERO,
            last_flush: Duration::ZERO,
            flushing: None,
            notes: Vec::new(),
            rounds,
        }
    }

    /// Works until the store closes or the log fails.
    pub(crate) fn run(mut self) {
        let _last_words = LastWords(Arc::clone(&self.engine));
        loop {
            let mut taken = self.engine.queue.take(self.rounds.idle(&self.engine));
            if self.engine.rows.is_broken() {
                self.heal(&mut taken);
            }
            if let Some(ready) = self.engine.rebuilds.take_ready() {
                self.adopt(ready);
            }
            let closing = taken.closing;
            if let Some(error) = self.engine.stop_reason() {
                let reason = error.to_string();
                taken.jobs.into_iter().for_each(|job| (job.refuse)(StoreError::Stopped(reason.clone())));
                self.engine.queue.refuse_all(|| StoreError::Stopped(reason.clone()));
                return;
            }
            if !self.engine.rows.is_broken() {
                self.group(taken);
            }
            self.flush_if_due(false);
            self.engine.moments.tidy(self.engine.env.clock.monotonic());
            self.engine.forget_senders(self.engine.now());
            if closing {
                break;
            }
        }
        self.finish();
    }

    /// One commit group.
    fn group(&mut self, taken: Taken) {
        let engine = Arc::clone(&self.engine);
        let now = engine.now();
        self.notes.extend(taken.notes);
        let monotonic = engine.env.clock.monotonic();
        let due = monotonic.saturating_sub(self.last_checkpoint) >= Duration::from_millis(IDLE_MS) || taken.closing;
        let idle =
            taken.jobs.is_empty() && self.notes.is_empty() && taken.traces.is_empty() && taken.rewraps.is_empty();
        let snapshot = !taken.closing && self.rounds.is_due(&engine, now, monotonic);
        if idle && !(due && self.audit.is_unsigned()) && !snapshot {
            return;
        }
        let most = if engine.roll_wanted.swap(false, Ordering::AcqRel) { 0 } else { engine.segment_bytes() };
        let (segment, offset) = match self.log.begin(now, most) {
            Ok(place) => place,
            Err(error) => return self.refuse(taken.jobs, error),
        };
        let base = GroupBase {
            rows: &engine.rows,
            keys: &engine.keys,
            site: &engine.keys.site,
            now,
            segment,
            offset,
            mailboxes_max: engine.mailboxes_max.load(Ordering::Relaxed),
        };
        let mut group = Group { pending: Pending::default(), replies: Vec::new() };
        self.run_jobs(&base, &mut group, taken.jobs);
        self.mark_hours(&base, &mut group);
        self.trace(&base, &mut group, taken.traces);
        self.rewrap(&base, &mut group, taken.rewraps);
        // Kept until they are on disk: a full disk must not swallow them.
        group.pending.events.extend(self.notes.iter().cloned());
        let piece = if snapshot { self.rounds.piece(&base, group.pending.body_bytes) } else { None };
        if group.pending.is_empty() && !(due && self.audit.is_unsigned()) && piece.is_none() {
            // Nothing changed: what the operations saw is durable already.
            let durable = Durable::new(self.log.durable());
            return group.replies.into_iter().for_each(|reply| reply(Ok(durable)));
        }
        let grown = self.audit.grow(&mut group.pending, due, &engine.rows, &engine.log_keys, &*engine.keystore);
        match grown {
            Ok(grown) => self.write(group, grown, piece, now, monotonic),
            Err(error) => {
                // A failure of the audit log stops acceptance: no effect without its record.
                tracing::error!(%error, "the audit log cannot take an event");
                let reason = error.to_string();
                group.replies.into_iter().for_each(|reply| reply(Err(StoreError::Stopped(reason.clone()))));
            }
        }
    }

    fn run_jobs(&mut self, base: &GroupBase<'_>, group: &mut Group, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            let mut txn = Txn::new(base, &group.pending, &mut self.cache);
            let reply = (job.run)(&mut txn);
            let own = txn.own;
            match reply {
                Some(reply) if own.rows_size() > OPERATION_ROW_BYTES_MAX => {
                    reply(Err(StoreError::Limit("bytes of rows that one operation changes")));
                }
                Some(reply) => {
                    group.pending.merge(own);
                    group.replies.push(reply);
                }
                None => {}
            }
            let pending = &group.pending;
            if pending.body_bytes >= GROUP_BYTES_MAX || pending.row_bytes >= GROUP_ROW_BYTES_MAX {
                self.engine.queue.put_back(jobs.collect());
                return;
            }
        }
    }

    /// The past lists the hours in which an account changed.
    fn mark_hours(&mut self, base: &GroupBase<'_>, group: &mut Group) {
        let window = self.engine.retention_ms.load(Ordering::Relaxed);
        for account in hours::changed_accounts(group.pending.rows.iter().map(|(key, row)| (key, row.is_some()))) {
            let mut txn = Txn::new(base, &group.pending, &mut self.cache);
            if let Err(error) = hours::mark(&mut txn, account, window) {
                tracing::warn!(%error, "an hour of changes could not be marked");
            }
            let own = txn.own;
            group.pending.merge(own);
        }
    }

    /// What happened to messages that were not kept: rows only, nobody waits.
    fn trace(&mut self, base: &GroupBase<'_>, group: &mut Group, traces: Vec<TraceEvent>) {
        if traces.is_empty() {
            return;
        }
        let mut txn = Txn::new(base, &group.pending, &mut self.cache);
        for event in traces {
            if let Err(error) = txn.trace(event) {
                tracing::warn!(%error, "a trace event could not be written");
            }
        }
        let own = txn.own;
        group.pending.merge(own);
    }

    /// Wraps that replace seals: rows only, no event, nobody waits.
    fn rewrap(&mut self, base: &GroupBase<'_>, group: &mut Group, rewraps: Rewraps) {
        for ((account, email), wrap) in rewraps {
            let key = keys::message(account, email);
            let mut txn = Txn::new(base, &group.pending, &mut self.cache);
            if let Ok(Some(mut row)) = txn.load::<MessageRow>(&key) {
                row.wrap = wrap;
                txn.put(key, &row);
            }
            let own = txn.own;
            group.pending.merge(own);
        }
    }

    fn write(&mut self, group: Group, grown: Grown, piece: Option<Piece>, now: UnixMillis, monotonic: Duration) {
        let Group { mut pending, replies } = group;
        let (snapshot, step) = piece.map(|piece| (piece.payload, piece.step)).unzip();
        if let Some((number, row)) = step.as_ref().and_then(Step::complete) {
            pending.rows.insert(keys::round(number), Some(row.encode().into()));
        }
        let batch = encode_batch(now, &pending.rows);
        let bytes = pending.body_bytes.saturating_add(batch.len() as u64);
        let bodies = std::mem::take(&mut pending.bodies);
        let written = self.log.append(&bodies, snapshot, batch);
        drop(bodies);
        self.engine.counts.syncs.store(self.log.syncs, Ordering::Relaxed);
        let (batch_offset, position) = match written {
            Ok(written) => written,
            Err(error) => {
                let error = self.write_error(error);
                return replies.into_iter().for_each(|reply| reply(Err(copy(&error))));
            }
        };
        self.notes.clear();
        self.engine.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.apply(&mut pending, batch_offset, position, bytes);
        self.rounds.written(&self.engine, bytes, step, monotonic);
        self.log.base = self.rounds.base();
        let note = grown.note.clone();
        self.audit.adopt(grown, &self.engine.log_keys);
        {
            let mut head = self.engine.audit_head.lock();
            head.0 = self.audit.size();
            if note.is_some() {
                head.1.clone_from(&note);
            }
        }
        pending.keys_changed.iter().for_each(|account| self.engine.forget_delivery_key(*account));
        if pending.queue_all || !pending.queue_changed.is_empty() {
            self.engine.queue_news.lock().add(std::mem::take(&mut pending.queue_changed), pending.queue_all);
            self.engine.queue_changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        self.engine.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.engine.counts.commits.fetch_add(replies.len() as u64, Ordering::Relaxed);
        let durable = Durable::new(position.sequence);
        replies.into_iter().for_each(|reply| reply(Ok(durable)));
        if let Some(note) = note {
            self.last_checkpoint = monotonic;
            self.publish_checkpoint(&note);
        }
    }

    /// The group is on disk: the index follows, then the views.
    fn apply(&mut self, pending: &mut Pending, batch_offset: u64, position: Position, bytes: u64) {
        let engine = &self.engine;
        let rows = std::mem::take(&mut pending.rows);
        let shares = rows.keys().any(crate::sharing::concerns);
        let sealed = rows
            .iter()
            .zip(0_u32..)
            .map(|((key, value), number)| {
                let nonce = row_nonce(position.segment, batch_offset, number);
                (*key, value.as_deref().map(|value| engine.rows.seal(nonce, key, value)))
            })
            .collect();
        let _applying = engine.apply.write();
        if let Err(error) = engine.rows.index().apply(sealed) {
            // The log has it: the rebuild before the next group brings it back. Views follow now all the same.
            engine.rows.fail(&error);
        }
        let watched = engine.watches.among(rows.keys());
        rows.into_iter().for_each(|(key, value)| self.cache.put(key, value));
        if shares {
            engine.forget_sharing();
        }
        engine.views.publish(std::mem::take(&mut pending.views));
        engine.watches.wake(&watched);
        let mut progress = engine.progress.lock();
        progress.applied = position;
        progress.unflushed = progress.unflushed.saturating_add(bytes);
    }

    /// The newest checkpoint as a file, for witnesses and for those who copy the log.
    fn publish_checkpoint(&self, note: &str) {
        let dir = self.engine.dir.join("audit");
        let disk = &self.engine.env.disk;
        let written = disk.create_dir_all(&dir).and_then(|()| disk.replace(&dir.join("checkpoint"), note.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "the audit log's checkpoint file could not be written");
        }
    }

    fn write_error(&self, error: WriteError) -> StoreError {
        match error {
            WriteError::Full => {
                tracing::error!("the disk is full");
                StoreError::DiskFull
            }
            WriteError::NoFiles => {
                tracing::error!("no file can be opened, the limit of open files is reached");
                StoreError::NoFiles
            }
            WriteError::Failed(error) => self.engine.stop(error.to_string()),
        }
    }

    fn refuse(&self, jobs: Vec<Job>, error: WriteError) {
        let error = self.write_error(error);
        jobs.into_iter().for_each(|job| (job.refuse)(copy(&error)));
    }

    /// Flushes the index when enough time or log has gone by, and records how far it is.
    fn flush_if_due(&mut self, now: bool) {
        if self.engine.engine == IndexEngine::Memory || self.engine.rows.is_broken() {
            return;
        }
        let monotonic = self.engine.env.clock.monotonic();
        let progress = *self.engine.progress.lock();
        let late = monotonic.saturating_sub(self.last_flush) >= Duration::from_millis(FLUSH_MS);
        if progress.unflushed == 0 || !(now || late || progress.unflushed >= FLUSH_LOG_BYTES) {
            return;
        }
        self.last_flush = monotonic;
        self.engine.progress.lock().unflushed = 0;
        let engine = Arc::clone(&self.engine);
        // One at a time.
        self.join_flush();
        if now {
            return engine.flush_index();
        }
        let flush = move || engine.flush_index();
        // A flush must not hold up commits.
        match std::thread::Builder::new().name(String::from("index-flush")).spawn(flush) {
            Ok(thread) => self.flushing = Some(thread),
            Err(error) => tracing::warn!(%error, "no thread to flush the index"),
        }
    }

    fn join_flush(&mut self) {
        if let Some(thread) = self.flushing.take()
            && thread.join().is_err()
        {
            tracing::error!("flushing the index panicked");
        }
    }

    /// The end in order: footer, index flushed, position recorded.
    fn finish(mut self) {
        if let Some(before) = self.log.position() {
            match self.log.finish() {
                Ok(end) => {
                    let mut progress = self.engine.progress.lock();
                    progress.applied = end;
                    progress.unflushed = progress.unflushed.max(1);
                }
                Err(error) => {
                    tracing::warn!(%error, segment = before.segment, "the last segment could not be sealed");
                }
            }
        }
        self.engine.counts.syncs.store(self.log.syncs, Ordering::Relaxed);
        self.flush_if_due(true);
        self.join_flush();
        self.engine.queue.refuse_all(|| StoreError::Stopped(String::from("the store is closed")));
    }
}

/// A panic of the committer stops the store instead of leaving its callers waiting.
struct LastWords(Arc<Engine>);

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(String::from("the committer panicked"));
            self.0.queue.refuse_all(|| StoreError::Stopped(String::from("the committer panicked")));
        }
    }
}

/// The same error for each caller of a group.
fn copy(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::NoFiles => StoreError::NoFiles,
        StoreError::Stopped(reason) => StoreError::Stopped(reason.clone()),
        other => StoreError::Stopped(other.to_string()),
    }
}
