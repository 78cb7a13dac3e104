//! The one writer of the log: a group of frames is one write and one fdatasync.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use pli_io::{Env, is_out_of_files};
use pli_types::UnixMillis;

use super::ahead::Ahead;
use super::frame::{ALIGN, FRAME_HEADER_BYTES, FrameHeader, FrameKind, chain, frame_bytes, link};
use super::segment::{Footer, SEGMENT_START, Segment, SegmentEnd, segment_path};
use crate::keys::StoreKeys;
use crate::rows::log::LogPlace;

/// A place in the log from which replay can go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Segment number.
    pub(crate) segment: u32,
    /// Byte offset after the last frame.
    pub(crate) offset: u64,
    /// Sequence of the last frame.
    pub(crate) sequence: u64,
    /// Frames of the segment so far.
    pub(crate) frames: u64,
    /// The segment's chained hash so far.
    pub(crate) hash: [u8; 32],
}

/// A body ready to be framed.
pub(crate) struct BodyFrame {
    pub(crate) payload: Arc<Vec<u8>>,
    pub(crate) digest: [u8; 32],
}

/// Why a group is not on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// No room; the log is as it was before.
    #[error("no room")]
    Full,
    /// No file can be opened now; the log is as it was before.
    #[error("no file can be opened")]
    NoFiles,
    /// Nothing is known of what reached the disk: no more commits. A sync that finds no room is such an error too.
    #[error(transparent)]
    Failed(io::Error),
}

struct Current {
    segment: Arc<Segment>,
    at: Position,
    ahead: Ahead,
}

/// The writer.
pub(crate) struct LogWriter {
    env: Env,
    dir: PathBuf,
    keys: Arc<StoreKeys>,
    current: Option<Current>,
    previous: SegmentEnd,
    next_number: u32,
    /// Where the newest complete snapshot round begins; the next segment's header says it.
    pub(crate) base: Option<LogPlace>,
    sequence: u64,
    durable: u64,
    /// Calls of fdatasync.
    pub(crate) syncs: u64,
}

impl LogWriter {
    /// Goes on after `previous`, in a new segment made at the first group: nonces are sequences under a segment's key,
    /// and after a torn tail nobody knows which ones were used.
    pub(crate) fn new(env: Env, dir: PathBuf, keys: Arc<StoreKeys>, previous: SegmentEnd, next_number: u32) -> Self {
        let sequence = previous.sequence;
        Self { env, dir, keys, current: None, previous, next_number, base: None, sequence, durable: sequence, syncs: 0 }
    }

    /// The sequence of the last durable frame.
    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Where the next frame goes. Rolls over to a new segment when this one is long enough.
    pub(crate) fn begin(&mut self, now: UnixMillis, segment_bytes_max: u64) -> Result<(u32, u64), WriteError> {
        if self.current.as_ref().is_some_and(|current| current.at.offset >= segment_bytes_max) {
            self.finish()?;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => self.start_segment(now, segment_bytes_max)?,
        };
        let place = (current.at.segment, current.at.offset);
        self.current = Some(current);
        Ok(place)
    }

    fn start_segment(&mut self, now: UnixMillis, segment_bytes_max: u64) -> Result<Current, WriteError> {
        let number = self.next_number;
        let made = Segment::create(&*self.env.disk, &self.dir, &self.keys, number, self.previous, self.base, now);
        // Nothing stands in it yet, and the next attempt makes it anew: whatever there was no room for is no loss.
        let segment = made.map_err(|error| match error {
            error if is_full(&error) => WriteError::Full,
            error if is_out_of_files(&error) => WriteError::NoFiles,
            error => WriteError::Failed(error),
        })?;
        self.next_number = number.saturating_add(1);
        let hash = segment.header_hash;
        let at = Position { segment: number, offset: SEGMENT_START, sequence: self.sequence, frames: 0, hash };
        let path = segment_path(&self.dir, number);
        let ahead = Ahead::new(Arc::clone(&self.env.disk), path, SEGMENT_START, segment_bytes_max);
        Ok(Current { segment: Arc::new(segment), at, ahead })
    }

    /// Writes bodies, snapshot and batch, and waits until they are on disk. Returns the batch frame's offset and the
    /// place after.
    pub(crate) fn append(
        &mut self,
        bodies: &[BodyFrame],
        snapshot: Option<Vec<u8>>,
        batch: Vec<u8>,
    ) -> Result<(u64, Position), WriteError> {
        let sequence = self.sequence;
        let count = (bodies.len() as u64).saturating_add(snapshot.is_some().into());
        // Numbers of a group that fails are never used again: they were nonces.
        self.sequence = sequence.saturating_add(count).saturating_add(1);
        let durable = self.durable;
        let Some(current) = &mut self.current else {
            return Err(WriteError::Failed(io::Error::other("no segment")));
        };
        let before = current.at;
        let mut frames = GroupFrames::new(before, durable, &current.segment);
        for (body, number) in bodies.iter().zip(sequence.saturating_add(1)..) {
            frames.body(number, body).map_err(WriteError::Failed)?;
        }
        let mut sealed = Vec::with_capacity(2);
        if let Some(snapshot) = snapshot {
            let number = sequence.saturating_add(count);
            sealed.push(frames.sealed(number, FrameKind::Snapshot, snapshot).map_err(WriteError::Failed)?);
        }
        let batch_offset = frames.at.offset;
        sealed.push(frames.sealed(self.sequence, FrameKind::Batch, batch).map_err(WriteError::Failed)?);
        let slices = frames.slices(bodies, &sealed);
        let file = &current.segment.file;
        current.ahead.before(frames.at.offset);
        if let Err(error) = file.write_all_at(&slices, before.offset) {
            current.ahead.stop();
            if is_full(&error) && file.set_len(before.offset).is_ok() {
                return Err(WriteError::Full);
            }
            return Err(WriteError::Failed(error));
        }
        self.syncs = self.syncs.saturating_add(1);
        file.sync_data().map_err(WriteError::Failed)?;
        current.at = frames.at;
        current.ahead.after(frames.at.offset, frames.at.offset.saturating_sub(before.offset));
        self.durable = self.sequence;
        Ok((batch_offset, frames.at))
    }

