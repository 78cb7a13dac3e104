//! DNS as the queue needs it: where does a domain take its mail?

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use thiserror::Error;

/// One host of an MX set, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    /// RFC 5321 §5.1: lower is tried first.
    pub preference: u16,
    /// Host name without trailing dot.
    pub name: String,
}

/// Why a name did not resolve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The domain does not exist (NXDOMAIN): permanent.
    #[error("the domain {0} does not exist")]
    NoDomain(String),
    /// RFC 7505: null MX: permanent.
    #[error("the domain {0} takes no mail (null MX)")]
    NullMx(String),
    /// It exists and has no record of the kind asked: permanent.
    #[error("no address found for {0}")]
    NoRecord(String),
    /// Time-out, SERVFAIL, no resolver configured: temporary.
    #[error("looking up {name} failed for now: {reason}")]
    Temporary {
        /// What was asked.
        name: String,
        /// What happened.
        reason: String,
    },
}

/// A boxed future of a look-up.
pub type LookUp<'a, T> = Pin<Box<dyn Future<Output = Result<T, ResolveError>> + Send + 'a>>;

/// Looks up what delivery needs.
pub trait Resolver: Send + Sync {
    /// MX hosts in order of preference; a domain without MX but with an address is its own MX (RFC 5321 §5.1).
    fn mx<'a>(&'a self, domain: &'a str) -> LookUp<'a, Vec<MxHost>>;
    /// Addresses of a host, IPv6 and IPv4.
    fn addresses<'a>(&'a self, host: &'a str) -> LookUp<'a, Vec<IpAddr>>;
}

/// Which resolver to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResolverConfig {
    /// None: every look-up is a temporary failure. The default: nothing leaves the machine unless configured.
    #[default]
    Off,
    /// The system's (`/etc/resolv.conf`).
    System,
    /// These servers.
    Servers(Vec<IpAddr>),
}

/// A fixed table, for tests and closed networks.
#[derive(Clone, Debug, Default)]
pub struct StaticResolver {
    /// Domain to its MX hosts.
    pub mx: HashMap<String, Vec<MxHost>>,
    /// Host to its addresses.
    pub addresses: HashMap<String, Vec<IpAddr>>,
}

impl Resolver for StaticResolver {
    fn mx<'a>(&'a self, domain: &'a str) -> LookUp<'a, Vec<MxHost>> {
        let found = self.mx.get(domain).cloned().ok_or_else(|| ResolveError::NoDomain(domain.to_owned()));
        Box::pin(std::future::ready(found))
    }
    fn addresses<'a>(&'a self, host: &'a str) -> LookUp<'a, Vec<IpAddr>> {
        let found = self.addresses.get(host).cloned().ok_or_else(|| ResolveError::NoRecord(host.to_owned()));
        Box::pin(std::future::ready(found))
    }
}
