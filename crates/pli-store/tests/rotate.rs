//! Keys renewed while the store serves: everything opens before, during and after; a crash at any step loses nothing and
//! is gone on from; an erased account opens in no copy of the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pli_crypto::{CryptoError, Erasable, FileKeyStore, KeyStore, Moving, Opened, OwnSecrets};
use pli_io::sim::{Fault, SimRandom};
use pli_io::{Disk, RealDisk};
use pli_store::*;
use pli_types::{AccountId, Action};
use world::*;

const RULES: KeyRules = KeyRules { root_days: Some(90), account_days: None };

fn root(disk: &Arc<dyn Disk>, path: &Path) -> FileKeyStore {
    if !disk.exists(path) {
        let (_, contents) = FileKeyStore::generate(None).unwrap();
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.replace(path, contents.expose()).unwrap();
    }
    FileKeyStore::open(&disk.read(path).unwrap(), None).unwrap().kept_in(Arc::clone(disk), path.to_owned())
}

/// Root and account secrets in a folder beside the store.
fn keys_in(disk: &Arc<dyn Disk>, dir: &Path) -> Arc<dyn KeyStore> {
    let inner = root(disk, &dir.join("root.key"));
    let path = dir.join("accounts.key");
    let open = if disk.exists(&path) { OwnSecrets::open } else { OwnSecrets::create };
    Arc::new(Erasable::new(inner, open(Arc::clone(disk), path).unwrap()))
}

fn real() -> World {
    let mut world = World::real(IndexEngine::Memory);
    world.keys = keys_in(&world.env.disk, &keys_dir(&world));
    world
}

fn keys_dir(world: &World) -> PathBuf {
    world.dir.parent().unwrap().join("keys")
}

impl Open {
    fn rotator(&self) -> Permit {
        self.permit(Action::KeyRotate, None)
    }
    fn status(&self) -> KeyStatus {
        self.store.key_status(&self.permit(Action::Operate, None), RULES).unwrap()
    }
    fn bodies(&self, account: AccountId, keys: &Opened) -> Vec<Bytes> {
        let inbox = self.mailbox(account, "INBOX").id;
        self.entries(account, inbox).into_iter().map(|e| self.body_with(keys, account, e).unwrap()).collect()
    }
}

async fn two(open: &Open) -> [AccountId; 2] {
    [
        open.account("ana@example.org", QuotaLimit::default()).await,
        open.account("bob@example.org", QuotaLimit::default()).await,
    ]
}

#[tokio::test]
async fn a_rotation_goes_around_everything() {
    let world = real();
    let open = world.create();
    let [ana, bob] = two(&open).await;
    open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    let (one, two) = (message("one", 3000), message("two", 3000));
    open.deliver(&[ana, bob], &one).await.unwrap();
    let session = open.keys(ana);
    assert_eq!(open.bodies(ana, &session), std::slice::from_ref(&one));
    let rotated = open.store.rotate_root(open.rotator(), false).await.unwrap();
    assert_eq!((rotated.version, rotated.accounts, rotated.renewed, rotated.failed), (2, 2, 0, 0));
    assert!(rotated.log_keys >= 2);
    let status = open.status();
    assert_eq!((status.versions, status.under_other_roots, status.progress), (vec![1, 2], 0, None));
    // The session that was open, and new mail.
    open.deliver(&[ana], &two).await.unwrap();
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(open.bodies(ana, &session), [one.clone(), two.clone()]);
    let renewed = open.store.rotate_accounts(open.rotator(), None).await.unwrap();
    assert_eq!((renewed.accounts, renewed.renewed), (2, 2));
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(open.bodies(ana, &session), [one.clone(), two.clone()]);
    open.deliver(&[ana], &one).await.unwrap();
    let forgotten = open.store.rotate_root(open.rotator(), true).await.unwrap();
    assert_eq!((forgotten.version, forgotten.forgotten), (3, 2));
    assert_eq!(open.status().versions, [3]);
    open.check();
    // The audit log is whole and readable: its keys came over.
    let audit = open.permit(Action::AuditRead, None);
    assert!(open.store.audit_events(&audit, 0, 1000).unwrap().len() > 5);
    drop((open, session));
    let again = World { keys: keys_in(&world.env.disk, &keys_dir(&world)), ..world };
    let open = again.open();
    assert_eq!(open.bodies(ana, &open.keys(ana)).len(), 3);
    assert_eq!(open.bodies(bob, &open.keys(bob)).len(), 1);
    open.check();
}

