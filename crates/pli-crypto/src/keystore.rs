//! The one narrow trait behind which root and account keys are used.

use crate::aad::Aad;
use crate::account::AccountKeyBlob;
use crate::epoch::{Epoch, EpochBlob, EpochSecret};
use crate::error::Result;
use crate::secret::Secret32;

/// Where K0 lives and K1 is used: a key file, later an HSM or a process of its own.
///
/// `ctx` is [`Aad::for_account`]; implementations put their own roles and epochs into it.
pub trait KeyStore: Send + Sync {
    /// Makes an account's K1.
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob>;
    /// Makes an account's K2 for an epoch.
    fn create_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: Epoch) -> Result<EpochBlob>;
    /// Opens an account's K2. The one call that reaches mail: callers have authenticated the owner before.
    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret>;
    /// Wraps a key of the store's own (row keys, log month keys, the checkpoint key's seed).
    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>>;
    /// Opens what [`KeyStore::wrap`] wrapped under the same role.
    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32>;
    /// The version of K0 that new wraps use.
    fn root_version(&self) -> u32;
    /// Wraps an account's K1 under the present version of K0, after a rotation.
    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<AccountKeyBlob>;
}
