//! Rows about the log itself: bodies that are gone and kept for a while, segments that were dropped, snapshot rounds.

use pli_types::UnixMillis;

use super::Row;
use super::mail::BodyRow;
use crate::codec::{Reader, Writer};
use crate::log::segment::SegmentEnd;

/// A body that nothing refers to any more: its bytes stay until the retention window is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoneRow {
    /// When its last reference went.
    pub(crate) time: UnixMillis,
    /// The row as it was, without references.
    pub(crate) body: BodyRow,
}

impl Row for GoneRow {
    const NAME: &'static str = "gone body";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.i64(self.time.0).raw(&self.body.encode());
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        Some(Self { time: UnixMillis(r.i64()?), body: BodyRow::decode(r.rest())? })
    }
}

/// A segment whose live bytes were moved and whose file was removed: what its successor's header says of it stays
/// provable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedRow {
    /// When.
    pub(crate) time: UnixMillis,
    /// How it ended; its number is the row's key.
    pub(crate) end: SegmentEnd,
    /// How the segment before it ended, as its header said.
    pub(crate) previous: SegmentEnd,
}

fn write_end(w: &mut Writer, end: SegmentEnd) {
    w.u32(end.number).u64(end.length).u64(end.sequence).raw(&end.hash);
}

fn read_end(r: &mut Reader<'_>) -> Option<SegmentEnd> {
    Some(SegmentEnd { number: r.u32()?, length: r.u64()?, sequence: r.u64()?, hash: r.array()? })
}

impl Row for DroppedRow {
    const NAME: &'static str = "dropped segment";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.i64(self.time.0);
        write_end(&mut w, self.end);
        write_end(&mut w, self.previous);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { time: UnixMillis(r.i64()?), end: read_end(&mut r)?, previous: read_end(&mut r)? };
        r.end().map(|()| row)
    }
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPlace {
    /// Segment number.
    pub(crate) segment: u32,
    /// Byte offset of a frame.
    pub(crate) offset: u64,
}

/// A complete snapshot round: together its frames hold every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundRow {
    /// Its first frame.
    pub(crate) start: LogPlace,
    /// Its last frame.
    pub(crate) end: LogPlace,
    /// When it began.
    pub(crate) began: UnixMillis,
    /// When it ended.
    pub(crate) ended: UnixMillis,
    /// Bytes of its frames.
    pub(crate) bytes: u64,
}

impl Row for RoundRow {
    const NAME: &'static str = "snapshot round";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u32(self.start.segment).u64(self.start.offset).u32(self.end.segment).u64(self.end.offset);
        w.i64(self.began.0).i64(self.ended.0).u64(self.bytes);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            start: LogPlace { segment: r.u32()?, offset: r.u64()? },
            end: LogPlace { segment: r.u32()?, offset: r.u64()? },
            began: UnixMillis(r.i64()?),
            ended: UnixMillis(r.i64()?),
            bytes: r.u64()?,
        };
        r.end().map(|()| row)
    }
}
