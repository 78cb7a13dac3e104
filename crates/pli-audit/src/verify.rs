//! Verification: reads every entry's bytes again and says where the first bad one is.
//!
//! What is checked, in this order, for each entry: the leaf reads; its sequence is its index (a deleted, inserted or
//! moved entry shows here); its sealed event is there, is the one that the leaf names and has the leaf's digest (an
//! edited one shows here); the event opens, where the key is at hand. Then the tree over all leaves is compared with
//! each checkpoint: whoever rewrote entries with new leaves and digests meets the roots here. When the tiles are given
//! as well, the comparison names the very index; without them, the range since the last checkpoint that held.

use std::fmt;

use pli_types::UnixMillis;

use crate::class::LogKeyId;
use crate::error::AuditError;
use crate::leaf::{Hash, Leaf};
use crate::note::Checkpoint;
use crate::proof::{consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
use crate::seal::{LogKey, SealedEvent};
use crate::tile::{TILE_HASHES, TileId, TileReader};
use crate::tree::Tree;

/// An entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// The sealed event's bytes; none when they were destroyed at the end of their retention.
    pub sealed: Option<Vec<u8>>,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The leaf does not read.
    Leaf {
        /// Index of the entry.
        index: u64,
    },
    /// The leaf is that of another place: an entry was deleted, inserted or moved.
    Sequence {
        /// Index of the entry.
        index: u64,
        /// The sequence that the leaf has.
        found: u64,
    },
    /// The sealed event is not there, and its retention is not over.
    Missing {
        /// Index of the entry.
        index: u64,
    },
    /// The sealed event is not the one that the leaf commits to.
    Digest {
        /// Index of the entry.
        index: u64,
    },
    /// The sealed event does not open under its key.
    Event {
        /// Index of the entry.
        index: u64,
    },
    /// The tree's root is not the checkpoint's: some entry from `index` on, below `size`, is not the one that was
    /// signed. `exact` says that the tiles show it to be the one at `index`.
    Root {
        /// First index that may be bad.
        index: u64,
        /// The checkpoint's size.
        size: u64,
        /// Whether `index` is the bad one.
        exact: bool,
    },
    /// A tile does not have the hash of the entry, though the checkpoint holds: the tile is damaged.
    Tile {
        /// Index of the entry.
        index: u64,
    },
    /// There are fewer entries than were signed: the tail was cut off.
    Cut {
        /// Index of the first missing entry.
        index: u64,
        /// The size that was signed.
        size: u64,
    },
    /// Two checkpoints of one size with different roots: the log showed different trees.
    Split {
        /// The size.
        index: u64,
    },
    /// An entry could not be read.
    Read {
        /// Index of the entry.
        index: u64,
        /// Why.
        error: AuditError,
    },
}

impl Fault {
    /// The first bad index.
    #[must_use]
    pub const fn first_bad(&self) -> u64 {
        match self {
            Self::Leaf { index }
            | Self::Sequence { index, .. }
            | Self::Missing { index }
            | Self::Digest { index }
            | Self::Event { index }
            | Self::Root { index, .. }
            | Self::Tile { index }
            | Self::Cut { index, .. }
            | Self::Split { index }
            | Self::Read { index, .. } => *index,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf { index } => write!(f, "entry {index}: the leaf does not read"),
            Self::Sequence { index, found } => {
                write!(f, "entry {index}: has sequence {found}; an entry was deleted, inserted or moved")
            }
            Self::Missing { index } => write!(f, "entry {index}: its event is missing before its retention is over"),
            Self::Digest { index } => {
                write!(f, "entry {index}: its event is not the one that was logged")
            }
            Self::Event { index } => write!(f, "entry {index}: its event does not open"),
            Self::Root { index, exact: true, .. } => write!(f, "entry {index}: not the one that was signed"),
            Self::Root { index, size, exact: false } => {
                write!(f, "entries {index} to {size}: at least one is not the one that was signed")
            }
            Self::Tile { index } => write!(f, "entry {index}: its tile has another hash; the checkpoint holds"),
            Self::Cut { index, size } => {
                write!(f, "entry {index}: missing; {size} entries were signed")
            }
            Self::Split { index } => write!(f, "two signed checkpoints of size {index} differ"),
            Self::Read { index, error } => write!(f, "entry {index}: cannot be read: {error}"),
        }
    }
}

