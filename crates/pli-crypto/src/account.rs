//! K1: an account's two P-256 pairs, as a blob whose private parts open only inside a key store.

use hpke::{Deserializable, Kem, Serializable};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use zeroize::Zeroizing;

use crate::aad::Aad;
use crate::aead::{AeadKey, hkdf};
use crate::codec::Reader;
use crate::epoch::{EpochBlob, EpochSecret, K2_INFO};
use crate::error::{CryptoError, OpenError, Result};
use crate::hpke_seal::{self, P256};
use crate::random::{fill, random_bytes};
use crate::secret::Secret32;

/// Names a root key without telling it: says "another key file" apart from "tampered with".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RootId(pub [u8; 8]);

pub(crate) const P256_PUBLIC_BYTES: usize = 65;
const PRIVATE_BYTES: usize = 64;
/// Nonce, the two scalars, tag: the private parts as a key file wraps them.
const FILE_WRAP_BYTES: usize = crate::NONCE_BYTES + PRIVATE_BYTES + crate::TAG_BYTES;
/// What a token may give for two wrapped keys, at most.
const WRAPPED_BYTES_MAX: usize = 1024;
const BLOB_MAGIC: [u8; 3] = *b"pK1";
/// As key files make it, without an own secret.
const VERSION_PLAIN: u8 = 1;
/// With kind, mark of the own secret, and a length.
const VERSION_WIDE: u8 = 2;

/// How the private parts of a blob are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Sealed under a key derived from K0, bound to account and public parts.
    File,
    /// Two keys wrapped inside a token; bound by the account's own secret alone.
    Token,
}

impl Wrapping {
    const fn byte(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Token => 2,
        }
    }
}

/// K1 as stored: public parts in clear, private parts wrapped by K0, and around that by the account's own secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKeyBlob {
    pub(crate) root: RootId,
    pub(crate) root_version: u32,
    pub(crate) encryption: [u8; P256_PUBLIC_BYTES],
    pub(crate) signature: [u8; P256_PUBLIC_BYTES],
    wrapping: Wrapping,
    own: bool,
    wrapped: Vec<u8>,
}

impl AccountKeyBlob {
    /// Length of the encoding that a key file makes without an own secret.
    pub const BYTES: usize = 3 + 1 + 8 + 4 + 2 * P256_PUBLIC_BYTES + FILE_WRAP_BYTES;

    /// A blob of a token: public parts as uncompressed points, and what the token made of the private ones.
    pub fn of_token(
        root: RootId,
        root_version: u32,
        encryption: [u8; P256_PUBLIC_BYTES],
        signature: [u8; P256_PUBLIC_BYTES],
        wrapped: Vec<u8>,
    ) -> Result<Self> {
        if wrapped.len() > WRAPPED_BYTES_MAX {
            return Err(CryptoError::Malformed("account key blob"));
        }
        Ok(Self { root, root_version, encryption, signature, wrapping: Wrapping::Token, own: false, wrapped })
    }

