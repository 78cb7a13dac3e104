//! Reports of what became of a message: RFC 3464 in RFC 6522's multipart/report, in French, English or both.

use std::fmt::Write as _;

use pli_types::{Address, UnixMillis};

use crate::outcome::Reason;

/// Bytes of the original header that a report returns.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// A message that is returned whole has this many bytes at most; of a larger one the header goes back. RFC 3461 §4.3.
const FULL_BYTES_MAX: usize = 256 * 1024;
/// Characters of the other side's words.
const WORDS_MAX: usize = 600;

/// What a report is about. RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// It will not be delivered.
    Failed,
    /// It has not been delivered yet.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// It went to a server that sends no reports.
    Relayed,
    /// It went to the members of a list.
    Expanded,
}

impl About {
    const fn action(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// Subject and first sentence, in French and English. ASCII in the subject.
    const fn words(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Failed => [
                ("Message non remis", "Votre message n'a pas pu être remis aux destinataires ci-dessous."),
                ("Undelivered mail", "Your message could not be delivered to the recipients below."),
            ],
            Self::Delayed => [
                (
                    "Message en attente",
                    "Votre message n'a pas encore pu être remis aux destinataires ci-dessous. Les essais continuent ; \
                     vous n'avez rien à faire.",
                ),
                (
                    "Delayed mail",
                    "Your message could not be delivered yet to the recipients below. It is being tried again; you need \
                     not do anything.",
                ),
            ],
            Self::Delivered => [
                ("Message remis", "Votre message a été remis aux destinataires ci-dessous."),
                ("Mail delivered", "Your message was delivered to the recipients below."),
            ],
            Self::Relayed => [
                (
                    "Message transmis",
                    "Votre message a été transmis au serveur des destinataires ci-dessous, qui n'envoie pas d'avis de \
                     remise.",
                ),
                (
                    "Mail relayed",
                    "Your message was passed to the server of the recipients below, which sends no reports of delivery.",
                ),
            ],
            Self::Expanded => [
                ("Message distribue", "Votre message a été distribué aux membres des listes ci-dessous."),
                ("Mail expanded", "Your message was sent on to the members of the lists below."),
            ],
        }
    }
}

/// One recipient in a report.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// As we tried it.
    pub address: &'a Address,
    /// `rfc822;` and the address that the sender gave, without its coding. RFC 3461 §4.2.
    pub original: Option<String>,
    /// What happened. `5.x.x`, `4.x.x` or `2.x.x` stand in its status.
    pub reason: &'a Reason,
}

/// A report.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Our name.
    pub hostname: &'a str,
    /// Who it is from, and whom an answer would reach.
    pub postmaster: &'a str,
    /// Makes Message-ID and boundary unique.
    pub unique: u64,
    /// Now.
    pub now: UnixMillis,
    /// When the message was accepted.
    pub arrived: UnixMillis,
    /// To whom.
    pub to: &'a Address,
    /// ENVID without its coding.
    pub envelope_id: Option<String>,
    /// Of what.
    pub about: About,
    /// Of whom.
    pub recipients: &'a [Told<'a>],
    /// When it is given up, for a delay.
    pub until: Option<UnixMillis>,
    /// The message.
    pub original: &'a [u8],
    /// Whether the whole of it goes back.
    pub full: bool,
    /// `fr`, `en`, or both where it is not known.
    pub language: Option<&'a str>,
}

