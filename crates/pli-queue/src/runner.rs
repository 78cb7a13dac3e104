//! Takes due rows, delivers them, commits the outcomes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_gate::{Gate, Refusal, Target};
use pli_io::{Clock, Random, Resolver};
use pli_net::{ClientTls, Shutdown};
use pli_store::{Delivery, LocalRecipient, QueueChange, QueueOutcome, QueueRow, RemoteRecipient, StoreError};
use pli_types::{Action, Address, ByteCount, FlagSet, QueueId, SessionId, SessionInfo};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::bounce::Bounce;
use crate::deliver::Route;
use crate::outcome::{Outcome, Reason};
use crate::transaction::Envelope;
use crate::{QueueConfig, next_attempt};

/// Rows looked at in one turn.
const ROWS_MAX: usize = 10_000;
/// The longest sleep: a clock that was set back must not stop the queue.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The pause after an error of the store.
const STORE_ERROR_PAUSE: Duration = Duration::from_secs(5);

/// The queue's own task.
pub struct QueueRunner {
    config: QueueConfig,
    hostname: String,
    gate: Arc<Gate>,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    tls: Option<ClientTls>,
    session: Arc<SessionInfo>,
    connections: Arc<Semaphore>,
    state: Mutex<State>,
    /// Wakes the loop when an attempt has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Rows in an attempt now.
    busy: HashSet<QueueId>,
    /// Attempts now, by destination.
    destinations: HashMap<String, usize>,
}

/// Rows of one body and one destination: one transaction.
struct Job {
    domain: String,
    rows: Vec<QueueRow>,
}

/// An attempt's hold on its rows, its destination and its slot; they are given back however the attempt ends. A panic
/// on a peer's bytes must not keep rows out of the queue until the next start.
struct Busy {
    runner: Arc<QueueRunner>,
    job: Job,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.runner.end(&self.job);
        self.runner.ended.notify_one();
    }
}

