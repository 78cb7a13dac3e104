//! Where answers come from: name servers with a bounded cache and DNSSEC, a zone in memory, or nowhere.

use std::future::Future as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig as HickoryConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use pli_io::{MxHost, ResolveError, ResolverConfig};

use super::{Answer, Dns, DnsError, Kind, Looking, Record, Zone, addresses, fold, mx};

/// Answers kept, at most.
const CACHE_ANSWERS: u64 = 16_384;
/// An answer is not kept longer than this, whatever its record says.
const CACHE_LONGEST: Duration = Duration::from_secs(86_400);
/// What one question may take in all, retries and DNSSEC included.
const LIMIT: Duration = Duration::from_secs(10);
/// What one name server gets for one try.
const TRY: Duration = Duration::from_secs(3);

/// Whom to ask.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nobody, or name servers.
    Servers(ResolverConfig),
    /// A zone in memory; what it does not hold does not exist. Nobody else is asked.
    Zone(Arc<Zone>),
}

enum Inner {
    Off,
    Servers(Box<TokioResolver>),
    Zone(Arc<Zone>),
}

/// The one resolver of the server.
pub struct Resolver {
    inner: Inner,
    limit: Duration,
}

impl Resolver {
    /// Builds it; does not ask anything yet. With `validate`, signatures are checked from the root's keys down.
    pub fn new(source: &Source, validate: bool) -> Result<Self, DnsError> {
        let failed = |error: NetError| temporary("(start)", error.to_string());
        let builder = match source {
            Source::Zone(zone) => return Ok(Self { inner: Inner::Zone(Arc::clone(zone)), limit: LIMIT }),
            Source::Servers(ResolverConfig::Off) => return Ok(Self { inner: Inner::Off, limit: LIMIT }),
            Source::Servers(ResolverConfig::System) => TokioResolver::builder_tokio().map_err(failed)?,
            Source::Servers(ResolverConfig::Servers(list)) => {
                let servers = list.iter().map(|ip| NameServerConfig::udp_and_tcp(*ip)).collect();
                let config = HickoryConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let mut builder = builder;
        let options = builder.options_mut();
        options.validate = validate;
        options.cache_size = CACHE_ANSWERS;
        options.positive_max_ttl = Some(CACHE_LONGEST);
        options.negative_max_ttl = Some(CACHE_LONGEST);
        options.timeout = TRY;
        // What mail goes to is decided by DNS, not by a file for people's convenience.
        options.use_hosts_file = ResolveHosts::Never;
        let inner = Inner::Servers(Box::new(builder.build().map_err(failed)?));
        Ok(Self { inner, limit: LIMIT })
    }

    /// For tests and closed networks.
    #[must_use]
    pub const fn of_zone(zone: Arc<Zone>) -> Self {
        Self { inner: Inner::Zone(zone), limit: LIMIT }
    }

    /// Whether anybody is asked at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.inner, Inner::Off)
    }

    /// The same with another limit of time for one question.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, DnsError> {
        match &self.inner {
            Inner::Off => Err(temporary(name, "no resolver is configured")),
            Inner::Zone(zone) => match zone.look(name, kind) {
                Some(found) => found,
                // A zone may say that a name never answers; the limit of time is what ends it.
                None => std::future::pending().await,
            },
            Inner::Servers(resolver) => of_servers(resolver, name, kind).await,
        }
    }
}

impl Dns for Resolver {
    fn query<'a>(&'a self, name: &'a str, kind: Kind) -> Looking<'a> {
        let mut asking = Box::pin(self.ask(name, kind));
        Box::pin(async move {
            // What is known already is answered without a timer.
            let at_once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(match asking.as_mut().poll(context) {
                    std::task::Poll::Ready(answer) => Some(answer),
                    std::task::Poll::Pending => None,
                })
            });
            if let Some(answer) = at_once.await {
                return answer;
            }
            tokio::time::timeout(self.limit, asking).await.unwrap_or_else(|_| Err(temporary(name, "timed out")))
        })
    }
}

fn temporary(name: &str, reason: impl Into<String>) -> DnsError {
    DnsError::Temporary { name: name.to_owned(), reason: reason.into() }
}

const fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Ptr => RecordType::PTR,
        Kind::Tlsa => RecordType::TLSA,
        Kind::Srv => RecordType::SRV,
    }
}

async fn of_servers(resolver: &TokioResolver, name: &str, kind: Kind) -> Result<Answer, DnsError> {
    // A name that DNS cannot carry cannot exist in it.
    let Ok(mut fqdn) = Name::from_ascii(name) else { return Err(DnsError::NoSuchName(name.to_owned())) };
    fqdn.set_fqdn(true);
    let lookup = resolver.lookup(fqdn, record_type(kind)).await.map_err(|error| classify(name, &error))?;
    let answers = lookup.answers();
    let mut canonical = fold(name);
    let mut records = Vec::new();
    for record in answers {
        if let Some(data) = data(&record.data)
            && data.kind() == kind
        {
            canonical = plain(&record.name);
            records.push(data);
        }
    }
    if records.is_empty() {
        return Err(DnsError::NoData(name.to_owned()));
    }
    if answers.iter().any(|record| record.proof.is_bogus()) {
        return Err(DnsError::Bogus(name.to_owned()));
    }
    let secure = answers.iter().filter(|r| r.record_type() != RecordType::RRSIG).all(|r| r.proof.is_secure());
    Ok(Answer { records, secure, canonical })
}

