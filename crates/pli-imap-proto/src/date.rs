//! RFC 9051 §9 `date` and `date-time`.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, Timelike as _};
use pli_types::UnixMillis;

use crate::number::{parse_u32, push_two};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// First and last second that four digits of a year can show.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// `"17-Jul-1996 02:44:25 +0000"`.
pub fn write_date_time(out: &mut Vec<u8>, at: UnixMillis) {
    let Some(t) = DateTime::from_timestamp(at.secs().clamp(SECONDS_MIN, SECONDS_MAX), 0) else {
        return;
    };
    out.push(b'"');
    push_two(out, t.day());
    out.push(b'-');
    out.extend(MONTHS.get(t.month0() as usize).into_iter().flat_map(|m| m.iter()));
    out.push(b'-');
    let year = t.year().unsigned_abs();
    push_two(out, year / 100);
    push_two(out, year % 100);
    out.push(b' ');
    push_two(out, t.hour());
    out.push(b':');
    push_two(out, t.minute());
    out.push(b':');
    push_two(out, t.second());
    out.extend_from_slice(b" +0000\"");
}

fn month(text: &[u8]) -> Option<u32> {
    MONTHS.iter().position(|m| m.eq_ignore_ascii_case(text)).and_then(|i| u32::try_from(i + 1).ok())
}

/// `1-Feb-1994`, without quotes; any case.
pub fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let mut parts = text.split(|&b| b == b'-');
    let (day, mon, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || day.len() > 2 || year.len() != 4 {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(parse_u32(year)?).ok()?, month(mon)?, parse_u32(day)?)
}

/// `17-Jul-1996 02:44:25 -0700` without quotes; a leading blank before a one-digit day.
pub fn parse_date_time(text: &[u8]) -> Option<UnixMillis> {
    let text = text.trim_ascii();
    let mut parts = text.split(|&b| b == b' ');
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let date = parse_date(date)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *time else {
        return None;
    };
    // A leap second is shown as the one before it.
    let second = parse_u32(&[s1, s2])?;
    let second = if second == 60 { 59 } else { second };
    let local = date.and_hms_opt(parse_u32(&[h1, h2])?, parse_u32(&[m1, m2])?, second)?;
    let [sign @ (b'+' | b'-'), z1, z2, z3, z4] = *zone else {
        return None;
    };
    let minutes = parse_u32(&[z3, z4])?;
    let seconds = i32::try_from(parse_u32(&[z1, z2])? * 3600 + minutes * 60).ok()?;
    if minutes > 59 {
        return None;
    }
    let offset = FixedOffset::east_opt(if sign == b'+' { seconds } else { -seconds })?;
    Some(UnixMillis::from_secs(local.and_local_timezone(offset).single()?.timestamp()))
}
