//! Bodies: compressed in chunks, sealed under K3, read by range.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_crypto::{Aad, ChunkRole, MessageKey, MessageKeys, StoreId, sha256};
use pli_io::DiskFile;
use pli_mime::Summary;
use pli_types::{BodyId, ByteCount};

use crate::codec::{Reader, Writer};
use crate::error::{Damaged, StoreError};
use crate::limits::CHUNK_BYTES;
use crate::log::frame::FRAME_HEADER_BYTES;
use crate::rows::mail::BodyRow;
use crate::summary;

/// zstd's level: one that keeps up with the disk.
const ZSTD_LEVEL: i32 = 1;
/// 2: the summary follows the chunks, up to the payload's end. 1: it stands in the row.
const BODY_VERSION: u8 = 2;
const BODY_VERSION_OLDEST: u8 = 1;
/// Version, three zero bytes, chunk count, body id, size, commitment.
const BODY_HEAD_BYTES: usize = 4 + 4 + 8 + 8 + 32;
/// Stored length, plain length with its two marks.
const CHUNK_ROW_BYTES: usize = 8;
pub(crate) const COMPRESSED: u32 = 1 << 31;
const HEADER: u32 = 1 << 30;

/// A message's bytes sealed under a key of its own, with its summary: what [`crate::Store::prepare`] makes, ready to
/// commit.
pub struct Prepared {
    pub(crate) body: BodyId,
    pub(crate) key: MessageKey,
    /// The frame's payload.
    pub(crate) payload: Arc<Vec<u8>>,
    pub(crate) sealed_digest: [u8; 32],
    pub(crate) digest: [u8; 32],
    pub(crate) size: u64,
    pub(crate) summary: Summary,
    /// Bytes of the sealed summary at the payload's end.
    pub(crate) summary_bytes: u32,
}

impl Prepared {
    /// Original size.
    #[must_use]
    pub fn size(&self) -> ByteCount {
        ByteCount::new(self.size)
    }
    /// The summary, while it is at hand.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("body", &self.body).field("size", &self.size).finish_non_exhaustive()
    }
}

