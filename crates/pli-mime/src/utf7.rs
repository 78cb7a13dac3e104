//! UTF-7 (RFC 2152), which old Outlook and Exchange still write. For reading only.

/// Names under which it goes.
pub(crate) fn is_label(label: &[u8]) -> bool {
    ["utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7", "csunicode11utf7"]
        .into_iter()
        .any(|known| label.eq_ignore_ascii_case(known.as_bytes()))
}

const fn value(byte: u8) -> Option<u32> {
    match byte {
        b'A'..=b'Z' => Some((byte - b'A') as u32),
        b'a'..=b'z' => Some((byte - b'a') as u32 + 26),
        b'0'..=b'9' => Some((byte - b'0') as u32 + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// As UTF-8; what is broken is a replacement character, and a plus that begins nothing stands for itself.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'+' {
            out.push(char::from(*first));
            continue;
        }
        let length = rest.iter().take_while(|byte| value(**byte).is_some()).count();
        let (run, after) = rest.split_at(length);
        if run.is_empty() {
            // RFC 2152: `+-` is the plus itself.
            out.push('+');
        } else {
            out.extend(char::decode_utf16(units(run)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    out
}

/// The UTF-16 units of a run; bits that are left at its end are padding.
fn units(run: &[u8]) -> impl Iterator<Item = u16> {
    let (mut bits, mut count) = (0u32, 0u32);
    run.iter().filter_map(|byte| value(*byte)).filter_map(move |six| {
        bits = bits << 6 | six;
        count += 6;
        if count < 16 {
            return None;
        }
        count -= 16;
        let unit = (bits >> count) as u16;
        bits &= (1 << count) - 1;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_and_what_is_broken() {
        assert_eq!(decode(b"A+ImIDkQ."), "A\u{2262}\u{391}.");
        assert_eq!(decode(b"Hi Mom -+Jjo--!"), "Hi Mom -\u{263a}-!");
        assert_eq!(decode(b"+ZeVnLIqe-"), "日本語");
        assert_eq!(decode(b"1 +- 1, +2D3eAA-"), "1 + 1, \u{1f600}");
        assert_eq!(decode(b"Item 3 is +AKM-1."), "Item 3 is £1.");
        // Half a pair, a run too short for a unit, a run that ends with the text.
        assert_eq!(decode(b"+2D0-x"), "\u{fffd}x");
        assert_eq!((decode(b"a+A-b"), decode(b"a+"), decode(b"a + b")), ("ab".into(), "a+".into(), "a + b".into()));
        assert_eq!(decode(b"t+AOk"), "té");
        assert!(is_label(b"UTF-7") && !is_label(b"utf-8"));
    }
}
