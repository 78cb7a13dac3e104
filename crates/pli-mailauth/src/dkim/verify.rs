//! Verifying. RFC 6376 §6.

use ring::digest::Digest;

use super::canon::{Canon, body_hash, push_field};
use super::key::{Algorithm, look_up};
use super::{DkimOutcome, DkimResult};
use crate::dns::{Dns, fold};
use crate::message::{Field, Message};
use crate::tags::{Tags, without_signature};

/// Signatures looked at, from the top; each costs a look-up and a public-key operation.
pub const SIGNATURES_MAX: usize = 8;
/// Names in `h=`.
const NAMES_MAX: usize = 256;
/// Clocks differ.
const SKEW_S: u64 = 300;

/// What a signature says, checked as far as it can be without DNS. ARC's message signature is one too.
#[derive(Clone, Debug)]
pub struct Signature {
    /// `a=`
    pub algorithm: Algorithm,
    /// `b=`
    pub value: Vec<u8>,
    /// `bh=`
    pub body_hash: Vec<u8>,
    /// `c=`
    pub canon: (Canon, Canon),
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `h=`
    pub names: Vec<String>,
    /// `l=`
    pub length: Option<u64>,
}

/// Forms in which one body is hashed: a sender could ask for a hash of a large body with each of many lengths.
const FORMS_MAX: usize = 4;

/// Digests of one body, each form once.
#[derive(Clone, Default)]
pub struct Bodies(Vec<(Canon, Option<u64>, Digest, u64)>);

impl Bodies {
    /// What a message's signatures will ask for. Costs CPU in proportion to the body, and asks no DNS.
    #[must_use]
    pub fn of_message(message: &Message<'_>) -> Self {
        let mut bodies = Self::default();
        for name in ["DKIM-Signature", "ARC-Message-Signature"] {
            for field in message.named(name).take(SIGNATURES_MAX) {
                let Ok(tags) = Tags::parse(field.value()) else { continue };
                if let (Ok((_, canon)), Ok(length)) = (Canon::pair(tags.get("c")), tags.number("l")) {
                    let _ = bodies.of(message.body, canon, length);
                }
            }
        }
        bodies
    }

    fn of(&mut self, body: &[u8], canon: Canon, limit: Option<u64>) -> Option<(Digest, u64)> {
        if let Some((_, _, digest, length)) = self.0.iter().find(|(c, l, _, _)| *c == canon && *l == limit) {
            return Some((*digest, *length));
        }
        if self.0.len() >= FORMS_MAX {
            return None;
        }
        let (digest, length) = body_hash(body, canon, limit);
        self.0.push((canon, limit, digest, length));
        Some((digest, length))
    }
}

impl Signature {
    /// Reads the tags that DKIM and ARC share.
    pub fn read(tags: &Tags, now_s: u64) -> Result<Self, &'static str> {
        let algorithm = Algorithm::parse(tags.get("a"))?;
        let value = tags.base64("b").ok_or("no b=, or not base64")?;
        let body_hash = tags.base64("bh").ok_or("no bh=, or not base64")?;
        let domain = domain(tags.get("d"), "no d=")?;
        let selector = domain_like(tags.get("s"), "no s=")?;
        let canon = Canon::pair(tags.get("c"))?;
        let names: Vec<String> = tags.list("h", ':').into_iter().map(str::to_ascii_lowercase).collect();
        if !names.iter().any(|name| name == "from") {
            // RFC 6376 §5.4
            return Err("From is not signed");
        }
        if names.len() > NAMES_MAX {
            return Err("too many fields signed");
        }
        if tags.get("q").is_some() && !tags.list("q", ':').contains(&"dns/txt") {
            return Err("its key is not in DNS");
        }
        let (began, ends) = (tags.number("t")?, tags.number("x")?);
        if let (Some(began), Some(ends)) = (began, ends)
            && ends <= began
        {
            return Err("it ends before it begins");
        }
        if ends.is_some_and(|ends| ends.saturating_add(SKEW_S) < now_s) {
            return Err("it has expired");
        }
        if began.is_some_and(|began| began > now_s.saturating_add(SKEW_S)) {
            return Err("it is from the future");
        }
        let length = tags.number("l")?;
        Ok(Self { algorithm, value, body_hash, canon, domain, selector, names, length })
    }

    /// What is signed: the named fields, each from the bottom up, and the signature's own without its value.
    /// RFC 6376 §3.7, §5.4.2.
    #[must_use]
    pub fn header_data(&self, message: &Message<'_>, own: &[u8]) -> Vec<u8> {
        let mut data = Vec::with_capacity(2048);
        push_named(&mut data, message, &self.names, self.canon.0);
        push_own(&mut data, own, self.canon.0);
        data
    }

    /// Checks body and header, with the key from DNS. `own` is the signature's field as it stands.
    pub async fn check(
        &self,
        dns: &dyn Dns,
        message: &Message<'_>,
        own: &[u8],
        bodies: &mut Bodies,
        identity: Option<&str>,
    ) -> (DkimResult, String, bool) {
        let Some((digest, length)) = bodies.of(message.body, self.canon.1, self.length) else {
            return (DkimResult::Policy, String::from("too many forms of one body"), false);
        };
        if digest.as_ref() != self.body_hash {
            return (DkimResult::Fail, String::from("the body was changed"), false);
        }
        let key = match look_up(dns, &self.selector, &self.domain, self.algorithm).await {
            Ok(key) => key,
            Err((result, reason)) => return (result, reason, false),
        };
        // RFC 6376 §3.6.1: `t=s`
        if key.strict && identity.is_some_and(|identity| identity != self.domain) {
            return (DkimResult::PermError, String::from("the key is for no other identity"), key.testing);
        }
        if !key.verifies(&self.header_data(message, own), &self.value) {
            return (DkimResult::Fail, String::from("the header was changed, or another key signed"), key.testing);
        }
        match self.length {
            Some(signed) if signed > length => {
                (DkimResult::PermError, String::from("more is signed than there is"), key.testing)
            }
            // RFC 6376 §8.2: anybody can add what is not signed.
            Some(signed) if signed < length => {
                (DkimResult::Policy, String::from("the end of the body is not signed"), key.testing)
            }
            _ => (DkimResult::Pass, format!("{} bits", key.bits), key.testing),
        }
    }
}

