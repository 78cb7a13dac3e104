//! DNS as mail needs it: one question at a time, answers with their DNSSEC state, and errors that are told apart.
//!
//! [`Dns`] is the one trait; [`Resolver`] answers it from name servers, from a [`Zone`] held in memory, or not at all.

mod resolver;
mod zone;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

use thiserror::Error;

pub use resolver::{Resolver, Source};
pub use zone::{Zone, ZoneError};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Text.
    Txt,
    /// The name of an address.
    Ptr,
    /// Certificates of a service. RFC 6698.
    Tlsa,
    /// Where a service is. RFC 2782.
    Srv,
}

impl Kind {
    /// All of them, by the name that a zone file has for them.
    pub const NAMED: [(&'static str, Self); 7] = [
        ("A", Self::A),
        ("AAAA", Self::Aaaa),
        ("MX", Self::Mx),
        ("TXT", Self::Txt),
        ("PTR", Self::Ptr),
        ("TLSA", Self::Tlsa),
        ("SRV", Self::Srv),
    ];
}

/// One record's data. Names are without the trailing dot; the root is `""`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// Its name.
        host: String,
    },
    /// The strings of a TXT record, joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
    Txt(Vec<u8>),
    /// A name.
    Ptr(String),
    /// RFC 6698 §2.1.
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// Whole certificate or public key.
        selector: u8,
        /// Exact, SHA-256 or SHA-512.
        matching: u8,
        /// What is compared.
        data: Vec<u8>,
    },
    /// RFC 2782.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among the same priority.
        weight: u16,
        /// Port.
        port: u16,
        /// Host; `""` for "not here".
        target: String,
    },
}

impl Record {
    /// What would have to be asked to get it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Mx { .. } => Kind::Mx,
            Self::Txt(_) => Kind::Txt,
            Self::Ptr(_) => Kind::Ptr,
            Self::Tlsa { .. } => Kind::Tlsa,
            Self::Srv { .. } => Kind::Srv,
        }
    }
}

/// Records of the kind that was asked for; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The data.
    pub records: Vec<Record>,
    /// Signed from a trust anchor down, aliases on the way included (DNSSEC).
    pub secure: bool,
    /// The name that the records stand at, after aliases (CNAME).
    pub canonical: String,
}

/// Why there are no records.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DnsError {
    /// NXDOMAIN.
    #[error("{0} does not exist")]
    NoSuchName(String),
    /// The name exists and has no record of this kind.
    #[error("{0} has no such record")]
    NoData(String),
    /// SERVFAIL, time-out, no resolver: may be different later.
    #[error("looking up {name} failed for now: {reason}")]
    Temporary {
        /// What was asked.
        name: String,
        /// What happened.
        reason: String,
    },
    /// DNSSEC says that the answer is not genuine. A temporary failure to mail: it may be an attack or an administrator's
    /// mistake, and must neither be believed nor taken for "there is none".
    #[error("the answer for {0} has no valid DNSSEC signature")]
    Bogus(String),
}

impl DnsError {
    /// Whether the name servers said that there is nothing (and did not fail to say).
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName(_) | Self::NoData(_))
    }
}

/// A look-up under way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Result<Answer, DnsError>> + Send + 'a>>;

/// Answers questions. Names are in ASCII (A-labels), with or without a trailing dot.
pub trait Dns: Send + Sync {
    /// The records of a name.
    fn query<'a>(&'a self, name: &'a str, kind: Kind) -> Looking<'a>;
}

/// Hosts that take a domain's mail, in the order to try them; absent MX are not replaced by the domain itself here.
pub async fn mx(dns: &dyn Dns, domain: &str) -> Result<(Vec<(u16, String)>, bool), DnsError> {
    let answer = dns.query(domain, Kind::Mx).await?;
    let mut hosts: Vec<(u16, String)> = answer
        .records
        .into_iter()
        .filter_map(|r| if let Record::Mx { preference, host } = r { Some((preference, host)) } else { None })
        .collect();
    hosts.sort();
    Ok((hosts, answer.secure))
}

/// Texts of a name.
pub async fn txt(dns: &dyn Dns, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
    let answer = dns.query(name, Kind::Txt).await?;
    Ok(answer.records.into_iter().filter_map(|r| if let Record::Txt(text) = r { Some(text) } else { None }).collect())
}

/// Addresses of one family.
pub async fn addresses_of(dns: &dyn Dns, host: &str, v6: bool) -> Result<Vec<IpAddr>, DnsError> {
    let answer = dns.query(host, if v6 { Kind::Aaaa } else { Kind::A }).await?;
    Ok(answer.records.iter().filter_map(address).collect())
}

fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::A(ip) => Some(IpAddr::V4(*ip)),
        Record::Aaaa(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

/// Addresses of both families, IPv6 first, and whether all that was answered is secure. An error of one family hides
/// behind addresses of the other.
pub async fn addresses(dns: &dyn Dns, host: &str) -> Result<(Vec<IpAddr>, bool), DnsError> {
    let (six, four) = futures_join(dns.query(host, Kind::Aaaa), dns.query(host, Kind::A)).await;
    match (six, four) {
        (Ok(six), Ok(four)) => {
            let all = six.records.iter().chain(&four.records).filter_map(address).collect();
            Ok((all, six.secure && four.secure))
        }
        // RFC 7672 §2.2: one family bogus must not lead to the other being used without DANE; it is just not used.
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok((one.records.iter().filter_map(address).collect(), one.secure)),
        (Err(a), Err(b)) if a.is_absence() => Err(b),
        (Err(a), Err(_)) => Err(a),
    }
}

async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

/// Names of an address.
pub async fn ptr(dns: &dyn Dns, ip: IpAddr) -> Result<Vec<String>, DnsError> {
    let name = reverse_name(ip);
    let answer = dns.query(&name, Kind::Ptr).await?;
    Ok(answer.records.into_iter().filter_map(|r| if let Record::Ptr(name) = r { Some(name) } else { None }).collect())
}

/// `4.3.2.1.in-addr.arpa` and its like. RFC 1035 §3.5, RFC 3596 §2.5.
#[must_use]
pub fn reverse_name(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for byte in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name.push_str("ip6.arpa");
            name
        }
    }
}

/// A name as it is compared: lower case, no trailing dot.
#[must_use]
pub fn fold(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse() {
        assert_eq!(reverse_name(IpAddr::from([192, 0, 2, 1])), "1.2.0.192.in-addr.arpa");
        let six = "2001:db8::cb01".parse::<IpAddr>();
        assert_eq!(
            six.map(reverse_name).ok().as_deref(),
            Some("1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
        );
    }
}
