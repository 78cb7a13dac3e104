//! The key store over a token.

use std::fmt;
use std::path::PathBuf;

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use parking_lot::{Mutex, RwLock};
use pli_crypto::{
    Aad, AccountKeyBlob, CryptoError, EpochBlob, EpochSecret, KeyStore, KeyStoreAbout, OpenError, RootId, Secret32,
    SecretString, Wrapping, sha256,
};
use zeroize::Zeroizing;

use crate::aside::aside;
use crate::link::{Link, TokenRoot, Trouble, data_label, probe, prove};
use crate::template::{self, Use};

type Result<T, E = CryptoError> = std::result::Result<T, E>;

/// First byte of a token's wraps of the store's own keys.
const WRAP_VERSION: u8 = 2;
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;

/// Where the token is.
#[derive(Clone)]
pub struct TokenSettings {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The root key's label in it.
    pub label: String,
    /// The user's PIN.
    pub pin: SecretString,
}

impl fmt::Debug for TokenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSettings")
            .field("module", &self.module)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// K0 in a token.
pub struct TokenKeyStore {
    settings: TokenSettings,
    /// None while the token is gone.
    link: RwLock<Option<Link>>,
    /// Which roots there are, known also while the token is gone. Ascending.
    known: RwLock<Vec<(RootId, u32)>>,
    /// The PIN was refused: it is not tried again, or the token locks itself.
    refused: Mutex<bool>,
    token: String,
}

impl TokenKeyStore {
    /// Opens a token that has a root key, and refuses one from which private keys could be read.
    pub fn open(settings: TokenSettings) -> Result<Self> {
        let (store, link) = Self::connect(settings)?;
        let root = link.present().map_err(|_| {
            CryptoError::Unsupported("the token has no root key of this label; `pli key init` makes one")
        })?;
        let session = link.session().map_err(plain)?;
        prove(&session, root).map_err(plain)?;
        link.give_back(session);
        *store.known.write() = known(&link);
        *store.link.write() = Some(link);
        Ok(store)
    }

    /// Makes the first root key in a token that has none of this label.
    pub fn init(settings: TokenSettings) -> Result<Self> {
        Self::make(settings.clone(), false)?;
        Self::open(settings)
    }

    /// A root key without template that may decrypt: for the tests of what then happens.
    #[doc(hidden)]
    pub fn init_weak(settings: TokenSettings) -> Result<()> {
        Self::make(settings, true)
    }

    fn make(settings: TokenSettings, weak: bool) -> Result<()> {
        let label = settings.label.clone();
        let (_, link) = Self::connect(settings)?;
        if link.present().is_ok() {
            return Err(CryptoError::Unsupported("the token has a root key of this label already"));
        }
        let session = link.session().map_err(plain)?;
        make_root(&session, &label, 1, weak).map_err(plain)?;
        Ok(())
    }

    fn connect(settings: TokenSettings) -> Result<(Self, Link)> {
        let link = Link::open(&settings).map_err(plain)?;
        let session = link.session().map_err(plain)?;
        link.find_roots(&session, &settings.label).map_err(plain)?;
        link.give_back(session);
        let token = link.token.clone();
        let store =
            Self { settings, link: RwLock::new(None), known: RwLock::default(), refused: Mutex::new(false), token };
        Ok((store, link))
    }

    /// Runs one call in a session of its own. When the token is gone, looks once whether it is back.
    fn with<T>(&self, work: impl Fn(&Link, &Session) -> std::result::Result<T, Trouble>) -> Result<T> {
        aside(|| {
            match self.attempt(&work) {
                Err(Trouble::Gone(_)) => {}
                outcome => return outcome.map_err(plain),
            }
            self.reconnect()?;
            self.attempt(&work).map_err(plain)
        })
    }

