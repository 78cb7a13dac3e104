//! Segments: the files of the log, each bound to the one before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pli_crypto::{NONCE_BYTES, TAG_BYTES, random_bytes};
use pli_io::{Disk, DiskFile, OpenMode};
use pli_types::UnixMillis;

use super::frame::FrameSealer;
use crate::codec::{Reader, Writer};
use crate::keys::StoreKeys;
use crate::rows::log::LogPlace;

/// Version of segments, frames and batches. 2 has snapshots, and headers that say where a rebuild may begin.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// The oldest version that is still read.
pub(crate) const FORMAT_OLDEST: u32 = 1;
/// Bytes of one copy of the header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 160;
/// The header stands twice, since without its salt no frame of the segment opens; the first frame follows.
pub(crate) const SEGMENT_START: u64 = 2 * SEGMENT_HEADER_BYTES as u64;
/// A segment that is longer takes no further group: a sixteenth of the whole log, within these. What compaction can
/// leave lying is a share of the segments, so a small store has small ones; a large one has not too many files.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
const SEGMENT_BYTES_MIN: u64 = 16 << 20;

/// How long segments are in a log of so many bytes.
pub(crate) fn segment_bytes(log_bytes: u64) -> u64 {
    (log_bytes / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
}

const MAGIC: [u8; 8] = *b"PLISEG\0\x01";

/// Where the segment before ended: what a torn tail left behind this place is not part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Its number; 0 before the first.
    pub(crate) number: u32,
    /// Its valid bytes.
    pub(crate) length: u64,
    /// The last sequence in it or before it.
    pub(crate) sequence: u64,
    /// Its hash: chained over header and frames.
    pub(crate) hash: [u8; 32],
}

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u32,
    pub(crate) salt: [u8; 32],
    pub(crate) previous: SegmentEnd,
    pub(crate) created: UnixMillis,
    /// The first frame of the newest complete snapshot round: an index is made again from there. None before the first
    /// round, and in format 1.
    pub(crate) base: Option<LogPlace>,
}

impl SegmentHeader {
    fn encode(&self, store: [u8; 16]) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(SEGMENT_HEADER_BYTES));
        w.raw(&MAGIC).u32(FORMAT_VERSION).u32(self.number).raw(&store).raw(&self.salt);
        w.u32(self.previous.number).u32(0).u64(self.previous.length).u64(self.previous.sequence);
        let base = self.base.unwrap_or_default();
        w.raw(&self.previous.hash).i64(self.created.0).u64(base.segment.into()).u64(base.offset);
        w.0
    }
    fn decode(bytes: &[u8], store: [u8; 16]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        if r.array()? != MAGIC || !(FORMAT_OLDEST..=FORMAT_VERSION).contains(&r.u32()?) {
            return None;
        }
        let number = r.u32()?;
        if r.array()? != store {
            return None;
        }
        let salt = r.array()?;
        let previous_number = r.u32()?;
        r.u32()?;
        let previous = SegmentEnd { number: previous_number, length: r.u64()?, sequence: r.u64()?, hash: r.array()? };
        let created = UnixMillis(r.i64()?);
        let base = LogPlace { segment: u32::try_from(r.u64()?).ok()?, offset: r.u64()? };
        r.end()?;
        let base = (base.segment > 0).then_some(base);
        Some(Self { number, salt, previous, created, base })
    }
}

/// No frame has this nonce: sequences leave the first four bytes zero.
const HEADER_NONCE: [u8; NONCE_BYTES] = [0xff; NONCE_BYTES];

/// An open segment.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    /// The chained hash with only the header in it.
    pub(crate) header_hash: [u8; 32],
    pub(crate) sealer: FrameSealer,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// File name of a segment.
pub(crate) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

/// Number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

impl Segment {
    /// Makes the file with its header. Durable with the first group's sync and the folder's.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        keys: &StoreKeys,
        number: u32,
        previous: SegmentEnd,
        base: Option<LogPlace>,
        now: UnixMillis,
    ) -> std::io::Result<Self> {
        let salt = random_bytes().map_err(std::io::Error::other)?;
        let header = SegmentHeader { number, salt, previous, created: now, base };
        let sealer = FrameSealer { store: keys.id, segment: number, key: keys.segment(number, &salt) };
        let mut bytes = header.encode(keys.id.0);
        let tag = sealer.key.tag_only(HEADER_NONCE, &bytes);
        bytes.extend_from_slice(&tag);
        let path = segment_path(dir, number);
        // A file left by a crash before its first group was durable holds nothing.
        if disk.exists(&path) {
            disk.remove(&path)?;
        }
        let file = disk.open(&path, OpenMode::CreateNew)?;
        file.write_all_at(&[std::io::IoSlice::new(&bytes), std::io::IoSlice::new(&bytes)], 0)?;
        file.sync_data()?;
        disk.sync_dir(dir)?;
        Ok(Self { header_hash: pli_crypto::sha256(&bytes), header, sealer, file })
    }

    /// Opens the file and authenticates its header; `None` if neither copy is whole.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        keys: &StoreKeys,
        number: u32,
        mode: OpenMode,
    ) -> std::io::Result<Option<Self>> {
        let file = disk.open(&segment_path(dir, number), mode)?;
        for copy in 0..2 {
            let offset = copy * SEGMENT_HEADER_BYTES as u64;
            if file.len()? < offset + SEGMENT_HEADER_BYTES as u64 {
                break;
            }
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            file.read_exact_at(&mut bytes, offset)?;
            if let Some((header, sealer)) = Self::authenticate(&bytes, keys, number) {
                return Ok(Some(Self { header_hash: pli_crypto::sha256(&bytes), header, sealer, file }));
            }
        }
        Ok(None)
    }

    /// Whether both copies of the header are whole.
    pub(crate) fn both_headers(&self, keys: &StoreKeys) -> std::io::Result<bool> {
        let mut bytes = [0; 2 * SEGMENT_HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        let (first, second) = bytes.split_at(SEGMENT_HEADER_BYTES);
        let whole = |copy: &[u8]| {
            copy.first_chunk().is_some_and(|copy| Self::authenticate(copy, keys, self.header.number).is_some())
        };
        Ok(whole(first) && whole(second))
    }

    fn authenticate(
        bytes: &[u8; SEGMENT_HEADER_BYTES],
        keys: &StoreKeys,
        number: u32,
    ) -> Option<(SegmentHeader, FrameSealer)> {
        let (covered, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        let header = SegmentHeader::decode(covered, keys.id.0).filter(|header| header.number == number)?;
        let key = keys.segment(number, &header.salt);
        key.verify_tag(HEADER_NONCE, covered, tag).ok()?;
        Some((header, FrameSealer { store: keys.id, segment: number, key }))
    }
}

/// What a footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Frames before it.
    pub(crate) frames: u64,
    /// The chained hash up to it.
    pub(crate) hash: [u8; 32],
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.frames).raw(&self.hash);
        w.done()
    }
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let footer = Self { frames: r.u64()?, hash: r.array()? };
        r.end()?;
        Some(footer)
    }
}
