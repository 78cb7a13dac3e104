//! KS and the keys derived from it, and the store's header file that keeps them wrapped.

use std::path::Path;
use std::sync::Arc;

use pli_audit::NoteSigner;
use pli_crypto::{AeadKey, CryptoError, KeyStore, Secret32, SigningKey, StoreId, hkdf, hmac, wrap_root};
use pli_io::Disk;
use pli_types::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::codec::{from_hex, to_hex};
use crate::error::{Damaged, OpenError, StoreError};
use crate::log::{FORMAT_OLDEST, FORMAT_VERSION};

/// The store's header file.
pub(crate) const HEADER_FILE: &str = "store.json";

/// The keys of an open store. All but the signing key come from KS.
pub(crate) struct StoreKeys {
    /// In the associated data of everything.
    pub(crate) id: StoreId,
    /// Seals the values of index rows.
    pub(crate) row: AeadKey,
    /// Wraps the queue's own copies of message keys.
    pub(crate) queue: AeadKey,
    /// Signs checkpoints of the audit log.
    pub(crate) signer: Arc<NoteSigner>,
    /// The audit log's origin, as named at creation.
    pub(crate) site: String,
    names: Secret32,
    segments: Secret32,
    logins: Secret32,
}

/// The header as it stands on disk: JSON, so that a person can see what the folder is.
#[derive(Clone, Serialize, Deserialize)]
struct Header {
    format: u32,
    store: String,
    created: UnixMillis,
    site: String,
    store_key: String,
    audit_key: String,
    audit_public: String,
    check: String,
}

impl Header {
    /// What the check value covers: all that is not under a key of its own.
    fn covered(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n{}",
            self.format, self.store, self.created, self.site, self.store_key, self.audit_key, self.audit_public
        )
    }
}

impl StoreKeys {
    fn derive(id: StoreId, ks: &Secret32, signing: SigningKey, site: &str) -> Result<Self, OpenError> {
        let part = |label: &[u8]| hkdf(ks, b"pli KS v1", &[label, &id.0]);
        Ok(Self {
            id,
            row: AeadKey::new(&part(b"row")),
            queue: AeadKey::new(&part(b"queue")),
            site: site.to_owned(),
            names: part(b"names"),
            segments: part(b"segments"),
            logins: part(b"logins"),
            signer: Arc::new(
                NoteSigner::new(&site.replace(' ', "-"), signing).map_err(|e| OpenError::Damaged(e.to_string()))?,
            ),
        })
    }

    /// The key of one segment. Its salt is random, so that a number used again by accident is still another key.
    pub(crate) fn segment(&self, number: u32, salt: &[u8; 32]) -> AeadKey {
        AeadKey::new(&hkdf(&self.segments, salt, &[b"segment", &number.to_be_bytes()]))
    }

    /// What logins need that nobody outside can compute: salts of accounts that may not be there, hashes of app passwords.
    pub(crate) fn login(&self, role: &[u8], text: &str) -> [u8; 32] {
        let mut message = Vec::with_capacity(role.len().saturating_add(text.len()).saturating_add(1));
        message.extend_from_slice(role);
        message.push(0);
        message.extend_from_slice(text.as_bytes());
        let tag = hmac(&self.logins, &message);
        message.fill(0);
        tag
    }

    /// Stands for a name in a row's key, so that the disk shows none.
    pub(crate) fn name(&self, role: &[u8], name: &str) -> [u8; 16] {
        let mut message = Vec::with_capacity(role.len().saturating_add(name.len()).saturating_add(1));
        message.extend_from_slice(role);
        message.push(0);
        message.extend_from_slice(name.as_bytes());
        let full = hmac(&self.names, &message);
        let mut out = [0; 16];
        out.copy_from_slice(full.first_chunk::<16>().unwrap_or(&[0; 16]));
        out
    }
}

fn check_value(ks: &Secret32, header: &Header) -> String {
    to_hex(&hmac(&hkdf(ks, b"pli KS v1", &[b"header"]), header.covered().as_bytes()))
}

fn crypto(error: &CryptoError) -> OpenError {
    match error {
        CryptoError::Random => OpenError::Io(std::io::Error::other("the operating system gave no randomness")),
        CryptoError::Unavailable(_) | CryptoError::Unsafe(_) => OpenError::Keys(error.clone()),
        _ => OpenError::WrongKey,
    }
}

