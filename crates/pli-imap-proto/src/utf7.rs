//! RFC 3501 §5.1.3: modified UTF-7, the spelling of mailbox names before UTF8=ACCEPT or IMAP4rev2 is enabled.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// `,` instead of `/`, no padding, and no stray bits: a name has one spelling only.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// Why a name is no modified UTF-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Utf7Error {
    /// A shift that does not end, or bytes that are no Base64.
    #[error("broken modified UTF-7")]
    Shift,
    /// Base64 whose content is no UTF-16, or that spells printable ASCII, or two shifts in a row.
    #[error("modified UTF-7 that is not in its one form")]
    Form,
    /// A byte that is neither printable ASCII nor part of valid UTF-8.
    #[error("neither modified UTF-7 nor UTF-8")]
    Bytes,
}

/// Reads a name as sent. 8-bit names are no modified UTF-7 at all, but clients send them: valid UTF-8 is taken
/// as it stands.
pub fn decode(name: &[u8]) -> Result<String, Utf7Error> {
    if !name.is_ascii() {
        return std::str::from_utf8(name).map(str::to_owned).map_err(|_| Utf7Error::Bytes);
    }
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    // RFC 3501 §5.1.3: no superfluous shifts, so one may not follow another directly.
    let mut shifted_before = false;
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'&' {
            text.push(char::from(first));
            shifted_before = false;
            rest = tail;
            continue;
        }
        let end = memchr::memchr(b'-', tail).ok_or(Utf7Error::Shift)?;
        let (coded, after) = tail.split_at_checked(end).ok_or(Utf7Error::Shift)?;
        if coded.is_empty() {
            text.push('&');
            shifted_before = false;
        } else {
            if shifted_before {
                return Err(Utf7Error::Form);
            }
            decode_shift(coded, &mut text)?;
            shifted_before = true;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    Ok(text)
}

fn decode_shift(coded: &[u8], text: &mut String) -> Result<(), Utf7Error> {
    let bytes = ENGINE.decode(coded).map_err(|_| Utf7Error::Shift)?;
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Utf7Error::Shift);
    }
    for unit in char::decode_utf16(pairs.iter().map(|&p| u16::from_be_bytes(p))) {
        let c = unit.map_err(|_| Utf7Error::Form)?;
        // RFC 3501 §5.1.3: printable ASCII stands for itself.
        if matches!(c, ' '..='~') {
            return Err(Utf7Error::Form);
        }
        text.push(c);
    }
    Ok(())
}

/// Spells a name.
#[must_use]
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut units: Vec<u8> = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut units, &mut text);
            text.push(c);
            if c == '&' {
                text.push('-');
            }
        } else {
            let mut pair = [0u16; 2];
            for unit in c.encode_utf16(&mut pair) {
                units.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut units, &mut text);
    text
}

fn flush(units: &mut Vec<u8>, text: &mut String) {
    if !units.is_empty() {
        text.push('&');
        ENGINE.encode_string(&*units, text);
        text.push('-');
        units.clear();
    }
}