    fn attempt<T>(
        &self,
        work: &impl Fn(&Link, &Session) -> std::result::Result<T, Trouble>,
    ) -> std::result::Result<T, Trouble> {
        let link = self.link.read();
        let link = link.as_ref().ok_or_else(|| Trouble::Gone(String::from("the token is gone")))?;
        let session = link.session()?;
        let outcome = work(link, &session);
        match outcome {
            Ok(value) => {
                link.give_back(session);
                Ok(value)
            }
            // Modules say all kinds of things when their token is gone. If it still works, it is the wrap that is bad.
            Err(Trouble::Refused(error)) => {
                probe(link, &session)?;
                tracing::debug!(%error, "the token refuses");
                link.give_back(session);
                Err(OpenError.into())
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn reconnect(&self) -> Result<()> {
        if *self.refused.lock() {
            return Err(CryptoError::Unavailable(String::from(
                "the token has refused the PIN; it is tried again at the next start",
            )));
        }
        let mut place = self.link.write();
        if let Some(link) = place.take() {
            // Another call may have come before and found the token again.
            let works = link.session().and_then(|session| probe(&link, &session).map(|()| session));
            match works {
                Ok(session) => {
                    link.give_back(session);
                    *place = Some(link);
                    return Ok(());
                }
                Err(_) => link.end(),
            }
        }
        let open = || -> std::result::Result<Link, Trouble> {
            let link = Link::open(&self.settings)?;
            let session = link.session()?;
            link.find_roots(&session, &self.settings.label)?;
            link.present().map_err(|_| Trouble::Gone(String::from("the token has lost its root key")))?;
            probe(&link, &session)?;
            link.give_back(session);
            Ok(link)
        };
        match open() {
            Ok(link) => {
                tracing::info!(token = self.token, "the token is back");
                *self.known.write() = known(&link);
                *place = Some(link);
                Ok(())
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Crypto(CryptoError::WrongPassphrase)) {
                    *self.refused.lock() = true;
                }
                let reason = plain(trouble);
                Err(match reason {
                    CryptoError::Unavailable(_) => reason,
                    other => CryptoError::Unavailable(other.to_string()),
                })
            }
        }
    }

    fn unwrapped<T>(
        session: &Session,
        root: TokenRoot,
        wrapped: &[u8],
        purpose: Use,
        work: impl FnOnce(ObjectHandle) -> std::result::Result<T, Trouble>,
    ) -> std::result::Result<T, Trouble> {
        let key = session.unwrap_key(&Mechanism::AesKeyWrapPad, root.wrap, wrapped, &template::unwrapped(purpose))?;
        let outcome = work(key);
        let _ = session.destroy_object(key);
        outcome
    }
}

fn known(link: &Link) -> Vec<(RootId, u32)> {
    link.roots.lock().iter().map(|root| (root.id, root.version)).collect()
}

fn plain(trouble: Trouble) -> CryptoError {
    match trouble {
        Trouble::Gone(reason) => CryptoError::Unavailable(reason),
        Trouble::Refused(error) => CryptoError::Unavailable(error.to_string()),
        Trouble::Crypto(error) => error,
    }
}

/// Makes a root key and the key beside it; that one first, so that a root key is never found without.
fn make_root(session: &Session, label: &str, version: u32, weak: bool) -> std::result::Result<TokenRoot, Trouble> {
    let id = RootId(pli_crypto::random_bytes()?);
    let name = template::id_of(id, version);
    let data = session.generate_key(&Mechanism::AesKeyGen, &template::data_key(&data_label(label), &name))?;
    match session.generate_key(&Mechanism::AesKeyGen, &template::root_key(label, &name, weak)) {
        Ok(wrap) => Ok(TokenRoot { id, version, wrap, data }),
        Err(error) => {
            let _ = session.destroy_object(data);
            Err(error.into())
        }
    }
}

/// A new pair: the public point and the wrapped private half.
fn make_pair(session: &Session, root: TokenRoot, purpose: Use) -> std::result::Result<([u8; 65], Vec<u8>), Trouble> {
    let (public, private) = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &template::public_half(purpose),
        &template::private_half(purpose),
    )?;
    let made = session
        .wrap_key(&Mechanism::AesKeyWrapPad, root.wrap, private)
        .and_then(|wrapped| Ok((session.get_attributes(public, &[AttributeType::EcPoint])?, wrapped)));
    let _ = (session.destroy_object(public), session.destroy_object(private));
    let (attributes, wrapped) = made?;
    let point = attributes.iter().find_map(|attribute| match attribute {
        // DER OCTET STRING of the uncompressed point; some modules leave the header out.
        Attribute::EcPoint(bytes) => bytes.strip_prefix(&[0x04, 0x41]).unwrap_or(bytes).try_into().ok(),
        _ => None,
    });
    Ok((point.ok_or(CryptoError::Malformed("public key of the token"))?, wrapped))
}

/// The two wrapped halves of a blob.
fn halves(blob: &AccountKeyBlob) -> Result<(&[u8], &[u8])> {
    let read = |bytes: &'static str| CryptoError::Malformed(bytes);
    if blob.has_own() || blob.wrapping() != Wrapping::Token {
        return Err(OpenError.into());
    }
    let (length, rest) = blob.wrapped().split_first_chunk::<2>().ok_or(read("account key blob"))?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(read("account key blob"))
}

/// What the token gave out, as a secret; the copy that the call made is wiped.
fn secret_of(bytes: Vec<u8>) -> Option<Secret32> {
    let bytes = Zeroizing::new(bytes);
    bytes.as_slice().try_into().ok().map(Secret32::new)
}

fn wrap_aad(role: &str, version: u32) -> Vec<u8> {
    [b"pli wrap v2\0", &version.to_be_bytes()[..], role.as_bytes()].concat()
}

impl KeyStore for TokenKeyStore {
    fn create_account(&self, _ctx: &Aad) -> Result<AccountKeyBlob> {
        self.with(|link, session| {
            let root = link.present()?;
            let (encryption, first) = make_pair(session, root, Use::Derive)?;
            let (signature, second) = make_pair(session, root, Use::Sign)?;
            let length = u16::try_from(first.len()).map_err(|_| CryptoError::Malformed("wrap of the token"))?;
            let wrapped = [&length.to_be_bytes()[..], &first, &second].concat();
            Ok(AccountKeyBlob::of_token(root.id, root.version, encryption, signature, wrapped)?)
        })
    }

