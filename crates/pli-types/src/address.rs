//! Mail addresses (RFC 5321 mailbox: local part and domain).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `local@domain`. The local part is kept as written (unquoted where quoting was not needed); the domain is in
/// lower case, its labels in Unicode. Two addresses are the same to the directory when their [`Address::key`]s are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: Box<str>,
    domain: Box<str>,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No `@`, or nothing before or after it.
    #[error("an address has the form local@domain")]
    Form,
    /// RFC 5321 §4.5.3.1: local part over 64 or domain over 255 bytes.
    #[error("the local part has at most 64 bytes and the domain 255")]
    TooLong,
    /// A control character, a blank, or a byte that neither form allows.
    #[error("the address holds a character that is not allowed")]
    Forbidden,
    /// Not a domain name nor an address literal.
    #[error("the domain is not a domain name")]
    Domain,
}

impl Address {
    /// Parses `local@domain`; the last `@` divides. A quoted local part is taken apart and quoted again on output
    /// where needed. RFC 5321 §4.1.2, RFC 6531 §3.3.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Form)?;
        Self::new(local, domain)
    }

    /// From the two parts.
    pub fn new(local: &str, domain: &str) -> Result<Self, AddressError> {
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Form);
        }
        let local = if let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) {
            unquote(inner)?
        } else {
            // RFC 5321 §4.1.2 Dot-string, but dots anywhere are let through: such addresses exist.
            if local.chars().any(|c| c.is_control() || c.is_whitespace() || "()<>[]:;@\\,\"".contains(c)) {
                return Err(AddressError::Forbidden);
            }
            local.to_owned()
        };
        if local.is_empty() {
            return Err(AddressError::Form);
        }
        if local.len() > 64 || domain.len() > 255 {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local: local.into_boxed_str(), domain: normalise_domain(domain)?.into_boxed_str() })
    }

    /// The local part without quotes.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }
    /// The domain in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
    /// What the directory looks up: all in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }
    /// The domain in ASCII (A-labels), for DNS and for peers without SMTPUTF8. Address literals as they are.
    #[must_use]
    pub fn domain_ascii(&self) -> String {
        // What normalise_domain let through converts; a domain that does not is shown as it is and will not resolve.
        idna::domain_to_ascii(&self.domain).unwrap_or_else(|_| self.domain.to_string())
    }
    /// As an envelope carries it: with A-labels unless the session speaks SMTPUTF8 (RFC 6531 §3.7.2).
    #[must_use]
    pub fn wire(&self, smtputf8: bool) -> String {
        let text = self.to_string();
        match text.rsplit_once('@') {
            Some((local, _)) if !smtputf8 => format!("{local}@{}", self.domain_ascii()),
            _ => text,
        }
    }
    /// Whether local part or domain leave ASCII (then SMTPUTF8 is needed).
    #[must_use]
    pub fn is_international(&self) -> bool {
        !self.local.is_ascii() || !self.domain.is_ascii()
    }
}

/// Lower case, IDNA-checked, Unicode labels; address literals (`[192.0.2.1]`) as they are.
fn normalise_domain(domain: &str) -> Result<String, AddressError> {
    if domain.starts_with('[') && domain.ends_with(']') {
        if domain.bytes().any(|b| !(0x21..=0x7e).contains(&b)) {
            return Err(AddressError::Domain);
        }
        return Ok(domain.to_ascii_lowercase());
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.chars().any(|c| c.is_control() || c.is_whitespace() || "()<>[]:;@\\,\"".contains(c)) {
        return Err(AddressError::Domain);
    }
    let (unicode, result) = idna::domain_to_unicode(domain);
    if result.is_err() || unicode.is_empty() || unicode.split('.').any(|l| l.is_empty() || l.len() > 63) {
        return Err(AddressError::Domain);
    }
    Ok(unicode)
}

fn unquote(inner: &str) -> Result<String, AddressError> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().ok_or(AddressError::Forbidden)?,
            '"' => return Err(AddressError::Forbidden),
            c => c,
        };
        if c.is_control() {
            return Err(AddressError::Forbidden);
        }
        out.push(c);
    }
    Ok(out)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        if self.local.chars().all(plain) {
            write!(f, "{}@{}", self.local, self.domain)
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if c == '"' || c == '\\' {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            write!(f, "\"@{}", self.domain)
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}