    /// Seals the current segment with a footer; returns the log's end.
    pub(crate) fn finish(&mut self) -> Result<Position, WriteError> {
        let Some(mut current) = self.current.take() else {
            return Err(WriteError::Failed(io::Error::other("no segment")));
        };
        self.sequence = self.sequence.saturating_add(1);
        let written_ahead = current.ahead.stop();
        let footer = Footer { frames: current.at.frames, hash: current.at.hash }.encode();
        let mut frames = GroupFrames::new(current.at, self.durable, &current.segment);
        let footer = frames.sealed(self.sequence, FrameKind::Footer, footer).map_err(WriteError::Failed)?;
        let footer = [footer];
        let slices = frames.slices(&[], &footer);
        if let Err(error) = current.segment.file.write_all_at(&slices, current.at.offset) {
            // No room for a footer: the segment goes on when there is room again.
            if is_full(&error) && current.segment.file.set_len(current.at.offset).is_ok() {
                self.current = Some(current);
                return Err(WriteError::Full);
            }
            return Err(WriteError::Failed(error));
        }
        // Zeros left over: the successor tells how long the segment is, whether or not they go.
        if written_ahead > frames.at.offset
            && let Err(error) = current.segment.file.set_len(frames.at.offset)
        {
            tracing::warn!(%error, segment = frames.at.segment, "zeros behind a segment's footer could not be cut off");
        }
        self.syncs = self.syncs.saturating_add(1);
        current.segment.file.sync_data().map_err(WriteError::Failed)?;
        self.durable = self.sequence;
        self.previous = SegmentEnd {
            number: frames.at.segment,
            length: frames.at.offset,
            sequence: frames.at.sequence,
            hash: frames.at.hash,
        };
        Ok(frames.at)
    }

    /// The place after the last group.
    pub(crate) fn position(&self) -> Option<Position> {
        self.current.as_ref().map(|current| current.at)
    }
}

/// No room on the file system, or none left for us.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Header and trailer (tag and padding) of the frames of a group.
struct GroupFrames<'a> {
    at: Position,
    durable: u64,
    segment: &'a Segment,
    heads: Vec<[u8; FRAME_HEADER_BYTES]>,
    tails: Vec<Vec<u8>>,
}

impl<'a> GroupFrames<'a> {
    const fn new(at: Position, durable: u64, segment: &'a Segment) -> Self {
        Self { at, durable, segment, heads: Vec::new(), tails: Vec::new() }
    }

    fn header(&self, kind: FrameKind, sequence: u64, payload: &[u8]) -> io::Result<FrameHeader> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        if length > super::frame::FRAME_PAYLOAD_BYTES_MAX {
            return Err(io::Error::other("a frame over its limit"));
        }
        Ok(FrameHeader { kind, length, sequence, durable: self.durable })
    }

    fn body(&mut self, sequence: u64, body: &BodyFrame) -> io::Result<()> {
        let header = self.header(FrameKind::Body, sequence, &body.payload)?;
        let (head, tag) = self.segment.sealer.tag_body(self.at.offset, &header, &body.digest);
        self.push(&header, head, tag, &link(&head, &body.digest, &tag));
        Ok(())
    }

    fn sealed(&mut self, sequence: u64, kind: FrameKind, mut payload: Vec<u8>) -> io::Result<Vec<u8>> {
        let header = self.header(kind, sequence, &payload)?;
        let (head, tag) = self.segment.sealer.seal(self.at.offset, &header, &mut payload);
        let digest = pli_crypto::sha256(&payload);
        self.push(&header, head, tag, &link(&head, &digest, &tag));
        Ok(payload)
    }

    fn push(&mut self, header: &FrameHeader, head: [u8; FRAME_HEADER_BYTES], tag: [u8; 16], link: &[u8; 32]) {
        let size = frame_bytes(u64::from(header.length));
        let unpadded = u64::from(header.length) + FRAME_HEADER_BYTES as u64;
        let mut tail = tag.to_vec();
        tail.resize(usize::try_from(size.saturating_sub(unpadded)).unwrap_or(tag.len() + ALIGN as usize), 0);
        self.heads.push(head);
        self.tails.push(tail);
        self.at.offset = self.at.offset.saturating_add(size);
        self.at.sequence = header.sequence;
        self.at.frames = self.at.frames.saturating_add(1);
        self.at.hash = chain(&self.at.hash, link);
    }

    fn slices<'s>(&'s self, bodies: &'s [BodyFrame], sealed: &'s [Vec<u8>]) -> Vec<IoSlice<'s>> {
        let payloads = bodies.iter().map(|body| body.payload.as_slice()).chain(sealed.iter().map(Vec::as_slice));
        self.heads
            .iter()
            .zip(payloads)
            .zip(&self.tails)
            .flat_map(|((head, payload), tail)| [IoSlice::new(head), IoSlice::new(payload), IoSlice::new(tail)])
            .collect()
    }
}
