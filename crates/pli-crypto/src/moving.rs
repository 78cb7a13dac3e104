//! From one key store to another: what the old one wrapped still opens, what is new the new one wraps. A rotation then
//! brings everything over.

use crate::aad::Aad;
use crate::account::{AccountKeyBlob, RootId};
use crate::epoch::{EpochBlob, EpochSecret};
use crate::error::{CryptoError, Result};
use crate::keystore::{KeyStore, KeyStoreAbout, wrap_root};
use crate::secret::Secret32;

/// Two key stores, while the second takes over from the first.
#[derive(Debug)]
pub struct Moving<N, O> {
    to: N,
    from: O,
}

impl<N: KeyStore, O: KeyStore> Moving<N, O> {
    /// `to` wraps what is new; `from` opens what it wrapped.
    pub const fn new(to: N, from: O) -> Self {
        Self { to, from }
    }
    fn of(&self, root: RootId) -> &dyn KeyStore {
        if !self.to.has_root(root) && self.from.has_root(root) { &self.from } else { &self.to }
    }
}

impl<N: KeyStore, O: KeyStore> KeyStore for Moving<N, O> {
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob> {
        self.to.create_account(ctx)
    }
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret> {
        self.of(blob.root()).open_epoch(blob, ctx, epoch)
    }
    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>> {
        self.of(blob.root()).seal_epochs(blob, ctx, epochs)
    }
    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>> {
        self.to.wrap(role, secret)
    }
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32> {
        let root = wrap_root(wrapped).ok_or(CryptoError::Malformed("wrapped key"))?;
        self.of(root).unwrap(role, wrapped)
    }
    fn root(&self) -> RootId {
        self.to.root()
    }
    fn root_version(&self) -> u32 {
        self.to.root_version()
    }
    fn has_root(&self, root: RootId) -> bool {
        self.to.has_root(root) || self.from.has_root(root)
    }
    fn is_current(&self, blob: &AccountKeyBlob) -> bool {
        self.to.is_current(blob)
    }
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Option<AccountKeyBlob>> {
        // From one store to the other there is no way but a new K1: neither gives its private keys out.
        if self.to.has_root(blob.root()) { self.to.rewrap_account(blob, ctx) } else { Ok(None) }
    }
    fn rotate_root(&self) -> Result<u32> {
        self.to.rotate_root()
    }
    fn forget_roots(&self, keep: usize) -> Result<usize> {
        self.to.forget_roots(keep)
    }
    fn check(&self) -> Result<()> {
        self.to.check()
    }
    fn may_be_gone(&self) -> bool {
        self.to.may_be_gone()
    }
    fn about(&self) -> KeyStoreAbout {
        self.to.about()
    }
}
