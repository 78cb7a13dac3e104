//! OAUTHBEARER and XOAUTH2 against a configured issuer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use pli_tests::Wire;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use crate::{command, decode, encode, imap, next, tagged};

struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }
    fn keys(&self) -> String {
        let x = BASE64URL.encode(self.0.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig" }] }).to_string()
    }
    fn token(&self, address: &str, seconds: i64) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let expires = i64::try_from(now).unwrap() + seconds;
        let part = |value: serde_json::Value| BASE64URL.encode(value.to_string());
        let claims = json!({ "iss": "https://sso.example.org", "aud": "mail", "exp": expires, "email": address });
        let message = format!("{}.{}", part(json!({ "alg": "EdDSA", "typ": "JWT" })), part(claims));
        format!("{message}.{}", BASE64URL.encode(self.0.sign(message.as_bytes())))
    }
}

fn bearer(user: &str, token: &str) -> String {
    encode(format!("n,a={user},\x01host=mail.example.org\x01port=993\x01auth=Bearer {token}\x01\x01"))
}

fn xoauth2(user: &str, token: &str) -> String {
    encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

#[test]
fn good_and_bad_tokens() {
    let issuer = Issuer::new();
    let mut instance = pli_tests::Builder::default()
        .config("auth.tokens", "issuer = \"https://sso.example.org\"")
        .config("auth.tokens", "audience = \"mail\"")
        .config("auth.tokens", "keys = \"keys/issuer.json\"")
        .prepare();
    std::fs::write(instance.dir.join("keys/issuer.json"), issuer.keys()).unwrap();
    instance.serve();
    let account = instance.account();
    let user = account.address.as_str();
    let mut wire = imap(&instance);
    wire.line("c CAPABILITY").unwrap();
    let list = next(&mut wire);
    assert!(list.contains("AUTH=OAUTHBEARER") && list.contains("AUTH=XOAUTH2"), "{list}");
    tagged(&mut wire, "c");
    // clients.md 10: the error is told, the client answers, then NO; the connection stays.
    let refused = |wire: &mut Wire, mechanism: &str, response: &str, word: &str| {
        wire.line(&format!("a AUTHENTICATE {mechanism} {response}")).unwrap();
        let error = next(wire);
        let error: serde_json::Value = serde_json::from_str(&decode(error.strip_prefix("+ ").unwrap())).unwrap();
        assert_eq!(error["status"], word);
        wire.line(if mechanism == "XOAUTH2" { "" } else { "AQ==" }).unwrap();
        let last = next(wire);
        assert!(last.starts_with("a NO [AUTHENTICATIONFAILED]"), "{last}");
    };
    let old = issuer.token(user, -3600);
    refused(&mut wire, "OAUTHBEARER", &bearer(user, &old), "invalid_token");
    refused(&mut wire, "XOAUTH2", &xoauth2(user, &old), "401");
    refused(&mut wire, "XOAUTH2", &xoauth2(user, &Issuer::new().token(user, 3600)), "401");
    let good = issuer.token(user, 3600);
    assert!(command(&mut wire, "b", &format!("AUTHENTICATE OAUTHBEARER {}", bearer(user, &good))).starts_with("b OK"));
    let mut other = imap(&instance);
    assert!(command(&mut other, "b", &format!("AUTHENTICATE XOAUTH2 {}", xoauth2(user, &good))).starts_with("b OK"));

    let mut smtp = instance.connect("submissions").unwrap();
    next(&mut smtp);
    smtp.line("EHLO client.example").unwrap();
    assert!(next(&mut smtp).contains("OAUTHBEARER XOAUTH2"));
    smtp.line(&format!("AUTH XOAUTH2 {}", xoauth2(user, &old))).unwrap();
    assert!(next(&mut smtp).starts_with("334 "));
    smtp.line("").unwrap();
    assert!(next(&mut smtp).starts_with("535"));
    smtp.line(&format!("AUTH XOAUTH2 {}", xoauth2(user, &good))).unwrap();
    assert!(next(&mut smtp).starts_with("235"));

    // RFC 7628 §3.1: meant for another server, or another port of this one.
    for (host, port) in [("mail.elsewhere.example", 993), ("mail.example.org", 4190)] {
        let response = format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {good}\x01\x01");
        let mut wire = imap(&instance);
        refused(&mut wire, "OAUTHBEARER", &encode(response), "invalid_token");
    }
    let mut wire = imap(&instance);
    let port = instance.port("imaps");
    let response = format!("n,a={user},\x01host=localhost\x01port={port}\x01auth=Bearer {good}\x01\x01");
    assert!(command(&mut wire, "b", &format!("AUTHENTICATE OAUTHBEARER {}", encode(response))).starts_with("b OK"));
    // A token that runs out (a minute is allowed for clocks) ends what it opened.
    let short = issuer.token(user, -50);
    let mut brief = imap(&instance);
    assert!(command(&mut brief, "b", &format!("AUTHENTICATE XOAUTH2 {}", xoauth2(user, &short))).starts_with("b OK"));
    assert!(next(&mut brief).starts_with("* BYE"), "expired");

    // Other keys, at a reload: what the old ones opened ends.
    let second = Issuer::new();
    std::fs::write(instance.dir.join("keys/issuer.json"), second.keys()).unwrap();
    instance.reload();
    let renewed = second.token(user, 3600);
    let taken = (0..100).any(|_| {
        let mut wire = imap(&instance);
        wire.line(&format!("a AUTHENTICATE XOAUTH2 {}", xoauth2(user, &renewed))).unwrap();
        let done = next(&mut wire).starts_with("a OK");
        std::thread::sleep(std::time::Duration::from_millis(if done { 0 } else { 50 }));
        done
    });
    assert!(taken, "{}", instance.log());
    assert!(next(&mut other).starts_with("* BYE"), "its key is taken no more");
    assert!(next(&mut smtp).starts_with("421"));
    let mut wire = imap(&instance);
    refused(&mut wire, "XOAUTH2", &xoauth2(user, &good), "401");
}
