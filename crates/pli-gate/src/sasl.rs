//! What SASL exchanges ask: passwords, SCRAM, tokens, certificates. One function for every protocol.

use std::sync::Arc;

use pli_crypto::{SCRAM_ITERATIONS, ScramKeys, ScramVerifier, SecretString};
use pli_sasl::{Ask, Server, Terms, Verifiers};
use pli_store::{Account, LoginTrace};
use pli_types::{AccountId, SessionInfo};

use crate::gate::Gate;
use crate::login::{Attempt, AuthError, Login};
use crate::sessions::{Method, Present, Which};

/// The answer to an [`Ask`] that was not refused.
pub enum Answer {
    /// Go on with these.
    Verifiers(Verifiers),
    /// The end: somebody has logged in.
    Login(Box<Login>),
}

impl Gate {
    /// What a connection allows: `binding` is its TLS session's keying material, `certificate` whether its client showed a
    /// verified one.
    #[must_use]
    pub fn terms(&self, binding: Option<[u8; 32]>, certificate: bool) -> Terms {
        Terms { binding, certificate, tokens: self.logins.settings.read().issuer.is_some() }
    }

    /// Answers what an exchange asks. `certificate` are the addresses in the certificate that the client showed.
    pub async fn sasl(
        &self,
        session: &Arc<SessionInfo>,
        ask: Ask,
        certificate: &[String],
    ) -> Result<Answer, AuthError> {
        let login = match ask {
            Ask::Verifiers { user } => return self.verifiers(session, &user).await.map(Answer::Verifiers),
            Ask::Password { user, password } => self.authenticate(session, &user, &password).await,
            Ask::Proved { user, app, keys } => self.proved(session, &user, app, &keys).await,
            Ask::Disproved { user } => {
                // Whoever guesses has waited at his first message, for what he had failed before.
                let attempt = self.go_on(session, &user)?;
                Err(self.fail(session, &attempt, "unknown account or wrong proof"))
            }
            Ask::Token { user, token, server } => self.token(session, user.as_deref(), &token, &server).await,
            Ask::Certificate { user } => self.certificate(session, user.as_deref(), certificate).await,
        };
        login.map(|login| Answer::Login(Box::new(login)))
    }

    /// What SCRAM needs of an account. RFC 5802 §5.1: an account that is not there, or has nothing for SCRAM, has a salt
    /// too, always the same, and keys under which no proof is right; the look-ups are the same.
    async fn verifiers(&self, session: &Arc<SessionInfo>, user: &str) -> Result<Verifiers, AuthError> {
        let attempt = self.begin(session, user).await?;
        let salt = self.store.scram_salt(&attempt.name);
        let nobody = self.store.no_scram_keys(&attempt.name);
        let account = attempt.found.as_ref();
        let apps = self.app_passwords(account.map_or(AccountId::new(0), |account| account.id))?;
        let own = account.and_then(|account| ScramVerifier::of_entry(account.password.as_deref()?));
        let own = own.filter(|own| own.salt == salt);
        let iterations = own.as_ref().map_or(SCRAM_ITERATIONS, |own| own.iterations);
        let apps = apps.into_iter().filter(|app| app.iterations == iterations).map(|app| (Some(app.id), app.scram));
        let mut keys: Vec<_> = own.map(|own| (None, own.keys)).into_iter().chain(apps).collect();
        if keys.is_empty() {
            keys.push((None, nobody));
        }
        Ok(Verifiers { salt: salt.to_vec(), iterations, keys })
    }

    /// What was proved must still be kept: between the first message and the last a password may be changed.
    async fn proved(
        &self,
        session: &Arc<SessionInfo>,
        user: &str,
        app: Option<u32>,
        keys: &ScramKeys,
    ) -> Result<Login, AuthError> {
        let attempt = self.go_on(session, user)?;
        // No proof is right under the keys of an account that is not there.
        let Some(account) = &attempt.found else {
            return Err(self.fail(session, &attempt, "no such account any more"));
        };
        let Some(id) = app else {
            let entry = account.password.clone();
            let own = entry.as_deref().and_then(ScramVerifier::of_entry);
            if own.is_none_or(|own| own.keys != *keys) {
                return Err(self.fail(session, &attempt, "changed meanwhile"));
            }
            let trace = LoginTrace { entry, ..LoginTrace::default() };
            return self.conclude(session, &attempt, Method::Scram, trace).await;
        };
        let apps = self.app_passwords(account.id)?;
        match apps.iter().find(|app| app.id == id && app.scram == *keys) {
            Some(app) => self.conclude(session, &attempt, Method::App(id), self.app_trace(app)).await,
            None => Err(self.fail(session, &attempt, "revoked meanwhile")),
        }
    }

    /// RFC 7628. A token that is no good counts for its network, not for the account that it claims: nobody guesses tokens,
    /// and programs show old ones again and again.
    async fn token(
        &self,
        session: &Arc<SessionInfo>,
        user: Option<&str>,
        token: &SecretString,
        server: &Server,
    ) -> Result<Login, AuthError> {
        let attempt = self.begin(session, "").await?;
        let settings = Arc::clone(&self.logins.settings.read());
        if !settings.are(server) {
            return Err(self.fail(session, &attempt, "the token was sent to another server"));
        }
        let Some(issuer) = &settings.issuer else { return Err(self.fail(session, &attempt, "tokens are not taken")) };
        let claim = match issuer.check(token.expose(), self.clock.now().secs()) {
            Ok(claim) => claim,
            Err(error) => return Err(self.fail(session, &attempt, &format!("token: {error}"))),
        };
        let (_, found) = self.look_up(&claim.address)?;
        let found = self.same(found, user)?;
        let method = Method::Token { until: claim.expires, key: claim.key };
        self.named(session, attempt, found, method, "the token is for no account, or for another").await
    }

    /// RFC 4422 appendix A: the first address of the certificate that has an account; the one that the client names, if it
    /// names one.
    async fn certificate(
        &self,
        session: &Arc<SessionInfo>,
        user: Option<&str>,
        addresses: &[String],
    ) -> Result<Login, AuthError> {
        let attempt = self.begin(session, "").await?;
        let mut found = None;
        for address in addresses.iter().filter(|address| address.contains('@')) {
            found = self.same(self.look_up(address)?.1, user)?;
            if found.is_some() {
                break;
            }
        }
        self.named(session, attempt, found, Method::Certificate, "the certificate is of no account, or of another")
            .await
    }

    /// The account, if it is also the one that was named.
    fn same(&self, found: Option<Account>, user: Option<&str>) -> Result<Option<Account>, AuthError> {
        let (Some(found), Some(user)) = (&found, user) else { return Ok(found) };
        let same = self.look_up(user)?.1.is_some_and(|named| named.id == found.id);
        Ok(same.then(|| found.clone()))
    }

    /// Goes on with the account that a token or a certificate names.
    async fn named(
        &self,
        session: &Arc<SessionInfo>,
        mut attempt: Attempt<'_>,
        found: Option<Account>,
        method: Method,
        otherwise: &str,
    ) -> Result<Login, AuthError> {
        let Some(account) = found else { return Err(self.fail(session, &attempt, otherwise)) };
        attempt.name = account.address.key();
        attempt.found = Some(account);
        self.conclude(session, &attempt, method, LoginTrace::default()).await
    }

    /// The sessions that are logged in, the oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<Present> {
        self.logins.sessions.list()
    }

    /// Tells sessions to end; returns them. What they are in the midst of is broken off after some seconds.
    pub fn end_sessions(&self, which: Which) -> Vec<Present> {
        self.logins.sessions.end(which)
    }
}
