//! Authentication: one answer and one time for an unknown account and a wrong password; a growing delay for guessers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pli_crypto::{
    CryptoError, Opened, SCRAM_ITERATIONS, ScramVerifier, Secret32, SecretString, app_password_form, dummy_verify,
    verify_password,
};
use pli_sasl::{Issuer, Server};
use pli_store::{Account, AppPassword, LoginTrace, StoreError};
use pli_types::{AccountId, Action, Actor, Address, Protocol, SessionInfo};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::gate::Gate;
use crate::limits::{LAST_USE_EACH_MS, LOGIN_BYTES_MAX, LOGINS_WAITING_MAX, VERIFYING_MAX};
use crate::policy::row;
use crate::sessions::{Method, Presence, Sessions};
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
    /// The credentials are right, and the account has as many sessions as it may.
    #[error("too many sessions of the account")]
    TooMany,
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
    /// Its place among the sessions.
    pub presence: Arc<Presence>,
}

/// What an administrator can set for logins. Replaced as a whole at a reload.
#[derive(Clone, Debug)]
pub struct LoginSettings {
    /// Whose tokens are taken, if anybody's.
    pub issuer: Option<Issuer>,
    /// Names of this server, as clients may know it (`*.example.org` too); none: no client is asked which it means.
    pub names: Vec<String>,
    /// Its ports; none: no client is asked.
    pub ports: Vec<u16>,
    /// Sessions that one account may have at once over IMAP.
    pub imap_sessions_max: usize,
    /// The same over submission.
    pub submission_sessions_max: usize,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            names: Vec::new(),
            ports: Vec::new(),
            imap_sessions_max: usize::MAX,
            submission_sessions_max: usize::MAX,
        }
    }
}

impl LoginSettings {
    /// Whether a client that says which server it means can mean this one. RFC 7628 §3.1: who was led elsewhere, and
    /// passes on what he was given, is found out.
    pub(crate) fn are(&self, server: &Server) -> bool {
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        let fits = |host: &str, name: &str| match plain(name).strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(first, tail)| !first.is_empty() && tail == rest),
            None => host == plain(name),
        };
        let host = server.host.as_deref().map(plain);
        let named = host.is_none_or(|host| self.names.is_empty() || self.names.iter().any(|name| fits(&host, name)));
        named && server.port.is_none_or(|port| self.ports.is_empty() || self.ports.contains(&port))
    }
}

/// What logins share.
pub(crate) struct Logins {
    throttle: Mutex<LoginThrottle>,
    waiting: Semaphore,
    verifying: Arc<Semaphore>,
    pub(crate) settings: RwLock<Arc<LoginSettings>>,
    pub(crate) sessions: Arc<Sessions>,
}

impl Logins {
    pub(crate) fn new() -> Self {
        Self {
            throttle: Mutex::new(LoginThrottle::new()),
            waiting: Semaphore::new(LOGINS_WAITING_MAX),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
            settings: RwLock::default(),
            sessions: Arc::default(),
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

/// A login under way: its places in the waiting room, and whom it is about.
pub(crate) struct Attempt<'a> {
    gate: &'a Gate,
    _place: SemaphorePermit<'a>,
    /// The account, if there is one.
    pub(crate) found: Option<Account>,
    /// The account's address as a key, or what was said in its place; empty where nobody was named.
    pub(crate) name: String,
    ip: Option<IpAddr>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.gate.logins.throttle.lock().end(self.ip);
    }
}

impl Gate {
    /// Replaces the settings of logins. Sessions that stand keep theirs, apart from those by tokens of an issuer, or of a
    /// key, that is taken no more: they end.
    pub fn set_logins(&self, settings: LoginSettings) {
        let new = Arc::new(settings);
        let old = std::mem::replace(&mut *self.logins.settings.write(), Arc::clone(&new));
        let still = |key| match (&new.issuer, &old.issuer) {
            (Some(new), Some(old)) => new.still_takes(old, key),
            _ => false,
        };
        let ended = self
            .logins
            .sessions
            .end_where(|presence| matches!(presence.method, Method::Token { key, .. } if !still(key)));
        if !ended.is_empty() {
            tracing::info!(sessions = ended.len(), "tokens that are taken no more: their sessions end");
        }
    }

    /// Checks user name (an address, or a local part of the first domain) and password, records the event, opens the
    /// keys. Slow on purpose (argon2id), off the async workers, a bounded number at once; an app password is quick.
    pub async fn authenticate(
        &self,
        session: &Arc<SessionInfo>,
        user: &str,
        password: &SecretString,
    ) -> Result<Login, AuthError> {
        let attempt = self.begin(session, user).await?;
        match self.check(attempt.found.as_ref(), &attempt.name, password).await? {
            Some((method, trace)) => self.conclude(session, &attempt, method, trace).await,
            None => Err(self.fail(session, &attempt, "unknown account or wrong password")),
        }
    }

