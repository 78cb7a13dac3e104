//! DANE for SMTP. RFC 7672, RFC 6698, RFC 7671.

use ring::digest::{SHA256, SHA512, digest};

use crate::dns::{Dns, DnsError, Kind, Record};

/// What an MX host demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dane {
    /// No secure TLSA records: nothing is demanded.
    None,
    /// Secure TLSA records, none of them usable: TLS is demanded, with any certificate. RFC 7672 §2.2.
    Encrypt,
    /// TLS with a certificate that one of these matches.
    Authenticate {
        /// Usable records, with usage 2 (DANE-TA) or 3 (DANE-EE).
        records: Vec<Tlsa>,
        /// Names of which the certificate must have one, for usage 2. RFC 7672 §3.2.2.
        names: Vec<String>,
    },
}

/// A usable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// 2 (DANE-TA) or 3 (DANE-EE).
    pub usage: u8,
    /// 0: certificate, 1: public key.
    pub selector: u8,
    /// 0: exact, 1: SHA-256, 2: SHA-512.
    pub matching: u8,
    /// What is compared.
    pub data: Vec<u8>,
}

/// What an MX host demands. `secure` says that the MX set and the host's addresses were signed; without that there is no
/// DANE (RFC 7672 §2.2.1). A look-up that fails for now, or is bogus, is an error: the host must not be used now, since an
/// attacker could make it fail (§2.1.2).
pub async fn of_host(dns: &dyn Dns, domain: &str, host: &str, port: u16, mx_secure: bool) -> Result<Dane, DnsError> {
    if !mx_secure {
        return Ok(Dane::None);
    }
    // RFC 7672 §2.2.2: where the host is an alias, the end of the aliases is the first choice, if all of it is secure.
    let found = host_answer(dns, host).await?;
    let Some((canonical, true)) = found else { return Ok(Dane::None) };
    for base in [canonical.as_str(), host] {
        let name = format!("_{port}._tcp.{base}");
        match dns.query(&name, Kind::Tlsa).await {
            Ok(answer) if answer.secure => return Ok(demand(&answer.records, [base, host, domain])),
            Ok(_) => {}
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error),
        }
        if base == host {
            break;
        }
    }
    Ok(Dane::None)
}

/// The host's name after aliases, and whether its addresses are secure.
async fn host_answer(dns: &dyn Dns, host: &str) -> Result<Option<(String, bool)>, DnsError> {
    let mut canonical = None;
    for kind in [Kind::A, Kind::Aaaa] {
        match dns.query(host, kind).await {
            Ok(answer) => {
                let secure = answer.secure && canonical.as_ref().is_none_or(|(_, secure)| *secure);
                canonical = Some((answer.canonical, secure));
            }
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(canonical)
}

fn demand(records: &[Record], names: [&str; 3]) -> Dane {
    let records: Vec<Tlsa> = records
        .iter()
        .filter_map(|record| match record {
            Record::Tlsa { usage, selector, matching, data } => {
                Some(Tlsa { usage: *usage, selector: *selector, matching: *matching, data: data.clone() })
            }
            _ => None,
        })
        .filter(Tlsa::is_usable)
        .collect();
    if records.is_empty() {
        return Dane::Encrypt;
    }
    let mut wanted: Vec<String> = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if !wanted.iter().any(|w| w.eq_ignore_ascii_case(name)) {
            wanted.push(name.to_owned());
        }
    }
    Dane::Authenticate { records, names: wanted }
}

impl Tlsa {
    /// RFC 7672 §3.1: usages 0 and 1 are not for SMTP; digests must have their length.
    fn is_usable(&self) -> bool {
        let length = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && length
    }

    /// Whether it is about this certificate; `public_key` is its SubjectPublicKeyInfo, both in DER.
    #[must_use]
    pub fn matches(&self, certificate: &[u8], public_key: &[u8]) -> bool {
        let bytes = if self.selector == 0 { certificate } else { public_key };
        match self.matching {
            0 => self.data == bytes,
            1 => self.data == digest(&SHA256, bytes).as_ref(),
            2 => self.data == digest(&SHA512, bytes).as_ref(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::sync::Arc;

    use super::*;
    use crate::dns::{Resolver, Zone};

    fn resolver() -> Resolver {
        let hash = "00".repeat(32);
        let text = format!(
            "$SECURE on\n$ORIGIN s.test.\nmx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 {hash}\n\
             odd A 192.0.2.1\n_25._tcp.odd TLSA 1 1 1 {hash}\n\
             none A 192.0.2.1\nfails A 192.0.2.1\n_25._tcp.fails FAULT servfail\n\
             forged A 192.0.2.1\n_25._tcp.forged FAULT bogus\nalias CNAME mx\n\
             $SECURE off\nplain A 192.0.2.1\n_25._tcp.plain TLSA 3 1 1 {hash}\n\
             half A 192.0.2.1\n$SECURE on\n_25._tcp.half TLSA 3 1 1 {hash}\n"
        );
        Resolver::of_zone(Arc::new(Zone::parse(&text).unwrap()))
    }

    #[tokio::test]
    async fn a_host_demands_what_is_signed() {
        let dns = resolver();
        let of = async |host: &str, mx_secure| of_host(&dns, "s.test", host, 25, mx_secure).await;
        let Ok(Dane::Authenticate { records, names }) = of("mx.s.test", true).await else { panic!("no demand") };
        assert_eq!((records.len(), names), (1, vec![String::from("mx.s.test"), String::from("s.test")]));
        assert_eq!(of("mx.s.test", false).await, Ok(Dane::None), "an MX set that is not signed names any host");
        assert_eq!(of("odd.s.test", true).await, Ok(Dane::Encrypt));
        assert_eq!(of("none.s.test", true).await, Ok(Dane::None));
        assert_eq!(of("half.s.test", true).await, Ok(Dane::None));
        assert!(of("fails.s.test", true).await.is_err());
        assert_eq!(of("forged.s.test", true).await, Err(DnsError::Bogus(String::from("_25._tcp.forged.s.test"))));
        assert!(matches!(of("alias.s.test", true).await, Ok(Dane::Authenticate { .. })));
        assert_eq!(of("plain.s.test", true).await, Ok(Dane::None));
    }

    #[test]
    fn matching() {
        let record = |selector, matching, data| Tlsa { usage: 3, selector, matching, data };
        let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
        assert!(record(0, 0, b"cert".to_vec()).matches(b"cert", b"key"));
        assert!(record(1, 1, hash(b"key")).matches(b"cert", b"key"));
        assert!(!record(0, 1, hash(b"key")).matches(b"cert", b"key"));
        assert!(record(1, 2, digest(&SHA512, b"key").as_ref().to_vec()).matches(b"cert", b"key"));
    }
}
