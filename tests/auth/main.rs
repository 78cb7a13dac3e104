//! Who gets in, and by what, through the real binary: SCRAM bound to TLS, tokens, certificates, app passwords; limits;
//! who is there, and how sessions are ended. COMPRESS and UNAUTHENTICATE, which no transcript can show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

mod certificates;
mod compress;
mod scram;
mod sessions;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_tests::{Account, Instance, Wire};

/// The next response, as text.
fn next(wire: &mut Wire) -> String {
    String::from_utf8(wire.read().unwrap().expect("the server closed")).unwrap()
}

/// Sends a command and returns its tagged answer.
fn command(wire: &mut Wire, tag: &str, text: &str) -> String {
    wire.line(&format!("{tag} {text}")).unwrap();
    tagged(wire, tag)
}

fn tagged(wire: &mut Wire, tag: &str) -> String {
    loop {
        let line = next(wire);
        if line.starts_with(&format!("{tag} ")) {
            return line;
        }
    }
}

/// A greeted IMAP session.
fn imap(instance: &Instance) -> Wire {
    let mut wire = instance.connect("imaps").unwrap();
    assert!(next(&mut wire).starts_with("* OK"));
    wire
}

fn login(instance: &Instance, account: &Account) -> Wire {
    let mut wire = imap(instance);
    let answer = command(&mut wire, "l", &format!("LOGIN \"{}\" \"{}\"", account.address, account.password));
    assert!(answer.starts_with("l OK"), "{answer}");
    wire
}

/// `pli WORDS… --json`, as JSON.
fn json(instance: &Instance, words: &[&str]) -> serde_json::Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&instance.pli(&words).good()).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

fn decode(text: &str) -> String {
    String::from_utf8(BASE64.decode(text).unwrap()).unwrap()
}
