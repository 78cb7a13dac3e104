//! An account's keys as a session holds them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pli_types::UnixMillis;

use crate::aad::Aad;
use crate::account::AccountKeyBlob;
use crate::epoch::{Epoch, EpochBlob, EpochSecret};
use crate::error::{CryptoError, Result};
use crate::keystore::KeyStore;
use crate::message::MessageKey;
use crate::wrap::KeyWrap;

/// How long a session keeps an opened epoch: 15 minutes, from its opening, used or not.
pub const OPENED_EPOCH_MS_MAX: i64 = 15 * 60 * 1000;

struct Cached {
    secret: Arc<EpochSecret>,
    opened: UnixMillis,
}

/// Looks an account's K1 up again, after a rotation put another one in its place.
pub type BlobSource = dyn Fn() -> Option<AccountKeyBlob> + Send + Sync;

/// An account's keys, opened epoch by epoch as a session touches them.
pub struct Opened {
    store: Arc<dyn KeyStore>,
    blob: Mutex<AccountKeyBlob>,
    source: Option<Arc<BlobSource>>,
    ctx: Aad,
    cache: Mutex<HashMap<Epoch, Cached>>,
}

impl Opened {
    /// For an authenticated owner. `ctx` is [`Aad::for_account`]. Opens nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn KeyStore>, blob: AccountKeyBlob, ctx: Aad) -> Self {
        Self { store, blob: Mutex::new(blob), source: None, ctx, cache: Mutex::new(HashMap::new()) }
    }
    /// With where to look the account's K1 up again: a rotation must not end the session.
    #[must_use]
    pub fn with_source(mut self, source: Arc<BlobSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// The secret of an epoch, from the cache or through the key store.
    pub fn epoch(
        &self,
        now: UnixMillis,
        epoch: Epoch,
        epoch_blob_lookup: &dyn Fn(Epoch) -> Option<EpochBlob>,
    ) -> Result<Arc<EpochSecret>> {
        {
            let mut cache = self.cache.lock();
            // A clock that went back makes an entry look younger than it is: such entries go as well.
            cache.retain(|_, c| (0..OPENED_EPOCH_MS_MAX).contains(&now.0.saturating_sub(c.opened.0)));
            if let Some(cached) = cache.get(&epoch) {
                return Ok(Arc::clone(&cached.secret));
            }
        }
        // Outside the lock: an HSM takes its time, and what another thread needs may be in the cache already.
        let secret = Arc::new(self.open(epoch, epoch_blob_lookup)?);
        self.cache.lock().insert(epoch, Cached { secret: Arc::clone(&secret), opened: now });
        Ok(secret)
    }

    /// Through the key store; again with the K1 of now when a rotation came between.
    fn open(&self, epoch: Epoch, lookup: &dyn Fn(Epoch) -> Option<EpochBlob>) -> Result<EpochSecret> {
        /// K1 and K2 are read one after the other: a rotation may fall between once, hardly twice.
        const TRIES: u32 = 3;
        let mut tries = TRIES;
        loop {
            let account = self.blob.lock().clone();
            let blob = lookup(epoch).filter(|b| b.epoch() == epoch).ok_or(CryptoError::NoEpoch(epoch.0))?;
            let opened = self.store.open_epoch(&account, &self.ctx, &blob);
            tries = tries.saturating_sub(1);
            // What cannot be reached is not renewed by looking again.
            let again = tries > 0 && opened.as_ref().is_err_and(|e| !matches!(e, CryptoError::Unavailable(_)));
            let Some(source) = self.source.as_ref().filter(|_| again) else { return opened };
            match source() {
                Some(fresh) if tries > 1 || fresh != account => *self.blob.lock() = fresh,
                _ => return opened,
            }
        }
    }

    /// Opens a message key as a row keeps it. The second value, if there is one, should replace the row's wrap.
    pub fn message_key(
        &self,
        now: UnixMillis,
        wrap: &KeyWrap,
        aad: &[u8],
        epoch_blob_lookup: &dyn Fn(Epoch) -> Option<EpochBlob>,
    ) -> Result<(MessageKey, Option<KeyWrap>)> {
        self.epoch(now, wrap.epoch(), epoch_blob_lookup)?.open(wrap, aad)
    }

    /// Forgets epochs opened too long ago; for a session that stands idle.
    pub fn forget_old(&self, now: UnixMillis) {
        self.cache.lock().retain(|_, c| (0..OPENED_EPOCH_MS_MAX).contains(&now.0.saturating_sub(c.opened.0)));
    }

    /// Forgets all: at suspension or logout elsewhere.
    pub fn forget_all(&self) {
        self.cache.lock().clear();
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("ctx", &self.ctx).finish_non_exhaustive()
    }
}