    fn open_epoch(&self, blob: &AccountKeyBlob, ctx: &Aad, epoch: &EpochBlob) -> Result<EpochSecret> {
        let (wrapped, _) = halves(blob)?;
        let dh = self.with(|link, session| {
            let root = link.root(blob.root(), blob.root_version())?;
            Self::unwrapped(session, root, wrapped, Use::Derive, |key| {
                let params = Ecdh1DeriveParams::new(EcKdf::null(), epoch.encapsulated());
                let secret = session.derive_key(&Mechanism::Ecdh1Derive(params), key, &template::shared_secret())?;
                let value = session.get_attributes(secret, &[AttributeType::Value]);
                let _ = session.destroy_object(secret);
                let value = value?.into_iter().find_map(|attribute| match attribute {
                    Attribute::Value(bytes) => secret_of(bytes),
                    _ => None,
                });
                Ok(value.ok_or(CryptoError::Malformed("secret of the token"))?)
            })
        })?;
        Ok(epoch.open_with(blob, ctx, &dh)?)
    }

    fn seal_epochs(&self, blob: &AccountKeyBlob, ctx: &Aad, epochs: &[EpochSecret]) -> Result<Vec<EpochBlob>> {
        let (_, wrapped) = halves(blob)?;
        self.with(|link, session| {
            let root = link.root(blob.root(), blob.root_version())?;
            Self::unwrapped(session, root, wrapped, Use::Sign, |key| {
                let mut sealed = Vec::with_capacity(epochs.len());
                for epoch in epochs {
                    let mut trouble = None;
                    let blob = EpochBlob::seal(blob, ctx, epoch, |message| {
                        let signature = session.sign(&Mechanism::Ecdsa, key, &sha256(message));
                        let signature = signature.map_err(|error| trouble = Some(Trouble::from(error))).ok();
                        signature
                            .and_then(|bytes| bytes.try_into().ok())
                            .ok_or(CryptoError::Malformed("signature of the token"))
                    });
                    match (blob, trouble) {
                        (Ok(blob), _) => sealed.push(blob),
                        (Err(_), Some(trouble)) => return Err(trouble),
                        (Err(error), None) => return Err(error.into()),
                    }
                }
                Ok(sealed)
            })
        })
    }

