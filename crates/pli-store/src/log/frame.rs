//! Frames: what the log is made of. The form is set out field by field in `docs/store-format.md`.

use pli_crypto::{AeadKey, NONCE_BYTES, StoreId, TAG_BYTES, sha256};

use crate::codec::{Reader, Writer};

/// Bytes before a frame's payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: u64 = 8;
/// No payload is longer: a length above it is damage, and no memory is taken for it.
pub(crate) const FRAME_PAYLOAD_BYTES_MAX: u32 = 1 << 30;

const MAGIC: u32 = 0x504c_4946; // "PLIF"

/// What a frame holds. Number 4 has its place for audit bundles of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// A message's bytes, sealed under K3; authenticated as they stand.
    Body = 1,
    /// Row changes of one commit group, sealed under the segment's key.
    Batch = 2,
    /// The rows of a range of keys, so that older batches can go.
    Snapshot = 3,
    /// Audit bundles.
    Audit = 4,
    /// The end of a segment that was closed in order.
    Footer = 5,
}

impl FrameKind {
    const fn parse(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Body,
            2 => Self::Batch,
            3 => Self::Snapshot,
            4 => Self::Audit,
            5 => Self::Footer,
            _ => return None,
        })
    }
    /// Whether the payload is sealed by the frame (a body is sealed already).
    pub(crate) const fn is_sealed(self) -> bool {
        !matches!(self, Self::Body)
    }
}

/// The first 32 bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Bytes of the payload, without tag and padding.
    pub(crate) length: u32,
    /// Grows over the whole store; numbers of failed groups are left out.
    pub(crate) sequence: u64,
    /// All frames up to this sequence were on disk when this one was written.
    pub(crate) durable: u64,
}

impl FrameHeader {
    pub(crate) fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut w = Writer(Vec::with_capacity(FRAME_HEADER_BYTES));
        w.u32(MAGIC).u32(self.length).u8(self.kind as u8).raw(&[0; 7]).u64(self.sequence).u64(self.durable);
        let mut out = [0; FRAME_HEADER_BYTES];
        out.copy_from_slice(w.0.first_chunk().unwrap_or(&[0; FRAME_HEADER_BYTES]));
        out
    }
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        if r.u32()? != MAGIC {
            return None;
        }
        let length = r.u32().filter(|length| *length <= FRAME_PAYLOAD_BYTES_MAX)?;
        let kind = FrameKind::parse(r.u8()?)?;
        if r.array()? != [0; 7] {
            return None;
        }
        Some(Self { kind, length, sequence: r.u64()?, durable: r.u64()? })
    }
    /// Bytes from this frame's beginning to the next one's.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as u64)
    }
    /// The magic number alone, for the search after damage.
    pub(crate) fn may_start(bytes: &[u8]) -> bool {
        bytes.first_chunk() == Some(&MAGIC.to_be_bytes())
    }
}

/// Bytes that a frame with this payload takes.
pub(crate) const fn frame_bytes(payload: u64) -> u64 {
    (payload + FRAME_HEADER_BYTES as u64 + TAG_BYTES as u64).next_multiple_of(ALIGN)
}

/// Seals and opens the frames of one segment.
pub(crate) struct FrameSealer {
    pub(crate) store: StoreId,
    pub(crate) segment: u32,
    pub(crate) key: AeadKey,
}

