//! K3: the key of one message, and the chunks sealed under it.

use std::fmt;
use std::sync::LazyLock;

use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::{AeadKey, Extracted, NONCE_BYTES, TAG_BYTES, salt};
use crate::error::{OpenError, Result};
use crate::random::random_bytes;
use crate::secret::Secret32;
use crate::wrap::WrappedKey;

static K3_SALT: LazyLock<hmac::Key> = LazyLock::new(|| salt(b"pli K3 v1"));

/// K3: 32 random bytes for one message. Rows keep it as a [`crate::KeyWrap`].
#[derive(Clone, PartialEq, Eq)]
pub struct MessageKey(pub(crate) Secret32);

impl MessageKey {
    /// A new message's key.
    pub fn generate() -> Result<Self> {
        Secret32::generate().map(Self)
    }

    /// The keys that seal the message's parts. Three HKDF blocks and two key schedules: derive once a message.
    #[must_use]
    pub fn derive(&self) -> MessageKeys {
        let k3 = Extracted::new(&K3_SALT, &self.0);
        MessageKeys {
            body: AeadKey::new(&k3.expand(b"body")),
            summary: AeadKey::new(&k3.expand(b"summary")),
            commitment: *k3.expand(b"commitment").expose(),
        }
    }

    /// The summary's key alone, for whoever reads many summaries and no body: one HKDF block and one key schedule.
    #[must_use]
    pub fn derive_summary(&self) -> SummaryKey {
        SummaryKey(AeadKey::new(&Extracted::new(&K3_SALT, &self.0).expand(b"summary")))
    }

    /// Wraps K3 under a symmetric key, with a random nonce: an epoch's derived key, or the queue's.
    pub fn wrap_under(&self, key: &AeadKey, aad: &[u8]) -> Result<WrappedKey> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let mut out = [0; WrappedKey::BYTES];
        let (head, rest) = out.split_at_mut(NONCE_BYTES);
        let (secret, tag) = rest.split_at_mut(32);
        head.copy_from_slice(&nonce);
        secret.copy_from_slice(self.0.expose());
        tag.copy_from_slice(&key.seal_detached(nonce, aad, secret));
        Ok(WrappedKey(out))
    }

    /// Opens a wrap of [`MessageKey::wrap_under`].
    pub fn open_under(key: &AeadKey, wrapped: &WrappedKey, aad: &[u8]) -> Result<Self, OpenError> {
        let (nonce, rest) = wrapped.0.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        // On the stack: a mailbox of 100,000 messages opens as many of these.
        let rest: &[u8; 32 + TAG_BYTES] = rest.try_into().map_err(|_| OpenError)?;
        let mut rest = Zeroizing::new(*rest);
        let plain = key.open(*nonce, aad, rest.as_mut())?;
        let bytes: &[u8; 32] = (&*plain).try_into().map_err(|_| OpenError)?;
        Ok(Self(Secret32::new(*bytes)))
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(redacted)")
    }
}

/// What part of a message a chunk belongs to. Part of the nonce, so that parts share no nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChunkRole {
    /// The bytes after the header block, or the whole message.
    Body = 1,
    /// The header block.
    Header = 2,
    /// The summary. Its index is the number of times it was made again: a summary sealed anew under the same K3 must
    /// take the next index, or a nonce is used twice.
    Summary = 3,
}

/// The keys derived from K3.
#[derive(Debug)]
pub struct MessageKeys {
    /// Seals header and body chunks.
    pub body: AeadKey,
    /// Seals the summary.
    pub summary: AeadKey,
    /// Stands beside the ciphertext: GCM alone lets one ciphertext open under two keys, this value does not.
    pub commitment: [u8; 32],
}

// Role, six zero bytes, last-chunk mark, counter: a stream cut at a chunk's end does not open as a whole one.
const fn chunk_nonce(role: ChunkRole, index: u32, last: bool) -> [u8; NONCE_BYTES] {
    let [a, b, c, d] = index.to_be_bytes();
    [role as u8, 0, 0, 0, 0, 0, 0, last as u8, a, b, c, d]
}

impl MessageKeys {
    const fn key(&self, role: ChunkRole) -> &AeadKey {
        match role {
            ChunkRole::Body | ChunkRole::Header => &self.body,
            ChunkRole::Summary => &self.summary,
        }
    }

    /// Seals a chunk in place and appends the tag. Each role and index is sealed once in a K3's life.
    pub fn seal_chunk(&self, role: ChunkRole, index: u32, last: bool, aad: &[u8], in_out: &mut Vec<u8>) {
        self.key(role).seal(chunk_nonce(role, index, last), aad, in_out);
    }

    /// Seals a chunk in place; returns the tag.
    #[must_use]
    pub fn seal_chunk_detached(
        &self,
        role: ChunkRole,
        index: u32,
        last: bool,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> [u8; crate::TAG_BYTES] {
        self.key(role).seal_detached(chunk_nonce(role, index, last), aad, in_out)
    }

    /// Opens a chunk (ciphertext and tag) in place.
    pub fn open_chunk<'a>(
        &self,
        role: ChunkRole,
        index: u32,
        last: bool,
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        self.key(role).open(chunk_nonce(role, index, last), aad, in_out)
    }