impl Report<'_> {
    /// The whole message.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let boundary = self.boundary();
        let (kind, original) = self.returned();
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "From: Mail Delivery System <{}>\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{:016x}.report@{}>\r\n\
             Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
            self.postmaster,
            self.to.wire(self.to.is_international()),
            self.subject(),
            stamp(self.now),
            self.unique,
            self.hostname,
        );
        let _ = write!(
            out,
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
            self.words()
        );
        let _ = write!(out, "--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n{}\r\n", self.status());
        let coding = if original.is_ascii() { "7bit" } else { "8bit" };
        let _ = write!(out, "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(original);
        if !original.ends_with(b"\r\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        bytes
    }

    /// RFC 2046 §5.1.1: in none of the parts.
    fn boundary(&self) -> String {
        let mut number = self.unique;
        loop {
            let boundary = format!("=_report_{number:016x}");
            if memchr::memmem::find(self.original, boundary.as_bytes()).is_none() {
                return boundary;
            }
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
    }

    /// The third part: RFC 6522 §4, RFC 3461 §4.3. Only a report of failure returns a message.
    fn returned(&self) -> (&'static str, &[u8]) {
        let whole = self.full && self.about == About::Failed && self.original.len() <= FULL_BYTES_MAX;
        if whole { ("message/rfc822", self.original) } else { ("text/rfc822-headers", header_block(self.original)) }
    }

    /// The languages that it speaks.
    fn languages(&self) -> &'static [usize] {
        match self.language {
            Some("fr") => &[0],
            Some("en") => &[1],
            _ => &[0, 1],
        }
    }

    fn subject(&self) -> String {
        let words = self.about.words();
        let parts: Vec<&str> = self.languages().iter().filter_map(|at| words.get(*at)).map(|(s, _)| *s).collect();
        parts.join(" / ")
    }

    fn words(&self) -> String {
        const LABELS: [(&str, &str, &str); 2] =
            [("Serveur", "Accepté le", "Les essais cessent le"), ("Server", "Accepted on", "It is given up on")];
        let words = self.about.words();
        let mut text = String::new();
        for at in self.languages() {
            if let Some((_, sentence)) = words.get(*at) {
                fold(&mut text, sentence);
            }
        }
        text.push_str("\r\n");
        for told in self.recipients {
            let _ = write!(text, "<{}>\r\n", told.address.wire(told.address.is_international()));
            let words: String = told.reason.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let words: String = words.chars().take(WORDS_MAX).collect();
            let _ = write!(text, "    {words}\r\n\r\n");
        }
        for at in self.languages() {
            let Some((server, arrived, until)) = LABELS.get(*at) else { continue };
            let _ = write!(text, "{server}: {}\r\n{arrived}: {}\r\n", self.hostname, stamp(self.arrived));
            if let Some(time) = self.until.filter(|_| self.about == About::Delayed) {
                let _ = write!(text, "{until}: {}\r\n", stamp(time));
            }
        }
        text
    }

    /// RFC 3464 §2: one block for the message, one for each recipient.
    fn status(&self) -> String {
        let mut text = String::new();
        if let Some(id) = &self.envelope_id {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", ascii(id));
        }
        let _ = write!(text, "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n", self.hostname, stamp(self.arrived));
        for told in self.recipients {
            text.push_str("\r\n");
            if let Some(original) = &told.original {
                let _ = write!(text, "Original-Recipient: {}\r\n", ascii(original));
            }
            let _ = write!(
                text,
                "Final-Recipient: {}\r\nAction: {}\r\nStatus: {}\r\n",
                recipient(told.address),
                self.about.action(),
                self.code(told.reason)
            );
            if let Some(host) = &told.reason.host {
                let _ = write!(text, "Remote-MTA: dns; {}\r\n", ascii(host));
            }
            if let Some(reply) = &told.reason.reply {
                let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", ascii(reply));
            }
            let _ = write!(text, "Last-Attempt-Date: {}\r\n", stamp(self.now));
            if let Some(until) = self.until.filter(|_| self.about == About::Delayed) {
                // RFC 3464 §2.3.9
                let _ = write!(text, "Will-Retry-Until: {}\r\n", stamp(until));
            }
        }
        text
    }

    /// RFC 3464 §2.3.4: the class goes with the action; what expired failed with a 4.x.x until then.
    fn code<'a>(&self, reason: &'a Reason) -> &'a str {
        match (self.about, reason.status.as_bytes().first()) {
            (About::Failed, Some(b'4')) => "5.4.7",
            (About::Failed, Some(b'5')) | (About::Delayed, Some(b'4')) => &reason.status,
            (About::Failed, _) => "5.0.0",
            (About::Delayed, _) => "4.4.7",
            _ => "2.0.0",
        }
    }
}

/// RFC 3464 §2.3.2; where the local part is not ASCII, RFC 6533 §3 in its ASCII form.
fn recipient(address: &Address) -> String {
    if address.local().is_ascii() {
        return format!("rfc822; {}", address.wire(false));
    }
    let escaped = address.to_string().chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_graphic() && c != '\\' && c != '+' && c != '=' {
            out.push(c);
        } else {
            let _ = write!(out, "\\x{{{:X}}}", u32::from(c));
        }
        out
    });
    format!("utf-8; {escaped}")
}

/// A date of RFC 5322 §3.3, in UTC.
fn stamp(at: UnixMillis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.secs().max(0);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The calendar's 400 years begin on 1 March, so that the odd day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 2 } else { month_from_march - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at)).copied();
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} +0000",
        name(&DAYS, days % 7).unwrap_or_default(),
        name(&MONTHS, month).unwrap_or_default(),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// One line of printable ASCII.
fn ascii(text: &str) -> String {
    text.chars().take(WORDS_MAX).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Lines of some 72 characters.
fn fold(out: &mut String, sentence: &str) {
    let mut width = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + length >= 72 {
            out.push_str("\r\n");
            width = 0;
        }
        if width > 0 {
            out.push(' ');
        }
        out.push_str(word);
        width += length + 1;
    }
    out.push_str("\r\n");
}

