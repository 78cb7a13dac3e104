//! Content of any bytes (RFC 3030 BINARYMIME) → the same message in lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::header::{header_end, header_fields};
use crate::limits::Limits;
use crate::scan::summarise;
use crate::summary::{PartKind, PartRef};

/// RFC 2045 §6.8: characters of one line.
const LINE_CHARS: usize = 76;

/// The message with each part of binary encoding in Base64, and nothing else changed; `None` if what stands outside of
/// such parts is not in lines either, so that it cannot be sent on. RFC 3030 §3, RFC 2045 §6.2.
#[must_use]
pub fn binary_to_base64(raw: &[u8]) -> Option<Vec<u8>> {
    let summary = summarise(raw, &Limits::default());
    let mut out = Vec::with_capacity(raw.len().saturating_add(raw.len() / 2));
    let mut copied = 0_u64;
    for part in summary.parts() {
        if !is_binary(part) {
            continue;
        }
        let (header, body) = (part.header_range(), part.body_range());
        if header.start < copied || body.start < header.end {
            return None;
        }
        out.extend_from_slice(between(raw, copied, header.start));
        let leaf = part.kind() == PartKind::Leaf;
        // What holds parts may not be Base64; each of them is looked at by itself.
        out.extend_from_slice(&with_encoding(header.slice(raw), if leaf { "base64" } else { "8bit" }));
        copied = header.end;
        if leaf {
            out.extend_from_slice(between(raw, copied, body.start));
            encode(body.slice(raw), &mut out);
            copied = body.end;
        }
    }
    out.extend_from_slice(between(raw, copied, raw.len() as u64));
    in_lines(&out).then_some(out)
}

fn between(raw: &[u8], from: u64, to: u64) -> &[u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(raw.len());
    raw.get(at(from)..at(to)).unwrap_or_default()
}

fn is_binary(part: PartRef<'_>) -> bool {
    part.encoding().is_some_and(|encoding| encoding.trim_ascii().eq_ignore_ascii_case(b"binary"))
}

/// The header with another Content-Transfer-Encoding.
fn with_encoding(header: &[u8], encoding: &str) -> Vec<u8> {
    let block = header.get(..header_end(header)).unwrap_or_default();
    let mut out = Vec::with_capacity(header.len());
    let mut copied = 0;
    for field in header_fields(block).filter(|field| field.is("Content-Transfer-Encoding")) {
        out.extend_from_slice(header.get(copied..field.start).unwrap_or_default());
        out.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\r\n").as_bytes());
        copied = field.start + field.raw.len();
    }
    out.extend_from_slice(header.get(copied..).unwrap_or_default());
    out
}

fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let text = BASE64.encode(bytes);
    for (index, line) in text.as_bytes().chunks(LINE_CHARS).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(line);
    }
}

/// CR and LF together only, and no NUL.
fn in_lines(bytes: &[u8]) -> bool {
    let mut before = 0;
    for byte in bytes {
        if (*byte == b'\n') != (before == b'\r') || *byte == 0 {
            return false;
        }
        before = *byte;
    }
    before != b'\r'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::decode::transfer_decode;

    const HEAD: &[u8] = b"Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n";

    #[test]
    fn a_binary_part_of_several() {
        let raw =
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\
            \r\n--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b\r\nContent-Type: application/x\r\n\
            Content-Transfer-Encoding: binary\r\n\r\n\0\n\rend\r\n--b--\r\n";
        let text = String::from_utf8(binary_to_base64(raw).unwrap()).unwrap();
        assert!(text.contains("boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\n"), "{text}");
        assert!(text.contains("\r\n\r\ntext\r\n--b\r\n"), "{text}");
        assert!(text.contains("Content-Transfer-Encoding: base64\r\n\r\nAAoNZW5k\r\n--b--\r\n"), "{text}");
    }

    #[test]
    fn what_needs_nothing_stays() {
        let raw = b"Subject: s\r\n\r\ntext\r\n";
        assert_eq!(binary_to_base64(raw).unwrap(), raw);
    }

    #[test]
    fn what_does_not_say_that_it_is_binary_is_refused() {
        assert_eq!(binary_to_base64(b"Subject: s\r\n\r\nte\0xt\r\n"), None);
        assert_eq!(binary_to_base64(b"Subject: s\r\n\r\ntext\nmore\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_content_comes_back(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let raw = [HEAD, b"Content-Transfer-Encoding: binary\r\n\r\n", &body].concat();
            let out = binary_to_base64(&raw).unwrap();
            let summary = summarise(&out, &Limits::default());
            let part = summary.root();
            prop_assert_eq!(part.encoding(), Some(&b"base64"[..]));
            prop_assert_eq!(transfer_decode(part.body_range().slice(&out), part.encoding()).to_vec(), body);
        }

        #[test]
        fn any_bytes_end_in_lines_or_not_at_all(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(out) = binary_to_base64(&raw) {
                prop_assert!(in_lines(&out));
            }
        }
    }
}
