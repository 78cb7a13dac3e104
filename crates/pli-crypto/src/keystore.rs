//! The one narrow trait behind which root and account keys are used.

use crate::aad::Aad;
use crate::account::{AccountKeyBlob, RootId};
use crate::codec::Reader;
use crate::epoch::{Epoch, EpochBlob, EpochSecret};
use crate::error::{CryptoError, Result};
use crate::secret::Secret32;

/// Where K0 lives and K1 is used: a key file, a token, later a process of its own.
///
/// `ctx` is [`Aad::for_account`]; implementations put their own roles and epochs into it.
pub trait KeyStore: Send + Sync {
    /// Makes an account's K1.
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob>;
    /// Makes an account's K2 for an epoch.
    fn create_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: Epoch) -> Result<EpochBlob> {
        let mut sealed = self.seal_epochs(blob, ctx, &[EpochSecret::generate(epoch)?])?;
        sealed.pop().ok_or(CryptoError::Malformed("epoch blob"))
    }
    /// Opens an account's K2. The one call that reaches mail: callers have authenticated the owner before.
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret>;
    /// Seals opened epochs to an account's K1, and signs them with it: new epochs, and all of them after K1 was renewed.
    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>>;
    /// Wraps a key of the store's own (row keys, log month keys, the checkpoint key's seed).
    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>>;
    /// Opens what [`KeyStore::wrap`] wrapped under the same role.
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32>;

    /// The root key that new wraps use.
    fn root(&self) -> RootId;
    /// Its version.
    fn root_version(&self) -> u32;
    /// Whether this store has the root key that is named.
    fn has_root(&self, root: RootId) -> bool;
    /// Whether an account's K1 is wrapped as this store would wrap it now.
    fn is_current(&self, blob: &AccountKeyBlob) -> bool {
        blob.root() == self.root()
    }
    /// Wraps an account's K1 as new ones are, after a rotation. `None` where keys cannot leave an old root key for a new
    /// one (a token): then the account needs a new K1.
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Option<AccountKeyBlob>>;

    /// Makes a new version of K0, durable before this returns, which wraps from now on. Returns its number.
    fn rotate_root(&self) -> Result<u32>;
    /// Forgets all versions of K0 but the newest `keep`; after everything was rewrapped. Returns how many went.
    fn forget_roots(&self, keep: usize) -> Result<usize>;
    /// Destroys what an account's K1 cannot be opened without, for good and in every copy of the store.
    fn erase_account(&self, ctx: &Aad) -> Result<()> {
        let _ = ctx;
        Err(CryptoError::Unsupported("its accounts have no secrets of their own"))
    }
    /// Whether private keys can be used now; cheap enough to be asked at each login.
    fn check(&self) -> Result<()> {
        Ok(())
    }
    /// Whether private keys can be out of reach while the server runs.
    fn may_be_gone(&self) -> bool {
        false
    }
    /// What kind of key store it is and which roots it has, for people.
    fn about(&self) -> KeyStoreAbout;
}

/// What a key store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStoreAbout {
    /// `file`, `credential`, `pkcs11`.
    pub kind: &'static str,
    /// Versions of the root key that it has; the last one wraps what is new.
    pub versions: Vec<u32>,
    /// Whether accounts have secrets of their own.
    pub own_secrets: bool,
    /// A word of warning, or what it is: the token's label and model.
    pub note: String,
}

/// Which root key made a wrap of [`KeyStore::wrap`]; every key store begins its wraps alike.
#[must_use]
pub fn wrap_root(wrapped: &[u8]) -> Option<RootId> {
    let mut r = Reader::new(wrapped);
    r.u8()?;
    r.array().map(RootId)
}
