//! Invariants 1 to 4: headers, chain, frames, batches and snapshots. What the log says of rows and bodies is taken down
//! for the steps that follow.

use std::collections::BTreeMap;

use pli_crypto::{Secret32, hmac, sha256};
use pli_io::OpenMode;

use super::sort::{Scratch, Sorter, keep_all};
use super::{Check, Fix, Result};
use crate::codec::Reader;
use crate::error::StoreError;
use crate::log::batch::decode_batch;
use crate::log::frame::{FrameKind, chain};
use crate::log::segment::{Footer, SEGMENT_START, Segment, SegmentEnd};
use crate::log::snapshot::{SnapshotHead, decode_snapshot};
use crate::log::walk::{Bodies, Piece, walk_each};
use crate::log::writer::Position;
use crate::open::list_segments;
use crate::rows::log::{DroppedRow, LogPlace, RoundRow};
use crate::rows::{Key, RowPlace, Table};

/// Key, place, kind, digest.
pub(super) const ROW_RECORD: usize = 32 + 16 + 1 + 8;
/// Place, kind, body, length, digest.
pub(super) const BODY_RECORD: usize = 12 + 1 + 8 + 4 + 8;

/// What a record of a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RowKind {
    Delete = 0,
    Put = 1,
    Snapshot = 2,
}

/// A row as the log has it at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowRecord {
    pub(super) key: Key,
    pub(super) place: RowPlace,
    pub(super) kind: RowKind,
    pub(super) digest: [u8; 8],
}

impl RowRecord {
    fn encode(&self) -> [u8; ROW_RECORD] {
        let mut out = [0; ROW_RECORD];
        let parts: [&[u8]; 6] = [
            &self.key.padded(),
            &self.place.segment.to_be_bytes(),
            &self.place.offset.to_be_bytes(),
            &self.place.row.to_be_bytes(),
            &[self.kind as u8],
            &self.digest,
        ];
        fill(&mut out, &parts);
        out
    }
    pub(super) fn decode(bytes: &[u8; ROW_RECORD]) -> Option<Self> {
        let (key, rest) = bytes.split_at_checked(32)?;
        let mut r = Reader::new(rest);
        let place = RowPlace { segment: r.u32()?, offset: r.u64()?, row: r.u32()? };
        let kind = match r.u8()? {
            0 => RowKind::Delete,
            1 => RowKind::Put,
            _ => RowKind::Snapshot,
        };
        Some(Self { key: Key::from_padded(key)?, place, kind, digest: r.array()? })
    }
}

/// Joins parts into a record of their length together.
pub(super) fn fill(out: &mut [u8], parts: &[&[u8]]) {
    let mut rest = out;
    for part in parts {
        let Some((place, after)) = rest.split_at_mut_checked(part.len()) else { return };
        place.copy_from_slice(part);
        rest = after;
    }
}

/// Where a body's frame is, or should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyRecord {
    pub(super) place: LogPlace,
    /// A frame; else a row.
    pub(super) is_frame: bool,
    pub(super) body: u64,
    pub(super) length: u32,
    pub(super) digest: [u8; 8],
}

impl BodyRecord {
    pub(super) fn encode(&self) -> [u8; BODY_RECORD] {
        let mut out = [0; BODY_RECORD];
        let parts: [&[u8]; 6] = [
            &self.place.segment.to_be_bytes(),
            &self.place.offset.to_be_bytes(),
            &[u8::from(!self.is_frame)],
            &self.body.to_be_bytes(),
            &self.length.to_be_bytes(),
            &self.digest,
        ];
        fill(&mut out, &parts);
        out
    }
    pub(super) fn decode(bytes: &[u8; BODY_RECORD]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        Some(Self {
            place: LogPlace { segment: r.u32()?, offset: r.u64()? },
            is_frame: r.u8()? == 0,
            body: r.u64()?,
            length: r.u32()?,
            digest: r.array()?,
        })
    }
}

/// The snapshot frames of the window: by round and its beginning (a round that a stop broke off begins anew with its
/// number), in the order of their ranges.
#[derive(Default)]
pub(super) struct SnapshotFrames(BTreeMap<(u32, LogPlace), Vec<(SnapshotHead, LogPlace)>>);