/// zstd contexts, kept for the next message: making one costs more than a small message.
#[derive(Default)]
pub(crate) struct Compressors(Mutex<Vec<zstd::bulk::Compressor<'static>>>);

impl Compressors {
    const KEPT_MAX: usize = 4;

    /// The compressed bytes, if they are smaller by a sixteenth at least.
    fn compress(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let context = self.0.lock().pop();
        let mut context = match context {
            Some(context) => context,
            None => zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()?,
        };
        let limit = plain.len().saturating_sub(plain.len() / 16);
        let compressed = context.compress(plain).ok().filter(|c| c.len() < limit);
        let mut kept = self.0.lock();
        if kept.len() < Self::KEPT_MAX {
            kept.push(context);
        }
        compressed
    }
}

/// The same for reading.
#[derive(Default)]
pub(crate) struct Decompressors(Mutex<Vec<zstd::bulk::Decompressor<'static>>>);

impl Decompressors {
    const KEPT_MAX: usize = 4;

    /// Exactly `plain` bytes, at most what a chunk or a summary can have.
    pub(crate) fn decompress(&self, bytes: &[u8], plain: usize) -> Option<Vec<u8>> {
        let context = self.0.lock().pop();
        let mut context = match context {
            Some(context) => context,
            None => zstd::bulk::Decompressor::new().ok()?,
        };
        let out = context.decompress(bytes, plain).ok().filter(|out| out.len() == plain);
        let mut kept = self.0.lock();
        if kept.len() < Self::KEPT_MAX {
            kept.push(context);
        }
        out
    }
}

// Compression is told in the associated data, so that a chunk cannot be read the other way.
fn chunk_aad(store: StoreId, body: BodyId, index: u32, compressed: bool) -> Aad {
    Aad::new("body", store).body(body).chunk(index).format(if compressed { 2 } else { 1 })
}

/// What a recipient's wrap of K3 is bound to.
pub(crate) fn wrap_aad(store: StoreId, account: pli_types::AccountId, body: BodyId) -> pli_crypto::AadBytes {
    Aad::new("k3", store).account(account).body(body).encode()
}

/// What the queue's wrap of K3 is bound to.
pub(crate) fn queue_aad(store: StoreId, body: BodyId) -> pli_crypto::AadBytes {
    Aad::new("k3-queue", store).body(body).encode()
}

/// How a message is cut: the header block first if it fits a chunk, then equal pieces.
fn pieces(size: usize, header: usize) -> Vec<(ChunkRole, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    if header > 0 && header < size && header <= CHUNK_BYTES {
        pieces.push((ChunkRole::Header, 0..header));
        start = header;
    }
    while start < size {
        let end = start.saturating_add(CHUNK_BYTES).min(size);
        pieces.push((ChunkRole::Body, start..end));
        start = end;
    }
    pieces
}

/// Compresses, seals and summarises.
pub(crate) fn prepare(
    store: StoreId,
    compressors: &Compressors,
    body: BodyId,
    raw: &Bytes,
) -> Result<Prepared, StoreError> {
    let summary = pli_mime::summarise(raw, &pli_mime::Limits::default());
    let header = usize::try_from(summary.header_len()).unwrap_or(usize::MAX);
    let prepared = seal(store, compressors, body, raw, header, Some(&summary))?;
    Ok(Prepared { summary, ..prepared })
}

/// The same for bytes that are no message and have no summary.
pub(crate) fn prepare_plain(
    store: StoreId,
    compressors: &Compressors,
    body: BodyId,
    bytes: &[u8],
) -> Result<Prepared, StoreError> {
    seal(store, compressors, body, bytes, 0, None)
}

/// Compresses and seals.
fn seal(
    store: StoreId,
    compressors: &Compressors,
    body: BodyId,
    raw: &[u8],
    header: usize,
    summary: Option<&Summary>,
) -> Result<Prepared, StoreError> {
    let key = MessageKey::generate()?;
    let keys = key.derive();
    let pieces = pieces(raw.len(), header);
    let table = pieces.len().saturating_mul(CHUNK_ROW_BYTES);
    let mut head = Writer(Vec::with_capacity(BODY_HEAD_BYTES.saturating_add(table)));
    head.u8(BODY_VERSION).raw(&[0; 3]).u32(u32::try_from(pieces.len()).unwrap_or(u32::MAX));
    head.u64(body.get()).u64(raw.len() as u64).raw(&keys.commitment);
    let mut chunks = Vec::with_capacity(pieces.len());
    let last = pieces.len().saturating_sub(1);
    for (index, (role, range)) in pieces.into_iter().enumerate() {
        let plain = raw.get(range).unwrap_or_default();
        let compressed = compressors.compress(plain);
        let is_compressed = compressed.is_some();
        let mut chunk = compressed.unwrap_or_else(|| plain.to_vec());
        let number = u32::try_from(index).map_err(|_| StoreError::Limit("message size"))?;
        let aad = chunk_aad(store, body, number, is_compressed).encode();
        keys.seal_chunk(role, number, index == last, &aad, &mut chunk);
        let marks = if is_compressed { COMPRESSED } else { 0 } | if role == ChunkRole::Header { HEADER } else { 0 };
        let stored = u32::try_from(chunk.len()).map_err(|_| StoreError::Limit("message size"))?;
        head.u32(stored).u32(u32::try_from(plain.len()).unwrap_or(0) | marks);
        chunks.push(chunk);
    }
    let summary = summary.map(|summary| summary::seal(store, body, &keys, summary)).unwrap_or_default();
    let mut payload = head.0;
    payload.reserve_exact(chunks.iter().map(Vec::len).sum::<usize>().saturating_add(summary.len()));
    chunks.iter().for_each(|chunk| payload.extend_from_slice(chunk));
    payload.extend_from_slice(&summary);
    if payload.len() > crate::log::frame::FRAME_PAYLOAD_BYTES_MAX as usize {
        return Err(StoreError::Limit("message size"));
    }
    Ok(Prepared {
        body,
        key,
        sealed_digest: sha256(&payload),
        payload: Arc::new(payload),
        digest: sha256(raw),
        size: raw.len() as u64,
        summary: pli_mime::summarise(&[], &pli_mime::Limits::default()),
        summary_bytes: u32::try_from(summary.len()).unwrap_or(0),
    })
}

/// Where a body is read, and with what.
pub(crate) struct BodyPlace<'a> {
    pub(crate) store: StoreId,
    pub(crate) decompressors: &'a Decompressors,
    pub(crate) file: &'a dyn DiskFile,
}

/// One line of the chunk table.
struct ChunkRow {
    stored: usize,
    plain: usize,
    compressed: bool,
    role: ChunkRole,
}

/// Reads a body's bytes in `range` (cut at its end). Only the chunks that hold it are read and opened.
pub(crate) fn read(
    place: &BodyPlace<'_>,
    body: BodyId,
    row: &BodyRow,
    keys: &MessageKeys,
    range: Option<Range<u64>>,
) -> Result<Bytes, StoreError> {
    // One read for small bodies; of large ones the table first.
    let whole = range.is_none() || row.length as usize <= 2 * CHUNK_BYTES;
    let first = if whole { row.length as usize } else { (row.length as usize).min(16 << 10) };
    let (table, begin) = begin(place, body, row, keys, first)?;
    chunks(place, (body, row, keys), &table, &begin, range.unwrap_or(0..row.size))
}

/// The table of a body that is read in many pieces.
pub(crate) fn chunk_table(
    place: &BodyPlace<'_>,
    body: BodyId,
    row: &BodyRow,
    keys: &MessageKeys,
) -> Result<ChunkTable, StoreError> {
    begin(place, body, row, keys, (row.length as usize).min(16 << 10)).map(|(table, _)| table)
}

/// Reads a body's bytes in `range` (cut at its end) by its table.
pub(crate) fn read_chunks(
    place: &BodyPlace<'_>,
    body: BodyId,
    row: &BodyRow,
    keys: &MessageKeys,
    table: &ChunkTable,
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    chunks(place, (body, row, keys), table, &[], range)
}

/// The lines of a body's chunk table, and where it ends.
pub(crate) struct ChunkTable {
    rows: Vec<ChunkRow>,
    end: usize,
}

// A file that ends too early is damage of this body, not trouble with the disk.
fn read_at(file: &dyn DiskFile, body: BodyId, bytes: &mut [u8], at: u64) -> Result<(), StoreError> {
    file.read_exact_at(bytes, at).map_err(|error| {
        let short = error.kind() == io::ErrorKind::UnexpectedEof;
        if short { StoreError::Damaged(Damaged::Body(body)) } else { StoreError::Io(error) }
    })
}

/// Where a body's payload begins in its file.
fn payload_at(row: &BodyRow) -> u64 {
    row.offset.saturating_add(FRAME_HEADER_BYTES as u64)
}

/// The first bytes of a body, as many as its head and table have, `first` at least; and the table.
fn begin(
    place: &BodyPlace<'_>,
    body: BodyId,
    row: &BodyRow,
    keys: &MessageKeys,
    first: usize,
) -> Result<(ChunkTable, Vec<u8>), StoreError> {
    let damaged = || StoreError::Damaged(Damaged::Body(body));
    let mut begin = vec![0; first];
    read_at(place.file, body, &mut begin, payload_at(row))?;
    let count = parse_head(&begin, body, row, keys).ok_or_else(damaged)?;
    let end = BODY_HEAD_BYTES.saturating_add(count.checked_mul(CHUNK_ROW_BYTES).ok_or_else(damaged)?);
    if end > row.length as usize {
        return Err(damaged());
    }
    if begin.len() < end {
        begin.resize(end, 0);
        read_at(place.file, body, &mut begin, payload_at(row))?;
    }
    let rows = parse_table(begin.get(BODY_HEAD_BYTES..end).unwrap_or_default());
    // The table is not sealed by itself: what it says must come to the size in the row.
    if rows.iter().map(|chunk| chunk.plain as u64).sum::<u64>() != row.size {
        return Err(damaged());
    }
    Ok((ChunkTable { rows, end }, begin))
}

/// Opens the chunks that hold a range; `begin` are the first bytes, as far as they were read.
fn chunks(
    place: &BodyPlace<'_>,
    (body, row, keys): (BodyId, &BodyRow, &MessageKeys),
    table: &ChunkTable,
    begin: &[u8],
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    let damaged = || StoreError::Damaged(Damaged::Body(body));
    let start = range.start.min(row.size);
    let range = start..range.end.clamp(start, row.size);
    let mut out = Vec::with_capacity(usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0));
    let (mut stored_at, mut plain_at) = (table.end, 0_u64);
    for (index, chunk) in table.rows.iter().enumerate() {
        let (plain_end, stored_end) =
            (plain_at.saturating_add(chunk.plain as u64), stored_at.saturating_add(chunk.stored));
        if plain_at >= range.end {
            break;
        }
        if plain_end > range.start {
            let mut sealed = match begin.get(stored_at..stored_end) {
                Some(bytes) => bytes.to_vec(),
                None if stored_end > row.length as usize => return Err(damaged()),
                None => {
                    let mut bytes = vec![0; chunk.stored];
                    read_at(place.file, body, &mut bytes, payload_at(row).saturating_add(stored_at as u64))?;
                    bytes
                }
            };
            let number = u32::try_from(index).map_err(|_| damaged())?;
            let aad = chunk_aad(place.store, body, number, chunk.compressed).encode();
            let last = index.saturating_add(1) == table.rows.len();
            let plain = keys.open_chunk(chunk.role, number, last, &aad, &mut sealed).map_err(|_| damaged())?;
            let from = usize::try_from(range.start.saturating_sub(plain_at)).unwrap_or(0);
            let to = usize::try_from(range.end.min(plain_end).saturating_sub(plain_at)).unwrap_or(0);
            if chunk.compressed {
                let plain = place.decompressors.decompress(plain, chunk.plain).ok_or_else(damaged)?;
                out.extend_from_slice(plain.get(from..to).ok_or_else(damaged)?);
            } else {
                out.extend_from_slice(plain.get(from..to).ok_or_else(damaged)?);
            }
        }
        (stored_at, plain_at) = (stored_end, plain_end);
    }
    if out.len() as u64 != range.end.saturating_sub(range.start) {
        return Err(damaged());
    }
    Ok(Bytes::from(out))
}

