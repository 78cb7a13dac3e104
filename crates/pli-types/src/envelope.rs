//! What the extensions of SMTP add to an envelope, as it travels from MAIL and RCPT to the queue's row and on.
//!
//! On disk ([`EnvelopeParameters::encode`]) it is text: the keywords of the extensions, those of MAIL, `|`, those of
//! RCPT. Words that are not known are left out when it is read, so that a later program's rows still go out.

use std::fmt::Write as _;

use crate::{UnixMillis, xtext};

/// How much of a message a report about it returns. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// When a report is wanted. RFC 3461 §4.1. All false is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// When it has been delivered.
    pub success: bool,
    /// When it cannot be.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

/// By when a message is to be delivered. RFC 2852.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverBy {
    /// The moment.
    pub until: UnixMillis,
    /// Given back when it could not be (`R`); else its sender is told of the delay (`N`).
    pub give_back: bool,
    /// Whether its way is reported (`T`).
    pub trace: bool,
}

/// What is said at MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// RFC 3461 §4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, as xtext.
    pub envid: Option<String>,
    /// RFC 8689: only over TLS that has proved itself, to servers that promise the same.
    pub require_tls: bool,
    /// RFC 4865: not before.
    pub hold_until: Option<UnixMillis>,
    /// RFC 2852.
    pub deliver_by: Option<DeliverBy>,
    /// RFC 6710: from -9 to 9.
    pub priority: i8,
}

/// What is said at RCPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// RFC 3461 §4.1; `None` is what a server does by itself: failure, and delay if it likes.
    pub notify: Option<Notify>,
    /// RFC 3461 §4.2: address type, `;`, the address as xtext (RFC 6533 for `utf-8`).
    pub orcpt: Option<String>,
    /// RFC 7293: the mailbox has had its owner since then, or it is not to be delivered.
    pub valid_since: Option<UnixMillis>,
    /// Whether a server that cannot tell may have the message all the same (`C`).
    pub valid_since_or_unknown: bool,
}

/// Both, as the queue's row of one recipient keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeParameters {
    /// Of the message.
    pub mail: MailParameters,
    /// Of the recipient.
    pub rcpt: RcptParameters,
}

impl Notify {
    /// `NEVER`, or the words with commas.
    #[must_use]
    pub fn words(self) -> String {
        let words: Vec<&str> = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")]
            .into_iter()
            .filter_map(|(wanted, word)| wanted.then_some(word))
            .collect();
        if words.is_empty() { String::from("NEVER") } else { words.join(",") }
    }

    /// RFC 3461 §4.1: `NEVER` alone, or some of the others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut notify = Self::default();
        if text.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for word in text.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return None,
            }
        }
        Some(notify)
    }
}

impl RcptParameters {
    /// Whether a report of failure is wanted: it is, unless it was said otherwise. RFC 3461 §4.1.
    #[must_use]
    pub fn wants_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }
    /// Whether a report of delay may be sent.
    #[must_use]
    pub fn wants_delay(&self) -> bool {
        self.notify.is_none_or(|notify| notify.delay)
    }
    /// Whether a report of success is wanted.
    #[must_use]
    pub fn wants_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }
    /// The original recipient as a report names it: the type, `;`, the address without its coding. RFC 3464 §2.3.1.
    #[must_use]
    pub fn original_recipient(&self) -> Option<String> {
        let (kind, address) = self.orcpt.as_deref()?.split_once(';')?;
        Some(format!("{kind};{}", xtext::decode(address)?))
    }
}

impl EnvelopeParameters {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut out = String::new();
        let mail = &self.mail;
        // Writing to a String does not fail.
        match mail.ret {
            Some(Ret::Full) => out.push_str(" RET=FULL"),
            Some(Ret::Headers) => out.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &mail.envid {
            let _ = write!(out, " ENVID={envid}");
        }
        if mail.require_tls {
            out.push_str(" REQUIRETLS");
        }
        if let Some(at) = mail.hold_until {
            let _ = write!(out, " HOLDUNTIL={}", at.0);
        }
        if let Some(by) = mail.deliver_by {
            let trace = if by.trace { "T" } else { "" };
            let _ = write!(out, " BY={};{}{trace}", by.until.0, if by.give_back { 'R' } else { 'N' });
        }
        if mail.priority != 0 {
            let _ = write!(out, " MT-PRIORITY={}", mail.priority);
        }
        out.push_str(" |");
        if let Some(notify) = self.rcpt.notify {
            let _ = write!(out, " NOTIFY={}", notify.words());
        }
        if let Some(orcpt) = &self.rcpt.orcpt {
            let _ = write!(out, " ORCPT={orcpt}");
        }
        if let Some(at) = self.rcpt.valid_since {
            let _ = write!(out, " RRVS={}{}", at.0, if self.rcpt.valid_since_or_unknown { ";C" } else { "" });
        }
        out.trim_start().as_bytes().to_vec()
    }

