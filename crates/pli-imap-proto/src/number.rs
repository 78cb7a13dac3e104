//! Numbers to digits and back, without formatting machinery: FETCH prints millions of them.

/// Appends a number in decimal.
pub fn push_number(out: &mut Vec<u8>, mut n: u64) {
    if n < 10 {
        out.push(digit(n));
        return;
    }
    let mut digits = [0u8; 20];
    let mut used = 0usize;
    for slot in digits.iter_mut().rev() {
        *slot = digit(n % 10);
        n /= 10;
        used += 1;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends a number in decimal with two digits.
pub(crate) fn push_two(out: &mut Vec<u8>, n: u32) {
    out.push(digit(u64::from(n / 10 % 10)));
    out.push(digit(u64::from(n % 10)));
}

const fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

/// Digits only, not empty, fits.
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, &b| {
        let d = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(d)
    })
}

/// Digits only, not empty, fits.
#[must_use]
pub fn parse_u32(text: &[u8]) -> Option<u32> {
    parse_u64(text).and_then(|n| u32::try_from(n).ok())
}
