//! What is put in front of a message, and what submission repairs. Pure: bytes in, bytes out.

use chrono::DateTime;
use pli_mime::fix::{count_header, has_header, remove_header};
use pli_types::{Address, SessionInfo, TlsInfo, UnixMillis};

use crate::limits::RECEIVED_MAX;

/// What `Received` says. RFC 5321 §4.4.
pub(crate) struct Received<'a> {
    /// The session; its peer and its claimed name.
    pub session: &'a SessionInfo,
    /// What we are called.
    pub hostname: &'a str,
    /// `ESMTPS` and so on.
    pub with: String,
    /// Id of the message in our logs.
    pub id: &'a str,
    /// The recipient, if there is exactly one: several would tell each other's names (RFC 5321 §7.2).
    pub only_recipient: Option<&'a Address>,
    /// Submitted by an account: then neither its address nor its machine's name is shown to the world.
    pub submitted: bool,
    /// Now.
    pub now: UnixMillis,
}

impl Received<'_> {
    /// The field with its CRLF.
    pub(crate) fn field(&self) -> String {
        let mut out = String::from("Received: from ");
        if self.submitted {
            out.push_str("[authenticated]");
        } else {
            out.push_str(self.session.client.as_deref().unwrap_or("unknown"));
            if let Some(peer) = self.session.peer {
                let ip = peer.ip().to_canonical();
                // RFC 5321 §4.1.3
                let tag = if ip.is_ipv6() { "IPv6:" } else { "" };
                out.push_str(&format!(" ([{tag}{ip}])"));
            }
        }
        out.push_str(&format!("\r\n\tby {} (Pli) with {}", self.hostname, self.with));
        if let Some(TlsInfo { version, cipher }) = &self.session.tls {
            out.push_str(&format!("\r\n\t(using {version} {cipher})"));
        }
        out.push_str(&format!("\r\n\tid {}", self.id));
        if let Some(recipient) = self.only_recipient {
            out.push_str(&format!("\r\n\tfor <{recipient}>"));
        }
        out.push_str(&format!("; {}\r\n", date(self.now)));
        out
    }
}

/// The protocol's name for `with`. RFC 3848, RFC 6531 §4.3.
pub(crate) fn with(lmtp: bool, esmtp: bool, tls: bool, authenticated: bool, smtputf8: bool) -> String {
    let base = match (lmtp, smtputf8) {
        (true, true) => "UTF8LMTP",
        (true, false) => "LMTP",
        (false, true) => "UTF8SMTP",
        (false, false) if esmtp => "ESMTP",
        (false, false) => "SMTP",
    };
    let (s, a) =
        if base == "SMTP" { ("", "") } else { (if tls { "S" } else { "" }, if authenticated { "A" } else { "" }) };
    format!("{base}{s}{a}")
}

/// `Return-Path` of a final delivery. RFC 5321 §4.4.
pub(crate) fn return_path(reverse_path: Option<&Address>) -> String {
    match reverse_path {
        Some(address) => format!("Return-Path: <{address}>\r\n"),
        None => String::from("Return-Path: <>\r\n"),
    }
}

/// RFC 5322 §3.3, in UTC.
pub(crate) fn date(now: UnixMillis) -> String {
    DateTime::from_timestamp(now.secs(), 0).unwrap_or_default().to_rfc2822()
}

/// Whether the message has gone round too often. RFC 5321 §6.3.
pub(crate) fn loops(message: &[u8]) -> bool {
    count_header(message, "Received") > RECEIVED_MAX
}

