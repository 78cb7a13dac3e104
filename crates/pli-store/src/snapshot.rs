//! Snapshot rounds: the committer writes the whole index into the log, range by range between its groups, so that an
//! index can be made again from there and older batches can go.
//!
//! A frame holds the rows of its range as they stand just before its group. Replaying the log from a round's first frame
//! on therefore gives every row its last value, although the rows went on changing while the round was written.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pli_io::{Env, OpenMode};
use pli_types::{Action, UnixMillis};

use crate::engine::Engine;
use crate::error::{OpenError, StoreError};
use crate::index::Next;
use crate::limits::{
    IDLE_MS, SNAPSHOT_FRAME_BYTES, SNAPSHOT_FRAME_ROWS, SNAPSHOT_LOG_BYTES, SNAPSHOT_LOG_ROUNDS, SNAPSHOT_PAUSE_MS,
};
use crate::log::frame::frame_bytes;
use crate::log::segment::segment_path;
use crate::log::snapshot::{SnapshotHead, encode_snapshot};
use crate::open::list_segments;
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::log::{LogPlace, RoundRow};
use crate::rows::{Key, RowStore, Table};
use crate::store::Store;
use crate::txn::GroupBase;

/// Where the keys of a round begin: the position stands outside the log, and so does its table.
pub(crate) const FIRST_ROW_KEY: [u8; 1] = [Table::Position as u8 + 1];

/// A round on its way.
#[derive(Clone)]
struct Running {
    number: u32,
    began: UnixMillis,
    /// Its first frame, once that is written.
    start: Option<LogPlace>,
    /// The first key of the next range.
    next: Vec<u8>,
    bytes: u64,
    /// How many requests it answers; with any, it makes no pauses.
    asked: u64,
    in_haste: bool,
}

/// The rounds as the committer drives them.
pub(crate) struct Rounds {
    running: Option<Running>,
    newest: Option<(u32, RoundRow)>,
    /// Log bytes since the newest round began.
    log_bytes: u64,
    last_piece: Duration,
    /// Requests that a round was begun for.
    asked: u64,
}

/// How far a frame brings the round; taken over once it is on disk.
pub(crate) struct Step {
    running: Running,
    done: Option<RoundRow>,
}

impl Step {
    /// The round's row, if this frame is its last.
    pub(crate) fn complete(&self) -> Option<(u32, RoundRow)> {
        self.done.map(|row| (self.running.number, row))
    }
}

/// A frame to write.
pub(crate) struct Piece {
    pub(crate) payload: Vec<u8>,
    pub(crate) step: Step,
}

impl Rounds {
    /// Takes the newest round up from the index, and measures the log: since then, and all of it.
    pub(crate) fn load(env: &Env, segments: &Path, rows: &RowStore) -> Result<(Self, u64), OpenError> {
        let newest = rows.list::<RoundRow>(&Key::new(Table::Round));
        let newest = newest.map_err(|error| OpenError::Damaged(error.to_string()))?.pop();
        let newest = newest.map(|(key, row)| (key.number32(1), row));
        let since = newest.map_or(0, |(_, row)| row.start.segment);
        let (mut log_bytes, mut all_bytes) = (0_u64, 0_u64);
        for number in list_segments(&*env.disk, segments)? {
            let length = env.disk.open(&segment_path(segments, number), OpenMode::Read)?.len()?;
            all_bytes = all_bytes.saturating_add(length);
            log_bytes = log_bytes.saturating_add(if number >= since { length } else { 0 });
        }
        Ok((Self { running: None, newest, log_bytes, last_piece: Duration::ZERO, asked: 0 }, all_bytes))
    }
    /// Where the newest complete round begins.
    pub(crate) fn base(&self) -> Option<LogPlace> {
        self.newest.map(|(_, row)| row.start)
    }
    /// How long the committer may wait for work when there is none.
    pub(crate) fn idle(&self, engine: &Engine) -> Duration {
        match &self.running {
            _ if engine.snapshots_asked.load(Ordering::Acquire) > self.asked => Duration::ZERO,
            Some(running) if running.in_haste => Duration::ZERO,
            Some(_) => Duration::from_millis(SNAPSHOT_PAUSE_MS),
            None => Duration::from_millis(IDLE_MS),
        }
    }

