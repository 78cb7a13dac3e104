//! One destination: where it takes mail, and the attempt at each of its hosts in turn.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pli_io::{MxHost, ResolveError, Resolver};
use pli_net::{ClientTls, Connection};

use crate::QueueConfig;
use crate::outcome::{Outcome, Reason};
use crate::transaction::{Envelope, Session, SessionError};

const CONNECT_S: u64 = 60;
/// Addresses tried in one attempt: a domain with many dead hosts must not hold a connection slot for an hour.
const ADDRESSES_MAX: usize = 8;

/// What an attempt needs besides the message.
pub(crate) struct Route<'a> {
    pub(crate) config: &'a QueueConfig,
    pub(crate) resolver: &'a dyn Resolver,
    pub(crate) tls: Option<&'a ClientTls>,
    /// Our own name, for EHLO and for noticing ourselves among the MX hosts.
    pub(crate) helo: &'a str,
}

/// A host to try.
struct Target {
    host: String,
    address: SocketAddr,
}

impl Route<'_> {
    /// Delivers to all recipients of one domain; an outcome for each, in order.
    pub(crate) async fn deliver(&self, domain: &str, envelope: &Envelope<'_>) -> Vec<Outcome> {
        let count = envelope.forward_paths.len();
        let targets = match self.targets(domain).await {
            Ok(targets) => targets,
            Err(outcome) => return vec![outcome; count],
        };
        let mut outcomes = vec![Outcome::Deferred(Reason::new("4.4.1", "no host answered")); count];
        for target in targets.iter().take(ADDRESSES_MAX) {
            match self.attempt(target, envelope).await {
                Ok(fresh) => outcomes = fresh,
                Err(error) => {
                    let reason = reason(&error).at(&target.host);
                    outcomes = vec![Outcome::Deferred(reason); count];
                }
            }
            // RFC 5321 §5.1: the next host is tried when this one could not be used; a host that answered, even with
            // "later", has spoken for its recipients unless it refused all of them for now.
            if !outcomes.iter().all(Outcome::is_deferred) {
                break;
            }
        }
        outcomes
    }

    async fn attempt(&self, target: &Target, envelope: &Envelope<'_>) -> Result<Vec<Outcome>, SessionError> {
        let session = match self.open(target, self.tls).await {
            // RFC 7435: a failed handshake must not cost the mail where nothing demanded TLS.
            Err(SessionError::Tls(error)) => {
                tracing::info!(host = %target.host, %error, "TLS failed, going on in the clear");
                self.open(target, None).await
            }
            other => other,
        };
        match session {
            Ok(mut session) => {
                let outcomes = session.send(envelope).await?;
                session.quit().await;
                Ok(outcomes)
            }
            Err(error) => Err(error),
        }
    }

    async fn open(&self, target: &Target, tls: Option<&ClientTls>) -> Result<Session, SessionError> {
        let connect = tokio::time::timeout(Duration::from_secs(CONNECT_S), Connection::connect(target.address));
        let connection = connect.await.map_err(|_| SessionError::TimeOut(CONNECT_S))??;
        Session::open(connection, &target.host, self.helo, tls).await
    }

    /// Hosts in the order to try them.
    async fn targets(&self, domain: &str) -> Result<Vec<Target>, Outcome> {
        if let Some(route) = self.config.routes.get(domain) {
            return self.fixed(route).await;
        }
        if let Some(literal) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
            // RFC 5321 §4.1.3
            let text = literal.strip_prefix("ipv6:").unwrap_or(literal);
            let address: IpAddr = text
                .parse()
                .map_err(|_| Outcome::Failed(Reason::new("5.1.2", "the address literal is not an address")))?;
            return Ok(vec![Target { host: address.to_string(), address: SocketAddr::new(address, self.config.port) }]);
        }
        let hosts = self.resolver.mx(domain).await.map_err(|error| unresolved(&error))?;
        let hosts = self.not_ourselves(domain, hosts)?;
        let mut targets = Vec::new();
        let mut last = None;
        for host in hosts {
            match self.resolver.addresses(&host.name).await {
                Ok(addresses) => targets.extend(addresses.into_iter().map(|address| Target {
                    host: host.name.clone(),
                    address: SocketAddr::new(address, self.config.port),
                })),
                Err(error) => last = Some(unresolved(&error)),
            }
        }
        if targets.is_empty() {
            return Err(last.unwrap_or_else(|| Outcome::Failed(Reason::new("5.4.4", "no address for its mail hosts"))));
        }
        Ok(targets)
    }

    async fn fixed(&self, route: &str) -> Result<Vec<Target>, Outcome> {
        if let Ok(address) = route.parse() {
            return Ok(vec![Target { host: route.to_owned(), address }]);
        }
        let (host, port) = match route.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(self.config.port)),
            None => (route, self.config.port),
        };
        let addresses = self.resolver.addresses(host).await.map_err(|error| unresolved(&error))?;
        Ok(addresses
            .into_iter()
            .map(|address| Target { host: host.to_owned(), address: SocketAddr::new(address, port) })
            .collect())
    }

    /// RFC 5321 §5.1: when we stand in the list ourselves, only hosts before us are tried; being the best is a loop.
    fn not_ourselves(&self, domain: &str, mut hosts: Vec<MxHost>) -> Result<Vec<MxHost>, Outcome> {
        let us = hosts.iter().find(|host| host.name.eq_ignore_ascii_case(self.helo)).map(|host| host.preference);
        if let Some(ours) = us {
            hosts.retain(|host| host.preference < ours);
            if hosts.is_empty() {
                let text = format!("mail for {domain} loops back to this server");
                return Err(Outcome::Failed(Reason::new("5.4.6", text)));
            }
        }
        Ok(hosts)
    }
}

fn unresolved(error: &ResolveError) -> Outcome {
    let text = error.to_string();
    match error {
        ResolveError::NoDomain(_) => Outcome::Failed(Reason::new("5.1.2", text)),
        ResolveError::NullMx(_) => Outcome::Failed(Reason::new("5.1.10", text)), // RFC 7505 §4.2
        ResolveError::NoRecord(_) => Outcome::Failed(Reason::new("5.4.4", text)),
        ResolveError::Temporary { .. } => Outcome::Deferred(Reason::new("4.4.3", text)),
    }
}

fn reason(error: &SessionError) -> Reason {
    match error {
        SessionError::Io(_) | SessionError::TimeOut(_) => Reason::new("4.4.2", error.to_string()),
        SessionError::NotSmtp => Reason::new("4.5.0", error.to_string()),
        SessionError::Tls(_) | SessionError::Injected => Reason::new("4.7.5", error.to_string()),
        SessionError::Refused(reply) => {
            // A refusal before MAIL is about us or the moment, not about the recipient: never a bounce.
            let text = reply.text();
            Reason { status: String::from("4.3.2"), reply: Some(text.to_owned()), text: text.to_owned(), host: None }
        }
    }
}
