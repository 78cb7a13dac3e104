//! Opening: header, lock, index, replay of the log's tail; and making the index again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use pli_io::{Disk, DiskFile, Env, OpenMode};

use crate::codec::{Reader, Writer};
use crate::error::OpenError;
use crate::fill::{Filler, fill};
pub(crate) use crate::index::generation::open_index;
use crate::index::{Index, IndexError};
use crate::keys::StoreKeys;
use crate::log::batch::decode_batch;
use crate::log::frame::FrameKind;
use crate::log::segment::{SEGMENT_START, Segment, SegmentEnd, segment_number};
use crate::log::snapshot::{SnapshotHead, decode_snapshot};
use crate::log::walk::{Bodies, Piece, Tail, read_frame, settle, walk, walk_each};
use crate::log::writer::Position;
use crate::rebuild::RebuildProgress;
use crate::rows::log::LogPlace;
use crate::rows::{Key, Row, RowStore, Table, row_nonce};
use crate::snapshot::FIRST_ROW_KEY;

/// The lock's file, with the process id in it.
const LOCK_FILE: &str = "lock";
/// Row number in the nonce of the position's row, which is in no batch.
const POSITION_ROW: u32 = u32::MAX;

pub(crate) const fn position_key() -> Key {
    Key::new(Table::Position)
}

impl Row for Position {
    const NAME: &'static str = "position";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u32(self.segment).u64(self.offset).u64(self.sequence).u64(self.frames).raw(&self.hash);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { segment: r.u32()?, offset: r.u64()?, sequence: r.u64()?, frames: r.u64()?, hash: r.array()? };
        r.end().map(|()| row)
    }
}

/// Takes the store's lock, or tells who has it.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
    let path = dir.join(LOCK_FILE);
    let file = if disk.exists(&path) {
        disk.open(&path, OpenMode::ReadWrite)?
    } else {
        match disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(&path, OpenMode::ReadWrite)?,
            other => other?,
        }
    };
    if !file.try_lock()? {
        let mut text = vec![0; usize::try_from(file.len()?.min(20)).unwrap_or(0)];
        file.read_exact_at(&mut text, 0)?;
        let pid = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        return Err(OpenError::InUse { pid });
    }
    let text = format!("{}\n", std::process::id());
    file.set_len(0)?;
    file.write_all_at(&[io::IoSlice::new(text.as_bytes())], 0)?;
    Ok(file)
}

/// Records how far the index is on disk; to be called after a flush.
pub(crate) fn record_position(rows: &RowStore, index: &dyn Index, position: &Position) -> Result<(), IndexError> {
    let key = position_key();
    let nonce = row_nonce(position.segment, position.offset, POSITION_ROW);
    index.apply(vec![(key, Some(rows.seal(nonce, &key, &position.encode())))])
}

/// What replay leaves the writer with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    /// Where the log ends.
    pub(crate) previous: SegmentEnd,
    pub(crate) next_number: u32,
    /// Up to where the index has it.
    pub(crate) applied: Position,
    /// The position that the index was found at.
    pub(crate) found: Option<Position>,
    /// Batches applied.
    pub(crate) batches: u64,
    /// Where an index without a position was begun; frames before it are not applied, snapshots after it are.
    pub(crate) from: Option<LogPlace>,
    /// Damaged stretches met on the way: segment, offset.
    pub(crate) damaged: Vec<(u32, u64)>,
    /// The first key that the snapshot round which began it has not brought so far; `None` once it has brought all.
    pub(crate) missing: Option<Vec<u8>>,
}

impl Replayed {
    /// The snapshot round that it was begun from was not all there: rows are missing without any later word of them.
    pub(crate) const fn has_hole(&self) -> bool {
        self.missing.is_some()
    }
    /// A frame of some round.
    fn saw_snapshot(&mut self, head: &SnapshotHead) {
        if self.from == Some(head.start) && self.missing.as_ref() == Some(&head.from) {
            self.missing = (!head.last).then(|| head.to.clone());
        }
    }
}

