//! Authentication and admission.

use std::sync::Arc;

use pli_crypto::Opened;
use pli_directory::{Directory, Route};
use pli_store::{Mint, Permit, Quota, Store};
use pli_types::{AccountId, Action, Address, ByteCount, MailboxId, SessionInfo};
use thiserror::Error;

/// What an action is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// On whose mail; the session's own account if `None` and the action needs one.
    pub account: Option<AccountId>,
    /// On which mailbox.
    pub mailbox: Option<MailboxId>,
    /// Bytes that the action would add (an announced literal, MAIL SIZE=).
    pub adds: ByteCount,
}

/// Why an action is not admitted. Each protocol has one function that turns this into its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The session must authenticate first.
    #[error("authentication is required")]
    NotAuthenticated,
    /// The right is missing.
    #[error("you may not do this")]
    NoRight,
    /// The account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// The quota would not hold; more room may come (`452 4.2.2`, `NO [OVERQUOTA]`).
    #[error("the mailbox is full")]
    OverQuota {
        /// Whether the message would never fit, however much were removed (`552 5.2.2`).
        never: bool,
    },
    /// Too much in too short a time.
    #[error("too many requests, try again later")]
    RateLimited,
    /// The store does not answer.
    #[error("temporarily unavailable")]
    Unavailable,
}

/// Why a login failed; the peer is told the same for all but `Unavailable` and `Suspended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// Unknown account or wrong password: one answer, one time.
    #[error("authentication failed")]
    Failed,
    /// The password is right, the account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// Too many failures from this address or for this account; try later.
    #[error("too many failed logins, try again later")]
    Slowed,
    /// Store or keys do not answer.
    #[error("temporarily unavailable")]
    Unavailable,
}

/// An authenticated session: what it is now, and its opened keys.
#[derive(Clone)]
pub struct Login {
    /// The session with its actor filled in.
    pub session: Arc<SessionInfo>,
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// Its keys.
    pub keys: Arc<Opened>,
}

/// The gate. Cheap to clone behind an `Arc`.
pub struct Gate {
    store: Store,
    mint: Mint,
    directory: Arc<Directory>,
}

impl Gate {
    /// Takes the store's mint.
    #[must_use]
    pub const fn new(store: Store, mint: Mint, directory: Arc<Directory>) -> Self {
        Self { store, mint, directory }
    }
    /// The store behind the gate.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
    /// The directory behind the gate.
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
    /// Checks user name (an address, or a local part of the first domain) and password, records the event, opens the
    /// keys. Slow on purpose (argon2id), off the async workers, a bounded number at once.
    pub async fn authenticate(
        &self,
        session: &Arc<SessionInfo>,
        user: &str,
        password: &pli_crypto::SecretString,
    ) -> Result<Login, AuthError> {
        let _ = (session, user, password);
        todo!()
    }
    /// May the session do this now? Refusals are audited. RFC 9051's rights and quota, SMTP's relay rule: all here.
    pub fn admit(&self, session: &Arc<SessionInfo>, action: Action, target: &Target) -> Result<Permit, Refusal> {
        let _ = (session, action, target, &self.mint);
        todo!()
    }
    /// A permit for the server's own work (queue, timers, start-up).
    pub fn admit_system(&self, action: Action) -> Permit {
        let _ = action;
        todo!()
    }
    /// Where mail for an address goes: local accounts and remote addresses after aliases and subaddresses.
    pub fn route(&self, address: &Address) -> Result<Route, Refusal> {
        let _ = address;
        todo!()
    }
    /// Whether the account may send in the name of the address (its own, or an alias that leads to it alone).
    pub fn owns(&self, account: AccountId, address: &Address) -> Result<bool, Refusal> {
        let _ = (account, address);
        todo!()
    }
    /// Quota of an account, for GETQUOTA.
    pub fn quota(&self, permit: &Permit) -> Result<Quota, Refusal> {
        let _ = permit;
        todo!()
    }
}
