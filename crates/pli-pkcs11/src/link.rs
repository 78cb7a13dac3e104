//! The way to the token: module, slot, login, sessions, and the root keys that were found.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use pli_crypto::{CryptoError, OpenError, RootId};

use crate::store::TokenSettings;
use crate::template::{self, Use};

/// Sessions kept for the next call.
const SESSIONS_KEPT: usize = 16;

/// Why a call to the token failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The token, or the way to it, is not there.
    Gone(String),
    /// The token answers and refuses: the wrap is no wrap of this key.
    Refused(Error),
    /// Ours.
    Crypto(CryptoError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match &error {
            Error::LibraryLoading(_) | Error::NullFunctionPointer | Error::MissingSymbol(_) => {
                Self::Gone(error.to_string())
            }
            Error::Pkcs11(code, _) if is_gone(*code) => Self::Gone(error.to_string()),
            _ => Self::Refused(error),
        }
    }
}

impl From<CryptoError> for Trouble {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        Self::Crypto(error.into())
    }
}

const fn is_gone(code: RvError) -> bool {
    matches!(
        code,
        RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::DeviceMemory
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::UserNotLoggedIn
            | RvError::CryptokiNotInitialized
            | RvError::KeyHandleInvalid
            | RvError::WrappingKeyHandleInvalid
            | RvError::UnwrappingKeyHandleInvalid
            | RvError::ObjectHandleInvalid
    )
}

/// A root key in the token, with the key beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRoot {
    pub(crate) id: RootId,
    pub(crate) version: u32,
    pub(crate) wrap: ObjectHandle,
    pub(crate) data: ObjectHandle,
}

/// An open way.
pub(crate) struct Link {
    context: Pkcs11,
    slot: Slot,
    /// Keeps the login: it ends with the last session.
    _login: Mutex<Session>,
    pool: Mutex<Vec<Session>>,
    /// Ascending by version; never empty.
    pub(crate) roots: Mutex<Vec<TokenRoot>>,
    /// What the token says of itself.
    pub(crate) token: String,
}

impl Link {
    /// Loads the module, finds the token by its label, logs in. Finds no root keys yet.
    pub(crate) fn open(settings: &TokenSettings) -> Result<Self, Trouble> {
        let context = Pkcs11::new(&settings.module)
            .map_err(|error| Trouble::Gone(format!("{}: {error}", settings.module.display())))?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(Trouble::Gone(error.to_string())),
        }
        let mut found = None;
        for slot in context.get_slots_with_token()? {
            // A slot may lose its token between the two calls.
            let Ok(info) = context.get_token_info(slot) else { continue };
            if info.token_initialized() && info.label().trim_end() == settings.token {
                found = Some((
                    slot,
                    format!("{} ({} {})", settings.token, info.manufacturer_id().trim_end(), info.model().trim_end()),
                ));
            }
        }
        let Some((slot, token)) = found else {
            return Err(Trouble::Gone(format!("there is no token {:?}", settings.token)));
        };
        let session = context.open_rw_session(slot)?;
        let pin = AuthPin::from(settings.pin.expose().to_owned());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(code @ (RvError::PinIncorrect | RvError::PinLocked | RvError::PinLenRange), _)) => {
                tracing::error!(?code, "the token does not take the PIN");
                return Err(Trouble::Crypto(CryptoError::WrongPassphrase));
            }
            Err(error) => return Err(Trouble::Gone(error.to_string())),
        }
        Ok(Self { context, slot, _login: Mutex::new(session), pool: Mutex::default(), roots: Mutex::default(), token })
    }

    /// Ends the module's work, so that it looks at its slots anew when it is loaded again.
    pub(crate) fn end(self) {
        let Self { context, _login, pool, .. } = self;
        drop((pool, _login));
        // A module whose token is gone may fail here; there is nothing to be done about it.
        let _ = context.finalize();
    }

    /// A session of the pool, or a new one.
    pub(crate) fn session(&self) -> Result<Session, Trouble> {
        if let Some(session) = self.pool.lock().pop() {
            return Ok(session);
        }
        Ok(self.context.open_rw_session(self.slot)?)
    }
    /// Gives a session back that did its work.
    pub(crate) fn give_back(&self, session: Session) {
        let mut pool = self.pool.lock();
        if pool.len() < SESSIONS_KEPT {
            pool.push(session);
        }
    }

    /// Looks for the root keys. Those without the key beside them were never finished.
    pub(crate) fn find_roots(&self, session: &Session, label: &str) -> Result<(), Trouble> {
        let wraps = keys_of(session, label)?;
        let datas = keys_of(session, &data_label(label))?;
        let mut roots: Vec<TokenRoot> = wraps
            .into_iter()
            .filter_map(|(id, wrap)| {
                let (_, data) = datas.iter().find(|(beside, _)| *beside == id)?;
                Some(TokenRoot { id: id.0, version: id.1, wrap, data: *data })
            })
            .collect();
        roots.sort_by_key(|root| root.version);
        *self.roots.lock() = roots;
        Ok(())
    }

    /// The root key that wraps what is new.
    pub(crate) fn present(&self) -> Result<TokenRoot, Trouble> {
        self.roots.lock().last().copied().ok_or_else(|| CryptoError::NotAKeyFile.into())
    }
    /// The one that is named.
    pub(crate) fn root(&self, id: RootId, version: u32) -> Result<TokenRoot, Trouble> {
        let roots = self.roots.lock();
        let found = roots.iter().find(|root| root.id == id && root.version == version).copied();
        found.ok_or_else(|| CryptoError::RootVersion(version).into())
    }
}