/// Checks the head; returns the number of chunks.
fn parse_head(bytes: &[u8], body: BodyId, row: &BodyRow, keys: &MessageKeys) -> Option<usize> {
    let mut r = Reader::new(bytes);
    let [version, 0, 0, 0] = r.array()? else { return None };
    if !(BODY_VERSION_OLDEST..=BODY_VERSION).contains(&version) {
        return None;
    }
    let count = r.u32()?;
    if r.u64()? != body.get() || r.u64()? != row.size {
        return None;
    }
    keys.check_commitment(&r.array()?).ok()?;
    usize::try_from(count).ok()
}

/// How many bytes of a body frame's payload are its summary, as its head says it; whether they open is seen later.
pub(crate) fn summary_bytes_in(payload: &[u8]) -> Option<u32> {
    if payload.first() != Some(&BODY_VERSION) {
        return Some(0);
    }
    let count = Reader::new(payload.get(4..)?).u32()?;
    let table_end = (count as usize).checked_mul(CHUNK_ROW_BYTES)?.checked_add(BODY_HEAD_BYTES)?;
    let chunks = parse_table(payload.get(BODY_HEAD_BYTES..table_end)?);
    let before = chunks.iter().try_fold(table_end, |sum, chunk| sum.checked_add(chunk.stored))?;
    u32::try_from(payload.len().checked_sub(before)?).ok()
}

fn parse_table(bytes: &[u8]) -> Vec<ChunkRow> {
    let (rows, _) = bytes.as_chunks::<CHUNK_ROW_BYTES>();
    rows.iter()
        .filter_map(|row| {
            let mut r = Reader::new(row);
            let stored = r.u32()? as usize;
            let plain = r.u32()?;
            Some(ChunkRow {
                stored,
                plain: (plain & !(COMPRESSED | HEADER)) as usize,
                compressed: plain & COMPRESSED != 0,
                role: if plain & HEADER == 0 { ChunkRole::Body } else { ChunkRole::Header },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_the_header_and_every_64_kib() {
        assert_eq!(pieces(0, 0).len(), 0);
        assert_eq!(pieces(10, 0), [(ChunkRole::Body, 0..10)]);
        assert_eq!(pieces(10, 10), [(ChunkRole::Body, 0..10)]);
        assert_eq!(pieces(10, 4), [(ChunkRole::Header, 0..4), (ChunkRole::Body, 4..10)]);
        let long = pieces(3 * CHUNK_BYTES, 100);
        assert_eq!(long.len(), 4);
        assert_eq!(pieces(3 * CHUNK_BYTES, 2 * CHUNK_BYTES).len(), 3);
    }
}
