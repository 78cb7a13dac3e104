//! Tokens: what is taken, and each reason for which one is not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use pli_sasl::{Issuer, TokenError};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;
/// Made once with another program: RS256, until 2100.
const RSA_N: &str = "rF4adXhLPiJCQmIbEyMBlGIFqTmJIpVkdCqk2WfqzSUwDH35F2djjY6hwQG4navGRRUVqaoQWxCGSMnMwoGjNIh3ybc7hU2ocS3vTrBw1-kAAlrRVUBuUOMcCUtkP_k7YEQ8wqV06PmaWWkyNln1Hd2ydud2vmIUBAUl3uN3ZitR8q49GFFKIGiQ-Z9TrRh0tpdCMZHpE_w7w4Tx4rncRydh51mVTR98k8HuF9Fqpd9dPi0OItnV5w7wzPx3yDHsPOKn3e0aBcn7oly9nP_rPk5mxc_2_SJDjYtLxwiC8soQpc-ePNpiLvJqH6dPv4LVj6wZj2nBZaXXX4is72jgUw";
const RSA_TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInIxIiwgInR5cCI6ICJKV1QifQ.eyJpc3MiOiAiaHR0cHM6Ly9zc28uZXhhbXBsZS5vcmciLCAiYXVkIjogWyJtYWlsIiwgIm90aGVyIl0sICJleHAiOiA0MTAyNDQ0ODAwLCAiZW1haWwiOiAiYWxpY2VAZXhhbXBsZS5vcmcifQ.TsYzHxI7aVL5QXTXde40PAQipDLSGKWXTdkrlmPHAo23KAplW5oNF3ezGDjyNOGe-rZrmsljiJVkFgKlZ8cSz82CCs3U9pPkl_V4JTMXIE1n_ToO-3toibMAATG6GzpIBKpKlF5-axZJyPJQP1gsim3YkpQow04Wc4F1SoXFi6D2_TzDLoPnw-zBExuT0B3eSJ7NLl9Z6xfHiGXwbb7H_gag64N0TUJWuiA0GWisDG2BFHt9n0wekhlo9ezk93zkxnAVORuKiVJnG-x7FR9iPx_UkkhYNklYYqDb-0kKo9hkAg9ERJSChe53N4YF9nC4XOvNUvclFKcnSYHCtJGEkQ";

enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }
    fn p256() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }
    fn jwk(&self) -> Value {
        match self {
            Self::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": BASE64URL.encode(pair.public_key().as_ref()),
            }),
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig",
                        "x": BASE64URL.encode(x), "y": BASE64URL.encode(y) })
            }
        }
    }
    fn sign(&self, head: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let message = format!("{}.{}", part(head), part(claims));
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64URL.encode(signature))
    }
    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm(), "kid": "k1" }), claims)
    }
}

fn issuer(keys: &[Value]) -> Issuer {
    let set = json!({ "keys": keys }).to_string();
    Issuer::new("https://sso.example.org", "mail", "email", set.as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "https://sso.example.org", "aud": "mail", "exp": NOW + 300, "email": "alice@example.org" })
}

#[test]
fn good_tokens_of_each_kind() {
    for signer in [Signer::ed25519(), Signer::p256()] {
        let claim = issuer(&[signer.jwk()]).check(&signer.token(&claims()), NOW).unwrap();
        assert_eq!(
            (claim.address.as_str(), claim.expires),
            ("alice@example.org", NOW + 300 + 60),
            "a minute for clocks"
        );
    }
    let rsa = json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB", "kid": "r1", "alg": "RS256" });
    assert_eq!(issuer(&[rsa]).check(RSA_TOKEN, NOW).unwrap().address, "alice@example.org");
}

