//! The grammar of SPF records. RFC 7208 §4.6, §12.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// `+`
    Pass,
    /// `-`
    Fail,
    /// `~`
    SoftFail,
    /// `?`
    Neutral,
}

/// A piece of a domain-spec or of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// `%{…}`. RFC 7208 §7.1.
    Macro {
        /// In lower case.
        letter: char,
        /// Whether the result is URL-escaped (an upper-case letter).
        escape: bool,
        /// Labels kept, from the right.
        keep: Option<u32>,
        /// `r`
        reverse: bool,
        /// Where to split; empty: at dots.
        delimiters: String,
    },
}

/// A domain-spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its pieces in order.
    pub pieces: Vec<Piece>,
    /// As written.
    pub text: String,
}

impl Domain {
    /// Whether the client's validated name is needed.
    #[must_use]
    pub fn asks_for_name(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Macro { letter: 'p', .. }))
    }
}

/// What is compared with the client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Everything.
    All,
    /// A network.
    Ip4(Ipv4Addr, u8),
    /// A network.
    Ip6(Ipv6Addr, u8),
    /// Another domain's record passes.
    Include(Domain),
    /// Addresses of a host.
    A {
        /// Whose; the current domain without.
        domain: Option<Domain>,
        /// Prefix lengths for IPv4 and IPv6.
        bits: (u8, u8),
    },
    /// Addresses of a domain's mail hosts.
    Mx {
        /// Whose.
        domain: Option<Domain>,
        /// Prefix lengths.
        bits: (u8, u8),
    },
    /// Names of the address.
    Ptr(Option<Domain>),
    /// Whether a name has an address.
    Exists(Domain),
}

/// One term that can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What a match means.
    pub qualifier: Qualifier,
    /// What is compared.
    pub mechanism: Mechanism,
    text: String,
}

impl Directive {
    /// As the record has it.
    #[must_use]
    pub fn show(&self) -> &str {
        &self.text
    }
}

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spf {
    /// In order.
    pub directives: Vec<Directive>,
    /// Where to go on when nothing matches.
    pub redirect: Option<Domain>,
    /// Where the explanation stands.
    pub explanation: Option<Domain>,
}

/// Whether a text is an SPF record. RFC 7208 §4.5: the version ends with a blank or the text.
#[must_use]
pub fn is_spf(text: &[u8]) -> bool {
    let (version, rest) = text.split_at(text.len().min(6));
    version.eq_ignore_ascii_case(b"v=spf1") && rest.first().is_none_or(|b| *b == b' ')
}

impl Spf {
    /// Parses a record; any mistake anywhere is one of the whole (RFC 7208 §4.6).
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).ok().filter(|t| t.is_ascii()).ok_or("not ASCII")?;
        let mut spf = Self::default();
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            spf.term(term).map_err(|reason| format!("{term}: {reason}"))?;
        }
        Ok(spf)
    }

    fn term(&mut self, term: &str) -> Result<(), String> {
        if let Some((name, value)) = modifier(term) {
            match name.to_ascii_lowercase().as_str() {
                "redirect" if self.redirect.is_some() => return Err(String::from("stands twice")),
                "redirect" => self.redirect = Some(domain_spec(value)?),
                "exp" if self.explanation.is_some() => return Err(String::from("stands twice")),
                "exp" => self.explanation = Some(domain_spec(value)?),
                // RFC 7208 §6: others are ignored, but must be well formed.
                _ => {
                    pieces(value, false)?;
                }
            }
            return Ok(());
        }
        let (qualifier, rest) = match term.as_bytes().first() {
            Some(b'+') => (Qualifier::Pass, 1),
            Some(b'-') => (Qualifier::Fail, 1),
            Some(b'~') => (Qualifier::SoftFail, 1),
            Some(b'?') => (Qualifier::Neutral, 1),
            _ => (Qualifier::Pass, 0),
        };
        let mechanism = mechanism(term.get(rest..).unwrap_or_default())?;
        self.directives.push(Directive { qualifier, mechanism, text: term.to_owned() });
        Ok(())
    }
}

/// `name=value`, where the name begins with a letter and holds letters, digits, `-`, `_`, `.`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && name.bytes().all(fine)).then_some((name, value))
}

