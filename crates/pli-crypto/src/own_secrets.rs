//! Secrets of accounts' own, in a file beside the root key: an account's K1 opens with its secret only, so that the
//! account can be erased from every backup of the store at once.
//!
//! The file is not in the store's folder, so not in its backups. It has a slot of 64 bytes for each account number:
//! ```text
//! u8 state (0 empty, 1 live, 2 erased) · 7 zero bytes · u64 account · 32 bytes secret · 16 bytes check
//! ```
//! Slot 0 is the head. `check` is the beginning of SHA-256 of what stands before it in the slot. A slot lies within one
//! sector and is written at once.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use pli_io::{Disk, DiskFile, OpenMode};
use pli_types::AccountId;
use zeroize::Zeroizing;

use crate::aad::Aad;
use crate::account::{AccountKeyBlob, RootId, Wrapping};
use crate::aead::sha256;
use crate::epoch::{EpochBlob, EpochSecret};
use crate::error::{CryptoError, OpenError, Result};
use crate::keystore::{KeyStore, KeyStoreAbout};
use crate::secret::Secret32;

const SLOT_BYTES: usize = 64;
const CHECKED_BYTES: usize = 48;
/// In the head's place of a secret.
const HEAD: &[u8; 32] = b"pli account secrets, version 1\n\0";
/// Account numbers beyond this one are no account's: the file would be larger than anybody's.
const ACCOUNT_MAX: u64 = 1 << 26;

type Slot = Zeroizing<[u8; SLOT_BYTES]>;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Empty = 0,
    Live = 1,
    Erased = 2,
}

fn slot(state: State, account: u64, secret: &[u8; 32]) -> Slot {
    let mut slot = Zeroizing::new([0; SLOT_BYTES]);
    let (checked, check) = slot.split_at_mut(CHECKED_BYTES);
    let (head, body) = checked.split_at_mut(8);
    let (number, value) = body.split_at_mut(8);
    if let Some(first) = head.first_mut() {
        *first = state as u8;
    }
    number.copy_from_slice(&account.to_be_bytes());
    value.copy_from_slice(secret);
    check.copy_from_slice(sha256(checked_part(head, number, value).as_slice()).first_chunk::<16>().unwrap_or(&[0; 16]));
    slot
}

fn checked_part(head: &[u8], number: &[u8], value: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([head, number, value].concat())
}

/// State and secret of a slot; `None` if it is damaged.
fn parse(slot: &Slot, account: u64) -> Option<(State, Secret32)> {
    if slot.iter().all(|byte| *byte == 0) {
        return Some((State::Empty, Secret32::new([0; 32])));
    }
    let (checked, check) = slot.split_at_checked(CHECKED_BYTES)?;
    if sha256(checked).first_chunk::<16>()?.as_slice() != check {
        return None;
    }
    let number = u64::from_be_bytes(*checked.get(8..16)?.first_chunk()?);
    let state = match checked.first()? {
        1 => State::Live,
        2 => State::Erased,
        _ => return None,
    };
    (number == account).then_some((state, Secret32::new(*checked.get(16..)?.first_chunk()?)))
}

/// The file.
pub struct OwnSecrets {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: RwLock<Arc<dyn DiskFile>>,
}

fn unavailable(path: &Path, error: &io::Error) -> CryptoError {
    CryptoError::Unavailable(format!("{}: {error}", path.display()))
}

