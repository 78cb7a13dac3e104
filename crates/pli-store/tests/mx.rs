//! A process with what the MX needs (the store's own keys and public keys) takes mail and opens none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::Mutex;
use pli_crypto::{
    Aad, AccountKeyBlob, CryptoError, EpochBlob, EpochSecret, FileKeyStore, KeyStore, KeyStoreAbout, RootId, Secret32,
    hkdf, sha256,
};
use pli_store::*;
use pli_types::Action;
use world::*;

/// Everything that went through a key store.
#[derive(Default)]
struct Seen {
    /// The store's own keys, by role and wrap: what a process without K0 may be given.
    own: HashMap<(String, Vec<u8>), Secret32>,
    accounts: Vec<(Aad, AccountKeyBlob)>,
    epochs: Vec<(Aad, AccountKeyBlob, EpochBlob)>,
}

/// K0 in a file, watched.
struct Watched {
    inner: FileKeyStore,
    seen: Arc<Mutex<Seen>>,
}

impl KeyStore for Watched {
    fn create_account(&self, ctx: &Aad) -> pli_crypto::Result<AccountKeyBlob> {
        let blob = self.inner.create_account(ctx)?;
        self.seen.lock().accounts.push((*ctx, blob.clone()));
        Ok(blob)
    }
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> pli_crypto::Result<EpochSecret> {
        self.inner.open_epoch(blob, ctx, epoch)
    }
    fn seal_epochs(
        &self,
        blob: &AccountKeyBlob,
        ctx: &Aad,
        epochs: &[EpochSecret],
    ) -> pli_crypto::Result<Vec<EpochBlob>> {
        let sealed = self.inner.seal_epochs(blob, ctx, epochs)?;
        self.seen.lock().epochs.extend(sealed.iter().map(|epoch| (*ctx, blob.clone(), epoch.clone())));
        Ok(sealed)
    }
    fn wrap(&self, role: &str, secret: &Secret32) -> pli_crypto::Result<Vec<u8>> {
        let wrapped = self.inner.wrap(role, secret)?;
        self.seen.lock().own.insert((role.to_owned(), wrapped.clone()), secret.clone());
        Ok(wrapped)
    }
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> pli_crypto::Result<Secret32> {
        self.inner.unwrap(role, wrapped)
    }
    fn root(&self) -> RootId {
        self.inner.root()
    }
    fn root_version(&self) -> u32 {
        self.inner.root_version()
    }
    fn has_root(&self, root: RootId) -> bool {
        self.inner.has_root(root)
    }
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> pli_crypto::Result<Option<AccountKeyBlob>> {
        self.inner.rewrap_account(blob, ctx)
    }
    fn rotate_root(&self) -> pli_crypto::Result<u32> {
        self.inner.rotate_root()
    }
    fn forget_roots(&self, keep: usize) -> pli_crypto::Result<usize> {
        self.inner.forget_roots(keep)
    }
    fn about(&self) -> KeyStoreAbout {
        self.inner.about()
    }
}

/// What the MX has: the store's own keys. No root, no account's key.
struct Mx(HashMap<(String, Vec<u8>), Secret32>);

const NOTHING: CryptoError = CryptoError::Unsupported("the MX has no root key");

impl KeyStore for Mx {
    fn create_account(&self, _: &Aad) -> pli_crypto::Result<AccountKeyBlob> {
        Err(NOTHING)
    }
    fn open_epoch(&self, _: &AccountKeyBlob, _: &Aad, _: &EpochBlob) -> pli_crypto::Result<EpochSecret> {
        Err(NOTHING)
    }
    fn seal_epochs(&self, _: &AccountKeyBlob, _: &Aad, _: &[EpochSecret]) -> pli_crypto::Result<Vec<EpochBlob>> {
        Err(NOTHING)
    }
    fn wrap(&self, _: &str, _: &Secret32) -> pli_crypto::Result<Vec<u8>> {
        Err(NOTHING)
    }
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> pli_crypto::Result<Secret32> {
        self.0.get(&(role.to_owned(), wrapped.to_vec())).cloned().ok_or(NOTHING)
    }
    fn root(&self) -> RootId {
        RootId([0; 8])
    }
    fn root_version(&self) -> u32 {
        0
    }
    fn has_root(&self, _: RootId) -> bool {
        false
    }
    fn rewrap_account(&self, _: &AccountKeyBlob, _: &Aad) -> pli_crypto::Result<Option<AccountKeyBlob>> {
        Err(NOTHING)
    }
    fn rotate_root(&self) -> pli_crypto::Result<u32> {
        Err(NOTHING)
    }
    fn forget_roots(&self, _: usize) -> pli_crypto::Result<usize> {
        Err(NOTHING)
    }
    fn about(&self) -> KeyStoreAbout {
        KeyStoreAbout { kind: "none", versions: Vec::new(), own_secrets: false, note: String::new() }
    }
}

