//! A client of SCRAM-SHA-256 and -PLUS, over IMAP and submission.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_tests::{Account, Instance, Wire};
use ring::{digest, hmac, pbkdf2};

use crate::{command, decode, encode, imap, next};

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// The client's final message, and the server's proof that it expects. RFC 5802 §3.
fn answer(bare: &str, server: &str, bound: &[u8], password: &str) -> (String, String) {
    let fields: Vec<&str> = server.split(',').collect();
    let salt = BASE64.decode(fields[1].strip_prefix("s=").unwrap()).unwrap();
    let times: NonZeroU32 = fields[2].strip_prefix("i=").unwrap().parse().unwrap();
    let unproved = format!("c={},{}", BASE64.encode(bound), fields[0]);
    let exchange = format!("{bare},{server},{unproved}");
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, times, &salt, password.as_bytes(), &mut salted);
    let key = mac(&salted, b"Client Key");
    let signature = mac(digest::digest(&digest::SHA256, &key).as_ref(), exchange.as_bytes());
    let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let expected = mac(&mac(&salted, b"Server Key"), exchange.as_bytes());
    (format!("{unproved},p={}", BASE64.encode(proof)), format!("v={}", BASE64.encode(expected)))
}

/// Runs an exchange; `prompt` is what stands before a challenge. Returns the protocol's last word.
fn run(wire: &mut Wire, begin: &str, prompt: &str, account: &Account, header: &str, binding: &[u8]) -> String {
    let bare = format!("n={},r=fyko+d2lbbFgONRv9qkxdawL", account.address);
    wire.line(&format!("{begin} {}", encode(format!("{header}{bare}")))).unwrap();
    let challenge = |line: String| line.strip_prefix(prompt).map(decode).ok_or(line);
    let server = match challenge(next(wire)) {
        Ok(server) => server,
        Err(last) => return last,
    };
    let (message, expected) = answer(&bare, &server, &[header.as_bytes(), binding].concat(), &account.password);
    wire.line(&encode(message)).unwrap();
    match challenge(next(wire)) {
        Ok(proof) => assert_eq!(proof, expected, "the server proves itself"),
        Err(last) => return last,
    }
    wire.line("").unwrap();
    next(wire)
}

#[test]
fn bound_and_unbound_over_imap_and_submission() {
    let instance = Instance::start();
    let account = instance.account();
    let wrong = Account { password: String::from("wrong"), ..account.clone() };
    let over_imap = |account: &Account, mechanism: &str, header: &str, twist: u8| {
        let mut wire = imap(&instance);
        let binding = if header.starts_with('p') { wire.binding().map(|b| b ^ twist).to_vec() } else { Vec::new() };
        let begin = format!("a AUTHENTICATE {mechanism}");
        let last = run(&mut wire, &begin, "+ ", account, header, &binding);
        if last.starts_with("a OK") {
            assert!(command(&mut wire, "b", "SELECT INBOX").starts_with("b OK"), "mail opens without the password");
        }
        last
    };
    let plus = "SCRAM-SHA-256-PLUS";
    assert!(over_imap(&account, plus, "p=tls-exporter,,", 0).starts_with("a OK"));
    assert!(over_imap(&account, "SCRAM-SHA-256", "n,,", 0).starts_with("a OK"));
    let refused = "a NO [AUTHENTICATIONFAILED]";
    assert!(over_imap(&account, plus, "p=tls-exporter,,", 1).starts_with(refused), "another TLS session");
    assert!(over_imap(&account, "SCRAM-SHA-256", "y,,", 0).starts_with(refused), "a downgrade");
    assert!(over_imap(&wrong, "SCRAM-SHA-256", "n,,", 0).starts_with(refused));
    let nobody = Account { address: String::from("nobody@example.org"), ..account.clone() };
    assert_eq!(
        over_imap(&nobody, "SCRAM-SHA-256", "n,,", 0),
        over_imap(&wrong, "SCRAM-SHA-256", "n,,", 0),
        "one answer for who is not there and a wrong password"
    );

    let mut wire = instance.connect("submissions").unwrap();
    next(&mut wire);
    wire.line("EHLO client.example").unwrap();
    let offer = next(&mut wire);
    assert!(offer.contains("AUTH PLAIN LOGIN SCRAM-SHA-256") && !offer.contains("PLUS"), "{offer}");
    let last = run(&mut wire, "AUTH SCRAM-SHA-256", "334 ", &wrong, "n,,", &[]);
    assert!(last.starts_with("535"), "{last}");
    // Nothing bound is offered here, so a client that could bind says so and gets in.
    let last = run(&mut wire, "AUTH SCRAM-SHA-256", "334 ", &account, "y,,", &[]);
    assert!(last.starts_with("235"), "{last}");
}

#[test]
fn an_app_password_logs_in_by_scram() {
    let instance = Instance::start();
    let account = instance.account();
    let made = crate::json(&instance, &["app-password", "add", &account.address, "--label", "phone"]);
    let app = Account { password: made["password"].as_str().unwrap().to_owned(), ..account };
    let mut wire = imap(&instance);
    assert!(run(&mut wire, "a AUTHENTICATE SCRAM-SHA-256", "+ ", &app, "n,,", &[]).starts_with("a OK"));
    let listed = crate::json(&instance, &["app-password", "list", &app.address]);
    assert!(listed[0]["last_used"].is_i64(), "{listed}");
}