fn plain(name: &Name) -> String {
    fold(&name.to_ascii())
}

fn data(data: &RData) -> Option<Record> {
    Some(match data {
        RData::A(a) => Record::A(a.0),
        RData::AAAA(a) => Record::Aaaa(a.0),
        RData::MX(mx) => Record::Mx { preference: mx.preference, host: plain(&mx.exchange) },
        RData::TXT(txt) => Record::Txt(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect()),
        RData::PTR(name) => Record::Ptr(plain(&name.0)),
        RData::TLSA(tlsa) => Record::Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        },
        RData::SRV(srv) => {
            Record::Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: plain(&srv.target) }
        }
        _ => return None,
    })
}

/// Absence only where a name server says so; everything else may be different later.
fn classify(name: &str, error: &NetError) -> DnsError {
    let absent = |code: ResponseCode| match code {
        ResponseCode::NXDomain => DnsError::NoSuchName(name.to_owned()),
        ResponseCode::NoError => DnsError::NoData(name.to_owned()),
        other => temporary(name, other.to_string()),
    };
    match error {
        NetError::Dns(HickoryError::NoRecordsFound(none)) => absent(none.response_code),
        NetError::Dns(HickoryError::Nsec { proof, .. }) if proof.is_bogus() => DnsError::Bogus(name.to_owned()),
        NetError::Dns(HickoryError::Nsec { response, .. }) => absent(response.response_code),
        NetError::Dns(HickoryError::DnssecBogus) => DnsError::Bogus(name.to_owned()),
        other => temporary(name, other.to_string()),
    }
}

/// As the queue's errors say it. A bogus answer is a temporary failure.
fn resolve_error(error: DnsError) -> ResolveError {
    match error {
        DnsError::NoSuchName(name) => ResolveError::NoDomain(name),
        DnsError::NoData(name) => ResolveError::NoRecord(name),
        DnsError::Temporary { name, reason } => ResolveError::Temporary { name, reason },
        DnsError::Bogus(name) => {
            ResolveError::Temporary { reason: String::from("the answer has no valid DNSSEC signature"), name }
        }
    }
}

impl pli_io::Resolver for Resolver {
    fn mx<'a>(&'a self, domain: &'a str) -> pli_io::LookUp<'a, Vec<MxHost>> {
        Box::pin(async move {
            let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
            match mx(self, &ascii).await {
                Ok((hosts, _)) => {
                    let hosts: Vec<MxHost> =
                        hosts.into_iter().map(|(preference, name)| MxHost { preference, name }).collect();
                    match hosts.as_slice() {
                        // RFC 7505 §3
                        [only] if only.name.is_empty() => Err(ResolveError::NullMx(domain.to_owned())),
                        _ => Ok(hosts.into_iter().filter(|host| !host.name.is_empty()).collect()),
                    }
                }
                // RFC 5321 §5.1: implicit MX
                Err(DnsError::NoData(_)) => Ok(vec![MxHost { preference: 0, name: ascii }]),
                Err(other) => Err(resolve_error(other)),
            }
        })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> pli_io::LookUp<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let (all, _) = addresses(self, host).await.map_err(resolve_error)?;
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use pli_io::Resolver as _;

    fn resolver() -> Resolver {
        let text = "$ORIGIN x.test.\nnomx A 192.0.2.1\nnull MX 0 .\ntwo MX 20 b.x.test.\ntwo MX 10 a.x.test.\n\
                    a A 192.0.2.2\nsilent FAULT silent\nbogus FAULT bogus\nsix AAAA ::1\nsix FAULT servfail A\n";
        Resolver::of_zone(Arc::new(Zone::parse(text).unwrap())).with_limit(Duration::from_millis(20))
    }

    #[tokio::test]
    async fn the_queue_hears_where_mail_goes() {
        let dns = resolver();
        let names = |hosts: Vec<MxHost>| hosts.into_iter().map(|h| h.name).collect::<Vec<_>>();
        assert_eq!(dns.mx("nomx.x.test").await.map(names), Ok(vec![String::from("nomx.x.test")]));
        assert_eq!(dns.mx("two.x.test").await.map(names).unwrap(), ["a.x.test", "b.x.test"]);
        assert!(matches!(dns.mx("null.x.test").await, Err(ResolveError::NullMx(_))));
        assert!(matches!(dns.mx("nowhere.test").await, Err(ResolveError::NoDomain(_))));
        assert!(matches!(dns.mx("bogus.x.test").await, Err(ResolveError::Temporary { .. })));
        assert_eq!(dns.addresses("six.x.test").await.map(|a| a.len()), Ok(1), "one family is enough");
    }

    #[tokio::test]
    async fn a_question_ends_in_time() {
        assert!(matches!(resolver().query("silent.x.test", Kind::A).await, Err(DnsError::Temporary { .. })));
    }

    #[tokio::test]
    async fn without_a_resolver_nothing_is_known() {
        let off = Resolver::new(&Source::Servers(ResolverConfig::Off), true).unwrap();
        assert!(matches!(off.query("example.org", Kind::A).await, Err(DnsError::Temporary { .. })));
    }
}
