//! A simulated world for tests: a disk that loses what was not synced, a clock that is set, seeded randomness.
//!
//! The disk's faults: at a crash each 512-byte sector of each unsynced write is there or not, whatever the order; names
//! that were not synced with their folder are there or not, in order. What was synced stays. Besides: errors on the
//! n-th write, sync or read from now, short writes, a limit of space, and any one call of the whole interface that
//! fails or is never made because the power went. A sync that failed has lost what it was asked for, as on Linux: the
//! file still reads as if it were written, and no later sync writes it. All of it replays from one seed.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pli_types::UnixMillis;

use crate::{Clock, Disk, DiskFile, DiskSpace, Env, OpenMode, Random};

/// Bytes that a disk writes as a whole.
pub const SECTOR_BYTES: u64 = 512;

/// Seeded numbers (splitmix64). For tests only: keys take their randomness elsewhere.
#[derive(Debug)]
pub struct SimRandom(Mutex<u64>);

impl SimRandom {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
    /// The next number.
    pub fn next(&self) -> u64 {
        step(&mut self.0.lock())
    }
    /// A number below `limit` (0 if that is 0).
    pub fn below(&self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }
}

fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random for SimRandom {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct SimClock {
    now: AtomicI64,
    monotonic: AtomicU64,
}

impl SimClock {
    /// Starts at a moment.
    #[must_use]
    pub const fn new(now: UnixMillis) -> Self {
        Self { now: AtomicI64::new(now.0), monotonic: AtomicU64::new(0) }
    }
    /// Lets time go by.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.monotonic.fetch_add(ms, Ordering::SeqCst);
        self.now.fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
    /// Sets the wall clock, back or forth; the monotonic one does not follow.
    pub fn set(&self, now: UnixMillis) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO on a write; some of its sectors may be written.
    Write,
    /// Half of a write, then EIO.
    ShortWrite,
    /// ENOSPC on a write; some of its sectors may be written.
    NoSpace,
    /// EIO on a sync; nothing is known of what is on the disk.
    Sync,
    /// EIO on a read.
    Read,
    /// The power goes at a write or sync; everything fails until [`SimDisk::restart`].
    Crash,
}

impl Fault {
    const fn hits(self, operation: Operation) -> bool {
        match self {
            Self::Write | Self::ShortWrite | Self::NoSpace => matches!(operation, Operation::Write),
            Self::Sync => matches!(operation, Operation::Sync),
            Self::Read => matches!(operation, Operation::Read),
            Self::Crash => matches!(operation, Operation::Write | Operation::Sync),
        }
    }
}

/// What becomes of one call, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// It answers with this error; a write leaves half of its bytes, a sync leaves nobody knows what.
    Error(io::ErrorKind),
    /// The power goes before it.
    Crash,
}

#[derive(Clone, Copy)]
enum Operation {
    Write,
    Sync,
    Read,
}

