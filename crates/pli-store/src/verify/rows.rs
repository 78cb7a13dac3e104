//! Invariant 5: every row of the index opens, decodes, and is the last one in the log; the log has no row that the index
//! lacks; each snapshot has what the batches before it left.
//!
//! Both sides are read in the order of keys. Commits go on: each step of the index is read under the apply lock with the
//! position that it is of, and a row that came after the log was read is compared with the batch that its nonce names.

use std::collections::BTreeMap;

use super::log::{BodyRecord, LogFacts, ROW_RECORD, RowKind, RowRecord, superseded};
use super::sort::{Merged, Sorter, keep_all};
use super::uses::{Use, UseKind, Uses};
use super::{Check, Fix, Result, decodes};
use crate::engine::Engine;
use crate::index::Next;
use crate::limits::{VERIFY_STEP_BYTES, VERIFY_STEP_ROWS, VERIFY_SUSPECTS_MAX};
use crate::log::batch::decode_batch;
use crate::log::frame::FrameKind;
use crate::log::segment::Segment;
use crate::log::snapshot::decode_snapshot;
use crate::log::walk::{Bodies, Piece, read_frame, walk_each};
use crate::model_queue::QueueRow;
use crate::open::list_segments;
use crate::rows::log::{GoneRow, LogPlace};
use crate::rows::mail::{BodyRow, MessageRow};
use crate::rows::search::SearchRow;
use crate::rows::{Key, Row, RowPlace, Table};

/// What the steps after this one need of the rows.
pub(super) struct RowFacts<'a> {
    pub(super) uses: Uses<'a>,
    pub(super) bodies: Sorter<'a, { super::log::BODY_RECORD }>,
    /// Rows that do not open: the index is of no use.
    pub(super) unreadable: u64,
}

/// A row as a frame has it; none: deleted.
pub(crate) type FrameRow = (Key, Option<Vec<u8>>);

/// The rows of one frame that was read last: rows that came late share their batches.
#[derive(Default)]
struct LateFrame {
    at: Option<LogPlace>,
    rows: Vec<FrameRow>,
}

/// A part of the comparison.
struct Comparison<'m, 'a> {
    facts: &'m LogFacts<'a>,
    merged: Merged<ROW_RECORD>,
    late: LateFrame,
    /// Rows of the log that the index has no more: deleted since, or missing.
    suspects: BTreeMap<Key, RowPlace>,
}

impl Check<'_, '_> {
    /// Compares index and log.
    pub(super) fn rows<'s>(&mut self, mut facts: LogFacts<'s>, uses: Uses<'s>) -> Result<RowFacts<'s>> {
        let scratch_rows = std::mem::replace(&mut facts.rows, Sorter::new(uses.scratch));
        let frames = std::mem::take(&mut facts.frames);
        let merged = scratch_rows.finish(&|this, next| superseded(&frames, this, next))?;
        facts.frames = frames;
        let bodies = std::mem::replace(&mut facts.bodies, Sorter::new(uses.scratch));
        let mut out = RowFacts { uses, bodies, unreadable: 0 };
        let mut comparison =
            Comparison { facts: &facts, merged, late: LateFrame::default(), suspects: BTreeMap::new() };
        let mut from = vec![0_u8];
        loop {
            let step = self.step(&from)?;
            let Some((last, _)) = step.last() else { break };
            from = last.clone();
            from.push(0);
            for (bytes, sealed) in step {
                self.meter.spend((bytes.len() as u64).saturating_add(sealed.len() as u64))?;
                self.row(&bytes, &sealed, &mut comparison, &mut out)?;
            }
            if comparison.suspects.len() >= VERIFY_SUSPECTS_MAX {
                self.settle_suspects(&mut comparison)?;
            }
        }
        // What the log has beyond the index's last row.
        while let Some(record) = comparison.merged.next()? {
            self.absent(record, &mut comparison)?;
        }
        self.settle_suspects(&mut comparison)?;
        Ok(out)
    }

    /// The next rows of the index as they stand, sealed.
    fn step(&self, from: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let engine = self.engine;
        let mut step = Vec::new();
        let mut bytes = 0_usize;
        engine.rows.check()?;
        let _still = engine.apply.read();
        let index = engine.rows.index();
        let walked = index.scan(from, &[u8::MAX], &mut |key, value| {
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            step.push((key.to_vec(), value.to_vec()));
            if step.len() >= VERIFY_STEP_ROWS || bytes >= VERIFY_STEP_BYTES { Next::Stop } else { Next::More }
        });
        walked.map_err(|error| engine.rows.fail(&error))?;
        Ok(step)
    }

