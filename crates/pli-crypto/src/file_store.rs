//! K0 in a file: the key store of an installation without an HSM.
//!
//! The file is text of a few lines, so that whoever finds it sees what it is:
//! ```text
//! pli-root-key 1
//! protection argon2id m=65536 t=3 p=1 salt=BASE64        (or: protection none)
//! key VERSION BASE64                                      (one line for each version of the root)
//! check HEX                                               (SHA-256 of all that stands above)
//! ```
//! The check line tells a damaged file from a wrong passphrase. It is no protection: the passphrase's tag is, and what
//! a plain file's key unwraps authenticates by itself.

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::RwLock;
use pli_io::Disk;
use zeroize::Zeroizing;

use crate::aad::Aad;
use crate::account::{AccountKeyBlob, AccountSecret, RootId};
use crate::aead::{AeadKey, NONCE_BYTES, TAG_BYTES, hkdf, sha256};
use crate::codec::Reader;
use crate::epoch::{EpochBlob, EpochSecret};
use crate::error::{CryptoError, OpenError, Result};
use crate::keystore::{KeyStore, KeyStoreAbout};
use crate::random::random_bytes;
use crate::secret::{Secret32, SecretBytes, SecretString};

const MAGIC: &str = "pli-root-key ";
const FILE_VERSION: u32 = 1;
const FILE_BYTES_MAX: usize = 64 * 1024;
const KEYS_MAX: usize = 256;
const KDF_MEMORY_KIB: u32 = 64 * 1024;
const KDF_PASSES: u32 = 3;
// A hostile file must not ask for more memory or time than an honest one ever would.
const KDF_MEMORY_KIB_MAX: u32 = 1024 * 1024;
const KDF_PASSES_MAX: u32 = 16;
const WRAP_VERSION: u8 = 1;
const WRAP_BYTES: usize = 1 + 8 + 4 + NONCE_BYTES + 32 + TAG_BYTES;

struct Root {
    version: u32,
    secret: Secret32,
    id: RootId,
    accounts: AeadKey,
    wraps: AeadKey,
}

impl Root {
    fn new(version: u32, secret: Secret32) -> Self {
        let part = |label: &[u8]| hkdf(&secret, b"pli K0 v1", &[label]);
        let mut id = [0; 8];
        if let Some(head) = part(b"id").expose().first_chunk() {
            id = *head;
        }
        let accounts = AeadKey::new(&part(b"accounts"));
        let wraps = AeadKey::new(&part(b"wraps"));
        Self { version, id: RootId(id), accounts, wraps, secret }
    }
}

/// The versions of K0. Never empty; the last one is the present one.
struct Roots {
    older: Vec<Root>,
    current: Root,
}

impl Roots {
    fn all(&self) -> impl Iterator<Item = &Root> {
        self.older.iter().chain([&self.current])
    }
    fn find(&self, id: RootId, version: u32) -> Result<&Root> {
        match self.all().find(|r| r.id == id) {
            Some(root) if root.version == version => Ok(root),
            Some(_) => Err(OpenError.into()),
            // The id is unknown: a version beyond or before those in the file, or a file of another store.
            None if self.all().all(|r| r.version != version) => Err(CryptoError::RootVersion(version)),
            None => Err(CryptoError::OtherRoot),
        }
    }
}

/// How the file protects its keys.
struct Protection {
    line: String,
    key: AeadKey,
}

impl Protection {
    fn new(passphrase: &SecretString) -> Result<Self> {
        let kdf = Kdf { memory_kib: KDF_MEMORY_KIB, passes: KDF_PASSES, lanes: 1, salt: random_bytes()? };
        Ok(Self { line: kdf.line(), key: kdf.key(passphrase)? })
    }
}

/// The place of the file, where it can be written.
struct Home {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

/// K0 in memory, from a key file's bytes.
pub struct FileKeyStore {
    roots: RwLock<Roots>,
    protection: Option<Protection>,
    home: Option<Home>,
}

impl FileKeyStore {
    fn new(roots: Roots, protection: Option<Protection>) -> Self {
        Self { roots: RwLock::new(roots), protection, home: None }
    }

    /// A new root key, and the contents of the file to write (mode 0600) before anything is wrapped under it.
    pub fn generate(passphrase: Option<&SecretString>) -> Result<(Self, SecretBytes)> {
        let roots = Roots { older: Vec::new(), current: Root::new(1, Secret32::generate()?) };
        let store = Self::new(roots, passphrase.map(Protection::new).transpose()?);
        let contents = store.contents()?;
        Ok((store, contents))
    }