/// Numbers of the segments there are.
pub(crate) fn list_segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers: Vec<u32> = disk.list(dir)?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What is replayed.
pub(crate) struct Reach<'a> {
    /// From where on; from `base` on when it is missing.
    pub(crate) from: Option<Position>,
    /// Where an index that has no position is begun; from the log's beginning when it is missing.
    pub(crate) base: Option<LogPlace>,
    /// Up to where, for a log that may be written meanwhile; nothing of it is changed. All of it when it is missing, and
    /// a torn tail is cut off.
    pub(crate) until: Option<Position>,
    /// Told how far it is.
    pub(crate) progress: &'a RebuildProgress,
}

/// Applies the log from the index's position on (from `base` if it has none), and ends the log where its last whole
/// group ends.
pub(crate) fn replay(
    env: &Env,
    dir: &Path,
    keys: &StoreKeys,
    rows: &RowStore,
    (base, progress): (Option<LogPlace>, &RebuildProgress),
) -> Result<Replayed, ReplayError> {
    let from: Option<Position> = rows.load(&position_key()).map_err(|_| ReplayError::Index)?;
    replay_to(env, dir, keys, rows, &Reach { from, base, until: None, progress })
}

/// Applies a stretch of the log.
pub(crate) fn replay_to(
    env: &Env,
    dir: &Path,
    keys: &StoreKeys,
    rows: &RowStore,
    reach: &Reach<'_>,
) -> Result<Replayed, ReplayError> {
    fill(rows, reach.progress, |filler| read_log(env, dir, keys, reach, filler))
}

fn read_log(
    env: &Env,
    dir: &Path,
    keys: &StoreKeys,
    reach: &Reach<'_>,
    filler: &mut Filler<'_>,
) -> Result<Replayed, ReplayError> {
    let disk = &*env.disk;
    let mut numbers = list_segments(disk, dir)?;
    // A tail needs no snapshots: what they hold is in the index.
    let found = reach.from;
    let from = if reach.from.is_some() { None } else { Some(reach.base.unwrap_or_default()) };
    let position = reach.from.unwrap_or_default();
    // An index that is ahead of the log, or so far behind that the log begins after it, belongs to another log.
    if position.segment > 0 && !numbers.contains(&position.segment) {
        return Err(ReplayError::Index);
    }
    let next_number = numbers.last().copied().unwrap_or(0).saturating_add(1);
    // From the log's beginning there is nothing that a round would have to bring.
    let missing = from.filter(|from| *from != LogPlace::default()).map(|_| FIRST_ROW_KEY.to_vec());
    let mut out = Replayed { next_number, from, found, missing, ..Replayed::default() };
    let first = from.map_or(position.segment, |from| from.segment);
    let last = reach.until.map_or(u32::MAX, |until| until.segment);
    numbers.retain(|number| (first..=last).contains(number));
    let mode = if reach.until.is_some() { OpenMode::Read } else { OpenMode::ReadWrite };
    let mut segments = Vec::with_capacity(numbers.len());
    let mut bytes = 0_u64;
    for number in numbers {
        match Segment::open(disk, dir, keys, number, mode)? {
            // Half a header: one copy is whole, and nothing can stand after it.
            Some(segment) if segment.file.len()? < SEGMENT_START => unreadable_segment(disk, dir, number, &mut out)?,
            Some(segment) => {
                let end = reach.until.filter(|until| until.segment == number).map_or(u64::MAX, |until| until.offset);
                let start = if number == position.segment { position.offset } else { SEGMENT_START };
                bytes = bytes.saturating_add(segment.file.len()?.min(end).saturating_sub(start));
                segments.push(segment);
            }
            None => unreadable_segment(disk, dir, number, &mut out)?,
        }
    }
    filler.expect(bytes);
    let mut sequence = position.sequence;
    for (index, segment) in segments.iter().enumerate() {
        let number = segment.header.number;
        let start = if number == position.segment {
            Tail {
                end: position.offset,
                sequence: position.sequence,
                hash: position.hash,
                frames: position.frames,
                ..Tail::default()
            }
        } else {
            sequence = sequence.max(segment.header.previous.sequence);
            Tail { end: SEGMENT_START, sequence, hash: segment.header_hash, ..Tail::default() }
        };
        let length = segment.file.len()?;
        if start.end > length {
            return Err(ReplayError::Index);
        }
        let next = segments.get(index.saturating_add(1)).map(|next| next.header.previous);
        let until = reach.until.filter(|until| until.segment == number).map(|until| SegmentEnd {
            number,
            length: until.offset,
            sequence: until.sequence,
            hash: until.hash,
        });
        let tail = match until.or(next.filter(|previous| previous.number == number)) {
            Some(end) => replay_sealed(segment, &start, end, filler, &mut out)?,
            None => replay_last(segment, &start, length, next.is_none(), filler, &mut out)?,
        };
        sequence = tail.sequence.max(sequence);
        out.previous = SegmentEnd { number, length: tail.end, sequence, hash: tail.hash };
        out.applied = Position { segment: number, offset: tail.end, sequence, frames: tail.frames, hash: tail.hash };
    }
    Ok(out)
}

