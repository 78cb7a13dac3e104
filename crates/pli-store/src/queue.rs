//! The committer's queue: operations that wait, events that ride along.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pli_audit::Event;
use pli_crypto::KeyWrap;
use pli_types::{AccountId, EmailId};
use tokio::sync::{Semaphore, oneshot};

use crate::error::StoreError;
use crate::limits::{
    GROUP_OPERATIONS_MAX, NOTES_MAX, QUEUED_OPERATIONS_MAX, REWRAPS_AT_ONCE, REWRAPS_MAX, TRACES_WAITING_MAX,
};
use crate::model_queue::TraceEvent;
use crate::permit::{Committed, Durable};
use crate::txn::Txn;

/// Answers the caller once the group is on disk, or is not.
pub(crate) type Reply = Box<dyn FnOnce(Result<Durable, StoreError>) + Send>;

/// An operation within its transaction.
type Run = dyn FnOnce(&mut Txn<'_>) -> Option<Reply> + Send;

/// One operation.
pub(crate) struct Job {
    /// Runs it; `None` when it failed and has been answered.
    pub(crate) run: Box<Run>,
    /// Answers it without running it.
    pub(crate) refuse: Box<dyn FnOnce(StoreError) + Send>,
}

/// What a caller waits for.
pub(crate) type Answer<T> = oneshot::Receiver<Result<Committed<T>, StoreError>>;

impl Job {
    /// Wraps an operation.
    pub(crate) fn new<T: Send + 'static>(
        operation: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> (Self, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        // Whichever of the two closures is called takes the sender. A caller that has gone needs no answer.
        let slot = std::sync::Arc::new(Mutex::new(Some(sender)));
        let taken = std::sync::Arc::clone(&slot);
        let run = Box::new(move |txn: &mut Txn<'_>| -> Option<Reply> {
            let sender = slot.lock().take()?;
            match operation(txn) {
                Ok(value) => Some(Box::new(move |result: Result<Durable, StoreError>| {
                    let _ = sender.send(result.map(|durable| Committed { value, durable }));
                })),
                Err(error) => {
                    let _ = sender.send(Err(error));
                    None
                }
            }
        });
        let refuse = Box::new(move |error| {
            if let Some(sender) = taken.lock().take() {
                let _ = sender.send(Err(error));
            }
        });
        (Self { run, refuse }, receiver)
    }
}

/// Wraps of message keys that replace their seals at some time.
pub(crate) type Rewraps = HashMap<(AccountId, EmailId), KeyWrap>;

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    notes: Vec<Event>,
    traces: Vec<TraceEvent>,
    rewraps: Rewraps,
    held: bool,
    closing: bool,
    /// The committer has something of its own to do.
    nudged: bool,
    /// Places that were given back although their operations came back: owed by the next ones that are taken.
    owed: usize,
}

/// What the committer takes for one group.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) jobs: Vec<Job>,
    pub(crate) notes: Vec<Event>,
    pub(crate) traces: Vec<TraceEvent>,
    pub(crate) rewraps: Rewraps,
    /// The store closes after this.
    pub(crate) closing: bool,
}

/// The queue.
pub(crate) struct CommitQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    room: Semaphore,
}

