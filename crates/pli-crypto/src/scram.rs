//! What SCRAM-SHA-256 keeps of a password, and what it computes with it. RFC 5802 §3, RFC 7677.
//!
//! StoredKey and ServerKey are derived with PBKDF2, which is cheaper to guess against than Argon2id. Both stand in the same
//! sealed row, so whoever could read one could read the other: the cost of a guess is that of PBKDF2.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::aead::sha256;
use crate::error::{CryptoError, Result};
use crate::password::{ENTRY_SEPARATOR, PASSWORD_BYTES_MAX};
use crate::secret::SecretString;

/// Iterations of new verifiers. RFC 7677 §4 asks for 4,096 at least; telephones do this many in some 20 ms.
pub const SCRAM_ITERATIONS: u32 = 20_000;
/// Bytes of a salt.
pub const SCRAM_SALT_BYTES: usize = 16;
/// What clients can be asked to do at most, for verifiers that were made elsewhere.
const ITERATIONS_MAX: u32 = 1_000_000;
const NAME: &str = "scram-sha-256";

/// StoredKey and ServerKey of one password under one salt. RFC 5802 §3.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ScramKeys {
    stored: [u8; 32],
    server: [u8; 32],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(redacted)")
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

impl ScramKeys {
    /// Of a password. Slow on purpose: callers run this on a thread that may block.
    pub fn derive(password: &SecretString, salt: &[u8], iterations: u32) -> Result<Self> {
        if password.expose().len() > PASSWORD_BYTES_MAX || iterations > ITERATIONS_MAX {
            return Err(CryptoError::Password);
        }
        let iterations = NonZeroU32::new(iterations).ok_or(CryptoError::Password)?;
        // RFC 5802 §2.2: both sides normalise. What SASLprep forbids is taken as it is, as clients do.
        let prepared = stringprep::saslprep(password.expose());
        let prepared = Zeroizing::new(prepared.map_or_else(|_| password.expose().to_owned(), |text| text.into_owned()));
        let mut salted = Zeroizing::new([0_u8; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), salted.as_mut());
        let client = Zeroizing::new(mac(salted.as_ref(), b"Client Key"));
        Ok(Self { stored: sha256(client.as_ref()), server: mac(salted.as_ref(), b"Server Key") })
    }
    /// From the bytes that [`ScramKeys::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (stored, server) = bytes.split_at(32);
        let part = |from: &[u8]| from.first_chunk().copied().unwrap_or([0; 32]);
        Self { stored: part(stored), server: part(server) }
    }
    /// StoredKey, then ServerKey.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let (stored, server) = bytes.split_at_mut(32);
        stored.copy_from_slice(&self.stored);
        server.copy_from_slice(&self.server);
        bytes
    }
    /// Whether a client's proof over an exchange shows that it has the password. Compares in constant time.
    #[must_use]
    pub fn proves(&self, exchange: &[u8], proof: &[u8; 32]) -> bool {
        let signature = mac(&self.stored, exchange);
        let mut client = Zeroizing::new(*proof);
        client.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        sha256(client.as_ref()).ct_eq(&self.stored).into()
    }
    /// The server's own proof over an exchange.
    #[must_use]
    pub fn sign(&self, exchange: &[u8]) -> [u8; 32] {
        mac(&self.server, exchange)
    }
}

/// What an account's row keeps for SCRAM beside its password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramVerifier {
    /// As sent to clients.
    pub salt: Vec<u8>,
    /// As sent to clients.
    pub iterations: u32,
    /// The keys.
    pub keys: ScramKeys,
}

