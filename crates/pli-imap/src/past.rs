//! The past as mailboxes: `Restauration/2026-11-24/13h/INBOX` is INBOX as it was at 13:00, read-only.
//!
//! The first level is named in the account's language. Below it stand the days, below them the hours before which
//! something of the account changed within an hour, below these the mailboxes of that moment. A moment between can be
//! named: `13h05`, `13h05m30`, `13h05m30s250`. A mailbox of the account that has the first level's name hides all of
//! this: what people made goes first.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use pli_imap_proto::Code;
use pli_store::{Mailbox, Moment};
use pli_types::{Action, MailboxName, UnixMillis};

use crate::fail::Fail;
use crate::session::Session;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// The name of the first level.
pub const fn root(french: bool) -> &'static str {
    if french { "Restauration" } else { "Restore" }
}

/// A place in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A level that holds others.
    Level,
    /// A moment.
    Moment(UnixMillis),
    /// A mailbox of one.
    Mailbox(UnixMillis, MailboxName),
}

/// Reads a name at or below the root; `None` for a name that is none of this namespace's or that names nothing.
pub fn parse(root: &str, zone: Tz, name: &str) -> Option<Place> {
    let rest = name.strip_prefix(root)?;
    let mut levels = rest.splitn(4, MailboxName::SEPARATOR);
    if levels.next() != Some("") {
        return None;
    }
    let Some(day) = levels.next() else { return Some(Place::Level) };
    let day = parse_day(day)?;
    let Some(time) = levels.next() else { return Some(Place::Level) };
    let at = at(zone, day, parse_time(time)?)?;
    match levels.next() {
        None => Some(Place::Moment(at)),
        Some(mailbox) => Some(Place::Mailbox(at, MailboxName::new(mailbox).ok()?)),
    }
}

/// `2026-11-24`, and nothing that only looks like it.
fn parse_day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| day.to_string() == text)
}

/// `13h`, `13h05`, `13h05m30`, `13h05m30s250`.
fn parse_time(text: &str) -> Option<NaiveTime> {
    let (hour, rest) = text.split_once('h')?;
    let (minute, rest) = rest.split_once('m').unwrap_or((rest, ""));
    let (second, milli) = rest.split_once('s').unwrap_or((rest, ""));
    if (minute.is_empty() && text.contains('m')) || (second.is_empty() && text.contains('s')) {
        return None;
    }
    NaiveTime::from_hms_milli_opt(
        digits(hour, 2)?,
        digits_or_none(minute, 2)?,
        digits_or_none(second, 2)?,
        digits_or_none(milli, 3)?,
    )
    .filter(|_| !(text.ends_with('m') || text.ends_with('s')))
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn digits_or_none(text: &str, count: usize) -> Option<u32> {
    if text.is_empty() { Some(0) } else { digits(text, count) }
}

/// The instant that clocks in a zone show so. An hour that comes twice is the later one; one that is left out is none.
fn at(zone: Tz, day: NaiveDate, time: NaiveTime) -> Option<UnixMillis> {
    zone.from_local_datetime(&day.and_time(time)).latest().map(|at| UnixMillis(at.timestamp_millis()))
}

/// The day and the hour that an instant is in.
fn label(zone: Tz, at: UnixMillis) -> Option<(NaiveDate, u32)> {
    let local = DateTime::from_timestamp_millis(at.0)?.with_timezone(&zone);
    Some((local.date_naive(), local.hour()))
}

/// A moment as people write it: `2026-11-24 13h`, `2026-11-24 13h05` (also with `/` between) by clocks of the zone, or
/// RFC 3339, which says its own.
#[must_use]
pub fn parse_moment(zone: Tz, text: &str) -> Option<UnixMillis> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(UnixMillis(time.timestamp_millis()));
    }
    let (day, time) = text.trim().split_once([' ', '/'])?;
    at(zone, parse_day(day)?, parse_time(time)?)
}

/// A moment by the clocks of a zone, to the minute, as a part of a name: `2026-11-24-13h05`.
#[must_use]
pub fn moment_label(zone: Tz, at: UnixMillis) -> String {
    DateTime::from_timestamp_millis(at.0)
        .map_or_else(|| at.to_string(), |at| at.with_timezone(&zone).format("%Y-%m-%d-%Hh%M").to_string())
}

