//! SPF: may this address send for that domain? RFC 7208.
//!
//! [`record`] parses, [`macros`] expands, and this file evaluates, within the limits of §4.6.4.

pub mod macros;
pub mod record;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns::{Dns, DnsError, addresses_of, fold, mx, ptr, txt};
use macros::{Context, expand};
use record::{Directive, Domain, Mechanism, Qualifier, Spf};

/// Terms that ask the DNS, of one evaluation. RFC 7208 §4.6.4.
const LOOKUPS_MAX: u32 = 10;
/// Answers without records. RFC 7208 §4.6.4.
const VOIDS_MAX: u32 = 2;
/// Hosts of one `mx`, names of one `ptr`.
const NAMES_MAX: usize = 10;

/// The result. RFC 7208 §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpfResult {
    /// No record, or no domain to ask.
    None,
    /// The domain says nothing about the address.
    Neutral,
    /// The address may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// DNS failed for now.
    TempError,
    /// The record cannot be understood.
    PermError,
}

impl SpfResult {
    /// As RFC 8601 names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// Which identity was checked. RFC 7208 §2.3, §2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// HELO or EHLO.
    Helo,
    /// MAIL FROM.
    MailFrom,
}

/// A result with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfOutcome {
    /// What came out.
    pub result: SpfResult,
    /// The identity.
    pub identity: Identity,
    /// The domain that was asked.
    pub domain: String,
    /// Why, in words: the term that matched, or what went wrong.
    pub reason: String,
    /// What the domain tells a sender that it refuses. RFC 7208 §6.2. Not to be trusted.
    pub explanation: Option<String>,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// What it said in EHLO.
    pub helo: &'a str,
    /// Local part and domain of MAIL FROM; `None` for the empty reverse path.
    pub mail_from: Option<(&'a str, &'a str)>,
    /// What this server is called.
    pub receiver: &'a str,
    /// Seconds of now, for the `t` macro.
    pub now_s: i64,
}

/// Checks MAIL FROM, or HELO where the reverse path is empty (RFC 7208 §2.4).
pub async fn check(dns: &dyn Dns, sender: &Sender<'_>) -> SpfOutcome {
    match sender.mail_from {
        Some((local, domain)) => check_domain(dns, sender, Identity::MailFrom, local, domain).await,
        None => check_helo(dns, sender).await,
    }
}

/// Checks HELO.
pub async fn check_helo(dns: &dyn Dns, sender: &Sender<'_>) -> SpfOutcome {
    check_domain(dns, sender, Identity::Helo, "postmaster", sender.helo).await
}

async fn check_domain(dns: &dyn Dns, sender: &Sender<'_>, identity: Identity, local: &str, domain: &str) -> SpfOutcome {
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    // RFC 7208 §4.3: postmaster stands in for an empty local part.
    let local = if local.is_empty() { "postmaster" } else { local };
    let mut check = Check {
        dns,
        ip: sender.ip.to_canonical(),
        helo: sender.helo,
        local,
        sender_domain: &ascii,
        receiver: sender.receiver,
        now_s: sender.now_s,
        lookups: 0,
        voids: 0,
        ptr_names: None,
        explanation: None,
    };
    let (result, reason) = match check.host(fold(&ascii), true).await {
        Ok((result, reason)) => (result, reason),
        Err(Stop::Temporary(reason)) => (SpfResult::TempError, reason),
        Err(Stop::Permanent(reason)) => (SpfResult::PermError, reason),
    };
    SpfOutcome { result, identity, domain: fold(&ascii), reason, explanation: check.explanation }
}

/// Why an evaluation ends early.
enum Stop {
    Temporary(String),
    Permanent(String),
}

impl From<DnsError> for Stop {
    fn from(error: DnsError) -> Self {
        Self::Temporary(error.to_string())
    }
}

fn permanent<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Permanent(reason.into()))
}

struct Check<'a> {
    dns: &'a dyn Dns,
    ip: IpAddr,
    helo: &'a str,
    local: &'a str,
    sender_domain: &'a str,
    receiver: &'a str,
    now_s: i64,
    lookups: u32,
    voids: u32,
    /// The validated name for the `p` macro, once looked up.
    ptr_names: Option<Vec<String>>,
    explanation: Option<String>,
}

type Checked<T> = Result<T, Stop>;

