//! The growing tree: appends in amortised constant time, keeps the right edge only, lets go of full tiles.

use crate::error::{AuditError, Result};
use crate::leaf::{Hash, empty_hash, node_hash};
use crate::tile::{TILE_HASHES, TILE_HEIGHT, Tile, TileId};

const STATE_VERSION: u8 = 1;

/// A Merkle tree of RFC 6962 that only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    // The perfect subtrees that the size's bits stand for, largest first. Gives the root without a look at tiles.
    edge: Vec<Hash>,
    // The partial tile of each level, lowest first; at most 255 hashes each.
    partial: Vec<Vec<Hash>>,
}

/// What a tree resumes from: its size and its partial tiles (below 8 KiB for each level in use).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeState {
    size: u64,
    partial: Vec<Vec<Hash>>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf's hash. Returns the tiles that it completed: lower levels first; none for 255 of 256 leaves.
    pub fn append(&mut self, leaf: Hash) -> Vec<Tile> {
        let mut full = Vec::new();
        let mut hash = leaf;
        let mut height: u32 = 0;
        self.push(0, hash, &mut full);
        // Each one at the end of the size's binary form is a perfect subtree that the new one completes to a pair.
        while height < self.size.trailing_ones() {
            let Some(left) = self.edge.pop() else { break };
            hash = node_hash(&left, &hash);
            height += 1;
            if height.is_multiple_of(TILE_HEIGHT) {
                self.push(height / TILE_HEIGHT, hash, &mut full);
            }
        }
        self.edge.push(hash);
        self.size = self.size.saturating_add(1);
        full
    }

    fn push(&mut self, level: u32, hash: Hash, full: &mut Vec<Tile>) {
        let Ok(at) = usize::try_from(level) else {
            return;
        };
        while self.partial.len() <= at {
            self.partial.push(Vec::new());
        }
        let (Some(tile), Ok(level)) = (self.partial.get_mut(at), u8::try_from(level)) else {
            return;
        };
        tile.push(hash);
        if tile.len() == 256 {
            // Not yet counted in the size: the tile of the leaf that is being appended.
            let index = self.size >> (TILE_HEIGHT * (u32::from(level) + 1)).min(63);
            let hashes = std::mem::take(tile);
            full.push(Tile { id: TileId { level, index, width: 256 }, hashes });
        }
    }

    /// RFC 6962 §2.1: the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_right = self.edge.iter().rev();
        let Some(first) = from_right.next() else {
            return empty_hash();
        };
        from_right.fold(*first, |right, left| node_hash(left, &right))
    }

    /// The partial tiles of the present size, as a checkpoint of it needs them.
    pub fn partial_tiles(&self) -> impl Iterator<Item = Tile> + '_ {
        self.partial.iter().zip(0_u8..).filter_map(|(hashes, level)| {
            let index = self.size.checked_shr(TILE_HEIGHT * (u32::from(level) + 1)).unwrap_or(0);
            let id = TileId::in_tree(level, index, self.size)?;
            (!hashes.is_empty()).then(|| Tile { id, hashes: hashes.clone() })
        })
    }

    /// The state to resume from.
    #[must_use]
    pub fn state(&self) -> TreeState {
        TreeState { size: self.size, partial: self.partial.clone() }
    }

    /// The tree that [`Tree::state`] was taken of.
    #[must_use]
    pub fn resume(state: TreeState) -> Self {
        let TreeState { size, partial } = state;
        let mut edge = Vec::new();
        for tile in partial.iter().rev() {
            let mut rest = tile.as_slice();
            // The perfect subtrees within a partial tile are the bits of its width.
            for bit in (0..TILE_HEIGHT).rev() {
                if tile.len() >> bit & 1 == 1
                    && let Some((head, tail)) = rest.split_at_checked(1 << bit)
                {
                    edge.extend(perfect_root(head));
                    rest = tail;
                }
            }
        }
        Self { size, edge, partial }
    }
}

/// The root over a power of two of hashes.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Option<Hash> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        [left, right] => Some(node_hash(left, right)),
        many => {
            let (left, right) = many.split_at_checked(many.len() / 2)?;
            Some(node_hash(&perfect_root(left)?, &perfect_root(right)?))
        }
    }
}

// How many hashes the partial tiles of a size have, lowest level first, without empty levels at the top.
fn widths(size: u64) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(size), |rest| Some(rest >> TILE_HEIGHT))
        .take_while(|rest| *rest > 0)
        .map(|rest| usize::try_from(rest % TILE_HASHES).unwrap_or(0))
}

impl TreeState {
    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Version, size, hashes of the partial tiles, lowest level first; their numbers follow from the size.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![STATE_VERSION];
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend(self.partial.iter().flatten().flat_map(|h| h.0));
        out
    }

    /// Reads [`TreeState::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let malformed = AuditError::Malformed("tree state");
        let Some(([STATE_VERSION, size @ ..], rest)) = bytes.split_first_chunk::<9>() else {
            return Err(malformed);
        };
        let size = u64::from_be_bytes(*size);
        let (mut hashes, slack) = rest.as_chunks::<32>();
        let mut partial = Vec::new();
        for width in widths(size) {
            let Some((head, tail)) = hashes.split_at_checked(width) else {
                return Err(malformed);
            };
            partial.push(head.iter().map(|h| Hash(*h)).collect());
            hashes = tail;
        }
        if slack.is_empty() && hashes.is_empty() { Ok(Self { size, partial }) } else { Err(malformed) }
    }
}
