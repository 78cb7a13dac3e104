//! The Date field as a point in time.

use mail_parser::DateTime;
use pli_types::UnixMillis;

/// Reads an RFC 5322 §3.3 date, obsolete forms too.
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<UnixMillis> {
    let text = std::str::from_utf8(value.get(..value.len().min(200))?).ok()?;
    let date = DateTime::parse_rfc822(text)?;
    // The parser reads leniently; a date that is none must not become a point in time.
    date.is_valid().then(|| UnixMillis::from_secs(date.to_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |text: &str| parse_date(text.as_bytes()).map(UnixMillis::secs);
        assert_eq!(at("Thu, 1 Jan 1970 00:00:00 +0000"), Some(0));
        assert_eq!(at("Tue, 24 Nov 2026 10:15:00 +0100"), Some(1_795_511_700));
        assert_eq!(at("24 Nov 2026 09:15 GMT"), Some(1_795_511_700));
        assert_eq!(at("yesterday"), None);
        assert_eq!(at(""), None);
    }
}