/// A key store whose root key is this secret, whatever it was made for.
fn with_root(secret: &Secret32) -> FileKeyStore {
    let above = format!("pli-root-key 1\nprotection none\nkey 1 {}\n", BASE64.encode(secret.expose()));
    let check: String = sha256(above.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    FileKeyStore::open(format!("{above}check {check}\n").as_bytes(), None).unwrap()
}

#[tokio::test]
async fn the_mx_takes_mail_and_opens_none() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (inner, _) = FileKeyStore::generate(None).unwrap();
    let mut world = World::real(IndexEngine::Memory);
    let owner: Arc<dyn KeyStore> = Arc::new(Watched { inner, seen: Arc::clone(&seen) });
    world.keys = Arc::clone(&owner);
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let before = message("before", 2000);
    open.deliver(&[ana], &before).await.unwrap();
    open.store.keep_keys(open.permit(Action::KeyRotate, None), KeyRules::default()).await.unwrap();
    drop(open);

    let own = std::mem::take(&mut seen.lock().own);
    let secrets: Vec<Secret32> = own.values().cloned().collect();
    assert!(secrets.len() >= 4);
    world.keys = Arc::new(Mx(own));
    let open = world.open();
    let during = message("during", 2000);
    open.deliver(&[ana], &during).await.unwrap();
    let inbox = open.mailbox(ana, "INBOX").id;
    let entries = open.entries(ana, inbox);
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        assert!(matches!(open.body(ana, *entry), Err(StoreError::Keys(_))));
        let permit = open.permit(Action::FetchContent, Some(ana));
        assert!(open.store.read(&permit).unwrap().summary(&open.keys(ana), entry.email).is_err());
    }

    // Nor with its secrets in any other part: none of them, and nothing derived from one of them, is a root key of the
    // accounts' blobs.
    let header: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.dir.join("store.json")).unwrap()).unwrap();
    let hex = header["store"].as_str().unwrap();
    let id: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let seen = seen.lock();
    assert_eq!((seen.accounts.len(), seen.epochs.len()), (1, 1));
    let (ctx, blob, epoch) = &seen.epochs[0];
    assert!(owner.open_epoch(blob, ctx, epoch).is_ok(), "the blobs are right");
    for secret in &secrets {
        let parts =
            [&b"row"[..], b"queue", b"names", b"segments"].map(|label| hkdf(secret, b"pli KS v1", &[label, &id]));
        for candidate in parts.iter().chain([secret]) {
            let root = with_root(candidate);
            let forged = AccountKeyBlob::decode(&with_root_id(blob, root.root())).unwrap();
            assert!(root.open_epoch(&forged, ctx, epoch).is_err());
        }
    }
    drop(open);
    drop(seen);

    // The owner reads what came meanwhile.
    world.keys = owner;
    let open = world.open();
    let keys = open.keys(ana);
    let bodies: Vec<_> = entries.iter().map(|entry| open.body_with(&keys, ana, *entry).unwrap()).collect();
    assert_eq!(bodies, [before, during]);
}

/// The blob as if that root key had wrapped it, so that it is tried at all.
fn with_root_id(blob: &AccountKeyBlob, root: RootId) -> Vec<u8> {
    let mut bytes = blob.encode();
    bytes[4..12].copy_from_slice(&root.0);
    bytes
}
