//! Replays the log up to a moment, and keeps one account's rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use pli_io::OpenMode;
use pli_types::{AccountId, BodyId, UnixMillis};

use super::Moment;
use super::snapshots::Snapshots;
use crate::engine::Engine;
use crate::error::{PastError, StoreError};
use crate::index::memory::MemoryIndex;
use crate::index::{Index, IndexError};
use crate::log::batch::decode_batch;
use crate::log::frame::FrameKind;
use crate::log::segment::{SEGMENT_START, Segment};
use crate::log::snapshot::decode_snapshot;
use crate::log::walk::{read_frame, read_header, resume};
use crate::open::list_segments;
use crate::rows::log::{LogPlace, RoundRow};
use crate::rows::mail::MessageRow;
use crate::rows::{Key, Row, RowStore, Table, keys};

/// What a row costs in the map besides its bytes.
const ROW_BYTES: u64 = 96;

/// Makes the moment: from the newest snapshot round that had ended by then, else from the log's beginning.
pub(super) fn build(engine: &Engine, account: AccountId, at: UnixMillis) -> Result<Moment, StoreError> {
    let mut rounds = engine.rows.list::<RoundRow>(&Key::new(Table::Round))?;
    rounds.retain(|(_, round)| round.ended <= at);
    for (_, round) in rounds.into_iter().rev() {
        if let Some(moment) = from(engine, account, at, Some(round))? {
            return Ok(moment);
        }
    }
    match from(engine, account, at, None)? {
        Some(moment) => Ok(moment),
        // Its beginning is gone, and no round is as old.
        None => {
            let rounds = engine.rows.list::<RoundRow>(&Key::new(Table::Round))?;
            let earliest = rounds.first().map_or_else(|| engine.now(), |(_, round)| round.ended);
            Err(PastError::TooOld { earliest }.into())
        }
    }
}

/// The same from one base; `None` if the log does not have all that it takes.
fn from(
    engine: &Engine,
    account: AccountId,
    at: UnixMillis,
    round: Option<RoundRow>,
) -> Result<Option<Moment>, StoreError> {
    let start = round.map_or(LogPlace { segment: 1, offset: SEGMENT_START }, |round| round.start);
    let (mut stretches, damaged) = segments(engine, start)?;
    // An empty log has no segment yet.
    if stretches.first().is_some_and(|first| first.segment.header.number != start.segment) {
        return Ok(None);
    }
    let last = stretches.iter().rposition(|stretch| stretch.segment.header.created <= at).unwrap_or(0);
    stretches.truncate(last.saturating_add(1));
    // A segment between that was dropped takes its changes with it; one whose header is damaged leaves a hole.
    let follows = |(a, b): (&Stretch, &Stretch)| b.segment.header.previous.number == a.segment.header.number;
    let is_whole = stretches.iter().zip(stretches.iter().skip(1)).all(follows);
    if !is_whole && !damaged {
        return Ok(None);
    }
    let mut replay = Replay::new(engine, account, round);
    replay.is_whole = is_whole;
    let end = replay.run(&stretches, at)?;
    // A clock that was set back: the round is not all there by then.
    if round.is_some_and(|round| end < round.end) {
        return Ok(None);
    }
    let bytes = replay
        .rows
        .iter()
        .map(|(key, value)| (key.len() as u64).saturating_add(value.len() as u64).saturating_add(ROW_BYTES))
        .fold(0, u64::saturating_add);
    let index = MemoryIndex::default();
    let rows = replay.rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
    index.apply(rows).map_err(|error: IndexError| StoreError::Stopped(error.to_string()))?;
    let rows = RowStore::plain(Arc::new(index), Arc::clone(&engine.keys));
    Ok(Some(Moment { account, at, rows, bytes, is_whole: replay.is_whole }))
}

/// A part of the log.
pub(super) struct Stretch {
    pub(super) segment: Segment,
    from: u64,
    pub(super) until: u64,
}