    /// From what [`EnvelopeParameters::encode`] wrote.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut all = Self::default();
        let Ok(text) = std::str::from_utf8(bytes) else { return all };
        for word in text.split(' ') {
            all.take(word);
        }
        all
    }

    fn take(&mut self, word: &str) {
        let (keyword, value) = word.split_once('=').unwrap_or((word, ""));
        let moment = |text: &str| text.parse().ok().map(UnixMillis);
        match keyword {
            "RET" => self.mail.ret = if value == "FULL" { Some(Ret::Full) } else { Some(Ret::Headers) },
            "ENVID" => self.mail.envid = Some(value.to_owned()),
            "REQUIRETLS" => self.mail.require_tls = true,
            "HOLDUNTIL" => self.mail.hold_until = moment(value),
            "BY" => {
                let (until, mode) = value.split_once(';').unwrap_or((value, "N"));
                self.mail.deliver_by = moment(until).map(|until| DeliverBy {
                    until,
                    give_back: mode.starts_with('R'),
                    trace: mode.ends_with('T'),
                });
            }
            "MT-PRIORITY" => self.mail.priority = value.parse::<i8>().unwrap_or(0).clamp(-9, 9),
            "NOTIFY" => self.rcpt.notify = Notify::parse(value),
            "ORCPT" => self.rcpt.orcpt = Some(value.to_owned()),
            "RRVS" => {
                let or_unknown = value.strip_suffix(";C");
                self.rcpt.valid_since = moment(or_unknown.unwrap_or(value));
                self.rcpt.valid_since_or_unknown = or_unknown.is_some() && self.rcpt.valid_since.is_some();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all = EnvelopeParameters {
            mail: MailParameters {
                ret: Some(Ret::Headers),
                envid: Some(String::from("QQ+2B314159")),
                require_tls: true,
                hold_until: Some(UnixMillis(5)),
                deliver_by: Some(DeliverBy { until: UnixMillis(-7), give_back: true, trace: true }),
                priority: -9,
            },
            rcpt: RcptParameters {
                notify: Some(Notify { success: true, failure: false, delay: true }),
                orcpt: Some(String::from("rfc822;bob+2Btag@example.org")),
                valid_since: Some(UnixMillis(1000)),
                valid_since_or_unknown: true,
            },
        };
        assert_eq!(EnvelopeParameters::decode(&all.encode()), all);
        assert_eq!(all.rcpt.original_recipient().unwrap(), "rfc822;bob+tag@example.org");
        let none = EnvelopeParameters::default();
        assert!(none.encode().is_empty());
        assert_eq!(
            EnvelopeParameters::decode(b"LATER=1 RET=FULL | NEW"),
            EnvelopeParameters { mail: MailParameters { ret: Some(Ret::Full), ..MailParameters::default() }, ..none }
        );
    }

    #[test]
    fn reports_that_are_wanted() {
        let asked = |text: &str| RcptParameters { notify: Notify::parse(text), ..RcptParameters::default() };
        let by_itself = RcptParameters::default();
        assert!(by_itself.wants_failure() && by_itself.wants_delay() && !by_itself.wants_success());
        let never = asked("never");
        assert!(!never.wants_failure() && !never.wants_delay() && !never.wants_success());
        let some = asked("SUCCESS,failure");
        assert!(some.wants_failure() && !some.wants_delay() && some.wants_success());
        for wrong in ["", "NEVER,SUCCESS", "SUCCESS,", "ALWAYS"] {
            assert_eq!(Notify::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read = EnvelopeParameters::decode(&bytes);
            prop_assert_eq!(EnvelopeParameters::decode(&read.encode()), read);
        }
    }
}
