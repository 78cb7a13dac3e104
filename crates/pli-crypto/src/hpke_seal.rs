//! HPKE base mode in the two suites of the hierarchy, with 32-byte secrets as messages.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519 as RING_X25519, agree_ephemeral};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::aead::{AeadKey, NONCE_BYTES, hmac};
use crate::error::{CryptoError, OpenError, Result};
use crate::random::Prefilled;
use crate::secret::Secret32;

pub(crate) type X25519 = hpke::kem::X25519HkdfSha256;
pub(crate) type P256 = hpke::kem::DhP256HkdfSha256;

/// `ENC` bytes of encapsulated key, then 48 of sealed secret and tag: `SIZE` bytes in all.
pub(crate) fn seal<K: Kem, const SIZE: usize>(
    to: &K::PublicKey,
    info: &[u8],
    aad: &[u8],
    secret: &Secret32,
) -> Result<[u8; SIZE]> {
    if crate::NULL_CIPHER {
        let mut out = [0; SIZE];
        let start = K::EncappedKey::size();
        out.get_mut(start..start + 32).ok_or(CryptoError::Malformed("seal"))?.copy_from_slice(secret.expose());
        return Ok(out);
    }
    let mut rng = Prefilled::draw()?;
    let (enc, sealed) =
        single_shot_seal::<AesGcm256, HkdfSha256, K, _>(&OpModeS::Base, to, info, secret.expose(), aad, &mut rng)
            .map_err(|_| CryptoError::Malformed("public key"))?;
    if rng.exhausted() {
        return Err(CryptoError::Random);
    }
    let mut out = [0; SIZE];
    let enc = enc.to_bytes();
    let (head, tail) = out.split_at_mut_checked(enc.len()).ok_or(CryptoError::Malformed("seal"))?;
    if tail.len() != sealed.len() {
        return Err(CryptoError::Malformed("seal"));
    }
    head.copy_from_slice(&enc);
    tail.copy_from_slice(&sealed);
    Ok(out)
}

pub(crate) fn open<K: Kem>(with: &K::PrivateKey, info: &[u8], aad: &[u8], bytes: &[u8]) -> Result<Secret32, OpenError> {
    let (enc, sealed) = bytes.split_at_checked(K::EncappedKey::size()).ok_or(OpenError)?;
    if crate::NULL_CIPHER {
        return sealed.first_chunk().map(|secret| Secret32::new(*secret)).ok_or(OpenError);
    }
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| OpenError)?;
    let plain = single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, with, &enc, info, sealed, aad)
        .map(Zeroizing::new)
        .map_err(|_| OpenError)?;
    let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError)?;
    Ok(Secret32::new(*bytes))
}

/// A suite's names in the key schedule: RFC 9180 §4.1 and §5.1.
struct Suite {
    kem: &'static [u8],
    hpke: &'static [u8],
}

// RFC 9180 §7.1 to §7.3: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
const P256_SUITE: Suite = Suite { kem: b"KEM\x00\x10", hpke: b"HPKE\x00\x10\x00\x01\x00\x02" };
// The same with DHKEM(X25519, HKDF-SHA256).
const X25519_SUITE: Suite = Suite { kem: b"KEM\x00\x20", hpke: b"HPKE\x00\x20\x00\x01\x00\x02" };

// RFC 9180 §4.
fn labeled_extract(salt: &Secret32, suite: &[u8], label: &[u8], ikm: &[u8]) -> Secret32 {
    let input = Zeroizing::new([b"HPKE-v1", suite, label, ikm].concat());
    Secret32::new(hmac(salt, &input))
}

// RFC 9180 §4, for 32 bytes at most: one block of HKDF-Expand.
fn labeled_expand(prk: &Secret32, suite: &[u8], label: &[u8], info: &[u8], length: u16) -> Secret32 {
    let input = [&length.to_be_bytes()[..], b"HPKE-v1", suite, label, info, &[1]].concat();
    Secret32::new(hmac(prk, &input))
}

/// Opens a seal to a P-256 key whose Diffie-Hellman secret was computed elsewhere, inside a token: the rest of RFC 9180
/// §4.1, §5.1 and §5.2 in base mode.
pub(crate) fn open_with(
    dh: &Secret32,
    public: &[u8; 65],
    info: &[u8],
    aad: &[u8],
    bytes: &[u8],
) -> Result<Secret32, OpenError> {
    let (enc, sealed) = bytes.split_at_checked(65).ok_or(OpenError)?;
    Context::schedule(&P256_SUITE, dh, &[enc, public].concat(), info).open(0, aad, sealed)
}