/// Why replay did not end.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// The index is of no use; make a new one.
    Index,
    /// Somebody broke it off.
    Cancelled,
    /// A file failed.
    Io(io::Error),
}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A segment without a whole header: the beginning of one that a crash cut short, or damage.
fn unreadable_segment(disk: &dyn Disk, dir: &Path, number: u32, out: &mut Replayed) -> Result<(), ReplayError> {
    let path = crate::log::segment::segment_path(dir, number);
    let length = disk.open(&path, OpenMode::Read)?.len()?;
    if length <= SEGMENT_START && number.saturating_add(1) == out.next_number {
        // Nothing was ever committed into it; its number is used again.
        out.next_number = number;
    } else {
        tracing::error!(segment = number, "a segment's header is damaged; its frames cannot be read");
        out.damaged.push((number, 0));
    }
    Ok(())
}

/// A segment whose end its successor tells.
fn replay_sealed(
    segment: &Segment,
    start: &Tail,
    end: SegmentEnd,
    filler: &mut Filler<'_>,
    out: &mut Replayed,
) -> Result<Tail, ReplayError> {
    let until = end.length.min(segment.file.len()?);
    let mut tail = start.clone();
    walk_each(segment, start.end, until, Bodies::Skip, &mut |piece, payload| {
        filler.saw(piece.bytes())?;
        match piece {
            Piece::Bad { offset, .. } => report(segment, offset, out),
            Piece::Frame { offset, header, .. } => {
                tail.frames = tail.frames.saturating_add(1);
                apply_frame(segment, (offset, header.kind), &payload.unwrap_or_default(), filler, out)?;
            }
        }
        Ok::<(), ReplayError>(())
    })?;
    tail.end = end.length;
    tail.sequence = end.sequence;
    tail.hash = end.hash;
    Ok(tail)
}

/// The segment that the log ends in (or one whose successor is lost).
fn replay_last(
    segment: &Segment,
    start: &Tail,
    length: u64,
    is_end: bool,
    filler: &mut Filler<'_>,
    out: &mut Replayed,
) -> Result<Tail, ReplayError> {
    let pieces = walk(segment, start.end, length, Bodies::Check)?;
    let tail = settle(&pieces, start);
    for (offset, _) in &tail.damaged {
        report(segment, *offset, out);
    }
    for piece in &pieces {
        filler.saw(piece.bytes())?;
        if let Piece::Frame { offset, header, .. } = piece
            && *offset < tail.end
            && header.kind != FrameKind::Body
        {
            match read_frame(segment, *offset, tail.end)? {
                Some((_, payload, _)) => apply_frame(segment, (*offset, header.kind), &payload, filler, out)?,
                None => report(segment, *offset, out),
            }
        }
    }
    if is_end {
        if tail.end < length {
            tracing::info!(
                segment = segment.header.number,
                bytes = length.saturating_sub(tail.end),
                "a torn tail, never acknowledged, is cut off"
            );
            segment.file.set_len(tail.end)?;
        }
        // What is applied must be on disk: what a killed process had written may be in the page cache only.
        write_again(segment, &pieces, start, tail.end)?;
        segment.file.sync_data()?;
    }
    Ok(tail)
}

