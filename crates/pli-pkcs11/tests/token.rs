//! A root key in SoftHSM2: what it does, both attacks refused, and what happens when it is gone. SoftHSM is no HSM; the
//! rules that its keys carry are those of one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::UserType;
use pli_crypto::{
    Aad, CryptoError, Epoch, Erasable, KeyStore, MessageKey, Moving, OpenError, OwnSecrets, Secret32, SecretString,
    StoreId, Wrapping,
};
use pli_io::RealDisk;
use pli_pkcs11::{TokenKeyStore, TokenSettings};
use pli_types::AccountId;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "648219";
const E: Epoch = Epoch(690);

fn ctx(id: u64) -> Aad {
    Aad::for_account(StoreId([9; 16]), AccountId::new(id))
}

/// The name of a test of this file that runs in a process of its own: SoftHSM reads its configuration once.
fn alone(name: &str) -> Option<tempfile::TempDir> {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return None;
    }
    assert!(Path::new(MODULE).exists(), "no SoftHSM2: cargo xtask packages");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let tokens = dir.path().join("tokens");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    let run = |program: &Path, words: &[&str]| {
        let output = Command::new(program).args(words).env("SOFTHSM2_CONF", &conf).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let words = ["--init-token", "--free", "--label", "pli-test", "--pin", PIN, "--so-pin", "12345678"];
    run(Path::new("softhsm2-util"), &words);
    let text = run(&std::env::current_exe().unwrap(), &[name, "--exact", "--nocapture"]);
    assert!(text.contains("1 passed"), "{text}");
    println!("{text}");
    Some(dir)
}

fn settings() -> TokenSettings {
    TokenSettings {
        module: MODULE.into(),
        token: String::from("pli-test"),
        label: String::from("pli-root"),
        pin: SecretString::from(PIN),
    }
}

#[test]
fn keys_live_in_the_token() {
    if alone("keys_live_in_the_token").is_some() {
        return;
    }
    assert!(matches!(TokenKeyStore::open(settings()), Err(CryptoError::Unsupported(_))));
    let keys = TokenKeyStore::init(settings()).unwrap();
    assert!(keys.about().note.contains("SoftHSM is no HSM"), "{}", keys.about().note);
    assert!(matches!(TokenKeyStore::init(settings()), Err(CryptoError::Unsupported(_))));
    let a = keys.create_account(&ctx(1)).unwrap();
    assert_eq!((a.wrapping(), a.root_version()), (Wrapping::Token, 1));
    let epoch = keys.create_epoch(&a, &ctx(1), E).unwrap();
    // Delivery: no token.
    let message = MessageKey::generate().unwrap();
    let sealed = epoch.public(&a, &ctx(1)).unwrap().seal(&message, b"aad").unwrap();
    assert_eq!(keys.open_epoch(&a, &ctx(1), &epoch).unwrap().open(&sealed, b"aad").unwrap().0, message);
    // Neither another account's context nor another account's key.
    let b = keys.create_account(&ctx(2)).unwrap();
    assert_eq!(keys.open_epoch(&a, &ctx(2), &epoch).unwrap_err(), CryptoError::Open(OpenError));
    assert_eq!(keys.open_epoch(&b, &ctx(1), &epoch).unwrap_err(), CryptoError::Open(OpenError));
    // A changed blob is refused, and not taken for a token that is gone.
    let mut wrapped = a.wrapped().to_vec();
    wrapped[40] ^= 1;
    let bad = pli_crypto::AccountKeyBlob::of_token(a.root(), 1, *a.encryption_public(), [4; 65], wrapped).unwrap();
    assert_eq!(keys.open_epoch(&bad, &ctx(1), &epoch).unwrap_err(), CryptoError::Open(OpenError));

    let secret = Secret32::new([5; 32]);
    let kept = keys.wrap("store", &secret).unwrap();
    assert_eq!(keys.unwrap("store", &kept).unwrap(), secret);
    assert_eq!(keys.unwrap("audit", &kept).unwrap_err(), CryptoError::Open(OpenError));
    for i in 0..kept.len() {
        let mut bad = kept.clone();
        bad[i] ^= 1;
        assert!(keys.unwrap("store", &bad).is_err(), "byte {i}");
    }
    // A new root: what the old one wrapped opens until it is forgotten; accounts get new keys.
    assert_eq!(keys.rotate_root().unwrap(), 2);
    assert_eq!(keys.rewrap_account(&a, &ctx(1)).unwrap(), None);
    assert!(!keys.is_current(&a));
    let opened = keys.open_epoch(&a, &ctx(1), &epoch).unwrap();
    let new = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.seal_epochs(&new, &ctx(1), &[opened]).unwrap().remove(0);
    assert!(epoch.public(&new, &ctx(1)).is_ok());
    assert_eq!(keys.open_epoch(&new, &ctx(1), &epoch).unwrap().open(&sealed, b"aad").unwrap().0, message);
    assert_eq!(keys.about().versions, [1, 2]);
    drop(keys);
    let keys = TokenKeyStore::open(settings()).unwrap();
    assert_eq!(keys.unwrap("store", &kept).unwrap(), secret);
    assert_eq!(keys.forget_roots(1).unwrap(), 1);
    assert_eq!(keys.about().versions, [2]);
    assert_eq!(keys.unwrap("store", &kept).unwrap_err(), CryptoError::OtherRoot);
    assert!(keys.open_epoch(&a, &ctx(1), &epoch).is_err());
    assert!(keys.open_epoch(&new, &ctx(1), &epoch).is_ok());
}

