//! What is said of keys: rules, states, outcomes.

use pli_types::UnixMillis;
use serde::Serialize;

/// When keys are renewed by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Days after which the root key gets a new version.
    pub root_days: Option<u32>,
    /// Days after which an account gets a new key.
    pub account_days: Option<u32>,
}

/// What a rotation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// Version of the root key that everything is under now.
    pub version: u32,
    /// Accounts whose key was wrapped anew or renewed.
    pub accounts: u64,
    /// Accounts among them that got a new key.
    pub renewed: u64,
    /// Log keys wrapped anew.
    pub log_keys: u64,
    /// Accounts whose key does not open; they are as they were, and no root key was forgotten.
    pub failed: u64,
    /// Accounts whose own secret was destroyed: an older copy of the store was put back.
    pub erased: u64,
    /// Older versions of the root key that were forgotten.
    pub forgotten: u64,
}

/// What the timer's call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeysKept {
    /// Epochs made.
    pub epochs: u64,
    /// A rotation of the root key that was due or taken up again.
    pub root: Option<Rotated>,
    /// Accounts that got new keys.
    pub accounts: Option<Rotated>,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyProgress {
    /// `root` or `accounts`.
    pub what: &'static str,
    /// When it began.
    pub started: UnixMillis,
    /// Accounts passed.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// Ages of the keys, what is due, how far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// `file`, `credential` or `pkcs11`.
    pub store: String,
    /// A word about it.
    pub note: String,
    /// Why private keys cannot be used now; none if they can.
    pub unavailable: Option<String>,
    /// Versions of the root key; the last one wraps what is new.
    pub versions: Vec<u32>,
    /// Whether accounts can be erased from every backup.
    pub own_secrets: bool,
    /// Since when everything is under the present root key.
    pub root_since: Option<UnixMillis>,
    /// When the root key is due.
    pub root_due: Option<UnixMillis>,
    /// Accounts.
    pub accounts: u64,
    /// Accounts whose key is due.
    pub account_due: u64,
    /// The oldest account key.
    pub oldest_account: Option<UnixMillis>,
    /// Accounts that are still under another root key.
    pub under_other_roots: u64,
    /// Accounts without a secret of their own.
    pub without_own_secret: u64,
    /// Accounts removed whose secret is still to be destroyed.
    pub erasing: u64,
    /// A rotation that is under way.
    pub progress: Option<KeyProgress>,
}

/// The state of one account's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AccountKeyStatus {
    /// When it was made.
    pub made: Option<UnixMillis>,
    /// The root key's version that wraps it.
    pub root_version: u32,
    /// Whether a secret of its own is around it.
    pub own_secret: bool,
    /// Its epochs.
    pub epochs: u64,
}

/// An account that was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Copies of the store from this time on cannot open the account; none: no copy can.
    pub covers_since: Option<UnixMillis>,
}
