//! Signing. RFC 6376 §5.

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};

use super::canon::{Canon, body_hash};
use super::key::Algorithm;
use super::verify::{push_named, push_own};
use crate::message::Message;
use crate::tags::to_base64;

/// Fields signed where they are there. RFC 6376 §5.4.1.
const SIGNED: [&str; 24] = [
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "sender",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "content-language",
    "auto-submitted",
    "list-id",
    "list-post",
    "list-help",
    "list-subscribe",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-owner",
    "list-archive",
];
/// Fields of which nobody may add another one: they are named once more than they stand there. RFC 6376 §8.15.
const SEALED: [&str; 8] = ["from", "to", "cc", "subject", "date", "message-id", "reply-to", "content-type"];

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not PKCS#8 of this kind.
    #[error("the private key is not a PKCS#8 key of its kind")]
    Key,
    /// The signature could not be made.
    #[error("signing failed")]
    Failed,
}

enum Secret {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A key with its place in DNS.
pub struct Signer {
    domain: String,
    selector: String,
    secret: Secret,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}._domainkey.{})", self.selector, self.domain)
    }
}

impl Signer {
    /// From a private key in PKCS#8 (DER).
    pub fn new(domain: &str, selector: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SignError> {
        let secret = match algorithm {
            Algorithm::RsaSha256 => Secret::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| SignError::Key)?)),
            Algorithm::Ed25519Sha256 => Secret::Ed25519(Box::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| SignError::Key)?,
            )),
        };
        Ok(Self { domain: crate::dns::fold(domain), selector: selector.to_owned(), secret })
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.secret {
            Secret::Rsa(_) => Algorithm::RsaSha256,
            Secret::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }
    /// Whose it is.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
    /// Its selector.
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// The TXT record that others need: its name's first label goes before `_domainkey`.
    #[must_use]
    pub fn record(&self) -> String {
        match &self.secret {
            Secret::Rsa(key) => format!("v=DKIM1; k=rsa; p={}", to_base64(&spki(key.public_key().as_ref()))),
            Secret::Ed25519(key) => format!("v=DKIM1; k=ed25519; p={}", to_base64(key.public_key().as_ref())),
        }
    }

    /// A signature of these bytes.
    pub fn sign_bytes(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.secret {
            Secret::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut out).map_err(|_| SignError::Failed)?;
                Ok(out)
            }
            Secret::Ed25519(key) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, data);
                Ok(key.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }

    /// The field to put before the message, with its CRLF.
    pub fn sign(&self, message: &Message<'_>, now_s: u64) -> Result<String, SignError> {
        let tags = format!(
            "v=1; a={}; c=relaxed/relaxed; d={};\r\n\ts={}; t={now_s};",
            self.algorithm().name(),
            self.domain,
            self.selector
        );
        self.field("DKIM-Signature", &tags, message)
    }

    /// A field with body hash, names and signature: DKIM's, and ARC's message signature.
    pub(crate) fn field(&self, name: &str, tags: &str, message: &Message<'_>) -> Result<String, SignError> {
        let names = signed_names(message);
        let (hash, _) = body_hash(message.body, Canon::Relaxed, None);
        let mut field =
            format!("{name}: {tags}\r\n\tbh={};\r\n\th={};\r\n\tb=", to_base64(hash.as_ref()), fold_names(&names));
        let mut data = Vec::with_capacity(4096);
        push_named(&mut data, message, &names, Canon::Relaxed);
        push_own(&mut data, field.as_bytes(), Canon::Relaxed);
        let signature = to_base64(&self.sign_bytes(&data)?);
        push_folded(&mut field, &signature);
        Ok(field)
    }
}

/// Base64 in lines, and the end of the field.
pub(crate) fn push_folded(field: &mut String, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(72));
        field.push_str(line);
        field.push_str(if after.is_empty() { "\r\n" } else { "\r\n\t " });
        rest = after;
    }
}

fn signed_names(message: &Message<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for name in SIGNED {
        let mut times = message.named(name).count().min(16);
        if SEALED.contains(&name) {
            times += 1;
        }
        names.extend(std::iter::repeat_n(name.to_owned(), times));
    }
    names
}

fn fold_names(names: &[String]) -> String {
    let mut out = String::new();
    let mut line = 0;
    for (nth, name) in names.iter().enumerate() {
        if nth > 0 {
            out.push(':');
        }
        if line > 60 {
            out.push_str("\r\n\t ");
            line = 0;
        }
        out.push_str(name);
        line += name.len() + 1;
    }
    out
}

/// SubjectPublicKeyInfo around an RSAPublicKey. RFC 3279 §2.3.1.
fn spki(key: &[u8]) -> Vec<u8> {
    const ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let mut inner = ALGORITHM.to_vec();
    push_der(&mut inner, 0x03, &bits);
    let mut out = Vec::new();
    push_der(&mut out, 0x30, &inner);
    out
}

fn push_der(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let digits: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    match digits.as_slice() {
        [] => out.push(0),
        [one] if *one < 0x80 => out.push(*one),
        many => {
            out.push(0x80 | u8::try_from(many.len()).unwrap_or(0));
            out.extend_from_slice(many);
        }
    }
    out.extend_from_slice(content);
}