    /// The root key that wraps it.
    #[must_use]
    pub const fn root(&self) -> RootId {
        self.root
    }
    /// The version of the root key that wraps it: a rotation of K0 rewraps the older ones.
    #[must_use]
    pub const fn root_version(&self) -> u32 {
        self.root_version
    }
    /// How the private parts are wrapped.
    #[must_use]
    pub const fn wrapping(&self) -> Wrapping {
        self.wrapping
    }
    /// Whether the account's own secret is around it, so that it ends with that secret.
    #[must_use]
    pub const fn has_own(&self) -> bool {
        self.own
    }
    /// The wrapped private parts; opaque to all but the key store that made them.
    #[must_use]
    pub fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }
    /// The public half that epochs are sealed to.
    #[must_use]
    pub const fn encryption_public(&self) -> &[u8; P256_PUBLIC_BYTES] {
        &self.encryption
    }

    fn own_aad(&self, ctx: &Aad) -> Vec<u8> {
        let mut aad = wrap_aad(&ctx.role("k1-own"), self.root_version, &self.encryption, &self.signature);
        aad.push(self.wrapping.byte());
        aad.extend_from_slice(&self.root.0);
        aad
    }

    /// The same with the account's own secret around it.
    pub(crate) fn seal_own(&self, secret: &Secret32, ctx: &Aad) -> Result<Self> {
        let mut wrapped = self.wrapped.clone();
        let nonce: [u8; crate::NONCE_BYTES] = random_bytes()?;
        own_key(secret).seal(nonce, &self.own_aad(ctx), &mut wrapped);
        let wrapped = [&nonce[..], &wrapped].concat();
        Ok(Self { own: true, wrapped, ..self.clone() })
    }
    /// The same without it.
    pub(crate) fn open_own(&self, secret: &Secret32, ctx: &Aad) -> Result<Self> {
        let (nonce, sealed) = self.wrapped.split_first_chunk::<{ crate::NONCE_BYTES }>().ok_or(OpenError)?;
        let mut sealed = sealed.to_vec();
        let wrapped = own_key(secret).open(*nonce, &self.own_aad(ctx), &mut sealed)?.to_vec();
        Ok(Self { own: false, wrapped, ..self.clone() })
    }

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let plain = self.wrapping == Wrapping::File && !self.own;
        let mut out = Vec::with_capacity(Self::BYTES.saturating_add(64));
        out.extend_from_slice(&BLOB_MAGIC);
        if plain {
            out.push(VERSION_PLAIN);
        } else {
            out.extend_from_slice(&[VERSION_WIDE, self.wrapping.byte(), u8::from(self.own)]);
        }
        out.extend_from_slice(&self.root.0);
        out.extend_from_slice(&self.root_version.to_be_bytes());
        out.extend_from_slice(&self.encryption);
        out.extend_from_slice(&self.signature);
        if !plain {
            let length = u16::try_from(self.wrapped.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(&self.wrapped);
        out
    }

    /// Reads exactly one encoding. Whether it is whole is seen when a key store opens it.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let malformed = CryptoError::Malformed("account key blob");
        let mut r = Reader::new(bytes);
        if r.array() != Some(BLOB_MAGIC) {
            return Err(malformed);
        }
        let version = match r.u8() {
            Some(known @ (VERSION_PLAIN | VERSION_WIDE)) => known,
            Some(other) => return Err(CryptoError::Version("account key blob", other.into())),
            None => return Err(malformed),
        };
        let mut read = || {
            let (wrapping, own) = match version {
                VERSION_PLAIN => (Wrapping::File, false),
                _ => match (r.u8()?, r.u8()?) {
                    (1, 1) => (Wrapping::File, true),
                    (2, own @ (0 | 1)) => (Wrapping::Token, own == 1),
                    _ => return None,
                },
            };
            let (root, root_version) = (RootId(r.array()?), r.u32()?);
            let (encryption, signature) = (r.array()?, r.array()?);
            let length = match version {
                VERSION_PLAIN => FILE_WRAP_BYTES,
                _ => usize::from(u16::from_be_bytes(r.array()?)),
            };
            if length > WRAPPED_BYTES_MAX + crate::NONCE_BYTES + crate::TAG_BYTES {
                return None;
            }
            let wrapped = r.bytes(length)?.to_vec();
            r.end()?;
            Some(Self { root, root_version, encryption, signature, wrapping, own, wrapped })
        };
        read().ok_or(malformed)
    }
}

fn own_key(secret: &Secret32) -> AeadKey {
    AeadKey::new(&hkdf(secret, b"pli K1 own v1", &[]))
}

// Bound to the public parts as well: a blob with a substituted public key does not open.
fn wrap_aad(ctx: &Aad, root_version: u32, encryption: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut aad = ctx.encode().to_vec();
    aad.extend_from_slice(&root_version.to_be_bytes());
    aad.extend_from_slice(encryption);
    aad.extend_from_slice(signature);
    aad
}