/// What submission puts right. RFC 6409 §8: Date and Message-ID are added where missing; `From` too, since the envelope
/// says who it is. RFC 5322 §3.6.3: Bcc is for the sender's program, not for the recipients.
pub(crate) fn repair(message: Vec<u8>, sender: Option<&Address>, id: &str, hostname: &str, now: UnixMillis) -> Vec<u8> {
    let message = if has_header(&message, "Bcc") { remove_header(&message, "Bcc") } else { message };
    let mut added = String::new();
    if !has_header(&message, "From")
        && let Some(sender) = sender
    {
        added.push_str(&format!("From: <{sender}>\r\n"));
    }
    if !has_header(&message, "Date") {
        added.push_str(&format!("Date: {}\r\n", date(now)));
    }
    if !has_header(&message, "Message-ID") {
        added.push_str(&format!("Message-ID: <{id}@{hostname}>\r\n"));
    }
    if added.is_empty() {
        return message;
    }
    // A message that is a body only begins with a blank line, or with a line that is no field; then the fields that
    // are added become its header.
    let mut out = added.into_bytes();
    if !starts_with_field(&message) && !message.starts_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&message);
    out
}

/// RFC 5322 §2.2: a field name is printable ASCII but the colon.
fn starts_with_field(message: &[u8]) -> bool {
    let name = message.iter().take_while(|b| b.is_ascii_graphic() && **b != b':').count();
    let after = message.get(name..).unwrap_or_default();
    let blanks = after.iter().take_while(|b| **b == b' ' || **b == b'\t').count();
    name > 0 && after.get(blanks) == Some(&b':')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use pli_types::{Actor, Protocol, SessionId};

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    #[test]
    fn received_names_what_it_may() {
        let session = SessionInfo {
            id: SessionId(1),
            protocol: Protocol::Smtp,
            peer: Some("[2001:db8::1]:4321".parse().unwrap()),
            tls: Some(TlsInfo { version: "TLSv1.3".into(), cipher: "TLS13_AES_128_GCM_SHA256".into() }),
            client: Some("mx.test".into()),
            actor: Actor::Anonymous,
        };
        let to = Address::parse("bob@example.org").unwrap();
        let mut received = Received {
            session: &session,
            hostname: "mail.example.org",
            with: with(false, true, true, false, false),
            id: "1.1",
            only_recipient: Some(&to),
            submitted: false,
            now: NOW,
        };
        assert_eq!(
            received.field(),
            "Received: from mx.test ([IPv6:2001:db8::1])\r\n\tby mail.example.org (Pli) with ESMTPS\r\n\t(using TLSv1.3 \
             TLS13_AES_128_GCM_SHA256)\r\n\tid 1.1\r\n\tfor <bob@example.org>; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        );
        received.submitted = true;
        assert!(!received.field().contains("2001:db8"));
        assert!(!received.field().contains("mx.test"));
    }

    #[test]
    fn protocol_names() {
        assert_eq!(with(false, false, false, false, false), "SMTP");
        assert_eq!(with(false, true, true, true, false), "ESMTPSA");
        assert_eq!(with(false, true, true, true, true), "UTF8SMTPSA");
        assert_eq!(with(true, true, false, false, false), "LMTP");
    }

    #[test]
    fn repairs() {
        let sender = Address::parse("a@example.org").unwrap();
        let fix = |text: &str| String::from_utf8(repair(text.into(), Some(&sender), "i", "h", NOW)).unwrap();
        let whole = "From: a@example.org\r\nDate: x\r\nMessage-ID: <y>\r\n\r\nbody\r\n";
        assert_eq!(fix(whole), whole);
        let bcc =
            "From: a@example.org\r\nBcc: secret@x.test,\r\n other@x.test\r\nDate: x\r\nMessage-ID: <y>\r\n\r\nbody\r\n";
        assert_eq!(fix(bcc), whole);
        assert_eq!(
            fix("Subject: s\r\n\r\nbody\r\n"),
            "From: <a@example.org>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <i@h>\r\nSubject: s\r\n\r\nbody\r\n"
        );
        assert!(fix("no header at all\r\n").contains("Message-ID: <i@h>\r\n\r\nno header"));
        assert!(fix("\r\nbody\r\n").contains("Message-ID: <i@h>\r\n\r\nbody"));
    }

    #[test]
    fn a_loop_is_seen() {
        let message = |n: usize| format!("{}Subject: s\r\n\r\n", "Received: from x\r\n\tby y; date\r\n".repeat(n));
        assert!(!loops(message(100).as_bytes()));
        assert!(loops(message(101).as_bytes()));
    }
}
