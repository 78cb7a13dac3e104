//! What macros stand for. RFC 7208 §7.

use std::net::IpAddr;

use super::record::{Domain, Piece};

/// Expansions grow; what is beyond this is cut. A name in DNS has 253 bytes, an explanation one reply line.
const EXPANSION_MAX: usize = 4096;

/// What macros can name.
pub struct Context<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// EHLO's name.
    pub helo: &'a str,
    /// The sender's local part.
    pub local: &'a str,
    /// The sender's domain.
    pub sender_domain: &'a str,
    /// The domain whose record is evaluated.
    pub domain: &'a str,
    /// The client's validated name.
    pub validated: &'a str,
    /// This server.
    pub receiver: &'a str,
    /// Now.
    pub now_s: i64,
}

/// The text with all macros replaced.
#[must_use]
pub fn expand(spec: &Domain, context: &Context<'_>) -> String {
    let mut out = String::new();
    for piece in &spec.pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Macro { letter, escape, keep, reverse, delimiters } => {
                let value = transform(&value(*letter, context), *keep, *reverse, delimiters);
                if *escape { push_escaped(&mut out, &value) } else { out.push_str(&value) }
            }
        }
        if out.len() > EXPANSION_MAX {
            let mut end = EXPANSION_MAX;
            while !out.is_char_boundary(end) {
                end -= 1;
            }
            out.truncate(end);
            break;
        }
    }
    out
}

fn value(letter: char, context: &Context<'_>) -> String {
    match letter {
        's' => format!("{}@{}", context.local, context.sender_domain),
        'l' => context.local.to_owned(),
        'o' => context.sender_domain.to_owned(),
        'd' => context.domain.to_owned(),
        'i' => match context.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => {
                let nibbles: Vec<String> =
                    ip.octets().iter().flat_map(|b| [format!("{:X}", b >> 4), format!("{:X}", b & 15)]).collect();
                nibbles.join(".")
            }
        },
        'p' => context.validated.to_owned(),
        'v' => String::from(if context.ip.is_ipv4() { "in-addr" } else { "ip6" }),
        'h' => context.helo.to_owned(),
        'c' => context.ip.to_string(),
        'r' => context.receiver.to_owned(),
        't' => context.now_s.to_string(),
        _ => String::new(),
    }
}

/// RFC 7208 §7.3: split, reverse, keep the rightmost, join with dots.
fn transform(value: &str, keep: Option<u32>, reverse: bool, delimiters: &str) -> String {
    if keep.is_none() && !reverse && delimiters.is_empty() {
        return value.to_owned();
    }
    let at = |c: char| if delimiters.is_empty() { c == '.' } else { delimiters.contains(c) };
    let mut parts: Vec<&str> = value.split(at).collect();
    if reverse {
        parts.reverse();
    }
    let keep = keep.map_or(parts.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
    let from = parts.len().saturating_sub(keep);
    parts.get(from..).unwrap_or_default().join(".")
}

/// RFC 3986 §2.3: all but unreserved characters.
fn push_escaped(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// RFC 7208 §7.3: labels are taken from the left of a name that is longer than 253 bytes.
#[must_use]
pub fn shorten(name: &str) -> String {
    let mut rest = name.strip_suffix('.').unwrap_or(name);
    while rest.len() > 253 {
        match rest.split_once('.') {
            Some((_, right)) => rest = right,
            None => break,
        }
    }
    rest.to_owned()
}