    /// The same, with the place of its file: [`KeyStore::rotate_root`] writes it. Without a place (a credential, which
    /// its owner alone can change) the keys are as they are.
    #[must_use]
    pub fn kept_in(mut self, disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        self.home = Some(Home { disk, path });
        self
    }

    /// The same keys and a new version that wraps from now on, with the new file's contents. What older versions wrapped
    /// still opens, until it is rewrapped and the older versions are left out with [`FileKeyStore::forget_older`].
    pub fn rotate(self, passphrase: Option<&SecretString>) -> Result<(Self, SecretBytes)> {
        let Roots { mut older, current } = self.roots.into_inner();
        let next = next_root(&current)?;
        older.push(current);
        let protection = passphrase.map(Protection::new).transpose()?;
        let store = Self::new(Roots { older, current: next }, protection);
        let contents = store.contents()?;
        Ok((store, contents))
    }

    /// Leaves out all versions but the present one; after everything was rewrapped.
    pub fn forget_older(self, passphrase: Option<&SecretString>) -> Result<(Self, SecretBytes)> {
        let roots = Roots { older: Vec::new(), current: self.roots.into_inner().current };
        let store = Self::new(roots, passphrase.map(Protection::new).transpose()?);
        let contents = store.contents()?;
        Ok((store, contents))
    }

    /// The contents of a key file with these keys: to change or remove its passphrase.
    pub fn encode(&self, passphrase: Option<&SecretString>) -> Result<SecretBytes> {
        let protection = passphrase.map(Protection::new).transpose()?;
        let roots = self.roots.read();
        encode(roots.all(), protection.as_ref())
    }

    fn contents(&self) -> Result<SecretBytes> {
        let roots = self.roots.read();
        encode(roots.all(), self.protection.as_ref())
    }

    /// Writes the file with these versions, durably.
    fn write<'a>(&self, roots: impl Iterator<Item = &'a Root>) -> Result<()> {
        let home = self.home.as_ref().ok_or(CryptoError::Unsupported(
            "the root key comes from a credential; give it a new version with `pli key next-root` and start again",
        ))?;
        let contents = encode(roots, self.protection.as_ref())?;
        let written = home.disk.replace(&home.path, contents.expose());
        written.map_err(|error| CryptoError::Unavailable(format!("the root key's file: {error}")))
    }

    /// Reads a key file. Says apart: no key file, damaged, passphrase missing, wrong or given in vain.
    pub fn open(contents: &[u8], passphrase: Option<&SecretString>) -> Result<Self> {
        let broken = CryptoError::DamagedKeyFile;
        let rest = contents.strip_prefix(MAGIC.as_bytes()).ok_or(CryptoError::NotAKeyFile)?;
        if rest.len() > FILE_BYTES_MAX {
            return Err(broken);
        }
        let text = std::str::from_utf8(contents).map_err(|_| CryptoError::DamagedKeyFile)?;
        let at = text.rfind("check ").ok_or(CryptoError::DamagedKeyFile)?;
        let (above, check) = text.split_at_checked(at).ok_or(CryptoError::DamagedKeyFile)?;
        if check_line(above.as_bytes()).trim_end() != check.trim_end() {
            return Err(broken);
        }
        let mut lines = above.lines();
        let version = lines.next().and_then(|l| l.strip_prefix(MAGIC)).and_then(|v| v.parse().ok());
        match version {
            Some(FILE_VERSION) => {}
            Some(other) => return Err(CryptoError::Version("root key file", other)),
            None => return Err(broken),
        }
        let protection = lines.next().ok_or(CryptoError::DamagedKeyFile)?;
        let protection = match (protection, passphrase) {
            ("protection none", None) => None,
            ("protection none", Some(_)) => return Err(CryptoError::PassphraseNotUsed),
            (_, None) => return Err(CryptoError::PassphraseNeeded),
            (line, Some(passphrase)) => {
                let key = Kdf::parse(line).ok_or(CryptoError::DamagedKeyFile)?.key(passphrase)?;
                Some(Protection { line: line.to_owned(), key })
            }
        };
        let mut roots = Vec::new();
        for line in lines {
            let (version, field) = parse_key_line(line).ok_or(CryptoError::DamagedKeyFile)?;
            let rising = roots.last().is_none_or(|r: &Root| r.version < version);
            if !rising || roots.len() >= KEYS_MAX {
                return Err(broken);
            }
            roots.push(match &protection {
                None => Root::new(version, plain_root(&field).ok_or(CryptoError::DamagedKeyFile)?),
                Some(protection) => open_root(protection, version, &field)?,
            });
        }
        let current = roots.pop().ok_or(CryptoError::DamagedKeyFile)?;
        Ok(Self::new(Roots { older: roots, current }, protection))
    }

