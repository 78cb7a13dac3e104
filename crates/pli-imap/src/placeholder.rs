//! The message that stands where another does not open: it says so in the account's language, and what to do.
//!
//! Made from what the store still knows, always the same bytes for the same facts, so that size, structure and envelope
//! agree with the content however they are asked for.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use pli_mime::{Summary, decode_words, filter_header, header_fields};
use pli_store::Salvage;
use pli_types::UnixMillis;

/// Fields of the lost message that are kept where its summary still opens: threads stay together, and its owner sees
/// which one it was.
const KEPT: &[&str] = &["From", "To", "Cc", "Reply-To", "Date", "Message-ID", "In-Reply-To", "References"];
/// Characters of the lost message's subject that are shown.
const SUBJECT_CHARS_MAX: usize = 200;
/// Bytes of the kept fields.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// RFC 2047 §2: an encoded word has at most 75 characters; so many bytes fit one in base64.
const ENCODED_WORD_BYTES: usize = 42;

/// The texts of one language.
struct Texts {
    prefix: &'static str,
    sender: &'static str,
    what: &'static str,
    known: &'static str,
    received: &'static str,
    size: &'static str,
    bytes: &'static str,
    number: &'static str,
    unknown: &'static str,
    todo: &'static str,
}

const EN: Texts = Texts {
    prefix: "[unreadable]",
    sender: "Mail server",
    what: "This message cannot be shown.\r\n\
           \r\n\
           The server took it and kept it, but what is on its disk now is not what it wrote: it was damaged since. \
           Nothing else is ever shown in its place than this notice.\r\n\
           Your other messages are not concerned.\r\n",
    known: "What is known of it:",
    received: "received",
    size: "size",
    bytes: "bytes",
    number: "number",
    unknown: "not known",
    todo: "What to do: leave this notice where it is, and tell your administrator, with the number above. The message can \
           be put back into this place from a backup. The commands `pli store verify` and `pli store repair` show what \
           is damaged and mend what can be mended.\r\n",
};

const FR: Texts = Texts {
    prefix: "[illisible]",
    sender: "Serveur de messagerie",
    what: "Ce message ne peut pas être affiché.\r\n\
           \r\n\
           Le serveur l'avait reçu et conservé, mais ce qui se trouve maintenant sur son disque n'est plus ce qu'il y \
           avait écrit : cela a été endommagé depuis. Rien d'autre que cet avis n'est jamais montré à sa place.\r\n\
           Vos autres messages ne sont pas concernés.\r\n",
    known: "Ce que l'on sait de lui :",
    received: "reçu le",
    size: "taille",
    bytes: "octets",
    number: "numéro",
    unknown: "inconnu",
    todo: "Que faire : laissez cet avis où il est, et prévenez votre administrateur en lui donnant le numéro ci-dessus. Le \
           message peut être remis à cette place depuis une sauvegarde. Les commandes `pli store verify` et \
           `pli store repair` montrent ce qui est endommagé et réparent ce qui peut l'être.\r\n",
};

/// Stands in a long content for what could not be read in its midst, when the rest is already on its way.
const HOLE: &[u8] = b"\r\n[pli: this part of the message is damaged and cannot be read]\r\n";

/// So many bytes of [`HOLE`].
pub fn hole(bytes: usize) -> Vec<u8> {
    HOLE.iter().copied().cycle().take(bytes).collect()
}