/// The hours to list, of those (in UTC) in which something changed: each shows what was there before. `now` is not past.
pub fn hours(zone: Tz, changed: &[UnixMillis], earliest: UnixMillis, now: UnixMillis) -> BTreeSet<(NaiveDate, u32)> {
    let mut hours = BTreeSet::new();
    for begin in changed {
        // Where clocks are not a whole number of hours off, an hour of UTC lies in two.
        for instant in [*begin, begin.plus_ms(HOUR_MS.saturating_sub(1))] {
            let Some((day, hour)) = label(zone, instant) else { continue };
            let Some(at) = NaiveTime::from_hms_opt(hour, 0, 0).and_then(|time| at(zone, day, time)) else { continue };
            if at >= earliest && at < now {
                hours.insert((day, hour));
            }
        }
    }
    hours
}

/// A mailbox by name, of the present or of the past.
pub enum Located {
    /// As it is.
    Present(Mailbox),
    /// As it was. The row has the name under which it is shown.
    Past(Arc<Moment>, Mailbox),
}

/// The root's name for the session's account; `None` where the past is not shown.
pub fn root_of(session: &Session) -> Result<Option<&'static str>, Fail> {
    if !session.service.config.restore {
        return Ok(None);
    }
    let account = session.store().account(session.login()?.account)?;
    let root = root(account.is_some_and(|account| account.language == "fr"));
    Ok(Some(root))
}

/// Whether a name is at or below the root.
pub fn is_below(root: &str, name: &MailboxName) -> bool {
    name.as_str().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(MailboxName::SEPARATOR))
}

/// The root, if a name is at or below it and no mailbox hides it.
pub fn covering(session: &Session, name: &MailboxName) -> Result<Option<&'static str>, Fail> {
    let Some(root) = root_of(session)?.filter(|root| is_below(root, name)) else { return Ok(None) };
    let permit = session.admit_any(Action::List)?;
    let hidden = session.store().read(&permit)?.mailboxes()?.iter().any(|mailbox| is_below(root, &mailbox.name));
    Ok((!hidden).then_some(root))
}

/// Refuses a name for something new that the past takes.
pub fn keep_free(session: &Session, name: &MailboxName) -> Result<(), Fail> {
    match covering(session, name)? {
        Some(_) => Err(Fail::No(Some(Code::Cannot), "This name is kept for the past")),
        None => Ok(()),
    }
}

/// Finds a mailbox to look at.
pub async fn locate(session: &mut Session, name: &MailboxName) -> Result<Located, Fail> {
    let permit = session.admit_any(Action::List)?;
    if let Some(mailbox) = session.store().read(&permit)?.mailbox_by_name(name)? {
        return Ok(Located::Present(mailbox));
    }
    if let Some(other) = crate::others::find(session, name)? {
        return Ok(Located::Present(other));
    }
    let missing = || Fail::No(Some(Code::NonExistent), "No such mailbox");
    let root = covering(session, name)?.ok_or_else(missing)?;
    match parse(root, session.service.config.restore_time_zone, name.as_str()) {
        Some(Place::Mailbox(at, inner)) => {
            let moment = open(session, at).await?;
            let store = session.store();
            let found = store.read_past(&permit, &moment)?.mailbox_by_name(&inner)?;
            let mailbox = Mailbox { name: name.clone(), ..found.ok_or_else(missing)? };
            Ok(Located::Past(moment, mailbox))
        }
        Some(Place::Level | Place::Moment(_)) => Err(Fail::No(Some(Code::Cannot), "This only holds other names")),
        None => Err(missing()),
    }
}

/// Opens a moment of the session's account.
pub async fn open(session: &mut Session, at: UnixMillis) -> Result<Arc<Moment>, Fail> {
    let permit = session.admit_any(Action::Past)?;
    Ok(session.store().moment(&permit, at).await?)
}

/// The hours to list for the session's account.
pub fn listed(session: &Session) -> Result<BTreeSet<(NaiveDate, u32)>, Fail> {
    let permit = session.admit_any(Action::Past)?;
    let store = session.store();
    let changed = store.changed_hours(&permit)?;
    let now = session.service.clock.now();
    Ok(hours(session.service.config.restore_time_zone, &changed, store.earliest_moment(), now))
}

