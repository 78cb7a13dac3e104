//! Small numbers in few bytes, read without panics.

/// LEB128.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads one and moves `at` behind it.
pub(crate) fn take(bytes: &[u8], at: &mut usize) -> Option<u64> {
    // Most are small.
    if let Some(byte) = bytes.get(*at)
        && *byte < 0x80
    {
        *at = at.saturating_add(1);
        return Some(u64::from(*byte));
    }
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at = at.saturating_add(1);
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Reads one that must fit 32 bits.
pub(crate) fn take32(bytes: &[u8], at: &mut usize) -> Option<u32> {
    u32::try_from(take(bytes, at)?).ok()
}

/// The 32-bit number at a place.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut out = Vec::new();
        let all = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        all.iter().for_each(|n| put(&mut out, *n));
        let mut at = 0;
        for n in all {
            assert_eq!(take(&out, &mut at), Some(n));
        }
        assert_eq!(take(&out, &mut at), None);
        assert_eq!(take(&[0x80; 12], &mut 0), None);
        assert_eq!(take32(&[0xff, 0xff, 0xff, 0xff, 0x1f], &mut 0), None);
    }
}
