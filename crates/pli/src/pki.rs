//! A private CA and a certificate signed by it, for a server that has none yet.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use zeroize::Zeroizing;

use crate::failure::{Failure, SOFTWARE};

/// What was made, as PEM.
pub struct Made {
    /// The CA's certificate: for clients.
    pub ca: String,
    /// The server's certificate and the CA's.
    pub chain: String,
    /// The server's key.
    pub key: Zeroizing<String>,
}

/// Years that a CA made here is valid. Apple's clients take certificates of private CAs for 825 days at most, hence
/// the shorter life of the server's.
const CA_YEARS: i32 = 10;
const SERVER_YEARS: i32 = 2;

/// Makes both. The CA's key is used once and forgotten: nobody can sign with it later, and nothing must be kept safe.
pub fn make(hostname: &str, names: &[String], addresses: &[IpAddr], now_secs: i64) -> Result<Made, Failure> {
    build(hostname, names, addresses, now_secs).map_err(|error| Failure::new(SOFTWARE, format!("certificate: {error}")))
}

/// A day, for validity.
#[derive(Clone, Copy, Debug)]
pub struct Date {
    /// Year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The day of a moment in Unix seconds, in UTC.
    pub fn of(secs: i64) -> Self {
        // Days since 0000-03-01, in eras of 400 years; the year then begins in March, its leap day last.
        let days = secs.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let small = |n: i64| u8::try_from(n).unwrap_or(1);
        Self {
            year: i32::try_from(year).unwrap_or(1970),
            month: small(month),
            day: small(day_of_year - (153 * march_month + 2) / 5 + 1),
        }
    }
    /// The same day other years; 28 February for the 29th.
    const fn plus_years(self, years: i32) -> Self {
        let day = if self.month == 2 && self.day == 29 { 28 } else { self.day };
        Self { year: self.year + years, day, ..self }
    }
}

fn build(hostname: &str, names: &[String], addresses: &[IpAddr], now_secs: i64) -> Result<Made, rcgen::Error> {
    let today = Date::of(now_secs);
    // From yesterday, for clocks that run behind; to the same day in so many years.
    let start = Date::of(now_secs - 86_400);
    let day = |date: Date| date_time_ymd(date.year, date.month, date.day);
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name = name(&format!("Pli private CA of {hostname}"));
    (ca.not_before, ca.not_after) = (day(start), day(today.plus_years(CA_YEARS)));
    ca.serial_number = Some(serial());
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut all: Vec<String> = Vec::new();
    let wanted = names.iter().cloned().chain(addresses.iter().map(ToString::to_string));
    for one in std::iter::once(hostname.to_owned()).chain(wanted) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    let mut server = CertificateParams::new(all)?;
    server.distinguished_name = name(hostname);
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (day(start), day(today.plus_years(SERVER_YEARS)));
    server.serial_number = Some(serial());
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &ca)?;
    Ok(Made {
        ca: ca.pem(),
        chain: format!("{}{}", certificate.pem(), ca.pem()),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // RFC 5280 appendix A: a common name has 64 characters at most.
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

/// RFC 5280 §4.1.2.2: positive, 20 octets at most.
fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = pli_crypto::random_bytes().unwrap_or([1; 16]);
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 1;
    }
    SerialNumber::from_slice(&bytes)
}

/// From when until when a certificate is valid, in Unix seconds. RFC 5280 §4.1: only as far into the structure as these
/// two dates need; what is not understood is `None`.
pub fn validity_of(der: &[u8]) -> Option<(i64, i64)> {
    let (certificate, _) = element(der, 0x30)?;
    let (mut rest, _) = element(certificate, 0x30)?;
    // version [0], there in all but version 1.
    if let Some((_, after)) = element(rest, 0xa0) {
        rest = after;
    }
    for tag in [0x02, 0x30, 0x30] {
        // serialNumber, signature, issuer
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, 0x30)?;
    let (from, rest) = moment(validity)?;
    Some((from, moment(rest)?.0))
}

/// A DER element of a tag: its contents and what follows.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (long, rest) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(long, _)| long.len() <= 4)?;
        (long.iter().fold(0_usize, |n, b| (n << 8) | usize::from(*b)), rest)
    };
    rest.split_at_checked(length)
}

/// RFC 5280 §4.1.2.5: UTCTime or GeneralizedTime, always with seconds and Z.
fn moment(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, century) = match element(bytes, 0x17) {
        Some((text, rest)) => (text, rest, None),
        None => element(bytes, 0x18).map(|(text, rest)| (text, rest, Some(())))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = if century.is_some() {
        (text.get(..4)?.parse::<i64>().ok()?, text.get(4..)?)
    } else {
        let year: i64 = text.get(..2)?.parse().ok()?;
        (if year >= 50 { 1900 + year } else { 2000 + year }, text.get(2..)?)
    };
    let mut parts = [0_i64; 5];
    for (place, part) in parts.iter_mut().enumerate() {
        *part = text.get(place * 2..place * 2 + 2)?.parse().ok()?;
    }
    let [month, day, hours, minutes, seconds] = parts;
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970-01-01; the year begins in March here, so that the leap day is its last.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 719_469;
    Some((days * 86_400 + hours * 3600 + minutes * 60 + seconds, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn days() {
        for (secs, day) in [
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_798_761_599, (2026, 12, 31)),
            (-1, (1969, 12, 31)),
        ] {
            let date = Date::of(secs);
            assert_eq!((date.year, date.month, date.day), day, "{secs}");
        }
    }

    #[test]
    fn the_server_s_certificate_is_signed_by_the_ca_and_works_with_its_key() {
        let names = ["localhost".to_owned(), "example.org".to_owned()];
        let leap_day = 1_835_395_200; // 2028-02-29
        let made = make("mail.example.org", &names, &["127.0.0.1".parse().unwrap()], leap_day).unwrap();
        assert_eq!(made.chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(made.chain.ends_with(&made.ca));
        let der = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(
            made.chain.as_bytes(),
        )
        .unwrap();
        let (from, until) = validity_of(&der).unwrap();
        assert_eq!(from, 1_835_308_800); // 2028-02-28
        assert_eq!(until, 1_898_467_200); // 2030-02-28
        for cut in 0..der.len().min(300) {
            let _ = validity_of(der.get(..cut).unwrap());
        }
        pli_net::TlsConfig::from_pem(made.chain.as_bytes(), made.key.as_bytes()).unwrap();
    }
}