impl FrameSealer {
    fn nonce(sequence: u64) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        if let Some(end) = nonce.last_chunk_mut() {
            *end = sequence.to_be_bytes();
        }
        nonce
    }
    /// Binds store, segment, place and header: a frame moved or cut does not open.
    fn aad(&self, offset: u64, header: &[u8; FRAME_HEADER_BYTES]) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(96));
        w.raw(&self.store.0).u32(self.segment).u64(offset).raw(header);
        w.0
    }

    /// Seals the payload in place; returns header and tag.
    pub(crate) fn seal(
        &self,
        offset: u64,
        header: &FrameHeader,
        payload: &mut [u8],
    ) -> ([u8; FRAME_HEADER_BYTES], [u8; TAG_BYTES]) {
        let head = header.encode();
        let tag = self.key.seal_detached(Self::nonce(header.sequence), &self.aad(offset, &head), payload);
        (head, tag)
    }
    /// The tag of a body frame: over header and the payload's SHA-256, so that the committer need not touch the bytes.
    pub(crate) fn tag_body(
        &self,
        offset: u64,
        header: &FrameHeader,
        payload_digest: &[u8; 32],
    ) -> ([u8; FRAME_HEADER_BYTES], [u8; TAG_BYTES]) {
        let head = header.encode();
        let mut aad = self.aad(offset, &head);
        aad.extend_from_slice(payload_digest);
        (head, self.key.tag_only(Self::nonce(header.sequence), &aad))
    }
    /// Authenticates a whole frame (payload and tag in `rest`); opens it in place if it is sealed. Returns the digest
    /// that the segment's hash takes in.
    pub(crate) fn open(&self, offset: u64, header: &FrameHeader, rest: &mut [u8]) -> Option<[u8; 32]> {
        let head = header.encode();
        let len = usize::try_from(header.length).ok()?;
        let (payload, tag) = rest.split_at_checked(len)?;
        let tag: [u8; TAG_BYTES] = *tag.first_chunk()?;
        let digest = sha256(payload);
        let nonce = Self::nonce(header.sequence);
        let mut aad = self.aad(offset, &head);
        if header.kind.is_sealed() {
            let sealed = rest.get_mut(..len.checked_add(TAG_BYTES)?)?;
            self.key.open(nonce, &aad, sealed).ok()?;
        } else {
            aad.extend_from_slice(&digest);
            self.key.verify_tag(nonce, &aad, &tag).ok()?;
        }
        Some(link(&head, &digest, &tag))
    }
}

/// A frame's link in its segment's hash.
pub(crate) fn link(head: &[u8; FRAME_HEADER_BYTES], payload_digest: &[u8; 32], tag: &[u8; TAG_BYTES]) -> [u8; 32] {
    let mut bytes = [0; FRAME_HEADER_BYTES + 32 + TAG_BYTES];
    let (a, rest) = bytes.split_at_mut(FRAME_HEADER_BYTES);
    let (b, c) = rest.split_at_mut(32);
    a.copy_from_slice(head);
    b.copy_from_slice(payload_digest);
    c.copy_from_slice(tag);
    sha256(&bytes)
}

/// The segment's hash after one more frame.
pub(crate) fn chain(hash: &[u8; 32], link: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 64];
    let (a, b) = bytes.split_at_mut(32);
    a.copy_from_slice(hash);
    b.copy_from_slice(link);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use pli_crypto::Secret32;

    #[test]
    fn frames_open_only_in_their_place() {
        for kind in [FrameKind::Body, FrameKind::Batch] {
            let sealer =
                FrameSealer { store: StoreId([1; 16]), segment: 7, key: AeadKey::new(&Secret32::new([2; 32])) };
            let header = FrameHeader { kind, length: 11, sequence: 5, durable: 4 };
            assert_eq!(FrameHeader::decode(&header.encode()), Some(header));
            let mut frame = b"the payload".to_vec();
            let (_, tag) = match kind {
                FrameKind::Body => sealer.tag_body(160, &header, &sha256(&frame)),
                _ => sealer.seal(160, &header, &mut frame),
            };
            frame.extend_from_slice(&tag);
            assert!(sealer.open(160, &header, &mut frame.clone()).is_some());
            assert!(sealer.open(168, &header, &mut frame.clone()).is_none());
            let later = FrameHeader { durable: 5, ..header };
            assert!(sealer.open(160, &later, &mut frame.clone()).is_none());
            for at in 0..frame.len() {
                let mut bad = frame.clone();
                bad[at] ^= 1;
                assert!(sealer.open(160, &header, &mut bad).is_none(), "{kind:?} byte {at}");
            }
        }
    }

    #[test]
    fn sizes_are_aligned() {
        assert_eq!(frame_bytes(0), 48);
        assert_eq!(frame_bytes(1), 56);
        assert_eq!(frame_bytes(8), 56);
    }
}