impl QueueRunner {
    /// Builds the runner; nothing happens before [`QueueRunner::run`].
    pub fn new(
        config: QueueConfig,
        hostname: String,
        gate: Arc<Gate>,
        resolver: Arc<dyn Resolver>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Arc<Self> {
        // Without a working TLS provider mail still goes out, in the clear as RFC 3207 allows.
        let tls = if config.starttls { ClientTls::opportunistic().ok() } else { None };
        let session = Arc::new(SessionInfo {
            protocol: pli_types::Protocol::Queue,
            ..SessionInfo::system(SessionId(random.next_u64()))
        });
        Arc::new(Self {
            connections: Arc::new(Semaphore::new(config.connections_max.max(1))),
            config,
            hostname,
            gate,
            resolver,
            clock,
            random,
            tls,
            session,
            state: Mutex::new(State::default()),
            ended: Notify::new(),
        })
    }

    /// Works until shutdown. Attempts in flight then are tracked by `shutdown`; one that does not end in time is an
    /// attempt whose outcome is not known, and is made again at the next start.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut changed = self.gate.store().queue_changed();
        loop {
            let pause = match self.turn(&shutdown) {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "reading the queue");
                    STORE_ERROR_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.token().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.ended.notified() => {}
                result = changed.changed() => if result.is_err() { return },
            }
        }
    }

    /// Starts what is due and may start; returns how long to sleep when nothing else happens.
    fn turn(self: &Arc<Self>, shutdown: &Shutdown) -> Result<Duration, StoreError> {
        let permit = self.gate.admit_system(Action::QueueRead);
        let now = self.clock.now();
        let due = self.gate.store().queue_due(&permit, now, ROWS_MAX)?;
        for job in self.jobs(due) {
            let Ok(slot) = Arc::clone(&self.connections).try_acquire_owned() else { break };
            if !self.begin(&job) {
                continue;
            }
            let runner = Arc::clone(self);
            shutdown.tracker().spawn(runner.attempt(job, slot));
        }
        let next = self.gate.store().queue_next(&permit)?;
        Ok(match next {
            // What is due and did not start waits for an attempt to end, which wakes the loop.
            Some(at) if at > now => Duration::from_millis((at.0 - now.0).unsigned_abs()).min(SLEEP_MAX),
            _ => SLEEP_MAX,
        })
    }

    /// Groups rows that can share a transaction, oldest first.
    fn jobs(&self, due: Vec<QueueRow>) -> Vec<Job> {
        let state = self.state.lock();
        let mut open: HashMap<(u64, String, Option<Address>), usize> = HashMap::new();
        let mut jobs: Vec<Job> = Vec::new();
        for row in due.into_iter().filter(|row| !state.busy.contains(&row.id)) {
            let domain = row.forward_path.domain_ascii();
            let key = (row.body.get(), domain.clone(), row.reverse_path.clone());
            let room = open
                .get(&key)
                .and_then(|at| jobs.get_mut(*at))
                .filter(|job| job.rows.len() < self.config.recipients_per_transaction_max.max(1));
            if let Some(job) = room {
                job.rows.push(row);
            } else {
                open.insert(key, jobs.len());
                jobs.push(Job { domain, rows: vec![row] });
            }
        }
        jobs
    }

    /// Marks the rows busy, unless the destination has its share already.
    fn begin(&self, job: &Job) -> bool {
        let mut state = self.state.lock();
        let here = state.destinations.get(&job.domain).copied().unwrap_or(0);
        if here >= self.config.connections_per_destination_max.max(1) {
            return false;
        }
        state.destinations.insert(job.domain.clone(), here + 1);
        state.busy.extend(job.rows.iter().map(|row| row.id));
        true
    }

    fn end(&self, job: &Job) {
        let mut state = self.state.lock();
        for row in &job.rows {
            state.busy.remove(&row.id);
        }
        if let Some(count) = state.destinations.get_mut(&job.domain) {
            *count -= 1;
            if *count == 0 {
                state.destinations.remove(&job.domain);
            }
        }
    }

    async fn attempt(self: Arc<Self>, job: Job, slot: OwnedSemaphorePermit) {
        let busy = Busy { runner: self, job, _slot: slot };
        if let Err(error) = busy.runner.attempt_job(&busy.job).await {
            // The outcome could not be committed. The rows are as they were; they must not spin.
            tracing::error!(%error, domain = %busy.job.domain, "committing a delivery's outcome");
            tokio::time::sleep(STORE_ERROR_PAUSE).await;
        }
    }

    async fn attempt_job(&self, job: &Job) -> Result<(), StoreError> {
        let Some(first) = job.rows.first() else { return Ok(()) };
        let message = match self.message(first.id) {
            Ok(message) => message,
            // An administrator dropped it in the meantime.
            Err(StoreError::NoQueueRow(_)) => return Ok(()),
            Err(error) if error.is_damage() => return self.hold_damaged(job, &error).await,
            Err(error) => return Err(error),
        };
        let outcomes = self.deliver(job, &message).await;
        self.commit(job, outcomes, &message).await
    }

    /// The message; read twice where it looks damaged, since what was read while the index was being made again is not.
    fn message(&self, id: QueueId) -> Result<Bytes, StoreError> {
        let permit = self.gate.admit_system(Action::QueueRead);
        let store = self.gate.store();
        match store.queue_body(&permit, id) {
            Err(error) if error.is_damage() => {
                store.condition()?;
                let again = store.queue_body(&permit, id);
                store.condition()?;
                again
            }
            other => other,
        }
    }

    /// A message that does not open is neither sent nor given up: its rows wait with the reason for an administrator.
    async fn hold_damaged(&self, job: &Job, error: &StoreError) -> Result<(), StoreError> {
        for row in &job.rows {
            tracing::error!(queue_id = %row.id, %error, "a queued message does not open; it is held");
            self.change(row.id, QueueChange::Damaged { error: error.to_string() }).await?;
        }
        Ok(())
    }

    async fn deliver(&self, job: &Job, message: &Bytes) -> Vec<Outcome> {
        let envelope = Envelope {
            reverse_path: job.rows.first().and_then(|row| row.reverse_path.as_ref()),
            forward_paths: job.rows.iter().map(|row| &row.forward_path).collect(),
            smtputf8: job.rows.iter().any(|row| row.smtputf8),
            eight_bit: job.rows.iter().any(|row| row.eight_bit),
            message,
        };
        let route =
            Route { config: &self.config, resolver: &*self.resolver, tls: self.tls.as_ref(), helo: &self.hostname };
        route.deliver(&job.domain, &envelope).await
    }

    /// Each outcome in a commit; all that failed for good in one, with the bounce.
    async fn commit(&self, job: &Job, outcomes: Vec<Outcome>, message: &Bytes) -> Result<(), StoreError> {
        let mut failed = Vec::new();
        let now = self.clock.now();
        for (row, outcome) in job.rows.iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered(reply) => {
                    tracing::info!(queue_id = %row.id, domain = %job.domain, "delivered");
                    self.finish(row.id, QueueOutcome::Delivered(reply)).await?;
                }
                Outcome::Deferred(reason) => {
                    let next = next_attempt(&self.config, row.created, now, row.attempts + 1, self.random.next_u64());
                    match next {
                        Some(next_attempt) => {
                            tracing::info!(queue_id = %row.id, domain = %job.domain, status = %reason.status, "deferred");
                            let change = QueueChange::Deferred { error: reason.to_string(), next_attempt };
                            self.change(row.id, change).await?;
                        }
                        None => failed.push((row, reason)),
                    }
                }
                Outcome::Failed(reason) => failed.push((row, reason)),
            }
        }
        if failed.is_empty() { Ok(()) } else { self.bounce(&failed, message).await }
    }

    async fn change(&self, id: QueueId, change: QueueChange) -> Result<(), StoreError> {
        gone_is_done(self.gate.store().queue_change(self.gate.admit_system(Action::QueueAttempt), id, change).await)
    }

    async fn finish(&self, id: QueueId, outcome: QueueOutcome) -> Result<(), StoreError> {
        gone_is_done(self.gate.store().queue_end(self.gate.admit_system(Action::QueueAttempt), id, outcome).await)
    }

    /// Ends rows that failed for good, with a bounce in the same commit where there is somebody to tell.
    async fn bounce(&self, failed: &[(&QueueRow, Reason)], message: &Bytes) -> Result<(), StoreError> {
        let Some((first, _)) = failed.first() else { return Ok(()) };
        for (row, reason) in failed {
            tracing::warn!(queue_id = %row.id, status = %reason.status, "failed for good");
        }
        // RFC 5321 §6.1: a bounce is never sent for a bounce.
        let Some(to) = &first.reverse_path else { return self.fail(failed).await };
        let named: Vec<(&Address, &Reason)> = failed.iter().map(|(row, why)| (&row.forward_path, why)).collect();
        // A domain of ours has a postmaster; our host name as a rule is none.
        let ours = matches!(self.gate.route(to), Ok(pli_directory::Route::To { .. }));
        let domain = to.domain_ascii();
        let bytes = Bounce {
            hostname: &self.hostname,
            postmaster_domain: if ours { &domain } else { &self.hostname },
            unique: self.random.next_u64(),
            now: self.clock.now(),
            arrived: first.created,
            to,
            failed: &named,
            original: message,
        }
        .build();
        let size = ByteCount::new(bytes.len() as u64);
        let Some((local, remote)) = self.bounce_recipients(to, size) else { return self.fail(failed).await };
        let ends = failed
            .iter()
            .map(|(row, why)| {
                (self.gate.admit_system(Action::QueueAttempt), row.id, QueueOutcome::Failed(why.to_string()))
            })
            .collect();
        let delivery = Delivery {
            prepared: self.gate.store().prepare(Bytes::from(bytes))?,
            reverse_path: None,
            local,
            remote,
            smtputf8: false,
            eight_bit: true,
            ends,
        };
        let permit = self.gate.admit_system(Action::Deliver);
        match self.gate.store().deliver(permit, delivery).await {
            // The mailbox filled up, or the account went, since it was asked. The rows end all the same: otherwise the
            // other server would be asked again and again for what it has refused.
            Err(error @ (StoreError::OverQuota { .. } | StoreError::NoAccount(_))) => {
                tracing::warn!(%error, "a bounce was not taken");
                self.fail(failed).await
            }
            result => gone_is_done(result),
        }
    }

    /// Ends rows that failed for good, when nobody can be told.
    async fn fail(&self, failed: &[(&QueueRow, Reason)]) -> Result<(), StoreError> {
        for (row, reason) in failed {
            self.finish(row.id, QueueOutcome::Failed(reason.to_string())).await?;
        }
        Ok(())
    }

    /// Where a bounce to this address goes; `None` when nobody can take it.
    fn bounce_recipients(&self, to: &Address, size: ByteCount) -> Option<(Vec<LocalRecipient>, Vec<RemoteRecipient>)> {
        let (accounts, addresses) = match self.gate.route(to) {
            Ok(pli_directory::Route::To { local, remote }) => (local, remote),
            Ok(pli_directory::Route::Remote) => (Vec::new(), vec![to.clone()]),
            Ok(pli_directory::Route::Unknown) | Err(_) => return None,
        };
        let mut local = Vec::new();
        for account in accounts {
            let target = Target { account: Some(account), adds: size, ..Target::default() };
            match self.gate.admit(&self.session, Action::Deliver, &target) {
                Ok(permit) => local.push(LocalRecipient { permit, account, mailbox: None, flags: FlagSet::default() }),
                Err(refusal) => log_refusal(refusal),
            }
        }
        let remote: Vec<RemoteRecipient> = addresses
            .into_iter()
            .map(|forward_path| RemoteRecipient {
                permit: self.gate.admit_system(Action::Relay),
                forward_path,
                parameters: Vec::new(),
            })
            .collect();
        (!local.is_empty() || !remote.is_empty()).then_some((local, remote))
    }
}

fn log_refusal(refusal: Refusal) {
    tracing::warn!(%refusal, "a bounce was not taken");
}

/// A row that an administrator dropped during the attempt has ended; that is no error.
fn gone_is_done<T>(result: Result<T, StoreError>) -> Result<(), StoreError> {
    match result {
        Ok(_) | Err(StoreError::NoQueueRow(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
