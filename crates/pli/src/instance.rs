//! An opened store with its gate: what the server runs on, and what the command line works on when no server runs.

use std::sync::Arc;

use pli_crypto::{FileKeyStore, KeyStore, SecretString};
use pli_directory::Directory;
use pli_gate::Gate;
use pli_io::Env;
use pli_store::{IndexEngine, KeyRules, Mint, RebuildProgress, Store, StoreOptions};

use crate::config::Loaded;
use crate::failure::{Failure, IO};
use crate::keystore;
use crate::process::make_files_private;

/// A store that this process has open.
pub struct Instance {
    /// Disk, clock, randomness.
    pub env: Env,
    /// The gate; store and directory are behind it.
    pub gate: Arc<Gate>,
    /// When keys are due.
    pub key_rules: KeyRules,
}

impl Instance {
    /// Opens what the configuration names.
    pub fn open(loaded: &Loaded, passphrase: Option<&SecretString>) -> Result<Self, Failure> {
        let keys = keystore::open(loaded, passphrase)?;
        let env = Env::real();
        make_files_private();
        let (store, mint) = Store::open(options(loaded, env.clone(), Arc::clone(&keys.keys)))?;
        let whole = !keys.no_secrets || !store.has_own_secrets().map_err(|e| Failure::new(IO, e.to_string()))?;
        if !whole {
            store.close();
            return Err(keys.lost_secrets());
        }
        Ok(Self::over(loaded, env, store, mint))
    }
    /// Opens it with an index that is made again by an engine.
    pub fn open_rebuilding(loaded: &Loaded, engine: IndexEngine, progress: &RebuildProgress) -> Result<Self, Failure> {
        let keys = keystore::open(loaded, None)?.keys;
        let env = Env::real();
        make_files_private();
        let options = StoreOptions { index: engine, ..options(loaded, env.clone(), keys) };
        let (store, mint) = Store::open_rebuilding(options, progress)?;
        Ok(Self::over(loaded, env, store, mint))
    }
    /// Makes an empty store under new keys.
    pub fn create(loaded: &Loaded, keys: FileKeyStore) -> Result<Self, Failure> {
        let env = Env::real();
        make_files_private();
        let (store, mint) = Store::create(options(loaded, env.clone(), keystore::over_file(loaded, keys)?.keys))?;
        Ok(Self::over(loaded, env, store, mint))
    }

    fn over(loaded: &Loaded, env: Env, store: Store, mint: Mint) -> Self {
        let days = u64::from(loaded.config.store.retention_days);
        store.set_retention(std::time::Duration::from_secs(days * 24 * 60 * 60));
        store.set_view_memory(loaded.config.store.view_cache.0);
        store.set_mailboxes_max(loaded.config.store.mailboxes_max);
        let separator = loaded.config.server.subaddress_separator;
        let directory = Arc::new(Directory::new(store.clone(), loaded.profiles(), separator));
        directory.set_postmaster(loaded.postmaster());
        let gate = Gate::new(store, mint, directory).with_clock(Arc::clone(&env.clock)).with_site(loaded.site());
        Self { env, gate: Arc::new(gate), key_rules: loaded.config.keys.rules() }
    }
}

fn options(loaded: &Loaded, env: Env, keys: Arc<dyn KeyStore>) -> StoreOptions {
    StoreOptions {
        dir: loaded.store_dir(),
        env,
        keys,
        index: loaded.config.store.index.into(),
        index_cache_bytes: loaded.config.store.index_cache.0,
        site: loaded.site(),
    }
}
