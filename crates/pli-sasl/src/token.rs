//! Tokens of an issuer (JWT, RFC 7519), checked here with the issuer's published keys (JWKS, RFC 7517): nobody is asked.
//!
//! What a key is decides what it verifies: RSA keys RS256, P-256 keys ES256, Ed25519 keys EdDSA (RFC 7518 §3.1, RFC 8037).
//! The token's own word for its algorithm must agree and decides nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::TOKEN_BYTES_MAX;

/// Seconds by which clocks may differ.
const LEEWAY_S: i64 = 60;
/// Keys of one issuer.
const KEYS_MAX: usize = 64;

/// Why an issuer's keys were not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssuerError {
    /// Not a JWK set.
    #[error("not a JSON Web Key Set: {0}")]
    Form(String),
    /// Nothing in it can be used.
    #[error("no RSA, P-256 or Ed25519 signature key in the key set")]
    NoKeys,
}

/// Why a token is no good. For the log; the client hears `invalid_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not three parts of Base64url with JSON in them.
    #[error("not a signed JSON Web Token")]
    Form,
    /// No key of the set verifies it.
    #[error("no key of the issuer verifies it")]
    Signature,
    /// `iss`
    #[error("of another issuer")]
    Issuer,
    /// `aud`
    #[error("for another audience")]
    Audience,
    /// `exp`, or none.
    #[error("expired, or without an expiry")]
    Expired,
    /// `nbf`
    #[error("not valid yet")]
    Early,
    /// The claim that names the account is not there, or not verified by the issuer.
    #[error("it names no address")]
    Address,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address (or login name) that it names.
    pub address: String,
    /// Until when it is taken, in Unix seconds.
    pub expires: i64,
    /// Which of the issuer's keys verifies it.
    pub key: KeyId,
}

/// A key of an issuer, by what it is: SHA-256 of its public part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 32]);

#[derive(Clone)]
enum KeyKind {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    kind: KeyKind,
}

impl Key {
    /// `None` for a key that is for something else, or of a kind that is not used here.
    fn parse(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| text(name).and_then(|value| BASE64URL.decode(value).ok());
        if text("use").is_some_and(|to| to != "sig") {
            return None;
        }
        let kind = match (text("kty")?, text("crv")) {
            ("RSA", _) => KeyKind::Rsa { n: bytes("n")?, e: bytes("e")? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                // SEC 1 §2.3.3: an uncompressed point.
                (x.len() == 32 && y.len() == 32).then(|| KeyKind::P256([&[4][..], &x, &y].concat()))?
            }
            ("OKP", Some("Ed25519")) => KeyKind::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let key = Self { id: text("kid").map(str::to_owned), kind };
        text("alg").is_none_or(|alg| alg == key.algorithm()).then_some(key)
    }
    fn identity(&self) -> KeyId {
        let public = match &self.kind {
            KeyKind::Rsa { n, e } => [&b"RSA"[..], n, b" ", e].concat(),
            KeyKind::P256(point) => [&b"EC"[..], point].concat(),
            KeyKind::Ed25519(key) => [&b"OKP"[..], key].concat(),
        };
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &public).as_ref());
        KeyId(out)
    }
    const fn algorithm(&self) -> &'static str {
        match self.kind {
            KeyKind::Rsa { .. } => "RS256",
            KeyKind::P256(_) => "ES256",
            KeyKind::Ed25519(_) => "EdDSA",
        }
    }
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            KeyKind::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            KeyKind::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            KeyKind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
        }
    }
}

/// Whose tokens are taken.
#[derive(Clone)]
pub struct Issuer {
    issuer: String,
    audience: String,
    claim: String,
    keys: Vec<Key>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.issuer).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

type Object = Map<String, Value>;

fn object(part: &str) -> Option<Object> {
    match serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

impl Issuer {
    /// The tokens of `issuer` for `audience`, which name their account in `claim`, verified by a JWK set.
    pub fn new(issuer: &str, audience: &str, claim: &str, jwks: &[u8]) -> Result<Self, IssuerError> {
        let set: Value = serde_json::from_slice(jwks).map_err(|error| IssuerError::Form(error.to_string()))?;
        let list = set.get("keys").and_then(Value::as_array).ok_or(IssuerError::Form(String::from("no keys in it")))?;
        let keys: Vec<Key> = list.iter().filter_map(Key::parse).take(KEYS_MAX).collect();
        if keys.is_empty() {
            return Err(IssuerError::NoKeys);
        }
        Ok(Self { issuer: issuer.to_owned(), audience: audience.to_owned(), claim: claim.to_owned(), keys })
    }

    /// Whether a token is good now, and for whom. RFC 7519 §7.2.
    pub fn check(&self, token: &str, now: i64) -> Result<Claim, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Form);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (head, claims) = message.split_once('.').ok_or(TokenError::Form)?;
        let head = object(head).ok_or(TokenError::Form)?;
        let signature = BASE64URL.decode(signature).map_err(|_| TokenError::Form)?;
        let algorithm = text(&head, "alg").ok_or(TokenError::Form)?;
        // RFC 7515 §4.1.11: what must be understood and is not.
        if head.contains_key("crit") {
            return Err(TokenError::Form);
        }
        let wanted = text(&head, "kid");
        let fits = |key: &&Key| key.algorithm() == algorithm && (wanted.is_none() || key.id.as_deref() == wanted);
        let key = self.keys.iter().filter(fits).find(|key| key.verifies(message.as_bytes(), &signature));
        let key = key.ok_or(TokenError::Signature)?.identity();
        // Nothing is read of what nobody has signed.
        self.claims(&object(claims).ok_or(TokenError::Form)?, key, now)
    }

    /// Whether tokens that one of its keys once verified for another (or the same) state of the settings are still good.
    #[must_use]
    pub fn still_takes(&self, before: &Self, key: KeyId) -> bool {
        self.issuer == before.issuer
            && self.audience == before.audience
            && self.claim == before.claim
            && self.keys.iter().any(|own| own.identity() == key)
    }

    fn claims(&self, claims: &Object, key: KeyId, now: i64) -> Result<Claim, TokenError> {
        if text(claims, "iss") != Some(self.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        // RFC 7519 §4.1.3: one, or a list.
        let for_us = match claims.get("aud") {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(&self.audience)),
            _ => false,
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        // Seconds may come with a fraction; what is no number is no time.
        let time = |name: &str| claims.get(name).and_then(|v| v.as_i64().or_else(|| v.as_f64().map(|f| f as i64)));
        let expires = time("exp").ok_or(TokenError::Expired)?;
        if expires.saturating_add(LEEWAY_S) <= now {
            return Err(TokenError::Expired);
        }
        let early = claims.contains_key("nbf") && time("nbf").is_none_or(|nbf| nbf.saturating_sub(LEEWAY_S) > now);
        if early {
            return Err(TokenError::Early);
        }
        // OpenID Connect Core §5.1: an address that the issuer has not verified is what somebody typed.
        if self.claim == "email" && claims.get("email_verified").is_some_and(|v| *v != Value::Bool(true)) {
            return Err(TokenError::Address);
        }
        match text(claims, &self.claim) {
            Some(address) if !address.is_empty() => {
                Ok(Claim { address: address.to_owned(), expires: expires.saturating_add(LEEWAY_S), key })
            }
            _ => Err(TokenError::Address),
        }
    }
}
