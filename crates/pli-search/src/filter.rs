//! Which chunks may hold a text: for each hashed run of four bytes the chunks that have it. A search reads a row for
//! each run of its text, and then only the chunks that stand in all of them.
//!
//! A chunk full of ids and signatures has nearly as many different runs as there are rows, so one row lets two chunks of
//! three through, eight rows one of forty. Texts under four bytes have no run.

use bytes::Bytes;

use crate::chunk::Written;
use crate::front::{Damaged, Front, Postings};

/// Bytes of a run.
const RUN_BYTES: usize = 4;
/// Rows: one bit for each byte of a chunk.
pub(crate) const ROWS: usize = 1 << 16;
/// Fewer chunks are looked into without asking.
const CHUNKS_MIN: usize = 16;
/// Rows that are read for one text at most.
const ROWS_READ_MAX: usize = 16;

/// Bytes of a row.
pub(crate) const fn row_bytes(chunks: usize) -> usize {
    if chunks < CHUNKS_MIN { 0 } else { chunks.div_ceil(8) }
}

fn row_of(run: [u8; RUN_BYTES]) -> usize {
    (u32::from_be_bytes(run).wrapping_mul(0x9E37_79B1) >> 16) as usize
}

/// The rows of a text's runs. A line feed stands only at the ends of what is looked for, so a run that goes over the
/// border of two words is none.
fn rows(text: &[u8]) -> impl Iterator<Item = usize> {
    let runs = text.windows(RUN_BYTES).filter_map(|run| <[u8; RUN_BYTES]>::try_from(run).ok());
    runs.filter(|[_, second, third, _]| *second != b'\n' && *third != b'\n').map(row_of)
}

/// The filter of these chunks.
pub(crate) fn make(chunks: &[&Written]) -> Vec<u8> {
    let width = row_bytes(chunks.len());
    let mut table = vec![0u8; width.saturating_mul(ROWS)];
    if width == 0 {
        return table;
    }
    let mut column = vec![0u8; ROWS];
    for (place, eight) in chunks.chunks(8).enumerate() {
        column.fill(0);
        for (bit, chunk) in eight.iter().enumerate() {
            for row in rows(chunk.text()) {
                if let Some(byte) = column.get_mut(row) {
                    *byte |= 1 << bit;
                }
            }
        }
        for (row, byte) in table.chunks_exact_mut(width).zip(&column) {
            if let Some(at) = row.get_mut(place) {
                *at = *byte;
            }
        }
    }
    table
}

/// The chunks that may hold a text.
pub(crate) struct Candidates(Option<Vec<u8>>);

impl Candidates {
    /// Reads the rows of a text.
    pub(crate) fn of<P: Postings + ?Sized>(front: &Front, postings: &P, text: &[u8]) -> Result<Self, P::Error> {
        let area = front.filter();
        let width = row_bytes(front.chunks().len());
        let mut wanted: Vec<usize> = rows(text).collect();
        if area.is_empty() || wanted.is_empty() {
            return Ok(Self(None));
        }
        // Evenly over the text: runs beside each other come together more often than others.
        let step = wanted.len().div_ceil(ROWS_READ_MAX);
        wanted = wanted.into_iter().step_by(step).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut left = vec![u8::MAX; width];
        for row in wanted {
            let at = area.start.saturating_add((row as u64).saturating_mul(width as u64));
            let bytes: Bytes = postings.read(at..at.saturating_add(width as u64))?;
            if bytes.len() != width {
                return Err(Damaged.into());
            }
            left.iter_mut().zip(&bytes).for_each(|(left, byte)| *left &= byte);
            if left.iter().all(|byte| *byte == 0) {
                break;
            }
        }
        Ok(Self(Some(left)))
    }
    /// Whether a chunk is among them.
    pub(crate) fn has(&self, chunk: usize) -> bool {
        let Some(bits) = &self.0 else { return true };
        bits.get(chunk / 8).is_some_and(|byte| byte >> (chunk % 8) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_go_over_borders() {
        let of = |text: &[u8]| rows(text).count();
        assert_eq!([of(b""), of(b"abc"), of(b"\na\n"), of(b"abcd"), of(b"\nab\n")], [0, 0, 0, 1, 1]);
        assert_eq!(of(b"\nab\ncd\n"), 2);
        // Whatever is looked for inside a word has only runs that the word has.
        let all: Vec<usize> = rows(b"\nother\nquetzal\n").collect();
        for pattern in [&b"\nquet"[..], b"zal\n", b"etza", b"\nquetzal\n"] {
            assert!(of(pattern) > 0 && rows(pattern).all(|row| all.contains(&row)));
        }
    }
}
