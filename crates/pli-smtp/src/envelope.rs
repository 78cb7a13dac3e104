//! What MAIL asks for → what the queue is told; relative times become moments.

use pli_mime::fix::header_block;
use pli_mime::header_values;
use pli_types::{Address, DeliverBy, MailParameters, UnixMillis};

use crate::command::{Hold, MailFrom};
use crate::parameter::moment;
use crate::reply::Reply;
use crate::{Role, SmtpConfig};

/// The parameters for the queue, and whether the priority was lowered.
pub(crate) fn mail_parameters(
    from: &MailFrom,
    role: Role,
    config: &SmtpConfig,
    now: UnixMillis,
) -> Result<(MailParameters, bool), Reply> {
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
    let deliver_by = from.by.map(|by| DeliverBy { until: after(by.seconds), give_back: by.give_back, trace: by.trace });
    // RFC 6710 §5: a stranger's mail is no more urgent than others.
    let lowered = from.priority > 0 && !role.is_submission();
    let parameters = MailParameters {
        ret: from.ret,
        envid: from.envid.clone(),
        require_tls: from.require_tls,
        // What is past needs no waiting.
        hold_until: hold_until.filter(|at| *at > now),
        deliver_by,
        priority: if lowered { 0 } else { from.priority },
    };
    Ok((parameters, lowered))
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
    use crate::command::WithinTime;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn of(from: &MailFrom, role: Role) -> Result<(MailParameters, bool), Reply> {
        mail_parameters(from, role, &SmtpConfig::default(), NOW)
    }

    #[test]
    fn times_become_moments() {
        let by = WithinTime { seconds: 60, give_back: true, trace: false };
        let from = MailFrom { hold: Some(Hold::For(10)), by: Some(by), priority: 5, ..MailFrom::default() };
        let (parameters, lowered) = of(&from, Role::Submission).unwrap();
        assert_eq!(parameters.hold_until, Some(UnixMillis(1_010_000)));
        assert_eq!(parameters.deliver_by.unwrap().until, UnixMillis(1_060_000));
        assert_eq!((parameters.priority, lowered), (5, false));
        let (parameters, lowered) = of(&from, Role::Mx).unwrap();
        assert_eq!((parameters.priority, lowered), (0, true));
        let past = MailFrom { hold: Some(Hold::Until(UnixMillis(5))), ..MailFrom::default() };
        assert_eq!(of(&past, Role::Submission).unwrap().0.hold_until, None);
        let far = MailFrom { hold: Some(Hold::Until(UnixMillis(i64::MAX))), ..MailFrom::default() };
        assert_eq!(of(&far, Role::Submission).unwrap_err().code, 501);
    }

    #[test]
    fn the_field_is_read() {
        let field = b"Require-Recipient-Valid-Since: bob@example.org;\r\n Thu, 1 Jan 1970 00:00:05 +0000\r\n\r\n";
        let (address, at) = valid_since(field).unwrap();
        assert_eq!((address.to_string().as_str(), at), ("bob@example.org", UnixMillis(5000)));
        assert_eq!(valid_since(b"Require-Recipient-Valid-Since: bob@example.org\r\n\r\n"), None);
    }
}