/// What somebody with the PIN tries. Returns the private key's bytes if he gets them.
fn attack(wrapped: &[u8], decrypt: bool) -> Option<Vec<u8>> {
    let context = Pkcs11::new(MODULE).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = context.get_slots_with_initialized_token().unwrap()[0];
    let session = context.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&cryptoki::types::AuthPin::from(PIN.to_owned())));
    let root = session
        .find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(b"pli-root".to_vec())])
        .unwrap()[0];
    if decrypt {
        // AES key wrap is AES in another order: whoever can decrypt single blocks undoes it.
        return unwrap_by_hand(&|block| session.decrypt(&Mechanism::AesEcb, root, block).ok(), wrapped);
    }
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let key = session.unwrap_key(&Mechanism::AesKeyWrapPad, root, wrapped, &template).ok()?;
    let value = session.get_attributes(key, &[AttributeType::Value]).ok()?;
    value.into_iter().find_map(|a| if let Attribute::Value(bytes) = a { Some(bytes) } else { None })
}

/// RFC 5649 §4.2 over a block decryption.
fn unwrap_by_hand(decrypt: &dyn Fn(&[u8]) -> Option<Vec<u8>>, wrapped: &[u8]) -> Option<Vec<u8>> {
    let n = wrapped.len() / 8 - 1;
    let mut a: [u8; 8] = wrapped[..8].try_into().unwrap();
    let mut r = wrapped[8..].to_vec();
    for j in (0..6).rev() {
        for i in (1..=n).rev() {
            let t = u64::try_from(n * j + i).unwrap();
            let x = (u64::from_be_bytes(a) ^ t).to_be_bytes();
            let block = decrypt(&[&x[..], &r[8 * (i - 1)..8 * i]].concat())?;
            a.copy_from_slice(&block[..8]);
            r[8 * (i - 1)..8 * i].copy_from_slice(&block[8..16]);
        }
    }
    (a[..4] == [0xa6, 0x59, 0x59, 0xa6]).then_some(r)
}

fn first_half(blob: &pli_crypto::AccountKeyBlob) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([blob.wrapped()[0], blob.wrapped()[1]]));
    &blob.wrapped()[2..2 + length]
}

#[test]
fn both_attacks_are_refused() {
    if alone("both_attacks_are_refused").is_some() {
        return;
    }
    let keys = TokenKeyStore::init(settings()).unwrap();
    let blob = keys.create_account(&ctx(1)).unwrap();
    let wrapped = first_half(&blob);
    assert_eq!(wrapped.len() % 8, 0);
    assert_eq!(attack(wrapped, false), None);
    assert_eq!(attack(wrapped, true), None);
}

#[test]
fn both_attacks_work_on_a_careless_root_key_and_it_is_refused() {
    if alone("both_attacks_work_on_a_careless_root_key_and_it_is_refused").is_some() {
        return;
    }
    TokenKeyStore::init_weak(settings()).unwrap();
    let wrapped = wrap_one();
    // So that the tests above can fail.
    assert!(attack(&wrapped, false).is_some());
    assert!(attack(&wrapped, true).is_some());
    assert!(matches!(TokenKeyStore::open(settings()), Err(CryptoError::Unsafe(_))));
}

