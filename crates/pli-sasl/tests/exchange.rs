//! Exchanges, with a client's side of SCRAM written out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_crypto::{ScramKeys, SecretString};
use pli_sasl::{Ask, Exchange, Failure, Mechanism, Step, Terms, Verifiers};
use ring::{digest, hmac, pbkdf2};

const SALT: [u8; 16] = [7; 16];

fn begin(mechanism: Mechanism, terms: Terms) -> Exchange {
    Exchange::new(mechanism, terms)
}

fn kept(passwords: &[(Option<u32>, &str)]) -> Verifiers {
    let keys =
        passwords.iter().map(|(n, text)| (*n, ScramKeys::derive(&SecretString::from(*text), &SALT, 4096).unwrap()));
    Verifiers { salt: SALT.to_vec(), iterations: 4096, keys: keys.collect() }
}

fn challenge(step: Step) -> String {
    match step {
        Step::Challenge(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("no challenge: {other:?}"),
    }
}

fn failure(step: Step) -> Failure {
    match step {
        Step::Fail(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

/// A client: the final message, and the server's proof that it expects. RFC 5802 §3.
fn client_final(password: &str, header: &[u8], bare: &str, server: &str) -> (String, String) {
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let nonce = server.split(',').next().unwrap();
    let unproved = format!("c={},{nonce}", BASE64.encode(header));
    let exchange = format!("{bare},{server},{unproved}");
    let mut salted = [0; 32];
    let iterations = std::num::NonZeroU32::new(4096).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &SALT, password.as_bytes(), &mut salted);
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(digest::digest(&digest::SHA256, &client_key).as_ref(), exchange.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let expected = mac(&mac(&salted, b"Server Key"), exchange.as_bytes());
    (format!("{unproved},p={}", BASE64.encode(proof)), format!("v={}", BASE64.encode(expected)))
}

/// Runs SCRAM up to the proof's answer.
fn scram(
    mechanism: Mechanism,
    terms: Terms,
    header: &str,
    binding: &[u8],
    password: &str,
    kept: Verifiers,
) -> (Exchange, Step, String) {
    let mut exchange = begin(mechanism, terms);
    let bare = "n=bob,r=fyko+d2lbbFgONRv9qkxdawL";
    let Step::Ask(Ask::Verifiers { user }) = exchange.start(Some(format!("{header}{bare}").as_bytes())) else {
        panic!("the keys are asked for")
    };
    assert_eq!(user, "bob");
    let server = challenge(exchange.verifiers(kept));
    assert!(server.starts_with("r=fyko+d2lbbFgONRv9qkxdawL") && server.contains(",i=4096"), "{server}");
    let bound = [header.as_bytes(), binding].concat();
    let (message, expected) = client_final(password, &bound, bare, &server);
    let step = exchange.respond(message.as_bytes());
    (exchange, step, expected)
}

#[test]
fn scram_with_and_without_binding() {
    let plus = Terms { binding: Some([9; 32]), ..Terms::default() };
    let cases = [
        (Mechanism::ScramSha256, Terms::default(), "n,,", &[][..]),
        (Mechanism::ScramSha256, plus, "n,,", &[]),
        (Mechanism::ScramSha256, Terms::default(), "y,a=bob,", &[]),
        (Mechanism::ScramSha256Plus, plus, "p=tls-exporter,,", &[9; 32]),
    ];
    for (mechanism, terms, header, binding) in cases {
        let keys = kept(&[(None, "secret"), (Some(3), "other")]);
        let (mut exchange, step, expected) = scram(mechanism, terms, header, binding, "secret", keys.clone());
        assert_eq!(challenge(step), expected, "{header}: the server proves itself");
        assert!(matches!(exchange.respond(b""), Step::Ask(Ask::Proved { app: None, .. })), "{header}");
        let (mut exchange, step, expected) = scram(mechanism, terms, header, binding, "other", keys.clone());
        assert_eq!(challenge(step), expected);
        assert!(matches!(exchange.respond(b""), Step::Ask(Ask::Proved { app: Some(3), .. })), "{header}");
        let (_, step, _) = scram(mechanism, terms, header, binding, "wrong", keys.clone());
        assert!(matches!(step, Step::Ask(Ask::Disproved { .. })), "{header}");
        let (_, step, _) = scram(mechanism, terms, header, &[8; 32], "secret", keys);
        assert!(matches!(step, Step::Ask(Ask::Disproved { .. })), "{header}: another TLS session");
    }
}

#[test]
fn scram_messages_that_are_none() {
    let plus = Terms { binding: Some([9; 32]), ..Terms::default() };
    let first = |mechanism, terms, text: &str| failure(begin(mechanism, terms).start(Some(text.as_bytes())));
    let bare = "n=bob,r=abc";
    assert_eq!(first(Mechanism::ScramSha256, plus, &format!("y,,{bare}")), Failure::Credentials, "downgrade");
    assert_eq!(first(Mechanism::ScramSha256Plus, plus, &format!("p=tls-unique,,{bare}")), Failure::Binding);
    assert_eq!(first(Mechanism::ScramSha256, plus, &format!("n,a=eve,{bare}")), Failure::OtherIdentity);
    for text in [
        "",
        "n",
        "n,,",
        "n,,n=bob",
        "n,,n=,r=a",
        "n,,n=bob,r=",
        "n,,m=x,n=bob,r=a",
        "n,,r=a,n=bob",
        "x,,n=bob,r=a",
        "n,b=bob,n=bob,r=a",
        "n,,n=b=4,r=a",
        "p=tls-exporter,,n=bob,r=a",
        "n,,n=bob,r=a b",
    ] {
        assert!(matches!(first(Mechanism::ScramSha256, plus, text), Failure::Syntax(_)), "{text}");
    }
    assert!(matches!(first(Mechanism::ScramSha256Plus, plus, &format!("n,,{bare}")), Failure::Syntax(_)));
    let long = format!("n,,n=bob,r={}", "a".repeat(pli_sasl::NONCE_BYTES_MAX + 1));
    assert!(matches!(first(Mechanism::ScramSha256, plus, &long), Failure::Syntax(_)));
    // The final message: another nonce, no proof, a proof that is none; then words after the end.
    for last in ["c=biws,r=abc,p=AAAA", "c=biws", "", "c=biws,r=xyz,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="] {
        let mut exchange = begin(Mechanism::ScramSha256, Terms::default());
        exchange.start(Some(b"n,,n=bob,r=abc"));
        exchange.verifiers(kept(&[(None, "secret")]));
        assert!(matches!(failure(exchange.respond(last.as_bytes())), Failure::Syntax(_)), "{last}");
        assert!(matches!(failure(exchange.respond(b"")), Failure::Syntax(_)));
    }
    let (mut exchange, _, _) =
        scram(Mechanism::ScramSha256, Terms::default(), "n,,", &[], "secret", kept(&[(None, "secret")]));
    assert!(matches!(failure(exchange.respond(b"x")), Failure::Syntax(_)));
}

#[test]
fn one_step_mechanisms() {
    let mut exchange = begin(Mechanism::Plain, Terms::default());
    assert_eq!(challenge(exchange.start(None)), "");
    assert!(matches!(exchange.respond(b"\0bob\0secret"), Step::Ask(Ask::Password { .. })));
    assert!(exchange.refused().is_none());
    let mut exchange = begin(Mechanism::Login, Terms::default());
    assert_eq!(challenge(exchange.start(None)), "Username:");
    assert_eq!(challenge(exchange.respond(b"bob")), "Password:");
    let Step::Ask(Ask::Password { user, password }) = exchange.respond(b"secret") else { panic!("asked") };
    assert_eq!((user.as_str(), password.expose()), ("bob", "secret"));
    let mut exchange = begin(Mechanism::Login, Terms::default());
    assert_eq!(challenge(exchange.start(Some(b"bob"))), "Password:", "the name as initial response");
    let external = Terms { certificate: true, ..Terms::default() };
    for (response, expected) in [(&b""[..], None), (b"bob@example.org", Some("bob@example.org"))] {
        let step = begin(Mechanism::External, external).start(Some(response));
        let Step::Ask(Ask::Certificate { user }) = step else { panic!("asked") };
        assert_eq!(user.as_deref(), expected);
    }
}

#[test]
fn a_refused_token_is_explained_before_the_end() {
    let terms = Terms { tokens: true, ..Terms::default() };
    for (mechanism, response, status) in [
        (Mechanism::OAuthBearer, "n,a=bob@example.org,\x01auth=Bearer x\x01\x01", "invalid_token"),
        (Mechanism::XOAuth2, "user=bob@example.org\x01auth=Bearer x\x01\x01", "401"),
    ] {
        let mut exchange = begin(mechanism, terms);
        let Step::Ask(Ask::Token { user, token, .. }) = exchange.start(Some(response.as_bytes())) else {
            panic!("asked")
        };
        assert_eq!((user.as_deref(), token.expose()), (Some("bob@example.org"), "x"));
        let error = challenge(exchange.refused().unwrap());
        assert!(error.contains(status), "{error}");
        assert_eq!(failure(exchange.respond(b"\x01")), Failure::Credentials);
    }
}
