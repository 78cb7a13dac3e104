//! Parameters of MAIL and RCPT, each with the extension that it belongs to.

use chrono::DateTime;
use pli_types::{Notify, RcptParameters, Ret, UnixMillis, xtext};

use crate::command::{Hold, MailFrom};
use crate::extension::Extension;
use crate::reply::Reply;

/// RFC 3461 §4.4.
const ENVID_CHARS_MAX: usize = 100;
/// RFC 3461 §4.2.
const ORCPT_CHARS_MAX: usize = 500;

fn syntax(text: &'static str) -> Reply {
    Reply::new(501, "5.5.4", text)
}

/// Takes `KEYWORD[=value]` of all words; nothing twice. RFC 5321 §4.1.2: parameters are keywords with values.
pub(crate) fn each(
    parameters: &str,
    unknown: &'static str,
    mut take: impl FnMut(&str, Option<&str>) -> Option<Result<Extension, Reply>>,
) -> Result<Vec<Extension>, Reply> {
    let mut seen: Vec<String> = Vec::new();
    let mut used = Vec::new();
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
            None => (parameter.to_ascii_uppercase(), None),
        };
        if seen.contains(&keyword) {
            return Err(syntax("A parameter is given twice"));
        }
        match take(&keyword, value) {
            Some(extension) => used.push(extension?),
            None => return Err(Reply::new(555, "5.5.4", unknown)),
        }
        seen.push(keyword);
    }
    Ok(used)
}

/// One parameter of MAIL; `None` if it is not known.
pub(crate) fn of_mail(from: &mut MailFrom, keyword: &str, value: Option<&str>) -> Option<Result<Extension, Reply>> {
    let extension = match keyword {
        "SIZE" => Extension::Size,
        "BODY" => Extension::EightBitMime,
        "SMTPUTF8" => Extension::SmtpUtf8,
        "AUTH" => Extension::Auth,
        "RET" | "ENVID" => Extension::Dsn,
        "REQUIRETLS" => Extension::RequireTls,
        "HOLDFOR" | "HOLDUNTIL" => Extension::FutureRelease,
        _ => return None,
    };
    Some(match (keyword, value) {
        ("SIZE", Some(digits)) => size(from, digits).map(|()| extension),
        ("BODY", Some(value)) => body(from, value),
        // RFC 6531 §3.4. Without 8BITMIME it is against §3.6, but sent (clients.md row 22).
        ("SMTPUTF8", None) => {
            from.smtputf8 = true;
            Ok(extension)
        }
        // RFC 4954 §5: whom the message is from in another server's eyes; nobody is trusted in that here. Some say it
        // where AUTH was not offered.
        ("AUTH", Some(_)) => Ok(Extension::Size),
        ("RET", Some(value)) => ret(from, value).map(|()| extension),
        ("ENVID", Some(value)) => envid(from, value).map(|()| extension),
        // RFC 8689 §3: it has no value.
        ("REQUIRETLS", None) => {
            from.require_tls = true;
            Ok(extension)
        }
        ("HOLDFOR" | "HOLDUNTIL", Some(value)) => hold(from, keyword, value).map(|()| extension),
        _ => Err(syntax("A parameter's value is wrong")),
    })
}

/// RFC 1870 §3: up to 20 digits.
fn size(from: &mut MailFrom, digits: &str) -> Result<(), Reply> {
    let ok = !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if !ok {
        return Err(syntax("SIZE needs a number"));
    }
    from.size = Some(digits.parse().unwrap_or(u64::MAX));
    Ok(())
}

fn body(from: &mut MailFrom, value: &str) -> Result<Extension, Reply> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Extension::EightBitMime),
        "8BITMIME" => {
            from.eight_bit = true;
            Ok(Extension::EightBitMime)
        }
        // RFC 3030 §3
        "BINARYMIME" => {
            from.binary = true;
            Ok(Extension::BinaryMime)
        }
        _ => Err(syntax("BODY is 7BIT, 8BITMIME or BINARYMIME")),
    }
}

/// RFC 3461 §4.3
fn ret(from: &mut MailFrom, value: &str) -> Result<(), Reply> {
    from.ret = Some(match value.to_ascii_uppercase().as_str() {
        "FULL" => Ret::Full,
        "HDRS" => Ret::Headers,
        _ => return Err(syntax("RET is FULL or HDRS")),
    });
    Ok(())
}

/// RFC 3461 §4.4
fn envid(from: &mut MailFrom, value: &str) -> Result<(), Reply> {
    if value.is_empty() || value.len() > ENVID_CHARS_MAX || !value.is_ascii() || xtext::decode(value).is_none() {
        return Err(syntax("ENVID is xtext of at most 100 characters"));
    }
    from.envid = Some(value.to_owned());
    Ok(())
}

/// RFC 4865 §3: seconds from now, or a moment. Not both.
fn hold(from: &mut MailFrom, keyword: &str, value: &str) -> Result<(), Reply> {
    if from.hold.is_some() {
        return Err(syntax("HOLDFOR and HOLDUNTIL exclude each other"));
    }
    from.hold = Some(if keyword == "HOLDFOR" {
        let digits = !value.is_empty() && value.len() <= 9 && value.bytes().all(|b| b.is_ascii_digit());
        match value.parse() {
            Ok(seconds) if digits && seconds > 0 => Hold::For(seconds),
            _ => return Err(syntax("HOLDFOR needs a number of seconds")),
        }
    } else {
        Hold::Until(moment(value).ok_or_else(|| syntax("HOLDUNTIL needs a date and time of RFC 3339"))?)
    });
    Ok(())
}