/// The moments that a pattern of LIST names by its first three levels, without wildcards, each with these levels.
pub fn named(root: &str, zone: Tz, pattern: &str) -> Option<(String, UnixMillis)> {
    let plain = pattern.split(['*', '%']).next().unwrap_or_default();
    let mut levels = plain.splitn(4, MailboxName::SEPARATOR);
    let label = [levels.next()?, levels.next()?, levels.next()?].join("/");
    levels.next()?;
    match parse(root, zone, &label) {
        Some(Place::Moment(at)) => Some((label, at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ms(text: &str) -> UnixMillis {
        UnixMillis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    #[test]
    fn names_are_read() {
        let paris = chrono_tz::Europe::Paris;
        let inbox = || MailboxName::new("INBOX").unwrap();
        let at_13 = ms("2026-11-24T13:00:00+01:00");
        for (name, place) in [
            ("Restauration", Some(Place::Level)),
            ("Restauration/2026-11-24", Some(Place::Level)),
            ("Restauration/2026-11-24/13h", Some(Place::Moment(at_13))),
            ("Restauration/2026-11-24/13h/INBOX", Some(Place::Mailbox(at_13, inbox()))),
            ("Restauration/2026-11-24/13h/inbox", Some(Place::Mailbox(at_13, inbox()))),
            ("Restauration/2026-11-24/13h/a/b/c", Some(Place::Mailbox(at_13, MailboxName::new("a/b/c").unwrap()))),
            ("Restauration/2026-11-24/13h05", Some(Place::Moment(at_13.plus_ms(300_000)))),
            ("Restauration/2026-11-24/13h05m30", Some(Place::Moment(at_13.plus_ms(330_000)))),
            ("Restauration/2026-11-24/13h05m30s250", Some(Place::Moment(at_13.plus_ms(330_250)))),
            ("Restauration/2026-11-24/13", None),
            ("Restauration/2026-11-24/13h5", None),
            ("Restauration/2026-11-24/13hm30", None),
            ("Restauration/2026-11-24/13h05m", None),
            ("Restauration/2026-11-24/13h05m30s", None),
            ("Restauration/2026-11-24/13h05ms250", None),
            ("Restauration/2026-11-24/25h", None),
            ("Restauration/2026-11-24/+1h", None),
            ("Restauration/2026-1-24/13h", None),
            ("Restauration/2026-02-30/13h", None),
            ("Restaurations", None),
            ("INBOX", None),
        ] {
            assert_eq!(parse("Restauration", paris, name), place, "{name}");
        }
        for (pattern, label) in [
            ("Restauration/2026-11-24/13h/%", Some("Restauration/2026-11-24/13h")),
            ("Restauration/2026-11-24/13h05/a/*", Some("Restauration/2026-11-24/13h05")),
            ("Restauration/2026-11-24/13h/INBOX", Some("Restauration/2026-11-24/13h")),
            ("Restauration/2026-11-24/13h", None),
            ("Restauration/2026-11-24/13h*", None),
            ("Restauration/2026-11-24/%/INBOX", None),
            ("Restauration/*/13h/INBOX", None),
        ] {
            let named = named("Restauration", paris, pattern);
            assert_eq!(named.as_ref().map(|(label, _)| label.as_str()), label, "{pattern}");
        }
        // The hour that summer time leaves out, and the one that comes twice.
        assert_eq!(parse("R", paris, "R/2026-03-29/02h"), None);
        assert_eq!(parse("R", paris, "R/2026-10-25/02h"), Some(Place::Moment(ms("2026-10-25T02:00:00+01:00"))));
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let paris = chrono_tz::Europe::Paris;
        for (text, at) in [
            ("2026-11-24 13h", Some("2026-11-24T13:00:00+01:00")),
            ("2026-07-24/13h05", Some("2026-07-24T13:05:00+02:00")),
            ("2026-11-24T13:05:00Z", Some("2026-11-24T13:05:00Z")),
            ("2026-11-24", None),
            ("13h", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_moment(paris, text), at.map(ms), "{text}");
        }
        assert_eq!(moment_label(paris, ms("2026-11-24T12:05:09Z")), "2026-11-24-13h05");
    }

    #[test]
    fn every_listed_hour_is_read_as_itself_and_is_past() {
        let changed: Vec<UnixMillis> = (0..24 * 40).map(|n| ms("2026-10-01T00:00:00Z").plus_ms(n * HOUR_MS)).collect();
        let (earliest, now) = (ms("2026-10-03T10:20:00Z"), ms("2026-11-01T09:15:00Z"));
        for zone in [chrono_tz::UTC, chrono_tz::Europe::Paris, chrono_tz::Asia::Kolkata] {
            let hours = hours(zone, &changed, earliest, now);
            assert!(hours.len() > 28 * 24, "{zone}: {}", hours.len());
            for (day, hour) in hours {
                let Some(Place::Moment(at)) = parse("R", zone, &format!("R/{day}/{hour:02}h")) else {
                    unreachable!("{zone} {day} {hour}")
                };
                assert!(at >= earliest && at < now, "{zone} {day} {hour}");
            }
        }
        // 13:20 in Paris changes what 13h showed.
        let changed = [ms("2026-11-24T12:00:00Z")];
        let listed = hours(chrono_tz::Europe::Paris, &changed, UnixMillis(0), ms("2026-11-24T12:21:00Z"));
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), [(NaiveDate::from_ymd_opt(2026, 11, 24).unwrap(), 13)]);
    }
}
