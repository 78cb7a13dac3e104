//! Transfer encodings, charsets and encoded words to UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use memchr::memmem;

use crate::utf7;

/// Bytes in a named charset as UTF-8. An unknown name, or none, is UTF-8 where the bytes are, else windows-1252.
#[must_use]
pub fn charset_to_utf8<'a>(charset: Option<&[u8]>, bytes: &'a [u8]) -> Cow<'a, str> {
    // RFC 2231 §5: a language may follow the charset.
    let label = charset.map(|label| label.split(|b| *b == b'*').next().unwrap_or_default().trim_ascii());
    // What browsers refuse to decode (ISO-2022-KR, HZ) is shown as its bytes are, not as one sign for all of it.
    match label.and_then(Encoding::for_label_no_replacement) {
        // What says ASCII or Latin-1 and is UTF-8 all the same is common, and never by accident.
        Some(encoding) if encoding == UTF_8 || encoding == WINDOWS_1252 => guess(bytes),
        // RFC 2781 §4.3: a byte order mark says which.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => encoding.decode(bytes).0,
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0,
        None if label.is_some_and(utf7::is_label) && bytes.is_ascii() => Cow::Owned(utf7::decode(bytes)),
        None => guess(bytes),
    }
}

fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            // One stray or cut byte must not turn a whole text of UTF-8 into signs of another charset.
            let lossy = String::from_utf8_lossy(bytes);
            let (whole, broken) =
                lossy.chars().filter(|c| !c.is_ascii()).fold((0usize, 0usize), |(whole, broken), c| {
                    if c == char::REPLACEMENT_CHARACTER { (whole, broken + 1) } else { (whole + 1, broken) }
                });
            if whole > broken { lossy } else { WINDOWS_1252.decode_without_bom_handling(bytes).0 }
        }
    }
}

/// Undoes a Content-Transfer-Encoding. What is not valid is left out or left as it is; an unknown encoding is none.
#[must_use]
pub fn transfer_decode<'a>(bytes: &'a [u8], encoding: Option<&[u8]>) -> Cow<'a, [u8]> {
    let encoding = encoding.unwrap_or_default().trim_ascii();
    if encoding.eq_ignore_ascii_case(b"base64") {
        Cow::Owned(base64(bytes))
    } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        Cow::Owned(quoted_printable(bytes, false))
    } else {
        Cow::Borrowed(bytes)
    }
}

/// RFC 2045 §6.8: bytes outside the alphabet are passed over; padding ends a run and the next one may begin.
fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0u8);
    for byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 1;
        // Each new byte is whole as soon as its last bit is there.
        match count {
            2 => out.push((bits >> 4) as u8),
            3 => out.push((bits >> 2) as u8),
            4 => {
                out.push(bits as u8);
                (bits, count) = (0, 0);
            }
            _ => {}
        }
    }
    out
}

pub(crate) const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// RFC 2045 §6.7, and RFC 2047 §4.2 with `words` (underscore is a blank).
fn quoted_printable(bytes: &[u8], words: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'=' => {
                let pair = bytes.get(at).copied().and_then(hex).zip(bytes.get(at + 1).copied().and_then(hex));
                if let Some((high, low)) = pair {
                    out.push(high << 4 | low);
                    at += 2;
                } else {
                    // A soft line break: blanks may stand before the line end.
                    let rest = bytes.get(at..).unwrap_or_default();
                    let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    match rest.get(blanks..) {
                        Some([b'\r', b'\n', ..]) => at += blanks + 2,
                        Some([b'\n', ..]) => at += blanks + 1,
                        _ => out.push(b'='),
                    }
                }
            }
            b'_' if words => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

/// A header value (unfolded) as UTF-8, with encoded words (RFC 2047) decoded. Blanks between two encoded words are
/// dropped; bytes of one charset that were split between words are joined before they are decoded.
#[must_use]
pub fn decode_words(value: &[u8]) -> String {
    if memmem::find(value, b"=?").is_none() {
        return guess(value).into_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut pending: Option<Word<'_>> = None;
    while let Some(start) = memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at(start);
        let Some((word, length)) = encoded_word(from) else {
            flush(&mut out, &mut pending);
            out.push_str(&guess(before));
            out.push_str("=?");
            rest = from.get(2..).unwrap_or_default();
            continue;
        };
        if !(pending.is_some() && before.iter().all(u8::is_ascii_whitespace)) {
            flush(&mut out, &mut pending);
            out.push_str(&guess(before));
        }
        match &mut pending {
            Some((charset, bytes)) if charset.eq_ignore_ascii_case(word.0) => bytes.extend_from_slice(&word.1),
            _ => {
                flush(&mut out, &mut pending);
                pending = Some(word);
            }
        }
        rest = from.get(length..).unwrap_or_default();
    }
    flush(&mut out, &mut pending);
    out.push_str(&guess(rest));
    out
}

/// Bytes of one encoded word; a longer one is none. Without a bound each `=?` of a large field would be looked for its
/// end through all of the field.
const WORD_BYTES_MAX: usize = 8 * 1024;

/// Charset and decoded bytes.
type Word<'a> = (&'a [u8], Vec<u8>);

