//! DMARC: does what was authenticated belong to the domain in From, and what does that domain ask for? RFC 9989, and
//! records written for RFC 7489.

use crate::dns::{Dns, DnsError, fold, txt};
use crate::tags::Tags;

/// Names asked for one domain. RFC 9989 §4.10.
const WALK_MAX: usize = 8;

/// What a domain asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    None,
    /// Suspicion.
    Quarantine,
    /// Refusal.
    Reject,
}

impl Policy {
    /// As records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
    /// One step less. RFC 9989 §4.7: `t=y`.
    const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// `psd=`. RFC 9989 §4.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Psd {
    /// A registry's domain.
    Yes,
    /// Its own organisation, whatever stands above.
    No,
    /// Not said.
    #[default]
    Unknown,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcRecord {
    /// `p=`
    pub policy: Policy,
    /// `sp=`: of domains below.
    pub below: Option<Policy>,
    /// `np=`: of domains below that do not exist.
    pub absent: Option<Policy>,
    /// `adkim=s`
    pub strict_dkim: bool,
    /// `aspf=s`
    pub strict_spf: bool,
    /// `t=y`, or `pct=0` of older records.
    pub testing: bool,
    /// `psd=`
    pub psd: Psd,
    /// Addresses for aggregate reports.
    pub rua: Vec<String>,
}

impl DmarcRecord {
    /// Reads a record; `None` if it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let tags = Tags::parse(text).ok()?;
        // RFC 9989 §4.6: exactly, and first.
        if tags.first() != Some(("v", "DMARC1")) {
            return None;
        }
        let rua: Vec<String> = tags
            .list("rua", ',')
            .into_iter()
            .filter_map(|uri| {
                let to = uri.get(..7).filter(|s| s.eq_ignore_ascii_case("mailto:")).and_then(|_| uri.get(7..))?;
                Some(to.split('!').next().unwrap_or(to).to_owned()).filter(|to| to.contains('@'))
            })
            .take(8)
            .collect();
        let policy = match tags.get("p") {
            Some(text) => Policy::parse(text),
            None => None,
        };
        // RFC 9989 §4.7, RFC 7489 §6.6.3: without a good p= the record counts as p=none if reports are asked for.
        let policy = match policy {
            Some(policy) => policy,
            None if !rua.is_empty() || tags.get("p").is_none() => Policy::None,
            None => return None,
        };
        let is = |name: &str, value: &str| tags.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
        Some(Self {
            policy,
            below: tags.get("sp").and_then(Policy::parse),
            absent: tags.get("np").and_then(Policy::parse),
            strict_dkim: is("adkim", "s"),
            strict_spf: is("aspf", "s"),
            testing: is("t", "y") || tags.get("pct") == Some("0"),
            psd: match tags.get("psd") {
                Some(v) if v.eq_ignore_ascii_case("y") => Psd::Yes,
                Some(v) if v.eq_ignore_ascii_case("n") => Psd::No,
                _ => Psd::Unknown,
            },
            rua,
        })
    }
}

/// Records on the way up from a domain. RFC 9989 §4.10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    domain: String,
    found: Vec<(String, DmarcRecord)>,
}

impl Walk {
    /// Asks the domain and those above it.
    pub async fn up(dns: &dyn Dns, domain: &str) -> Result<Self, DnsError> {
        let domain = fold(domain);
        let labels: Vec<&str> = domain.split('.').collect();
        let mut found = Vec::new();
        let mut from = 0;
        for _ in 0..WALK_MAX {
            let Some(name) = labels.get(from..).filter(|rest| !rest.is_empty()).map(|rest| rest.join(".")) else {
                break;
            };
            if let Some(record) = record_at(dns, &name).await? {
                let stop = record.psd != Psd::Unknown;
                found.push((name, record));
                if stop {
                    break;
                }
            }
            // RFC 9989 §4.10: a very long name is cut to seven labels after the first question.
            from = if from == 0 && labels.len() > WALK_MAX { labels.len() - (WALK_MAX - 1) } else { from + 1 };
        }
        Ok(Self { domain, found })
    }

    /// The organisational domain.
    #[must_use]
    pub fn organisation(&self) -> &str {
        for (name, record) in &self.found {
            match record.psd {
                Psd::No => return name,
                Psd::Yes if *name == self.domain => return name,
                Psd::Yes => {
                    // One label below.
                    let left = self.domain.strip_suffix(name.as_str()).unwrap_or_default().trim_end_matches('.');
                    let label = left.rsplit('.').next().unwrap_or_default();
                    let start = left.len() - label.len();
                    return self.domain.get(start..).unwrap_or(&self.domain);
                }
                Psd::Unknown => {}
            }
        }
        // The one with the fewest labels.
        self.found.last().map_or(self.domain.as_str(), |(name, _)| name.as_str())
    }

    /// The record that counts for the domain. RFC 9989 §4.10.1: its own, else the organisation's, else the registry's.
    #[must_use]
    pub fn record(&self) -> Option<(&str, &DmarcRecord)> {
        let at = |wanted: &str| self.found.iter().find(|(name, _)| name == wanted);
        at(&self.domain)
            .or_else(|| at(self.organisation()))
            .or_else(|| self.found.iter().find(|(_, record)| record.psd == Psd::Yes))
            .map(|(name, record)| (name.as_str(), record))
    }
}

