//! What the tree commits to: class, time, sequence and the digest of the sealed event.

use std::fmt;

use pli_types::UnixMillis;
use ring::digest::{Context, SHA256};

use crate::class::{Class, LogKeyId};
use crate::error::{AuditError, Result};

/// A SHA-256 value of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Hash(out)
}

/// RFC 6962 §2.1: the hash of a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// RFC 6962 §2.1: the hash of an inner node.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// RFC 6962 §2.1: the hash of the empty tree.
pub(crate) fn empty_hash() -> Hash {
    sha256(&[])
}

/// Length of an encoded leaf.
pub const LEAF_BYTES: usize = 1 + 1 + 8 + 8 + 32;
const VERSION: u8 = 1;

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The event's class.
    pub class: Class,
    /// The event's time.
    pub time: UnixMillis,
    /// Its index in the log.
    pub sequence: u64,
    /// SHA-256 of the sealed event's bytes.
    pub digest: Hash,
}

impl Leaf {
    /// The entry's bytes: version, class, time, sequence (big-endian), digest.
    #[must_use]
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut out = [0; LEAF_BYTES];
        let head = [VERSION, self.class.code()];
        let (time, sequence) = (self.time.0.to_be_bytes(), self.sequence.to_be_bytes());
        let source = head.iter().chain(&time).chain(&sequence).chain(&self.digest.0);
        for (to, from) in out.iter_mut().zip(source) {
            *to = *from;
        }
        out
    }

    /// Reads [`Leaf::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let read = || {
            let (head, rest) = bytes.split_first_chunk::<2>()?;
            let (time, rest) = rest.split_first_chunk()?;
            let (sequence, rest) = rest.split_first_chunk()?;
            let [VERSION, class] = *head else { return None };
            Some(Self {
                class: Class::from_code(class)?,
                time: UnixMillis(i64::from_be_bytes(*time)),
                sequence: u64::from_be_bytes(*sequence),
                digest: Hash(rest.try_into().ok()?),
            })
        };
        read().ok_or(AuditError::Malformed("leaf"))
    }

    /// Its hash in the tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }

    /// The key that its event is sealed under.
    #[must_use]
    pub fn key_id(&self) -> LogKeyId {
        LogKeyId::of(self.time, self.class)
    }
}
