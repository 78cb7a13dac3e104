//! Sealing of events under the keys of their months.

use std::fmt;

use pli_crypto::{AeadKey, NONCE_BYTES, OpenError, Secret32, TAG_BYTES, hkdf, hmac};
use pli_types::UnixMillis;

use crate::class::{Class, LogKeyId};
use crate::error::{AuditError, Result};
use crate::event::Event;
use crate::leaf::{Leaf, sha256};

/// 2: the event is compressed. 1: it is not.
const VERSION: u8 = 2;
const VERSION_OLDEST: u8 = 1;
/// What events are made of. Part of the format: never changed; another one would have a version of its own.
const DICTIONARY: &[u8] = include_bytes!("event.dictionary");
const HEAD_BYTES: usize = 1 + 1 + 8 + 8;
const SEALED_BYTES_MIN: usize = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;

/// The bytes of a sealed event: version, class, time, sequence; nonce; ciphertext and tag.
///
/// What stands before the nonce is authenticated and readable: the leaf can be made from the bytes by anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEvent {
    bytes: Vec<u8>,
    class: Class,
    time: UnixMillis,
    sequence: u64,
}

impl SealedEvent {
    /// Reads the header of stored bytes; whether they are whole is seen when they are opened or verified.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let read = || {
            let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
            let (start, rest) = head.split_first_chunk::<2>()?;
            let (time, rest) = rest.split_first_chunk()?;
            let [VERSION_OLDEST..=VERSION, class] = *start else {
                return None;
            };
            let class = Class::from_code(class)?;
            (bytes.len() >= SEALED_BYTES_MIN).then_some((
                class,
                UnixMillis(i64::from_be_bytes(*time)),
                u64::from_be_bytes(rest.try_into().ok()?),
            ))
        };
        let (class, time, sequence) = read().ok_or(AuditError::Malformed("sealed event"))?;
        Ok(Self { bytes, class, time, sequence })
    }
    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
    /// Its index in the log.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
    /// The key that opens it.
    #[must_use]
    pub fn key_id(&self) -> LogKeyId {
        LogKeyId::of(self.time, self.class)
    }
    /// The leaf that commits to it.
    #[must_use]
    pub fn leaf(&self) -> Leaf {
        Leaf { class: self.class, time: self.time, sequence: self.sequence, digest: sha256(&[&self.bytes]) }
    }
}

/// KL: the key of a month and class.
pub struct LogKey {
    id: LogKeyId,
    seal: AeadKey,
    nonces: Secret32,
}

impl LogKey {
    /// From the random secret of this month and class, which the store keeps wrapped and destroys when their retention
    /// is over.
    #[must_use]
    pub fn new(secret: &Secret32, id: LogKeyId) -> Self {
        let part = |label: &[u8]| hkdf(secret, b"pli KL v1", &[&id.encode(), label]);
        Self { id, seal: AeadKey::new(&part(b"seal")), nonces: part(b"nonces") }
    }

    /// Which one it is.
    #[must_use]
    pub const fn id(&self) -> LogKeyId {
        self.id
    }

    /// Seals an event that has its sequence.
    pub fn seal(&self, event: &Event) -> Result<SealedEvent> {
        if event.key_id() != self.id {
            return Err(AuditError::OtherKey);
        }
        let mut plain = compress(&event.encode()?)?;
        let mut bytes = Vec::with_capacity(SEALED_BYTES_MIN + plain.len());
        bytes.extend_from_slice(&[VERSION, event.class.code()]);
        bytes.extend_from_slice(&event.time.0.to_be_bytes());
        bytes.extend_from_slice(&event.sequence.to_be_bytes());
        // A nonce of sequence and content, not of the sequence alone: after a crash the sequence of an event that was not
        // yet durable goes to another event, and the first one's ciphertext may still be on the disk.
        let mut material = bytes.clone();
        material.extend_from_slice(&plain);
        let tag = hmac(&self.nonces, &material);
        let nonce = *tag.first_chunk::<NONCE_BYTES>().ok_or(AuditError::Malformed("nonce"))?;
        self.seal.seal(nonce, &bytes, &mut plain);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&plain);
        Ok(SealedEvent { bytes, class: event.class, time: event.time, sequence: event.sequence })
    }

    /// Opens an event, and checks that it is the one its header says.
    pub fn open(&self, sealed: &SealedEvent) -> Result<Event> {
        if sealed.key_id() != self.id {
            return Err(AuditError::OtherKey);
        }
        let (head, rest) = sealed.bytes.split_first_chunk::<HEAD_BYTES>().ok_or(OpenError)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        let mut rest = rest.to_vec();
        let plain = self.seal.open(*nonce, head, &mut rest)?;
        let event = match sealed.bytes.first() {
            Some(&VERSION_OLDEST) => Event::decode(plain)?,
            _ => Event::decode(&expand(plain).ok_or(AuditError::Malformed("event"))?)?,
        };
        let same = (event.class, event.time, event.sequence) == (sealed.class, sealed.time, sealed.sequence);
        if same { Ok(event) } else { Err(AuditError::Malformed("event")) }
    }
}

/// u16 length, then an LZ4 block. Events repeat the same words: each row of the log is a third of its text.
fn compress(plain: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(plain.len()).map_err(|_| AuditError::TooLong(plain.len()))?;
    let mut out = Vec::with_capacity(plain.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&lz4_flex::block::compress_with_dict(plain, DICTIONARY));
    Ok(out)
}

fn expand(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, packed) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let plain = lz4_flex::block::decompress_with_dict(packed, length, DICTIONARY).ok()?;
    (plain.len() == length).then_some(plain)
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_dictionary_is_part_of_the_format() {
        let hex: String = sha256(&[DICTIONARY]).0.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "67d5607ca05e1ffd");
    }

    #[test]
    fn what_does_not_compress_keeps_the_limits() {
        let noise: Vec<u8> = (0..2_040_u32).flat_map(|n| sha256(&[&n.to_be_bytes()]).0).take(65_000).collect();
        let packed = compress(&noise).unwrap();
        assert!(packed.len() + SEALED_BYTES_MIN <= crate::bundle::ENTRY_BYTES_MAX, "{}", packed.len());
        assert_eq!(expand(&packed).unwrap(), noise);
        assert!(compress(&[0; 65_536]).is_err());
        assert!(expand(&packed[..packed.len() - 1]).is_none() && expand(b"").is_none());
    }
}
