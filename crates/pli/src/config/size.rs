//! Values of the configuration that have more than one way of writing: sizes, limits, the resolver.

use std::fmt;
use std::net::IpAddr;

use pli_io::ResolverConfig;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// A number of bytes: `5368709120` or `"5G"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// Parses `5G`, `500M`, `64K`, `1T`, `1234`; units of 1,024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let factor: u64 = match unit.as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(format!("{text} is no size; write 500M or 5G")),
    };
    let number: u64 = digits.trim().parse().map_err(|_| format!("{text} is no size; write 500M or 5G"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text} is too large"))
}

/// Bytes for people: `1.5 GiB`.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).unwrap_or(&"");
    if unit == 0 || tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, or a text such as \"5G\"")
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Size, E> {
        u64::try_from(v).map(Size).map_err(|_| E::custom("a size is not negative"))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Size, E> {
        Ok(Size(v))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Size, E> {
        parse_size(v).map(Size).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

/// A limit that may be `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<u64>);

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Limit;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a size such as \"5G\", or \"unlimited\"")
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Limit, E> {
        SizeVisitor.visit_i64(v).map(|size| Limit(Some(size.0)))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Limit, E> {
        Ok(Limit(Some(v)))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Limit, E> {
        if v == "unlimited" { Ok(Limit(None)) } else { SizeVisitor.visit_str(v).map(|size| Limit(Some(size.0))) }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

/// An age in days: `"90d"`, or `"never"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Option<u32>);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(Self(None));
        }
        match text.strip_suffix('d').map(str::parse) {
            Some(Ok(days)) if days > 0 => Ok(Self(Some(days))),
            _ => Err(D::Error::custom(format!("{text:?}: days such as \"90d\", or \"never\""))),
        }
    }
}

/// `"off"`, `"system"`, or a list of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns(pub ResolverConfig);

struct DnsVisitor;

impl<'de> Visitor<'de> for DnsVisitor {
    type Value = Dns;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"off\", \"system\", or a list of addresses")
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Dns, E> {
        match v {
            "off" => Ok(Dns(ResolverConfig::Off)),
            "system" => Ok(Dns(ResolverConfig::System)),
            other => Err(E::custom(format!("{other:?}: \"off\", \"system\", or a list of addresses"))),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dns, A::Error> {
        let mut servers: Vec<IpAddr> = Vec::new();
        while let Some(server) = seq.next_element()? {
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(A::Error::custom("a list without an address; write \"off\" for no resolver"));
        }
        Ok(Dns(ResolverConfig::Servers(servers)))
    }
}

impl<'de> Deserialize<'de> for Dns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DnsVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("1234", 1234), ("64K", 65_536), ("5G", 5 << 30), ("2 MiB", 2 << 20), ("1t", 1 << 40)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "5X", "1.5G", "99999999999T", "5GG"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (5 << 30, "5 GiB")] {
            assert_eq!(show_size(bytes), text);
        }
        assert!(show_size(u64::MAX).ends_with("TiB"));
    }
}
