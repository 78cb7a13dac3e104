//! Zeros written ahead of the log's end. A write into bytes that the file has already changes nothing in the file system's
//! own records, so that the fdatasync of a group writes the group and no journal: about half the time of one that makes a
//! file longer.
//!
//! Whatever a crash leaves of the zeros belongs to no frame, and is cut off at the next start like any torn tail.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use pli_io::{Disk, OpenMode};

/// Bytes of zeros at a time, at first and at least: a small store has no more standing idle.
const STEP_MIN: u64 = 256 << 10;
/// A step doubles up to this as long as groups come faster than zeros.
const STEP_MAX: u64 = 4 << 20;
/// Behind a larger group its own bytes take longer than the journal: no zeros for those.
const GROUP_MAX: u64 = 512 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Zeros on their way.
struct Running {
    until: u64,
    thread: JoinHandle<io::Result<()>>,
}

/// What is written ahead in the current segment.
pub(crate) struct Ahead {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The file has bytes up to here; beyond, only `running` writes.
    end: u64,
    /// Not beyond this: the segment is to end about there.
    limit: u64,
    step: u64,
    running: Option<Running>,
}

impl Ahead {
    /// Of a new segment.
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf, end: u64, limit: u64) -> Self {
        // A sixty-fourth of the segment: short ones are made in tests only.
        let step = (limit / 64).clamp(512, STEP_MIN);
        Self { disk, path, end, limit, step, running: None }
    }

    /// The caller writes up to `until` now: from here on nobody else does.
    pub(crate) fn before(&mut self, until: u64) {
        if until <= self.end {
            return;
        }
        self.settle();
        if until > self.end {
            self.end = until;
            self.step = self.step.saturating_mul(2).min(STEP_MAX);
        }
    }

    /// The caller wrote up to `at`, so many bytes in one group.
    pub(crate) fn after(&mut self, at: u64, group: u64) {
        if self.running.as_ref().is_some_and(|running| running.thread.is_finished()) {
            self.settle();
        }
        let low = self.end.saturating_sub(at) < self.step / 2;
        if !low || self.running.is_some() || self.end >= self.limit || group > GROUP_MAX {
            return;
        }
        let (from, until) = (self.end, self.end.saturating_add(self.step));
        let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
        let work = move || zero(&*disk, &path, from, until);
        if self.disk.is_in_order() {
            return self.settled(until, work());
        }
        // Without a thread there are no zeros, and all goes on as well.
        if let Ok(thread) = std::thread::Builder::new().name(String::from("log-ahead")).spawn(work) {
            self.running = Some(Running { until, thread });
        }
    }

    /// Nothing is written ahead any more; returns where the file's bytes end.
    pub(crate) fn stop(&mut self) -> u64 {
        self.settle();
        self.limit = 0;
        self.end
    }

    fn settle(&mut self) {
        if let Some(Running { until, thread }) = self.running.take() {
            let outcome = thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            self.settled(until, outcome);
        }
    }

    /// A failure is no failure of the log: what counts is written, and synced, by others. Nor can it hide one: the zeros
    /// have a file description of their own, and errors of writing back are told to each.
    fn settled(&mut self, until: u64, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.end = until,
            Err(error) => {
                tracing::debug!(%error, "nothing is written ahead in this segment");
                self.limit = 0;
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.settle();
    }
}

fn zero(disk: &dyn Disk, path: &std::path::Path, from: u64, until: u64) -> io::Result<()> {
    let file = disk.open(path, OpenMode::ReadWrite)?;
    let write = || {
        let mut at = from;
        while at < until {
            // In pieces: a group that is written meanwhile waits for one of them at most.
            let piece = ZEROS.get(..usize::try_from(until.saturating_sub(at)).unwrap_or(ZEROS.len())).unwrap_or(&ZEROS);
            file.write_all_at(&[IoSlice::new(piece)], at)?;
            at = at.saturating_add(piece.len() as u64);
        }
        file.sync_data()
    };
    write().inspect_err(|_| {
        // The room is wanted for mail.
        let _ = file.set_len(from);
    })
}