    /// Takes up an attempt, after the delay that is due.
    pub(crate) async fn begin<'a>(&'a self, session: &SessionInfo, user: &str) -> Result<Attempt<'a>, AuthError> {
        let attempt = self.go_on(session, user)?;
        self.delay(&attempt.name, attempt.ip)
            .await
            .inspect_err(|error| self.note_failure(session, attempt.found.as_ref(), *error, "slowed"))?;
        Ok(attempt)
    }

    /// A place in a bounded waiting room: a flood of logins ends here, not in memory. Without a delay: for what comes after
    /// it in the same exchange.
    pub(crate) fn go_on<'a>(&'a self, session: &SessionInfo, user: &str) -> Result<Attempt<'a>, AuthError> {
        let Ok(place) = self.logins.waiting.try_acquire() else { return Err(AuthError::Slowed) };
        let (name, found) = self.look_up(user)?;
        let ip = session.peer.map(|p| p.ip());
        let now = self.clock.monotonic();
        if !self.logins.throttle.lock().begin(&name, ip, now) {
            self.note_failure(session, found.as_ref(), AuthError::Slowed, "too many logins at once from one network");
            return Err(AuthError::Slowed);
        }
        Ok(Attempt { gate: self, _place: place, found, name, ip })
    }

    /// Counts and records a failure.
    pub(crate) fn fail(&self, session: &SessionInfo, attempt: &Attempt<'_>, reason: &str) -> AuthError {
        self.logins.throttle.lock().failed(&attempt.name, attempt.ip, self.clock.monotonic());
        self.note_failure(session, attempt.found.as_ref(), AuthError::Failed, reason);
        AuthError::Failed
    }

    /// The credentials are right: whether the account may come in.
    pub(crate) async fn conclude(
        &self,
        session: &Arc<SessionInfo>,
        attempt: &Attempt<'_>,
        method: Method,
        trace: LoginTrace,
    ) -> Result<Login, AuthError> {
        let Some(account) = attempt.found.clone() else { return Err(AuthError::Failed) };
        self.logins.throttle.lock().succeeded(&attempt.name, attempt.ip, self.clock.monotonic());
        if self.store.sharing().map_or(true, |sharing| sharing.is_shared(account.id)) {
            // It has no password; whatever else may let somebody in does not let him in there.
            self.note_failure(session, Some(&account), AuthError::Failed, "a shared account");
            return Err(AuthError::Failed);
        }
        if account.suspended {
            self.note_failure(session, Some(&account), AuthError::Suspended, "suspended");
            return Err(AuthError::Suspended);
        }
        if !self.door_is_open(session.protocol, &account) {
            self.note_failure(session, Some(&account), AuthError::Failed, "the profile does not open this door");
            return Err(AuthError::Failed);
        }
        self.enter(session, account, method, trace).await
    }

    /// The key of the address that is meant, and its account. A name that can be no address stands for itself.
    pub(crate) fn look_up(&self, user: &str) -> Result<(String, Option<Account>), AuthError> {
        let unavailable = |error: StoreError| {
            tracing::error!(%error, "the store does not answer a login");
            AuthError::Unavailable
        };
        let address = if user.len() > LOGIN_BYTES_MAX {
            None
        } else {
            self.directory.login_address(user).map_err(unavailable)?
        };
        match address {
            Some(address) => {
                let key = address.key();
                let found = self.store.account_by_key(&key).map_err(unavailable)?;
                Ok((key, found))
            }
            None => Ok((user.chars().take(LOGIN_BYTES_MAX).collect::<String>().to_lowercase(), None)),
        }
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

    /// Whether the password is right, and what of it is written. Without an account or a hash the same time passes.
    async fn check(
        &self,
        account: Option<&Account>,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<(Method, LoginTrace)>, AuthError> {
        if let Some(typed) = app_password_form(password)
            && let Some(app) = self.app_password(account, &typed)?
        {
            return Ok(Some((Method::App(app.id), self.app_trace(&app))));
        }
        let verifying = Arc::clone(&self.logins.verifying);
        let Ok(turn) = verifying.acquire_owned().await else { return Err(AuthError::Unavailable) };
        let (entry, password) = (account.and_then(|a| a.password.clone()), password.clone());
        let salt = self.store.scram_salt(name);
        let work = tokio::task::spawn_blocking(move || {
            // The turn goes with the work, not with the client, who may leave before it is done.
            let _turn = turn;
            match entry {
                Some(entry) if verify_password(&password, &entry) => Some(renewed(entry, &password, &salt)),
                Some(_) => None,
                None => {
                    dummy_verify(&password);
                    None
                }
            }
        });
        let right = work.await.map_err(|_| AuthError::Unavailable)?;
        let entry = account.and_then(|account| account.password.clone());
        Ok(right.map(|renewed| (Method::Password, LoginTrace { renewed, entry, ..LoginTrace::default() })))
    }

    /// The app password that was typed. An account that is not there costs the same look.
    fn app_password(&self, account: Option<&Account>, typed: &SecretString) -> Result<Option<AppPassword>, AuthError> {
        let id = account.map_or(AccountId::new(0), |account| account.id);
        let hash = Secret32::new(self.store.app_password_hash(id, typed.expose()));
        let apps = self.app_passwords(id)?;
        Ok(apps.into_iter().find(|app| Secret32::new(app.hash) == hash))
    }

    pub(crate) fn app_passwords(&self, account: AccountId) -> Result<Vec<AppPassword>, AuthError> {
        self.store.app_passwords(account).map_err(|error| {
            tracing::error!(%error, "the store does not answer a login");
            AuthError::Unavailable
        })
    }

    /// Its use is written, unless that was done a moment ago.
    pub(crate) fn app_trace(&self, app: &AppPassword) -> LoginTrace {
        let now = self.clock.now();
        let touch = app.last_used.is_none_or(|at| now.0.saturating_sub(at.0).abs() >= LAST_USE_EACH_MS);
        LoginTrace { app: Some(app.id), touch, ..LoginTrace::default() }
    }

    fn door_is_open(&self, protocol: Protocol, account: &Account) -> bool {
        let Some(profile) = self.directory.profile_of(account) else {
            tracing::warn!(account = %account.id, profile = account.profile, "the configuration has no such profile");
            return false;
        };
        match protocol {
            Protocol::Imap | Protocol::Pop3 => profile.imap,
            Protocol::Submission => profile.submission,
            _ => true,
        }
    }

    async fn enter(
        &self,
        session: &Arc<SessionInfo>,
        account: Account,
        method: Method,
        trace: LoginTrace,
    ) -> Result<Login, AuthError> {
        let before = session;
        let session = Arc::new(SessionInfo { actor: Actor::Account(account.id), ..SessionInfo::clone(session) });
        let max = {
            let settings = self.logins.settings.read();
            match session.protocol {
                Protocol::Imap | Protocol::Pop3 => settings.imap_sessions_max,
                Protocol::Submission => settings.submission_sessions_max,
                _ => usize::MAX,
            }
        };
        let who = (account.id, &account.address);
        let Some(presence) = self.logins.sessions.enter(who, &session, method, self.clock.now(), max) else {
            self.note_failure(before, Some(&account), AuthError::TooMany, "too many sessions of the account");
            return Err(AuthError::TooMany);
        };
        let permit = || self.grant(&session, Action::Login, Some(account.id), None, row(Action::Login));
        let mut event = self.event(&session, Action::Login).policy("login", Some(&account.profile));
        event.result.reason = Some(method.name());
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
        match self.store.record_login(permit(), event, trace).await {
            Ok(_) => {}
            // Revoked, changed or removed since it was looked at.
            Err(StoreError::Missing(_) | StoreError::NoAccount(_)) => {
                self.note_failure(before, Some(&account), AuthError::Failed, "revoked meanwhile");
                return Err(AuthError::Failed);
            }
            Err(error) => {
                tracing::error!(%error, "a login could not be recorded");
                return Err(AuthError::Unavailable);
            }
        }
        if let Method::Token { until, .. } = method {
            let left = until.saturating_sub(self.clock.now().secs());
            presence.end_after(Duration::from_secs(u64::try_from(left).unwrap_or(0)));
        }
        tracing::info!(session = %session.id, account = %account.id, protocol = ?session.protocol, "login");
        Ok(Login { session, account: account.id, address: account.address, keys, presence })
    }

    /// Whoever wants to read is told at once when the key store does not answer. Submission needs no private key.
    async fn reach_keys(&self, session: &SessionInfo, account: AccountId, keys: &Arc<Opened>) -> Result<(), AuthError> {
        if !matches!(session.protocol, Protocol::Imap | Protocol::Pop3) || !self.store.keys_may_be_gone() {
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

    pub(crate) fn note_failure(
        &self,
        session: &SessionInfo,
        account: Option<&Account>,
        error: AuthError,
        reason: &str,
    ) {
        let peer = session.peer.map(|p| p.ip().to_string()).unwrap_or_default();
        tracing::info!(session = %session.id, peer, protocol = ?session.protocol, reason, "login failed");
        let Some(unrecorded) = self.may_record_refusal() else { return };
        let code = match error {
            AuthError::Failed => "failed",
            AuthError::Suspended => "suspended",
            AuthError::Slowed => "slowed",
            AuthError::Unavailable => "unavailable",
            AuthError::NoKeys => "no-keys",
            AuthError::TooMany => "too-many",
        };
        let mut event = self.event(session, Action::Login).refused(code, reason).policy("login", None);
        if let Some(account) = account {
            event = event.account(account.id);
        }
        if unrecorded > 0 {
            event = event.count("refusals-not-recorded", unrecorded);
        }
        let session = Arc::new(session.clone());
        let permit = self.grant(&session, Action::Login, account.map(|a| a.id), None, row(Action::Login));
        self.store.note(permit, event);
    }
}

/// An entry from before SCRAM, or of other iterations: with what takes its place.
fn renewed(entry: String, password: &SecretString, salt: &[u8]) -> Option<(String, String)> {
    let present = ScramVerifier::of_entry(&entry);
    if present.is_some_and(|scram| scram.iterations == SCRAM_ITERATIONS && scram.salt == salt) {
        return None;
    }
    let new = ScramVerifier::derive(password, salt).ok()?.beside(&entry);
    Some((entry, new))
}
