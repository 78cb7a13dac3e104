//! DNS as the queue needs it: where does a domain take its mail?

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig as HickoryConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
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

/// `hickory-resolver` behind [`Resolver`].
pub struct DnsResolver {
    inner: Option<TokioResolver>,
}

impl DnsResolver {
    /// Builds the resolver; does not ask anything yet.
    pub fn new(config: &ResolverConfig) -> Result<Self, ResolveError> {
        let failed = |reason: String| ResolveError::Temporary { name: String::from("(start)"), reason };
        let inner = match config {
            ResolverConfig::Off => None,
            ResolverConfig::System => {
                let builder = TokioResolver::builder_tokio().map_err(|e| failed(e.to_string()))?;
                Some(builder.build().map_err(|e| failed(e.to_string()))?)
            }
            ResolverConfig::Servers(addresses) => {
                let servers = addresses.iter().map(|ip| NameServerConfig::udp_and_tcp(*ip)).collect();
                let config = HickoryConfig::from_parts(None, Vec::new(), servers);
                let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(ResolverOpts::default());
                Some(builder.build().map_err(|e| failed(e.to_string()))?)
            }
        };
        Ok(Self { inner })
    }

    fn inner(&self, name: &str) -> Result<&TokioResolver, ResolveError> {
        self.inner.as_ref().ok_or_else(|| ResolveError::Temporary {
            name: name.to_owned(),
            reason: String::from("no resolver is configured"),
        })
    }
}

/// Permanent when the name server says so, temporary otherwise.
fn classify(name: &str, error: &NetError) -> ResolveError {
    if error.is_nx_domain() {
        ResolveError::NoDomain(name.to_owned())
    } else if error.is_no_records_found() {
        ResolveError::NoRecord(name.to_owned())
    } else {
        ResolveError::Temporary { name: name.to_owned(), reason: error.to_string() }
    }
}

impl Resolver for DnsResolver {
    fn mx<'a>(&'a self, domain: &'a str) -> LookUp<'a, Vec<MxHost>> {
        Box::pin(async move {
            let resolver = self.inner(domain)?;
            let fqdn = format!("{domain}.");
            let lookup = match resolver.mx_lookup(fqdn).await {
                Ok(lookup) => lookup,
                Err(error) => {
                    return match classify(domain, &error) {
                        // RFC 5321 §5.1: implicit MX
                        ResolveError::NoRecord(_) => Ok(vec![MxHost { preference: 0, name: domain.to_owned() }]),
                        other => Err(other),
                    };
                }
            };
            let mut hosts: Vec<MxHost> = lookup
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::MX(mx) => Some(MxHost {
                        preference: mx.preference,
                        name: mx.exchange.to_ascii().trim_end_matches('.').to_owned(),
                    }),
                    _ => None,
                })
                .collect();
            hosts.sort_by(|a, b| (a.preference, &a.name).cmp(&(b.preference, &b.name)));
            match hosts.as_slice() {
                // RFC 7505 §3
                [only] if only.name.is_empty() => Err(ResolveError::NullMx(domain.to_owned())),
                _ => Ok(hosts),
            }
        })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> LookUp<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let lookup =
                self.inner(host)?.lookup_ip(format!("{host}.")).await.map_err(|error| classify(host, &error))?;
            Ok(lookup.iter().collect())
        })
    }
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
