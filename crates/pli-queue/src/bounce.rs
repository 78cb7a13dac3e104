//! The bounce: RFC 3464 in RFC 6522's multipart/report, in French and English.

use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use pli_types::{Address, UnixMillis};

use crate::outcome::Reason;

/// Bytes of the original header that the bounce returns.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// What a bounce is about.
pub(crate) struct Bounce<'a> {
    /// Our name.
    pub(crate) hostname: &'a str,
    /// Whose postmaster an answer would reach.
    pub(crate) postmaster_domain: &'a str,
    /// Makes Message-ID and boundary unique.
    pub(crate) unique: u64,
    pub(crate) now: UnixMillis,
    /// When the message was accepted.
    pub(crate) arrived: UnixMillis,
    pub(crate) to: &'a Address,
    pub(crate) failed: &'a [(&'a Address, &'a Reason)],
    pub(crate) original: &'a [u8],
}

impl Bounce<'_> {
    /// The whole message.
    pub(crate) fn build(&self) -> Vec<u8> {
        let boundary = format!("=_bounce_{:016x}", self.unique);
        let report = ContentType::new("multipart/report")
            .attribute("report-type", "delivery-status")
            .attribute("boundary", boundary);
        let parts = vec![
            MimePart::new("text/plain", BodyPart::Text(self.words().into())),
            MimePart::new("message/delivery-status", BodyPart::Binary(self.status().into_bytes().into()))
                .transfer_encoding("7bit"),
            // RFC 6522 §4: the header alone; the sender has the rest.
            MimePart::new("text/rfc822-headers", BodyPart::Binary(header_block(self.original).into()))
                .transfer_encoding("8bit"),
        ];
        MessageBuilder::new()
            .message_id(format!("{:016x}.bounce@{}", self.unique, self.hostname))
            .date(Date::new(self.now.secs()))
            .from((String::from("Mail Delivery System"), format!("postmaster@{}", self.postmaster_domain)))
            .header("To", Raw::new(self.to.wire(false)))
            .subject("Message non remis / Undelivered mail")
            .header("Auto-Submitted", Raw::new("auto-replied")) // RFC 3834 §5
            .body(MimePart::new(report, BodyPart::Multipart(parts)))
            .write_to_vec()
            // Writing into a Vec cannot fail; an empty message would still be a message.
            .unwrap_or_default()
    }

    fn words(&self) -> String {
        let mut text = format!(
            "Votre message n'a pas pu être remis aux destinataires ci-dessous.\r\n\
             Your message could not be delivered to the recipients below.\r\n\r\n\
             Serveur / Server: {}\r\n\r\n",
            self.hostname
        );
        for (address, reason) in self.failed {
            text.push_str(&format!("<{}>\r\n    {reason}\r\n\r\n", address.wire(false)));
        }
        text
    }

    /// RFC 3464 §2: one block for the message, one for each recipient.
    fn status(&self) -> String {
        let date = |at: UnixMillis| {
            let mut bytes = Vec::new();
            Date::new(at.secs()).write_rfc822(&mut bytes);
            String::from_utf8_lossy(&bytes).trim().to_owned()
        };
        let mut text = format!("Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n", self.hostname, date(self.arrived));
        for (address, reason) in self.failed {
            // RFC 3464 §2.3.4: a report of failure carries a 5.x.x; what expired failed with a 4.x.x until then.
            let status = if reason.status.starts_with('4') { "5.4.7" } else { &reason.status };
            text.push_str(&format!(
                "\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\nStatus: {status}\r\nLast-Attempt-Date: {}\r\n",
                address.wire(false),
                date(self.now)
            ));
            if let Some(host) = &reason.host {
                text.push_str(&format!("Remote-MTA: dns; {host}\r\n"));
            }
            if let Some(reply) = &reason.reply {
                text.push_str(&format!("Diagnostic-Code: smtp; {}\r\n", ascii(reply)));
            }
        }
        text
    }
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// The header of a message, cut at a line's end when it is very long.
fn header_block(message: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let header = message.get(..end.min(HEADER_BYTES_MAX)).unwrap_or_default();
    let whole_lines = memchr::memrchr(b'\n', header).map_or(0, |at| at + 1);
    header.get(..whole_lines).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_bounce_has_three_parts_and_names_the_recipient() {
        let to = Address::parse("alice@example.org").unwrap();
        let gone = Address::parse("bob@other.test").unwrap();
        let reason = Reason {
            status: String::from("5.1.1"),
            reply: Some(String::from("550 5.1.1 no such user é")),
            text: String::new(),
            host: Some(String::from("mx.other.test")),
        };
        let bytes = Bounce {
            hostname: "mail.example.org",
            postmaster_domain: "example.org",
            unique: 7,
            now: UnixMillis(86_400_000),
            arrived: UnixMillis(0),
            to: &to,
            failed: &[(&gone, &reason)],
            original: b"Subject: hello\r\nX: y\r\n\r\nbody",
        }
        .build();
        let text = String::from_utf8(bytes).unwrap();
        for part in [
            "postmaster@example.org",
            "Content-Type: multipart/report",
            "report-type=",
            "Content-Type: message/delivery-status",
            "Final-Recipient: rfc822; bob@other.test",
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user ?",
            "Remote-MTA: dns; mx.other.test",
            "Content-Type: text/rfc822-headers",
            "Subject: hello",
            "Auto-Submitted: auto-replied",
            "Arrival-Date: Thu, 1 Jan 1970",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("\r\n\r\nbody"), "the body is not sent back");
        assert_eq!(text.matches("--=_bounce_0000000000000007").count(), 4, "three parts and an end");
    }

    #[test]
    fn a_header_without_end_is_cut_at_a_line() {
        let long = b"A: b\r\n".repeat(10_000);
        let cut = header_block(&long);
        assert!(cut.len() <= HEADER_BYTES_MAX && cut.ends_with(b"\r\n"));
        assert_eq!(header_block(b"no line end"), b"");
    }
}
