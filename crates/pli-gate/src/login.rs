//! Authentication: one answer and one time for an unknown account and a wrong password; a growing delay for guessers.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use pli_crypto::{CryptoError, Opened, SecretString, dummy_verify, verify_password};
use pli_store::{Account, StoreError};
use pli_types::{AccountId, Action, Actor, Address, Protocol, SessionInfo};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::gate::Gate;
use crate::limits::{LOGIN_BYTES_MAX, LOGINS_WAITING_MAX, VERIFYING_MAX};
use crate::policy::row;
use crate::throttle::{Before, LoginThrottle};

/// Why a login failed; the peer is told the same for all but `Unavailable` and `Suspended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// Unknown account or wrong password: one answer, one time. Also a right password on a door that the account's
    /// profile does not open; the audit event says so.
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
    /// The password is right, and the key store does not answer: mail is taken, but cannot be read for now.
    #[error("the key store does not answer")]
    NoKeys,
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

/// What logins share.
pub(crate) struct Logins {
    throttle: Mutex<LoginThrottle>,
    waiting: Semaphore,
    verifying: Arc<Semaphore>,
}

impl Logins {
    pub(crate) fn new() -> Self {
        Self {
            throttle: Mutex::new(LoginThrottle::new()),
            waiting: Semaphore::new(LOGINS_WAITING_MAX),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
        }
    }
}

/// Gives the place in the delay back, also when the client has gone and the future is dropped.
struct Waiting<'a> {
    throttle: &'a Mutex<LoginThrottle>,
    login: &'a str,
    ip: Option<IpAddr>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.throttle.lock().waited(self.login, self.ip);
    }
}

impl Gate {
    /// Checks user name (an address, or a local part of the first domain) and password, records the event, opens the
    /// keys. Slow on purpose (argon2id), off the async workers, a bounded number at once.
    pub async fn authenticate(
        &self,
        session: &Arc<SessionInfo>,
        user: &str,
        password: &SecretString,
    ) -> Result<Login, AuthError> {
        // A place in a bounded waiting room: a flood of logins ends here, not in memory.
        let Ok(_place) = self.logins.waiting.try_acquire() else { return Err(AuthError::Slowed) };
        let found = if user.len() > LOGIN_BYTES_MAX { None } else { self.look_up(user)? };
        let name = match &found {
            Some(account) => account.address.key(),
            None => user.chars().take(LOGIN_BYTES_MAX).collect::<String>().to_lowercase(),
        };
        let ip = session.peer.map(|p| p.ip());
        self.delay(&name, ip)
            .await
            .inspect_err(|error| self.note_failure(session, found.as_ref(), *error, "slowed"))?;
        let right = self.check(found.as_ref(), password).await?;
        let now = self.clock.monotonic();
        let Some(account) = found.as_ref().filter(|_| right).cloned() else {
            self.logins.throttle.lock().failed(&name, ip, now);
            self.note_failure(session, found.as_ref(), AuthError::Failed, "unknown account or wrong password");
            return Err(AuthError::Failed);
        };
        self.logins.throttle.lock().succeeded(&name, ip, now);
        if account.suspended {
            self.note_failure(session, Some(&account), AuthError::Suspended, "suspended");
            return Err(AuthError::Suspended);
        }
        if !self.door_is_open(session.protocol, &account) {
            self.note_failure(session, Some(&account), AuthError::Failed, "the profile does not open this door");
            return Err(AuthError::Failed);
        }
        self.enter(session, account).await
    }

    fn look_up(&self, user: &str) -> Result<Option<Account>, AuthError> {
        self.directory.account_by_login(user).map_err(|error| {
            tracing::error!(%error, "the store does not answer a login");
            AuthError::Unavailable
        })
    }

    async fn delay(&self, name: &str, ip: Option<IpAddr>) -> Result<(), AuthError> {
        let before = self.logins.throttle.lock().before(name, ip, self.clock.monotonic());
        match before {
            Before::Go => Ok(()),
            Before::Refuse => Err(AuthError::Slowed),
            Before::Wait(delay) => {
                let _waiting = Waiting { throttle: &self.logins.throttle, login: name, ip };
                tokio::time::sleep(delay).await;
                Ok(())
            }
        }
    }