/// Fields by name, each occurrence once, from the bottom.
pub fn push_named(data: &mut Vec<u8>, message: &Message<'_>, names: &[String], canon: Canon) {
    let mut used: Vec<(&str, usize)> = Vec::new();
    for name in names {
        let skip = match used.iter_mut().find(|(n, _)| n == name) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                used.push((name, 1));
                0
            }
        };
        if let Some(field) = message.fields.iter().rev().filter(|field| field.is(name)).nth(skip) {
            push_field(data, field.raw, canon);
        }
    }
}

/// The signature's own field, last and without CRLF.
pub fn push_own(data: &mut Vec<u8>, own: &[u8], canon: Canon) {
    push_field(data, &without_signature(own), canon);
    data.truncate(data.len().saturating_sub(2));
}

fn domain_like(text: Option<&str>, missing: &'static str) -> Result<String, &'static str> {
    let text = text.filter(|text| !text.is_empty()).ok_or(missing)?;
    let ascii = idna::domain_to_ascii(text).unwrap_or_else(|_| text.to_owned());
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if ascii.len() > 253 || !ascii.bytes().all(fine) {
        return Err("a name that DNS cannot carry");
    }
    Ok(fold(&ascii))
}

fn domain(text: Option<&str>, missing: &'static str) -> Result<String, &'static str> {
    let domain = domain_like(text, missing)?;
    // RFC 6376 §6.1.1 lets verifiers refuse top-level domains.
    if domain.contains('.') { Ok(domain) } else { Err("d= is no domain of anybody") }
}

/// Verifies all signatures of a message, up to a bound.
pub async fn verify(dns: &dyn Dns, message: &Message<'_>, bodies: &mut Bodies, now_s: u64) -> Vec<DkimOutcome> {
    let mut outcomes = Vec::new();
    for field in message.named("DKIM-Signature").take(SIGNATURES_MAX) {
        outcomes.push(one(dns, message, field, bodies, now_s).await);
    }
    outcomes
}

async fn one(dns: &dyn Dns, message: &Message<'_>, field: &Field<'_>, bodies: &mut Bodies, now_s: u64) -> DkimOutcome {
    let mut outcome = DkimOutcome {
        result: DkimResult::PermError,
        domain: String::new(),
        selector: String::new(),
        identity: String::new(),
        algorithm: String::new(),
        mark: String::new(),
        reason: String::new(),
        testing: false,
    };
    let tags = match Tags::parse(field.value()) {
        Ok(tags) => tags,
        Err(reason) => {
            outcome.reason = reason.to_owned();
            return outcome;
        }
    };
    let plain = |name: &str| tags.get(name).unwrap_or_default().chars().filter(|c| !c.is_whitespace());
    outcome.algorithm = plain("a").take(32).collect();
    outcome.domain = plain("d").take(253).collect::<String>().to_ascii_lowercase();
    outcome.selector = plain("s").take(63).collect();
    outcome.mark = plain("b").take(8).collect();
    if tags.get("v") != Some("1") {
        outcome.reason = String::from("the version is not 1");
        return outcome;
    }
    let signature = match Signature::read(&tags, now_s) {
        Ok(signature) => signature,
        Err(reason) => {
            outcome.reason = reason.to_owned();
            return outcome;
        }
    };
    outcome.domain.clone_from(&signature.domain);
    let identity = tags.get("i").map_or_else(|| format!("@{}", signature.domain), str::to_owned);
    let of = identity.rsplit_once('@').map(|(_, of)| fold(&idna::domain_to_ascii(of).unwrap_or_default()));
    let below =
        |of: &str| of == signature.domain || of.strip_suffix(&signature.domain).is_some_and(|left| left.ends_with('.'));
    let Some(of) = of.filter(|of| below(of)) else {
        // RFC 6376 §6.1.1
        outcome.reason = String::from("the identity is not the domain's");
        return outcome;
    };
    outcome.identity = identity;
    let (result, reason, testing) = signature.check(dns, message, field.raw, bodies, Some(&of)).await;
    DkimOutcome { result, reason, testing, ..outcome }
}
