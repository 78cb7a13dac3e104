//! Where the root key comes from: a file, a systemd credential, or a token; with accounts' own secrets around what it
//! wraps.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pli_crypto::{CryptoError, Erasable, FileKeyStore, KeyStore, Moving, OwnSecrets, SecretString};
use pli_io::{Disk, RealDisk};
use pli_pkcs11::{TokenKeyStore, TokenSettings};
use zeroize::Zeroizing;

use crate::config::{KeySource, Loaded};
use crate::failure::{CANNOT_CREATE, CONFIG, Failure, IO, NO_INPUT, NO_PERMISSION, UNAVAILABLE};
use crate::process::make_files_private;

/// An opened key store, and whether its file of account secrets holds none yet.
pub struct Opened {
    /// For the store.
    pub keys: Arc<dyn KeyStore>,
    /// Nobody has a secret: right for a new store only, or one from before there were any.
    pub no_secrets: bool,
    /// The file.
    secrets: PathBuf,
}

impl Opened {
    /// The failure of a store whose accounts have secrets that are not in the file.
    pub fn lost_secrets(&self) -> Failure {
        let text = format!("{} has no account's secret, but the store's accounts have some", self.secrets.display());
        Failure::new(NO_INPUT, text)
            .hint("put the newest copy of this file back (keys.accounts); without it nobody reads his mail")
    }
}

/// Opens what `[keys]` names; with the passphrase given, or the one in the configured file.
pub fn open(loaded: &Loaded, passphrase: Option<&SecretString>) -> Result<Opened, Failure> {
    make_files_private();
    let source = loaded.config.keys.source;
    let keys = of_source(loaded, source, passphrase)?;
    let keys: Arc<dyn KeyStore> = match loaded.config.keys.previous {
        Some(before) if before != source => Arc::new(Moving::new(keys, of_source(loaded, before, passphrase)?)),
        _ => keys,
    };
    around(loaded, keys)
}

/// The same over a root key file that was just made.
pub fn over_file(loaded: &Loaded, keys: FileKeyStore) -> Result<Opened, Failure> {
    make_files_private();
    around(loaded, Arc::new(keys.kept_in(Arc::new(RealDisk), loaded.root_key())))
}

/// Makes a root key in the token.
pub fn init_token(loaded: &Loaded) -> Result<String, Failure> {
    let keys = TokenKeyStore::init(token_settings(loaded)?).map_err(|error| token_failure(&error))?;
    Ok(keys.about().note)
}

fn around(loaded: &Loaded, keys: Arc<dyn KeyStore>) -> Result<Opened, Failure> {
    let path = loaded.account_secrets();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if let Some(folder) = path.parent() {
        disk.create_dir_all(folder).map_err(|e| Failure::file("make the folder", folder, &e))?;
    }
    let there = path.exists();
    let opened = if there { OwnSecrets::open(disk, path.clone()) } else { OwnSecrets::create(disk, path.clone()) };
    let failed = |error: CryptoError| {
        let code = match &error {
            _ if !there => CANNOT_CREATE,
            // The file is well, the disk is not.
            CryptoError::Unavailable(_) => IO,
            _ => CONFIG,
        };
        Failure::new(code, format!("the file of account secrets: {}: {error}", path.display()))
    };
    let secrets = opened.map_err(failed)?;
    let no_secrets = secrets.is_new().map_err(failed)?;
    Ok(Opened { keys: Arc::new(Erasable::new(keys, secrets)), no_secrets, secrets: path })
}

fn of_source(
    loaded: &Loaded,
    source: KeySource,
    passphrase: Option<&SecretString>,
) -> Result<Arc<dyn KeyStore>, Failure> {
    match source {
        KeySource::File => {
            let path = loaded.root_key();
            let contents = secret_file("read the root key", &path)?;
            let keys = file_store(loaded, &path, &contents, passphrase)?;
            Ok(Arc::new(keys.kept_in(Arc::new(RealDisk), path)))
        }
        KeySource::Credential => {
            let path = credential(&loaded.config.keys.credential)?;
            let contents = read("read the root key's credential", &path)?;
            Ok(Arc::new(file_store(loaded, &path, &contents, passphrase)?))
        }
        KeySource::Pkcs11 => {
            let keys = TokenKeyStore::open(token_settings(loaded)?).map_err(|error| token_failure(&error))?;
            let about = keys.about();
            if about.note.contains("no HSM") {
                tracing::warn!(note = about.note, "the root key's token");
            }
            Ok(Arc::new(keys))
        }
    }
}