impl SnapshotFrames {
    /// The frames whose range has the key, in the order of the log.
    pub(super) fn covering(&self, key: &Key) -> impl Iterator<Item = LogPlace> {
        self.0.values().filter_map(move |frames| {
            let next = frames.partition_point(|(head, _)| head.from.as_slice() <= &**key);
            let (head, place) = frames.get(next.checked_sub(1)?)?;
            (head.to.is_empty() || &**key < head.to.as_slice()).then_some(*place)
        })
    }
    fn is_start(&self, place: LogPlace) -> bool {
        self.0.values().any(|frames| frames.first().is_some_and(|(head, at)| *at == place && head.start == place))
    }
}

/// What the log says of itself.
pub(super) struct LogFacts<'a> {
    /// Body frames that authenticate.
    pub(super) bodies: Sorter<'a, BODY_RECORD>,
    /// Rows put and deleted in the window, and those in its snapshots.
    pub(super) rows: Sorter<'a, ROW_RECORD>,
    pub(super) frames: SnapshotFrames,
    /// Where the window begins: at the newest complete snapshot round, which a rebuild begins with too.
    pub(super) from: LogPlace,
    /// Stretches of the window that do not authenticate: rows may be missing in what was taken down.
    pub(super) holes: Vec<(u32, u64, u64)>,
    /// Up to where it was read.
    pub(super) until: Position,
    pub(super) secret: Secret32,
    at: Position,
    previous: Option<SegmentEnd>,
    /// Headers' words on where a rebuild begins.
    bases: Vec<(u32, LogPlace)>,
}

impl<'a> LogFacts<'a> {
    fn new(scratch: &'a Scratch, from: LogPlace, until: Position) -> Result<Self> {
        Ok(Self {
            bodies: Sorter::new(scratch),
            rows: Sorter::new(scratch),
            frames: SnapshotFrames::default(),
            from,
            holes: Vec::new(),
            until,
            secret: Secret32::generate()?,
            at: Position::default(),
            previous: None,
            bases: Vec::new(),
        })
    }
    /// Stands for a value. Under a key of this run: what lies on disk tells nothing about it.
    pub(super) fn digest(&self, value: &[u8]) -> [u8; 8] {
        hmac(&self.secret, value).first_chunk().copied().unwrap_or_default()
    }
    /// Whether a place lies in a stretch that does not authenticate.
    pub(super) fn is_hole(&self, place: RowPlace) -> bool {
        self.holes
            .iter()
            .any(|(segment, from, until)| *segment == place.segment && (*from..*until).contains(&place.offset))
    }
    fn take_row(&mut self, key: Key, place: RowPlace, kind: RowKind, value: &[u8]) -> Result<()> {
        let digest = if kind == RowKind::Delete { [0; 8] } else { self.digest(value) };
        let record = RowRecord { key, place, kind, digest }.encode();
        let Self { rows, frames, .. } = self;
        rows.push(record, &|this, next| superseded(frames, this, next))?;
        Ok(())
    }
}

/// Whether of two records of a row the earlier one says nothing any more: the later is no snapshot, which is compared
/// with what stood before it, and no snapshot should have seen the row between them.
pub(super) fn superseded(frames: &SnapshotFrames, this: &[u8; ROW_RECORD], next: &[u8; ROW_RECORD]) -> bool {
    if this.get(..32) != next.get(..32) || next.get(48) == Some(&(RowKind::Snapshot as u8)) {
        return false;
    }
    let (Some(this), Some(next)) = (RowRecord::decode(this), RowRecord::decode(next)) else { return false };
    let at = |place: RowPlace| LogPlace { segment: place.segment, offset: place.offset };
    !frames.covering(&this.key).any(|frame| at(this.place) <= frame && frame < at(next.place))
}