/// K1 opened in memory: what a key store without an HSM works with, for the length of one call.
pub(crate) struct AccountSecret {
    encryption: <P256 as Kem>::PrivateKey,
    encryption_public: <P256 as Kem>::PublicKey,
    signing: SigningKey,
}

impl AccountSecret {
    pub(crate) fn generate() -> Result<Self> {
        let mut ikm = Zeroizing::new([0_u8; 32]);
        fill(ikm.as_mut())?;
        let (encryption, encryption_public) = P256::derive_keypair(ikm.as_ref());
        // A random 32-byte string is outside the scalar range with probability 2^-32: the fourth miss is a broken source.
        for _ in 0..4 {
            fill(ikm.as_mut())?;
            if let Ok(signing) = SigningKey::from_slice(ikm.as_ref()) {
                return Ok(Self { encryption, encryption_public, signing });
            }
        }
        Err(CryptoError::Random)
    }

    pub(crate) fn wrap(&self, key: &AeadKey, root: RootId, root_version: u32, ctx: &Aad) -> Result<AccountKeyBlob> {
        let malformed = || CryptoError::Malformed("account key");
        let mut encryption = [0; P256_PUBLIC_BYTES];
        encryption.copy_from_slice(&self.encryption_public.to_bytes());
        let point = self.signing.verifying_key().to_encoded_point(false);
        let signature: [u8; P256_PUBLIC_BYTES] = point.as_bytes().try_into().map_err(|_| malformed())?;
        let mut private = Zeroizing::new([0; PRIVATE_BYTES]);
        let (first, second) = private.split_at_mut(32);
        self.encryption.write_exact(first);
        let scalar = Zeroizing::new(<[u8; 32]>::from(self.signing.to_bytes()));
        second.copy_from_slice(scalar.as_ref());
        let nonce: [u8; crate::NONCE_BYTES] = random_bytes()?;
        let aad = wrap_aad(&ctx.role("k1"), root_version, &encryption, &signature);
        let tag = key.seal_detached(nonce, &aad, private.as_mut());
        let wrapped = [&nonce[..], &private[..], &tag[..]].concat();
        Ok(AccountKeyBlob { root, root_version, encryption, signature, wrapping: Wrapping::File, own: false, wrapped })
    }

    pub(crate) fn unwrap(key: &AeadKey, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Self> {
        if blob.own || blob.wrapping != Wrapping::File {
            return Err(OpenError.into());
        }
        let aad = wrap_aad(&ctx.role("k1"), blob.root_version, &blob.encryption, &blob.signature);
        let (nonce, sealed) = blob.wrapped.split_first_chunk::<{ crate::NONCE_BYTES }>().ok_or(OpenError)?;
        let sealed: &[u8; PRIVATE_BYTES + crate::TAG_BYTES] = sealed.try_into().map_err(|_| OpenError)?;
        let mut plain = Zeroizing::new(*sealed);
        let private = key.open(*nonce, &aad, plain.as_mut())?;
        let (first, second) = private.split_at_checked(32).ok_or(OpenError)?;
        let encryption = <P256 as Kem>::PrivateKey::from_bytes(first).map_err(|_| OpenError)?;
        let signing = SigningKey::from_slice(second).map_err(|_| OpenError)?;
        let encryption_public = <P256 as Kem>::PublicKey::from_bytes(&blob.encryption).map_err(|_| OpenError)?;
        Ok(Self { encryption, encryption_public, signing })
    }

    pub(crate) fn seal_epoch(&self, ctx: &Aad, secret: &EpochSecret) -> Result<EpochBlob> {
        EpochBlob::seal_to(&self.encryption_public, ctx, secret, |message| {
            let signature: Signature = self.signing.sign(message);
            Ok(signature.to_bytes().into())
        })
    }

    pub(crate) fn open_epoch(&self, ctx: &Aad, blob: &EpochBlob) -> Result<EpochSecret> {
        let aad = ctx.role("k2").epoch(blob.epoch).encode();
        let private = hpke_seal::open::<P256>(&self.encryption, K2_INFO, &aad, &blob.sealed)?;
        Ok(blob.secret(&private)?)
    }
}