/// One parameter of RCPT; `None` if it is not known.
pub(crate) fn of_rcpt(to: &mut RcptParameters, keyword: &str, value: Option<&str>) -> Option<Result<Extension, Reply>> {
    Some(match (keyword, value) {
        // RFC 3461 §4.1
        ("NOTIFY", Some(value)) => match Notify::parse(value) {
            Some(notify) => {
                to.notify = Some(notify);
                Ok(Extension::Dsn)
            }
            None => Err(syntax("NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY")),
        },
        ("ORCPT", Some(value)) => orcpt(to, value).map(|()| Extension::Dsn),
        // RFC 7293 §3.1: whether the next server must know it (`R`) or need not (`C`) follows the moment.
        ("RRVS", Some(value)) => {
            let or_unknown = value.strip_suffix(";C");
            match moment(or_unknown.or_else(|| value.strip_suffix(";R")).unwrap_or(value)) {
                Some(since) => {
                    to.valid_since = Some(since);
                    to.valid_since_or_unknown = or_unknown.is_some();
                    Ok(Extension::Rrvs)
                }
                None => Err(syntax("RRVS needs a date and time of RFC 3339")),
            }
        }
        ("NOTIFY" | "ORCPT" | "RRVS", None) => Err(syntax("A parameter's value is wrong")),
        _ => return None,
    })
}

/// RFC 3461 §4.2: an address type, `;`, the address as xtext.
fn orcpt(to: &mut RcptParameters, value: &str) -> Result<(), Reply> {
    let ok = value.len() <= ORCPT_CHARS_MAX
        && value.split_once(';').is_some_and(|(kind, address)| {
            let atom = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !kind.is_empty() && kind.chars().all(atom) && !address.is_empty() && xtext::decode(address).is_some()
        });
    if !ok {
        return Err(syntax("ORCPT is an address type, a semicolon and xtext of at most 500 characters"));
    }
    to.orcpt = Some(value.to_owned());
    Ok(())
}

/// RFC 3339 §5.6 date-time.
pub(crate) fn moment(text: &str) -> Option<UnixMillis> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(UnixMillis(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::command::{Command, parse};

    fn mail(parameters: &str) -> Result<MailFrom, u16> {
        match parse(format!("MAIL FROM:<a@b.test> {parameters}").as_bytes()) {
            Ok(Command::Mail(from)) => Ok(from),
            Ok(other) => panic!("{other:?}"),
            Err(reply) => Err(reply.code),
        }
    }

    fn rcpt(parameters: &str) -> Result<RcptParameters, u16> {
        match parse(format!("RCPT TO:<a@b.test> {parameters}").as_bytes()) {
            Ok(Command::Rcpt { parameters, .. }) => Ok(parameters),
            Ok(other) => panic!("{other:?}"),
            Err(reply) => Err(reply.code),
        }
    }

    #[test]
    fn of_mail_known_answers() {
        let from = mail("RET=hdrs ENVID=QQ+2B1 REQUIRETLS BODY=BINARYMIME").unwrap();
        assert_eq!((from.ret, from.envid.as_deref()), (Some(Ret::Headers), Some("QQ+2B1")));
        assert!(from.require_tls && from.binary);
        assert_eq!(mail("HOLDFOR=60").unwrap().hold, Some(Hold::For(60)));
        assert_eq!(mail("HOLDUNTIL=1970-01-01T00:01:00Z").unwrap().hold, Some(Hold::Until(UnixMillis(60_000))));
    }

    #[test]
    fn of_rcpt_known_answers() {
        let to = rcpt("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2Bx@example.org").unwrap();
        assert!(to.wants_success() && !to.wants_failure());
        assert_eq!(to.original_recipient().unwrap(), "rfc822;Bob+x@example.org");
        assert_eq!(rcpt("RRVS=1970-01-01T00:00:01Z;C").unwrap().valid_since, Some(UnixMillis(1000)));
        assert_eq!(rcpt("").unwrap(), RcptParameters::default());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let long = format!("ENVID={}", "x".repeat(101));
        for wrong in [
            "RET",
            "RET=ALL",
            "ENVID=",
            "ENVID=a+b",
            "ENVID=a=b",
            &long,
            "REQUIRETLS=1",
            "HOLDFOR=",
            "HOLDFOR=-1",
            "HOLDFOR=0",
            "HOLDFOR=9999999999",
            "HOLDUNTIL=tomorrow",
            "HOLDFOR=1 HOLDUNTIL=1970-01-01T00:01:00Z",
            "BODY=9BIT",
            "SMTPUTF8=1",
        ] {
            assert_eq!(mail(wrong), Err(501), "{wrong}");
        }
        let long = format!("ORCPT=rfc822;{}", "x".repeat(500));
        for wrong in [
            "NOTIFY",
            "NOTIFY=",
            "NOTIFY=NEVER,FAILURE",
            "NOTIFY=SUCCESS NOTIFY=DELAY",
            "ORCPT=bob@example.org",
            "ORCPT=;x",
            "ORCPT=rfc822;",
            "ORCPT=rfc822;a+zz",
            &long,
            "RRVS=yesterday",
            "RRVS",
        ] {
            assert_eq!(rcpt(wrong), Err(501), "{wrong}");
        }
        assert_eq!(mail("XYZZY=1"), Err(555));
        assert_eq!(rcpt("XYZZY"), Err(555));
    }
}
