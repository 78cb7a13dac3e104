//! HPKE base mode in the two suites of the hierarchy, with 32-byte secrets as messages.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
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

// RFC 9180 §7.1 to §7.3: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
const KEM_SUITE: &[u8] = b"KEM\x00\x10";
const SUITE: &[u8] = b"HPKE\x00\x10\x00\x01\x00\x02";

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
    // HMAC pads a key with zeros: 32 of them are the empty salt.
    let empty = Secret32::new([0; 32]);
    let prk = labeled_extract(&empty, KEM_SUITE, b"eae_prk", dh.expose());
    let shared = labeled_expand(&prk, KEM_SUITE, b"shared_secret", &[enc, public].concat(), 32);
    let psk_id = labeled_extract(&empty, SUITE, b"psk_id_hash", b"");
    let info = labeled_extract(&empty, SUITE, b"info_hash", info);
    let context = [&[0][..], psk_id.expose(), info.expose()].concat();
    let secret = labeled_extract(&shared, SUITE, b"secret", b"");
    let key = labeled_expand(&secret, SUITE, b"key", &context, 32);
    let nonce = labeled_expand(&secret, SUITE, b"base_nonce", &context, 12);
    let nonce: &[u8; NONCE_BYTES] = nonce.expose().first_chunk().ok_or(OpenError)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let plain = AeadKey::new(&key).open(*nonce, aad, &mut sealed)?;
    let bytes: &[u8; 32] = (&*plain).try_into().map_err(|_| OpenError)?;
    Ok(Secret32::new(*bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

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
