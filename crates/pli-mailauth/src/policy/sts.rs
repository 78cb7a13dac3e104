//! MTA-STS policies. RFC 8461.

use crate::dns::{Dns, DnsError, txt};

/// RFC 8461 §3.3 recommends a bound; real policies have a few hundred bytes.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// RFC 8461 §3.2: about a year.
const AGE_MAX_S: u64 = 31_557_600;
/// Patterns of MX hosts.
const PATTERNS_MAX: usize = 256;

/// What is to be done when no host matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mail is not delivered to such a host.
    Enforce,
    /// Mail is delivered; the failure is reported (RFC 8460).
    Testing,
    /// There is no policy (any more).
    None,
}

/// A domain's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it demands.
    pub mode: Mode,
    /// Seconds that it may be kept.
    pub max_age_s: u64,
    /// Patterns of MX hosts: names, or `*.` and a name.
    pub mx: Vec<String>,
}

impl Policy {
    /// Reads the text that stands at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`. RFC 8461 §3.2.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        if text.len() > POLICY_BYTES_MAX {
            return Err("the policy is too large");
        }
        let text = std::str::from_utf8(text).map_err(|_| "the policy is not UTF-8")?;
        let (mut version, mut mode, mut age, mut mx) = (false, None, None, Vec::new());
        for line in text.split('\n').map(|line| line.trim_matches([' ', '\t', '\r'])).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line is not key: value")?;
            let value = value.trim_matches([' ', '\t']);
            match key.trim_end_matches([' ', '\t']) {
                "version" if value == "STSv1" => version = true,
                "version" => return Err("the version is not STSv1"),
                // Of a key that stands twice the first counts.
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err("the mode is not known"),
                    });
                }
                "max_age" if age.is_none() => {
                    age = Some(value.parse::<u64>().map_err(|_| "max_age is not a number")?.min(AGE_MAX_S));
                }
                "mx" if mx.len() < PATTERNS_MAX => mx.push(crate::dns::fold(value)),
                _ => {}
            }
        }
        if !version {
            return Err("no version");
        }
        let mode = mode.ok_or("no mode")?;
        if mx.is_empty() && mode != Mode::None {
            return Err("no mx");
        }
        Ok(Self { mode, max_age_s: age.ok_or("no max_age")?, mx })
    }

    /// Whether an MX host is one of the policy's. RFC 8461 §4.1: a star stands for one label.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let host = crate::dns::fold(host);
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == parent),
            None => *pattern == host,
        })
    }
}

/// Where a domain's policy is fetched from. RFC 8461 §3.3.
#[must_use]
pub fn policy_host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

/// The policy's id in DNS; `None` where there is no policy. RFC 8461 §3.1: a change of the id says that the policy is to
/// be fetched again.
pub async fn id(dns: &dyn Dns, domain: &str) -> Result<Option<String>, DnsError> {
    let texts = match txt(dns, &format!("_mta-sts.{domain}")).await {
        Ok(texts) => texts,
        Err(error) if error.is_absence() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut ids = texts.iter().filter_map(|text| parse_record(text));
    // More than one record is no record.
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(Some(id)),
        _ => Ok(None),
    }
}

fn parse_record(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.split(';').map(str::trim);
    if fields.next()? != "v=STSv1" {
        return None;
    }
    let id = fields.find_map(|field| field.strip_prefix("id="))?.trim();
    let fine = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    fine.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::sync::Arc;

    use super::*;
    use crate::dns::{Resolver, Zone};

    #[test]
    fn policies() {
        let text =
            b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age_s), (Mode::Enforce, 604_800));
        for (host, allowed) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("a.mail.example.com", false),
            ("mx.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            (".example.net", false),
        ] {
            assert_eq!(policy.allows(host), allowed, "{host}");
        }
        assert_eq!(Policy::parse(b"version: STSv1\nmode: none\nmax_age: 1\n").map(|p| p.mode), Ok(Mode::None));
        for bad in [
            "",
            "mode: enforce\nmx: a\nmax_age: 1",
            "version: STSv2\nmode: none\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1",
            "version: STSv1\nmode: enforced\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: none",
            "version: STSv1\nmode: none\nmax_age: x",
            "<html>",
        ] {
            assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn ids() {
        let zone = "_mta-sts.a.test TXT \"v=STSv1; id=20260101T000000;\"\n_mta-sts.b.test TXT \"v=STSv1; id=1\"\n\
                    _mta-sts.b.test TXT \"v=STSv1; id=2\"\n_mta-sts.c.test TXT \"v=STSv1; id=a b\"\n_mta-sts.d.test FAULT servfail\n";
        let dns = Resolver::of_zone(Arc::new(Zone::parse(zone).unwrap()));
        assert_eq!(id(&dns, "a.test").await.unwrap().as_deref(), Some("20260101T000000"));
        for none in ["b.test", "c.test", "e.test"] {
            assert_eq!(id(&dns, none).await, Ok(None), "{none}");
        }
        assert!(id(&dns, "d.test").await.is_err());
    }
}
