//! AES-256-GCM over `ring`, HKDF-SHA256, HMAC and SHA-256.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad as RingAad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac as ring_hmac};

use crate::error::OpenError;
use crate::secret::Secret32;

/// Bytes of a GCM nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a GCM tag.
pub const TAG_BYTES: usize = 16;

/// An AES-256-GCM key. The caller never uses a nonce twice: counters under keys used once, or random nonces under keys
/// that wrap far fewer than 2^32 things.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Expands the key.
    #[must_use]
    #[expect(clippy::expect_used, reason = "AES-256 takes exactly the 32 bytes that the type carries")]
    pub fn new(key: &Secret32) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.expose()).expect("32 bytes are an AES-256 key");
        Self(LessSafeKey::new(unbound))
    }

    /// Seals in place and appends the tag.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], in_out: &mut Vec<u8>) {
        let tag = self.seal_detached(nonce, aad, in_out);
        in_out.extend_from_slice(&tag);
    }

    /// Seals in place; the tag goes where the caller wants it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "GCM refuses only over 64 GiB, which no buffer of the server reaches")]
    pub fn seal_detached(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_BYTES] {
        if crate::NULL_CIPHER {
            return [0; TAG_BYTES];
        }
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), RingAad::from(aad), in_out)
            .expect("under 64 GiB");
        let mut out = [0; TAG_BYTES];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// Opens ciphertext and tag in place and returns the plaintext at its beginning. On error the buffer's content is
    /// not to be used.
    pub fn open<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        if crate::NULL_CIPHER {
            let plain = in_out.len().checked_sub(TAG_BYTES).ok_or(OpenError)?;
            return in_out.get_mut(..plain).ok_or(OpenError);
        }
        self.0.open_in_place(Nonce::assume_unique_for_key(nonce), RingAad::from(aad), in_out).map_err(|_| OpenError)
    }

    /// The tag over associated data alone (GMAC): authenticates what is not encrypted.
    #[must_use]
    pub fn tag_only(&self, nonce: [u8; NONCE_BYTES], aad: &[u8]) -> [u8; TAG_BYTES] {
        self.seal_detached(nonce, aad, &mut [])
    }

    /// Checks a tag of [`AeadKey::tag_only`].
    pub fn verify_tag(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], tag: &[u8; TAG_BYTES]) -> Result<(), OpenError> {
        let mut tag = *tag;
        self.open(nonce, aad, &mut tag).map(|_| ())
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(redacted)")
    }
}