/// An unsynced change of a file.
enum Pending {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// An unsynced change of names.
enum NameChange {
    Put(PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
    lock: Option<u64>,
}

#[derive(Default)]
struct World {
    random: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    faults: Vec<(Fault, u64)>,
    space: Option<u64>,
    /// No file can be opened: EMFILE.
    out_of_files: bool,
    power: bool,
    generation: u64,
    next_handle: u64,
    writes: u64,
    syncs: u64,
    calls: u64,
    /// The call to strike, by its number.
    failing: Option<(u64, CallFailure)>,
    struck: Option<String>,
}

/// The disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

fn eio(what: &str) -> io::Error {
    io::Error::other(format!("simulated: {what}"))
}

fn at(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

fn write_into(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let start = at(offset)?;
    let end = start.saturating_add(bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file.get_mut(start..end).ok_or_else(|| eio("offset"))?.copy_from_slice(bytes);
    Ok(())
}

impl World {
    /// Counts a call, and gives the error that it is to answer with.
    fn call(&mut self, what: &'static str, path: impl FnOnce(&Self) -> PathBuf) -> io::Result<Option<io::Error>> {
        self.check_power()?;
        let number = self.calls;
        self.calls = number.saturating_add(1);
        let Some((_, failure)) = self.failing.filter(|(failing, _)| *failing == number) else { return Ok(None) };
        self.failing = None;
        self.struck = Some(format!("{what} {}", path(self).display()));
        match failure {
            CallFailure::Error(kind) => Ok(Some(io::Error::new(kind, format!("simulated: {what}")))),
            CallFailure::Crash => {
                self.power = false;
                Err(eio("no power"))
            }
        }
    }
    fn may_open(&self) -> io::Result<()> {
        if self.out_of_files { Err(rustix::io::Errno::MFILE.into()) } else { Ok(()) }
    }
    /// The same for calls that do nothing when they fail.
    fn whole_call(&mut self, what: &'static str, path: &Path) -> io::Result<()> {
        self.call(what, |_| path.to_owned())?.map_or(Ok(()), Err)
    }
    /// The same for calls on open files.
    fn file_call(&mut self, what: &'static str, inode: usize) -> io::Result<Option<io::Error>> {
        self.call(what, |world| {
            let named = world.names.iter().find(|(_, number)| **number == inode);
            named.map(|(path, _)| path.clone()).unwrap_or_default()
        })
    }
    /// A sync that failed: some of it is on the disk, and the rest will never be, though it still reads so.
    fn lose(&mut self, number: usize) -> io::Result<()> {
        for change in std::mem::take(&mut self.inode(number)?.pending) {
            self.settle_one(number, change)?;
        }
        Ok(())
    }
    fn settle_one(&mut self, number: usize, change: Pending) -> io::Result<()> {
        match change {
            Pending::Write { offset, bytes } => self.tear(number, offset, &bytes)?,
            Pending::Length(length) => {
                if self.coin() {
                    self.inode(number)?.durable.resize(at(length)?, 0);
                }
            }
        }
        Ok(())
    }
    /// Counts an operation; the fault that hits it, if one does.
    fn strike(&mut self, operation: Operation) -> Option<Fault> {
        let mut struck = None;
        for (fault, left) in &mut self.faults {
            if fault.hits(operation) && struck.is_none() {
                if *left == 0 {
                    struck = Some(*fault);
                    continue;
                }
                *left = left.saturating_sub(1);
            }
        }
        if let Some(fault) = struck {
            self.faults.retain(|(known, left)| *known != fault || *left != 0);
            if fault == Fault::Crash {
                self.power = false;
            }
        }
        struck
    }
    fn coin(&mut self) -> bool {
        step(&mut self.random) & 1 == 1
    }
    fn used(&self) -> u64 {
        self.names.values().filter_map(|inode| self.inodes.get(*inode)).map(|inode| inode.current.len() as u64).sum()
    }
    fn inode(&mut self, number: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(number).ok_or_else(|| eio("no inode"))
    }
    fn look_up(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("simulated: no file {}", path.display())))
    }
    fn check_power(&self) -> io::Result<()> {
        if self.power { Ok(()) } else { Err(eio("no power")) }
    }

    /// Some sectors of a write reach the disk, some do not.
    fn tear(&mut self, number: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut start = 0_u64;
        let len = bytes.len() as u64;
        while start < len {
            let place = offset.saturating_add(start);
            let end = (place / SECTOR_BYTES).saturating_add(1).saturating_mul(SECTOR_BYTES).min(offset + len);
            let piece = bytes.get(at(start)?..at(end.saturating_sub(offset))?).unwrap_or_default().to_vec();
            if self.coin() {
                write_into(&mut self.inode(number)?.durable, place, &piece)?;
            }
            start = end.saturating_sub(offset);
        }
        Ok(())
    }

    /// What is left after the power went.
    fn settle(&mut self) -> io::Result<()> {
        for number in 0..self.inodes.len() {
            self.lose(number)?;
            let inode = self.inode(number)?;
            inode.current = inode.durable.clone();
            inode.lock = None;
        }
        // Names are journalled: some first changes are there, in order.
        let changes = std::mem::take(&mut self.name_changes);
        let kept = at(step(&mut self.random) % (changes.len() as u64).saturating_add(1))?;
        for change in changes.into_iter().take(kept) {
            match change {
                NameChange::Put(path, inode) => self.durable_names.insert(path, inode),
                NameChange::Remove(path) => self.durable_names.remove(&path),
            };
        }
        self.names = self.durable_names.clone();
        Ok(())
    }
}

impl SimDisk {
    /// An empty disk whose chances come from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World { random: seed, power: true, ..World::default() })))
    }
    /// A disk of its own with the same files, all of them durable, whose chances come from the seed.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let world = self.0.lock();
        let settled = |inode: &Inode| Inode {
            durable: inode.current.clone(),
            current: inode.current.clone(),
            ..Inode::default()
        };
        let inodes = world.inodes.iter().map(settled).collect();
        let names = world.names.clone();
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(World {
            random: seed,
            power: true,
            inodes,
            names,
            durable_names,
            ..World::default()
        })))
    }
    /// Lets a fault hit the operation after `skip` others of its kind.
    pub fn inject(&self, fault: Fault, skip: u64) {
        self.0.lock().faults.push((fault, skip));
    }
    /// Strikes the one call after `skip` others, of whatever kind.
    pub fn fail_call(&self, skip: u64, failure: CallFailure) {
        let mut world = self.0.lock();
        world.failing = Some((world.calls.saturating_add(skip), failure));
        world.struck = None;
    }
    /// Which call [`SimDisk::fail_call`] struck, once it has.
    #[must_use]
    pub fn struck(&self) -> Option<String> {
        self.0.lock().struck.clone()
    }
    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }
    /// Takes all faults back that have not hit.
    pub fn heal(&self) {
        let mut world = self.0.lock();
        world.faults.clear();
        world.failing = None;
    }
    /// Limits the bytes of all files.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.0.lock().space = bytes;
    }
    /// While it is so, no file and no folder can be opened: the process has as many as it may.
    pub fn set_out_of_files(&self, out: bool) {
        self.0.lock().out_of_files = out;
    }
    /// The power goes now.
    pub fn crash(&self) {
        self.0.lock().power = false;
    }
    /// Whether the power went.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        !self.0.lock().power
    }
    /// The power comes back: unsynced writes are there or not, open files are gone, faults are forgotten.
    pub fn restart(&self) {
        let mut world = self.0.lock();
        // Cannot fail: offsets of a simulated disk fit memory.
        let _ = world.settle();
        world.power = true;
        world.faults.clear();
        world.failing = None;
        world.generation = world.generation.saturating_add(1);
    }
    /// Writes and syncs of file contents so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let world = self.0.lock();
        (world.writes, world.syncs)
    }
    /// All files with their contents, for tests that look at the disk.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let world = self.0.lock();
        let contents = |inode: &usize| world.inodes.get(*inode).map(|inode| inode.current.clone()).unwrap_or_default();
        world.names.iter().map(|(path, inode)| (path.clone(), contents(inode))).collect()
    }
    /// Flips bits of a byte on the disk.
    pub fn flip(&self, path: &Path, offset: u64, bits: u8) -> io::Result<()> {
        let mut world = self.0.lock();
        let number = world.look_up(path)?;
        let inode = world.inode(number)?;
        for copy in [&mut inode.current, &mut inode.durable] {
            if let Some(byte) = copy.get_mut(at(offset)?) {
                *byte ^= bits;
            }
        }
        Ok(())
    }
    /// A world with this disk and the clock; randomness from the seed.
    #[must_use]
    pub fn env(&self, clock: &Arc<SimClock>, seed: u64) -> Env {
        let clock: Arc<dyn Clock> = clock.clone();
        Env { disk: Arc::new(self.clone()), clock, random: Arc::new(SimRandom::new(seed)) }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock();
        world.whole_call("open", path)?;
        world.may_open()?;
        let number = match (world.look_up(path), mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (Ok(number), _) => number,
            (Err(_), OpenMode::CreateNew) => {
                let number = world.inodes.len();
                world.inodes.push(Inode::default());
                world.names.insert(path.to_owned(), number);
                world.name_changes.push(NameChange::Put(path.to_owned(), number));
                number
            }
            (Err(error), _) => return Err(error),
        };
        world.next_handle = world.next_handle.saturating_add(1);
        Ok(Arc::new(SimFile {
            world: Arc::clone(&self.0),
            inode: number,
            generation: world.generation,
            handle: world.next_handle,
        }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut world = self.0.lock();
        world.whole_call("list", dir)?;
        let names = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.lock().whole_call("create folder", dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.whole_call("remove", path)?;
        world.look_up(path)?;
        world.names.remove(path);
        world.name_changes.push(NameChange::Remove(path.to_owned()));
        Ok(())
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let inside: Vec<PathBuf> = self.0.lock().names.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        inside.iter().try_for_each(|path| self.remove(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.whole_call("rename", from)?;
        let number = world.look_up(from)?;
        world.names.remove(from);
        world.names.insert(to.to_owned(), number);
        // One change of the journal: after a crash the new name is there, or the old one.
        world.name_changes.push(NameChange::Put(to.to_owned(), number));
        world.name_changes.push(NameChange::Remove(from.to_owned()));
        Ok(())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.whole_call("sync folder", dir)?;
        world.may_open()?;
        if let Some(fault) = world.strike(Operation::Sync) {
            return Err(eio(if fault == Fault::Crash { "no power" } else { "sync" }));
        }
        let changes = std::mem::take(&mut world.name_changes);
        for change in changes {
            match change {
                NameChange::Put(path, inode) if path.parent() == Some(dir) => {
                    world.durable_names.insert(path, inode);
                }
                NameChange::Remove(path) if path.parent() == Some(dir) => {
                    world.durable_names.remove(&path);
                }
                other => world.name_changes.push(other),
            }
        }
        Ok(())
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.lock().names.contains_key(path)
    }
    fn is_in_order(&self) -> bool {
        true
    }
    fn space(&self, _path: &Path) -> io::Result<DiskSpace> {
        let world = self.0.lock();
        let total_bytes = world.space.unwrap_or(u64::MAX);
        Ok(DiskSpace { total_bytes, available_bytes: total_bytes.saturating_sub(world.used()) })
    }
}

struct SimFile {
    world: Arc<Mutex<World>>,
    inode: usize,
    generation: u64,
    handle: u64,
}

impl SimFile {
    fn check(&self, world: &World) -> io::Result<()> {
        world.check_power()?;
        if world.generation == self.generation { Ok(()) } else { Err(eio("a file of an earlier life")) }
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut world = self.world.lock();
        self.check(&world)?;
        if let Some(error) = world.file_call("read", self.inode)? {
            return Err(error);
        }
        if world.strike(Operation::Read).is_some() {
            return Err(eio("read"));
        }
        let start = at(offset)?;
        let inode = world.inode(self.inode)?;
        let bytes = inode.current.get(start..start.saturating_add(buf.len()));
        buf.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut bytes: Vec<u8> = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        let mut world = self.world.lock();
        self.check(&world)?;
        world.writes = world.writes.saturating_add(1);
        let failed = world.file_call("write", self.inode)?;
        let mut struck = world.strike(Operation::Write);
        let grown = offset.saturating_add(bytes.len() as u64);
        let length = world.inode(self.inode)?.current.len() as u64;
        let needed = world.used().saturating_add(grown.saturating_sub(length));
        if struck.is_none() && world.space.is_some_and(|space| needed > space) {
            struck = Some(Fault::NoSpace);
        }
        if failed.is_some() || struck.is_some_and(|fault| fault != Fault::Crash) {
            bytes.truncate(bytes.len() / 2);
        }
        let inode = world.inode(self.inode)?;
        write_into(&mut inode.current, offset, &bytes)?;
        inode.pending.push(Pending::Write { offset, bytes });
        if let Some(error) = failed {
            return Err(error);
        }
        match struck {
            None => Ok(()),
            Some(Fault::NoSpace) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(Fault::Crash) => Err(eio("no power")),
            Some(_) => Err(eio("write")),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        self.check(&world)?;
        world.syncs = world.syncs.saturating_add(1);
        if let Some(error) = world.file_call("sync", self.inode)? {
            world.lose(self.inode)?;
            return Err(error);
        }
        match world.strike(Operation::Sync) {
            None => {}
            Some(Fault::Crash) => return Err(eio("no power")),
            Some(_) => {
                world.lose(self.inode)?;
                return Err(eio("sync"));
            }
        }
        let inode = world.inode(self.inode)?;
        for change in std::mem::take(&mut inode.pending) {
            match change {
                Pending::Write { offset, bytes } => write_into(&mut inode.durable, offset, &bytes)?,
                Pending::Length(length) => inode.durable.resize(at(length)?, 0),
            }
        }
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        let mut world = self.world.lock();
        self.check(&world)?;
        world.file_call("length", self.inode)?.map_or(Ok(()), Err)?;
        Ok(world.inode(self.inode)?.current.len() as u64)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.world.lock();
        self.check(&world)?;
        world.file_call("cut", self.inode)?.map_or(Ok(()), Err)?;
        let inode = world.inode(self.inode)?;
        inode.current.resize(at(len)?, 0);
        inode.pending.push(Pending::Length(len));
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        let mut world = self.world.lock();
        self.check(&world)?;
        world.file_call("lock", self.inode)?.map_or(Ok(()), Err)?;
        let handle = self.handle;
        let inode = world.inode(self.inode)?;
        let free = inode.lock.is_none_or(|holder| holder == handle);
        if free {
            inode.lock = Some(handle);
        }
        Ok(free)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        let (handle, generation) = (self.handle, self.generation);
        if world.generation == generation
            && let Ok(inode) = world.inode(self.inode)
            && inode.lock == Some(handle)
        {
            inode.lock = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn synced_bytes_stay_and_others_tear_by_sectors() {
        let (mut lost, mut kept) = (false, false);
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            let path = Path::new("/d/f");
            let file = disk.open(path, OpenMode::CreateNew).unwrap();
            file.write_all_at(&[IoSlice::new(&[1; 1000])], 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(&[IoSlice::new(&[2; 2048])], 1000).unwrap();
            disk.crash();
            assert!(file.len().is_err());
            disk.restart();
            let bytes = disk.read(path).unwrap();
            assert_eq!(bytes.get(..1000), Some([1; 1000].as_slice()));
            let torn = bytes.get(1000..).unwrap();
            lost |= torn.len() < 2048 || torn.contains(&0);
            kept |= torn.contains(&2);
            // A sector is there or not.
            assert!(torn.get(24..536).is_none_or(|sector| sector.iter().all(|b| *b == 0 || *b == 2)));
        }
        assert!(lost && kept);
    }

    #[test]
    fn names_need_their_folder_synced() {
        let mut lost = false;
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
            file.sync_data().unwrap();
            disk.crash();
            disk.restart();
            lost |= !disk.exists(Path::new("/d/f"));
            disk.replace(Path::new("/d/g"), b"x").unwrap();
            disk.crash();
            disk.restart();
            assert_eq!(disk.read(Path::new("/d/g")).unwrap(), b"x");
        }
        assert!(lost);
    }

    #[test]
    fn what_a_failed_sync_lost_no_later_sync_brings_back() {
        let mut lost = false;
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            let path = Path::new("/f");
            let file = disk.open(path, OpenMode::CreateNew).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            file.write_all_at(&[IoSlice::new(&[7; 2048])], 0).unwrap();
            disk.fail_call(0, CallFailure::Error(io::ErrorKind::Other));
            assert!(file.sync_data().is_err());
            assert_eq!(disk.struck().as_deref(), Some("sync /f"));
            file.sync_data().unwrap();
            assert_eq!(disk.read(path).unwrap(), [7; 2048]);
            disk.crash();
            disk.restart();
            lost |= disk.read(path).unwrap() != [7; 2048];
        }
        assert!(lost);
    }

    #[test]
    fn one_call_fails_or_is_never_made() {
        let disk = SimDisk::new(1);
        let path = Path::new("/f");
        let before = disk.calls();
        disk.fail_call(1, CallFailure::Error(io::ErrorKind::StorageFull));
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        let error = file.write_all_at(&[IoSlice::new(&[7; 10])], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.len().unwrap(), 5);
        assert_eq!(disk.calls() - before, 3);
        disk.fail_call(0, CallFailure::Crash);
        assert!(disk.remove(path).is_err());
        assert!(disk.has_crashed());
        assert!(disk.exists(path));
    }

    #[test]
    fn faults_hit_the_operation_they_are_set_for() {
        let disk = SimDisk::new(1);
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        disk.inject(Fault::Write, 1);
        disk.inject(Fault::Sync, 0);
        assert!(file.write_all_at(&[IoSlice::new(b"a")], 0).is_ok());
        assert!(file.write_all_at(&[IoSlice::new(b"b")], 1).is_err());
        assert!(file.write_all_at(&[IoSlice::new(b"c")], 2).is_ok());
        assert!(file.sync_data().is_err());
        assert!(file.sync_data().is_ok());
        disk.set_space(Some(4));
        let full = file.write_all_at(&[IoSlice::new(b"too much")], 0).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let other = disk.open(Path::new("/f"), OpenMode::Read).unwrap();
        assert!(file.try_lock().unwrap());
        assert!(!other.try_lock().unwrap());
        drop(file);
        assert!(other.try_lock().unwrap());
    }
}
