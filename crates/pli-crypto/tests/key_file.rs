//! The root key file: its round trip, and each wrong file or passphrase told apart.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use pli_crypto::{CryptoError, FileKeyStore, KeyStore, Secret32, SecretString};

fn pass(text: &str) -> SecretString {
    SecretString::from(text)
}

#[test]
fn plain_file_round_trip() {
    let (keys, file) = FileKeyStore::generate(None).unwrap();
    let wrapped = keys.wrap("x", &Secret32::new([5; 32])).unwrap();
    let again = FileKeyStore::open(file.expose(), None).unwrap();
    assert_eq!(again.unwrap("x", &wrapped).unwrap(), Secret32::new([5; 32]));
    assert_eq!(FileKeyStore::open(file.expose(), Some(&pass("p"))).unwrap_err(), CryptoError::PassphraseNotUsed);
}

#[test]
fn passphrase_file() {
    let (keys, file) = FileKeyStore::generate(Some(&pass("correct horse"))).unwrap();
    let wrapped = keys.wrap("x", &Secret32::new([5; 32])).unwrap();
    let again = FileKeyStore::open(file.expose(), Some(&pass("correct horse"))).unwrap();
    assert_eq!(again.unwrap("x", &wrapped).unwrap(), Secret32::new([5; 32]));
    let wrong = FileKeyStore::open(file.expose(), Some(&pass("correct  horse"))).unwrap_err();
    assert_eq!(wrong, CryptoError::WrongPassphrase);
    assert_eq!(FileKeyStore::open(file.expose(), None).unwrap_err(), CryptoError::PassphraseNeeded);
    // The plain form of the same key never stands in the protected file.
    let plain = String::from_utf8(keys.encode(None).unwrap().expose().to_vec()).unwrap();
    let key = plain.lines().find_map(|l| l.strip_prefix("key 1 ")).unwrap();
    assert!(!String::from_utf8_lossy(file.expose()).contains(key));
}

#[test]
fn wrong_files_are_named() {
    let (_, file) = FileKeyStore::generate(None).unwrap();
    for other in [&b""[..], b"-----BEGIN PRIVATE KEY-----", &[0xff; 100]] {
        assert_eq!(FileKeyStore::open(other, None).unwrap_err(), CryptoError::NotAKeyFile);
    }
    let whole = file.expose();
    for i in 0..whole.len() - 1 {
        let mut bad = whole.to_vec();
        bad[i] ^= 1;
        let error = FileKeyStore::open(&bad, None).unwrap_err();
        let expected = if i < "pli-root-key ".len() { CryptoError::NotAKeyFile } else { CryptoError::DamagedKeyFile };
        assert_eq!(error, expected, "byte {i}");
        let error = FileKeyStore::open(&whole[..i], None).unwrap_err();
        assert!(matches!(error, CryptoError::NotAKeyFile | CryptoError::DamagedKeyFile), "cut at {i}");
    }
}

#[test]
fn a_rewritten_protection_line_does_not_open() {
    // Whoever rewrites the file and its check line to weaker parameters gains a wrong passphrase.
    let (_, file) = FileKeyStore::generate(Some(&pass("p"))).unwrap();
    let text = String::from_utf8(file.expose().to_vec()).unwrap();
    let rewrite = |from: &str, to: &str| {
        let above = text[..text.rfind("check ").unwrap()].replace(from, to);
        let sum: String = pli_crypto::sha256(above.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        format!("{above}check {sum}\n")
    };
    assert!(FileKeyStore::open(rewrite("x", "x").as_bytes(), Some(&pass("p"))).is_ok());
    let open = |text: String| FileKeyStore::open(text.as_bytes(), Some(&pass("p"))).unwrap_err();
    assert_eq!(open(rewrite("t=3", "t=1")), CryptoError::WrongPassphrase);
    assert_eq!(open(rewrite("key 1 ", "key 2 ")), CryptoError::WrongPassphrase);
    // Neither can it make the server ask for 4 TiB.
    assert_eq!(open(rewrite("m=65536", "m=4294967295")), CryptoError::DamagedKeyFile);
    assert_eq!(open(rewrite("pli-root-key 1", "pli-root-key 2")), CryptoError::Version("root key file", 2));
}