    /// Whether the password is right. Without an account or a hash the same time passes.
    async fn check(&self, account: Option<&Account>, password: &SecretString) -> Result<bool, AuthError> {
        let verifying = Arc::clone(&self.logins.verifying);
        let Ok(turn) = verifying.acquire_owned().await else { return Err(AuthError::Unavailable) };
        let (phc, password) = (account.and_then(|a| a.password.clone()), password.clone());
        let work = tokio::task::spawn_blocking(move || {
            // The turn goes with the work, not with the client, who may leave before it is done.
            let _turn = turn;
            match phc {
                Some(phc) => verify_password(&password, &phc),
                None => {
                    dummy_verify(&password);
                    false
                }
            }
        });
        work.await.map_err(|_| AuthError::Unavailable)
    }

    fn door_is_open(&self, protocol: Protocol, account: &Account) -> bool {
        let Some(profile) = self.directory.profile_of(account) else {
            tracing::warn!(account = %account.id, profile = account.profile, "the configuration has no such profile");
            return false;
        };
        match protocol {
            Protocol::Imap => profile.imap,
            Protocol::Submission => profile.submission,
            _ => true,
        }
    }

    async fn enter(&self, session: &Arc<SessionInfo>, account: Account) -> Result<Login, AuthError> {
        let before = session;
        let session = Arc::new(SessionInfo { actor: Actor::Account(account.id), ..SessionInfo::clone(session) });
        let permit = || self.grant(&session, Action::Login, Some(account.id), None, row(Action::Login));
        let event = self.event(&session, Action::Login).policy("login", Some(&account.profile));
        let keys = self.store.open_keys(&permit()).map_err(|error| {
            tracing::error!(%error, account = %account.id, "the keys of an account do not open");
            AuthError::Unavailable
        })?;
        let keys = Arc::new(keys);
        if let Err(error) = self.reach_keys(&session, account.id, &keys).await {
            self.note_failure(before, Some(&account), error, "the key store does not answer");
            return Err(error);
        }
        // trust.md, decision 2: no positive answer before the audit event is durable.
        self.store.record(permit(), event).await.map_err(|error| {
            tracing::error!(%error, "a login could not be recorded");
            AuthError::Unavailable
        })?;
        tracing::info!(session = %session.id, account = %account.id, protocol = ?session.protocol, "login");
        Ok(Login { session, account: account.id, address: account.address, keys })
    }

    /// Whoever wants to read is told at once when the key store does not answer. Submission needs no private key.
    async fn reach_keys(&self, session: &SessionInfo, account: AccountId, keys: &Arc<Opened>) -> Result<(), AuthError> {
        if session.protocol != Protocol::Imap || !self.store.keys_may_be_gone() {
            return Ok(());
        }
        let (store, keys) = (self.store.clone(), Arc::clone(keys));
        let touched = tokio::task::spawn_blocking(move || store.touch_keys(account, &keys)).await;
        match touched.map_err(|_| AuthError::Unavailable)? {
            Err(StoreError::Keys(CryptoError::Unavailable(reason))) => {
                tracing::error!(%account, reason, "the key store does not answer: no session, mail is still taken");
                Err(AuthError::NoKeys)
            }
            // Whatever else is wrong with the account's keys is shown where it is read.
            _ => Ok(()),
        }
    }

    fn note_failure(&self, session: &Arc<SessionInfo>, account: Option<&Account>, error: AuthError, reason: &str) {
        let peer = session.peer.map(|p| p.ip().to_string()).unwrap_or_default();
        tracing::info!(session = %session.id, peer, protocol = ?session.protocol, reason, "login failed");
        let Some(unrecorded) = self.may_record_refusal() else { return };
        let code = match error {
            AuthError::Failed => "failed",
            AuthError::Suspended => "suspended",
            AuthError::Slowed => "slowed",
            AuthError::Unavailable => "unavailable",
            AuthError::NoKeys => "no-keys",
        };
        let mut event = self.event(session, Action::Login).refused(code, reason).policy("login", None);
        if let Some(account) = account {
            event = event.account(account.id);
        }
        if unrecorded > 0 {
            event = event.count("refusals-not-recorded", unrecorded);
        }
        let permit = self.grant(session, Action::Login, account.map(|a| a.id), None, row(Action::Login));
        self.store.note(permit, event);
    }
}
