//! How far a verification is, how fast it may go, and whether it is to go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pli_io::Clock;

use crate::error::StoreError;
use crate::model::{VerifyOptions, VerifyProgress, VerifyStep};

/// Sleeps are cut into pieces of this length, so that breaking off is not waited for.
const NAP: Duration = Duration::from_millis(100);
/// Progress is told so often at most.
const TELL: Duration = Duration::from_millis(200);

/// Who is told how far it is.
pub(crate) type Told<'a> = &'a mut dyn FnMut(&VerifyProgress);

/// Counts bytes read.
pub(crate) struct Meter<'a> {
    clock: Arc<dyn Clock>,
    began: Duration,
    told_at: Duration,
    rate: Option<u64>,
    cancel: Arc<AtomicBool>,
    tell: Told<'a>,
    step: VerifyStep,
    /// Bytes read in all.
    spent: u64,
    /// Work done and to do; what a step is short of its share is made up at its end.
    done: u64,
    step_end: u64,
    total: u64,
    /// What was found so far.
    pub(crate) damage: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: &VerifyOptions, tell: Told<'a>) -> Self {
        let began = clock.monotonic();
        Self {
            clock,
            began,
            told_at: began,
            rate: options.bytes_per_second.filter(|rate| *rate > 0),
            cancel: Arc::clone(&options.cancel),
            tell,
            step: VerifyStep::Log,
            spent: 0,
            done: 0,
            step_end: 0,
            total: 0,
            damage: 0,
        }
    }
    /// What all steps together come to.
    pub(crate) const fn expect(&mut self, total: u64) {
        self.total = total;
    }
    /// Begins a step of so many bytes.
    pub(crate) fn step(&mut self, step: VerifyStep, bytes: u64) {
        self.step = step;
        self.done = self.step_end;
        self.step_end = self.step_end.saturating_add(bytes);
        self.total = self.total.max(self.step_end);
        self.tell_now(self.clock.monotonic());
    }
    /// So many bytes more were read. Waits where that was too fast.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.spent = self.spent.saturating_add(bytes);
        self.done = self.done.saturating_add(bytes).min(self.step_end);
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(StoreError::Impossible("the verification was broken off"));
            }
            let now = self.clock.monotonic();
            if now.saturating_sub(self.told_at) >= TELL {
                self.tell_now(now);
            }
            let due = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(self.spent as f64 / rate as f64));
            let ahead = due.saturating_sub(now.saturating_sub(self.began));
            if ahead < Duration::from_millis(5) {
                return Ok(());
            }
            std::thread::sleep(ahead.min(NAP));
        }
    }
    /// All is done.
    pub(crate) fn end(&mut self) {
        self.done = self.total;
        self.tell_now(self.clock.monotonic());
    }
    fn tell_now(&mut self, now: Duration) {
        self.told_at = now;
        let elapsed = now.saturating_sub(self.began);
        let left = self.total.saturating_sub(self.done);
        // In the first second and at the first bytes there is nothing to judge by.
        let eta = (self.done > 0 && elapsed.as_millis() > 500)
            .then(|| elapsed.as_secs_f64() * left as f64 / self.done as f64)
            .map(|seconds| seconds.ceil() as u64);
        (self.tell)(&VerifyProgress {
            step: self.step,
            done: self.done,
            total: self.total,
            elapsed_s: elapsed.as_secs(),
            eta_s: eta,
            damage: self.damage,
        });
    }
}