/// Wraps KS and the audit key under the present root key, where they are under another. The old header stands until the
/// new one is whole.
pub(crate) fn rewrap(disk: &dyn Disk, dir: &Path, keys: &dyn KeyStore) -> Result<(), StoreError> {
    let damaged = |_| StoreError::Damaged(Damaged::Row(HEADER_FILE));
    let mut header: Header = serde_json::from_slice(&disk.read(&dir.join(HEADER_FILE))?).map_err(damaged)?;
    let bytes = |text: &str| from_hex(text).ok_or(StoreError::Damaged(Damaged::Row(HEADER_FILE)));
    let (store_key, audit_key) = (bytes(&header.store_key)?, bytes(&header.audit_key)?);
    let root = Some(keys.root());
    if wrap_root(&store_key) == root && wrap_root(&audit_key) == root {
        return Ok(());
    }
    let ks = keys.unwrap("store", &store_key)?;
    if check_value(&ks, &header) != header.check {
        return Err(StoreError::Damaged(Damaged::Row(HEADER_FILE)));
    }
    let seed = keys.unwrap("audit-sign", &audit_key)?;
    header.store_key = to_hex(&keys.wrap("store", &ks)?);
    header.audit_key = to_hex(&keys.wrap("audit-sign", &seed)?);
    header.check = check_value(&ks, &header);
    write(disk, dir, &header).map_err(|error| match error {
        OpenError::Io(error) => StoreError::Io(error),
        _ => StoreError::Damaged(Damaged::Row(HEADER_FILE)),
    })
}

/// Makes keys and header of a new store.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    keys: &dyn KeyStore,
    site: &str,
    now: UnixMillis,
) -> Result<StoreKeys, OpenError> {
    let make = || -> Result<(Secret32, Secret32, StoreId, SigningKey), CryptoError> {
        let seed = Secret32::generate()?;
        let signing = SigningKey::from_seed(&seed)?;
        Ok((Secret32::generate()?, seed, StoreId::generate()?, signing))
    };
    let (ks, seed, id, signing) = make().map_err(|e| crypto(&e))?;
    let mut header = Header {
        format: FORMAT_VERSION,
        store: to_hex(&id.0),
        created: now,
        site: site.to_owned(),
        store_key: to_hex(&keys.wrap("store", &ks).map_err(|e| crypto(&e))?),
        audit_key: to_hex(&keys.wrap("audit-sign", &seed).map_err(|e| crypto(&e))?),
        audit_public: to_hex(&signing.public().0),
        check: String::new(),
    };
    header.check = check_value(&ks, &header);
    let store = StoreKeys::derive(id, &ks, signing, site)?;
    write(disk, dir, &header)?;
    Ok(store)
}

fn write(disk: &dyn Disk, dir: &Path, header: &Header) -> Result<(), OpenError> {
    let mut text = serde_json::to_vec_pretty(header).map_err(|e| OpenError::Damaged(e.to_string()))?;
    text.push(b'\n');
    disk.replace(&dir.join(HEADER_FILE), &text)?;
    Ok(())
}

/// Reads the header and opens KS.
pub(crate) fn open(disk: &dyn Disk, dir: &Path, keys: &dyn KeyStore) -> Result<StoreKeys, OpenError> {
    let damaged = |what: &str| OpenError::Damaged(format!("{HEADER_FILE}: {what}"));
    let bytes = disk.read(&dir.join(HEADER_FILE))?;
    let mut header: Header = serde_json::from_slice(&bytes).map_err(|e| damaged(&e.to_string()))?;
    if !(FORMAT_OLDEST..=FORMAT_VERSION).contains(&header.format) {
        return Err(OpenError::Format { found: header.format, known: FORMAT_VERSION });
    }
    let hex = |text: &str, what: &str| from_hex(text).ok_or_else(|| damaged(what));
    let id: [u8; 16] =
        hex(&header.store, "store")?.try_into().map_err(|_| damaged("the store's id has not 16 bytes"))?;
    let ks = keys.unwrap("store", &hex(&header.store_key, "store_key")?).map_err(|e| crypto(&e))?;
    if check_value(&ks, &header) != header.check {
        return Err(damaged("the check value does not fit"));
    }
    if header.format < FORMAT_VERSION {
        // From here on segments of the new format may be written, which an older program must not take for damage. Its
        // header is kept for whoever has to look.
        let old = dir.join(format!("{HEADER_FILE}.{}", header.format));
        disk.replace(&old, &bytes)?;
        tracing::warn!(from = header.format, to = FORMAT_VERSION, old = %old.display(), "the store's format is raised");
        header.format = FORMAT_VERSION;
        header.check = check_value(&ks, &header);
        write(disk, dir, &header)?;
    }
    let seed = keys.unwrap("audit-sign", &hex(&header.audit_key, "audit_key")?).map_err(|e| crypto(&e))?;
    let signing = SigningKey::from_seed(&seed).map_err(|e| crypto(&e))?;
    // The site named at creation: the log's origin does not change with the configuration.
    StoreKeys::derive(StoreId(id), &ks, signing, &header.site)
}
