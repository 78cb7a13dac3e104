//! Seal and open: AEAD frames, the key hierarchy K0 to K3, key stores, password hashing, signing keys.
//!
//! This crate does no I/O, reads no clock and knows neither files nor protocols: key files come in and go out as
//! bytes, time comes in as [`pli_types::UnixMillis`], randomness is the operating system's, through `ring`.
//!
//! The hierarchy:
//! - K0, the root, inside a [`KeyStore`] (here [`FileKeyStore`]); it wraps, and nothing else.
//! - K1, a pair of P-256 pairs for each account ([`AccountKeyBlob`]): its private parts open only inside the key store.
//! - K2, an X25519 pair for each account and 30 days ([`EpochBlob`]). Its public half ([`EpochPublic`]) is signed by K1
//!   and is all that a delivery needs; its private half ([`EpochSecret`]) opens for a session only ([`Opened`]).
//! - K3, a [`MessageKey`] for each message. A row keeps it as a [`KeyWrap`]: an HPKE seal at first, a symmetric wrap
//!   after the owner's first read.
//!
//! Standards: RFC 9180 (HPKE), RFC 5869 (HKDF), NIST SP 800-38D (GCM), RFC 9106 (Argon2), RFC 8032 (Ed25519).
//!
//! Invariants:
//! - No secret has `Display` or serde, and `Debug` shows none; secrets of this crate's own types are zeroised when
//!   dropped. What `ring` expands from them (AES key schedules, Ed25519 pairs) is not: `ring` offers no way to wipe it.
//! - Whatever is sealed is bound to an [`Aad`]: a blob put in another's place does not open.
//! - No decoder panics, whatever the bytes.
//!
//! A newcomer reads [`Aad`], [`MessageKey`], then [`KeyStore`] and [`Opened`].

/// Whether this build seals nothing: a figure to compare with, never a server.
pub const NULL_CIPHER: bool = cfg!(feature = "null-cipher");

mod aad;
mod account;
mod aead;
mod codec;
mod epoch;
mod error;
mod file_store;
mod hpke_seal;
mod keystore;
mod message;
mod moving;
mod opened;
mod own_secrets;
mod password;
mod random;
mod scram;
mod secret;
mod sign;
mod wrap;

pub use aad::{Aad, AadBytes, StoreId};
pub use account::{AccountKeyBlob, RootId, Wrapping};
pub use aead::{AeadKey, NONCE_BYTES, TAG_BYTES, hkdf, hmac, is_hmac, sha256, sign_hmac};
pub use epoch::{EPOCH_DAYS, Epoch, EpochBlob, EpochPublic, EpochSecret, SENDER_MS_MAX, Sender};
pub use error::{CryptoError, OpenError, Result};
pub use file_store::FileKeyStore;
pub use keystore::{KeyStore, KeyStoreAbout, wrap_root};
pub use message::{ChunkRole, MessageKey, MessageKeys, SummaryKey};
pub use moving::Moving;
pub use opened::{BlobSource, OPENED_EPOCH_MS_MAX, Opened};
pub use own_secrets::{Erasable, OwnSecrets};
pub use password::{
    GENERATED_PASSWORD_CHARS, PASSWORD_BYTES_MAX, app_password_form, dummy_verify, generate_app_password,
    generate_password, hash_password, verify_password,
};
pub use random::random_bytes;
pub use scram::{SCRAM_ITERATIONS, SCRAM_SALT_BYTES, ScramKeys, ScramVerifier};
pub use secret::{Secret32, SecretBytes, SecretString};
pub use sign::{SigningKey, VerifyingKey};
pub use wrap::{KeyWrap, SealedKey, WrappedKey};
