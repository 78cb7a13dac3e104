//! Compaction: what no moment within the retention window needs goes from the disk.
//!
//! A segment is *old* when an index can be made again, and any moment of the window shown, without the row changes in
//! it: then only bodies in it can be live. Live bodies of an old segment that holds mostly dead bytes are moved to the
//! log's head, as they are sealed, in ordinary commits; then the segment's end is recorded in a row, and its file goes.
//! `docs/design/store.md` says what a crash between two steps leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pli_io::OpenMode;
use pli_types::{Action, BodyId, UnixMillis};

use crate::engine::Engine;
use crate::error::StoreError;
use crate::index::Next;
use crate::limits::{COMPACT_BATCH_BYTES, COMPACT_CALL_BYTES, COMPACT_LIVE_PERCENT, PURGE_GRACE_MS};
use crate::log::frame::{FRAME_HEADER_BYTES, FrameKind, frame_bytes};
use crate::log::segment::{SEGMENT_START, Segment, SegmentEnd, segment_path};
use crate::log::walk::{Bodies, Piece, read_frame, walk};
use crate::log::writer::BodyFrame;
use crate::open::list_segments;
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::log::{DroppedRow, GoneRow, LogPlace, RoundRow};
use crate::rows::mail::BodyRow;
use crate::rows::{Key, Table, decode, keys};
use crate::store::Store;
use crate::txn::Txn;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How to compact.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compaction {
    /// Everything that can go goes now: a snapshot round first, and old segments whatever their share of live bytes.
    pub all: bool,
    /// Bytes moved in a second, so that commits hardly wait; no limit if `None`.
    pub bytes_per_second: Option<u64>,
}

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Segments whose files are removed.
    pub segments_dropped: u64,
    /// Bytes of these files.
    pub bytes_dropped: u64,
    /// Bodies that stand elsewhere now.
    pub bodies_moved: u64,
    /// Their bytes.
    pub bytes_moved: u64,
    /// Deleted bodies whose retention window is over, gone for good.
    pub bodies_purged: u64,
    /// Segments that stay because a body in them does not authenticate.
    pub segments_damaged: u64,
    /// Nothing was purged: the wall clock has jumped ahead since the start.
    pub clock_jumped: bool,
    /// It stopped, or did nothing, for a verification that is under way: what is left waits for the next one.
    pub gave_way: bool,
}

/// An old segment.
#[derive(Default)]
struct Old {
    length: u64,
    live: u64,
    /// When the first of its expired bodies went.
    expired_since: Option<UnixMillis>,
}

/// What an old segment still holds.
struct Contents {
    /// Bodies to move, the last one first.
    live: Vec<(u64, BodyId)>,
    /// Bodies past the window.
    expired: Vec<BodyId>,
    /// How the segment ended.
    end: SegmentEnd,
}

/// A body read for its move.
struct Moving {
    body: BodyId,
    from: LogPlace,
    frame: BodyFrame,
}

/// Which times count.
#[derive(Clone, Copy)]
struct Horizon {
    now: UnixMillis,
    /// What went before it is past the window.
    window: UnixMillis,
    /// The first segment that is not old.
    floor: u32,
}

impl Store {
    /// Removes from the disk what no moment within the retention window needs. One at a time.
    pub async fn compact(&self, permit: Permit, how: Compaction) -> Result<Compacted> {
        allowed(&permit, &[Action::Compact], None)?;
        let permit = Arc::new(permit);
        let engine = self.engine();
        let Ok(_one) = engine.compacting.try_lock() else {
            return Err(StoreError::Impossible("a compaction is under way"));
        };
        let mut done = Compacted::default();
        if gives_way(engine, &mut done) {
            return Ok(done);
        }
        if how.all {
            // A round in segments of its own: everything before it is old at once.
            self.roll(&permit).await?;
            self.snapshot_round().await?;
            self.roll(&permit).await?;
        }
        self.remove_leftovers().await?;
        // It begins when this compaction is over.
        self.shrink_index()?;
        {
            // The index on disk goes on from a place that must not be dropped: let it be a late one.
            let engine = Arc::clone(engine);
            blocking(move || {
                engine.flush_index();
                engine.rows.check()
            })
            .await?;
        }
        let Some(horizon) = horizon(engine, &mut done)? else { return Ok(done) };
        let plan = {
            let engine = Arc::clone(engine);
            blocking(move || plan(&engine, horizon, how.all)).await?
        };
        for number in plan {
            if gives_way(engine, &mut done) {
                break;
            }
            self.compact_segment(&permit, number, horizon, how, &mut done).await?;
        }
        if done.segments_dropped > 0 {
            tracing::info!(?done, "segments were compacted");
        }
        Ok(done)
    }

