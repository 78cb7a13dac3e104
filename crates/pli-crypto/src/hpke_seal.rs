//! HPKE base mode in the two suites of the hierarchy, with 32-byte secrets as messages.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use zeroize::Zeroizing;

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
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| OpenError)?;
    let plain = single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, with, &enc, info, sealed, aad)
        .map(Zeroizing::new)
        .map_err(|_| OpenError)?;
    let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError)?;
    Ok(Secret32::new(*bytes))
}
