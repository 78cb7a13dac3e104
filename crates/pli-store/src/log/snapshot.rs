//! The payload of a snapshot frame: all rows of one range of keys as they stand in the log just before it.

use pli_types::UnixMillis;

use crate::codec::{Reader, Writer};
use crate::rows::Key;
use crate::rows::log::LogPlace;

/// What a snapshot frame says besides its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHead {
    pub(crate) time: UnixMillis,
    /// Number of the round.
    pub(crate) round: u32,
    /// The first key of the range.
    pub(crate) from: Vec<u8>,
    /// The first key after it; empty at the end of all keys.
    pub(crate) to: Vec<u8>,
    /// The last frame of its round.
    pub(crate) last: bool,
    /// The round's first frame.
    pub(crate) start: LogPlace,
}

/// A row of a snapshot.
pub(crate) type SnapshotRow<'a> = (Key, &'a [u8]);

/// Bytes of a snapshot frame.
pub(crate) fn encode_snapshot(head: &SnapshotHead, rows: &[(Key, Vec<u8>)]) -> Vec<u8> {
    let mut w = Writer::new(1);
    w.i64(head.time.0).u32(head.round).bytes(&head.from).bytes(&head.to).flag(head.last);
    w.u32(head.start.segment).u64(head.start.offset).var(rows.len() as u64);
    for (key, value) in rows {
        w.bytes(key).bytes(value);
    }
    w.done()
}

/// Reads a snapshot frame.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Option<(SnapshotHead, Vec<SnapshotRow<'_>>)> {
    let mut r = Reader::versioned(bytes, 1)?;
    let head = SnapshotHead {
        time: UnixMillis(r.i64()?),
        round: r.u32()?,
        from: r.bytes()?.to_vec(),
        to: r.bytes()?.to_vec(),
        last: r.flag()?,
        start: LogPlace { segment: r.u32()?, offset: r.u64()? },
    };
    let count = r.count()?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push((Key::parse(r.bytes()?)?, r.bytes()?));
    }
    r.end()?;
    Some((head, rows))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::rows::{Table, keys};

    #[test]
    fn a_snapshot_comes_back_and_nothing_else_does() {
        let head = SnapshotHead {
            time: UnixMillis(7),
            round: 3,
            from: vec![2],
            to: Vec::new(),
            last: true,
            start: LogPlace { segment: 4, offset: 320 },
        };
        let rows = vec![(keys::globals(), vec![1, 2]), (Key::new(Table::Round).u32(1), Vec::new())];
        let bytes = encode_snapshot(&head, &rows);
        let (found, found_rows) = decode_snapshot(&bytes).unwrap();
        assert_eq!(found, head);
        assert_eq!(found_rows.len(), 2);
        for cut in 0..bytes.len() {
            assert!(decode_snapshot(bytes.get(..cut).unwrap()).is_none());
        }
    }
}