impl<'a> Check<'a> {
    /// `check_host()`. RFC 7208 §4.
    async fn host(&mut self, domain: String, outermost: bool) -> Checked<(SpfResult, String)> {
        // RFC 7208 §4.3: a domain that is none is not asked.
        if !is_domain(&domain) {
            return Ok((SpfResult::None, format!("{domain} is no domain to ask")));
        }
        let texts = match txt(self.dns, &domain).await {
            Ok(texts) => texts,
            Err(error) if error.is_absence() => return Ok((SpfResult::None, format!("{domain} has no SPF record"))),
            Err(error) => return Err(error.into()),
        };
        let mut records = texts.iter().filter(|text| record::is_spf(text));
        let record = match (records.next(), records.next()) {
            (None, _) => return Ok((SpfResult::None, format!("{domain} has no SPF record"))),
            (Some(record), None) => record,
            // RFC 7208 §4.5
            (Some(_), Some(_)) => return permanent(format!("{domain} has more than one SPF record")),
        };
        let spf = Spf::parse(record).or_else(|reason| permanent(format!("the record of {domain}: {reason}")))?;
        for directive in &spf.directives {
            if self.matches(&directive.mechanism, &domain).await? {
                let result = match directive.qualifier {
                    Qualifier::Pass => SpfResult::Pass,
                    Qualifier::Fail => SpfResult::Fail,
                    Qualifier::SoftFail => SpfResult::SoftFail,
                    Qualifier::Neutral => SpfResult::Neutral,
                };
                if result == SpfResult::Fail && outermost {
                    self.explain(&spf, &domain).await;
                }
                return Ok((result, format!("{} of {domain}", Directive::show(directive))));
            }
        }
        let Some(redirect) = &spf.redirect else {
            // RFC 7208 §4.7
            return Ok((SpfResult::Neutral, format!("no term of {domain} matched")));
        };
        self.count_lookup()?;
        let target = self.target(Some(redirect), &domain).await?;
        // The other domain's explanation is the one that counts (§6.2), as if its record had been asked for first.
        match Box::pin(self.host(target.clone(), outermost)).await? {
            // RFC 7208 §6.1
            (SpfResult::None, _) => permanent(format!("redirect={target}, which has no record")),
            other => Ok(other),
        }
    }

