//! Entry bundles (C2SP tlog-tiles): the entries of a level-0 tile, each with its length.

use crate::error::{AuditError, Result};
use crate::tile::TILE_HASHES;

/// Longest entry that a bundle can hold.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// The bundle's bytes: for each entry a big-endian 16-bit length and its bytes.
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (entry, n) in entries.into_iter().zip(1..) {
        let length = u16::try_from(entry.len()).map_err(|_| AuditError::TooLong(entry.len()))?;
        if n > TILE_HASHES {
            return Err(AuditError::Bounds);
        }
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Ok(out)
}

/// The entries of a bundle, at most 256.
pub fn decode_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut rest = bytes;
    let mut entries = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let split = tail.split_at_checked(u16::from_be_bytes(*length).into());
        let (entry, tail) = split.filter(|_| entries.len() < 256).ok_or(AuditError::Malformed("entry bundle"))?;
        entries.push(entry);
        rest = tail;
    }
    if rest.is_empty() { Ok(entries) } else { Err(AuditError::Malformed("entry bundle")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..=256)) {
            let bytes = encode_bundle(entries.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(decode_bundle(&bytes).unwrap(), entries);
            if !bytes.is_empty() {
                // Cut anywhere, it either fails or ends at an entry's border.
                let cut = &bytes[..bytes.len() - 1];
                if let Ok(fewer) = decode_bundle(cut) {
                    prop_assert_eq!(encode_bundle(fewer).unwrap(), cut);
                }
            }
        }
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode_bundle(&bytes);
        }
    }

    #[test]
    fn limits() {
        let long = vec![0; ENTRY_BYTES_MAX + 1];
        assert_eq!(encode_bundle([&long[1..]]).unwrap().len(), 2 + ENTRY_BYTES_MAX);
        assert_eq!(encode_bundle([&long[..]]), Err(AuditError::TooLong(65_536)));
        assert_eq!(encode_bundle(vec![&[][..]; 257]), Err(AuditError::Bounds));
        assert!(decode_bundle(&[0; 2 * 257]).is_err());
    }
}
