//! Secrets of accounts' own: an account ends with its secret, in every copy; others do not. And one key store taking over
//! from another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pli_crypto::{
    Aad, AccountKeyBlob, CryptoError, Epoch, EpochBlob, Erasable, FileKeyStore, KeyStore, Moving, OpenError, Opened,
    OwnSecrets, Secret32, StoreId, Wrapping,
};
use pli_io::{Disk, RealDisk};
use pli_types::{AccountId, UnixMillis};

const STORE: StoreId = StoreId([9; 16]);
const E: Epoch = Epoch(690);

fn ctx(id: u64) -> Aad {
    Aad::for_account(STORE, AccountId::new(id))
}

fn secrets(dir: &Path) -> OwnSecrets {
    let (disk, path): (Arc<dyn Disk>, PathBuf) = (Arc::new(RealDisk), dir.join("accounts.key"));
    if path.exists() { OwnSecrets::open(disk, path) } else { OwnSecrets::create(disk, path) }.unwrap()
}

fn root(dir: &Path) -> FileKeyStore {
    let path = dir.join("root.key");
    if !path.exists() {
        let (_, contents) = FileKeyStore::generate(None).unwrap();
        std::fs::write(&path, contents.expose()).unwrap();
    }
    FileKeyStore::open(&std::fs::read(&path).unwrap(), None).unwrap().kept_in(Arc::new(RealDisk), path)
}

fn store(dir: &Path) -> Erasable<FileKeyStore> {
    Erasable::new(root(dir), secrets(dir))
}

fn account(keys: &dyn KeyStore, id: u64) -> (AccountKeyBlob, EpochBlob) {
    let blob = keys.create_account(&ctx(id)).unwrap();
    let epoch = keys.create_epoch(&blob, &ctx(id), E).unwrap();
    (blob, epoch)
}

#[test]
fn an_erased_account_opens_nowhere_and_others_do() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(dir.path());
    let (a, a_epoch) = account(&keys, 1);
    let (b, b_epoch) = account(&keys, 2);
    assert!(a.has_own() && keys.is_current(&a));
    // What a backup of the store has: the blobs.
    let (a, b) = (AccountKeyBlob::decode(&a.encode()).unwrap(), AccountKeyBlob::decode(&b.encode()).unwrap());
    let again = store(dir.path());
    assert!(again.open_epoch(&a, &ctx(1), &a_epoch).is_ok());
    let before = std::fs::read(dir.path().join("accounts.key")).unwrap();
    keys.erase_account(&ctx(1)).unwrap();
    let after = std::fs::read(dir.path().join("accounts.key")).unwrap();
    let secret = &before[64 + 16..64 + 48];
    assert!(!after.windows(32).any(|w| w == secret));
    for keys in [&keys, &store(dir.path())] {
        assert_eq!(keys.open_epoch(&a, &ctx(1), &a_epoch).unwrap_err(), CryptoError::Erased);
        assert!(keys.open_epoch(&b, &ctx(2), &b_epoch).is_ok());
    }
    // The root key alone opens neither.
    let bare = root(dir.path());
    assert!(bare.open_epoch(&b, &ctx(2), &b_epoch).is_err());
    // Deliveries need no secret.
    assert!(a_epoch.public(&a, &ctx(1)).is_ok());
    // A new account under the number, in a store that was put back, works.
    let (fresh, epoch) = account(&keys, 1);
    assert!(keys.open_epoch(&fresh, &ctx(1), &epoch).is_ok());
    assert_eq!(keys.open_epoch(&a, &ctx(1), &a_epoch).unwrap_err(), CryptoError::Open(OpenError));
    keys.erase_account(&ctx(77)).unwrap();
}

#[test]
fn blobs_of_others_do_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(dir.path());
    let ((a, a_epoch), (b, b_epoch)) = (account(&keys, 1), account(&keys, 2));
    assert_eq!(keys.open_epoch(&b, &ctx(1), &b_epoch).unwrap_err(), CryptoError::Open(OpenError));
    assert_eq!(keys.open_epoch(&a, &ctx(2), &a_epoch).unwrap_err(), CryptoError::Open(OpenError));
    let other = Aad::for_account(StoreId([8; 16]), AccountId::new(1));
    assert!(keys.open_epoch(&a, &other, &a_epoch).is_err());
    let bytes = a.encode();
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 1;
        assert!(AccountKeyBlob::decode(&bad).and_then(|b| keys.open_epoch(&b, &ctx(1), &a_epoch)).is_err(), "byte {i}");
        assert!(AccountKeyBlob::decode(&bytes[..i]).is_err());
    }
    // A token's blob is bound by the own secret alone: without one it is nobody's.
    let bare = AccountKeyBlob::of_token(keys.root(), 1, [4; 65], [4; 65], vec![1; 80]).unwrap();
    assert_eq!(bare.wrapping(), Wrapping::Token);
    assert_eq!(keys.open_epoch(&bare, &ctx(1), &a_epoch).unwrap_err(), CryptoError::Open(OpenError));
    assert_eq!(AccountKeyBlob::decode(&bare.encode()).unwrap(), bare);
}