#[test]
fn each_reason_to_refuse() {
    let signer = Signer::ed25519();
    let issuer = issuer(&[signer.jwk()]);
    let with = |change: &[(&str, Value)]| {
        let mut all = claims();
        change.iter().for_each(|(name, value)| all[*name] = value.clone());
        issuer.check(&signer.token(&all), NOW).map(|claim| claim.address)
    };
    assert!(with(&[("aud", json!(["x", "mail"])), ("nbf", json!(NOW)), ("email_verified", json!(true))]).is_ok());
    assert_eq!(with(&[("iss", json!("https://evil.example"))]), Err(TokenError::Issuer));
    assert_eq!(with(&[("iss", Value::Null)]), Err(TokenError::Issuer));
    assert_eq!(with(&[("aud", json!("calendar"))]), Err(TokenError::Audience));
    assert_eq!(with(&[("aud", json!(["x"]))]), Err(TokenError::Audience));
    assert_eq!(with(&[("exp", json!(NOW - 61))]), Err(TokenError::Expired));
    assert!(with(&[("exp", json!(NOW - 30))]).is_ok(), "clocks differ");
    assert_eq!(with(&[("exp", json!("never"))]), Err(TokenError::Expired));
    assert_eq!(with(&[("nbf", json!(NOW + 61))]), Err(TokenError::Early));
    assert_eq!(with(&[("nbf", json!("later"))]), Err(TokenError::Early));
    assert_eq!(with(&[("email", json!(""))]), Err(TokenError::Address));
    assert_eq!(with(&[("email", json!(["alice@example.org"]))]), Err(TokenError::Address));
    assert_eq!(with(&[("email_verified", json!(false))]), Err(TokenError::Address));
}

#[test]
fn forgeries() {
    let (signer, other) = (Signer::ed25519(), Signer::ed25519());
    let issuer = issuer(&[signer.jwk()]);
    let refused = |token: &str| issuer.check(token, NOW).unwrap_err();
    assert_eq!(refused(&other.token(&claims())), TokenError::Signature, "another key");
    let head = |head: Value| signer.sign(&head, &claims());
    assert_eq!(refused(&head(json!({ "alg": "none" }))), TokenError::Signature);
    assert_eq!(refused(&head(json!({ "alg": "HS256", "kid": "k1" }))), TokenError::Signature);
    assert_eq!(
        refused(&head(json!({ "alg": "EdDSA", "kid": "k2" }))),
        TokenError::Signature,
        "a key that is not there"
    );
    assert_eq!(refused(&head(json!({ "alg": "EdDSA", "crit": ["x"] }))), TokenError::Form);
    assert_eq!(refused(&head(json!(["alg"]))), TokenError::Form);
    assert!(issuer.check(&head(json!({ "alg": "EdDSA" })), NOW).is_ok(), "without a key's name all are tried");
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let admin = BASE64URL.encode(claims().to_string().replace("alice", "admin"));
    assert_eq!(refused(&format!("{}.{admin}.{}", parts[0], parts[2])), TokenError::Signature, "other claims");
    assert_eq!(refused(&format!("{}.{}.", parts[0], parts[1])), TokenError::Signature);
    for form in ["", ".", "..", "a.b.c", &good.replace('.', "!"), &format!("{good}=")] {
        assert_eq!(refused(form), TokenError::Form, "{form}");
    }
    assert_eq!(refused(&"a".repeat(pli_sasl::TOKEN_BYTES_MAX + 1)), TokenError::Form);
}

#[test]
fn key_sets() {
    let set = |text: &str| Issuer::new("i", "a", "c", text.as_bytes()).map(|_| ());
    let jwk = Signer::p256().jwk();
    assert!(set(&json!({ "keys": [{ "kty": "oct", "k": "AA" }, jwk] }).to_string()).is_ok(), "others are passed over");
    let mut encryption = jwk.clone();
    encryption["use"] = json!("enc");
    let mut wrong = jwk;
    wrong["alg"] = json!("ES512");
    for none in [encryption, wrong, json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" })] {
        assert!(set(&json!({ "keys": [none] }).to_string()).is_err());
    }
    assert!(set("{}").is_err() && set("[").is_err() && set(r#"{"keys":[]}"#).is_err());
}
