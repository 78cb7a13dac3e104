//! Passwords: round trip, foreign hashes, bounds, the pool under more callers than buffers.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;

use argon2::{Argon2, PasswordVerifier};
use pli_crypto::{
    CryptoError, PASSWORD_BYTES_MAX, SecretString, dummy_verify, generate_password, hash_password, verify_password,
};

fn s(text: &str) -> SecretString {
    SecretString::from(text)
}

#[test]
fn round_trip_and_parameters() {
    let phc = hash_password(&s("Tr0ub4dor&3")).unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert!(verify_password(&s("Tr0ub4dor&3"), &phc));
    assert!(!verify_password(&s("Tr0ub4dor&4"), &phc));
    assert!(!verify_password(&s(""), &phc));
    assert_ne!(phc, hash_password(&s("Tr0ub4dor&3")).unwrap());
    // Read by the library's own PHC reader as well.
    Argon2::default().verify_password("Tr0ub4dor&3".as_bytes(), phc.as_str()).unwrap();
    assert!(Argon2::default().verify_password(b"other", phc.as_str()).is_err());
}

// Of the Argon2 reference implementation's test suite.
#[test]
fn hashes_of_the_reference_implementation() {
    let known = [
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
    ];
    for phc in known {
        assert!(verify_password(&s("password"), phc), "{phc}");
        assert!(!verify_password(&s("differentpassword"), phc), "{phc}");
    }
}

#[test]
fn hostile_strings_are_false() {
    for phc in [
        "",
        "$",
        "plain",
        "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=4294967295,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$bmY",
        "$argon2id$v=19$m=256,t=2,p=1,x=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    ] {
        assert!(!verify_password(&s("password"), phc), "{phc}");
    }
    let long = s(&"x".repeat(PASSWORD_BYTES_MAX + 1));
    assert_eq!(hash_password(&long), Err(CryptoError::Password));
    dummy_verify(&long);
}

#[test]
fn more_callers_than_buffers() {
    let phc = hash_password(&s("p")).unwrap();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6).map(|_| scope.spawn(|| verify_password(&s("p"), &phc))).collect();
        for worker in workers {
            assert!(worker.join().unwrap());
        }
    });
}

#[test]
fn generated_passwords() {
    let mut seen = HashSet::new();
    let mut letters = HashSet::new();
    for _ in 0..200 {
        let password = generate_password().unwrap();
        let text = password.expose().to_owned();
        assert_eq!(text.len(), 20);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() && !"0Oo1Iil".contains(c)), "{text}");
        letters.extend(text.chars());
        assert!(seen.insert(text));
    }
    assert_eq!(letters.len(), 55);
}