#[tokio::test]
async fn what_is_due_is_done_by_itself() {
    let world = real();
    let open = world.create();
    let [ana, _] = two(&open).await;
    let kept = open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    assert_eq!(kept.root.unwrap().version, 1);
    let begun = open.status();
    assert_eq!(begun.root_due.unwrap().0, begun.root_since.unwrap().0 + 90 * 86_400_000);
    world.clock.advance(Duration::from_secs(89 * 86_400));
    assert_eq!(open.store.keep_keys(open.rotator(), RULES).await.unwrap().root, None);
    world.clock.advance(Duration::from_secs(2 * 86_400));
    let kept = open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    assert_eq!(kept.root.unwrap().version, 2);
    let later = open.status();
    assert!(later.root_since > begun.root_since);
    assert_eq!(open.store.keep_keys(open.rotator(), RULES).await.unwrap().root, None);
    let rules = KeyRules { account_days: Some(30), ..RULES };
    assert_eq!(open.store.key_status(&open.rotator(), rules).unwrap().account_due, 2);
    assert_eq!(open.store.keep_keys(open.rotator(), rules).await.unwrap().accounts.unwrap().renewed, 2);
    assert_eq!(open.store.key_status(&open.rotator(), rules).unwrap().account_due, 0);
    let raw = message("x", 500);
    open.deliver(&[ana], &raw).await.unwrap();
    assert_eq!(open.bodies(ana, &open.keys(ana)), [raw]);
    open.check();
}