impl ScramVerifier {
    /// Of a password under a salt.
    pub fn derive(password: &SecretString, salt: &[u8]) -> Result<Self> {
        let keys = ScramKeys::derive(password, salt, SCRAM_ITERATIONS)?;
        Ok(Self { salt: salt.to_vec(), iterations: SCRAM_ITERATIONS, keys })
    }
    /// The entry of a password's hash with this verifier beside it, in the place of one that is there.
    #[must_use]
    pub fn beside(&self, entry: &str) -> String {
        let phc = entry.split(ENTRY_SEPARATOR).next().unwrap_or_default();
        let keys = Zeroizing::new(self.keys.to_bytes());
        let (salt, keys) = (BASE64.encode(&self.salt), Zeroizing::new(BASE64.encode(&keys[..])));
        format!("{phc}{ENTRY_SEPARATOR}{NAME}$i={}${salt}${}", self.iterations, keys.as_str())
    }
    /// Whether two entries are of the same setting of a password: a login may put a verifier beside the hash.
    #[must_use]
    pub fn same_password(one: &str, other: &str) -> bool {
        one.split(ENTRY_SEPARATOR).next() == other.split(ENTRY_SEPARATOR).next()
    }
    /// The verifier of an entry, if it has one.
    #[must_use]
    pub fn of_entry(entry: &str) -> Option<Self> {
        let (_, text) = entry.split_once(ENTRY_SEPARATOR)?;
        let mut fields = text.strip_prefix(NAME)?.strip_prefix("$i=")?.split('$');
        let iterations = fields.next()?.parse().ok().filter(|i| (1..=ITERATIONS_MAX).contains(i))?;
        let salt = BASE64.decode(fields.next()?).ok().filter(|salt| (8..=64).contains(&salt.len()))?;
        let keys = Zeroizing::new(BASE64.decode(fields.next()?).ok()?);
        let keys = ScramKeys::from_bytes(keys.as_slice().try_into().ok()?);
        fields.next().is_none().then_some(Self { salt, iterations, keys })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{hash_password, verify_password};

    fn b64(text: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    }

    // RFC 7677 §3.
    #[test]
    fn known_answers() {
        let exchange = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let keys = ScramKeys::derive(&"pencil".into(), &b64("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096).unwrap();
        let proof: [u8; 32] = b64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").try_into().unwrap();
        assert!(keys.proves(exchange, &proof));
        assert_eq!(keys.sign(exchange)[..], b64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let mut wrong = proof;
        wrong[31] ^= 1;
        assert!(!keys.proves(exchange, &wrong));
        assert!(!keys.proves(b"another exchange", &proof));
    }

    #[test]
    fn an_entry_holds_hash_and_verifier() {
        let password = SecretString::from("Tr0ub4dor&3");
        let phc = hash_password(&password).unwrap();
        assert_eq!(ScramVerifier::of_entry(&phc), None);
        let verifier = ScramVerifier::derive(&password, &[7; SCRAM_SALT_BYTES]).unwrap();
        let entry = verifier.beside(&phc);
        assert!(verify_password(&password, &entry) && !verify_password(&"other".into(), &entry));
        assert_eq!(ScramVerifier::of_entry(&entry).as_ref(), Some(&verifier));
        let other = ScramVerifier::derive(&password, &[8; SCRAM_SALT_BYTES]).unwrap();
        assert!(
            ScramVerifier::same_password(&phc, &entry) && ScramVerifier::same_password(&entry, &other.beside(&entry))
        );
        assert!(!ScramVerifier::same_password(&hash_password(&password).unwrap(), &entry), "the same, set again");
        assert_eq!(ScramVerifier::of_entry(&other.beside(&entry)), Some(other), "one replaces the other");
        for bad in ["", " ", " scram-sha-256$i=0$AAAAAAAAAAAAAA$AA", " scram-sha-256$i=4096$$", " scram-sha-1$i=1$A$A"]
        {
            assert_eq!(ScramVerifier::of_entry(&format!("{phc}{bad}")), None, "{bad}");
        }
        assert_eq!(ScramVerifier::of_entry(&format!("{entry}$x")), None);
    }

    #[test]
    fn passwords_are_prepared() {
        let of = |text: &str| ScramKeys::derive(&text.into(), &[1; 16], 1).unwrap();
        // RFC 4013 §3: a soft hyphen maps to nothing, a compatibility form to its letters.
        assert_eq!(of("I\u{ad}X"), of("IX"));
        assert_eq!(of("\u{2168}"), of("IX"));
        assert_ne!(of("user"), of("USER"));
        // Forbidden: taken as it is.
        assert_ne!(of("\u{7}"), of(""));
    }
}