    fn row(
        &mut self,
        bytes: &[u8],
        sealed: &[u8],
        comparison: &mut Comparison<'_, '_>,
        out: &mut RowFacts<'_>,
    ) -> Result<()> {
        let Some(key) = Key::parse(bytes) else {
            self.damage("row", format!("key {}", crate::codec::to_hex(bytes)), "no row of this store");
            return Ok(());
        };
        if key.table() == Some(Table::Position) {
            return Ok(());
        }
        self.report.rows = self.report.rows.saturating_add(1);
        while let Some(record) = comparison.merged.next_if(|record| record.get(..32) < Some(&key.padded()))? {
            self.absent(record, comparison)?;
        }
        let mut records = Vec::new();
        while let Some(record) = comparison.merged.next_if(|record| record.get(..32) == Some(&key.padded()))? {
            records.extend(RowRecord::decode(&record));
        }
        self.snapshots_of(&key, &records, comparison.facts);
        let Some((place, value)) = self.engine.rows.open_quietly(&key, sealed) else {
            out.unreadable = out.unreadable.saturating_add(1);
            self.damage("row", place_of(&key), "it does not open");
            return Ok(());
        };
        if !decodes(key, &value) {
            self.damage("row", place_of(&key), "it does not decode");
        }
        self.compare(&key, place, &value, records.last(), comparison)?;
        self.take(&key, place, &value, out)
    }

    /// A row of the index against the log's last word on it.
    fn compare(
        &mut self,
        key: &Key,
        place: RowPlace,
        value: &[u8],
        last: Option<&RowRecord>,
        comparison: &mut Comparison<'_, '_>,
    ) -> Result<()> {
        let facts = comparison.facts;
        let until = (facts.until.segment, facts.until.offset);
        if (place.segment, place.offset) >= until {
            // It came after the log was read.
            if self
                .late_row(place, comparison)?
                .is_none_or(|(of, found)| *of != *key || found.as_deref() != Some(value))
            {
                self.damage("row", place_of(key), "the log does not have it where it says");
                self.fix(Fix::Keep(*key));
            }
            return Ok(());
        }
        let digest = facts.digest(value);
        match last {
            Some(last) if last.kind != RowKind::Delete && last.digest == digest => {}
            // The frame that the index took it from does not authenticate any more.
            _ if facts.is_hole(place) => {
                self.damage("row", place_of(key), "only the index has it: its batch is damaged");
                self.fix(Fix::Keep(*key));
            }
            Some(last) if last.kind == RowKind::Delete => {
                self.damage("row", place_of(key), "the log has deleted it");
                self.fix(Fix::Row(*key, Some(last.place)));
            }
            Some(last) => {
                self.damage("row", place_of(key), "it is not the last one in the log");
                self.fix(Fix::Row(*key, Some(last.place)));
            }
            None if !facts.holes.is_empty() => {}
            None => {
                self.damage("row", place_of(key), "the log does not have it");
                self.fix(Fix::Row(*key, None));
            }
        }
        Ok(())
    }

    /// A row of the log that the index does not have.
    fn absent(&mut self, record: [u8; ROW_RECORD], comparison: &mut Comparison<'_, '_>) -> Result<()> {
        let Some(first) = RowRecord::decode(&record) else { return Ok(()) };
        let mut records = vec![first];
        while let Some(record) = comparison.merged.next_if(|next| next.get(..32) == record.get(..32))? {
            records.extend(RowRecord::decode(&record));
        }
        self.snapshots_of(&first.key, &records, comparison.facts);
        if let Some(last) = records.last().filter(|last| last.kind != RowKind::Delete) {
            comparison.suspects.insert(first.key, last.place);
        }
        Ok(())
    }

    /// A snapshot has a row as the batches before it left it, or not at all.
    fn snapshots_of(&mut self, key: &Key, records: &[RowRecord], facts: &LogFacts<'_>) {
        for frame in facts.frames.covering(key) {
            let at = |record: &RowRecord| LogPlace { segment: record.place.segment, offset: record.place.offset };
            let before = records.iter().rev().find(|record| at(record) < frame);
            let here = records.iter().find(|record| at(record) == frame);
            let fits = match (before, here) {
                (Some(before), Some(here)) => before.kind != RowKind::Delete && before.digest == here.digest,
                (Some(before), None) => before.kind == RowKind::Delete,
                (None, _) => true,
            };
            if !fits && facts.holes.is_empty() {
                let what = format!("the snapshot at segment {}, offset {} has another", frame.segment, frame.offset);
                self.damage("snapshot", place_of(key), what);
            }
        }
    }