#[test]
fn accounts_from_before_go_on_and_get_secrets_when_rewrapped() {
    let dir = tempfile::tempdir().unwrap();
    let (old, epoch) = account(&root(dir.path()), 1);
    assert_eq!(old.encode().len(), AccountKeyBlob::BYTES);
    let keys = store(dir.path());
    assert!(keys.open_epoch(&old, &ctx(1), &epoch).is_ok());
    assert!(!keys.is_current(&old));
    let new = keys.rewrap_account(&old, &ctx(1)).unwrap().unwrap();
    assert!(new.has_own() && keys.is_current(&new));
    assert!(keys.open_epoch(&new, &ctx(1), &epoch).is_ok());
    assert!(epoch.public(&new, &ctx(1)).is_ok());
    // An old copy of the file has no secret for it, and that is told.
    std::fs::remove_file(dir.path().join("accounts.key")).unwrap();
    assert_eq!(store(dir.path()).open_epoch(&new, &ctx(1), &epoch).unwrap_err(), CryptoError::NoOwnSecret);
}

#[test]
fn the_root_rotates_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let keys = store(dir.path());
    let (a, epoch) = account(&keys, 1);
    let wrapped = keys.wrap("x", &Secret32::new([5; 32])).unwrap();
    assert_eq!(keys.rotate_root().unwrap(), 2);
    assert!(!keys.is_current(&a));
    assert_eq!(keys.about().versions, [1, 2]);
    // Killed here: the file has both.
    let keys = store(dir.path());
    assert_eq!(keys.root_version(), 2);
    assert!(keys.unwrap("x", &wrapped).is_ok());
    let b = keys.rewrap_account(&a, &ctx(1)).unwrap().unwrap();
    assert_eq!((a.root_version(), b.root_version()), (1, 2));
    assert_eq!(keys.forget_roots(2).unwrap(), 0);
    assert_eq!(keys.rotate_root().unwrap(), 3);
    assert_eq!(keys.forget_roots(2).unwrap(), 1);
    assert!(keys.open_epoch(&b, &ctx(1), &epoch).is_ok());
    let keys = store(dir.path());
    assert_eq!(keys.about().versions, [2, 3]);
    assert_eq!(keys.open_epoch(&a, &ctx(1), &epoch).unwrap_err(), CryptoError::RootVersion(1));
    // A credential cannot be written.
    let credential = FileKeyStore::open(&std::fs::read(dir.path().join("root.key")).unwrap(), None).unwrap();
    assert!(matches!(credential.rotate_root(), Err(CryptoError::Unsupported(_))));
    assert_eq!(credential.about().kind, "credential");
}

#[test]
fn a_session_outlives_a_new_account_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys: Arc<dyn KeyStore> = Arc::new(store(dir.path()));
    let (old, old_epoch) = account(&*keys, 1);
    let secret = keys.open_epoch(&old, &ctx(1), &old_epoch).unwrap();
    let new = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.seal_epochs(&new, &ctx(1), &[secret]).unwrap().remove(0);
    assert!(epoch.public(&new, &ctx(1)).is_ok() && epoch.public(&old, &ctx(1)).is_err());
    let now = UnixMillis(0);
    let lookup = |_: Epoch| Some(epoch.clone());
    let without = Opened::new(Arc::clone(&keys), old.clone(), ctx(1));
    assert!(without.epoch(now, E, &lookup).is_err());
    let with = Opened::new(Arc::clone(&keys), old, ctx(1)).with_source(Arc::new(move || Some(new.clone())));
    assert!(with.epoch(now, E, &lookup).is_ok());
}

#[test]
fn one_key_store_takes_over_from_another() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (root(old.path()), root(new.path()));
    let (a, epoch) = account(&from, 1);
    let wrapped = from.wrap("store", &Secret32::new([5; 32])).unwrap();
    let keys = Moving::new(to, from);
    assert_eq!(keys.unwrap("store", &wrapped).unwrap(), Secret32::new([5; 32]));
    let secret = keys.open_epoch(&a, &ctx(1), &epoch).unwrap();
    assert!(!keys.is_current(&a));
    assert_eq!(keys.rewrap_account(&a, &ctx(1)).unwrap(), None);
    let b = keys.create_account(&ctx(1)).unwrap();
    let epoch = keys.seal_epochs(&b, &ctx(1), &[secret]).unwrap().remove(0);
    // The new one alone opens what was brought over.
    assert!(root(new.path()).open_epoch(&b, &ctx(1), &epoch).is_ok());
    let moved = keys.wrap("store", &Secret32::new([5; 32])).unwrap();
    assert!(root(new.path()).unwrap("store", &moved).is_ok());
}
