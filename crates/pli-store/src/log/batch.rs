//! The payload of a batch frame: row changes of one commit group.

use std::collections::BTreeMap;

use bytes::Bytes;
use pli_types::UnixMillis;

use crate::codec::{Reader, Writer};
use crate::rows::Key;

/// Bytes of a batch frame: time, then puts and deletes.
pub(crate) fn encode_batch(now: UnixMillis, rows: &BTreeMap<Key, Option<Bytes>>) -> Vec<u8> {
    let mut w = Writer::new(1);
    w.i64(now.0).var(rows.len() as u64);
    for (key, value) in rows {
        w.bytes(key);
        w.option(value.as_deref(), |w, v| {
            w.bytes(v);
        });
    }
    w.done()
}

/// A row put, or deleted.
pub(crate) type RowChange<'a> = (Key, Option<&'a [u8]>);

/// Reads a batch frame.
pub(crate) fn decode_batch(bytes: &[u8]) -> Option<(UnixMillis, Vec<RowChange<'_>>)> {
    let mut r = Reader::versioned(bytes, 1)?;
    let time = UnixMillis(r.i64()?);
    let count = r.count()?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        let key = Key::parse(r.bytes()?)?;
        rows.push((key, r.option(|r| r.bytes())?));
    }
    r.end()?;
    Some((time, rows))
}
