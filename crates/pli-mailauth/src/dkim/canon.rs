//! Canonical forms of header fields and bodies. RFC 6376 §3.4.

use ring::digest::{Context, Digest, SHA256};

/// How the bytes of a message may change on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canon {
    /// Not at all.
    Simple,
    /// Blanks may.
    Relaxed,
}

impl Canon {
    /// `relaxed/simple` and so on; the body's is simple where it is not named.
    pub fn pair(text: Option<&str>) -> Result<(Self, Self), &'static str> {
        let one = |text: &str| match text.trim() {
            "simple" => Ok(Self::Simple),
            "relaxed" => Ok(Self::Relaxed),
            _ => Err("a canonical form that is not known"),
        };
        match text.map(|text| text.split_once('/').unwrap_or((text, "simple"))) {
            None => Ok((Self::Simple, Self::Simple)),
            Some((header, body)) => Ok((one(header)?, one(body)?)),
        }
    }
}

/// A field in canonical form, with its CRLF.
pub fn push_field(out: &mut Vec<u8>, raw: &[u8], canon: Canon) {
    if canon == Canon::Simple {
        out.extend_from_slice(raw);
        if !raw.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        return;
    }
    let colon = memchr::memchr(b':', raw).unwrap_or(raw.len());
    let name = raw.get(..colon).unwrap_or_default();
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut blank = false;
    let start = out.len();
    for byte in raw.get(colon + 1..).unwrap_or_default() {
        match byte {
            b'\r' | b'\n' => {}
            b' ' | b'\t' => blank = true,
            other => {
                if std::mem::take(&mut blank) && out.len() > start {
                    out.push(b' ');
                }
                out.push(*other);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The digest of a body, and how many bytes its canonical form has. With `limit` only so many are hashed (`l=`).
#[must_use]
pub fn body_hash(body: &[u8], canon: Canon, limit: Option<u64>) -> (Digest, u64) {
    let mut context = Context::new(&SHA256);
    let mut length: u64 = 0;
    let mut feed = |bytes: &[u8]| {
        let room = limit.map_or(bytes.len(), |limit| {
            usize::try_from(limit.saturating_sub(length)).unwrap_or(usize::MAX).min(bytes.len())
        });
        context.update(bytes.get(..room).unwrap_or_default());
        length += bytes.len() as u64;
    };
    let mut blank_lines = 0_u64;
    let mut any = false;
    let mut rest = body;
    let mut line = Vec::new();
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n");
        let (content, after) = match end {
            Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 2..).unwrap_or_default()),
            None => (rest, &[][..]),
        };
        rest = after;
        let content = match canon {
            Canon::Simple => content,
            Canon::Relaxed => {
                relax(content, &mut line);
                &line
            }
        };
        if content.is_empty() {
            blank_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut blank_lines) {
            feed(b"\r\n");
        }
        feed(content);
        feed(b"\r\n");
        any = true;
    }
    // RFC 6376 §3.4.3: an empty body is one CRLF; §3.4.4: nothing.
    if !any && canon == Canon::Simple {
        feed(b"\r\n");
    }
    (context.finish(), length)
}

/// RFC 6376 §3.4.4: blanks are one, and none at the end.
fn relax(content: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut blank = false;
    for byte in content {
        if matches!(byte, b' ' | b'\t') {
            blank = true;
        } else {
            if std::mem::take(&mut blank) {
                out.push(b' ');
            }
            out.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ring::digest::digest;

    fn same(body: &[u8], canon: Canon, form: &[u8]) -> bool {
        let (hash, length) = body_hash(body, canon, None);
        hash.as_ref() == digest(&SHA256, form).as_ref() && length == form.len() as u64
    }

    #[test]
    fn the_example_of_rfc_6376() {
        // §3.4.5
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert!(same(body, Canon::Relaxed, b" C\r\nD E\r\n"));
        assert!(same(body, Canon::Simple, b" C \r\nD \t E\r\n"));
        let mut out = Vec::new();
        push_field(&mut out, b"A: X\r\n", Canon::Relaxed);
        push_field(&mut out, b"B : Y\t\r\n\tZ  \r\n", Canon::Relaxed);
        assert_eq!(out, b"a:X\r\nb:Y Z\r\n");
    }

    #[test]
    fn bodies_at_the_edge() {
        assert!(same(b"", Canon::Simple, b"\r\n") && same(b"", Canon::Relaxed, b""));
        assert!(same(b"\r\n\r\n", Canon::Simple, b"\r\n") && same(b"\r\n", Canon::Relaxed, b""));
        assert!(same(b" \r\n", Canon::Relaxed, b"") && same(b"a", Canon::Simple, b"a\r\n"));
        assert!(same(b"a\r\n\r\nb\r\n\r\n", Canon::Simple, b"a\r\n\r\nb\r\n"));
        let (hash, _) = body_hash(b"ab\r\ncd\r\n", Canon::Simple, Some(3));
        assert_eq!(hash.as_ref(), digest(&SHA256, b"ab\r").as_ref());
    }
}
