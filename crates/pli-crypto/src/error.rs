//! What can go wrong, and whose fault it is.

use thiserror::Error;

/// Result of this crate's fallible calls.
pub type Result<T, E = CryptoError> = std::result::Result<T, E>;

/// A ciphertext, tag, signature or commitment that does not belong to this key and this associated data.
///
/// Says nothing more on purpose: which byte was wrong helps nobody but an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("does not authenticate under this key and associated data")]
pub struct OpenError;

/// The errors of this crate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Random,
    /// Tampered with, or sealed for somebody or something else.
    #[error("sealed data: {0}")]
    Open(#[from] OpenError),
    /// Bytes that are not an encoding of the named thing: corrupt data or a newer version.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A version of the named thing that this program does not know.
    #[error("unknown version {1} of {0}")]
    Version(&'static str, u32),
    /// The blob was wrapped by another root key: the key file is not this store's.
    #[error("wrapped by another root key: this key file does not belong to this store")]
    OtherRoot,
    /// The blob was wrapped by a version of the root key that this key file lacks.
    #[error("wrapped by version {0} of a root key, which this key file lacks")]
    RootVersion(u32),
    /// Not a root key file at all.
    #[error("not a root key file")]
    NotAKeyFile,
    /// A root key file that was damaged: its check line does not match.
    #[error("the root key file is damaged")]
    DamagedKeyFile,
    /// The key file is under a passphrase and none was given.
    #[error("the root key file needs its passphrase")]
    PassphraseNeeded,
    /// The key file is whole, the passphrase is not its own.
    #[error("wrong passphrase for the root key file")]
    WrongPassphrase,
    /// A passphrase was given for a file that has none: the caller believes it protected, and it is not.
    #[error("the root key file has no passphrase, but one was given")]
    PassphraseNotUsed,
    /// The account has no key blob for this epoch.
    #[error("no key for epoch {0}")]
    NoEpoch(u32),
    /// The key store cannot be reached now: a token that is gone, a file that cannot be written. Nothing is lost; the
    /// same call may succeed later.
    #[error("the key store is not available: {0}")]
    Unavailable(String),
    /// The account's own secret was destroyed, and its key with it.
    #[error("the account's key was destroyed")]
    Erased,
    /// The account's own secret is not in the file of account secrets: it is an old copy, or another store's.
    #[error("the account's own secret is missing from the file of account secrets: put its newest copy back")]
    NoOwnSecret,
    /// The key store cannot do this by itself.
    #[error("this key store cannot do that: {0}")]
    Unsupported(&'static str),
    /// A root key with which private keys could be read out of the token.
    #[error("the root key in the token is not safe: {0}")]
    Unsafe(&'static str),
    /// A password over the limit, or parameters that Argon2 refuses.
    #[error("password or its parameters out of bounds")]
    Password,
}