/// What verification saw when all held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Events that were opened with their keys.
    pub opened: u64,
    /// Events destroyed at the end of their retention.
    pub destroyed: u64,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// Entries beyond the last checkpoint: nothing signed vouches for them yet.
    pub unsigned: u64,
    /// Entries whose time is more than five seconds before that of the one before: a clock went back, or somebody
    /// backdated. First index, if there is one.
    pub clock_back: Option<u64>,
    /// The root over all entries.
    pub root: Hash,
}

/// What to verify with; [`verify`] for the plain case.
pub struct Verifier<'a> {
    /// The key of a month and class, where it is at hand.
    pub keys: &'a dyn Fn(LogKeyId) -> Option<LogKey>,
    /// The stored tiles, if there are any.
    pub tiles: Option<&'a dyn TileReader>,
    /// Whether events of this month and class may be gone.
    pub may_lack: &'a dyn Fn(LogKeyId) -> bool,
}

/// Verifies entries against checkpoints (whose signatures [`Checkpoint::verify`] has checked) in any order, with the
/// default retention at `now` and without opening events.
pub fn verify(
    entries: impl IntoIterator<Item = Result<StoredEntry, AuditError>>,
    checkpoints: &[Checkpoint],
    now: UnixMillis,
) -> Result<Report, Fault> {
    Verifier { keys: &|_| None, tiles: None, may_lack: &|id| id.expired(now) }.run(entries, checkpoints)
}

const CLOCK_BACK_MS: i64 = 5_000;

impl Verifier<'_> {
    /// Verifies entries against checkpoints whose signatures were checked, in any order.
    pub fn run(
        &self,
        entries: impl IntoIterator<Item = Result<StoredEntry, AuditError>>,
        checkpoints: &[Checkpoint],
    ) -> Result<Report, Fault> {
        let mut due: Vec<&Checkpoint> = checkpoints.iter().collect();
        due.sort_by_key(|c| c.size);
        let mut run = Run::new(self, due);
        run.compare()?;
        for entry in entries {
            let index = run.tree.size();
            run.entry(index, entry.map_err(|error| Fault::Read { index, error })?)?;
        }
        run.finish()
    }
}

/// The first entry whose hash is not its tile's.
#[derive(Clone, Copy)]
struct Differs {
    index: u64,
    /// The root over all entries before it.
    before: Hash,
    /// What the tile has.
    stored: Hash,
}

struct Run<'a> {
    with: &'a Verifier<'a>,
    tree: Tree,
    due: std::iter::Peekable<std::vec::IntoIter<&'a Checkpoint>>,
    /// Size of the last checkpoint that held.
    held: u64,
    checkpoints: u64,
    opened: u64,
    destroyed: u64,
    latest: Option<UnixMillis>,
    clock_back: Option<u64>,
    /// The level-0 tile at hand.
    tile: Option<(u64, Vec<Hash>)>,
    differs: Option<Differs>,
    size_signed: u64,
}

impl<'a> Run<'a> {
    fn new(with: &'a Verifier<'a>, due: Vec<&'a Checkpoint>) -> Self {
        let size_signed = due.last().map_or(0, |c| c.size);
        Self {
            with,
            tree: Tree::new(),
            due: due.into_iter().peekable(),
            held: 0,
            checkpoints: 0,
            opened: 0,
            destroyed: 0,
            latest: None,
            clock_back: None,
            tile: None,
            differs: None,
            size_signed,
        }
    }

