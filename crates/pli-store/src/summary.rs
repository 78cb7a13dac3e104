//! Summaries: small, sealed at the end of a body's frame, and compressed by what is fast for small things.
//!
//! A zstd frame of a kilobyte spends most of its time on tables. LZ4 has none, and a dictionary of what headers are made
//! of gives it back what it would lose on so little text.

use std::io;

use pli_crypto::{Aad, ChunkRole, MessageKeys, StoreId, SummaryKey, TAG_BYTES};
use pli_io::DiskFile;
use pli_mime::Summary;
use pli_types::BodyId;

use crate::body::{COMPRESSED, Decompressors};
use crate::codec::{Reader, Writer};
use crate::error::{Damaged, StoreError};
use crate::log::frame::FRAME_HEADER_BYTES;
use crate::rows::mail::BodyRow;

/// What headers and body structures are made of. Part of the format: never changed; another one would get a mark of its
/// own.
const DICTIONARY: &[u8] = include_bytes!("summary.dictionary");
/// Compressed by LZ4 with the dictionary. [`COMPRESSED`] is zstd, as formats 1 and 2 had it.
const LZ4: u32 = 1 << 30;

fn summary_aad(store: StoreId, body: BodyId, version: u32) -> Aad {
    Aad::new("summary", store).body(body).chunk(version)
}

/// The version of summaries that were made again, which are on no disk: nonces go by versions.
pub(crate) const AGAIN: u32 = u32::MAX;

/// Plain length with the compression's mark, then the bytes; all sealed.
pub(crate) fn seal(store: StoreId, body: BodyId, keys: &MessageKeys, summary: &Summary) -> Vec<u8> {
    seal_as(store, (body, 0), keys, summary)
}

/// The same for a version.
pub(crate) fn seal_as(
    store: StoreId,
    (body, version): (BodyId, u32),
    keys: &MessageKeys,
    summary: &Summary,
) -> Vec<u8> {
    let plain = summary.encode();
    let length = u32::try_from(plain.len()).unwrap_or(0);
    let mut w = Writer(Vec::with_capacity(plain.len().saturating_add(4 + TAG_BYTES)));
    let compressed = lz4_flex::block::compress_with_dict(&plain, DICTIONARY);
    if compressed.len() < plain.len() {
        w.u32(length | LZ4).raw(&compressed);
    } else {
        w.u32(length).raw(&plain);
    }
    let mut sealed = w.0;
    let aad = summary_aad(store, body, version).encode();
    keys.seal_chunk(ChunkRole::Summary, version, true, &aad, &mut sealed);
    sealed
}

/// Reads the sealed summary that stands in a body's frame into `buffer`.
pub(crate) fn read(file: &dyn DiskFile, body: BodyId, row: &BodyRow, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
    let damaged = || StoreError::Damaged(Damaged::Summary(body));
    let before = row.length.checked_sub(row.summary_bytes).filter(|_| row.summary_bytes > 0).ok_or_else(damaged)?;
    let start = row.offset.saturating_add(FRAME_HEADER_BYTES as u64).saturating_add(before.into());
    buffer.clear();
    buffer.resize(row.summary_bytes as usize, 0);
    file.read_exact_at(buffer, start)
        .map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { damaged() } else { StoreError::Io(error) })
}

/// Opens a summary up to its encoding; `sealed` is opened in place. `None`: it has more plain bytes than wanted.
pub(crate) fn open(
    store: StoreId,
    decompressors: &Decompressors,
    (body, version): (BodyId, u32),
    sealed: &mut [u8],
    keys: &SummaryKey,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, StoreError> {
    let damaged = || StoreError::Damaged(Damaged::Summary(body));
    let aad = summary_aad(store, body, version).encode();
    let plain = keys.open(version, &aad, sealed).map_err(|_| damaged())?;
    let mut r = Reader::new(plain);
    let marked = r.u32().ok_or_else(damaged)?;
    let length = (marked & !(COMPRESSED | LZ4)) as usize;
    if length > bytes_max {
        return Ok(None);
    }
    let bytes = r.rest();
    let plain = match (marked & COMPRESSED != 0, marked & LZ4 != 0) {
        (false, false) => Some(bytes.to_vec()),
        (true, false) => decompressors.decompress(bytes, length),
        (false, true) => expand(bytes, length),
        (true, true) => None,
    };
    plain.ok_or_else(damaged).map(Some)
}

/// Exactly `length` bytes. What a sealed length says is believed: only who has the message's key can have written it.
fn expand(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    lz4_flex::block::decompress_with_dict(bytes, length, DICTIONARY).ok().filter(|plain| plain.len() == length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use pli_crypto::{MessageKey, sha256};

    #[test]
    fn the_dictionary_is_part_of_the_format() {
        let hex: String = sha256(DICTIONARY).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "be8aeda6ac03e250");
    }

    #[test]
    fn what_is_sealed_opens() {
        let (store, body) = (StoreId([7; 16]), BodyId::new(9));
        let key = MessageKey::generate().unwrap();
        for raw in [&b""[..], b"Subject: x\r\n\r\ny", &b"From: a@example.org\r\nTo: b@example.org\r\n".repeat(40)] {
            let summary = pli_mime::summarise(raw, &pli_mime::Limits::default());
            let mut sealed = seal(store, body, &key.derive(), &summary);
            let mut other = sealed.clone();
            let decompressors = Decompressors::default();
            let open = |body, bytes: &mut [u8], max| {
                super::open(store, &decompressors, (body, 0), bytes, &key.derive_summary(), max)
            };
            let opened = open(body, &mut sealed.clone(), usize::MAX).unwrap();
            assert_eq!(opened, Some(summary.encode()));
            assert_eq!(open(body, &mut sealed, 1).unwrap(), None);
            assert!(open(BodyId::new(8), &mut other, usize::MAX).is_err());
        }
    }

    #[test]
    fn damage_inside_the_seal_is_refused() {
        let plain = b"Content-Type: text/plain; charset=utf-8".repeat(20);
        let packed = lz4_flex::block::compress_with_dict(&plain, DICTIONARY);
        assert_eq!(expand(&packed, plain.len()).unwrap(), plain);
        assert!(expand(&packed, plain.len() - 1).is_none() && expand(&packed, plain.len() + 1).is_none());
        for at in 0..packed.len() {
            let mut bad = packed.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte ^= 0x5a;
            }
            // Any answer but a panic.
            let _ = expand(&bad, plain.len());
        }
    }
}