    fn account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<AccountSecret> {
        let roots = self.roots.read();
        AccountSecret::unwrap(&roots.find(blob.root, blob.root_version)?.accounts, blob, ctx)
    }
}

fn next_root(current: &Root) -> Result<Root> {
    let version = current.version.checked_add(1).ok_or(CryptoError::Malformed("root key version"))?;
    Ok(Root::new(version, Secret32::generate()?))
}

fn encode<'a>(roots: impl Iterator<Item = &'a Root>, protection: Option<&Protection>) -> Result<SecretBytes> {
    // One allocation of the final size: a growing buffer would leave copies of the key behind, unwiped.
    let mut text = Zeroizing::new(String::with_capacity(512 + 128 * (KEYS_MAX + 1)));
    let broken = |_| CryptoError::Malformed("root key file");
    writeln!(text, "{MAGIC}{FILE_VERSION}").map_err(broken)?;
    writeln!(text, "{}", protection.map_or("protection none", |p| p.line.as_str())).map_err(broken)?;
    for root in roots {
        let field = match protection {
            None => Zeroizing::new(BASE64.encode(root.secret.expose())),
            Some(protection) => Zeroizing::new(BASE64.encode(seal_root(protection, root)?)),
        };
        writeln!(text, "key {} {}", root.version, field.as_str()).map_err(broken)?;
    }
    let check = check_line(text.as_bytes());
    text.push_str(&check);
    Ok(SecretBytes::new(text.as_bytes().to_vec()))
}

fn check_line(above: &[u8]) -> String {
    let mut line = String::from("check ");
    for byte in sha256(above) {
        // Writing to a String does not fail.
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    line
}

fn parse_key_line(line: &str) -> Option<(u32, Zeroizing<Vec<u8>>)> {
    let (version, field) = line.strip_prefix("key ")?.split_once(' ')?;
    Some((version.parse().ok()?, Zeroizing::new(BASE64.decode(field).ok()?)))
}

fn plain_root(field: &[u8]) -> Option<Secret32> {
    let bytes: &[u8; 32] = field.try_into().ok()?;
    Some(Secret32::new(*bytes))
}

fn root_aad(line: &str, version: u32) -> Vec<u8> {
    let mut aad = version.to_be_bytes().to_vec();
    aad.extend_from_slice(line.as_bytes());
    aad
}

fn seal_root(protection: &Protection, root: &Root) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = random_bytes()?;
    let mut secret = Zeroizing::new(*root.secret.expose());
    let tag = protection.key.seal_detached(nonce, &root_aad(&protection.line, root.version), secret.as_mut());
    Ok([&nonce[..], &secret[..], &tag[..]].concat())
}

fn open_root(protection: &Protection, version: u32, field: &[u8]) -> Result<Root> {
    let (nonce, sealed) = field.split_first_chunk::<NONCE_BYTES>().ok_or(CryptoError::DamagedKeyFile)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    // The check line held, so the bytes are as written: what does not open has another passphrase.
    let aad = root_aad(&protection.line, version);
    let plain = protection.key.open(*nonce, &aad, &mut sealed).map_err(|OpenError| CryptoError::WrongPassphrase)?;
    Ok(Root::new(version, plain_root(plain).ok_or(CryptoError::DamagedKeyFile)?))
}

/// How a passphrase becomes a key.
struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
}

impl Kdf {
    fn line(&self) -> String {
        let Self { memory_kib, passes, lanes, salt } = self;
        format!("protection argon2id m={memory_kib} t={passes} p={lanes} salt={}", BASE64.encode(salt))
    }
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("protection argon2id ")?.split(' ');
        let mut number = |name: &str, max: u32| -> Option<u32> {
            let value = words.next()?.strip_prefix(name)?.parse().ok()?;
            (1..=max).contains(&value).then_some(value)
        };
        let memory_kib = number("m=", KDF_MEMORY_KIB_MAX)?;
        let passes = number("t=", KDF_PASSES_MAX)?;
        let lanes = number("p=", 16)?;
        let salt = BASE64.decode(words.next()?.strip_prefix("salt=")?).ok()?.try_into().ok()?;
        words.next().is_none().then_some(Self { memory_kib, passes, lanes, salt })
    }
    fn key(&self, passphrase: &SecretString) -> Result<AeadKey> {
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| CryptoError::Password)?;
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), &self.salt, out.as_mut())
            .map_err(|_| CryptoError::Password)?;
        Ok(AeadKey::new(&Secret32::new(*out)))
    }
}