impl CommitQueue {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting::default()),
            wake: Condvar::new(),
            room: Semaphore::new(QUEUED_OPERATIONS_MAX),
        }
    }

    /// Waits for room, queues the operation, waits for its answer.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Committed<T>, StoreError> {
        let closed = || StoreError::Stopped(String::from("the store is closed"));
        let (job, answer) = Job::new(operation);
        // Given back by the committer when it takes the operation, whether the caller still waits or not.
        self.room.acquire().await.map_err(|_| closed())?.forget();
        {
            let mut waiting = self.waiting.lock();
            if waiting.closing {
                self.room.add_permits(1);
                return Err(closed());
            }
            waiting.jobs.push_back(job);
            if !waiting.held {
                self.wake.notify_one();
            }
        }
        answer.await.map_err(|_| closed())?
    }

    /// Puts an event into the next group; false when there is no room.
    pub(crate) fn note(&self, event: Event) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closing || waiting.notes.len() >= NOTES_MAX {
            return false;
        }
        waiting.notes.push(event);
        true
    }

    /// Puts an event of the trace into the next group. When there are too many it is lost: a flood of refusals must not
    /// take the memory of those who deliver.
    pub(crate) fn trace(&self, event: TraceEvent) {
        let mut waiting = self.waiting.lock();
        if !waiting.closing && waiting.traces.len() < TRACES_WAITING_MAX {
            waiting.traces.push(event);
        }
    }

    /// Lets a wrap replace its seal some time soon. Losing it costs a curve operation at the next read, no more.
    pub(crate) fn rewrap(&self, account: AccountId, email: EmailId, wrap: KeyWrap) {
        let mut waiting = self.waiting.lock();
        if waiting.rewraps.len() < REWRAPS_MAX {
            waiting.rewraps.insert((account, email), wrap);
            if waiting.rewraps.len() >= REWRAPS_AT_ONCE {
                self.wake.notify_one();
            }
        }
    }
    /// The wrap that waits for a message, if there is one.
    pub(crate) fn pending_wrap(&self, account: AccountId, email: EmailId) -> Option<KeyWrap> {
        self.waiting.lock().rewraps.get(&(account, email)).copied()
    }

    /// Takes what has queued up; waits for `idle` at most if there is nothing.
    pub(crate) fn take(&self, idle: Duration) -> Taken {
        let mut waiting = self.waiting.lock();
        let ready = |w: &Waiting| {
            w.closing || w.nudged || (!w.held && !w.jobs.is_empty()) || w.rewraps.len() >= REWRAPS_AT_ONCE
        };
        if !ready(&waiting) {
            self.wake.wait_while_for(&mut waiting, |w| !ready(w), idle);
        }
        waiting.nudged = false;
        let count = if waiting.held && !waiting.closing { 0 } else { waiting.jobs.len().min(GROUP_OPERATIONS_MAX) };
        let jobs: Vec<Job> = waiting.jobs.drain(..count).collect();
        let owed = waiting.owed.min(jobs.len());
        waiting.owed = waiting.owed.saturating_sub(owed);
        self.room.add_permits(jobs.len().saturating_sub(owed));
        Taken {
            closing: waiting.closing && waiting.jobs.is_empty(),
            notes: std::mem::take(&mut waiting.notes),
            traces: std::mem::take(&mut waiting.traces),
            // Not in the way of operations that somebody waits for, unless there are many.
            rewraps: if jobs.is_empty() || waiting.rewraps.len() >= REWRAPS_AT_ONCE || waiting.closing {
                std::mem::take(&mut waiting.rewraps)
            } else {
                Rewraps::new()
            },
            jobs,
        }
    }
    /// Puts back what the group could not take.
    pub(crate) fn put_back(&self, jobs: Vec<Job>) {
        let mut waiting = self.waiting.lock();
        let forgotten = self.room.forget_permits(jobs.len());
        waiting.owed = waiting.owed.saturating_add(jobs.len().saturating_sub(forgotten));
        for job in jobs.into_iter().rev() {
            waiting.jobs.push_front(job);
        }
    }

    /// Wakes the committer although no operation waits.
    pub(crate) fn nudge(&self) {
        self.waiting.lock().nudged = true;
        self.wake.notify_one();
    }
    /// Whether it has been told to close.
    pub(crate) fn is_closing(&self) -> bool {
        self.waiting.lock().closing
    }
    /// No more operations; those queued are still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closing = true;
        self.wake.notify_all();
    }
    /// Holds the committer back, so that a test decides what makes a group.
    pub(crate) fn hold(&self, held: bool) {
        self.waiting.lock().held = held;
        self.wake.notify_all();
    }
    /// Operations that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().jobs.len()
    }
    /// Refuses everything that is left.
    pub(crate) fn refuse_all(&self, error: impl Fn() -> StoreError) {
        let jobs = {
            let mut waiting = self.waiting.lock();
            waiting.closing = true;
            std::mem::take(&mut waiting.jobs)
        };
        jobs.into_iter().for_each(|job| (job.refuse)(error()));
        self.room.close();
    }
}
