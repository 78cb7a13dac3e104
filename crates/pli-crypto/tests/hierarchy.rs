//! The hierarchy from the root to a message, and each way in which it must not open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::cell::Cell;
use std::sync::Arc;

use pli_crypto::{
    Aad, AccountKeyBlob, CryptoError, Epoch, EpochBlob, FileKeyStore, KeyStore, KeyWrap, MessageKey,
    OPENED_EPOCH_MS_MAX, OpenError, Opened, Secret32, StoreId,
};
use pli_types::{AccountId, EmailId, UnixMillis};

const STORE: StoreId = StoreId([9; 16]);
const E: Epoch = Epoch(690);

struct Account {
    ctx: Aad,
    blob: AccountKeyBlob,
    epoch: EpochBlob,
}

fn account(keys: &FileKeyStore, id: u64) -> Account {
    let ctx = Aad::for_account(STORE, AccountId::new(id));
    let blob = keys.create_account(&ctx).unwrap();
    let epoch = keys.create_epoch(&blob, &ctx, E).unwrap();
    Account { ctx, blob, epoch }
}

fn keys() -> FileKeyStore {
    FileKeyStore::generate(None).unwrap().0
}

fn message_aad(account: u64, message: u64) -> pli_crypto::AadBytes {
    Aad::new("k3", STORE).account(AccountId::new(account)).message(EmailId::new(message)).epoch(E).encode()
}

#[test]
fn delivery_seals_with_public_parts_and_the_owner_opens() {
    let keys = keys();
    let a = account(&keys, 1);
    let aad = message_aad(1, 7);
    let key = MessageKey::generate().unwrap();
    let sealed = a.epoch.public(&a.blob, &a.ctx).unwrap().seal(&key, &aad).unwrap();
    let secret = keys.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap();
    let (opened, wrap) = secret.open(&sealed, &aad).unwrap();
    assert_eq!(opened, key);
    let wrap = wrap.expect("a seal is replaced");
    assert!(matches!(wrap, KeyWrap::Wrapped { epoch, .. } if epoch == E));
    assert_eq!(secret.open(&wrap, &aad).unwrap(), (key, None));
}

#[test]
fn each_changed_byte_of_a_wrap_is_refused() {
    let keys = keys();
    let a = account(&keys, 1);
    let secret = keys.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap();
    let aad = message_aad(1, 7);
    let key = MessageKey::generate().unwrap();
    let sealed = a.epoch.public(&a.blob, &a.ctx).unwrap().seal(&key, &aad).unwrap();
    let wrapped = secret.open(&sealed, &aad).unwrap().1.unwrap();
    for wrap in [sealed, wrapped] {
        let bytes = wrap.encode();
        assert_eq!(KeyWrap::decode(&bytes).unwrap(), wrap);
        for i in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut bad = bytes.clone();
                bad[i] ^= bit;
                // RFC 7748 §5: the top bit of an X25519 public value (byte 5 + 31 here) does not count in the curve
                // operation, but HPKE hashes the encapsulated key as it stands, so that it is refused all the same.
                let outcome = KeyWrap::decode(&bad).and_then(|w| secret.open(&w, &aad));
                assert!(outcome.is_err(), "byte {i}");
            }
        }
        for other in [message_aad(1, 8), message_aad(2, 7)] {
            assert_eq!(secret.open(&wrap, &other).unwrap_err(), CryptoError::Open(OpenError));
        }
    }
}

#[test]
fn each_changed_byte_of_the_account_blob_is_refused() {
    let keys = keys();
    let a = account(&keys, 1);
    let bytes = a.blob.encode();
    assert_eq!(bytes.len(), AccountKeyBlob::BYTES);
    assert_eq!(AccountKeyBlob::decode(&bytes).unwrap(), a.blob);
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 1;
        let outcome = AccountKeyBlob::decode(&bad).and_then(|b| keys.open_epoch(&b, &a.ctx, &a.epoch));
        assert!(outcome.is_err(), "byte {i}");
        let outcome = AccountKeyBlob::decode(&bad).and_then(|b| keys.create_epoch(&b, &a.ctx, E));
        assert!(outcome.is_err(), "byte {i}");
    }
}