#[tokio::test]
async fn one_account_alone() {
    let world = real();
    let open = world.create();
    let [ana, bob] = two(&open).await;
    let raw = message("x", 500);
    open.deliver(&[ana, bob], &raw).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let before = open.store.account_key_status(&open.rotator(), ana).unwrap();
    open.store.rotate_accounts(open.rotator(), Some(ana)).await.unwrap();
    let after = open.store.account_key_status(&open.rotator(), ana).unwrap();
    assert!(after.made > before.made);
    assert_eq!((after.epochs, after.own_secret), (before.epochs, true));
    for account in [ana, bob] {
        assert_eq!(open.bodies(account, &open.keys(account)), std::slice::from_ref(&raw));
    }
    let none = open.store.rotate_accounts(open.rotator(), Some(AccountId::new(99))).await;
    assert!(matches!(none, Err(StoreError::NoAccount(_))));
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn an_erased_account_opens_in_no_copy_of_the_store() {
    let mut world = real();
    let open = world.create();
    let [ana, bob] = two(&open).await;
    open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    let raw = message("secret", 3000);
    open.deliver(&[ana], &raw).await.unwrap();
    open.deliver(&[bob], &raw).await.unwrap();
    drop(open);
    // A backup, with its index; the root key is backed up too.
    let backup = world.dir.parent().unwrap().join("backup");
    copy(&world.dir, &backup);
    let open = world.open();
    let erased = open.store.erase_account(open.permit(Action::AccountRemove, Some(ana)), ana).await.unwrap();
    assert_eq!(erased, Erased { covers_since: None });
    assert!(matches!(open.store.open_keys(&open.permit(Action::Login, Some(ana))), Err(StoreError::NoAccount(_))));
    assert_eq!(open.status().erasing, 0);
    open.check();
    drop(open);
    world.keys = keys_in(&world.env.disk, &keys_dir(&world));
    world.dir = backup;
    let open = world.open();
    let inbox = open.mailbox(ana, "INBOX").id;
    let entry = open.entries(ana, inbox)[0];
    assert!(matches!(open.body(ana, entry), Err(StoreError::Keys(CryptoError::Erased))));
    assert_eq!(open.bodies(bob, &open.keys(bob)), std::slice::from_ref(&raw));
    // It is still a mailbox that mail can come to, and keys of others go on being kept.
    open.deliver(&[ana, bob], &raw).await.unwrap();
    world.clock.advance(Duration::from_secs(40 * 86_400));
    let kept = open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    assert_eq!(kept.epochs, 1);
    let rotated = open.store.rotate_root(open.rotator(), true).await.unwrap();
    assert_eq!((rotated.failed, rotated.erased, rotated.forgotten, rotated.accounts), (0, 1, 1, 1));
    assert_eq!(open.bodies(bob, &open.keys(bob)).len(), 2);
}

#[tokio::test]
async fn an_account_from_before_says_from_when_it_is_gone() {
    let mut world = World::real(IndexEngine::Memory);
    let disk = Arc::clone(&world.env.disk);
    world.keys = Arc::new(root(&disk, &keys_dir(&world).join("root.key")));
    let open = world.create();
    let [ana, bob] = two(&open).await;
    let refused = open.store.erase_account(open.permit(Action::AccountRemove, Some(ana)), ana).await;
    assert!(matches!(refused, Err(StoreError::Keys(CryptoError::Unsupported(_)))));
    let raw = message("x", 500);
    open.deliver(&[ana, bob], &raw).await.unwrap();
    drop(open);
    world.keys = keys_in(&world.env.disk, &keys_dir(&world));
    world.clock.advance(Duration::from_secs(3600));
    let open = world.open();
    assert_eq!(open.bodies(ana, &open.keys(ana)), std::slice::from_ref(&raw));
    assert_eq!(open.status().without_own_secret, 2);
    open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    let status = open.status();
    assert_eq!((status.without_own_secret, status.versions), (0, vec![1]));
    assert_eq!(open.bodies(ana, &open.keys(ana)), std::slice::from_ref(&raw));
    let erased = open.store.erase_account(open.permit(Action::AccountRemove, Some(ana)), ana).await.unwrap();
    assert_eq!(erased.covers_since, Some(world.env.clock.now()));
    assert_eq!(open.bodies(bob, &open.keys(bob)), [raw]);
}

#[tokio::test]
async fn another_key_store_takes_over() {
    let mut world = World::real(IndexEngine::Memory);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (from, to) = (keys_dir(&world).join("root.key"), keys_dir(&world).join("other.key"));
    world.keys = Arc::new(root(&disk, &from));
    let open = world.create();
    let [ana, _] = two(&open).await;
    let raw = message("x", 500);
    open.deliver(&[ana], &raw).await.unwrap();
    drop(open);
    world.keys = Arc::new(Moving::new(root(&disk, &to), root(&disk, &from)));
    let open = world.open();
    assert_eq!(open.bodies(ana, &open.keys(ana)), std::slice::from_ref(&raw));
    let kept = open.store.keep_keys(open.rotator(), RULES).await.unwrap();
    assert_eq!(kept.root.unwrap().renewed, 2);
    drop(open);
    std::fs::remove_file(&from).unwrap();
    world.keys = Arc::new(root(&disk, &to));
    let open = world.open();
    assert_eq!(open.bodies(ana, &open.keys(ana)), [raw]);
    open.check();
}

/// Rotates, renews and erases on a disk whose power goes at some point; then opens with what the disk has.
async fn crash(seed: u64) {
    let keys = PathBuf::from("/keys");
    let mut world = World::sim(seed, keystore());
    let disk = world.disk.clone().unwrap();
    let random = SimRandom::new(seed ^ 0x4b45_5953);
    world.keys = keys_in(&world.env.disk, &keys);
    let mut open = world.create();
    let [ana, bob] = two(&open).await;
    let cleo = open.account("cleo@example.org", QuotaLimit::default()).await;
    let raw = message("kept", 700);
    let mut there = Vec::new();
    let mut erased = false;
    for round in 0..3 {
        open.deliver(&[ana, bob], &raw).await.unwrap();
        there.push(raw.clone());
        disk.inject(Fault::Crash, random.below(40));
        let before = open.status().versions;
        let work = match (seed + round) % 4 {
            0 => open.store.rotate_root(open.rotator(), false).await.map(|_| ()),
            1 => open.store.rotate_root(open.rotator(), true).await.map(|_| ()),
            2 => open.store.rotate_accounts(open.rotator(), None).await.map(|_| ()),
            _ if erased => Ok(()),
            _ => {
                let done = open.store.erase_account(open.permit(Action::AccountRemove, Some(cleo)), cleo).await;
                erased |= done.is_ok();
                done.map(|_| ())
            }
        };
        assert!(work.is_ok() || disk.has_crashed(), "{work:?}");
        disk.crash();
        drop(open);
        disk.restart();
        world.keys = keys_in(&world.env.disk, &keys);
        assert!(world.keys.about().versions.last() >= before.last());
        open = world.open();
        for account in [ana, bob] {
            assert_eq!(open.bodies(account, &open.keys(account)), there, "seed {seed} round {round}");
        }
        let cleo_is_there = open.store.account(cleo).unwrap().is_some();
        assert!(!(erased && cleo_is_there));
        open.store.keep_keys(open.rotator(), RULES).await.unwrap();
        let status = open.status();
        assert_eq!((status.under_other_roots, status.progress, status.erasing), (0, None, 0), "seed {seed}");
        assert!(status.versions.len() <= 2, "seed {seed}: {:?}", status.versions);
        for account in [ana, bob] {
            assert_eq!(open.bodies(account, &open.keys(account)), there);
        }
        open.check();
    }
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PLI_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_CRASH_CASES").unwrap_or(100),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in seeds {
        println!("replay: PLI_CRASH_SEED={seed} cargo test -p pli-store --test rotate crash");
        runtime.block_on(crash(seed));
    }
}
