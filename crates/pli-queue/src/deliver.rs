//! The attempt at each host of a destination in turn, over a session that is kept for the next message.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use pli_net::{ClientTls, Connection};

use crate::QueueConfig;
use crate::config::HostTls;
use crate::hosts::{Finder, Host};
use crate::outcome::{Outcome, Reason};
use crate::plan::Went;
use crate::transaction::{Envelope, Secrecy, Session, SessionError};

const CONNECT_S: u64 = 30;
/// RFC 8305 §5: how long one address is waited for before the next is tried beside it.
const NEXT_ADDRESS_MS: u64 = 1000;

/// From where, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) ehlo: String,
    pub(crate) source: Vec<IpAddr>,
}

/// A session with a destination, kept between messages.
pub(crate) struct Line {
    session: Session,
    identity: Identity,
    /// When it was opened, by the monotonic clock.
    opened: Duration,
}

/// What an attempt needs besides the message.
pub(crate) struct Route<'a> {
    pub(crate) config: &'a QueueConfig,
    pub(crate) finder: Finder<'a>,
    pub(crate) tls: Option<&'a ClientTls>,
    pub(crate) identity: Identity,
    pub(crate) now: Duration,
}

/// How an attempt ended.
pub(crate) struct Delivered {
    /// For each recipient, in order.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) went: Went,
    /// To be used again.
    pub(crate) line: Option<Line>,
}

impl Line {
    fn is_good_for(&self, route: &Route<'_>) -> bool {
        let age = route.now.saturating_sub(self.opened);
        !self.session.spent
            && self.identity == route.identity
            && self.session.messages < route.config.messages_per_connection_max
            && age < Duration::from_secs(route.config.connection_age_max_s.into())
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        if !self.session.spent {
            self.session.quit().await;
        }
    }
}