/// What both sides have after one key agreement, and what seals any number of messages by it: RFC 9180 §5.2, with the
/// sequence number of each message said instead of counted, so that messages open in any order.
pub(crate) struct Context {
    key: AeadKey,
    base_nonce: [u8; NONCE_BYTES],
}

impl Context {
    /// RFC 9180 §4.1 and §5.1 in base mode, from the Diffie-Hellman secret on.
    fn schedule(suite: &Suite, dh: &Secret32, kem_context: &[u8], info: &[u8]) -> Self {
        // HMAC pads a key with zeros: 32 of them are the empty salt.
        let empty = Secret32::new([0; 32]);
        let prk = labeled_extract(&empty, suite.kem, b"eae_prk", dh.expose());
        let shared = labeled_expand(&prk, suite.kem, b"shared_secret", kem_context, 32);
        let psk_id = labeled_extract(&empty, suite.hpke, b"psk_id_hash", b"");
        let info = labeled_extract(&empty, suite.hpke, b"info_hash", info);
        let context = [&[0][..], psk_id.expose(), info.expose()].concat();
        let secret = labeled_extract(&shared, suite.hpke, b"secret", b"");
        let key = labeled_expand(&secret, suite.hpke, b"key", &context, 32);
        let nonce = labeled_expand(&secret, suite.hpke, b"base_nonce", &context, 12);
        let mut base_nonce = [0; NONCE_BYTES];
        base_nonce.copy_from_slice(nonce.expose().first_chunk().unwrap_or(&[0; NONCE_BYTES]));
        Self { key: AeadKey::new(&key), base_nonce }
    }

    /// The sender's side: a new agreement with an X25519 key, and the encapsulated key that goes with each message.
    pub(crate) fn to_x25519(public: &[u8; 32], info: &[u8]) -> Result<([u8; 32], Self)> {
        if crate::NULL_CIPHER {
            let empty = Secret32::new([0; 32]);
            return Ok(([0; 32], Self { key: AeadKey::new(&empty), base_nonce: [0; NONCE_BYTES] }));
        }
        let random = |_| CryptoError::Random;
        let own = EphemeralPrivateKey::generate(&RING_X25519, &SystemRandom::new()).map_err(random)?;
        let own_public = own.compute_public_key().map_err(random)?;
        let enc: [u8; 32] = own_public.as_ref().try_into().map_err(|_| CryptoError::Malformed("public key"))?;
        // RFC 9180 §7.1.4: an all-zero secret is refused, by ring.
        let context = agree_ephemeral(own, &UnparsedPublicKey::new(&RING_X25519, public), |dh| {
            let dh: [u8; 32] = dh.try_into().ok()?;
            Some(Self::schedule(&X25519_SUITE, &Secret32::new(dh), &[enc, *public].concat(), info))
        });
        let context = context.ok().flatten().ok_or(CryptoError::Malformed("public key"))?;
        Ok((enc, context))
    }

    /// The receiver's side.
    pub(crate) fn from_x25519(
        private: &Secret32,
        public: &[u8; 32],
        enc: &[u8; 32],
        info: &[u8],
    ) -> Result<Self, OpenError> {
        if crate::NULL_CIPHER {
            return Ok(Self { key: AeadKey::new(&Secret32::new([0; 32])), base_nonce: [0; NONCE_BYTES] });
        }
        let dh = Secret32::new(x25519_dalek::x25519(*private.expose(), *enc));
        // RFC 9180 §7.1.4.
        if dh == Secret32::new([0; 32]) {
            return Err(OpenError);
        }
        Ok(Self::schedule(&X25519_SUITE, &dh, &[*enc, *public].concat(), info))
    }

    /// RFC 9180 §5.2.
    fn nonce(&self, sequence: u32) -> [u8; NONCE_BYTES] {
        let mut nonce = self.base_nonce;
        if let Some(end) = nonce.last_chunk_mut::<4>() {
            *end = (u32::from_be_bytes(*end) ^ sequence).to_be_bytes();
        }
        nonce
    }

    /// Seals a secret: ciphertext and tag. No sequence number twice.
    pub(crate) fn seal(&self, sequence: u32, aad: &[u8], secret: &Secret32) -> [u8; 48] {
        let mut out = [0; 48];
        let (sealed, tag) = out.split_at_mut(32);
        sealed.copy_from_slice(secret.expose());
        tag.copy_from_slice(&self.key.seal_detached(self.nonce(sequence), aad, sealed));
        out
    }

