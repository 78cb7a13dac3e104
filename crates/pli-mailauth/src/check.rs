//! All checks of a message that comes in, at once and within a limit of time.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::arc::{self, ArcOutcome, ChainState};
use crate::dkim::verify::Bodies;
use crate::dkim::{self, DkimOutcome, DkimResult};
use crate::dmarc::{self, DmarcOutcome, DmarcResult, Policy};
use crate::dns::{Dns, fold};
use crate::iprev::{self, IprevOutcome};
use crate::message::Message;
use crate::spf::{self, Identity, Sender, SpfOutcome, SpfResult};

/// Domains in From.
const FROM_DOMAINS_MAX: usize = 8;
/// Bodies of more than this are hashed beside the workers.
const HASH_INLINE_BYTES_MAX: usize = 256 * 1024;

/// What is done about DMARC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcMode {
    /// What the domain asks for.
    #[default]
    Honour,
    /// It is written into the message, and that is all.
    Report,
    /// It is not looked at.
    Off,
}

/// What is done when DNS fails for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporary {
    /// The message is taken, and says so.
    #[default]
    Accept,
    /// The sender is to come again.
    Defer,
}

/// The `[mail_auth]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailAuthConfig {
    /// Whether messages from other servers are checked at all.
    pub check: bool,
    /// What a failed DMARC check leads to.
    pub dmarc: DmarcMode,
    /// What DNS that does not answer leads to, where DMARC could not be decided.
    pub temporary: Temporary,
    /// Domains whose seals (ARC) are believed: a message that failed DMARC is taken with one.
    pub trusted_sealers: Vec<String>,
    /// Seconds that all checks of one message may take together.
    pub time_limit_s: u64,
}

impl Default for MailAuthConfig {
    fn default() -> Self {
        Self {
            check: true,
            dmarc: DmarcMode::Honour,
            temporary: Temporary::Accept,
            trusted_sealers: Vec::new(),
            time_limit_s: 20,
        }
    }
}

/// A message that comes in.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// What it said in EHLO.
    pub helo: &'a str,
    /// Local part and domain of MAIL FROM; `None` for the empty reverse path.
    pub mail_from: Option<(&'a str, &'a str)>,
    /// The domains of all addresses in all From fields.
    pub from_domains: &'a [String],
    /// The message.
    pub message: Bytes,
    /// This server's name.
    pub server: &'a str,
    /// Seconds of now.
    pub now_s: i64,
}

/// What is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It is taken.
    Accept,
    /// It is taken, and goes to Junk.
    Quarantine,
    /// It is refused for good: enhanced code and text of the reply.
    Refuse(&'static str, String),
    /// The sender is to come again: enhanced code and text of the reply.
    Defer(&'static str, String),
}

/// All results.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The client's address.
    pub ip: IpAddr,
    /// Its name.
    pub iprev: IprevOutcome,
    /// SPF.
    pub spf: SpfOutcome,
    /// DKIM, a result for each signature.
    pub dkim: Vec<DkimOutcome>,
    /// ARC.
    pub arc: ArcOutcome,
    /// DMARC; of several domains in From the one that fares worst.
    pub dmarc: Option<DmarcOutcome>,
    /// What is to be done.
    pub disposition: Disposition,
}

impl Verdict {
    /// In one line, for the event that records the message: `spf=pass dkim=fail(example.org) dmarc=…`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut out = format!("iprev={} spf={}", self.iprev.result, self.spf.result.name());
        for dkim in &self.dkim {
            out.push_str(&format!(" dkim={}", dkim.result.name()));
        }
        if let Some(dmarc) = &self.dmarc {
            out.push_str(&format!(" dmarc={}", dmarc.result.name()));
            if dmarc.result == DmarcResult::Fail {
                out.push_str(&format!(" policy={}", dmarc.policy.name()));
            }
        }
        if self.arc.state != ChainState::None {
            out.push_str(&format!(" arc={}", self.arc.state.name()));
        }
        let done = match self.disposition {
            Disposition::Accept => "accept",
            Disposition::Quarantine => "quarantine",
            Disposition::Refuse(..) => "refuse",
            Disposition::Defer(..) => "defer",
        };
        out.push_str(&format!(" -> {done}"));
        out
    }
}