    /// Whether a frame is to be written now. Begins a round when one is wanted, or when the log has grown enough since
    /// the last one that replaying it would take long.
    pub(crate) fn is_due(&mut self, engine: &Engine, now: UnixMillis, monotonic: Duration) -> bool {
        let asked = engine.snapshots_asked.load(Ordering::Acquire);
        let wanted = asked > self.asked;
        if let Some(running) = &self.running {
            let pause = Duration::from_millis(SNAPSHOT_PAUSE_MS);
            return wanted || running.in_haste || monotonic.saturating_sub(self.last_piece) >= pause;
        }
        let last = self.newest.map_or(0, |(_, row)| row.bytes);
        let enough = SNAPSHOT_LOG_BYTES.max(last.saturating_mul(SNAPSHOT_LOG_ROUNDS));
        // A base must be older than the retention window before anything can go, so a quiet store needs rounds as well.
        let window = i64::try_from(engine.retention_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let age = self.newest.map_or(i64::MAX, |(_, row)| now.0.saturating_sub(row.began.0));
        let late = self.log_bytes >= SNAPSHOT_LOG_BYTES / 16 && age > (window / 2).max(60 * 60 * 1000);
        if !(wanted || self.log_bytes >= enough || late) {
            return false;
        }
        let number = self.newest.map_or(1, |(number, _)| number.saturating_add(1));
        let next = FIRST_ROW_KEY.to_vec();
        self.running = Some(Running { number, began: now, start: None, next, bytes: 0, asked, in_haste: wanted });
        self.asked = asked;
        true
    }

    /// The next frame: the rows of the next range, as they stand before the group that it is written with.
    pub(crate) fn piece(&self, base: &GroupBase<'_>, body_bytes: u64) -> Option<Piece> {
        let mut running = self.running.clone()?;
        let place = LogPlace { segment: base.segment, offset: base.offset.saturating_add(body_bytes) };
        let start = *running.start.get_or_insert(place);
        let from = running.next.clone();
        let (rows, to) = match range(base.rows, &from) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "no rows for the snapshot");
                return None;
            }
        };
        let last = to.is_empty();
        let head = SnapshotHead { time: base.now, round: running.number, from, to: to.clone(), last, start };
        let payload = encode_snapshot(&head, &rows);
        running.bytes = running.bytes.saturating_add(frame_bytes(payload.len() as u64));
        running.next = to;
        let done =
            last.then_some(RoundRow { start, end: place, began: running.began, ended: base.now, bytes: running.bytes });
        Some(Piece { payload, step: Step { running, done } })
    }

    /// A group is on disk, with this frame if it had one.
    pub(crate) fn written(&mut self, engine: &Engine, bytes: u64, step: Option<Step>, monotonic: Duration) {
        self.log_bytes = self.log_bytes.saturating_add(bytes);
        let Some(step) = step else { return };
        self.last_piece = monotonic;
        if step.running.start.is_some() && self.running.as_ref().is_some_and(|r| r.start.is_none()) {
            self.log_bytes = 0;
        }
        match step.complete() {
            Some((number, row)) => {
                tracing::info!(round = number, bytes = row.bytes, "a snapshot round is complete");
                self.newest = Some((number, row));
                self.running = None;
                engine.snapshots_served.send_modify(|count| *count = step.running.asked);
            }
            None => self.running = Some(step.running),
        }
    }
}

/// Rows of a range of keys.
type Rows = Vec<(Key, Vec<u8>)>;

/// Rows from a key on, up to a frame's worth; and the first key after them, empty at the end.
fn range(rows: &RowStore, from: &[u8]) -> Result<(Rows, Vec<u8>), StoreError> {
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    let mut to = Vec::new();
    rows.scan_range(from, &[u8::MAX], |key, value| {
        if bytes >= SNAPSHOT_FRAME_BYTES || found.len() >= SNAPSHOT_FRAME_ROWS {
            to = key.to_vec();
            return Ok(Next::Stop);
        }
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
        found.push((key, value));
        Ok(Next::More)
    })?;
    Ok((found, to))
}

impl Store {
    /// Writes the whole index into the log as a snapshot round, and waits until it is there.
    pub async fn snapshot(&self, permit: Permit) -> Result<(), StoreError> {
        allowed(&permit, &[Action::Compact, Action::Verify], None)?;
        self.snapshot_round().await
    }
    pub(crate) async fn snapshot_round(&self) -> Result<(), StoreError> {
        let engine = self.engine();
        let mut served = engine.snapshots_served.subscribe();
        let ticket = engine.snapshots_asked.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        engine.queue.nudge();
        loop {
            engine.stop_reason().map_or(Ok(()), Err)?;
            engine.rows.check()?;
            let wait = tokio::time::timeout(Duration::from_millis(IDLE_MS), served.wait_for(|done| *done >= ticket));
            if wait.await.is_ok() {
                return Ok(());
            }
        }
    }
}