/// Writes once more what no later frame says was durable. After a failed fdatasync the page cache still has the bytes,
/// but takes them for written: another fdatasync alone would not bring them to the disk.
fn write_again(segment: &Segment, pieces: &[Piece], start: &Tail, end: u64) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let frames = pieces.iter().filter_map(|piece| match piece {
        Piece::Frame { offset, header, .. } if *offset < end => Some((*offset, header)),
        _ => None,
    });
    let durable = frames.clone().map(|(_, header)| header.durable).max().unwrap_or(0);
    let from = frames.clone().find(|(_, header)| header.sequence > durable).map(|(offset, _)| offset);
    // Without any frame it is the header that nobody vouches for.
    let mut at = if start.end == SEGMENT_START && frames.clone().next().is_none() { 0 } else { from.unwrap_or(end) };
    while at < end {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(at).min(PIECE_BYTES)).unwrap_or(0)];
        segment.file.read_exact_at(&mut bytes, at)?;
        segment.file.write_all_at(&[io::IoSlice::new(&bytes)], at)?;
        at = at.saturating_add(bytes.len() as u64);
    }
    Ok(())
}

fn report(segment: &Segment, offset: u64, out: &mut Replayed) {
    tracing::error!(segment = segment.header.number, offset, "a frame is damaged; what it holds is missing");
    out.damaged.push((segment.header.number, offset));
}

/// Hands on a frame that changes rows, if it counts.
fn apply_frame(
    segment: &Segment,
    (offset, kind): (u64, FrameKind),
    payload: &[u8],
    filler: &mut Filler<'_>,
    out: &mut Replayed,
) -> Result<(), ReplayError> {
    let number = segment.header.number;
    if out.from.is_some_and(|from| LogPlace { segment: number, offset } < from) {
        return Ok(());
    }
    match kind {
        FrameKind::Batch => {
            let Some((_, changes)) = decode_batch(payload) else {
                report(segment, offset, out);
                return Ok(());
            };
            filler.batch((number, offset), changes)?;
        }
        FrameKind::Snapshot if out.from.is_some() => {
            let Some((head, found)) = decode_snapshot(payload) else {
                report(segment, offset, out);
                return Ok(());
            };
            filler.snapshot((number, offset), &head, found)?;
            out.saw_snapshot(&head);
        }
        _ => return Ok(()),
    }
    out.batches = out.batches.saturating_add(1);
    Ok(())
}

/// Where an index can be made again from, the best first: the beginning of the newest complete snapshot round, of those
/// before it, and of the log if it is all there.
pub(crate) fn rebuild_bases(env: &Env, dir: &Path, keys: &StoreKeys) -> io::Result<Vec<Option<LogPlace>>> {
    let numbers = list_segments(&*env.disk, dir)?;
    let mut bases = Vec::new();
    let mut headers = Vec::new();
    for number in numbers.iter().rev() {
        if let Some(segment) = Segment::open(&*env.disk, dir, keys, *number, OpenMode::Read)? {
            if let Some(base) = segment.header.base
                && numbers.contains(&base.segment)
                && !bases.contains(&Some(base))
            {
                bases.push(Some(base));
            }
            headers.push(segment);
        }
    }
    // The header that names the newest round may be the very thing that is damaged: the rounds' last frames say it too.
    if bases.is_empty() && numbers.first().is_some_and(|first| *first > 1) {
        for segment in headers {
            if let Some(base) = last_round(&segment)?.filter(|base| numbers.contains(&base.segment)) {
                bases.push(Some(base));
                break;
            }
        }
    }
    if numbers.iter().zip(1..).all(|(number, place)| *number == place) || bases.is_empty() {
        bases.push(None);
    }
    // Two are tried at most: each is a generation of the index, and the last two are kept.
    bases.truncate(2);
    Ok(bases)
}

/// The beginning of the newest round that ends in a segment.
fn last_round(segment: &Segment) -> io::Result<Option<LogPlace>> {
    let until = segment.file.len()?;
    let mut found = None;
    for piece in walk(segment, SEGMENT_START, until, Bodies::Skip)? {
        let Piece::Frame { offset, header, .. } = piece else { continue };
        if header.kind == FrameKind::Snapshot
            && let Some((_, payload, _)) = read_frame(segment, offset, until)?
            && let Some((head, _)) = decode_snapshot(&payload)
            && head.last
        {
            found = Some(head.start);
        }
    }
    Ok(found)
}