impl OwnSecrets {
    /// Makes an empty file.
    pub fn create(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self> {
        let head = slot(State::Live, 0, HEAD);
        let make = || {
            if disk.exists(&path) {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            disk.replace(&path, head.as_slice())
        };
        make().map_err(|error| unavailable(&path, &error))?;
        Self::open(disk, path)
    }

    /// Opens the file.
    pub fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self> {
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(|error| unavailable(&path, &error))?;
        let secrets = Self { disk, path, file: RwLock::new(file) };
        match parse(&secrets.read(0)?, 0) {
            Some((State::Live, head)) if head.expose() == HEAD => Ok(secrets),
            _ => Err(CryptoError::Malformed("file of account secrets")),
        }
    }

    /// Whether no account has ever had a secret here.
    pub fn is_new(&self) -> Result<bool> {
        let length = self.file.read().len().map_err(|error| unavailable(&self.path, &error))?;
        Ok(length <= SLOT_BYTES as u64)
    }

    fn read(&self, number: u64) -> Result<Slot> {
        let mut slot: Slot = Zeroizing::new([0; SLOT_BYTES]);
        let at = number.saturating_mul(SLOT_BYTES as u64);
        let file = self.file.read();
        let inside =
            file.len().map_err(|error| unavailable(&self.path, &error))? >= at.saturating_add(SLOT_BYTES as u64);
        if inside {
            file.read_exact_at(slot.as_mut(), at).map_err(|error| unavailable(&self.path, &error))?;
        }
        Ok(slot)
    }

    fn state(&self, account: AccountId) -> Result<(State, Secret32)> {
        if account.get() == 0 || account.get() > ACCOUNT_MAX {
            return Err(CryptoError::Malformed("account number"));
        }
        parse(&self.read(account.get())?, account.get()).ok_or(CryptoError::Malformed("file of account secrets"))
    }

    /// The account's secret.
    fn get(&self, account: AccountId) -> Result<Secret32> {
        match self.state(account)? {
            (State::Live, secret) => Ok(secret),
            (State::Erased, _) => Err(CryptoError::Erased),
            (State::Empty, _) => Err(CryptoError::NoOwnSecret),
        }
    }

    fn write(&self, account: AccountId, slot: &Slot) -> Result<()> {
        let file = self.file.write();
        let at = account.get().saturating_mul(SLOT_BYTES as u64);
        let written = file.write_all_at(&[IoSlice::new(slot.as_slice())], at).and_then(|()| file.sync_data());
        written.map_err(|error| unavailable(&self.path, &error))
    }

    /// The account's secret; made, and durable before this returns, if it has none. One that is there is kept: the number
    /// may be that of an account in a newer copy of the store.
    fn get_or_make(&self, account: AccountId) -> Result<Secret32> {
        if let (State::Live, secret) = self.state(account)? {
            return Ok(secret);
        }
        let secret = Secret32::generate()?;
        self.write(account, &slot(State::Live, account.get(), secret.expose()))?;
        Ok(secret)
    }

    /// Destroys an account's secret: overwritten where it stands and synced, then the whole file written anew in its
    /// place, so that neither the old blocks nor a copy that the file system kept of them is the file any more.
    fn erase(&self, account: AccountId) -> Result<()> {
        if self.state(account)?.0 == State::Live {
            self.write(account, &slot(State::Erased, account.get(), &[0; 32]))?;
        }
        let mut file = self.file.write();
        let renew = || -> io::Result<Arc<dyn DiskFile>> {
            let bytes = Zeroizing::new(self.disk.read(&self.path)?);
            self.disk.replace(&self.path, &bytes)?;
            self.disk.open(&self.path, OpenMode::ReadWrite)
        };
        *file = renew().map_err(|error| unavailable(&self.path, &error))?;
        Ok(())
    }
}

impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSecrets").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A key store whose accounts have secrets of their own around their K1. Accounts from before go on without until they
/// are rewrapped.
#[derive(Debug)]
pub struct Erasable<K> {
    inner: K,
    secrets: OwnSecrets,
}

impl<K: KeyStore> Erasable<K> {
    /// Puts the secrets around what the key store wraps.
    pub const fn new(inner: K, secrets: OwnSecrets) -> Self {
        Self { inner, secrets }
    }

    fn account(ctx: &Aad) -> Result<AccountId> {
        ctx.account_id().ok_or(CryptoError::Malformed("account number"))
    }

    fn peel(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<AccountKeyBlob> {
        if blob.has_own() {
            return blob.open_own(&self.secrets.get(Self::account(ctx)?)?, ctx);
        }
        match blob.wrapping() {
            Wrapping::File => Ok(blob.clone()),
            // Nothing but the own secret binds such a blob to its account.
            Wrapping::Token => Err(OpenError.into()),
        }
    }

    fn cover(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<AccountKeyBlob> {
        blob.seal_own(&self.secrets.get_or_make(Self::account(ctx)?)?, ctx)
    }
}

impl<K: KeyStore> KeyStore for Erasable<K> {
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob> {
        // The secret first: it is durable before the account exists.
        let account = Self::account(ctx)?;
        self.secrets.get_or_make(account)?;
        self.cover(&self.inner.create_account(ctx)?, ctx)
    }
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret> {
        self.inner.open_epoch(&self.peel(blob, ctx)?, ctx, epoch)
    }
    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>> {
        self.inner.seal_epochs(&self.peel(blob, ctx)?, ctx, epochs)
    }
    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>> {
        self.inner.wrap(role, secret)
    }
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32> {
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
    fn is_current(&self, blob: &AccountKeyBlob) -> bool {
        blob.has_own() && self.inner.is_current(blob)
    }
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Option<AccountKeyBlob>> {
        let inside = self.peel(blob, ctx)?;
        let inside =
            if self.inner.is_current(&inside) { Some(inside) } else { self.inner.rewrap_account(&inside, ctx)? };
        inside.map(|inside| self.cover(&inside, ctx)).transpose()
    }
    fn rotate_root(&self) -> Result<u32> {
        self.inner.rotate_root()
    }
    fn forget_roots(&self, keep: usize) -> Result<usize> {
        self.inner.forget_roots(keep)
    }
    fn erase_account(&self, ctx: &Aad) -> Result<()> {
        self.secrets.erase(Self::account(ctx)?)
    }
    fn check(&self) -> Result<()> {
        self.inner.check()
    }
    fn may_be_gone(&self) -> bool {
        self.inner.may_be_gone()
    }
    fn about(&self) -> KeyStoreAbout {
        KeyStoreAbout { own_secrets: true, ..self.inner.about() }
    }
}

impl KeyStore for Arc<dyn KeyStore> {
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob> {
        (**self).create_account(ctx)
    }
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret> {
        (**self).open_epoch(blob, ctx, epoch)
    }
    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>> {
        (**self).seal_epochs(blob, ctx, epochs)
    }
    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>> {
        (**self).wrap(role, secret)
    }
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32> {
        (**self).unwrap(role, wrapped)
    }
    fn root(&self) -> RootId {
        (**self).root()
    }
    fn root_version(&self) -> u32 {
        (**self).root_version()
    }
    fn has_root(&self, root: RootId) -> bool {
        (**self).has_root(root)
    }
    fn is_current(&self, blob: &AccountKeyBlob) -> bool {
        (**self).is_current(blob)
    }
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Option<AccountKeyBlob>> {
        (**self).rewrap_account(blob, ctx)
    }
    fn rotate_root(&self) -> Result<u32> {
        (**self).rotate_root()
    }
    fn forget_roots(&self, keep: usize) -> Result<usize> {
        (**self).forget_roots(keep)
    }
    fn erase_account(&self, ctx: &Aad) -> Result<()> {
        (**self).erase_account(ctx)
    }
    fn check(&self) -> Result<()> {
        (**self).check()
    }
    fn may_be_gone(&self) -> bool {
        (**self).may_be_gone()
    }
    fn about(&self) -> KeyStoreAbout {
        (**self).about()
    }
}
