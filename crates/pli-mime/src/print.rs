//! ENVELOPE, BODY and BODYSTRUCTURE as IMAP prints them (RFC 9051 §7.5.2), valid whatever the message.

use crate::summary::{AddressRef, EnvelopeRef, PartKind, PartRef};

/// A string: quoted where that is allowed, else a literal. NUL, which neither can hold, becomes `?`.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let quotable = bytes.len() <= 1000 && bytes.iter().all(|b| (0x20..=0x7e).contains(b) || *b == b'\t');
    if quotable {
        out.push(b'"');
        for byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    } else {
        out.push(b'{');
        out.extend_from_slice(bytes.len().to_string().as_bytes());
        out.extend_from_slice(b"}\r\n");
        out.extend(bytes.iter().map(|b| if *b == 0 { b'?' } else { *b }));
    }
}

/// A string or NIL.
pub fn write_nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => write_string(out, bytes),
        None => out.extend_from_slice(b"NIL"),
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    // Clients hold sizes in 32 bits.
    out.extend_from_slice(value.min(u64::from(u32::MAX)).to_string().as_bytes());
}

/// ENVELOPE.
pub fn write_envelope(out: &mut Vec<u8>, envelope: EnvelopeRef<'_>) {
    out.push(b'(');
    write_nstring(out, envelope.date());
    out.push(b' ');
    write_nstring(out, envelope.subject());
    out.push(b' ');
    write_addresses(out, envelope.from());
    out.push(b' ');
    // RFC 9051 §7.5.2: absent or empty, Sender and Reply-To are From.
    if envelope.sender().len() == 0 {
        write_addresses(out, envelope.from())
    } else {
        write_addresses(out, envelope.sender())
    }
    out.push(b' ');
    if envelope.reply_to().len() == 0 {
        write_addresses(out, envelope.from());
    } else {
        write_addresses(out, envelope.reply_to());
    }
    for list in [envelope.to().collect::<Vec<_>>(), envelope.cc().collect(), envelope.bcc().collect()] {
        out.push(b' ');
        write_addresses(out, list.into_iter());
    }
    out.push(b' ');
    write_nstring(out, envelope.in_reply_to());
    out.push(b' ');
    write_nstring(out, envelope.message_id());
    out.push(b')');
}

fn write_addresses<'a>(out: &mut Vec<u8>, addresses: impl Iterator<Item = AddressRef<'a>>) {
    let start = out.len();
    out.push(b'(');
    for address in addresses {
        out.push(b'(');
        write_nstring(out, address.name);
        out.push(b' ');
        write_nstring(out, address.route);
        out.push(b' ');
        write_nstring(out, address.mailbox);
        out.push(b' ');
        write_nstring(out, address.host);
        out.push(b')');
    }
    if out.len() == start + 1 {
        // An empty list is NIL.
        out.truncate(start);
        out.extend_from_slice(b"NIL");
    } else {
        out.push(b')');
    }
}

/// BODY, or BODYSTRUCTURE when `extended`.
pub fn write_body(out: &mut Vec<u8>, part: PartRef<'_>, extended: bool) {
    out.push(b'(');
    if part.kind() == PartKind::Multipart {
        let mut any = false;
        for child in part.children() {
            write_body(out, child, extended);
            any = true;
        }
        if !any {
            // Only a damaged summary: a multipart has a part at least.
            out.extend_from_slice(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");
        }
        out.push(b' ');
        write_string(out, part.subtype());
        if extended {
            out.push(b' ');
            write_params(out, part.params());
            write_extension(out, part);
        }
        out.push(b')');
        return;
    }
    let enclosed = if part.kind() == PartKind::Message { part.children().next().zip(part.envelope()) } else { None };
    // A message type without its message (encoded, or too deep) must not look like one: its grammar wants an envelope.
    let (media, sub) = match enclosed {
        None if part.media_type().eq_ignore_ascii_case(b"message") && is_rfc822(part.subtype()) => {
            (&b"application"[..], &b"octet-stream"[..])
        }
        _ => (part.media_type(), part.subtype()),
    };
    write_string(out, media);
    out.push(b' ');
    write_string(out, sub);
    out.push(b' ');
    write_params(out, part.params());
    out.push(b' ');
    write_nstring(out, part.id());
    out.push(b' ');
    write_nstring(out, part.description());
    out.push(b' ');
    write_string(out, part.encoding().unwrap_or(b"7BIT"));
    out.push(b' ');
    number(out, part.size().get());
    if let Some((message, envelope)) = enclosed {
        out.push(b' ');
        write_envelope(out, envelope);
        out.push(b' ');
        write_body(out, message, extended);
        out.push(b' ');
        number(out, part.lines());
    } else if media.eq_ignore_ascii_case(b"text") {
        out.push(b' ');
        number(out, part.lines());
    }
    if extended {
        out.extend_from_slice(b" NIL"); // MD5
        write_extension(out, part);
    }
    out.push(b')');
}

fn is_rfc822(subtype: &[u8]) -> bool {
    subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global")
}

fn write_params<'a>(out: &mut Vec<u8>, params: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let start = out.len();
    for (name, value) in params {
        out.push(if out.len() == start { b'(' } else { b' ' });
        write_string(out, name);
        out.push(b' ');
        write_string(out, value);
    }
    if out.len() == start { out.extend_from_slice(b"NIL") } else { out.push(b')') }
}

/// Disposition, language, location.
fn write_extension(out: &mut Vec<u8>, part: PartRef<'_>) {
    out.push(b' ');
    match part.disposition() {
        Some(disposition) => {
            out.push(b'(');
            write_string(out, disposition);
            out.push(b' ');
            write_params(out, part.disposition_params());
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    let tags: Vec<&[u8]> = part
        .language()
        .unwrap_or_default()
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty())
        .collect();
    match tags.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        [one] => write_string(out, one),
        many => {
            for (position, tag) in many.iter().enumerate() {
                out.push(if position == 0 { b'(' } else { b' ' });
                write_string(out, tag);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    write_nstring(out, part.location());
}