fn mechanism(term: &str) -> Result<Mechanism, String> {
    let end = term.find([':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at(end);
    let value = rest.strip_prefix(':');
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "include" => Ok(Mechanism::Include(domain_spec(value.ok_or("needs a domain")?)?)),
        "exists" => Ok(Mechanism::Exists(domain_spec(value.ok_or("needs a domain")?)?)),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => Ok(Mechanism::Ptr(Some(domain_spec(value.ok_or("has no prefix length")?)?))),
        "a" => host(rest).map(|(domain, bits)| Mechanism::A { domain, bits }),
        "mx" => host(rest).map(|(domain, bits)| Mechanism::Mx { domain, bits }),
        "ip4" => {
            let (network, bits) = network(value.ok_or("needs an address")?, 32)?;
            Ok(Mechanism::Ip4(network.parse().map_err(|_| "not an IPv4 address")?, bits))
        }
        "ip6" => {
            let (network, bits) = network(value.ok_or("needs an address")?, 128)?;
            Ok(Mechanism::Ip6(network.parse().map_err(|_| "not an IPv6 address")?, bits))
        }
        _ => Err(String::from("not known")),
    }
}

fn network(value: &str, max: u8) -> Result<(&str, u8), String> {
    match value.split_once('/') {
        Some((network, bits)) => Ok((network, prefix(bits, max)?)),
        None => Ok((value, max)),
    }
}

/// Digits without a leading zero.
fn prefix(text: &str, max: u8) -> Result<u8, String> {
    let fine = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let bits: Option<u8> = if fine { text.parse().ok() } else { None };
    bits.filter(|bits| *bits <= max).ok_or_else(|| String::from("not a prefix length"))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `:domain`, `/24`, `//64`, each optional and in this order.
fn host(rest: &str) -> Result<(Option<Domain>, (u8, u8)), String> {
    let (mut rest, mut bits) = (rest, (32, 128));
    // A slash may stand inside a name: only digits at the end are a length.
    if let Some(at) = rest.rfind("//")
        && let Some(text) = rest.get(at + 2..)
        && is_number(text)
    {
        bits.1 = prefix(text, 128)?;
        rest = rest.get(..at).unwrap_or_default();
    }
    if let Some(at) = rest.rfind('/')
        && let Some(text) = rest.get(at + 1..)
        && is_number(text)
    {
        bits.0 = prefix(text, 32)?;
        rest = rest.get(..at).unwrap_or_default();
    }
    match rest.strip_prefix(':') {
        Some(domain) => Ok((Some(domain_spec(domain)?), bits)),
        None if rest.is_empty() => Ok((None, bits)),
        None => Err(String::from("not understood")),
    }
}

/// RFC 7208 §7.1: ends with a macro or a dot and a top label.
fn domain_spec(text: &str) -> Result<Domain, String> {
    let pieces = pieces(text, false)?;
    let fine = match pieces.last() {
        None => return Err(String::from("needs a domain")),
        Some(Piece::Macro { .. }) => true,
        Some(Piece::Text(_)) if text.ends_with("%%") || text.ends_with("%_") || text.ends_with("%-") => true,
        Some(Piece::Text(last)) => {
            let last = last.strip_suffix('.').unwrap_or(last);
            last.rsplit_once('.').is_some_and(|(_, top)| is_top_label(top))
        }
    };
    if fine { Ok(Domain { pieces, text: text.to_owned() }) } else { Err(String::from("does not end as a domain does")) }
}

fn is_top_label(label: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !label.is_empty()
        && label.bytes().all(fine)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|b| b.is_ascii_digit())
}

/// An explanation's text. RFC 7208 §6.2: blanks are allowed there.
pub fn parse_explanation(text: &[u8]) -> Result<Domain, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not ASCII")?;
    Ok(Domain { pieces: pieces(text, true)?, text: text.to_owned() })
}

fn pieces(text: &str, explanation: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '%' {
            if !(c.is_ascii_graphic() || (explanation && c == ' ')) {
                return Err(String::from("a character that is not allowed"));
            }
            literal.push(c);
            continue;
        }
        match rest.chars().next() {
            Some('%') => literal.push('%'),
            Some('_') => literal.push(' '),
            Some('-') => literal.push_str("%20"),
            Some('{') => {
                let (inside, after) = rest.get(1..).and_then(|r| r.split_once('}')).ok_or("a macro is not closed")?;
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(one_macro(inside, explanation)?);
                rest = after;
                continue;
            }
            _ => return Err(String::from("% without a macro")),
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn one_macro(inside: &str, explanation: bool) -> Result<Piece, String> {
    let letter = inside.chars().next().ok_or("an empty macro")?;
    let lower = letter.to_ascii_lowercase();
    // RFC 7208 §7.2: c, r and t are for explanations only.
    let known = if explanation { "slodiphvcrt" } else { "slodiphv" };
    if !known.contains(lower) {
        return Err(format!("the macro {letter} is not known here"));
    }
    let rest = inside.get(1..).unwrap_or_default();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let keep = match number {
        "" => None,
        number => match number.parse::<u32>() {
            Ok(0) => return Err(String::from("a macro keeps 0 labels")),
            Ok(n) => Some(n),
            // More labels than there can be.
            Err(_) => Some(u32::MAX),
        },
    };
    let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return Err(String::from("a macro that is not understood"));
    }
    Ok(Piece::Macro {
        letter: lower,
        escape: letter.is_ascii_uppercase(),
        keep,
        reverse,
        delimiters: delimiters.to_owned(),
    })
}