/// The log from a place on, as far as the index has it; and whether a segment in it has no header that is whole.
fn segments(engine: &Engine, start: LogPlace) -> io::Result<(Vec<Stretch>, bool)> {
    let applied = engine.progress.lock().applied;
    let (disk, dir) = (&*engine.env.disk, engine.segments_dir());
    let mut segments = Vec::new();
    let mut damaged = false;
    for number in list_segments(disk, &dir)? {
        if number < start.segment || number > applied.segment {
            continue;
        }
        match Segment::open(disk, &dir, &engine.keys, number, OpenMode::Read) {
            Ok(Some(segment)) => segments.push(segment),
            Ok(None) => {
                tracing::error!(segment = number, "a segment's header is damaged; its frames cannot be read");
                damaged = true;
            }
            // Dropped since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let ends: HashMap<u32, u64> =
        segments.iter().map(|segment| (segment.header.previous.number, segment.header.previous.length)).collect();
    let mut stretches = Vec::with_capacity(segments.len());
    for segment in segments {
        let number = segment.header.number;
        let length = segment.file.len()?;
        // What stands behind the end that its successor names is not part of the log.
        let until = if number == applied.segment { applied.offset } else { *ends.get(&number).unwrap_or(&length) };
        let from = if number == start.segment { start.offset } else { SEGMENT_START };
        stretches.push(Stretch { from, until: until.min(length), segment });
    }
    Ok((stretches, damaged))
}

/// A frame that may change rows.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) stretch: usize,
    pub(super) place: LogPlace,
    pub(super) kind: FrameKind,
}

/// Row changes of one frame, as far as they matter.
#[derive(Default)]
struct Changes {
    /// A snapshot's range: whatever rows there are in it go first.
    range: Option<(Vec<u8>, Vec<u8>)>,
    rows: Vec<(Key, Option<Vec<u8>>)>,
}

struct Replay<'a> {
    engine: &'a Engine,
    account: AccountId,
    round: Option<RoundRow>,
    rows: BTreeMap<Key, Vec<u8>>,
    /// Mailboxes that the account ever had.
    mailboxes: BTreeSet<u64>,
    /// Bodies that its messages ever used, and whether their row of that time is all there is.
    bodies: HashMap<BodyId, Option<bool>>,
    is_whole: bool,
}

impl<'a> Replay<'a> {
    fn new(engine: &'a Engine, account: AccountId, round: Option<RoundRow>) -> Self {
        let (rows, mailboxes, bodies) = (BTreeMap::new(), BTreeSet::new(), HashMap::new());
        Self { engine, account, round, rows, mailboxes, bodies, is_whole: true }
    }

    /// Everything up to the last batch whose time is not later than `at`; returns its place. A clock that was set back
    /// leaves later times before earlier ones: they count, as all that stands before that batch.
    fn run(&mut self, stretches: &[Stretch], at: UnixMillis) -> Result<LogPlace, StoreError> {
        let frames = self.frames(stretches)?;
        let mut snapshots = Snapshots::new(stretches, &frames, self.round);
        let last = stretches.len().saturating_sub(1);
        let mut waiting: Vec<Changes> = Vec::new();
        let mut end = LogPlace::default();
        for frame in &frames {
            let Some(stretch) = stretches.get(frame.stretch) else { continue };
            let (changes, time) = match frame.kind {
                FrameKind::Snapshot => (self.snapshot(&mut snapshots, frame.place)?, None),
                _ => match self.batch(stretch, frame.place.offset)? {
                    Some((time, changes)) => (Some(changes), Some(time)),
                    None => (None, None),
                },
            };
            waiting.extend(changes);
            // In the last segment only what a batch in time follows counts.
            if frame.stretch < last || time.is_some_and(|time| time <= at) {
                end = frame.place;
                waiting.drain(..).for_each(|changes| self.apply(changes));
            }
        }
        Ok(end)
    }

    /// Where batches and snapshot frames stand. Only headers are read; a length that does not lead to a frame is not
    /// believed.
    fn frames(&mut self, stretches: &[Stretch]) -> Result<Vec<Frame>, StoreError> {
        let mut frames = Vec::new();
        for (number, stretch) in stretches.iter().enumerate() {
            let Stretch { segment, until, .. } = stretch;
            let mut offset = stretch.from;
            while offset < *until {
                let header = read_header(segment, offset, *until)?;
                let next = header.map_or(offset, |header| offset.saturating_add(header.frame_bytes()));
                let leads_on = next >= *until || read_header(segment, next, *until)?.is_some();
                let Some(header) =
                    header.filter(|_| leads_on || matches!(read_frame(segment, offset, *until), Ok(Some(_))))
                else {
                    self.damaged(segment, offset);
                    offset = resume(segment, offset, *until)?;
                    continue;
                };
                if matches!(header.kind, FrameKind::Batch | FrameKind::Snapshot) {
                    let place = LogPlace { segment: segment.header.number, offset };
                    frames.push(Frame { stretch: number, place, kind: header.kind });
                }
                offset = next;
            }
        }
        Ok(frames)
    }

