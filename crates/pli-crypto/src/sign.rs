//! Ed25519 keys that sign checkpoints of the audit log.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::{CryptoError, OpenError, Result};
use crate::secret::{Secret32, SecretBytes};

/// The private key of a log.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key, and its PKCS#8 document to keep in a protected place.
    pub fn generate() -> Result<(Self, SecretBytes)> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| CryptoError::Random)?;
        let bytes = SecretBytes::new(document.as_ref().to_vec());
        Ok((Self::from_pkcs8(&bytes)?, bytes))
    }
    /// From a document of [`SigningKey::generate`].
    pub fn from_pkcs8(document: &SecretBytes) -> Result<Self> {
        Ed25519KeyPair::from_pkcs8(document.expose()).map(Self).map_err(|_| CryptoError::Malformed("signing key"))
    }
    /// From a 32-byte seed, as [`crate::KeyStore::wrap`] keeps secrets.
    pub fn from_seed(seed: &Secret32) -> Result<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed.expose()).map(Self).map_err(|_| CryptoError::Malformed("signing key"))
    }
    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.0.sign(message).as_ref());
        out
    }
    /// The public half.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.public_key().as_ref());
        VerifyingKey(out)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public())
    }
}

/// The public key of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerifyingKey(pub [u8; 32]);

impl VerifyingKey {
    /// Checks a signature.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), OpenError> {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).map_err(|_| OpenError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    // RFC 8032 §7.1, test 2.
    #[test]
    fn known_answer() {
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::from_seed(&Secret32::new(seed)).unwrap();
        assert_eq!(key.public().0, hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
        let signature: [u8; 64] = hex(concat!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ));
        assert_eq!(key.sign(&[0x72]), signature);
        assert_eq!(key.public().verify(&[0x72], &signature), Ok(()));
        assert_eq!(key.public().verify(&[0x73], &signature), Err(OpenError));
    }

    #[test]
    fn pkcs8_round_trip() {
        let (key, document) = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(&document).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.public().verify(b"x", &key.sign(b"x")), Ok(()));
        let cut = SecretBytes::new(document.expose()[1..].to_vec());
        assert!(SigningKey::from_pkcs8(&cut).is_err());
    }
}
