//! How a row keeps a message key.

use crate::codec::Reader;
use crate::epoch::Epoch;
use crate::error::{CryptoError, Result};

/// K3 sealed by HPKE to an epoch's public key: encapsulated key, ciphertext, tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedKey(pub(crate) [u8; Self::BYTES]);

impl SealedKey {
    /// Its length.
    pub const BYTES: usize = 32 + 32 + 16;
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

const TAG_SEALED: u8 = 1;
const TAG_WRAPPED: u8 = 2;

impl KeyWrap {
    /// The longest encoding.
    pub const BYTES_MAX: usize = 1 + 4 + SealedKey::BYTES;

    /// The epoch whose secret opens it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Sealed { epoch, .. } | Self::Wrapped { epoch, .. } => *epoch,
        }
    }

    /// Kind, epoch, bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let (tag, bytes): (u8, &[u8]) = match self {
            Self::Sealed { bytes, .. } => (TAG_SEALED, &bytes.0),
            Self::Wrapped { bytes, .. } => (TAG_WRAPPED, &bytes.0),
        };
        out.push(tag);
        out.extend_from_slice(&self.epoch().0.to_be_bytes());
        out.extend_from_slice(bytes);
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
                TAG_SEALED => Self::Sealed { epoch, bytes: SealedKey(r.array()?) },
                TAG_WRAPPED => Self::Wrapped { epoch, bytes: WrappedKey(r.array()?) },
                _ => return None,
            };
            r.end().map(|()| wrap)
        };
        read().ok_or(CryptoError::Malformed("key wrap"))
    }
}