    fn entry(&mut self, index: u64, entry: StoredEntry) -> Result<(), Fault> {
        let leaf = Leaf::decode(&entry.leaf).map_err(|_| Fault::Leaf { index })?;
        if leaf.sequence != index {
            return Err(Fault::Sequence { index, found: leaf.sequence });
        }
        match entry.sealed {
            Some(bytes) => self.event(index, &leaf, bytes)?,
            None if (self.with.may_lack)(leaf.key_id()) => self.destroyed += 1,
            None => return Err(Fault::Missing { index }),
        }
        if self.latest.is_some_and(|before| leaf.time.0.saturating_add(CLOCK_BACK_MS) < before.0) {
            self.clock_back.get_or_insert(index);
        }
        self.latest = Some(leaf.time);
        let hash = leaf.hash();
        self.compare_tile(index, hash);
        self.tree.append(hash);
        self.compare()
    }

    fn event(&mut self, index: u64, leaf: &Leaf, bytes: Vec<u8>) -> Result<(), Fault> {
        let sealed = SealedEvent::from_bytes(bytes).map_err(|_| Fault::Digest { index })?;
        if sealed.leaf() != *leaf {
            return Err(Fault::Digest { index });
        }
        if let Some(key) = (self.with.keys)(leaf.key_id()) {
            key.open(&sealed).map_err(|_| Fault::Event { index })?;
            self.opened += 1;
        }
        Ok(())
    }

    // A tile that cannot be read tells nothing; the checkpoint decides.
    fn compare_tile(&mut self, index: u64, hash: Hash) {
        let Some(tiles) = self.with.tiles.filter(|_| self.differs.is_none() && index < self.size_signed) else {
            return;
        };
        let number = index / TILE_HASHES;
        if self.tile.as_ref().is_none_or(|(at, _)| *at != number) {
            let read = TileId::in_tree(0, number, self.size_signed).and_then(|id| tiles.read_tile(id).ok());
            self.tile = Some((number, read.unwrap_or_default()));
        }
        let stored = usize::try_from(index % TILE_HASHES).ok().and_then(|at| self.tile.as_ref()?.1.get(at));
        if let Some(stored) = stored.copied().filter(|stored| *stored != hash) {
            self.differs = Some(Differs { index, before: self.tree.root(), stored });
        }
    }

    // Which entry is the bad one, when the tiles prove it: those before it are a prefix of the signed tree, and the
    // signed tree has another hash in its place. Tiles that were rewritten together with entries prove nothing.
    fn root_fault(&self, checkpoint: &Checkpoint) -> Fault {
        let Checkpoint { size, root, .. } = *checkpoint;
        let range = Fault::Root { index: self.held, size, exact: false };
        let (Some(Differs { index, before, stored }), Some(tiles)) = (self.differs, self.with.tiles) else {
            return range;
        };
        let prefix = consistency_proof(tiles, index, size)
            .and_then(|proof| verify_consistency(index, before, size, root, &proof));
        let other =
            inclusion_proof(tiles, index, size).and_then(|proof| verify_inclusion(stored, index, size, &proof, root));
        if prefix.is_ok() && other.is_ok() { Fault::Root { index, size, exact: true } } else { range }
    }

    fn compare(&mut self) -> Result<(), Fault> {
        let size = self.tree.size();
        let mut root = None;
        while let Some(checkpoint) = self.due.next_if(|c| c.size == size) {
            let ours = *root.get_or_insert_with(|| self.tree.root());
            if checkpoint.root != ours {
                return Err(if self.held == size && self.checkpoints > 0 {
                    Fault::Split { index: size }
                } else {
                    self.root_fault(checkpoint)
                });
            }
            self.held = size;
            self.checkpoints += 1;
        }
        match self.differs {
            // The checkpoint vouches for what was read, so it is the tile that is wrong.
            Some(Differs { index, .. }) if index < self.held => Err(Fault::Tile { index }),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Report, Fault> {
        let entries = self.tree.size();
        if self.due.next().is_some() {
            return Err(Fault::Cut { index: entries, size: self.size_signed });
        }
        Ok(Report {
            entries,
            opened: self.opened,
            destroyed: self.destroyed,
            checkpoints: self.checkpoints,
            unsigned: entries - self.held,
            clock_back: self.clock_back,
            root: self.tree.root(),
        })
    }
}
