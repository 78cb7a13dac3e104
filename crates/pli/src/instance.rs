//! An opened store with its gate: what the server runs on, and what the command line works on when no server runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pli_crypto::{CryptoError, FileKeyStore, KeyStore, SecretString};
use pli_directory::Directory;
use pli_gate::Gate;
use pli_io::Env;
use pli_store::{IndexEngine, Mint, RebuildProgress, Store, StoreOptions};
use zeroize::Zeroizing;

use crate::config::Loaded;
use crate::failure::{CONFIG, Failure, NO_PERMISSION};
use crate::process::make_files_private;

/// A store that this process has open.
pub struct Instance {
    /// Disk, clock, randomness.
    pub env: Env,
    /// The gate; store and directory are behind it.
    pub gate: Arc<Gate>,
}

impl Instance {
    /// Opens what the configuration names.
    pub fn open(loaded: &Loaded, passphrase: Option<&SecretString>) -> Result<Self, Failure> {
        let keys: Arc<dyn KeyStore> = Arc::new(root_key(loaded, passphrase)?);
        let env = Env::real();
        make_files_private();
        let (store, mint) = Store::open(options(loaded, env.clone(), keys))?;
        Ok(Self::over(loaded, env, store, mint))
    }
    /// Opens it with an index that is made again by an engine.
    pub fn open_rebuilding(loaded: &Loaded, engine: IndexEngine, progress: &RebuildProgress) -> Result<Self, Failure> {
        let keys: Arc<dyn KeyStore> = Arc::new(root_key(loaded, None)?);
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
        let (store, mint) = Store::create(options(loaded, env.clone(), Arc::new(keys)))?;
        Ok(Self::over(loaded, env, store, mint))
    }

    fn over(loaded: &Loaded, env: Env, store: Store, mint: Mint) -> Self {
        let days = u64::from(loaded.config.store.retention_days);
        store.set_retention(std::time::Duration::from_secs(days * 24 * 60 * 60));
        store.set_view_memory(loaded.config.store.view_cache.0);
        let separator = loaded.config.server.subaddress_separator;
        let directory = Arc::new(Directory::new(store.clone(), loaded.profiles(), separator));
        directory.set_postmaster(loaded.postmaster());
        let gate = Gate::new(store, mint, directory).with_clock(Arc::clone(&env.clock)).with_site(loaded.site());
        Self { env, gate: Arc::new(gate) }
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

/// Reads the root key; with the passphrase given, or the one in the configured file.
fn root_key(loaded: &Loaded, passphrase: Option<&SecretString>) -> Result<FileKeyStore, Failure> {
    let path = loaded.root_key();
    let contents = secret_file("read the root key", &path)?;
    let of_file = match (passphrase, loaded.passphrase_file()) {
        (None, Some(file)) => Some(passphrase_in(&file)?),
        _ => None,
    };
    FileKeyStore::open(&contents, passphrase.or(of_file.as_ref())).map_err(|error| {
        let failure = Failure::new(CONFIG, format!("{}: {error}", path.display()));
        match error {
            CryptoError::PassphraseNeeded => failure
                .hint("`pli serve` takes it with --passphrase-stdin; every command reads it from keys.passphrase_file"),
            _ => failure,
        }
    })
}

fn passphrase_in(file: &Path) -> Result<SecretString, Failure> {
    let bytes = secret_file("read the passphrase", file)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::new(CONFIG, format!("{}: the passphrase is not UTF-8", file.display())))?;
    Ok(SecretString::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A file that only its owner may read.
fn secret_file(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong = |error| Failure::file(what, path, &error);
    let mode = std::fs::metadata(path).map_err(wrong)?.permissions().mode();
    if mode & 0o077 != 0 {
        let text = format!("{} has mode {:04o}: others could read the secret in it", path.display(), mode & 0o7777);
        return Err(Failure::new(NO_PERMISSION, text).hint(format!("chmod 600 {}", path.display())));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(wrong)
}