#[test]
fn each_changed_byte_of_the_epoch_blob_is_refused() {
    let keys = keys();
    let a = account(&keys, 1);
    let bytes = a.epoch.encode();
    assert_eq!(bytes.len(), EpochBlob::BYTES);
    assert_eq!(EpochBlob::decode(&bytes).unwrap(), a.epoch);
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 1;
        let Ok(blob) = EpochBlob::decode(&bad) else {
            continue;
        };
        // The sealed private half is the owner's concern, all else is the delivery's.
        let delivery = blob.public(&a.blob, &a.ctx).is_err();
        let session = keys.open_epoch(&a.blob, &a.ctx, &blob).is_err();
        assert!(delivery || session, "byte {i}");
        let in_sealed = (40..40 + 113).contains(&i);
        assert_eq!(delivery, !in_sealed, "byte {i}");
    }
}

#[test]
fn a_substituted_public_key_is_caught() {
    let keys = keys();
    let (a, b) = (account(&keys, 1), account(&keys, 2));
    // The database of somebody who put his own epoch, or his own account's, in place of another's.
    assert!(b.epoch.public(&a.blob, &a.ctx).is_err());
    assert!(b.epoch.public(&b.blob, &a.ctx).is_err());
    assert!(a.epoch.public(&a.blob, &b.ctx).is_err());
    let other_store = Aad::for_account(StoreId([8; 16]), AccountId::new(1));
    assert!(a.epoch.public(&a.blob, &other_store).is_err());
    // The same account's blob of another epoch, renumbered.
    let mut bytes = keys.create_epoch(&a.blob, &a.ctx, Epoch(691)).unwrap().encode();
    bytes[4..8].copy_from_slice(&E.0.to_be_bytes());
    let renumbered = EpochBlob::decode(&bytes).unwrap();
    assert!(renumbered.public(&a.blob, &a.ctx).is_err());
    assert!(keys.open_epoch(&a.blob, &a.ctx, &renumbered).is_err());
}

#[test]
fn blobs_of_other_accounts_and_stores_do_not_open() {
    let keys = keys();
    let (a, b) = (account(&keys, 1), account(&keys, 2));
    assert_eq!(keys.open_epoch(&b.blob, &a.ctx, &b.epoch).unwrap_err(), CryptoError::Open(OpenError));
    assert_eq!(keys.open_epoch(&a.blob, &a.ctx, &b.epoch).unwrap_err(), CryptoError::Open(OpenError));
    let aad = message_aad(1, 1);
    let key = MessageKey::generate().unwrap();
    let sealed = a.epoch.public(&a.blob, &a.ctx).unwrap().seal(&key, &aad).unwrap();
    let secret = keys.open_epoch(&b.blob, &b.ctx, &b.epoch).unwrap();
    assert_eq!(secret.open(&sealed, &aad).unwrap_err(), CryptoError::Open(OpenError));
}

#[test]
fn another_root_is_named() {
    let (first, second) = (keys(), keys());
    let a = account(&first, 1);
    assert_eq!(second.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap_err(), CryptoError::OtherRoot);
    let wrapped = first.wrap("row", &Secret32::new([1; 32])).unwrap();
    assert_eq!(second.unwrap("row", &wrapped).unwrap_err(), CryptoError::OtherRoot);
}

#[test]
fn wraps_open_under_their_role_only() {
    let keys = keys();
    let secret = Secret32::generate().unwrap();
    let wrapped = keys.wrap("row", &secret).unwrap();
    assert_eq!(keys.unwrap("row", &wrapped).unwrap(), secret);
    assert!(keys.unwrap("rows", &wrapped).is_err());
    for i in 0..wrapped.len() {
        let mut bad = wrapped.clone();
        bad[i] ^= 1;
        assert!(keys.unwrap("row", &bad).is_err(), "byte {i}");
        assert!(keys.unwrap("row", &wrapped[..i]).is_err());
    }
}

