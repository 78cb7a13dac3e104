//! Proofs that an entry is in the tree and that a tree is an extension of another, made from tiles and verified.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::{AuditError, Result};
use crate::leaf::{Hash, empty_hash, node_hash};
use crate::tile::{TILE_HASHES, TILE_HEIGHT, TileId, TileReader};
use crate::tree::perfect_root;

/// The tiles of one tree size, each read once for a proof.
struct Tiles<'a> {
    reader: &'a dyn TileReader,
    size: u64,
    read: RefCell<HashMap<TileId, Vec<Hash>>>,
}

impl<'a> Tiles<'a> {
    fn new(reader: &'a dyn TileReader, size: u64) -> Self {
        Self { reader, size, read: RefCell::new(HashMap::new()) }
    }

    // RFC 6962 §2.1: MTH(D[start:end]) of a range that is a subtree of the tree.
    fn subtree(&self, start: u64, end: u64) -> Result<Hash> {
        let leaves = end.checked_sub(start).filter(|n| *n > 0).ok_or(AuditError::Bounds)?;
        if leaves.is_power_of_two() && start.is_multiple_of(leaves) {
            return self.perfect(start, leaves.trailing_zeros());
        }
        let middle = start + split(leaves);
        Ok(node_hash(&self.subtree(start, middle)?, &self.subtree(middle, end)?))
    }

    fn perfect(&self, start: u64, height: u32) -> Result<Hash> {
        let level = u8::try_from(height / TILE_HEIGHT).map_err(|_| AuditError::Bounds)?;
        let first = start >> (TILE_HEIGHT * u32::from(level));
        let (index, offset) = (first / TILE_HASHES, first % TILE_HASHES);
        let id = TileId::in_tree(level, index, self.size).ok_or(AuditError::Bounds)?;
        let from = usize::try_from(offset).map_err(|_| AuditError::Bounds)?;
        let to = from + (1 << (height % TILE_HEIGHT));
        let root = |hashes: &[Hash]| hashes.get(from..to).and_then(perfect_root);
        let unreadable = || AuditError::Tile(id.path());
        if let Some(hashes) = self.read.borrow().get(&id) {
            return root(hashes).ok_or_else(unreadable);
        }
        let hashes = self.reader.read_tile(id)?;
        if hashes.len() < usize::from(id.width) {
            return Err(unreadable());
        }
        let hash = root(&hashes).ok_or_else(unreadable)?;
        self.read.borrow_mut().insert(id, hashes);
        Ok(hash)
    }
}

// The largest power of two below n (n > 1).
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The root of a tree of `size` leaves as its tiles have it.
pub fn root_from_tiles(reader: &dyn TileReader, size: u64) -> Result<Hash> {
    if size == 0 { Ok(empty_hash()) } else { Tiles::new(reader, size).subtree(0, size) }
}

/// RFC 6962 §2.1.1: the audit path of the leaf at `index` in the tree of `size` leaves.
pub fn inclusion_proof(reader: &dyn TileReader, index: u64, size: u64) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(AuditError::Bounds);
    }
    let tiles = Tiles::new(reader, size);
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    // From the root down; the path reads from the leaf up.
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(tiles.subtree(middle, end)?);
            end = middle;
        } else {
            path.push(tiles.subtree(start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// RFC 6962 §2.1.2: the proof that the tree of `new` leaves extends that of `old`. Empty when `old` is 0 or `new`.
pub fn consistency_proof(reader: &dyn TileReader, old: u64, new: u64) -> Result<Vec<Hash>> {
    if old > new {
        return Err(AuditError::Bounds);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let tiles = Tiles::new(reader, new);
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    // Whether the subtree at hand is, with all its leaves, the old tree itself: then its hash is known to the verifier.
    let mut whole = true;
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(tiles.subtree(middle, end)?);
            end = middle;
        } else {
            path.push(tiles.subtree(start, middle)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(tiles.subtree(start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// RFC 9162 §2.1.3.2: whether `proof` shows that `leaf` is at `index` in the tree with this root.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> Result<()> {
    if index >= size {
        return Err(AuditError::Bounds);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(AuditError::Proof);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == root { Ok(()) } else { Err(AuditError::Proof) }
}

/// RFC 9162 §2.1.4.2: whether `proof` shows that the tree of `new` leaves extends that of `old`.
pub fn verify_consistency(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> Result<()> {
    if old > new {
        return Err(AuditError::Bounds);
    }
    if old == new || old == 0 {
        let roots = if old == new { old_root == new_root } else { old_root == empty_hash() };
        return if roots && proof.is_empty() { Ok(()) } else { Err(AuditError::Proof) };
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { *rest.next().ok_or(AuditError::Proof)? };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(AuditError::Proof);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && old_hash == old_root && new_hash == new_root { Ok(()) } else { Err(AuditError::Proof) }
}