fn wrap_aad(role: &str, version: u32) -> Vec<u8> {
    let mut aad = b"pli wrap v1\0".to_vec();
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(role.as_bytes());
    aad
}

impl KeyStore for FileKeyStore {
    fn create_account(&self, ctx: &Aad) -> Result<AccountKeyBlob> {
        let secret = AccountSecret::generate()?;
        let roots = self.roots.read();
        let root = &roots.current;
        secret.wrap(&root.accounts, root.id, root.version, ctx)
    }

    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret> {
        self.account(blob, ctx)?.open_epoch(ctx, epoch)
    }

    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>> {
        let account = self.account(blob, ctx)?;
        epochs.iter().map(|epoch| account.seal_epoch(ctx, epoch)).collect()
    }

    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>> {
        let roots = self.roots.read();
        let root = &roots.current;
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let mut sealed = Zeroizing::new(*secret.expose());
        let tag = root.wraps.seal_detached(nonce, &wrap_aad(role, root.version), sealed.as_mut());
        let version = root.version.to_be_bytes();
        let mut out = Vec::with_capacity(WRAP_BYTES);
        for part in [&[WRAP_VERSION][..], &root.id.0, &version, &nonce, &sealed[..], &tag] {
            out.extend_from_slice(part);
        }
        Ok(out)
    }

    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32> {
        let mut r = Reader::new(wrapped);
        let mut read = || {
            let version = r.u8()?;
            let parts = (RootId(r.array()?), r.u32()?, r.array::<NONCE_BYTES>()?, r.array::<48>()?);
            r.end()?;
            (version == WRAP_VERSION).then_some(parts)
        };
        let (id, version, nonce, sealed) = read().ok_or(CryptoError::Malformed("wrapped key"))?;
        let roots = self.roots.read();
        let mut sealed = Zeroizing::new(sealed);
        let plain = roots.find(id, version)?.wraps.open(nonce, &wrap_aad(role, version), sealed.as_mut())?;
        plain_root(plain).ok_or(CryptoError::Open(OpenError))
    }

    fn root(&self) -> RootId {
        self.roots.read().current.id
    }

    fn root_version(&self) -> u32 {
        self.roots.read().current.version
    }

    fn has_root(&self, root: RootId) -> bool {
        self.roots.read().all().any(|known| known.id == root)
    }

    fn rewrap_account(&self, blob: &AccountKeyBlob, ctx: &Aad) -> Result<Option<AccountKeyBlob>> {
        let secret = self.account(blob, ctx)?;
        let roots = self.roots.read();
        let root = &roots.current;
        secret.wrap(&root.accounts, root.id, root.version, ctx).map(Some)
    }

    fn rotate_root(&self) -> Result<u32> {
        let mut roots = self.roots.write();
        let next = next_root(&roots.current)?;
        let all: Vec<&Root> = roots.all().chain([&next]).collect();
        if all.len() > KEYS_MAX {
            return Err(CryptoError::Malformed("root key version"));
        }
        self.write(all.into_iter())?;
        let version = next.version;
        let before = std::mem::replace(&mut roots.current, next);
        roots.older.push(before);
        Ok(version)
    }

    fn forget_roots(&self, keep: usize) -> Result<usize> {
        let mut roots = self.roots.write();
        let gone = roots.older.len().saturating_sub(keep.saturating_sub(1));
        if gone == 0 || self.home.is_none() {
            return Ok(0);
        }
        let left: Vec<&Root> = roots.all().skip(gone).collect();
        self.write(left.into_iter())?;
        roots.older.drain(..gone);
        Ok(gone)
    }

    fn about(&self) -> KeyStoreAbout {
        let roots = self.roots.read();
        let (kind, note) = match (&self.home, &self.protection) {
            (None, _) => ("credential", "from a credential; its owner makes new versions"),
            (Some(_), None) => ("file", "the file has no passphrase: whoever reads it has the root key"),
            (Some(_), Some(_)) => ("file", "under a passphrase"),
        };
        let versions = roots.all().map(|root| root.version).collect();
        KeyStoreAbout { kind, versions, own_secrets: false, note: note.to_owned() }
    }
}

impl fmt::Debug for FileKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeyStore").field("root_version", &self.root_version()).finish_non_exhaustive()
    }
}