#[test]
fn rotation_opens_the_old_and_wraps_under_the_new() {
    let (first, _) = FileKeyStore::generate(None).unwrap();
    let a = account(&first, 1);
    let wrapped = first.wrap("row", &Secret32::new([1; 32])).unwrap();
    let (second, file) = first.rotate(None).unwrap();
    assert_eq!(second.root_version(), 2);
    let second = { FileKeyStore::open(file.expose(), None).unwrap() };
    assert_eq!(second.root_version(), 2);
    assert!(second.open_epoch(&a.blob, &a.ctx, &a.epoch).is_ok());
    assert_eq!(second.unwrap("row", &wrapped).unwrap(), Secret32::new([1; 32]));
    let rewrapped = second.rewrap_account(&a.blob, &a.ctx).unwrap().unwrap();
    assert_eq!((a.blob.root_version(), rewrapped.root_version()), (1, 2));
    let (third, _) = second.forget_older(None).unwrap();
    assert_eq!(third.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap_err(), CryptoError::RootVersion(1));
    // No epoch was made again for it, and the signatures still hold.
    assert!(third.open_epoch(&rewrapped, &a.ctx, &a.epoch).is_ok());
    assert!(a.epoch.public(&rewrapped, &a.ctx).is_ok());
}

#[test]
fn a_session_caches_an_epoch_for_fifteen_minutes() {
    let keys: Arc<FileKeyStore> = Arc::new(keys());
    let a = account(&keys, 1);
    let aad = message_aad(1, 1);
    let key = MessageKey::generate().unwrap();
    let sealed = a.epoch.public(&a.blob, &a.ctx).unwrap().seal(&key, &aad).unwrap();
    let lookups = Cell::new(0);
    let lookup = |epoch: Epoch| {
        lookups.set(lookups.get() + 1);
        (epoch == E).then(|| a.epoch.clone())
    };
    let opened = Opened::new(keys, a.blob.clone(), a.ctx);
    let start = UnixMillis(1_800_000_000_000);
    let (got, wrap) = opened.message_key(start, &sealed, &aad, &lookup).unwrap();
    assert_eq!((&got, lookups.get()), (&key, 1));
    let wrap = wrap.unwrap();
    let last = start.plus_ms(OPENED_EPOCH_MS_MAX - 1);
    assert_eq!(opened.message_key(last, &wrap, &aad, &lookup).unwrap(), (key, None));
    assert_eq!(lookups.get(), 1);
    opened.message_key(start.plus_ms(OPENED_EPOCH_MS_MAX), &wrap, &aad, &lookup).unwrap();
    assert_eq!(lookups.get(), 2);
    // A clock that went back does not lengthen the time.
    opened.message_key(start, &wrap, &aad, &lookup).unwrap();
    assert_eq!(lookups.get(), 3);
    opened.forget_all();
    opened.message_key(start, &wrap, &aad, &lookup).unwrap();
    assert_eq!(lookups.get(), 4);
    assert_eq!(opened.epoch(start, Epoch(1), &lookup).unwrap_err(), CryptoError::NoEpoch(1));
}

#[test]
fn epochs_are_thirty_days() {
    let day = 86_400_000;
    assert_eq!(Epoch::at(UnixMillis(0)), Epoch(0));
    assert_eq!(Epoch::at(UnixMillis(30 * day - 1)), Epoch(0));
    assert_eq!(Epoch::at(UnixMillis(30 * day)), Epoch(1));
    assert_eq!(Epoch::at(UnixMillis(-1)), Epoch(0));
    assert_eq!(Epoch::at(UnixMillis(i64::MAX)), Epoch(3_558_399_705));
}

#[test]
fn derived_roles_differ() {
    let keys = keys();
    let a = account(&keys, 1);
    let secret = keys.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap();
    let again = keys.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap();
    assert_eq!(secret.derive("search"), again.derive("search"));
    assert_ne!(secret.derive("search"), secret.derive("other"));
}

#[test]
fn nothing_secret_is_shown() {
    let (keys, file) = FileKeyStore::generate(None).unwrap();
    let a = account(&keys, 1);
    let secret = keys.open_epoch(&a.blob, &a.ctx, &a.epoch).unwrap();
    let text = String::from_utf8(file.expose().to_vec()).unwrap();
    let root = text.lines().find_map(|l| l.strip_prefix("key 1 ")).unwrap();
    let shown = format!("{keys:?} {secret:?} {file:?} {:?} {:?}", Secret32::new([0xab; 32]), MessageKey::generate());
    assert!(!shown.contains(root) && !shown.contains("171, 171") && !shown.contains("abab"));
}