/// A private key wrapped by the root key that is there.
fn wrap_one() -> Vec<u8> {
    let context = Pkcs11::new(MODULE).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = context.get_slots_with_initialized_token().unwrap()[0];
    let session = context.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&cryptoki::types::AuthPin::from(PIN.to_owned())));
    let root = session
        .find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(b"pli-root".to_vec())])
        .unwrap()[0];
    let oid = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let (_, private) = session
        .generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[Attribute::Token(false), Attribute::EcParams(oid)],
            &[Attribute::Token(false), Attribute::Sensitive(true), Attribute::Extractable(true)],
        )
        .unwrap();
    session.wrap_key(&Mechanism::AesKeyWrapPad, root, private).unwrap()
}

#[test]
fn a_wrong_pin_is_tried_once() {
    if alone("a_wrong_pin_is_tried_once").is_some() {
        return;
    }
    let wrong = TokenSettings { pin: SecretString::from("000000"), ..settings() };
    assert_eq!(TokenKeyStore::open(wrong).unwrap_err(), CryptoError::WrongPassphrase);
    let other = TokenSettings { token: String::from("other"), ..settings() };
    assert!(matches!(TokenKeyStore::open(other), Err(CryptoError::Unavailable(_))));
    let none = TokenSettings { module: "/nowhere/module.so".into(), ..settings() };
    assert!(matches!(TokenKeyStore::open(none), Err(CryptoError::Unavailable(_))));
    assert!(!format!("{:?}", settings()).contains(PIN));
}

#[test]
fn a_token_that_is_gone_is_said_to_be_and_works_again() {
    if alone("a_token_that_is_gone_is_said_to_be_and_works_again").is_some() {
        return;
    }
    let conf = std::env::var("SOFTHSM2_CONF").unwrap();
    let tokens = Path::new(&conf).parent().unwrap().join("tokens");
    let keys = TokenKeyStore::init(settings()).unwrap();
    let a = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.create_epoch(&a, &ctx(1), E).unwrap();
    keys.check().unwrap();
    let away = tokens.with_extension("away");
    for _ in 0..2 {
        std::fs::rename(&tokens, &away).unwrap();
        std::fs::create_dir(&tokens).unwrap();
        for _ in 0..2 {
            let check = keys.check();
            assert!(matches!(check, Err(CryptoError::Unavailable(_))), "{check:?}");
            let opened = keys.open_epoch(&a, &ctx(1), &epoch);
            assert!(matches!(opened, Err(CryptoError::Unavailable(_))), "{opened:?}");
        }
        assert_eq!(keys.root(), a.root());
        assert!(epoch.public(&a, &ctx(1)).is_ok());
        std::fs::remove_dir(&tokens).unwrap();
        std::fs::rename(&away, &tokens).unwrap();
        keys.check().unwrap();
        assert!(keys.open_epoch(&a, &ctx(1), &epoch).is_ok());
    }
}

#[test]
fn own_secrets_and_a_file_before() {
    if alone("own_secrets_and_a_file_before").is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = pli_crypto::FileKeyStore::generate(None).unwrap();
    let old = file.create_account(&ctx(1)).unwrap();
    let old_epoch = file.create_epoch(&old, &ctx(1), E).unwrap();
    let secrets = OwnSecrets::create(Arc::new(RealDisk), dir.path().join("accounts.key")).unwrap();
    let keys = Erasable::new(Moving::new(TokenKeyStore::init(settings()).unwrap(), file), secrets);
    let secret = keys.open_epoch(&old, &ctx(1), &old_epoch).unwrap();
    assert_eq!(keys.rewrap_account(&old, &ctx(1)).unwrap(), None);
    let new = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.seal_epochs(&new, &ctx(1), &[secret]).unwrap().remove(0);
    assert!(new.has_own() && keys.is_current(&new));
    assert!(keys.open_epoch(&new, &ctx(1), &epoch).is_ok());
    // With the PIN and the token, without the file: nothing.
    assert!(TokenKeyStore::open(settings()).unwrap().open_epoch(&new, &ctx(1), &epoch).is_err());
    // Another account's blob in this one's place.
    let other = keys.create_account(&ctx(2)).unwrap();
    assert_eq!(keys.open_epoch(&other, &ctx(1), &epoch).unwrap_err(), CryptoError::Open(OpenError));
    keys.erase_account(&ctx(1)).unwrap();
    assert_eq!(keys.open_epoch(&new, &ctx(1), &epoch).unwrap_err(), CryptoError::Erased);
}

#[test]
fn many_threads() {
    if alone("many_threads").is_some() {
        return;
    }
    let keys = TokenKeyStore::init(settings()).unwrap();
    let a = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.create_epoch(&a, &ctx(1), E).unwrap();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    keys.open_epoch(&a, &ctx(1), &epoch).unwrap();
                }
            });
        }
    });
    println!("400 openings in {:?}", begun.elapsed());
}