impl Route<'_> {
    /// Delivers to all recipients of one destination.
    pub(crate) async fn deliver(&self, destination: &str, envelope: &Envelope<'_>, line: Option<Line>) -> Delivered {
        let bytes = u64::try_from(envelope.message.len()).unwrap_or(u64::MAX);
        let limit = Duration::from_secs(u64::from(self.config.attempt_timeout_s).saturating_add(bytes / 10_000));
        match tokio::time::timeout(limit, self.try_all(destination, envelope, line)).await {
            Ok(delivered) => delivered,
            // RFC 5321 §4.5.3.2 bounds each step; a peer that uses each to the last second must not hold us for hours.
            Err(_) => {
                let reason = Reason::new("4.4.2", format!("the attempt took more than {} s", limit.as_secs()));
                let outcomes = vec![Outcome::Deferred(reason.clone()); envelope.forward_paths.len()];
                Delivered { outcomes, went: Went::Dead(reason), line: None }
            }
        }
    }

    async fn try_all(&self, destination: &str, envelope: &Envelope<'_>, line: Option<Line>) -> Delivered {
        if let Some(delivered) = self.try_again(envelope, line).await {
            return delivered;
        }
        let count = envelope.forward_paths.len();
        let all = |outcome: Outcome, went| Delivered { outcomes: vec![outcome; count], went, line: None };
        let hosts = match self.finder.hosts(destination).await {
            Ok(hosts) => hosts,
            // The name servers have spoken, or not: that is no silence of the destination's.
            Err(outcome) => return all(outcome, Went::Untried),
        };
        let none = Reason::new("4.4.1", "no host answered");
        let mut last = all(Outcome::Deferred(none.clone()), Went::Dead(none));
        for host in &hosts {
            let mut session = match self.open(host).await {
                Ok(session) => session,
                Err(error) => {
                    let reason = reason(&error).at(&host.name);
                    let went = match &error {
                        SessionError::Refused(_) => Went::Busy,
                        _ => Went::Dead(reason.clone()),
                    };
                    last = all(Outcome::Deferred(reason), went);
                    continue;
                }
            };
            match session.send(envelope).await {
                Ok(outcomes) => {
                    last = self.answered(outcomes, session);
                }
                Err(error) => {
                    let reason = reason(&error).at(&host.name);
                    last = all(Outcome::Deferred(reason.clone()), Went::Dead(reason));
                    if session.unknown {
                        // It may have the message: another host is not given it too.
                        break;
                    }
                }
            }
            // RFC 5321 §5.1: the next host is tried when this one could not be used; a host that answered, even with
            // "later", has spoken for its recipients unless it refused all of them for now.
            if !last.outcomes.iter().all(Outcome::is_deferred) {
                break;
            }
            if let Some(line) = last.line.take() {
                line.close().await;
            }
        }
        last
    }

    /// Over the session of the last message. `None`: it is gone, and nothing was sent.
    async fn try_again(&self, envelope: &Envelope<'_>, line: Option<Line>) -> Option<Delivered> {
        let mut line = line?;
        if !line.is_good_for(self) {
            line.close().await;
            return None;
        }
        line.session.reset().await.ok()?;
        match line.session.send(envelope).await {
            // "Enough over this connection" is not "enough".
            Ok(outcomes) if line.session.spent && outcomes.iter().all(Outcome::is_deferred) => None,
            Ok(outcomes) => {
                let opened = line.opened;
                let mut delivered = self.answered(outcomes, line.session);
                if let Some(line) = &mut delivered.line {
                    line.opened = opened;
                }
                Some(delivered)
            }
            Err(error) if line.session.unknown => {
                let reason = reason(&error);
                let outcomes = vec![Outcome::Deferred(reason.clone()); envelope.forward_paths.len()];
                Some(Delivered { outcomes, went: Went::Dead(reason), line: None })
            }
            Err(_) => None,
        }
    }

    fn answered(&self, outcomes: Vec<Outcome>, session: Session) -> Delivered {
        let busy = session.spent && outcomes.iter().all(Outcome::is_deferred);
        let line = (!session.spent).then(|| Line { session, identity: self.identity.clone(), opened: self.now });
        Delivered { outcomes, went: if busy { Went::Busy } else { Went::Well }, line }
    }

    async fn open(&self, host: &Host) -> Result<Session, SessionError> {
        let wanted = host.config.as_ref().map_or(HostTls::Opportunistic, |config| config.tls);
        let login = host.config.as_ref().and_then(|config| Some((config.user.clone()?, config.password.0.clone())));
        let secrecy = match wanted {
            HostTls::Implicit => Secrecy::Implicit,
            HostTls::Required => Secrecy::Required,
            // A password is not sent in the clear.
            HostTls::Opportunistic if login.is_some() => Secrecy::Required,
            HostTls::Opportunistic | HostTls::Off => Secrecy::Offered,
        };
        let tls = self.tls.filter(|_| wanted != HostTls::Off);
        if tls.is_none() && secrecy != Secrecy::Offered {
            return Err(SessionError::Wanting("TLS is demanded and switched off"));
        }
        let first = self.greet(host, tls.map(|tls| (tls, secrecy))).await;
        let mut session = match first {
            // RFC 7435: a failed handshake must not cost the mail where nothing demanded TLS.
            Err(SessionError::Tls(error)) if secrecy == Secrecy::Offered => {
                tracing::info!(host = %host.name, %error, "TLS failed, going on in the clear");
                self.greet(host, None).await?
            }
            other => other?,
        };
        if let Some((user, password)) = login {
            session.log_in(&user, &password).await?;
        }
        Ok(session)
    }

    async fn greet(&self, host: &Host, tls: Option<(&ClientTls, Secrecy)>) -> Result<Session, SessionError> {
        let connection = self.connect(&host.addresses).await?;
        let session = Session::open(connection, &host.name, &self.identity.ehlo, tls).await?;
        if let Some(tls) = session.tls() {
            tracing::debug!(host = %host.name, version = tls.version, cipher = tls.cipher, "TLS");
        }
        Ok(session)
    }

    /// The first address that answers; a slow one is not waited for alone. RFC 8305.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<Connection, SessionError> {
        let mut rest = addresses.iter();
        let mut trying = FuturesUnordered::new();
        let mut last = SessionError::TimeOut(CONNECT_S);
        if let Some(first) = rest.next() {
            trying.push(self.connect_one(*first));
        }
        loop {
            tokio::select! {
                answer = trying.next() => match answer {
                    Some(Ok(connection)) => return Ok(connection),
                    Some(Err(error)) => {
                        last = error;
                        if let Some(next) = rest.next() {
                            trying.push(self.connect_one(*next));
                        }
                    }
                    None => return Err(last),
                },
                () = tokio::time::sleep(Duration::from_millis(NEXT_ADDRESS_MS)), if rest.len() > 0 => {
                    if let Some(next) = rest.next() {
                        trying.push(self.connect_one(*next));
                    }
                }
            }
        }
    }

    async fn connect_one(&self, address: SocketAddr) -> Result<Connection, SessionError> {
        let source = self.identity.source.iter().find(|source| source.is_ipv4() == address.is_ipv4()).copied();
        let connect = Connection::connect_from(source, address);
        let limit = Duration::from_secs(CONNECT_S);
        tokio::time::timeout(limit, connect)
            .await
            .map_err(|_| SessionError::TimeOut(CONNECT_S))?
            .map_err(SessionError::Io)
    }
}

fn reason(error: &SessionError) -> Reason {
    match error {
        SessionError::Io(_) | SessionError::TimeOut(_) => Reason::new("4.4.2", error.to_string()),
        SessionError::NotSmtp | SessionError::Early => Reason::new("4.5.0", error.to_string()),
        SessionError::Tls(_) | SessionError::Injected => Reason::new("4.7.5", error.to_string()),
        SessionError::Wanting(_) => Reason::new("4.7.0", error.to_string()),
        SessionError::Refused(reply) => {
            // A refusal before MAIL is about us or the moment, not about the recipient: never a bounce.
            let text = reply.text();
            Reason { status: String::from("4.3.2"), reply: Some(text.to_owned()), text: text.to_owned(), host: None }
        }
    }
}