// RFC 5869 §2.2 and §2.3 with L = 32: one block, T(1) = HMAC(PRK, info | 0x01). Written over HMAC since that cannot
// fail, whereas ring's own HKDF has an error for lengths that never occur here.
fn hkdf_block(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Secret32 {
    let prk = ring_hmac::sign(&ring_hmac::Key::new(ring_hmac::HMAC_SHA256, salt), ikm);
    let mut ctx = ring_hmac::Context::with_key(&ring_hmac::Key::new(ring_hmac::HMAC_SHA256, prk.as_ref()));
    for part in info {
        ctx.update(part);
    }
    ctx.update(&[1]);
    let mut out = [0; 32];
    out.copy_from_slice(ctx.sign().as_ref());
    Secret32::new(out)
}

/// HMAC-SHA256 of a message, for those who are to show it: see [`is_hmac`].
#[must_use]
pub fn sign_hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = ring_hmac::sign(&ring_hmac::Key::new(ring_hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

/// Whether a tag is the HMAC-SHA256 of a message; compared in constant time.
#[must_use]
pub fn is_hmac(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    ring_hmac::verify(&ring_hmac::Key::new(ring_hmac::HMAC_SHA256, key), message, tag).is_ok()
}

/// HKDF-SHA256 (RFC 5869): 32 bytes. The parts of `info` are joined; the caller keeps them unambiguous.
#[must_use]
pub fn hkdf(ikm: &Secret32, salt: &[u8], info: &[&[u8]]) -> Secret32 {
    hkdf_block(ikm.expose(), salt, info)
}

/// HKDF's first step under a salt that is always the same: the salt is hashed once in the program's life, the secret
/// once for all labels.
pub(crate) struct Extracted(ring_hmac::Key);

impl Extracted {
    /// RFC 5869 §2.2, with the salt as a prepared HMAC key.
    pub(crate) fn new(salt: &ring_hmac::Key, ikm: &Secret32) -> Self {
        let prk = ring_hmac::sign(salt, ikm.expose());
        Self(ring_hmac::Key::new(ring_hmac::HMAC_SHA256, prk.as_ref()))
    }
    /// RFC 5869 §2.3, one block: what [`hkdf`] gives for the same salt, secret and label.
    pub(crate) fn expand(&self, label: &[u8]) -> Secret32 {
        let mut ctx = ring_hmac::Context::with_key(&self.0);
        ctx.update(label);
        ctx.update(&[1]);
        let mut out = [0; 32];
        out.copy_from_slice(ctx.sign().as_ref());
        Secret32::new(out)
    }
}

/// A salt prepared for [`Extracted::new`].
pub(crate) fn salt(label: &[u8]) -> ring_hmac::Key {
    ring_hmac::Key::new(ring_hmac::HMAC_SHA256, label)
}

/// HMAC-SHA256, for keyed pseudonyms and blind indexes.
#[must_use]
pub fn hmac(key: &Secret32, message: &[u8]) -> [u8; 32] {
    let tag = ring_hmac::sign(&ring_hmac::Key::new(ring_hmac::HMAC_SHA256, key.expose()), message);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

/// SHA-256.
#[must_use]
pub fn sha256(message: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    // RFC 5869 appendix A.1 to A.3; the first 32 of the 42 or 82 bytes of output.
    #[test]
    fn hkdf_known_answers() {
        let a1 = hkdf_block(&[0x0b; 22], &hex("000102030405060708090a0b0c"), &[&hex("f0f1f2f3f4"), &hex("f5f6f7f8f9")]);
        assert_eq!(a1.expose()[..], hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
        let range = |a: u8, b: u8| (a..=b).collect::<Vec<u8>>();
        let a2 = hkdf_block(&range(0, 0x4f), &range(0x60, 0xaf), &[&range(0xb0, 0xff)]);
        assert_eq!(a2.expose()[..], hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"));
        let a3 = hkdf_block(&[0x0b; 22], &[], &[]);
        assert_eq!(a3.expose()[..], hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"));
    }

    #[test]
    fn extracting_once_is_the_same() {
        let secret = Secret32::generate().unwrap();
        let once = Extracted::new(&salt(b"salt"), &secret);
        for label in [&b"body"[..], b"summary", b""] {
            assert_eq!(once.expand(label), hkdf(&secret, b"salt", &[label]));
        }
    }

    // The GCM specification's test cases 13 and 14 (256-bit zero key).
    #[test]
    fn gcm_known_answers() {
        let key = AeadKey::new(&Secret32::new([0; 32]));
        assert_eq!(key.tag_only([0; 12], &[])[..], hex("530f8afbc74536b9a963b4f1c4cb738b"));
        let mut data = vec![0; 16];
        key.seal([0; 12], &[], &mut data);
        assert_eq!(data, hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"));
    }

    #[test]
    fn each_changed_byte_is_refused() {
        let key = AeadKey::new(&Secret32::generate().unwrap());
        let mut sealed = b"plain text".to_vec();
        key.seal([7; 12], b"here", &mut sealed);
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert_eq!(key.open([7; 12], b"here", &mut bad), Err(OpenError));
        }
        for cut in 0..sealed.len() {
            assert!(key.open([7; 12], b"here", &mut sealed.clone()[..cut]).is_err());
        }
        assert!(key.open([7; 12], b"there", &mut sealed.clone()).is_err());
        assert!(key.open([8; 12], b"here", &mut sealed.clone()).is_err());
        assert_eq!(key.open([7; 12], b"here", &mut sealed).unwrap(), b"plain text");
    }

    #[test]
    fn tag_only_authenticates() {
        let key = AeadKey::new(&Secret32::generate().unwrap());
        let tag = key.tag_only([1; 12], b"row");
        assert_eq!(key.verify_tag([1; 12], b"row", &tag), Ok(()));
        assert!(key.verify_tag([1; 12], b"roW", &tag).is_err());
        assert!(key.verify_tag([2; 12], b"row", &tag).is_err());
        let mut bad = tag;
        bad[15] ^= 0x80;
        assert!(key.verify_tag([1; 12], b"row", &bad).is_err());
    }

    // RFC 4231 §4.3 (test case 2 has a short key, so its padded form is given: HMAC pads keys with zeros).
    #[test]
    fn hmac_known_answer() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            hmac(&Secret32::new(key), b"what do ya want for nothing?")[..],
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
    }
}