impl Check<'_, '_> {
    /// Reads the whole log.
    pub(super) fn log<'s>(&mut self, scratch: &'s Scratch) -> Result<LogFacts<'s>> {
        let engine = self.engine;
        // In this order: a round that is complete now has all its frames before the place up to which the log is read.
        let rounds = engine.rows.list::<RoundRow>(&Key::new(Table::Round))?;
        let until = engine.progress.lock().applied;
        let numbers = list_segments(&*engine.env.disk, &engine.segments_dir())?;
        let newest = rounds.iter().rev().find(|(_, round)| numbers.contains(&round.start.segment));
        let from = newest.map(|(_, round)| round.start).unwrap_or_default();
        let mut facts = LogFacts::new(scratch, from, until)?;
        for (index, number) in numbers.iter().enumerate() {
            if *number > until.segment {
                break;
            }
            self.segment(*number, numbers.get(index.saturating_add(1)).copied(), &mut facts)?;
        }
        if facts.previous.is_some_and(|end| end.number < until.segment) {
            self.damage("frame", format!("segment {}", until.segment), "it is not there");
        }
        for (number, base) in std::mem::take(&mut facts.bases) {
            if base >= facts.from && !facts.frames.is_start(base) && facts.holes.is_empty() {
                let what = format!("no snapshot round begins at segment {}, offset {}", base.segment, base.offset);
                self.damage("snapshot", format!("segment {number}, header"), what);
            }
        }
        self.rounds(&rounds, &facts);
        Ok(facts)
    }

    fn segment(&mut self, number: u32, successor: Option<u32>, facts: &mut LogFacts<'_>) -> Result<()> {
        let engine = self.engine;
        let (disk, dir) = (&*engine.env.disk, engine.segments_dir());
        let place = format!("segment {number}, header");
        let opened = match Segment::open(disk, &dir, &engine.keys, number, OpenMode::Read) {
            // Dropped since the list was made.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let Some(segment) = opened else {
            facts.holes.push((number, 0, u64::MAX));
            self.damage("frame", place, "neither of its two copies is whole: nothing in it can be read");
            return Ok(());
        };
        self.report.segments = self.report.segments.saturating_add(1);
        if !segment.both_headers(&engine.keys)? {
            self.damage("frame", place.clone(), "one of its two copies is damaged");
            self.fix(Fix::Header(number));
        }
        self.chain(&segment, &place, facts)?;
        if let Some(base) = segment.header.base {
            facts.bases.push((number, base));
        }
        facts.at = Position {
            segment: number,
            offset: SEGMENT_START,
            sequence: segment.header.previous.sequence,
            frames: 0,
            hash: segment.header_hash,
        };
        let length = segment.file.len()?;
        let end = match successor {
            _ if number == facts.until.segment => facts.until.offset,
            Some(next) => match Segment::open(disk, &dir, &engine.keys, next, OpenMode::Read) {
                Ok(Some(next)) if next.header.previous.number == number => next.header.previous.length,
                _ => length,
            },
            None => length,
        };
        if end > length {
            let what = format!("it ends at {length}, and {end} bytes of it count");
            self.damage("frame", format!("segment {number}"), what);
            facts.holes.push((number, length, end));
        }
        walk_each(&segment, SEGMENT_START, end.min(length), Bodies::Check, &mut |piece, payload| {
            self.piece(number, piece, payload, facts)
        })?;
        let Position { segment, offset, sequence, hash, .. } = facts.at;
        facts.previous = Some(SegmentEnd { number: segment, length: offset, sequence, hash });
        Ok(())
    }

    /// What a header says of the segment before: that one as it was read, or as it was when it was dropped.
    fn chain(&mut self, segment: &Segment, place: &str, facts: &LogFacts<'_>) -> Result<()> {
        let before = segment.header.previous;
        if before.number == 0 || facts.previous == Some(before) {
            return Ok(());
        }
        let dropped = self.engine.rows.load::<DroppedRow>(&crate::rows::keys::dropped(before.number))?;
        if let Some(dropped) = dropped {
            if dropped.end == before {
                self.report.dropped = self.report.dropped.saturating_add(1);
            } else {
                self.damage("frame", place.to_owned(), "it does not follow the segment that was dropped before it");
            }
            return Ok(());
        }
        let is_read = facts.previous.is_some_and(|previous| previous.number == before.number);
        if is_read && facts.holes.iter().any(|(number, ..)| *number == before.number) {
            return Ok(());
        }
        let known = facts.holes.iter().any(|(number, from, _)| *number == before.number && *from == 0);
        if is_read {
            self.damage("frame", place.to_owned(), "it does not follow the segment before as that is");
        } else if !known {
            let what = format!("segment {} is before it, is not there, and was not dropped", before.number);
            self.damage("frame", place.to_owned(), what);
        }
        Ok(())
    }

    fn piece(
        &mut self,
        segment: u32,
        piece: Piece,
        payload: Option<Vec<u8>>,
        facts: &mut LogFacts<'_>,
    ) -> Result<(), StoreError> {
        match piece {
            Piece::Bad { offset, until } => {
                let what = format!("{} bytes do not authenticate", until.saturating_sub(offset));
                self.damage("frame", format!("segment {segment}, offset {offset}"), what);
                facts.holes.push((segment, offset, until));
                facts.at.offset = until;
                facts.at.hash = chain(&facts.at.hash, &sha256(&until.to_be_bytes()));
                self.meter.spend(until.saturating_sub(offset))
            }
            Piece::Frame { offset, header, link } => {
                self.report.frames = self.report.frames.saturating_add(1);
                if header.sequence <= facts.at.sequence {
                    self.damage("frame", format!("segment {segment}, offset {offset}"), "its sequence goes back");
                }
                self.frame(LogPlace { segment, offset }, header.kind, &payload.unwrap_or_default(), facts)?;
                facts.at.offset = offset.saturating_add(header.frame_bytes());
                facts.at.sequence = header.sequence;
                facts.at.frames = facts.at.frames.saturating_add(1);
                facts.at.hash = chain(&facts.at.hash, &link.unwrap_or_default());
                self.meter.spend(header.frame_bytes())
            }
        }
    }

    fn frame(&mut self, at: LogPlace, kind: FrameKind, payload: &[u8], facts: &mut LogFacts<'_>) -> Result<()> {
        let place = || format!("segment {}, offset {}", at.segment, at.offset);
        let row = |row: u32| RowPlace { segment: at.segment, offset: at.offset, row };
        match kind {
            FrameKind::Body => {
                let record = BodyRecord {
                    place: at,
                    is_frame: true,
                    body: Reader::new(payload.get(8..).unwrap_or_default()).u64().unwrap_or(0),
                    length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
                    digest: sha256(payload).first_chunk().copied().unwrap_or_default(),
                };
                facts.bodies.push(record.encode(), &keep_all)?;
            }
            FrameKind::Batch => match decode_batch(payload) {
                Some((_, changes)) if at >= facts.from => {
                    for ((key, value), number) in changes.into_iter().zip(0_u32..) {
                        let kind = if value.is_some() { RowKind::Put } else { RowKind::Delete };
                        facts.take_row(key, row(number), kind, value.unwrap_or_default())?;
                    }
                }
                Some(_) => {}
                None => {
                    facts.holes.push((at.segment, at.offset, at.offset.saturating_add(1)));
                    self.damage("frame", place(), "its rows do not decode");
                }
            },
            FrameKind::Snapshot => match decode_snapshot(payload) {
                Some((head, rows)) if at >= facts.from => {
                    self.report.snapshots = self.report.snapshots.saturating_add(1);
                    for ((key, value), number) in rows.into_iter().zip(0_u32..) {
                        facts.take_row(key, row(number), RowKind::Snapshot, value)?;
                    }
                    facts.frames.0.entry((head.round, head.start)).or_default().push((head, at));
                }
                Some(_) => {}
                None => {
                    facts.holes.push((at.segment, at.offset, at.offset.saturating_add(1)));
                    self.damage("frame", place(), "its rows do not decode");
                }
            },
            FrameKind::Footer => {
                let expected = Footer { frames: facts.at.frames, hash: facts.at.hash };
                let is_whole = !facts.holes.iter().any(|(number, ..)| *number == at.segment);
                if Footer::decode(payload) != Some(expected) && is_whole {
                    self.damage("frame", place(), "the footer does not fit what stands before it");
                }
            }
            FrameKind::Audit => {}
        }
        Ok(())
    }

    /// The rows of snapshot rounds: a complete round is there from its first frame to its last, and leaves out no key.
    fn rounds(&mut self, rounds: &[(Key, RoundRow)], facts: &LogFacts<'_>) {
        let complete = rounds.iter().filter(|(_, round)| round.start >= facts.from && facts.from.segment > 0);
        for (key, row) in complete {
            let number = key.number32(1);
            let frames = facts.frames.0.get(&(number, row.start)).map(Vec::as_slice).unwrap_or_default();
            let ends = frames.first().is_some_and(|(_, at)| *at == row.start)
                && frames.last().is_some_and(|(head, at)| *at == row.end && head.last && head.to.is_empty());
            let first = frames.first().is_none_or(|(head, _)| head.from == [(Table::Position as u8).saturating_add(1)]);
            let closed = frames.windows(2).all(|pair| match pair {
                [(a, _), (b, _)] => a.to == b.from,
                _ => true,
            });
            if !(ends && first && closed) && facts.holes.is_empty() {
                self.damage("snapshot", format!("round {number}"), "its frames are not those of a complete round");
            }
        }
    }
}