    fn wrap(&self, role: &str, secret: &Secret32) -> Result<Vec<u8>> {
        self.with(|link, session| {
            let root = link.present()?;
            let nonce: [u8; NONCE_BYTES] = pli_crypto::random_bytes()?;
            let (mut iv, aad) = (nonce, wrap_aad(role, root.version));
            let params = GcmParams::new(&mut iv, &aad, TAG_BITS.into())?;
            let sealed = session.encrypt(&Mechanism::AesGcm(params), root.data, secret.expose())?;
            Ok([&[WRAP_VERSION][..], &root.id.0, &root.version.to_be_bytes(), &nonce, &sealed].concat())
        })
    }

    fn unwrap(&self, role: &str, wrapped: &[u8]) -> Result<Secret32> {
        let malformed = || CryptoError::Malformed("wrapped key");
        let (&version, rest) = wrapped.split_first().ok_or_else(malformed)?;
        let (id, rest) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
        let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(malformed)?;
        if version != WRAP_VERSION {
            return Err(CryptoError::OtherRoot);
        }
        let (id, number) = (RootId(*id), u32::from_be_bytes(*number));
        if !self.has_root(id) {
            return Err(CryptoError::OtherRoot);
        }
        self.with(|link, session| {
            let root = link.root(id, number)?;
            let (mut iv, aad) = (*nonce, wrap_aad(role, number));
            let params = GcmParams::new(&mut iv, &aad, TAG_BITS.into())?;
            let plain = session.decrypt(&Mechanism::AesGcm(params), root.data, sealed)?;
            Ok(secret_of(plain).ok_or(OpenError)?)
        })
    }

    fn root(&self) -> RootId {
        self.known.read().last().map_or(RootId([0; 8]), |(id, _)| *id)
    }
    fn root_version(&self) -> u32 {
        self.known.read().last().map_or(0, |(_, version)| *version)
    }
    fn has_root(&self, root: RootId) -> bool {
        self.known.read().iter().any(|(id, _)| *id == root)
    }

    fn rewrap_account(&self, _blob: &AccountKeyBlob, _ctx: &Aad) -> Result<Option<AccountKeyBlob>> {
        // What the root key unwraps is not extractable, so that no other key can wrap it: the account gets new keys.
        Ok(None)
    }

    fn rotate_root(&self) -> Result<u32> {
        let made = self.with(|link, session| {
            let version = link.present()?.version.checked_add(1).ok_or(CryptoError::Malformed("root key version"))?;
            let root = make_root(session, &self.settings.label, version, false)?;
            link.find_roots(session, &self.settings.label)?;
            *self.known.write() = known(link);
            Ok(root.version)
        })?;
        tracing::info!(version = made, "the token has a new root key");
        Ok(made)
    }

    fn forget_roots(&self, keep: usize) -> Result<usize> {
        self.with(|link, session| {
            let roots = link.roots.lock().clone();
            let gone = roots.len().saturating_sub(keep.max(1));
            for root in roots.iter().take(gone) {
                session.destroy_object(root.wrap)?;
                session.destroy_object(root.data)?;
            }
            link.find_roots(session, &self.settings.label)?;
            *self.known.write() = known(link);
            Ok(gone)
        })
    }

    fn check(&self) -> Result<()> {
        self.with(probe)
    }

    fn may_be_gone(&self) -> bool {
        true
    }

    fn about(&self) -> KeyStoreAbout {
        let soft = self.token.to_ascii_lowercase().contains("softhsm");
        let warning = if soft { "; SoftHSM is no HSM: its keys are files on this machine" } else { "" };
        KeyStoreAbout {
            kind: "pkcs11",
            versions: self.known.read().iter().map(|(_, version)| *version).collect(),
            own_secrets: false,
            note: format!("token {}{warning}", self.token),
        }
    }
}

impl fmt::Debug for TokenKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeyStore").field("token", &self.token).finish_non_exhaustive()
    }
}
