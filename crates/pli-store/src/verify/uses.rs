//! Invariant 8: a body has as many references as it counts, and its place holds its frame.

use std::collections::{BTreeMap, HashMap, HashSet};

use pli_crypto::sha256;
use pli_types::BodyId;

use super::log::{BODY_RECORD, BodyRecord, fill};
use super::rows::{place_of, wanted};
use super::sort::{Merged, Scratch, Sorter, keep_all};
use super::{Check, Fix, Result};
use crate::codec::Reader;
use crate::index::Next;
use crate::limits::{DAMAGE_LISTED_MAX, VERIFY_TRIES_MAX};
use crate::log::frame::FrameKind;
use crate::log::walk::read_frame;
use crate::log::writer::Position;
use crate::model_queue::QueueRow;
use crate::rows::log::GoneRow;
use crate::rows::mail::{BodyRow, MessageRow};
use crate::rows::search::SearchRow;
use crate::rows::{Key, RowPlace, Table, decode, keys};

/// Body, kind, counts, place of the row.
const USE_RECORD: usize = 8 + 1 + 8 + 12;

/// Who speaks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum UseKind {
    /// Its own row, with what it counts.
    Row = 0,
    Message = 1,
    Queue = 2,
}

/// A row that speaks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    body: BodyId,
    kind: UseKind,
    pub(super) messages: u32,
    pub(super) queued: u32,
    place: RowPlace,
}

impl Use {
    pub(super) const fn new(body: BodyId, kind: UseKind, place: RowPlace) -> Self {
        Self { body, kind, messages: 0, queued: 0, place }
    }
    fn encode(&self) -> [u8; USE_RECORD] {
        let mut out = [0; USE_RECORD];
        let parts: [&[u8]; 6] = [
            &self.body.get().to_be_bytes(),
            &[self.kind as u8],
            &self.messages.to_be_bytes(),
            &self.queued.to_be_bytes(),
            &self.place.segment.to_be_bytes(),
            &self.place.offset.to_be_bytes(),
        ];
        fill(&mut out, &parts);
        out
    }
    fn decode(bytes: &[u8; USE_RECORD]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let body = BodyId::new(r.u64()?);
        let kind = match r.u8()? {
            0 => UseKind::Row,
            1 => UseKind::Message,
            _ => UseKind::Queue,
        };
        let (messages, queued) = (r.u32()?, r.u32()?);
        let place = RowPlace { segment: r.u32()?, offset: r.u64()?, row: 0 };
        Some(Self { body, kind, messages, queued, place })
    }
}

/// Rows that speak of bodies, as the index was read.
pub(super) struct Uses<'a> {
    pub(super) scratch: &'a Scratch,
    sorter: Sorter<'a, USE_RECORD>,
    /// Where the log was when the reading began: a row from before it did not change meanwhile.
    since: Position,
}

impl<'a> Uses<'a> {
    pub(super) fn new(scratch: &'a Scratch, since: Position) -> Self {
        Self { scratch, sorter: Sorter::new(scratch), since }
    }
    pub(super) fn push(&mut self, one: Use) -> Result<()> {
        Ok(self.sorter.push(one.encode(), &keep_all)?)
    }
}

fn is_before(place: RowPlace, since: Position) -> bool {
    (place.segment, place.offset) < (since.segment, since.offset)
}

/// What is counted of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    row: Option<(u32, u32, RowPlace)>,
    messages: u32,
    queued: u32,
}

impl Counted {
    fn add(&mut self, one: &Use) {
        match one.kind {
            UseKind::Row => self.row = Some((one.messages, one.queued, one.place)),
            UseKind::Message => self.messages = self.messages.saturating_add(1),
            UseKind::Queue => self.queued = self.queued.saturating_add(1),
        }
    }
    fn fits(&self) -> bool {
        let used = (self.messages, self.queued);
        match self.row {
            Some((messages, queued, _)) => (messages, queued) == used && used != (0, 0),
            None => used == (0, 0),
        }
    }
}

impl Check<'_, '_> {
    /// The references of all bodies.
    pub(super) fn uses(&mut self, uses: Uses<'_>) -> Result<()> {
        let Uses { sorter, since, .. } = uses;
        let mut merged: Merged<USE_RECORD> = sorter.finish(&keep_all)?;
        let mut doubtful: BTreeMap<BodyId, Counted> = BTreeMap::new();
        while let Some(record) = merged.next()? {
            self.meter.spend(USE_RECORD as u64)?;
            let Some(first) = Use::decode(&record) else { continue };
            let mut counted = Counted::default();
            counted.add(&first);
            while let Some(record) = merged.next_if(|next| next.get(..8) == record.get(..8))? {
                if let Some(one) = Use::decode(&record) {
                    counted.add(&one);
                }
            }
            if counted.fits() {
                continue;
            }
            if doubtful.len() < DAMAGE_LISTED_MAX {
                doubtful.insert(first.body, counted);
            } else if counted.row.is_some_and(|(_, _, place)| is_before(place, since)) {
                self.wrong_count(first.body, &counted);
            }
        }
        self.look_again(doubtful)
    }