/// The header of a message, cut at a line's end when it is very long.
fn header_block(message: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let header = message.get(..end.min(HEADER_BYTES_MAX)).unwrap_or_default();
    let whole_lines = memchr::memrchr(b'\n', header).map_or(0, |at| at + 1);
    header.get(..whole_lines).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn reason(status: &str) -> Reason {
        Reason {
            status: status.to_owned(),
            reply: Some(format!("550 {status} no such user é\r\nInjected: yes")),
            text: String::new(),
            host: Some(String::from("mx.other.test")),
        }
    }

    fn report<'a>(to: &'a Address, recipients: &'a [Told<'a>], about: About) -> Report<'a> {
        Report {
            hostname: "mail.example.org",
            postmaster: "postmaster@example.org",
            unique: 7,
            now: UnixMillis(86_400_000),
            arrived: UnixMillis(0),
            to,
            envelope_id: Some(String::from("id 7")),
            about,
            recipients,
            until: Some(UnixMillis(172_800_000)),
            original: b"Subject: hello =_report_0000000000000007\r\nX: y\r\n\r\nbody",
            full: false,
            language: None,
        }
    }

    #[test]
    fn a_failure_has_three_parts_and_names_the_recipient() {
        let to = Address::parse("alice@example.org").unwrap();
        let gone = Address::parse("bob@other.test").unwrap();
        let why = reason("5.1.1");
        let told = [Told { address: &gone, original: Some(String::from("rfc822;Bob@Other.test")), reason: &why }];
        let text = String::from_utf8(report(&to, &told, About::Failed).build()).unwrap();
        for part in [
            "postmaster@example.org",
            "multipart/report; report-type=delivery-status",
            "Content-Type: message/delivery-status",
            "Original-Envelope-Id: id 7",
            "Original-Recipient: rfc822;Bob@Other.test",
            "Final-Recipient: rfc822; bob@other.test",
            "Action: failed",
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user ???Injected: yes",
            "Remote-MTA: dns; mx.other.test",
            "Content-Type: text/rfc822-headers",
            "Subject: hello",
            "Auto-Submitted: auto-replied",
            "Arrival-Date: Thu, 01 Jan 1970",
            "Message non remis / Undelivered mail",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("\r\n\r\nbody"), "the body is not sent back");
        assert!(!text.contains("\r\nInjected"), "the other side's words end no line");
        assert!(!text.contains("--=_report_0000000000000007"), "the boundary is in none of the parts");
        assert!(text.lines().all(|line| line.len() < 998));
    }

    #[test]
    fn each_action_has_its_class_and_language() {
        let to = Address::parse("alice@example.org").unwrap();
        let late = Address::parse("bob@other.test").unwrap();
        let why = reason("4.4.1");
        let told = [Told { address: &late, original: None, reason: &why }];
        let build = |about, language, full| {
            let report = Report { language, full, ..report(&to, &told, about) };
            String::from_utf8(report.build()).unwrap()
        };
        let delayed = build(About::Delayed, Some("fr"), true);
        for part in ["Action: delayed", "Status: 4.4.1", "Will-Retry-Until: Sat, 03 Jan 1970", "Les essais continuent"]
        {
            assert!(delayed.contains(part), "{part} in {delayed}");
        }
        assert!(!delayed.contains("tried again") && !delayed.contains("\r\n\r\nbody"));
        let failed = build(About::Failed, Some("en"), true);
        assert!(
            failed.contains("Status: 5.4.7") && failed.contains("message/rfc822") && failed.contains("\r\n\r\nbody")
        );
        assert!(!failed.contains("Votre"));
        let relayed = build(About::Relayed, None, false);
        assert!(relayed.contains("Action: relayed") && relayed.contains("Status: 2.0.0"));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 +0000"),
            (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 +0000"),
        ] {
            assert_eq!(stamp(UnixMillis(seconds * 1000)), text);
        }
    }

    #[test]
    fn international_recipients_are_named_in_ascii() {
        let address = Address::parse("josé+x@exemple.test").unwrap();
        assert_eq!(recipient(&address), "utf-8; jos\\x{E9}\\x{2B}x@exemple.test");
    }

    #[test]
    fn a_header_without_end_is_cut_at_a_line() {
        let long = b"A: b\r\n".repeat(10_000);
        let cut = header_block(&long);
        assert!(cut.len() <= HEADER_BYTES_MAX && cut.ends_with(b"\r\n"));
        assert_eq!(header_block(b"no line end"), b"");
    }
}
