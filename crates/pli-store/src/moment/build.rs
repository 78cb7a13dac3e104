//! Replays the log up to a moment, and keeps one account's rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use pli_io::OpenMode;
use pli_types::{AccountId, BodyId, UnixMillis};

use super::Moment;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::index::memory::MemoryIndex;
use crate::index::{Index, IndexError};
use crate::log::batch::decode_batch;
use crate::log::frame::FrameKind;
use crate::log::segment::{SEGMENT_START, Segment};
use crate::log::walk::{read_frame, read_header, resume};
use crate::open::list_segments;
use crate::rows::log::LogPlace;
use crate::rows::mail::MessageRow;
use crate::rows::{Key, Row, RowStore, Table, keys};

/// What a row costs in the map besides its bytes.
const ROW_BYTES: u64 = 96;

/// Makes the moment.
pub(super) fn build(engine: &Engine, account: AccountId, at: UnixMillis) -> Result<Moment, StoreError> {
    let mut replay = Replay::new(engine, account);
    let segments = segments(engine, LogPlace { segment: 0, offset: SEGMENT_START })?;
    replay.run(&segments, at)?;
    let bytes = replay
        .rows
        .iter()
        .map(|(key, value)| (key.len() as u64).saturating_add(value.len() as u64).saturating_add(ROW_BYTES))
        .fold(0, u64::saturating_add);
    let index = MemoryIndex::default();
    let rows = replay.rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
    index.apply(rows).map_err(|error: IndexError| StoreError::Stopped(error.to_string()))?;
    let rows = RowStore::plain(Arc::new(index), Arc::clone(&engine.keys));
    Ok(Moment { account, at, rows, bytes, is_whole: replay.is_whole })
}

/// A part of the log.
struct Stretch {
    segment: Segment,
    from: u64,
    until: u64,
}

/// The log from a place on, as far as the index has it.
fn segments(engine: &Engine, start: LogPlace) -> io::Result<Vec<Stretch>> {
    let applied = engine.progress.lock().applied;
    let (disk, dir) = (&*engine.env.disk, engine.segments_dir());
    let mut segments = Vec::new();
    for number in list_segments(disk, &dir)? {
        if number < start.segment || number > applied.segment {
            continue;
        }
        match Segment::open(disk, &dir, &engine.keys, number, OpenMode::Read) {
            Ok(Some(segment)) => segments.push(segment),
            Ok(None) => tracing::error!(segment = number, "a segment's header is damaged; its frames cannot be read"),
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
    Ok(stretches)
}

/// Row changes of one batch, as far as they matter.
type Changes = Vec<(Key, Option<Vec<u8>>)>;

struct Replay<'a> {
    engine: &'a Engine,
    account: AccountId,
    rows: BTreeMap<Key, Vec<u8>>,
    /// Mailboxes that the account ever had.
    mailboxes: HashSet<u64>,
    /// Bodies that its messages ever used, and whether their row of that time is all there is.
    bodies: HashMap<BodyId, Option<bool>>,
    is_whole: bool,
}

impl<'a> Replay<'a> {
    fn new(engine: &'a Engine, account: AccountId) -> Self {
        let (rows, mailboxes, bodies) = (BTreeMap::new(), HashSet::new(), HashMap::new());
        Self { engine, account, rows, mailboxes, bodies, is_whole: true }
    }

    /// Everything up to the last batch whose time is not later than `at`. A clock that was set back leaves later times
    /// before earlier ones: they count, as all that stands before that batch.
    fn run(&mut self, stretches: &[Stretch], at: UnixMillis) -> Result<(), StoreError> {
        let last = stretches.iter().rposition(|stretch| stretch.segment.header.created <= at).unwrap_or(0);
        for (index, stretch) in stretches.iter().enumerate().take(last.saturating_add(1)) {
            let mut waiting: Vec<Changes> = Vec::new();
            self.walk(stretch, |replay, time, changes| {
                if index < last {
                    replay.apply(changes);
                } else {
                    // Only what a batch in time follows counts.
                    waiting.push(changes);
                    if time <= at {
                        waiting.drain(..).for_each(|changes| replay.apply(changes));
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Visits the batches of a stretch; bodies are passed over by their headers.
    fn walk(
        &mut self,
        stretch: &Stretch,
        mut visit: impl FnMut(&mut Self, UnixMillis, Changes),
    ) -> Result<(), StoreError> {
        let Stretch { segment, until, .. } = stretch;
        let until = *until;
        let mut offset = stretch.from;
        while offset < until {
            let Some(header) = read_header(segment, offset, until)? else {
                offset = self.damaged(segment, offset, until)?;
                continue;
            };
            let next = offset.saturating_add(header.frame_bytes());
            match header.kind {
                FrameKind::Batch => match self.batch(segment, offset, until)? {
                    Some((time, changes)) => visit(self, time, changes),
                    None => {
                        offset = self.damaged(segment, offset, until)?;
                        continue;
                    }
                },
                // A length that does not lead to a frame is not believed.
                _ if next < until && read_header(segment, next, until)?.is_none() => {
                    if read_frame(segment, offset, until)?.is_none() {
                        offset = self.damaged(segment, offset, until)?;
                        continue;
                    }
                }
                _ => {}
            }
            offset = next;
        }
        Ok(())
    }

    fn damaged(&mut self, segment: &Segment, offset: u64, until: u64) -> Result<u64, StoreError> {
        tracing::error!(segment = segment.header.number, offset, "a frame is damaged; what it holds is missing");
        self.is_whole = false;
        Ok(resume(segment, offset, until)?)
    }

    fn batch(
        &mut self,
        segment: &Segment,
        offset: u64,
        until: u64,
    ) -> Result<Option<(UnixMillis, Changes)>, StoreError> {
        let Some((_, payload, _)) = read_frame(segment, offset, until)? else { return Ok(None) };
        let Some((time, rows)) = decode_batch(&payload) else { return Ok(None) };
        let mut changes = Changes::new();
        for (key, value) in rows {
            if self.wants(&key, value)? {
                changes.push((key, value.map(<[u8]>::to_vec)));
            }
        }
        Ok(Some((time, changes)))
    }

    fn apply(&mut self, changes: Changes) {
        for (key, value) in changes {
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
