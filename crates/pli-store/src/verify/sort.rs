//! Sorting more than fits in memory: records of fixed length, in runs on disk that are merged as they are read.
//!
//! What `verify` compares (the last value of each row, who uses which body) is as large as the index. In memory is one
//! run at a time, and of each run on disk one block.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pli_io::{Disk, DiskFile, OpenMode};

/// Records of a block that is read of a run.
const BLOCK_RECORDS: usize = 512;

/// A folder for runs. It goes with this value; what a crash left goes when the next one is made.
pub(crate) struct Scratch {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Bytes of a run in memory before it goes to disk.
    pub(crate) run_bytes: usize,
    files: Mutex<u32>,
}

impl Scratch {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, run_bytes: usize) -> io::Result<Self> {
        if disk.exists(&dir) {
            disk.remove_dir_all(&dir)?;
        }
        Ok(Self { disk, dir, run_bytes, files: Mutex::new(0) })
    }
    fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if *files == 0 {
            self.disk.create_dir_all(&self.dir)?;
        }
        *files = files.saturating_add(1);
        self.disk.open(&self.dir.join(format!("{:06}.run", *files)), OpenMode::CreateNew)
    }
    /// How many runs went to disk.
    pub(crate) fn runs(&self) -> u32 {
        *self.files.lock()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.runs() > 0
            && let Err(error) = self.disk.remove_dir_all(&self.dir)
        {
            tracing::warn!(%error, "the scratch files of a verification could not be removed");
        }
    }
}

/// Whether a record need not be kept, since the one after it (in order) makes it superfluous.
pub(crate) type Redundant<'a, const N: usize> = &'a dyn Fn(&[u8; N], &[u8; N]) -> bool;

/// Takes records in any order.
pub(crate) struct Sorter<'a, const N: usize> {
    scratch: &'a Scratch,
    records_max: usize,
    buffer: Vec<[u8; N]>,
    runs: Vec<Run<N>>,
}

impl<'a, const N: usize> Sorter<'a, N> {
    pub(crate) fn new(scratch: &'a Scratch) -> Self {
        let records_max = (scratch.run_bytes / N.max(1)).max(BLOCK_RECORDS);
        Self { scratch, records_max, buffer: Vec::new(), runs: Vec::new() }
    }
    pub(crate) fn push(&mut self, record: [u8; N], redundant: Redundant<'_, N>) -> io::Result<()> {
        self.buffer.push(record);
        if self.buffer.len() < self.records_max {
            return Ok(());
        }
        self.order(redundant);
        // What thins out well stays in memory.
        if self.buffer.len() > self.records_max / 2 { self.spill() } else { Ok(()) }
    }
    fn order(&mut self, redundant: Redundant<'_, N>) {
        self.buffer.sort_unstable();
        let mut next: Option<[u8; N]> = None;
        let mut kept: Vec<[u8; N]> = Vec::with_capacity(self.buffer.len());
        for record in self.buffer.iter().rev() {
            if next.is_none_or(|next| !redundant(record, &next)) {
                kept.push(*record);
                next = Some(*record);
            }
        }
        kept.reverse();
        self.buffer = kept;
    }
    fn spill(&mut self) -> io::Result<()> {
        let file = self.scratch.file()?;
        let mut at = 0_u64;
        for block in self.buffer.chunks(BLOCK_RECORDS.saturating_mul(16)) {
            let bytes = block.as_flattened();
            file.write_all_at(&[IoSlice::new(bytes)], at)?;
            at = at.saturating_add(bytes.len() as u64);
        }
        self.runs.push(Run { file: Some(file), left: self.buffer.len() as u64, at: 0, block: Vec::new().into_iter() });
        self.buffer.clear();
        Ok(())
    }
    /// All records in order.
    pub(crate) fn finish(mut self, redundant: Redundant<'_, N>) -> io::Result<Merged<N>> {
        self.order(redundant);
        let last = std::mem::take(&mut self.buffer);
        self.runs.push(Run { file: None, left: 0, at: 0, block: last.into_iter() });
        let mut merged = Merged { runs: self.runs, heads: BinaryHeap::new(), peeked: None };
        for number in 0..merged.runs.len() {
            merged.pull(number)?;
        }
        Ok(merged)
    }
}