/// The label of the key beside a root key.
pub(crate) fn data_label(label: &str) -> String {
    format!("{label} data")
}

/// Which root, and its object.
type Named = ((RootId, u32), ObjectHandle);

fn keys_of(session: &Session, label: &str) -> Result<Vec<Named>, Trouble> {
    let wanted = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let mut found = Vec::new();
    for key in session.find_objects(&wanted)? {
        let id = session.get_attributes(key, &[AttributeType::Id])?;
        let id = id.iter().find_map(|attribute| match attribute {
            Attribute::Id(bytes) => template::parse_id(bytes),
            _ => None,
        });
        found.extend(id.map(|id| (id, key)));
    }
    Ok(found)
}

/// Whether the token works at all: a few bytes sealed under the present root's other key.
pub(crate) fn probe(link: &Link, session: &Session) -> Result<(), Trouble> {
    let root = link.present()?;
    let mut nonce: [u8; 12] = pli_crypto::random_bytes()?;
    let params = GcmParams::new(&mut nonce, b"pli probe", 128.into())?;
    session
        .encrypt(&Mechanism::AesGcm(params), root.data, b"probe")
        .map(|_| ())
        .map_err(|e| Trouble::Gone(e.to_string()))
}

/// Both attacks on a root key that was made carelessly, tried on a pair that is nobody's.
pub(crate) fn prove(session: &Session, root: TokenRoot) -> Result<(), Trouble> {
    let purpose = Use::Derive;
    let (public, private) = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &template::public_half(purpose),
        &template::private_half(purpose),
    )?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, root.wrap, private)?;
    let _ = (session.destroy_object(public), session.destroy_object(private));
    let unsafe_root = |what| Err(Trouble::Crypto(CryptoError::Unsafe(what)));
    if let Ok(key) = session.unwrap_key(&Mechanism::AesKeyWrapPad, root.wrap, &wrapped, &template::unwrapped_readable())
    {
        let _ = session.destroy_object(key);
        return unsafe_root("it unwraps private keys as readable: it has no unwrap template");
    }
    if session.decrypt_init(&Mechanism::AesEcb, root.wrap).is_ok() {
        return unsafe_root("it decrypts: whoever has the PIN decrypts wrapped keys");
    }
    let facts = session.get_attributes(
        root.wrap,
        &[AttributeType::Extractable, AttributeType::Sensitive, AttributeType::Decrypt, AttributeType::Encrypt],
    )?;
    let wanted = [
        Attribute::Extractable(false),
        Attribute::Sensitive(true),
        Attribute::Decrypt(false),
        Attribute::Encrypt(false),
    ];
    if wanted.iter().any(|attribute| !facts.contains(attribute)) {
        return unsafe_root("it can be read, or used for more than wrapping");
    }
    Ok(())
}
