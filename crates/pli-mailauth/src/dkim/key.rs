//! Public keys of signers, from DNS. RFC 6376 §3.6, RFC 8463.

use ring::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

use super::DkimResult;
use crate::dns::{Dns, txt};
use crate::tags::Tags;

/// Shorter RSA keys verify nothing. RFC 8301 §3.2.
const RSA_BITS_MIN: usize = 1024;

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 6376.
    RsaSha256,
    /// RFC 8463.
    Ed25519Sha256,
}

impl Algorithm {
    /// As `a=` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }
    /// RFC 8301 §3.1: rsa-sha1 verifies nothing.
    pub fn parse(text: Option<&str>) -> Result<Self, &'static str> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("rsa-sha256") => Ok(Self::RsaSha256),
            Some("ed25519-sha256") => Ok(Self::Ed25519Sha256),
            Some("rsa-sha1") => Err("rsa-sha1 proves nothing any more"),
            Some(_) => Err("the algorithm is not known"),
            None => Err("no a="),
        }
    }
}

/// A key as its record has it.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: Vec<u8>,
    /// Bits of an RSA key; 256 for Ed25519.
    pub bits: usize,
    /// The domain says that it only tries DKIM out.
    pub testing: bool,
    /// The identity's domain must be the signer's own, not one below it.
    pub strict: bool,
    algorithm: Algorithm,
}

/// Why there is no key.
pub type NoKey = (DkimResult, String);

/// Looks the key up.
pub async fn look_up(dns: &dyn Dns, selector: &str, domain: &str, algorithm: Algorithm) -> Result<Key, NoKey> {
    let name = format!("{selector}._domainkey.{domain}");
    let texts = match txt(dns, &name).await {
        Ok(texts) => texts,
        Err(error) if error.is_absence() => {
            return Err((DkimResult::PermError, format!("no key at {name}")));
        }
        Err(error) => return Err((DkimResult::TempError, error.to_string())),
    };
    let mut last = String::from("no key");
    // RFC 6376 §3.6.2.2 leaves several records open: the first that can be used is.
    for text in &texts {
        match parse(text, algorithm) {
            Ok(key) => return Ok(key),
            Err(reason) => last = format!("the key at {name}: {reason}"),
        }
    }
    Err((DkimResult::PermError, last))
}

/// Reads a key record for an algorithm.
pub fn parse(text: &[u8], algorithm: Algorithm) -> Result<Key, &'static str> {
    let tags = Tags::parse(text)?;
    if let Some(version) = tags.get("v")
        && (version != "DKIM1" || tags.first().is_none_or(|(name, _)| name != "v"))
    {
        return Err("the version is not DKIM1");
    }
    let kind = tags.get("k").unwrap_or("rsa");
    let wanted = match algorithm {
        Algorithm::RsaSha256 => "rsa",
        Algorithm::Ed25519Sha256 => "ed25519",
    };
    if !kind.eq_ignore_ascii_case(wanted) {
        return Err("it is of another kind");
    }
    let hashes = tags.list("h", ':');
    if tags.get("h").is_some() && !hashes.iter().any(|h| h.eq_ignore_ascii_case("sha256")) {
        return Err("it is not for SHA-256");
    }
    let services = tags.list("s", ':');
    if tags.get("s").is_some() && !services.iter().any(|s| *s == "*" || s.eq_ignore_ascii_case("email")) {
        return Err("it is not for mail");
    }
    match tags.get("p") {
        None => return Err("no p="),
        Some("") => return Err("it is revoked"),
        Some(_) => {}
    }
    let bytes = tags.base64("p").ok_or("p= is not base64")?;
    let flags = tags.list("t", ':');
    let (testing, strict) = (flags.contains(&"y"), flags.contains(&"s"));
    let (bytes, bits) = match algorithm {
        Algorithm::Ed25519Sha256 if bytes.len() == 32 => (bytes, 256),
        Algorithm::Ed25519Sha256 => return Err("an Ed25519 key has 32 bytes"),
        Algorithm::RsaSha256 => {
            let inner = rsa_key(&bytes).unwrap_or(bytes.as_slice()).to_vec();
            let bits = modulus_bits(&inner).ok_or("not an RSA key")?;
            if bits < RSA_BITS_MIN {
                return Err("an RSA key of less than 1024 bits proves nothing");
            }
            (inner, bits)
        }
    };
    Ok(Key { bytes, bits, testing, strict, algorithm })
}

impl Key {
    /// Whether the signature is of these bytes.
    #[must_use]
    pub fn verifies(&self, data: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::RsaSha256 => {
                UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &self.bytes)
                    .verify(data, signature)
                    .is_ok()
            }
            Algorithm::Ed25519Sha256 => {
                // RFC 8463 §3: the hash is what is signed.
                let hash = ring::digest::digest(&ring::digest::SHA256, data);
                UnparsedPublicKey::new(&ED25519, &self.bytes).verify(hash.as_ref(), signature).is_ok()
            }
        }
    }
}

/// Tag, content and what follows of one DER value.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0_usize, |sum, b| sum << 8 | usize::from(*b)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The RSAPublicKey in a SubjectPublicKeyInfo.
fn rsa_key(spki: &[u8]) -> Option<&[u8]> {
    let (0x30, sequence, _) = der(spki)? else { return None };
    let (0x30, _, rest) = der(sequence)? else { return None };
    let (0x03, bits, _) = der(rest)? else { return None };
    bits.strip_prefix(&[0])
}

fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (0x30, sequence, _) = der(key)? else { return None };
    let (0x02, modulus, _) = der(sequence)? else { return None };
    let zeros = modulus.iter().take_while(|b| **b == 0).count();
    let modulus = modulus.get(zeros..)?;
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}