    /// Opens what [`Context::seal`] sealed.
    pub(crate) fn open(&self, sequence: u32, aad: &[u8], sealed: &[u8]) -> Result<Secret32, OpenError> {
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = self.key.open(self.nonce(sequence), aad, &mut sealed)?;
        let bytes: &[u8; 32] = (&*plain).try_into().map_err(|_| OpenError)?;
        Ok(Secret32::new(*bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    // Both sides of the X25519 suite are ours: each is held against the `hpke` crate's other side.
    #[test]
    fn contexts_agree_with_hpke() {
        let (private, public) = X25519::derive_keypair(Secret32::generate().unwrap().expose());
        let raw_private = Secret32::new(private.to_bytes().as_slice().try_into().unwrap());
        let raw: [u8; 32] = public.to_bytes().as_slice().try_into().unwrap();
        let secrets: Vec<Secret32> = (0..3).map(|_| Secret32::generate().unwrap()).collect();

        // Ours seals, theirs opens in order.
        let (enc, ours) = Context::to_x25519(&raw, b"info").unwrap();
        let encapped = <X25519 as Kem>::EncappedKey::from_bytes(&enc).unwrap();
        let mut theirs =
            hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519>(&OpModeR::Base, &private, &encapped, b"info")
                .unwrap();
        for (secret, number) in secrets.iter().zip(0..) {
            let sealed = ours.seal(number, b"aad", secret);
            assert_eq!(theirs.open(&sealed, b"aad").unwrap(), secret.expose());
        }
        // Theirs seals, ours opens in any order, and nothing else.
        let mut rng = Prefilled::draw().unwrap();
        let (enc, mut theirs) =
            hpke::setup_sender::<AesGcm256, HkdfSha256, X25519, _>(&OpModeS::Base, &public, b"info", &mut rng).unwrap();
        let sealed: Vec<Vec<u8>> = secrets.iter().map(|s| theirs.seal(s.expose(), b"aad").unwrap()).collect();
        let enc: [u8; 32] = enc.to_bytes().as_slice().try_into().unwrap();
        let ours = Context::from_x25519(&raw_private, &raw, &enc, b"info").unwrap();
        for at in [2, 0, 1] {
            let number = u32::try_from(at).unwrap();
            assert_eq!(ours.open(number, b"aad", &sealed[at]), Ok(secrets[at].clone()));
            assert_eq!(ours.open(number + 1, b"aad", &sealed[at]), Err(OpenError));
            assert_eq!(ours.open(number, b"aae", &sealed[at]), Err(OpenError));
        }
        let other = Context::from_x25519(&raw_private, &raw, &enc, b"infp").unwrap();
        assert_eq!(other.open(0, b"aad", &sealed[0]), Err(OpenError));
        // Points of small order give no secret.
        assert!(Context::from_x25519(&raw_private, &raw, &[0; 32], b"info").is_err());
        assert!(Context::to_x25519(&[0; 32], b"info").is_err());
    }

    // A seal by the `hpke` crate opens with our half of the work, given what a token would compute.
    #[test]
    fn the_second_half_alone_opens_what_hpke_sealed() {
        let ikm = Secret32::generate().unwrap();
        let (private, public) = P256::derive_keypair(ikm.expose());
        let scalar = p256::SecretKey::from_slice(&private.to_bytes()).unwrap();
        let secret = Secret32::generate().unwrap();
        let sealed = seal::<P256, 113>(&public, b"info", b"aad", &secret).unwrap();
        let point = p256::PublicKey::from_sec1_bytes(&sealed[..65]).unwrap();
        let dh = p256::ecdh::diffie_hellman(scalar.to_nonzero_scalar(), point.as_affine());
        let dh = Secret32::new((*dh.raw_secret_bytes()).into());
        let own: [u8; 65] = public.to_bytes().as_slice().try_into().unwrap();
        assert_eq!(open_with(&dh, &own, b"info", b"aad", &sealed), Ok(secret.clone()));
        assert_eq!(open::<P256>(&private, b"info", b"aad", &sealed), Ok(secret));
        assert_eq!(open_with(&dh, &own, b"info", b"aae", &sealed), Err(OpenError));
        assert_eq!(open_with(&dh, &own, b"infp", b"aad", &sealed), Err(OpenError));
        let other = Secret32::generate().unwrap();
        assert_eq!(open_with(&other, &own, b"info", b"aad", &sealed), Err(OpenError));
    }
}
