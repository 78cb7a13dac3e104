//! What MAIL asks for → what the queue is told; relative times become moments.

use pli_mime::fix::header_block;
use pli_mime::header_values;
use pli_types::{Address, MailParameters, UnixMillis};

use crate::SmtpConfig;
use crate::command::{Hold, MailFrom};
use crate::parameter::moment;
use crate::reply::Reply;

/// The parameters for the queue.
pub(crate) fn mail_parameters(from: &MailFrom, config: &SmtpConfig, now: UnixMillis) -> Result<MailParameters, Reply> {
    let after = |seconds: i64| now.plus_ms(seconds.saturating_mul(1000));
    let hold_until = match from.hold {
        None => None,
        Some(Hold::For(seconds)) => Some(after(seconds.into())),
        Some(Hold::Until(at)) => Some(at),
    };
    // RFC 4865 §4.1
    if hold_until.is_some_and(|at| at > after(config.future_release_max_s.into())) {
        return Err(Reply::new(501, "5.5.4", "The message cannot wait as long as that"));
    }
    Ok(MailParameters {
        ret: from.ret,
        envid: from.envid.clone(),
        require_tls: from.require_tls,
        // What is past needs no waiting.
        hold_until: hold_until.filter(|at| *at > now),
        ..MailParameters::default()
    })
}

/// `Require-Recipient-Valid-Since: address; date-time`. RFC 7293 §3.2.
pub(crate) fn valid_since(message: &[u8]) -> Option<(Address, UnixMillis)> {
    let value = header_values(header_block(message), "Require-Recipient-Valid-Since").next()?;
    let value = String::from_utf8(pli_mime::unfold(value).into_owned()).ok()?;
    let (address, date) = value.split_once(';')?;
    let date = date.trim();
    let at = moment(date)
        .or_else(|| Some(UnixMillis(chrono::DateTime::parse_from_rfc2822(date).ok()?.timestamp_millis())))?;
    Some((Address::parse(address.trim()).ok()?, at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn of(from: &MailFrom) -> Result<MailParameters, Reply> {
        mail_parameters(from, &SmtpConfig::default(), NOW)
    }

    #[test]
    fn times_become_moments() {
        let from = MailFrom { hold: Some(Hold::For(10)), ..MailFrom::default() };
        assert_eq!(of(&from).unwrap().hold_until, Some(UnixMillis(1_010_000)));
        let past = MailFrom { hold: Some(Hold::Until(UnixMillis(5))), ..MailFrom::default() };
        assert_eq!(of(&past).unwrap().hold_until, None);
        let far = MailFrom { hold: Some(Hold::Until(UnixMillis(i64::MAX))), ..MailFrom::default() };
        assert_eq!(of(&far).unwrap_err().code, 501);
    }

    #[test]
    fn the_field_is_read() {
        let field = b"Require-Recipient-Valid-Since: bob@example.org;\r\n Thu, 1 Jan 1970 00:00:05 +0000\r\n\r\n";
        let (address, at) = valid_since(field).unwrap();
        assert_eq!((address.to_string().as_str(), at), ("bob@example.org", UnixMillis(5000)));
        assert_eq!(valid_since(b"Require-Recipient-Valid-Since: bob@example.org\r\n\r\n"), None);
    }
}