/// Writes the placeholder. RFC 5322, and RFC 2045 with UTF-8 in 8bit.
pub fn write(known: &Salvage, summary: Option<&Summary>) -> Bytes {
    let texts = if known.language == "fr" { &FR } else { &EN };
    let domain = known.address.as_ref().map_or_else(|| String::from("localhost"), |address| address.domain_ascii());
    let mut out = kept(summary);
    let has = |out: &[u8], name: &str| header_fields(out).any(|field| field.is(name));
    let number = number(known);
    let mut head = String::new();
    if !has(&out, "From") {
        let _ = write!(head, "From: {} <postmaster@{domain}>\r\n", texts.sender);
    }
    if !has(&out, "Date") {
        let _ = write!(head, "Date: {}\r\n", date(known.received.unwrap_or_default()).to_rfc2822());
    }
    if !has(&out, "Message-ID") {
        let _ = write!(head, "Message-ID: <damaged.{}@{domain}>\r\n", number.replace('/', "."));
    }
    let subject = summary.and_then(|summary| summary.envelope().subject()).map(decode_words).unwrap_or_default();
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect();
    let _ = write!(head, "Subject: {}\r\n", words(format!("{} {subject}", texts.prefix).trim_end()));
    head.push_str(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
    );
    // RFC 3834 §5: nobody's autoresponder is to answer it.
    head.push_str("Auto-Submitted: auto-generated\r\n\r\n");
    let received = known.received.map_or_else(
        || texts.unknown.to_owned(),
        |received| date(received).format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    let size = known.size.map_or_else(|| texts.unknown.to_owned(), |size| format!("{size} {}", texts.bytes));
    let rows = [(texts.received, received), (texts.size, size), (texts.number, number)];
    let _ = write!(head, "{}\r\n{}\r\n", texts.what, texts.known);
    for (name, value) in rows {
        let _ = write!(head, "  {name}: {value}\r\n");
    }
    let _ = write!(head, "\r\n{}", texts.todo);
    out.extend_from_slice(fold_lines(&head).as_bytes());
    Bytes::from(out)
}

/// By which an administrator finds it: account, message, body.
fn number(known: &Salvage) -> String {
    match known.body {
        Some(body) => format!("{}/{}/{body}", known.account, known.email),
        None => format!("{}/{}", known.account, known.email),
    }
}

fn date(at: UnixMillis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

/// Fields of the lost message, as they stood there; those of plain ASCII, since others are not RFC 5322.
fn kept(summary: Option<&Summary>) -> Vec<u8> {
    let Some(block) = summary.and_then(Summary::header_block) else { return Vec::new() };
    let mut out = Vec::new();
    for name in KEPT {
        let field = filter_header(block, &[*name], false);
        // Without the empty line that ends the block.
        let field = field.strip_suffix(b"\r\n").unwrap_or(&field);
        // RFC 5322 §3.6: each at most once.
        let once = header_fields(field).filter(|field| field.is(name)).count() == 1;
        let plain = field.iter().all(|b| matches!(b, b'\t' | b'\r' | b'\n' | 0x20..=0x7e)) && field.ends_with(b"\r\n");
        let short = field.split(|b| *b == b'\n').all(|line| line.len() <= 998);
        if once && plain && short && out.len().saturating_add(field.len()) <= KEPT_BYTES_MAX {
            out.extend_from_slice(field);
        }
    }
    out
}

/// RFC 2047: as it is where it is plain, else in encoded words.
fn words(text: &str) -> String {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD_BYTES.min(rest.len())));
        words.push(format!("=?utf-8?B?{}?=", base64(word.as_bytes())));
        rest = after;
    }
    words.join("\r\n ")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let at = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4_usize {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// RFC 5322 §2.1.1: lines of the text are broken at 78 characters; those of the header are short or folded already.
fn fold_lines(text: &str) -> String {
    const CHARS_MAX: usize = 78;
    let mut out = String::with_capacity(text.len().saturating_add(64));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    out.push_str(head);
    out.push_str("\r\n\r\n");
    for line in body.split_terminator("\r\n") {
        let mut width = 0_usize;
        for word in line.split(' ') {
            let chars = word.chars().count();
            if width > 0 && width.saturating_add(1).saturating_add(chars) > CHARS_MAX {
                out.push_str("\r\n");
                width = 0;
            } else if width > 0 || (word.is_empty() && chars == 0) {
                out.push(' ');
                width = width.saturating_add(1);
            }
            out.push_str(word);
            width = width.saturating_add(chars);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use pli_mime::{Limits, summarise};
    use pli_types::{AccountId, Address, BodyId, ByteCount, EmailId};

    use super::*;

    fn known(language: &str) -> Salvage {
        Salvage {
            email: EmailId::new(7),
            account: AccountId::new(3),
            body: Some(BodyId::new(9)),
            size: Some(ByteCount::new(1234)),
            received: Some(UnixMillis(1_763_985_600_000)),
            address: Address::parse("alice@example.org").ok(),
            language: language.to_owned(),
        }
    }

    fn well_formed(bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.is_ascii() && !head.contains("\n\n"), "{head}");
        for line in text.split("\r\n") {
            assert!(!line.contains(['\r', '\n']) && line.len() <= 998, "{line:?}");
        }
        assert!(body.lines().all(|line| line.chars().count() <= 78), "{body}");
        for name in ["From", "Date", "Message-ID", "Subject", "MIME-Version", "Content-Type"] {
            let of_name =
                |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase()));
            assert_eq!(head.split("\r\n").filter(of_name).count(), 1, "{name} in {head}");
        }
        assert!(body.ends_with("\r\n"));
    }

    #[test]
    fn says_what_is_known_in_either_language() {
        for (language, word, subject) in [("fr", "prévenez", "[illisible]"), ("en", "administrator", "[unreadable]")] {
            let bytes = write(&known(language), None);
            well_formed(&bytes);
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.contains(word) && text.contains("1234") && text.contains("2025-11-24 12:00:00 UTC"), "{text}");
            assert!(text.contains("3/7/9"), "{text}");
            let summary = summarise(&bytes, &Limits::default());
            assert_eq!(summary.envelope().subject(), Some(subject.as_bytes()));
            assert_eq!(write(&known(language), None), bytes, "not the same twice");
        }
        let nothing = Salvage { body: None, size: None, received: None, address: None, ..known("fr") };
        well_formed(&write(&nothing, None));
        assert!(String::from_utf8(write(&nothing, None).to_vec()).unwrap().contains("inconnu"));
    }

    #[test]
    fn keeps_the_lost_message_s_own_fields() {
        let lost = "Received: from x\r\nFrom: Bob <bob@example.net>\r\nTo: alice@example.org\r\n\
                    Subject: =?utf-8?Q?R=C3=A9union?= de lundi\r\nMessage-ID: <1@example.net>\r\n\
                    References: <0@example.net>\r\n <00@example.net>\r\nDate: Mon, 24 Nov 2025 09:00:00 +0100\r\n\
                    Cc: \u{e9}@example.net\r\nReply-To: a@b\r\nReply-To: c@d\r\n\r\nhello\r\n";
        let lost = summarise(lost.as_bytes(), &Limits::default());
        let bytes = write(&known("fr"), Some(&lost));
        well_formed(&bytes);
        let summary = summarise(&bytes, &Limits::default());
        let envelope = summary.envelope();
        assert_eq!(envelope.message_id(), Some(&b"<1@example.net>"[..]));
        assert_eq!(envelope.date(), Some(&b"Mon, 24 Nov 2025 09:00:00 +0100"[..]));
        assert_eq!(decode_words(envelope.subject().unwrap()), "[illisible] Réunion de lundi");
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains("References: <0@example.net>\r\n <00@example.net>\r\n"), "{text}");
        assert!(!text.contains("Received:") && !text.contains("Cc:") && !text.contains("Reply-To:"), "{text}");
    }

    #[test]
    fn long_subjects_are_whole_encoded_words() {
        let lost = format!("Subject: {}\r\n\r\n", "é".repeat(300));
        let lost = summarise(lost.as_bytes(), &Limits::default());
        let bytes = write(&known("fr"), Some(&lost));
        well_formed(&bytes);
        let summary = summarise(&bytes, &Limits::default());
        let subject = decode_words(summary.envelope().subject().unwrap());
        assert_eq!(subject, format!("[illisible] {}", "é".repeat(200)));
    }

    #[test]
    fn base64_of_each_length() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn holes_have_the_length_asked() {
        assert!(hole(0).is_empty());
        assert_eq!(hole(1000).len(), 1000);
        assert!(hole(1000).starts_with(HOLE));
    }
}