/// Checks a message. Never fails: what could not be found out says so in its result.
pub async fn check(dns: &dyn Dns, config: &MailAuthConfig, incoming: &Incoming<'_>) -> Verdict {
    let limit = Duration::from_secs(config.time_limit_s.max(1));
    let message = Message::parse(&incoming.message);
    let bodies = bodies(&incoming.message, &message).await;
    let now_s = u64::try_from(incoming.now_s).unwrap_or(0);
    let sender = Sender {
        ip: incoming.ip,
        helo: incoming.helo,
        mail_from: incoming.mail_from,
        receiver: incoming.server,
        now_s: incoming.now_s,
    };
    let mut arc_bodies = bodies.clone();
    let mut dkim_bodies = bodies;
    let (iprev, spf, dkim, arc) = tokio::join!(
        tokio::time::timeout(limit, iprev::check(dns, incoming.ip)),
        tokio::time::timeout(limit, spf::check(dns, &sender)),
        tokio::time::timeout(limit, dkim::verify::verify(dns, &message, &mut dkim_bodies, now_s)),
        tokio::time::timeout(limit, arc::verify(dns, &message, &mut arc_bodies, now_s)),
    );
    let late = || String::from("not answered in time");
    let iprev = iprev.unwrap_or(IprevOutcome { result: "temperror", name: None });
    let spf = spf.unwrap_or_else(|_| SpfOutcome {
        result: SpfResult::TempError,
        identity: if incoming.mail_from.is_some() { Identity::MailFrom } else { Identity::Helo },
        domain: fold(incoming.mail_from.map_or(incoming.helo, |(_, domain)| domain)),
        reason: late(),
        explanation: None,
    });
    let dkim = dkim.unwrap_or_else(|_| {
        let none = String::new;
        vec![DkimOutcome {
            result: DkimResult::TempError,
            domain: none(),
            selector: none(),
            identity: none(),
            algorithm: none(),
            mark: none(),
            reason: late(),
            testing: false,
        }]
    });
    let arc = arc.unwrap_or_else(|_| ArcOutcome { state: ChainState::Fail, sets: 0, sealer: None, reason: late() });
    let (dmarc, disposition) = match config.dmarc {
        DmarcMode::Off => (None, Disposition::Accept),
        mode => {
            let found = tokio::time::timeout(limit, worst(dns, incoming.from_domains, &spf, &dkim)).await;
            let found = found.ok().flatten();
            let disposition = match mode {
                DmarcMode::Honour => dispose(config, incoming, found.as_ref(), &arc),
                DmarcMode::Report | DmarcMode::Off => Disposition::Accept,
            };
            (found, disposition)
        }
    };
    Verdict { ip: incoming.ip.to_canonical(), iprev, spf, dkim, arc, dmarc, disposition }
}

/// Hashes of a large body must not keep a worker from other sessions.
async fn bodies(raw: &Bytes, message: &Message<'_>) -> Bodies {
    if raw.len() <= HASH_INLINE_BYTES_MAX {
        return Bodies::of_message(message);
    }
    let raw = raw.clone();
    tokio::task::spawn_blocking(move || Bodies::of_message(&Message::parse(&raw))).await.unwrap_or_default()
}

/// DMARC of each domain in From; the result that is worst for the message counts, for any of them may be the one that a
/// reader sees. RFC 9989 §11.5.
async fn worst(dns: &dyn Dns, from: &[String], spf: &SpfOutcome, dkim: &[DkimOutcome]) -> Option<DmarcOutcome> {
    let signed: Vec<&str> =
        dkim.iter().filter(|one| one.result == DkimResult::Pass).map(|one| one.domain.as_str()).collect();
    let sent = (spf.result == SpfResult::Pass).then_some(spf.domain.as_str());
    let undecided = spf.result == SpfResult::TempError || dkim.iter().any(|one| one.result == DkimResult::TempError);
    let mut domains: Vec<String> = Vec::new();
    for domain in from {
        let domain = fold(&idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.clone()));
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    let mut worst: Option<DmarcOutcome> = None;
    for domain in domains.iter().take(FROM_DOMAINS_MAX) {
        let outcome = dmarc::check(dns, domain, &signed, sent, undecided).await;
        let rank = |o: &DmarcOutcome| match o.result {
            DmarcResult::Fail => (3, o.policy),
            DmarcResult::TempError | DmarcResult::PermError => (2, Policy::None),
            DmarcResult::None => (1, Policy::None),
            DmarcResult::Pass => (0, Policy::None),
        };
        if worst.as_ref().is_none_or(|w| rank(&outcome) > rank(w)) {
            worst = Some(outcome);
        }
    }
    worst
}

fn dispose(
    config: &MailAuthConfig,
    incoming: &Incoming<'_>,
    dmarc: Option<&DmarcOutcome>,
    arc: &ArcOutcome,
) -> Disposition {
    if incoming.from_domains.len() > FROM_DOMAINS_MAX {
        return Disposition::Refuse("5.7.1", String::from("The From field names too many domains"));
    }
    let Some(dmarc) = dmarc else { return Disposition::Accept };
    match dmarc.result {
        DmarcResult::TempError if config.temporary == Temporary::Defer => {
            // RFC 7372 has no code for it; RFC 3463: a routing or directory failure.
            Disposition::Defer(
                "4.4.3",
                String::from("DNS did not answer, so the sender could not be checked; try again later"),
            )
        }
        DmarcResult::Fail => {
            let trusted = |sealer: &String| config.trusted_sealers.iter().any(|one| fold(one) == *sealer);
            if arc.state == ChainState::Pass && arc.sealer.as_ref().is_some_and(trusted) {
                return Disposition::Accept;
            }
            match dmarc.policy {
                Policy::None => Disposition::Accept,
                Policy::Quarantine => Disposition::Quarantine,
                // RFC 7372 §3.3: 5.7.26 for several mechanisms that failed together.
                Policy::Reject => Disposition::Refuse(
                    "5.7.26",
                    format!("Not authenticated by SPF or DKIM, and {} asks to refuse that (DMARC)", dmarc.domain),
                ),
            }
        }
        _ => Disposition::Accept,
    }
}
