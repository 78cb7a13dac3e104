//! Generations of the index: each time it is made again it has a new folder, since what is left of the one before may
//! still write into its own. The folder's name says which engine made it. The newest is in use; one that is not whole has
//! no position in the log yet, and is filled.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pli_io::{Disk, Env};

use super::fjall::FjallIndex;
use super::memory::MemoryIndex;
use super::sled::SledIndex;
use super::{Index, IndexError};
use crate::error::OpenError;
use crate::store::IndexEngine;

/// Folder of all generations.
const FOLDER: &str = "index";
/// Names the generation in use while a newer one is being filled beside it.
const CURRENT_FILE: &str = "current";
/// A name is no longer.
const NAME_BYTES_MAX: u64 = 32;

/// One generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Generation {
    number: u32,
    /// Whether the folder's name has the engine's; the first format's had not.
    named: bool,
    engine: IndexEngine,
}

impl Generation {
    fn parse(name: &str) -> Option<Self> {
        let (digits, engine) = match name.split_once('-') {
            Some((digits, engine)) => (digits, Some(IndexEngine::parse(engine)?)),
            None => (name, None),
        };
        let fine = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| fine && *number > 0)?;
        Some(Self { number, named: engine.is_some(), engine: engine.unwrap_or(IndexEngine::Sled) })
    }
    fn name(&self) -> String {
        let Self { number, named, engine } = self;
        if *named { format!("{number:04}-{}", engine.name()) } else { format!("{number:04}") }
    }
    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(FOLDER).join(self.name())
    }
    fn open(&self, dir: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        let path = self.path(dir);
        Ok(match self.engine {
            IndexEngine::Sled => Arc::new(SledIndex::open(&path, cache_bytes)?),
            IndexEngine::Fjall => Arc::new(FjallIndex::open(&path, cache_bytes)?),
            IndexEngine::Memory => Arc::new(MemoryIndex::default()),
        })
    }
}

/// All there are, in order, and which of them is in use.
struct Generations {
    all: Vec<Generation>,
    current: Option<Generation>,
}

impl Generations {
    fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let base = dir.join(FOLDER);
        disk.create_dir_all(&base)?;
        let mut all: Vec<Generation> = disk.list(&base)?.iter().filter_map(|name| Generation::parse(name)).collect();
        all.sort_unstable();
        let named = read_current(disk, &base).filter(|named| all.contains(named));
        let current = named.or_else(|| all.last().copied());
        Ok(Self { all, current })
    }
    fn next(&self, engine: IndexEngine) -> Generation {
        let newest = self.all.last().map_or(0, |newest| newest.number);
        Generation { number: newest.saturating_add(1), named: true, engine }
    }
    /// Removes all but the one in use and the one set aside before it, which is kept for whoever wants to look at it.
    fn clean(&self, disk: &dyn Disk, dir: &Path, used: Generation) {
        let before = self.current.filter(|current| *current != used);
        let before = before.or_else(|| self.all.iter().copied().rfind(|other| *other < used));
        for old in self.all.iter().filter(|old| **old != used && Some(**old) != before) {
            if let Err(error) = disk.remove_dir_all(&old.path(dir)) {
                tracing::warn!(%error, "an old index could not be removed");
            }
        }
    }
}

fn read_current(disk: &dyn Disk, base: &Path) -> Option<Generation> {
    let path = base.join(CURRENT_FILE);
    if !disk.exists(&path) {
        return None;
    }
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(&path, pli_io::OpenMode::Read)?;
        let mut text = vec![0; usize::try_from(file.len()?.min(NAME_BYTES_MAX)).unwrap_or(0)];
        file.read_exact_at(&mut text, 0)?;
        Ok(text)
    };
    let text = read().ok()?;
    Generation::parse(std::str::from_utf8(&text).ok()?.trim_end())
}

/// Opens the index, or makes an empty one. `fresh`: whatever is there is not to be used.
pub(crate) fn open_index(
    env: &Env,
    dir: &Path,
    engine: IndexEngine,
    cache_bytes: u64,
    fresh: bool,
) -> Result<Arc<dyn Index>, OpenError> {
    if engine == IndexEngine::Memory {
        return Ok(Arc::new(MemoryIndex::default()));
    }
    let disk = &*env.disk;
    let generations = Generations::read(disk, dir)?;
    let current = generations.current.filter(|_| !fresh);
    if let Some(current) = current.filter(|current| current.engine != engine) {
        tracing::warn!(
            is = current.engine.name(),
            wanted = engine.name(),
            "the index is of another engine than the configuration's; it is made again from the log"
        );
    }
    if let Some(current) = current.filter(|current| current.engine == engine) {
        match current.open(dir, cache_bytes) {
            Ok(index) => {
                generations.clean(disk, dir, current);
                return Ok(index);
            }
            Err(error) => {
                tracing::error!(%error, "the index does not open; it is set aside and made again from the log");
            }
        }
    }
    let next = generations.next(engine);
    let index = next.open(dir, cache_bytes).map_err(|error| OpenError::Index(error.to_string()))?;
    forget_current(disk, dir)?;
    generations.clean(disk, dir, next);
    Ok(index)
}

/// Makes an empty index beside the one in use, which stays in use until [`use_newest`].
pub(crate) fn open_beside(
    env: &Env,
    dir: &Path,
    engine: IndexEngine,
    cache_bytes: u64,
) -> Result<Arc<dyn Index>, OpenError> {
    let disk = &*env.disk;
    let generations = Generations::read(disk, dir)?;
    if let Some(current) = generations.current {
        disk.replace(&dir.join(FOLDER).join(CURRENT_FILE), current.name().as_bytes())?;
    }
    let next = generations.next(engine);
    next.open(dir, cache_bytes).map_err(|error| OpenError::Index(error.to_string()))
}

/// From now on the newest generation is in use; of those before it, the last one in use is kept.
pub(crate) fn use_newest(env: &Env, dir: &Path) {
    let disk = &*env.disk;
    let done = Generations::read(disk, dir).and_then(|generations| {
        forget_current(disk, dir)?;
        if let Some(newest) = generations.all.last() {
            generations.clean(disk, dir, *newest);
        }
        Ok(())
    });
    if let Err(error) = done {
        // The next start takes up the one before, which is whole, and replays a longer tail.
        tracing::warn!(%error, "the new index could not be marked as the one in use");
    }
}

/// Removes every generation but the newest, which is in use: one that was only too large is not worth a look.
pub(crate) fn remove_older(env: &Env, dir: &Path) {
    let disk = &*env.disk;
    let older = Generations::read(disk, dir).map(|generations| {
        let newest = generations.all.last().copied();
        generations.all.into_iter().filter(move |old| Some(*old) != newest)
    });
    let removed = older.and_then(|mut older| older.try_for_each(|old| disk.remove_dir_all(&old.path(dir))));
    if let Err(error) = removed {
        tracing::warn!(%error, "an old index could not be removed");
    }
}

fn forget_current(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let named = dir.join(FOLDER).join(CURRENT_FILE);
    if disk.exists(&named) { disk.remove(&named) } else { Ok(()) }
}
