//! The Date field as a point in time.

use pli_types::UnixMillis;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads an RFC 5322 §3.3 date, obsolete forms too: seconds and weekday may be missing, the year may have two digits,
/// the zone may be a name or missing (then UTC).
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<UnixMillis> {
    let text = std::str::from_utf8(value.get(..value.len().min(200))?).ok()?;
    // A comment (the zone's name as a rule) ends what is read.
    let text = text.split('(').next()?;
    let mut words = text.split([' ', '\t', '\r', '\n', ',', '-']).filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if !word.as_bytes().first()?.is_ascii_digit() {
        word = words.next()?; // the weekday
    }
    let day: i64 = word.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?.get(..3)?.to_ascii_lowercase();
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year = words.next()?;
    let year = match (year.len(), year.parse::<i64>().ok().filter(|year| (0..=9999).contains(year))?) {
        // RFC 5322 §4.3
        (2, year) if year < 50 => year + 2000,
        (2 | 3, year) => year + 1900,
        (_, year) => year,
    };
    let mut time = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let hour = time.next()?.filter(|hour| (0..24).contains(hour))?;
    let minute = time.next()?.filter(|minute| (0..60).contains(minute))?;
    let second = time.next().unwrap_or(Some(0)).filter(|second| (0..=60).contains(second))?;
    // The dash of "-0500" was a separator above: the zone is read from the text's end.
    let zone = text.split_ascii_whitespace().last().map_or(0, zone_minutes);
    let secs = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - zone * 60;
    Some(UnixMillis::from_secs(secs))
}

fn zone_minutes(zone: &str) -> i64 {
    let signed = |digits: &str, sign: i64| -> Option<i64> {
        let number: i64 = (digits.len() == 4).then(|| digits.parse().ok()).flatten()?;
        Some(sign * (number / 100 * 60 + number % 100))
    };
    if let Some(digits) = zone.strip_prefix('+') {
        return signed(digits, 1).unwrap_or(0);
    }
    if let Some(digits) = zone.strip_prefix('-') {
        return signed(digits, -1).unwrap_or(0);
    }
    // RFC 5322 §4.3: the North American names; all others count as UTC.
    match zone.to_ascii_uppercase().as_str() {
        "EDT" => -240,
        "EST" | "CDT" => -300,
        "CST" | "MDT" => -360,
        "MST" | "PDT" => -420,
        "PST" => -480,
        _ => 0,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
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
        assert_eq!(at("Tue, 24 Nov 26 04:15:00 EST"), Some(1_795_511_700));
        assert_eq!(at("Tue,24 Nov 2026 01:15:00 -0800 (PST)"), Some(1_795_511_700));
        assert_eq!(at("29 Feb 2000 00:00:00 +0000"), Some(951_782_400));
        for none in ["yesterday", "", "32 Nov 2026 09:15 GMT", "1 Foo 2026 09:15", "1 Nov 2026 25:00", "1 Nov"] {
            assert_eq!(at(none), None, "{none}");
        }
    }
}
