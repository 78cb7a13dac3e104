//! Where a destination takes mail: the hosts in the order to try them, with their addresses.

use std::net::{IpAddr, SocketAddr};

use pli_io::{MxHost, Random, ResolveError, Resolver};
use pli_types::UnixMillis;

use crate::QueueConfig;
use crate::config::HostConfig;
use crate::networks::{Network, may_reach};
use crate::outcome::{Outcome, Reason};

/// Hosts tried in one attempt: a domain with many dead hosts must not hold a connection for an hour.
const HOSTS_MAX: usize = 5;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;

/// A host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// IPv6 and IPv4 in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What the configuration says of it.
    pub(crate) config: Option<HostConfig>,
}

/// What looking up needs.
pub(crate) struct Finder<'a> {
    pub(crate) config: &'a QueueConfig,
    pub(crate) allowed: &'a [Network],
    pub(crate) resolver: &'a dyn Resolver,
    pub(crate) random: &'a dyn Random,
    /// Our own name, for noticing ourselves among the MX hosts.
    pub(crate) hostname: &'a str,
}

/// The destination of a domain's mail: the domain, or `@host:port` where a route says so. Mail for domains that share a
/// route shares connections.
pub(crate) fn destination(config: &QueueConfig, domain: &str, override_: Option<&str>) -> String {
    let route = override_.or_else(|| config.routes.get(domain).or_else(|| config.routes.get("*")).map(String::as_str));
    route.map_or_else(|| domain.to_owned(), |route| format!("@{route}"))
}