/// Opens a root key file's contents.
pub fn file_store(
    loaded: &Loaded,
    path: &Path,
    contents: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<FileKeyStore, Failure> {
    let of_file = match (passphrase, loaded.passphrase_file()) {
        (None, Some(file)) => Some(text_of("read the passphrase", &file)?),
        _ => None,
    };
    FileKeyStore::open(contents, passphrase.or(of_file.as_ref())).map_err(|error| {
        let failure = Failure::new(CONFIG, format!("{}: {error}", path.display()));
        match error {
            CryptoError::PassphraseNeeded => failure
                .hint("`pli serve` takes it with --passphrase-stdin; every command reads it from keys.passphrase_file"),
            _ => failure,
        }
    })
}

fn token_settings(loaded: &Loaded) -> Result<TokenSettings, Failure> {
    let token = &loaded.config.keys.pkcs11;
    Ok(TokenSettings {
        module: loaded.in_data_dir(&token.module),
        token: token.token.clone(),
        label: token.label.clone(),
        pin: pin(loaded, &token.pin)?,
    })
}

/// `file:PATH`, `credential:NAME`, `env:NAME`. Never the PIN itself.
fn pin(loaded: &Loaded, source: &str) -> Result<SecretString, Failure> {
    match source.split_once(':') {
        Some(("file", path)) => text_of("read the token's PIN", &loaded.in_data_dir(Path::new(path))),
        Some(("credential", name)) => {
            let path = credential(name)?;
            text(&path, &read("read the token's PIN", &path)?)
        }
        Some(("env", name)) => std::env::var(name).map(SecretString::new).map_err(|_| {
            Failure::new(NO_INPUT, format!("the environment has no {name}, where keys.pkcs11.pin points"))
        }),
        _ => Err(Failure::new(CONFIG, "keys.pkcs11.pin: file:PATH, credential:NAME or env:NAME")),
    }
}

fn token_failure(error: &CryptoError) -> Failure {
    match error {
        CryptoError::WrongPassphrase => Failure::new(CONFIG, "the token does not take the PIN")
            .hint("it was tried once only; too many wrong ones lock a token"),
        CryptoError::Unavailable(_) => Failure::new(UNAVAILABLE, error.to_string())
            .hint("the token must answer when the server starts; once it serves, it takes mail without it"),
        _ => Failure::new(CONFIG, error.to_string()),
    }
}

/// A credential that systemd gave this service.
fn credential(name: &str) -> Result<PathBuf, Failure> {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(dir) => Ok(Path::new(&dir).join(name)),
        None => Err(Failure::new(
            NO_INPUT,
            format!("no CREDENTIALS_DIRECTORY: the credential {name} is there for a service only"),
        )
        .hint("LoadCredentialEncrypted= in the unit gives it; commands need the running server then")),
    }
}

fn read(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| Failure::file(what, path, &error))
}

fn text(path: &Path, bytes: &[u8]) -> Result<SecretString, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::new(CONFIG, format!("{}: the secret in it is not UTF-8", path.display())))?;
    Ok(SecretString::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A secret text in a file that only its owner may read.
pub fn secret_text(path: &Path) -> Result<SecretString, Failure> {
    text_of("read the passphrase", path)
}

fn text_of(what: &str, path: &Path) -> Result<SecretString, Failure> {
    text(path, &secret_file(what, path)?)
}

/// A file that only its owner may read.
pub fn secret_file(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong = |error| Failure::file(what, path, &error);
    let mode = std::fs::metadata(path).map_err(wrong)?.permissions().mode();
    if mode & 0o077 != 0 {
        let text = format!("{} has mode {:04o}: others could read the secret in it", path.display(), mode & 0o7777);
        return Err(Failure::new(NO_PERMISSION, text).hint(format!("chmod 600 {}", path.display())));
    }
    read(what, path)
}
