//! How a row keeps a message key.

use crate::codec::Reader;
use crate::epoch::Epoch;
use crate::error::{CryptoError, Result};

/// K3 sealed by HPKE to an epoch's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Which message of its encapsulated key it is (RFC 9180 §5.2).
    pub(crate) sequence: u32,
    pub(crate) encapsulated: [u8; 32],
    /// Ciphertext and tag.
    pub(crate) sealed: [u8; 48],
}

/// K3 wrapped under a key derived from an epoch's secret: nonce, ciphertext, tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey(pub(crate) [u8; Self::BYTES]);

impl WrappedKey {
    /// Its length.
    pub const BYTES: usize = 12 + 32 + 16;
    /// The bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
    /// Stored bytes; whether they open is seen when they are opened.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

/// A message key as a row keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWrap {
    /// As delivered: opened by a curve operation.
    Sealed {
        /// Whose key pair it is sealed to.
        epoch: Epoch,
        /// The seal.
        bytes: SealedKey,
    },
    /// As replaced by the owner's first read: opened by AES alone.
    Wrapped {
        /// Whose derived key it is wrapped under.
        epoch: Epoch,
        /// The wrap.
        bytes: WrappedKey,
    },
}

/// A seal with sequence number 0, all that there was in formats 1 and 2.
const TAG_SEALED: u8 = 1;
const TAG_WRAPPED: u8 = 2;
/// A seal with its sequence number.
const TAG_SEALED_AGAIN: u8 = 3;

impl KeyWrap {
    /// The longest encoding.
    pub const BYTES_MAX: usize = 1 + 4 + 4 + 32 + 48;

    /// The epoch whose secret opens it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Sealed { epoch, .. } | Self::Wrapped { epoch, .. } => *epoch,
        }
    }

    /// Kind, epoch, the rest.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let tag = match self {
            Self::Sealed { bytes, .. } if bytes.sequence == 0 => TAG_SEALED,
            Self::Sealed { .. } => TAG_SEALED_AGAIN,
            Self::Wrapped { .. } => TAG_WRAPPED,
        };
        out.push(tag);
        out.extend_from_slice(&self.epoch().0.to_be_bytes());
        match self {
            Self::Wrapped { bytes, .. } => out.extend_from_slice(&bytes.0),
            Self::Sealed { bytes, .. } => {
                if tag == TAG_SEALED_AGAIN {
                    out.extend_from_slice(&bytes.sequence.to_be_bytes());
                }
                out.extend_from_slice(&bytes.encapsulated);
                out.extend_from_slice(&bytes.sealed);
            }
        }
    }

    /// The encoding alone.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES_MAX);
        self.encode_into(&mut out);
        out
    }

    /// Reads exactly one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let read = || {
            let mut r = Reader::new(bytes);
            let tag = r.u8()?;
            let epoch = Epoch(r.u32()?);
            let wrap = match tag {
                TAG_SEALED | TAG_SEALED_AGAIN => {
                    let sequence = if tag == TAG_SEALED { 0 } else { r.u32()? };
                    let bytes = SealedKey { sequence, encapsulated: r.array()?, sealed: r.array()? };
                    Self::Sealed { epoch, bytes }
                }
                TAG_WRAPPED => Self::Wrapped { epoch, bytes: WrappedKey(r.array()?) },
                _ => return None,
            };
            r.end().map(|()| wrap)
        };
        read().ok_or(CryptoError::Malformed("key wrap"))
    }
}