fn flush(out: &mut String, pending: &mut Option<Word<'_>>) {
    if let Some((charset, bytes)) = pending.take() {
        out.push_str(&charset_to_utf8(Some(charset), &bytes));
    }
}

/// `=?charset?B|Q?text?=` at the start of `from`: charset, decoded bytes, length. RFC 2047 §2; longer words than the
/// 75 characters there are read too.
fn encoded_word(from: &[u8]) -> Option<(Word<'_>, usize)> {
    let inner = from.get(2..from.len().min(WORD_BYTES_MAX))?;
    let mut parts = inner.splitn(3, |b| *b == b'?');
    let charset = parts.next().filter(|c| !c.is_empty() && c.len() <= 64)?;
    let encoding = parts.next()?;
    let text_from = charset.len() + encoding.len() + 2;
    let text = inner.get(text_from..)?;
    let end = memmem::find(text, b"?=")?;
    let text = text.get(..end)?;
    if charset.iter().any(|b| !b.is_ascii_graphic()) || text.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        return None;
    }
    let bytes = match encoding {
        b"B" | b"b" => base64(text),
        b"Q" | b"q" => quoted_printable(text, true),
        _ => return None,
    };
    Some(((charset, bytes), 2 + text_from + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_encodings() {
        assert_eq!(&*transfer_decode(b"aGVs\r\nbG8=", Some(b"BASE64")), b"hello");
        assert_eq!(&*transfer_decode(b"aGVsbG8", Some(b"base64 ")), b"hello");
        assert_eq!(
            &*transfer_decode(b"caf=C3=A9=\r\n s=  \nt =zz", Some(b"quoted-printable")),
            "café st =zz".as_bytes()
        );
        assert_eq!(&*transfer_decode(b"=41", Some(b"8bit")), b"=41");
    }

    #[test]
    fn encoded_words() {
        assert_eq!(decode_words(b"=?utf-8?q?caf=C3=A9?= au lait"), "café au lait");
        assert_eq!(decode_words(b"=?UTF-8?B?w6k=?= =?utf-8?B?dMOp?="), "été");
        assert_eq!(decode_words(b"=?utf-8?B?w6l0ww==?= =?utf-8?B?qQ==?="), "été");
        assert_eq!(decode_words(b"=?iso-8859-1?Q?=E9t=E9?="), "été");
        assert_eq!(decode_words(b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="), "日本");
        assert_eq!(decode_words("déjà".as_bytes()), "déjà");
        assert_eq!(decode_words(b"=?utf-7?Q?R+AOk-union_=26_th+AOk-?="), "Réunion & thé");
        assert_eq!(decode_words(b"=?unicode-1-1-utf-7?B?UitBT2stdW5pb24=?="), "Réunion");
        assert_eq!(decode_words(b"d\xe9j\xe0"), "déjà");
        assert_eq!(decode_words(b"=?broken =?x?y?z?="), "=?broken =?x?y?z?=");
    }

    #[test]
    fn charsets() {
        assert_eq!(charset_to_utf8(Some(b"koi8-r"), b"\xf0\xd2\xc9"), "При");
        assert_eq!(charset_to_utf8(Some(b"no-such"), b"\xe9"), "é");
        assert_eq!(charset_to_utf8(Some(b"us-ascii"), "é".as_bytes()), "é");
        assert_eq!(charset_to_utf8(None, b"plain"), "plain");
        assert_eq!(charset_to_utf8(Some(b"utf-16"), b"\xff\xfea\0\xe9\0"), "aé");
        assert_eq!(charset_to_utf8(Some(b"utf-16"), b"\xfe\xff\0a\0\xe9"), "aé");
        assert_eq!(charset_to_utf8(Some(b"iso-2022-kr"), b"\x1b$)Cplain"), "\x1b$)Cplain");
        assert_eq!(charset_to_utf8(Some(b"UTF-7"), b"R+AOk-union"), "Réunion");
        assert_eq!(charset_to_utf8(Some(b"utf-7"), "été".as_bytes()), "été", "what is not ASCII is no UTF-7");
        assert_eq!(charset_to_utf8(Some(b"utf-8"), b"\xd0\xbf\xd1\x80\xd0"), "пр\u{fffd}");
        assert_eq!(charset_to_utf8(Some(b"utf-8"), b"d\xe9j\xe0 vu"), "déjà vu");
    }
}