async fn record_at(dns: &dyn Dns, name: &str) -> Result<Option<DmarcRecord>, DnsError> {
    match txt(dns, &format!("_dmarc.{name}")).await {
        Ok(texts) => {
            let mut records = texts.iter().filter_map(|text| DmarcRecord::parse(text));
            // RFC 9989 §4.10: several records are none.
            match (records.next(), records.next()) {
                (Some(record), None) => Ok(Some(record)),
                _ => Ok(None),
            }
        }
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The result. RFC 8601 §2.7.7 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmarcResult {
    /// No record.
    None,
    /// Something that was authenticated belongs to From.
    Pass,
    /// Nothing does.
    Fail,
    /// DNS failed for now.
    TempError,
    /// From names no domain, or several.
    PermError,
}

impl DmarcResult {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// A result with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcOutcome {
    /// What came out.
    pub result: DmarcResult,
    /// From's domain.
    pub domain: String,
    /// Where the record stands.
    pub record_at: Option<String>,
    /// What the domain asks for where it fails.
    pub policy: Policy,
    /// Who wants reports.
    pub rua: Vec<String>,
    /// DKIM passed for a domain that belongs to From.
    pub dkim_aligned: bool,
    /// SPF did.
    pub spf_aligned: bool,
    /// Why, in words.
    pub reason: String,
}

/// Evaluates. `dkim` and `spf` are domains that passed; `undecided` says that one of them failed for now.
pub async fn check(dns: &dyn Dns, from: &str, dkim: &[&str], spf: Option<&str>, undecided: bool) -> DmarcOutcome {
    let mut outcome = DmarcOutcome {
        result: DmarcResult::None,
        domain: fold(from),
        record_at: None,
        policy: Policy::None,
        rua: Vec::new(),
        dkim_aligned: false,
        spf_aligned: false,
        reason: String::new(),
    };
    let evaluated = evaluate(dns, &mut outcome, dkim, spf, undecided).await;
    if let Err(error) = evaluated {
        outcome.result = DmarcResult::TempError;
        outcome.reason = error.to_string();
    }
    outcome
}

async fn evaluate(
    dns: &dyn Dns,
    outcome: &mut DmarcOutcome,
    dkim: &[&str],
    spf: Option<&str>,
    undecided: bool,
) -> Result<(), DnsError> {
    let walk = Walk::up(dns, &outcome.domain).await?;
    let Some((at, record)) = walk.record() else {
        outcome.reason = format!("{} has no DMARC record", outcome.domain);
        return Ok(());
    };
    let organisation = walk.organisation();
    outcome.record_at = Some(at.to_owned());
    outcome.rua.clone_from(&record.rua);
    for domain in dkim {
        if belongs(dns, &outcome.domain, organisation, domain, record.strict_dkim).await? {
            outcome.dkim_aligned = true;
            outcome.reason = format!("DKIM of {domain}");
            break;
        }
    }
    if let Some(domain) = spf
        && belongs(dns, &outcome.domain, organisation, domain, record.strict_spf).await?
    {
        outcome.spf_aligned = true;
        if outcome.reason.is_empty() {
            outcome.reason = format!("SPF of {domain}");
        }
    }
    if outcome.dkim_aligned || outcome.spf_aligned {
        outcome.result = DmarcResult::Pass;
        return Ok(());
    }
    if undecided {
        // RFC 9989 §5.3.6: what failed for now might have passed.
        outcome.result = DmarcResult::TempError;
        outcome.reason = String::from("SPF or DKIM failed for now");
        return Ok(());
    }
    outcome.result = DmarcResult::Fail;
    let own = at == outcome.domain;
    let policy = if own {
        record.policy
    } else {
        let below = record.below.unwrap_or(record.policy);
        match record.absent {
            Some(absent) if !exists(dns, &outcome.domain).await? => absent,
            _ => below,
        }
    };
    outcome.policy = if record.testing { policy.milder() } else { policy };
    outcome.reason = format!("neither SPF nor DKIM of {organisation}; {at} asks for {}", policy.name());
    Ok(())
}

/// RFC 9989 §4.4: the same domain, or where that is not strict the same organisation.
async fn belongs(dns: &dyn Dns, from: &str, organisation: &str, domain: &str, strict: bool) -> Result<bool, DnsError> {
    let domain = fold(domain);
    if domain == from {
        return Ok(true);
    }
    let related = domain == organisation || domain.strip_suffix(organisation).is_some_and(|left| left.ends_with('.'));
    if strict || !related {
        return Ok(false);
    }
    // Below the same name, but perhaps an organisation of its own.
    Ok(Walk::up(dns, &domain).await?.organisation() == organisation)
}

/// RFC 9989 §3.2.13: a name without A, AAAA and MX does not exist.
async fn exists(dns: &dyn Dns, domain: &str) -> Result<bool, DnsError> {
    use crate::dns::Kind;
    for kind in [Kind::A, Kind::Aaaa, Kind::Mx] {
        match dns.query(domain, kind).await {
            Ok(_) => return Ok(true),
            Err(DnsError::NoSuchName(_)) => return Ok(false),
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