    /// Ends the segment that is being written, and begins the next one with a record of why.
    async fn roll(&self, permit: &Arc<Permit>) -> Result<()> {
        self.engine().roll_wanted.store(true, Ordering::Release);
        let permit = Arc::clone(permit);
        self.commit(move |txn| {
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Files of segments that were dropped just before the end of a process.
    async fn remove_leftovers(&self) -> Result<()> {
        let engine = Arc::clone(self.engine());
        blocking(move || {
            for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
                if engine.rows.get(&keys::dropped(number))?.is_some() {
                    remove_file(&engine, number)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Moves what lives in a segment, and drops it.
    async fn compact_segment(
        &self,
        permit: &Arc<Permit>,
        number: u32,
        horizon: Horizon,
        how: Compaction,
        done: &mut Compacted,
    ) -> Result<()> {
        let engine = Arc::clone(self.engine());
        let opened = {
            let engine = Arc::clone(&engine);
            blocking(move || open_contents(&engine, number, horizon)).await?
        };
        let Some((segment, contents)) = opened else {
            tracing::error!(segment = number, "damage keeps a segment from being compacted");
            done.segments_damaged = done.segments_damaged.saturating_add(1);
            return Ok(());
        };
        let mut left = contents.live;
        while !left.is_empty() {
            let (batch, rest, damaged) = {
                let (segment, engine) = (Arc::clone(&segment), Arc::clone(&engine));
                blocking(move || read_batch(&engine, &segment, left)).await?
            };
            left = rest;
            if damaged > 0 {
                tracing::error!(segment = number, damaged, "damaged bodies keep their segment");
                done.segments_damaged = done.segments_damaged.saturating_add(1);
                return Ok(());
            }
            let bytes: u64 = batch.iter().map(|moving| moving.frame.payload.len() as u64).sum();
            let moved = self.commit(move |txn| txn.move_bodies(batch)).await?.value;
            done.bodies_moved = done.bodies_moved.saturating_add(moved);
            done.bytes_moved = done.bytes_moved.saturating_add(bytes);
            if let Some(rate) = how.bytes_per_second.filter(|rate| *rate > 0) {
                tokio::time::sleep(Duration::from_millis(bytes.saturating_mul(1000) / rate)).await;
            }
        }
        let length = segment.file.len()?;
        let previous = segment.header.previous;
        let (end, expired, permit) = (contents.end, contents.expired, Arc::clone(permit));
        let purged = self
            .commit(move |txn| {
                let Some(purged) = txn.drop_segment(end, previous, &expired)? else { return Ok(None) };
                txn.audit(&permit, |event| {
                    event.count("segment", u64::from(end.number)).count("bytes", length).count("purged", purged)
                });
                Ok(Some(purged))
            })
            .await?
            .value;
        // Something in it came back to life: the next compaction moves it.
        let Some(purged) = purged else { return Ok(()) };
        blocking(move || remove_file(&engine, number)).await?;
        done.bodies_purged = done.bodies_purged.saturating_add(purged);
        done.segments_dropped = done.segments_dropped.saturating_add(1);
        done.bytes_dropped = done.bytes_dropped.saturating_add(length);
        Ok(())
    }
}

/// Runs what reads files off the threads that serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Stopped(String::from("a compaction's thread ended")))?
}

/// What a verification has read would be moved under it, and would have to be read again.
fn gives_way(engine: &Engine, done: &mut Compacted) -> bool {
    done.gave_way = engine.verifying.is_locked();
    done.gave_way
}

/// What may go: `None` while there is no base that old.
fn horizon(engine: &Engine, done: &mut Compacted) -> Result<Option<Horizon>> {
    let now = engine.now();
    if engine.clock_jumped() {
        tracing::warn!("the wall clock has jumped ahead; nothing is purged until the next start");
        done.clock_jumped = true;
        return Ok(None);
    }
    let window = i64::try_from(engine.retention_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    let window = UnixMillis(now.0.saturating_sub(window));
    let rounds = engine.rows.list::<RoundRow>(&Key::new(Table::Round))?;
    let base = rounds.into_iter().rev().map(|(_, row)| row).find(|row| row.ended <= window);
    let Some(base) = base else { return Ok(None) };
    // An index must be made again from what the newest header names, should this very index be lost; and the index on
    // disk must be able to go on from where it was flushed last.
    let dir = engine.segments_dir();
    let newest = list_segments(&*engine.env.disk, &dir)?.pop();
    let header = match newest {
        Some(number) => Segment::open(&*engine.env.disk, &dir, &engine.keys, number, OpenMode::Read)?,
        None => None,
    };
    let Some(named) = header.and_then(|segment| segment.header.base) else { return Ok(None) };
    let floor = base.start.segment.min(named.segment).min(engine.flushed_segment.load(Ordering::Acquire));
    Ok(Some(Horizon { now, window, floor }))
}

/// Chooses segments, those with the fewest live bytes first.
fn plan(engine: &Engine, horizon: Horizon, all: bool) -> Result<Vec<u32>> {
    let mut old: BTreeMap<u32, Old> = BTreeMap::new();
    for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
        if number < horizon.floor {
            let file = engine.env.disk.open(&segment_path(&engine.segments_dir(), number), OpenMode::Read)?;
            old.insert(number, Old { length: file.len()?, ..Old::default() });
        }
    }
    if old.is_empty() {
        return Ok(Vec::new());
    }
    weigh(engine, horizon, &mut old)?;
    let overdue = UnixMillis(horizon.window.0.saturating_sub(PURGE_GRACE_MS));
    let mut chosen: Vec<(u64, u32)> = old
        .iter()
        .filter(|(_, segment)| {
            all || segment.live.saturating_mul(100) < segment.length.saturating_mul(COMPACT_LIVE_PERCENT)
                || segment.expired_since.is_some_and(|since| since <= overdue)
        })
        .map(|(number, segment)| (segment.live, *number))
        .collect();
    chosen.sort_unstable();
    let mut bytes = 0_u64;
    let fits = |(live, _): &(u64, u32)| {
        bytes = bytes.saturating_add(*live);
        all || bytes <= COMPACT_CALL_BYTES.max(*live)
    };
    Ok(chosen.into_iter().take_while(fits).map(|(_, number)| number).collect())
}

/// Sums up what the rows say of old segments. An estimate, since commits go on: what is moved is decided body by body.
fn weigh(engine: &Engine, horizon: Horizon, old: &mut BTreeMap<u32, Old>) -> Result<()> {
    let mut add = |row: &BodyRow, expired: Option<UnixMillis>| {
        let Some(segment) = old.get_mut(&row.segment) else { return };
        match expired {
            Some(time) => {
                let first = segment.expired_since.map_or(time.0, |first| first.0.min(time.0));
                segment.expired_since = Some(UnixMillis(first));
            }
            None => segment.live = segment.live.saturating_add(frame_bytes(row.length.into())),
        }
    };
    engine.rows.scan(&Key::new(Table::Gone), None, |_, bytes| {
        let row: GoneRow = decode(&bytes)?;
        add(&row.body, horizon.is_past(row.time).then_some(row.time));
        Ok(Next::More)
    })?;
    engine.rows.scan(&Key::new(Table::Body), None, |_, bytes| {
        add(&decode(&bytes)?, None);
        Ok(Next::More)
    })
}

impl Horizon {
    /// Whether what went at a time is past the window. A time in the future is of a clock that was set back since.
    fn is_past(&self, gone: UnixMillis) -> bool {
        gone <= self.window && gone <= self.now
    }
}

/// What lives in a segment, asked of each body that stands in it, so that none can be missed. `None` if the segment is
/// damaged: what stands there may be somebody's mail.
fn open_contents(engine: &Engine, number: u32, horizon: Horizon) -> Result<Option<(Arc<Segment>, Contents)>> {
    let dir = engine.segments_dir();
    let Some(segment) = Segment::open(&*engine.env.disk, &dir, &engine.keys, number, OpenMode::Read)? else {
        return Ok(None);
    };
    let Some(end) = successor(engine, number)? else { return Ok(None) };
    let until = end.length.min(segment.file.len()?);
    let mut contents = Contents { live: Vec::new(), expired: Vec::new(), end };
    for piece in walk(&segment, SEGMENT_START, until, Bodies::Skip)? {
        let Piece::Frame { offset, header, .. } = piece else { return Ok(None) };
        if header.kind != FrameKind::Body {
            continue;
        }
        // The frame's header, then eight bytes, then the id.
        let mut id = [0; 8];
        segment.file.read_exact_at(&mut id, offset.saturating_add(FRAME_HEADER_BYTES as u64 + 8))?;
        let body = BodyId::new(u64::from_be_bytes(id));
        match place(engine, body)? {
            Some((found, gone)) if found == (LogPlace { segment: number, offset }) => match gone {
                Some(time) if horizon.is_past(time) => contents.expired.push(body),
                _ => contents.live.push((offset, body)),
            },
            // Dead, unless the very bytes of its id are damaged.
            _ if read_frame(&segment, offset, until)?.is_none() => return Ok(None),
            _ => {}
        }
    }
    contents.live.reverse();
    Ok(Some((Arc::new(segment), contents)))
}

/// Reads bodies up to a commit's worth from the end of the list. Bodies that went or moved meanwhile are passed over.
#[allow(clippy::type_complexity, reason = "what is read, what is left, what is damaged")]
fn read_batch(
    engine: &Engine,
    segment: &Segment,
    mut left: Vec<(u64, BodyId)>,
) -> Result<(Vec<Moving>, Vec<(u64, BodyId)>, u64)> {
    let until = segment.file.len()?;
    let number = segment.header.number;
    let mut batch = Vec::new();
    let (mut bytes, mut damaged) = (0_usize, 0_u64);
    while bytes < COMPACT_BATCH_BYTES
        && let Some((offset, body)) = left.pop()
    {
        let from = LogPlace { segment: number, offset };
        if place(engine, body)?.is_none_or(|(found, _)| found != from) {
            continue;
        }
        match read_frame(segment, offset, until)? {
            Some((_, payload, _)) => {
                bytes = bytes.saturating_add(payload.len());
                let digest = pli_crypto::sha256(&payload);
                batch.push(Moving { body, from, frame: BodyFrame { payload: Arc::new(payload), digest } });
            }
            None => damaged = damaged.saturating_add(1),
        }
    }
    Ok((batch, left, damaged))
}

/// Where a body stands, and since when it is gone if it is.
fn place(engine: &Engine, body: BodyId) -> Result<Option<(LogPlace, Option<UnixMillis>)>> {
    let of = |row: &BodyRow| LogPlace { segment: row.segment, offset: row.offset };
    // Twice: between the two rows it may have come back to life.
    for _ in 0..2 {
        if let Some(row) = engine.rows.load::<BodyRow>(&keys::body(body))? {
            return Ok(Some((of(&row), None)));
        }
        if let Some(row) = engine.rows.load::<GoneRow>(&keys::gone(body))? {
            return Ok(Some((of(&row.body), Some(row.time))));
        }
    }
    Ok(None)
}

/// How a segment ended, as the one after it says.
fn successor(engine: &Engine, number: u32) -> Result<Option<SegmentEnd>> {
    let dir = engine.segments_dir();
    let later = list_segments(&*engine.env.disk, &dir)?.into_iter().find(|later| *later > number);
    if let Some(later) = later {
        let opened = Segment::open(&*engine.env.disk, &dir, &engine.keys, later, OpenMode::Read)?;
        let end = opened.map(|segment| segment.header.previous).filter(|previous| previous.number == number);
        if end.is_some() {
            return Ok(end);
        }
    }
    // The one after it was dropped before it.
    let dropped = engine.rows.list::<DroppedRow>(&Key::new(Table::Dropped))?;
    Ok(dropped.into_iter().map(|(_, row)| row.previous).find(|previous| previous.number == number))
}

fn remove_file(engine: &Engine, number: u32) -> Result<()> {
    let dir = engine.segments_dir();
    engine.forget_segment(number);
    let length = engine.env.disk.open(&segment_path(&dir, number), OpenMode::Read)?.len()?;
    engine.env.disk.remove(&segment_path(&dir, number))?;
    // Never below nothing: the counter began with this file in it.
    let less = |bytes: u64| Some(bytes.saturating_sub(length));
    let _ = engine.log_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    engine.env.disk.sync_dir(&dir)?;
    Ok(())
}

impl Txn<'_> {
    /// Gives bodies a new place at the log's head; those that stand elsewhere by now are left alone.
    fn move_bodies(&mut self, batch: Vec<Moving>) -> Result<u64> {
        let mut moved = 0_u64;
        for Moving { body, from, frame } in batch {
            let stands = |row: &BodyRow| LogPlace { segment: row.segment, offset: row.offset } == from;
            if let Some(mut row) = self.load::<BodyRow>(&keys::body(body))?.filter(stands) {
                self.place_frame(&mut row, frame);
                self.put(keys::body(body), &row);
            } else if let Some(mut gone) = self.load::<GoneRow>(&keys::gone(body))?.filter(|gone| stands(&gone.body)) {
                self.place_frame(&mut gone.body, frame);
                self.put(keys::gone(body), &gone);
            } else {
                continue;
            }
            moved = moved.saturating_add(1);
        }
        Ok(moved)
    }

    /// Forgets a segment with the expired bodies in it. `None` if one of them came back to life meanwhile.
    fn drop_segment(&mut self, end: SegmentEnd, previous: SegmentEnd, expired: &[BodyId]) -> Result<Option<u64>> {
        let mut purged = 0_u64;
        for body in expired {
            if self.load::<BodyRow>(&keys::body(*body))?.is_some_and(|row| row.segment == end.number) {
                return Ok(None);
            }
            let gone: Option<GoneRow> = self.load(&keys::gone(*body))?;
            if gone.is_some_and(|gone| gone.body.segment == end.number) {
                self.delete(keys::gone(*body));
                purged = purged.saturating_add(1);
            }
        }
        // Nothing can be replayed from a round that begins in it or before it.
        for (key, round) in self.list::<RoundRow>(&Key::new(Table::Round))? {
            if round.start.segment <= end.number {
                self.delete(key);
            }
        }
        let time = self.now();
        self.put(keys::dropped(end.number), &DroppedRow { time, end, previous });
        Ok(Some(purged))
    }
}