/// One sorted run, in memory or on disk.
struct Run<const N: usize> {
    file: Option<Arc<dyn DiskFile>>,
    left: u64,
    at: u64,
    block: std::vec::IntoIter<[u8; N]>,
}

impl<const N: usize> Run<N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if let Some(record) = self.block.next() {
            return Ok(Some(record));
        }
        let Some(file) = self.file.as_ref().filter(|_| self.left > 0) else { return Ok(None) };
        let count = self.left.min(BLOCK_RECORDS as u64);
        let mut block = vec![[0; N]; usize::try_from(count).unwrap_or(BLOCK_RECORDS)];
        let bytes = block.as_flattened_mut();
        file.read_exact_at(bytes, self.at)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        self.left = self.left.saturating_sub(count);
        self.block = block.into_iter();
        Ok(self.block.next())
    }
}

/// Records in order.
pub(crate) struct Merged<const N: usize> {
    runs: Vec<Run<N>>,
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
    peeked: Option<[u8; N]>,
}

impl<const N: usize> Merged<N> {
    fn pull(&mut self, number: usize) -> io::Result<()> {
        if let Some(run) = self.runs.get_mut(number)
            && let Some(record) = run.next()?
        {
            self.heads.push(Reverse((record, number)));
        }
        Ok(())
    }
    pub(crate) fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if let Some(record) = self.peeked.take() {
            return Ok(Some(record));
        }
        let Some(Reverse((record, number))) = self.heads.pop() else { return Ok(None) };
        self.pull(number)?;
        Ok(Some(record))
    }
    /// The next record while `wanted` says so.
    pub(crate) fn next_if(&mut self, wanted: impl FnOnce(&[u8; N]) -> bool) -> io::Result<Option<[u8; N]>> {
        let Some(record) = self.next()? else { return Ok(None) };
        if wanted(&record) {
            return Ok(Some(record));
        }
        self.peeked = Some(record);
        Ok(None)
    }
}

/// Nothing is redundant.
pub(crate) fn keep_all<const N: usize>(_: &[u8; N], _: &[u8; N]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn all<const N: usize>(mut merged: Merged<N>) -> Vec<[u8; N]> {
        std::iter::from_fn(|| merged.next().unwrap()).collect()
    }

    #[test]
    fn many_runs_come_out_in_order_and_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scratch");
        // What an earlier one left.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("000001.run"), b"old").unwrap();
        {
            let scratch = Scratch::new(Arc::new(pli_io::RealDisk), path.clone(), 8 * BLOCK_RECORDS).unwrap();
            let mut sorter: Sorter<'_, 8> = Sorter::new(&scratch);
            let mut seed = 1_u64;
            let mut expected = Vec::new();
            for _ in 0..10_000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let record = (seed >> 40).to_be_bytes();
                sorter.push(record, &keep_all).unwrap();
                expected.push(record);
            }
            expected.sort_unstable();
            let merged = sorter.finish(&keep_all).unwrap();
            assert!(scratch.runs() > 10);
            assert_eq!(all(merged), expected);
        }
        assert!(!path.exists());
    }

    #[test]
    fn what_is_superseded_goes_within_a_run_at_least() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(Arc::new(pli_io::RealDisk), dir.path().join("s"), 2 * BLOCK_RECORDS).unwrap();
        let mut sorter: Sorter<'_, 2> = Sorter::new(&scratch);
        let same = |a: &[u8; 2], b: &[u8; 2]| a[0] == b[0];
        for round in 0..200_u8 {
            for key in 0..10_u8 {
                sorter.push([key, round], &same).unwrap();
            }
        }
        let merged = sorter.finish(&same).unwrap();
        assert_eq!(scratch.runs(), 0, "ten records went to disk");
        assert_eq!(all(merged), (0..10_u8).map(|key| [key, 199]).collect::<Vec<_>>());
    }
}
