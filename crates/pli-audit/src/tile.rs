//! Tiles of the tree and their paths (C2SP tlog-tiles).

use std::fmt;

use crate::error::{AuditError, Result};
use crate::leaf::Hash;

/// Hashes in a full tile.
pub const TILE_HASHES: u64 = 256;
/// Tree levels within a tile.
pub(crate) const TILE_HEIGHT: u32 = 8;
const LEVEL_MAX: u8 = 7;

/// Names a tile: level 0 has leaf hashes; a width below 256 is a partial tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Level, 0 to 7 (a tree of 2^64 leaves has no more).
    pub level: u8,
    /// Index within the level.
    pub index: u64,
    /// Hashes in it, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// The tile as it is in a tree of `size` leaves, if it is there.
    #[must_use]
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        if level > LEVEL_MAX {
            return None;
        }
        let hashes = size >> (TILE_HEIGHT * u32::from(level));
        let left = hashes.saturating_sub(index.checked_mul(TILE_HASHES)?).min(TILE_HASHES);
        let width = u16::try_from(left).ok().filter(|w| *w > 0)?;
        Some(Self { level, index, width })
    }

    /// All tiles of a tree of `size` leaves, partial ones included.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        (0..=LEVEL_MAX).flat_map(move |level| {
            let hashes = size >> (TILE_HEIGHT * u32::from(level));
            (0..hashes.div_ceil(TILE_HASHES)).filter_map(move |index| Self::in_tree(level, index, size))
        })
    }

    /// Whether it is a partial tile.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        u64::from(self.width) < TILE_HASHES
    }

    /// `tile/0/x001/067.p/5`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, index_path(self.index, self.width))
    }

    /// Reads [`TileId::path`]; takes the one canonical form only.
    pub fn parse(path: &str) -> Result<Self> {
        let read = || {
            let rest = path.strip_prefix("tile/")?;
            let (level, rest) = rest.split_once('/')?;
            let level: u8 = level.parse().ok().filter(|l| *l <= LEVEL_MAX)?;
            let (index, width) = match rest.split_once(".p/") {
                Some((index, width)) => (index, width.parse().ok().filter(|w| *w > 0)?),
                None => (rest, 256_u16),
            };
            let mut number: u64 = 0;
            for part in index.split('/') {
                let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
                number = number.checked_mul(1000)?.checked_add(digits)?;
            }
            Some(Self { level, index: number, width })
        };
        // Leading zeros, signs, widths of 0 or 256, missing or surplus `x`: all that is not what path() writes.
        read().filter(|tile| tile.path() == path).ok_or(AuditError::Malformed("tile path"))
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// The path of the bundle with the entries of the level-0 tile of this index and width: `tile/entries/x001/067`.
#[must_use]
pub fn bundle_path(index: u64, width: u16) -> String {
    format!("tile/entries/{}", index_path(index, width))
}

fn index_path(index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if u64::from(width) < TILE_HASHES {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// A tile: its name and its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its name; the width is the number of hashes.
    pub id: TileId,
    /// Its hashes.
    pub hashes: Vec<Hash>,
}

impl Tile {
    /// The file's bytes: the hashes one after another.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|h| h.0).collect()
    }
    /// Reads a file's bytes for a name.
    pub fn decode(id: TileId, bytes: &[u8]) -> Result<Self> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || chunks.len() != usize::from(id.width) {
            return Err(AuditError::Malformed("tile"));
        }
        Ok(Self { id, hashes: chunks.iter().map(|c| Hash(*c)).collect() })
    }
}

/// Where tiles are read from. A reader may give more hashes than the width asks for (the full tile for a partial one).
pub trait TileReader {
    /// The hashes of a tile.
    fn read_tile(&self, tile: TileId) -> Result<Vec<Hash>>;
}

impl<F: Fn(TileId) -> Result<Vec<Hash>>> TileReader for F {
    fn read_tile(&self, tile: TileId) -> Result<Vec<Hash>> {
        self(tile)
    }
}