    /// Whether a stored commitment is this key's, in constant time. To be asked before any chunk is opened.
    pub fn check_commitment(&self, stored: &[u8; 32]) -> Result<(), OpenError> {
        if self.commitment.ct_eq(stored).into() { Ok(()) } else { Err(OpenError) }
    }
}

/// The key of a message's summary, without those of its other parts.
#[derive(Debug)]
pub struct SummaryKey(AeadKey);

impl SummaryKey {
    /// Opens a summary (ciphertext and tag) in place, as [`MessageKeys::open_chunk`] does with the role
    /// [`ChunkRole::Summary`] and the mark of a last chunk.
    pub fn open<'a>(&self, version: u32, aad: &[u8], in_out: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        self.0.open(chunk_nonce(ChunkRole::Summary, version, true), aad, in_out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn chunks_open_only_in_their_place() {
        let keys = MessageKey::generate().unwrap().derive();
        let mut sealed = b"chunk".to_vec();
        keys.seal_chunk(ChunkRole::Body, 3, false, b"aad", &mut sealed);
        let open = |role, index, last, aad: &[u8]| {
            keys.open_chunk(role, index, last, aad, &mut sealed.clone()).map(|p| p.to_vec())
        };
        assert_eq!(open(ChunkRole::Body, 3, false, b"aad"), Ok(b"chunk".to_vec()));
        assert!(open(ChunkRole::Body, 2, false, b"aad").is_err());
        assert!(open(ChunkRole::Body, 3, true, b"aad").is_err());
        assert!(open(ChunkRole::Header, 3, false, b"aad").is_err());
        assert!(open(ChunkRole::Summary, 3, false, b"aad").is_err());
        assert!(open(ChunkRole::Body, 3, false, b"aae").is_err());
    }

    #[test]
    fn a_summary_opens_with_its_key_alone() {
        let key = MessageKey::generate().unwrap();
        let keys = key.derive();
        let mut sealed = b"summary".to_vec();
        keys.seal_chunk(ChunkRole::Summary, 3, true, b"aad", &mut sealed);
        let open =
            |version, aad: &[u8]| key.derive_summary().open(version, aad, &mut sealed.clone()).map(|p| p.to_vec());
        assert_eq!(open(3, b"aad"), Ok(b"summary".to_vec()));
        assert_eq!(open(2, b"aad"), Err(OpenError));
        assert_eq!(open(3, b"aae"), Err(OpenError));
        let mut body = b"summary".to_vec();
        keys.seal_chunk(ChunkRole::Body, 3, true, b"aad", &mut body);
        assert_eq!(key.derive_summary().open(3, b"aad", &mut body), Err(OpenError));
    }

    #[test]
    fn detached_is_the_same() {
        let keys = MessageKey::generate().unwrap().derive();
        let mut whole = b"chunk".to_vec();
        keys.seal_chunk(ChunkRole::Header, 0, true, b"", &mut whole);
        let mut parts = b"chunk".to_vec();
        let tag = keys.seal_chunk_detached(ChunkRole::Header, 0, true, b"", &mut parts);
        parts.extend_from_slice(&tag);
        assert_eq!(whole, parts);
    }

    #[test]
    fn wraps_under_a_plain_key() {
        let (key, other) = (Secret32::generate().unwrap(), Secret32::generate().unwrap());
        let (key, other) = (AeadKey::new(&key), AeadKey::new(&other));
        let message = MessageKey::generate().unwrap();
        let wrapped = message.wrap_under(&key, b"row").unwrap();
        assert_eq!(MessageKey::open_under(&key, &wrapped, b"row"), Ok(message));
        assert_eq!(MessageKey::open_under(&key, &wrapped, b"rox"), Err(OpenError));
        assert_eq!(MessageKey::open_under(&other, &wrapped, b"row"), Err(OpenError));
    }

    #[test]
    fn commitment_tells_keys_apart() {
        let key = MessageKey::generate().unwrap();
        let keys = key.derive();
        let mut stored = keys.commitment;
        assert_eq!(key.derive().check_commitment(&stored), Ok(()));
        stored[31] ^= 1;
        assert_eq!(keys.check_commitment(&stored), Err(OpenError));
        let other = MessageKey::generate().unwrap().derive();
        assert_eq!(other.check_commitment(&keys.commitment), Err(OpenError));
    }

    #[test]
    fn nonces_are_distinct() {
        let mut seen = std::collections::HashSet::new();
        for role in [ChunkRole::Body, ChunkRole::Header, ChunkRole::Summary] {
            for index in [0, 1, 255, 256, 65_536, u32::MAX] {
                for last in [false, true] {
                    assert!(seen.insert(chunk_nonce(role, index, last)));
                }
            }
        }
    }
}