    fn count_lookup(&mut self) -> Checked<()> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return permanent("more than 10 terms that ask the DNS");
        }
        Ok(())
    }

    /// An answer without records is counted; a failure for now ends everything.
    fn or_void<T: Default>(&mut self, answer: Result<T, DnsError>) -> Checked<T> {
        match answer {
            Ok(found) => Ok(found),
            Err(error) if error.is_absence() => {
                self.voids += 1;
                if self.voids > VOIDS_MAX {
                    return permanent("more than 2 answers without records");
                }
                Ok(T::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Checked<bool> {
        Ok(match mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(network, bits) => matches!(self.ip, IpAddr::V4(ip) if in_v4(ip, *network, *bits)),
            Mechanism::Ip6(network, bits) => matches!(self.ip, IpAddr::V6(ip) if in_v6(ip, *network, *bits)),
            Mechanism::Include(spec) => {
                self.count_lookup()?;
                let target = self.target(Some(spec), domain).await?;
                match Box::pin(self.host(target.clone(), false)).await?.0 {
                    SpfResult::Pass => true,
                    // RFC 7208 §5.2
                    SpfResult::None => return permanent(format!("include:{target}, which has no record")),
                    _ => false,
                }
            }
            Mechanism::A { domain: spec, bits } => {
                self.count_lookup()?;
                let target = self.target(spec.as_ref(), domain).await?;
                self.host_matches(&target, *bits, true).await?
            }
            Mechanism::Mx { domain: spec, bits } => {
                self.count_lookup()?;
                let target = self.target(spec.as_ref(), domain).await?;
                let found = mx(self.dns, &target).await;
                let (hosts, _) = self.or_void(found)?;
                // RFC 7208 §4.6.4
                if hosts.len() > NAMES_MAX {
                    return permanent(format!("{target} has more than 10 mail hosts"));
                }
                for (_, host) in hosts.iter().filter(|(_, host)| !host.is_empty()) {
                    if self.host_matches(host, *bits, false).await? {
                        return Ok(true);
                    }
                }
                false
            }
            Mechanism::Ptr(spec) => {
                self.count_lookup()?;
                let target = fold(&self.target(spec.as_ref(), domain).await?);
                let names = self.names().await;
                names.iter().any(|name| is_at_or_below(name, &target))
            }
            Mechanism::Exists(spec) => {
                self.count_lookup()?;
                let target = self.target(Some(spec), domain).await?;
                // RFC 7208 §5.7: A, whatever family the client's address is of.
                let found = addresses_of(self.dns, &target, false).await;
                !self.or_void(found)?.is_empty()
            }
        })
    }

    /// The addresses of a host, of the client's family. `mx`'s hosts without addresses are void answers of it.
    async fn host_matches(&mut self, host: &str, bits: (u8, u8), counted: bool) -> Checked<bool> {
        let found = addresses_of(self.dns, host, self.ip.is_ipv6()).await;
        let list = match found {
            Err(error) if error.is_absence() && !counted => Vec::new(),
            found => self.or_void(found)?,
        };
        Ok(list.iter().any(|address| match (self.ip, address) {
            (IpAddr::V4(ip), IpAddr::V4(of)) => in_v4(ip, *of, bits.0),
            (IpAddr::V6(ip), IpAddr::V6(of)) => in_v6(ip, *of, bits.1),
            _ => false,
        }))
    }

    /// Names of the client's address that lead back to it. RFC 7208 §5.5: errors match nothing.
    async fn names(&mut self) -> Vec<String> {
        if let Some(names) = &self.ptr_names {
            return names.clone();
        }
        let mut names = Vec::new();
        for name in ptr(self.dns, self.ip).await.unwrap_or_default().into_iter().take(NAMES_MAX) {
            let back = addresses_of(self.dns, &name, self.ip.is_ipv6()).await.unwrap_or_default();
            if back.contains(&self.ip) {
                names.push(fold(&name));
            }
        }
        self.ptr_names = Some(names.clone());
        names
    }

    async fn target(&mut self, spec: Option<&Domain>, domain: &str) -> Checked<String> {
        let Some(spec) = spec else { return Ok(domain.to_owned()) };
        Ok(self.expanded(spec, domain, false).await)
    }

    async fn expanded(&mut self, spec: &Domain, domain: &str, explanation: bool) -> String {
        let validated = if spec.asks_for_name() { self.p_macro(domain).await } else { String::new() };
        let context = Context {
            ip: self.ip,
            helo: self.helo,
            local: self.local,
            sender_domain: self.sender_domain,
            domain,
            validated: &validated,
            receiver: self.receiver,
            now_s: self.now_s,
        };
        let text = expand(spec, &context);
        if explanation { text } else { macros::shorten(&text) }
    }

    /// RFC 7208 §7.3: the domain's own name first, then one below it, then any.
    async fn p_macro(&mut self, domain: &str) -> String {
        let domain = fold(domain);
        let names = self.names().await;
        let exact = names.iter().find(|name| **name == domain);
        let below = || names.iter().find(|name| is_at_or_below(name, &domain));
        exact.or_else(below).or_else(|| names.first()).cloned().unwrap_or_else(|| String::from("unknown"))
    }

    /// RFC 7208 §6.2: whatever goes wrong, there is just no explanation.
    async fn explain(&mut self, spf: &Spf, domain: &str) {
        let Some(spec) = &spf.explanation else { return };
        let target = self.expanded(spec, domain, false).await;
        let Ok(texts) = txt(self.dns, &target).await else { return };
        let [only] = texts.as_slice() else { return };
        if !only.is_ascii() {
            return;
        }
        if let Ok(parsed) = record::parse_explanation(only) {
            self.explanation = Some(self.expanded(&parsed, domain, true).await);
        }
    }
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    name == domain || name.strip_suffix(domain).is_some_and(|left| left.ends_with('.'))
}

/// RFC 7208 §4.3: a multi-label name that DNS can carry, not an address literal.
fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    domain.len() <= 253
        && labels.len() > 1
        && labels.iter().all(|label| (1..=63).contains(&label.len()))
        && !domain.starts_with('[')
}

fn in_v4(ip: Ipv4Addr, network: Ipv4Addr, bits: u8) -> bool {
    let shift = 32 - u32::from(bits.min(32));
    let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
    u32::from(ip) & mask == u32::from(network) & mask
}

fn in_v6(ip: Ipv6Addr, network: Ipv6Addr, bits: u8) -> bool {
    let shift = 128 - u32::from(bits.min(128));
    let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
    u128::from(ip) & mask == u128::from(network) & mask
}