    /// Bodies that may have changed while they were counted: counted again, without anybody's waiting.
    fn look_again(&mut self, doubtful: BTreeMap<BodyId, Counted>) -> Result<()> {
        let mut left: HashSet<BodyId> = doubtful.into_keys().collect();
        // Search segments, which go without a gone row; looked at once more before one is said to lack its body.
        let (mut segments, mut missed) = (HashSet::new(), HashSet::new());
        for _ in 0..VERIFY_TRIES_MAX {
            if left.is_empty() {
                return Ok(());
            }
            let since = self.engine.progress.lock().applied;
            let mut counted: HashMap<BodyId, Counted> = left.iter().map(|body| (*body, Counted::default())).collect();
            let rows = &self.engine.rows;
            rows.scan(&Key::new(Table::Message), None, |_, value| {
                if let Some(counted) = counted.get_mut(&decode::<MessageRow>(&value)?.body) {
                    counted.messages = counted.messages.saturating_add(1);
                }
                Ok(Next::More)
            })?;
            rows.scan(&Key::new(Table::Queue), None, |_, value| {
                if let Some(counted) = counted.get_mut(&decode::<QueueRow>(&value)?.body) {
                    counted.queued = counted.queued.saturating_add(1);
                }
                Ok(Next::More)
            })?;
            rows.scan(&Key::new(Table::SearchSegment), None, |_, value| {
                let row: SearchRow = decode(&value)?;
                if let Some(counted) = counted.get_mut(&row.body) {
                    counted.messages = counted.messages.saturating_add(1);
                    segments.insert(row.body);
                }
                Ok(Next::More)
            })?;
            for (body, mut counted) in counted {
                let key = keys::body(body);
                let sealed = rows.index().get(&key).map_err(|error| rows.fail(&error))?;
                let opened = sealed.and_then(|sealed| rows.open_quietly(&key, &sealed));
                if let Some((place, value)) = opened {
                    let row: BodyRow = decode(&value)?;
                    counted.row = Some((row.messages, row.queued, place));
                    if !is_before(place, since) {
                        continue;
                    }
                } else if counted.messages > 0 && rows.get(&keys::gone(body))?.is_some() {
                    // It may have gone while its messages were counted.
                    let gone = rows.index().get(&keys::gone(body)).map_err(|error| rows.fail(&error))?;
                    let place = gone.and_then(|sealed| rows.open_quietly(&keys::gone(body), &sealed));
                    if place.is_some_and(|(place, _)| !is_before(place, since)) {
                        continue;
                    }
                }
                if counted.row.is_none() && segments.contains(&body) && missed.insert(body) {
                    continue;
                }
                left.remove(&body);
                if !counted.fits() {
                    self.wrong_count(body, &counted);
                }
            }
        }
        self.report.undecided = self.report.undecided.saturating_add(left.len() as u64);
        Ok(())
    }

    fn wrong_count(&mut self, body: BodyId, counted: &Counted) {
        let used = (counted.messages, counted.queued);
        match counted.row {
            Some((messages, queued, _)) => {
                let what = format!(
                    "used by {} messages and {} queue entries, counted {messages} and {queued}",
                    used.0, used.1
                );
                self.damage("count", format!("body {body}"), what);
                self.fix(Fix::BodyCounts { body, messages: used.0, queued: used.1 });
            }
            None => {
                self.damage("count", format!("body {body}"), "messages use it and it has no row");
                self.bad.insert(body);
                self.fix(Fix::LostBody { body, messages: used.0, queued: used.1 });
            }
        }
    }

    /// Whether the place of each body holds its frame, with the SHA-256 that its row has.
    pub(super) fn places(&mut self, bodies: Sorter<'_, BODY_RECORD>) -> Result<()> {
        let mut merged = bodies.finish(&keep_all)?;
        let mut frame: Option<BodyRecord> = None;
        while let Some(record) = merged.next()? {
            self.meter.spend(BODY_RECORD as u64)?;
            let Some(record) = BodyRecord::decode(&record) else { continue };
            if record.is_frame {
                frame = Some(record);
                continue;
            }
            let expected = BodyRecord { is_frame: true, ..record };
            if frame != Some(expected) {
                self.place(BodyId::new(record.body))?;
            } else {
                self.report.bodies = self.report.bodies.saturating_add(1);
            }
        }
        Ok(())
    }

    /// One body that was not where its row says: it may be new, have moved, or have gone since.
    fn place(&mut self, body: BodyId) -> Result<()> {
        for _ in 0..VERIFY_TRIES_MAX {
            let rows = &self.engine.rows;
            let row = match rows.load::<BodyRow>(&keys::body(body))? {
                Some(row) => Some(row),
                None => rows.load::<GoneRow>(&keys::gone(body))?.map(|gone| gone.body),
            };
            // Gone for good since.
            let Some(row) = row else { return Ok(()) };
            if self.holds(body, &row)? {
                self.report.bodies = self.report.bodies.saturating_add(1);
                return Ok(());
            }
            let same =
                |now: Option<BodyRow>| now.is_some_and(|now| (now.segment, now.offset) == (row.segment, row.offset));
            let gone = |gone: GoneRow| gone.body;
            if same(rows.load(&keys::body(body))?) || same(rows.load(&keys::gone(body))?.map(gone)) {
                let place = place_of(&keys::body(body));
                if self.bad.insert(body) {
                    tracing::debug!(%body, %place, "a body's frame is damaged");
                }
                return Ok(());
            }
        }
        self.report.undecided = self.report.undecided.saturating_add(1);
        Ok(())
    }

    /// Whether the frame at a row's place is the body's.
    fn holds(&self, body: BodyId, row: &BodyRow) -> Result<bool> {
        let Some(segment) = super::rows::open_segment(self.engine, row.segment)? else { return Ok(false) };
        let length = segment.file.len()?;
        let read = match read_frame(&segment, row.offset, length) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
            other => other?,
        };
        let Some((header, payload, _)) = read else { return Ok(false) };
        let found = BodyRecord {
            is_frame: false,
            place: crate::rows::log::LogPlace { segment: row.segment, offset: row.offset },
            body: Reader::new(payload.get(8..).unwrap_or_default()).u64().unwrap_or(0),
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            digest: sha256(&payload).first_chunk().copied().unwrap_or_default(),
        };
        Ok(header.kind == FrameKind::Body && found == wanted(&keys::body(body), row))
    }
}