    /// Rows that looked missing: those that a batch since has deleted are as they should be.
    fn settle_suspects(&mut self, comparison: &mut Comparison<'_, '_>) -> Result<()> {
        let engine = self.engine;
        let mut suspects = std::mem::take(&mut comparison.suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        let now = {
            let _still = engine.apply.read();
            let mut there = std::collections::HashSet::new();
            for key in suspects.keys() {
                if engine.rows.get(key)?.is_some() {
                    there.insert(*key);
                }
            }
            suspects.retain(|key, _| !there.contains(key));
            engine.progress.lock().applied
        };
        let from = comparison.facts.until;
        for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
            if number < from.segment || number > now.segment || suspects.is_empty() {
                continue;
            }
            let Some(segment) = open_segment(self.engine, number)? else { continue };
            let start = if number == from.segment { from.offset } else { crate::log::segment::SEGMENT_START };
            let end = if number == now.segment { now.offset } else { segment.file.len()? };
            walk_each(&segment, start, end, Bodies::Skip, &mut |piece, payload| {
                if let (Piece::Frame { header, .. }, Some(payload)) = (piece, payload)
                    && header.kind == FrameKind::Batch
                    && let Some((_, changes)) = decode_batch(&payload)
                {
                    changes.iter().filter(|(_, value)| value.is_none()).for_each(|(key, _)| {
                        suspects.remove(key);
                    });
                }
                Ok::<(), crate::StoreError>(())
            })?;
        }
        for (key, place) in suspects {
            self.damage("row", place_of(&key), "the log has it, the index does not");
            self.fix(Fix::Row(key, Some(place)));
        }
        Ok(())
    }

    /// The row that a frame has at a place.
    fn late_row<'c>(&self, place: RowPlace, comparison: &'c mut Comparison<'_, '_>) -> Result<Option<&'c FrameRow>> {
        let at = LogPlace { segment: place.segment, offset: place.offset };
        let late = &mut comparison.late;
        if late.at != Some(at) {
            late.rows = frame_rows(self.engine, at)?;
            late.at = Some(at);
        }
        Ok(late.rows.get(place.row as usize))
    }

    /// Takes down what bodies are where, and who uses them.
    fn take(&mut self, key: &Key, place: RowPlace, value: &[u8], out: &mut RowFacts<'_>) -> Result<()> {
        match key.table() {
            Some(Table::Message) => {
                if let Some(row) = MessageRow::decode(value) {
                    out.uses.push(Use::new(row.body, UseKind::Message, place))?;
                }
            }
            Some(Table::Queue) => {
                if let Some(row) = QueueRow::decode(value) {
                    out.uses.push(Use::new(row.body, UseKind::Queue, place))?;
                }
            }
            Some(Table::SearchSegment) => {
                if let Some(row) = SearchRow::decode(value) {
                    out.uses.push(Use::new(row.body, UseKind::Message, place))?;
                }
            }
            Some(Table::Body) => {
                if let Some(row) = BodyRow::decode(value) {
                    let body = pli_types::BodyId::new(key.number(1));
                    let mut counted = Use::new(body, UseKind::Row, place);
                    (counted.messages, counted.queued) = (row.messages, row.queued);
                    out.uses.push(counted)?;
                    out.bodies.push(wanted(key, &row).encode(), &keep_all)?;
                }
            }
            Some(Table::Gone) => {
                if let Some(row) = GoneRow::decode(value) {
                    out.bodies.push(wanted(key, &row.body).encode(), &keep_all)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where a row says that its body is.
pub(super) fn wanted(key: &Key, row: &BodyRow) -> BodyRecord {
    BodyRecord {
        place: LogPlace { segment: row.segment, offset: row.offset },
        is_frame: false,
        body: key.number(1),
        length: row.length,
        digest: row.sealed_digest.first_chunk().copied().unwrap_or_default(),
    }
}

/// A row in words.
pub(super) fn place_of(key: &Key) -> String {
    let table = key.table().map_or_else(String::new, |table| format!("{table:?} "));
    format!("{table}{}", crate::codec::to_hex(key.get(1..).unwrap_or_default()))
}

/// A segment that may have been dropped meanwhile.
pub(super) fn open_segment(engine: &Engine, number: u32) -> Result<Option<Segment>> {
    let (disk, dir) = (&*engine.env.disk, engine.segments_dir());
    match Segment::open(disk, &dir, &engine.keys, number, pli_io::OpenMode::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => Ok(other?),
    }
}

/// The rows of the frame at a place; none if it does not authenticate.
pub(crate) fn frame_rows(engine: &Engine, at: LogPlace) -> Result<Vec<FrameRow>> {
    let Some(segment) = open_segment(engine, at.segment)? else { return Ok(Vec::new()) };
    let Some((header, payload, _)) = read_frame(&segment, at.offset, segment.file.len()?)? else {
        return Ok(Vec::new());
    };
    let rows = match header.kind {
        FrameKind::Batch => decode_batch(&payload)
            .map(|(_, rows)| rows.into_iter().map(|(key, value)| (key, value.map(<[u8]>::to_vec))).collect()),
        FrameKind::Snapshot => decode_snapshot(&payload)
            .map(|(_, rows)| rows.into_iter().map(|(key, value)| (key, Some(value.to_vec()))).collect()),
        _ => None,
    };
    Ok(rows.unwrap_or_default())
}
