//! A page: what is kept of up to 64 messages whose UIDs stand together, compressed as one.

use std::ops::Range;

/// UIDs of a page.
pub const PAGE_UIDS: u32 = 64;

/// Which page a UID is on, and where.
pub const fn place(uid: u32) -> (u32, u32) {
    (uid / PAGE_UIDS, uid % PAGE_UIDS)
}

/// Pieces of messages, packed.
#[derive(Debug)]
pub struct Page {
    /// A bit a message.
    present: u64,
    /// Pieces of each message.
    pieces: usize,
    /// Where each piece ends, message after message.
    ends: Box<[u32]>,
    packed: Box<[u8]>,
    plain_bytes: usize,
}

/// Where the pieces of a slot begin in the list of ends.
fn first_end(present: u64, slot: u32, pieces: usize) -> Option<usize> {
    let bit = 1u64.checked_shl(slot)?;
    let before = (present & bit.wrapping_sub(1)).count_ones() as usize;
    (present & bit != 0).then(|| before.saturating_mul(pieces))
}

fn piece_range(present: u64, ends: &[u32], pieces: usize, slot: u32, piece: usize) -> Option<Range<usize>> {
    let at = first_end(present, slot, pieces)?.checked_add(piece).filter(|_| piece < pieces)?;
    let start = if at == 0 { 0 } else { *ends.get(at.saturating_sub(1))? as usize };
    Some(start..*ends.get(at)? as usize)
}

impl Page {
    /// Whether a message is on it.
    pub fn has(&self, slot: u32) -> bool {
        first_end(self.present, slot, self.pieces).is_some()
    }
    /// Where a piece stands in the plain bytes.
    pub fn range(&self, slot: u32, piece: usize) -> Option<Range<usize>> {
        piece_range(self.present, &self.ends, self.pieces, slot, piece)
    }
    /// The plain bytes.
    pub fn unpack(&self, plain: &mut Vec<u8>) -> bool {
        plain.resize(self.plain_bytes, 0);
        lz4_flex::block::decompress_into(&self.packed, plain).is_ok_and(|bytes| bytes == self.plain_bytes)
    }
    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>().saturating_add(self.packed.len()).saturating_add(size_of_val(&*self.ends))
    }
}

/// A page in the making: messages come in the order of their UIDs.
#[derive(Debug, Default)]
pub struct Gather {
    present: u64,
    ends: Vec<u32>,
    plain: Vec<u8>,
}

impl Gather {
    /// How many messages are on it.
    pub const fn len(&self) -> u32 {
        self.present.count_ones()
    }
    /// Begins anew.
    pub fn clear(&mut self) {
        self.present = 0;
        self.ends.clear();
        self.plain.clear();
    }
    /// Puts a message behind the others; one that does not stand behind them is left out.
    pub fn push<'a>(&mut self, slot: u32, pieces: impl IntoIterator<Item = &'a [u8]>) {
        let Some(bit) = 1u64.checked_shl(slot).filter(|bit| self.present < *bit) else { return };
        self.present |= bit;
        for piece in pieces {
            self.plain.extend_from_slice(piece);
            self.ends.push(u32::try_from(self.plain.len()).unwrap_or(u32::MAX));
        }
    }
    fn pieces(&self, slot: u32, count: usize) -> impl Iterator<Item = &[u8]> {
        (0..count).map(move |piece| {
            let range = piece_range(self.present, &self.ends, count, slot, piece);
            range.and_then(|range| self.plain.get(range)).unwrap_or_default()
        })
    }
    /// The page, with those messages of an older one that are not on this.
    pub fn pack(&mut self, pieces: usize, older: Option<&Page>) -> Page {
        let mut plain = Vec::new();
        if let Some(older) = older.filter(|older| older.present & !self.present != 0)
            && older.unpack(&mut plain)
        {
            let new = std::mem::take(self);
            for slot in 0..PAGE_UIDS {
                if first_end(new.present, slot, pieces).is_some() {
                    self.push(slot, new.pieces(slot, pieces));
                } else if older.has(slot) {
                    let piece = |piece| older.range(slot, piece).and_then(|range| plain.get(range));
                    self.push(slot, (0..pieces).map(|at| piece(at).unwrap_or_default()));
                }
            }
        }
        Page {
            present: self.present,
            pieces,
            ends: self.ends.as_slice().into(),
            packed: lz4_flex::block::compress(&self.plain).into(),
            plain_bytes: self.plain.len(),
        }
    }
}