impl Finder<'_> {
    /// The hosts of a destination.
    pub(crate) async fn hosts(&self, destination: &str) -> Result<Vec<Host>, Outcome> {
        if let Some(route) = destination.strip_prefix('@') {
            return self.fixed(route).await;
        }
        if let Some(literal) = destination.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
            // RFC 5321 §4.1.3
            let text = literal.strip_prefix("ipv6:").unwrap_or(literal);
            let address: IpAddr = text
                .parse()
                .map_err(|_| Outcome::Failed(Reason::new("5.1.2", "the address literal is not an address")))?;
            let addresses = self.permitted(destination, vec![address])?;
            return Ok(vec![Host { name: address.to_string(), addresses, config: None }]);
        }
        let mx = self.resolver.mx(destination).await.map_err(|error| unresolved(&error))?;
        let mx = self.not_ourselves(destination, self.shuffled(mx))?;
        let (mut hosts, mut last) = (Vec::new(), None);
        for host in mx.into_iter().take(HOSTS_MAX) {
            let found = match self.resolver.addresses(&host.name).await {
                Ok(addresses) => self.permitted(&host.name, addresses),
                Err(error) => Err(unresolved(&error)),
            };
            match found {
                Ok(addresses) => hosts.push(Host { name: host.name, addresses, config: None }),
                // What may be different later weighs more than what will not.
                Err(why) if last.as_ref().is_none_or(|before: &Outcome| !before.is_deferred()) => last = Some(why),
                Err(_) => {}
            }
        }
        if hosts.is_empty() {
            return Err(last.unwrap_or_else(|| Outcome::Failed(Reason::new("5.4.4", "no address for its mail hosts"))));
        }
        Ok(hosts)
    }

    async fn fixed(&self, route: &str) -> Result<Vec<Host>, Outcome> {
        let config = self.config.hosts.iter().find(|host| host.host == route).cloned();
        if let Ok(address) = route.parse::<SocketAddr>() {
            return Ok(vec![Host { name: address.ip().to_string(), addresses: vec![address], config }]);
        }
        let (name, port) = match route.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(self.config.port)),
            None => (route, self.config.port),
        };
        let found = self.resolver.addresses(name).await.map_err(|error| match unresolved(&error) {
            // An administrator's route: his mistake is no reason to bounce.
            Outcome::Failed(reason) => Outcome::Deferred(Reason { status: String::from("4.4.4"), ..reason }),
            other => other,
        })?;
        let addresses = in_turn(found).into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Ok(vec![Host { name: name.to_owned(), addresses, config }])
    }

    fn permitted(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<SocketAddr>, Outcome> {
        let (good, bad): (Vec<_>, Vec<_>) =
            in_turn(addresses).into_iter().partition(|address| may_reach(*address, self.allowed));
        match (good.as_slice(), bad.first()) {
            ([], Some(bad)) => {
                let text = format!("{name} is at {bad}, where no mail is sent (queue.private_networks)");
                Err(Outcome::Failed(Reason::new("5.4.4", text)))
            }
            _ => Ok(good.into_iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(ip, self.config.port)).collect()),
        }
    }

    /// RFC 5321 §5.1: hosts of the same preference are tried in an order of chance, so that they share the work.
    fn shuffled(&self, mut hosts: Vec<MxHost>) -> Vec<MxHost> {
        let mut keyed: Vec<(u16, u64, MxHost)> =
            hosts.drain(..).map(|host| (host.preference, self.random.next_u64(), host)).collect();
        keyed.sort_by_key(|(preference, chance, _)| (*preference, *chance));
        keyed.into_iter().map(|(_, _, host)| host).collect()
    }

    /// RFC 5321 §5.1: when we stand in the list ourselves, only hosts before us are tried; being the best is a loop.
    fn not_ourselves(&self, domain: &str, mut hosts: Vec<MxHost>) -> Result<Vec<MxHost>, Outcome> {
        let us = hosts.iter().find(|host| host.name.eq_ignore_ascii_case(self.hostname)).map(|host| host.preference);
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

/// IPv6 and IPv4 in turn, IPv6 first (RFC 8305 §4), each once.
fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut out: Vec<IpAddr> = Vec::with_capacity(six.len().saturating_add(four.len()));
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        let pair = [six.next(), four.next()];
        if pair.iter().all(Option::is_none) {
            return out;
        }
        for address in pair.into_iter().flatten() {
            if !out.contains(&address) {
                out.push(address);
            }
        }
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

/// When a row is due: not before the moment that its sender named.
pub(crate) fn due(next: UnixMillis, attempts: u32, parameters: &[u8]) -> UnixMillis {
    if parameters.is_empty() || attempts > 0 {
        return next;
    }
    // RFC 4865 §4: not before the moment that the client named.
    let hold = pli_types::EnvelopeParameters::decode(parameters).mail.hold_until;
    hold.map_or(next, |until| until.max(next))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn families_take_turns() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = vec![ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1"), ip("192.0.2.1")];
        assert_eq!(in_turn(all), [ip("2001:db8::1"), ip("192.0.2.1"), ip("192.0.2.2")]);
        assert!(in_turn(Vec::new()).is_empty());
    }

    #[test]
    fn routes_come_before_domains() {
        let mut config = QueueConfig::default();
        assert_eq!(destination(&config, "a.test", None), "a.test");
        config.routes.insert(String::from("*"), String::from("smart.test:587"));
        config.routes.insert(String::from("b.test"), String::from("10.0.0.1:25"));
        assert_eq!(destination(&config, "a.test", None), "@smart.test:587");
        assert_eq!(destination(&config, "b.test", None), "@10.0.0.1:25");
        assert_eq!(destination(&config, "b.test", Some("x:25")), "@x:25");
    }

    #[test]
    fn what_is_held_by_its_sender_is_due_later() {
        let parameters = pli_types::EnvelopeParameters {
            mail: pli_types::MailParameters { hold_until: Some(UnixMillis(500)), ..Default::default() },
            ..Default::default()
        };
        assert_eq!(due(UnixMillis(10), 0, &parameters.encode()), UnixMillis(500));
        assert_eq!(due(UnixMillis(900), 1, &parameters.encode()), UnixMillis(900));
        assert_eq!(due(UnixMillis(10), 0, &[]), UnixMillis(10));
    }
}