    fn damaged(&mut self, segment: &Segment, offset: u64) {
        tracing::error!(segment = segment.header.number, offset, "a frame is damaged; what it holds is missing");
        self.is_whole = false;
    }

    fn batch(&mut self, stretch: &Stretch, offset: u64) -> Result<Option<(UnixMillis, Changes)>, StoreError> {
        let payload = read_frame(&stretch.segment, offset, stretch.until)?;
        let Some((time, rows)) = payload.as_ref().and_then(|(_, payload, _)| decode_batch(payload)) else {
            self.damaged(&stretch.segment, offset);
            return Ok(None);
        };
        let mut changes = Changes::default();
        for (key, value) in rows {
            if self.wants(&key, value)? {
                changes.rows.push((key, value.map(<[u8]>::to_vec)));
            }
        }
        Ok(Some((time, changes)))
    }

    /// A frame of the round, if it can hold rows of the account.
    fn snapshot(&mut self, snapshots: &mut Snapshots<'_>, place: LogPlace) -> Result<Option<Changes>, StoreError> {
        let Some(number) = snapshots.number(place) else { return Ok(None) };
        let id = self.account.get();
        let own = |table: Table| Key::new(table).u64(id);
        let mut wanted: Vec<Key> = [
            Table::Account,
            Table::AccountState,
            Table::Mailbox,
            Table::MailboxName,
            Table::Subscription,
            Table::Message,
        ]
        .map(own)
        .to_vec();
        wanted.extend(self.mailboxes.iter().map(|mailbox| Key::new(Table::Entries).u64(*mailbox)));
        if !snapshots.may_hold(number, &wanted)? {
            return Ok(None);
        }
        let Some(payload) = snapshots.read(number)? else {
            self.is_whole = false;
            return Ok(None);
        };
        let Some((head, rows)) = decode_snapshot(&payload) else {
            self.is_whole = false;
            return Ok(None);
        };
        let mut changes = Changes { range: Some((head.from, head.to)), rows: Vec::new() };
        for (key, value) in rows {
            // Every body that a moment after a round knows has a row of today or a gone row.
            if key.table() != Some(Table::Body) && self.wants(&key, Some(value))? {
                changes.rows.push((key, Some(value.to_vec())));
            }
        }
        Ok(Some(changes))
    }

    fn apply(&mut self, changes: Changes) {
        if let Some((from, to)) = changes.range {
            self.rows.retain(|key, _| **key < *from || (!to.is_empty() && **key >= *to));
        }
        for (key, value) in changes.rows {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// Whether a row is the account's. Keys ascend within a batch: a mailbox comes before its entries, a message before
    /// its body.
    fn wants(&mut self, key: &Key, value: Option<&[u8]>) -> Result<bool, StoreError> {
        let number = key.number(1);
        let own = number == self.account.get();
        Ok(match key.table() {
            Some(Table::Account | Table::AccountState | Table::MailboxName | Table::Subscription) => own,
            Some(Table::Mailbox) if own => {
                self.mailboxes.insert(key.number(9));
                true
            }
            Some(Table::Entries) => self.mailboxes.contains(&number),
            Some(Table::Message) if own => {
                if let Some(message) = value.and_then(MessageRow::decode) {
                    self.bodies.entry(message.body).or_default();
                }
                true
            }
            Some(Table::Body) => self.is_all_there_is(BodyId::new(number))?,
            _ => false,
        })
    }

    /// Whether a body of the account has neither a row of today nor a gone row.
    fn is_all_there_is(&mut self, body: BodyId) -> Result<bool, StoreError> {
        let Some(known) = self.bodies.get_mut(&body) else { return Ok(false) };
        if let Some(known) = known {
            return Ok(*known);
        }
        let rows = &self.engine.rows;
        let missing = rows.get(&keys::body(body))?.is_none() && rows.get(&keys::gone(body))?.is_none();
        *known = Some(missing);
        Ok(missing)
    }
}
