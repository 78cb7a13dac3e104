//! xtext: printable ASCII, everything else as `+` and two hexadecimal digits. RFC 3461 §4.

use std::fmt::Write as _;

/// Codes a text.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b'!'..=b'~').contains(&byte) && byte != b'+' && byte != b'=' {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "+{byte:02X}");
        }
    }
    out
}

/// What was coded; `None` if it is not xtext, or holds what no line may hold. Characters outside ASCII stand for
/// themselves, as RFC 6533 §3 lets them in a session with SMTPUTF8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => {
                let digits = [bytes.next()?, bytes.next()?];
                if !digits.iter().all(|d| d.is_ascii_digit() || (b'A'..=b'F').contains(d)) {
                    return None;
                }
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'=' | 0..=b' ' | 0x7f => return None,
            byte => out.push(byte),
        }
    }
    let text = String::from_utf8(out).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(encode("a+b=c d"), "a+2Bb+3Dc+20d");
        assert_eq!(decode("a+2Bb+3Dc+20d").as_deref(), Some("a+b=c d"));
        for wrong in ["+", "+2", "+2b", "+0A", "+0D+0A", "a=b", "a b", "+FF"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_coded_comes_back(text in "\\PC{0,40}") {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }
    }
}
