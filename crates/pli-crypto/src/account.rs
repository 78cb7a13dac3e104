//! K1: an account's two P-256 pairs, as a blob whose private parts open only inside a key store.

use hpke::{Deserializable, Kem, Serializable};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use zeroize::Zeroizing;

use crate::aad::Aad;
use crate::aead::AeadKey;
use crate::codec::Reader;
use crate::epoch::{Epoch, EpochBlob, EpochSecret, PublicPart};
use crate::error::{CryptoError, OpenError, Result};
use crate::hpke_seal::{self, P256};
use crate::random::{fill, random_bytes};

/// Names a root key without telling it: says "another key file" apart from "tampered with".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RootId(pub [u8; 8]);

pub(crate) const P256_PUBLIC_BYTES: usize = 65;
const PRIVATE_BYTES: usize = 64;
const WRAPPED_BYTES: usize = PRIVATE_BYTES + crate::TAG_BYTES;
const BLOB_VERSION: u8 = 1;
const BLOB_MAGIC: [u8; 3] = *b"pK1";

/// K1 as stored: public parts in clear, private parts wrapped by K0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKeyBlob {
    pub(crate) root: RootId,
    pub(crate) root_version: u32,
    pub(crate) encryption: [u8; P256_PUBLIC_BYTES],
    pub(crate) signature: [u8; P256_PUBLIC_BYTES],
    nonce: [u8; crate::NONCE_BYTES],
    wrapped: [u8; WRAPPED_BYTES],
}

impl AccountKeyBlob {
    /// Length of the encoding.
    pub const BYTES: usize = 3 + 1 + 8 + 4 + 2 * P256_PUBLIC_BYTES + crate::NONCE_BYTES + WRAPPED_BYTES;

    /// The version of the root key that wraps it: a rotation of K0 rewraps the older ones.
    #[must_use]
    pub const fn root_version(&self) -> u32 {
        self.root_version
    }

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&BLOB_MAGIC);
        out.push(BLOB_VERSION);
        out.extend_from_slice(&self.root.0);
        out.extend_from_slice(&self.root_version.to_be_bytes());
        out.extend_from_slice(&self.encryption);
        out.extend_from_slice(&self.signature);
        out.extend_from_slice(&self.nonce);
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
        match r.u8() {
            Some(BLOB_VERSION) => {}
            Some(other) => return Err(CryptoError::Version("account key blob", other.into())),
            None => return Err(malformed),
        }
        let mut read = || {
            let blob = Self {
                root: RootId(r.array()?),
                root_version: r.u32()?,
                encryption: r.array()?,
                signature: r.array()?,
                nonce: r.array()?,
                wrapped: r.array()?,
            };
            r.end().map(|()| blob)
        };
        read().ok_or(malformed)
    }
}

// Bound to the public parts as well: a blob with a substituted public key does not open.
fn wrap_aad(ctx: &Aad, root_version: u32, encryption: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut aad = ctx.role("k1").encode().to_vec();
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
        let mut wrapped = Zeroizing::new([0; WRAPPED_BYTES]);
        let (private, tag) = wrapped.split_at_mut(PRIVATE_BYTES);
        let (first, second) = private.split_at_mut(32);
        self.encryption.write_exact(first);
        let scalar = Zeroizing::new(<[u8; 32]>::from(self.signing.to_bytes()));
        second.copy_from_slice(scalar.as_ref());
        let nonce = random_bytes()?;
        let aad = wrap_aad(ctx, root_version, &encryption, &signature);
        tag.copy_from_slice(&key.seal_detached(nonce, &aad, private));
        Ok(AccountKeyBlob { root, root_version, encryption, signature, nonce, wrapped: *wrapped })
    }

    pub(crate) fn unwrap(key: &AeadKey, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Self> {
        let aad = wrap_aad(ctx, blob.root_version, &blob.encryption, &blob.signature);
        let mut plain = Zeroizing::new(blob.wrapped);
        let private = key.open(blob.nonce, &aad, plain.as_mut())?;
        let (first, second) = private.split_at_checked(32).ok_or(OpenError)?;
        let encryption = <P256 as Kem>::PrivateKey::from_bytes(first).map_err(|_| OpenError)?;
        let signing = SigningKey::from_slice(second).map_err(|_| OpenError)?;
        let encryption_public = <P256 as Kem>::PublicKey::from_bytes(&blob.encryption).map_err(|_| OpenError)?;
        Ok(Self { encryption, encryption_public, signing })
    }

    pub(crate) fn create_epoch(&self, ctx: &Aad, epoch: Epoch) -> Result<EpochBlob> {
        let secret = EpochSecret::generate(epoch)?;
        let public = secret.public_part();
        let aad = ctx.role("k2").epoch(epoch).encode();
        let sealed = hpke_seal::seal::<P256, { EpochBlob::SEALED_BYTES }>(
            &self.encryption_public,
            K2_INFO,
            &aad,
            &secret.private_bytes(),
        )?;
        let signature: Signature = self.signing.sign(&public.signed_bytes(ctx, epoch));
        Ok(EpochBlob { epoch, public, sealed, signature: signature.to_bytes().into() })
    }

    pub(crate) fn open_epoch(&self, ctx: &Aad, blob: &EpochBlob) -> Result<EpochSecret> {
        let aad = ctx.role("k2").epoch(blob.epoch).encode();
        let private = hpke_seal::open::<P256>(&self.encryption, K2_INFO, &aad, &blob.sealed)?;
        let secret = EpochSecret::from_private(blob.epoch, &private)?;
        // The public half that deliveries seal to must be the other half of what opens here.
        let expected: PublicPart = secret.public_part();
        if expected != blob.public {
            return Err(OpenError.into());
        }
        Ok(secret)
    }
}

const K2_INFO: &[u8] = b"pli K2 v1";
