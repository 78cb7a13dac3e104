//! What can go wrong, and whose fault it is.

use thiserror::Error;

/// Result of this crate's fallible calls.
pub type Result<T, E = AuditError> = std::result::Result<T, E>;

/// The errors of this crate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Bytes or text that are not an encoding of the named thing.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// An entry that does not fit into a bundle, or an event that no truncation makes fit.
    #[error("an entry of {0} bytes is over the limit")]
    TooLong(usize),
    /// A sealed event that does not open under this key.
    #[error("sealed event: {0}")]
    Open(#[from] pli_crypto::OpenError),
    /// A sealed event or event offered to the key of another month or class.
    #[error("the key is of another month or class")]
    OtherKey,
    /// No signature by the expected key verifies.
    #[error("no valid signature by {0}")]
    Signature(String),
    /// A proof that does not prove what it should.
    #[error("the proof does not hold")]
    Proof,
    /// Sizes or indexes that no tree has.
    #[error("index or size out of bounds")]
    Bounds,
    /// A tile that its reader could not give.
    #[error("tile {0} cannot be read")]
    Tile(String),
}
