//! How a command fails: one line for people, one exit code for scripts (those of sysexits.h; the table is in
//! `docs/cli.md`).

use std::io;
use std::path::Path;

use pli_admin::ErrorKind;
use pli_store::OpenError;

/// A check ran and found something wrong.
pub const FOUND: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// What was given is wrong, or stored data is damaged.
pub const DATA: u8 = 65;
/// What was named is not there.
pub const NO_INPUT: u8 = 66;
/// A service is not to be had: a port in use.
pub const UNAVAILABLE: u8 = 69;
/// A defect of this program.
pub const SOFTWARE: u8 = 70;
/// What was to be made is there already, or cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// For now: try again.
pub const TEMPORARY: u8 = 75;
/// Not allowed.
pub const NO_PERMISSION: u8 = 77;
/// The configuration or a key is wrong.
pub const CONFIG: u8 = 78;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What and why, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// With a code and a message.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }
    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// A file that could not be read or written.
    pub fn file(verb: &str, path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => NO_INPUT,
            io::ErrorKind::PermissionDenied => NO_PERMISSION,
            io::ErrorKind::AlreadyExists => CANNOT_CREATE,
            _ => IO,
        };
        Self::new(code, format!("cannot {verb} {}: {}", path.display(), plain(error)))
    }
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl From<pli_admin::Failure> for Failure {
    fn from(failure: pli_admin::Failure) -> Self {
        let code = match failure.kind {
            ErrorKind::Usage | ErrorKind::Damaged => DATA,
            ErrorKind::NotFound => NO_INPUT,
            ErrorKind::Exists => CANNOT_CREATE,
            ErrorKind::Refused => NO_PERMISSION,
            ErrorKind::Unavailable => TEMPORARY,
        };
        Self::new(code, failure.message)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::NoStore(_) => Self::new(NO_INPUT, message),
            OpenError::AlreadyThere(_) => Self::new(CANNOT_CREATE, message),
            OpenError::InUse { .. } => Self::new(TEMPORARY, message),
            OpenError::WrongKey => Self::new(CONFIG, message)
                .hint("`keys.root` names another store's key; the right one was made together with this store"),
            OpenError::Keys(pli_crypto::CryptoError::Unavailable(_)) => Self::new(UNAVAILABLE, message)
                .hint("the key store must answer when the server starts; once it serves, it takes mail without it"),
            OpenError::Keys(_) => Self::new(CONFIG, message),
            OpenError::Format { .. } => Self::new(CONFIG, message).hint("a later version of pli wrote this store"),
            OpenError::Damaged(_) => Self::new(DATA, message),
            OpenError::Io(_) | OpenError::Index(_) => Self::new(IO, message),
        }
    }
}
