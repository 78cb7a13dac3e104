//! Takes what is due, has it delivered, has the outcomes committed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_gate::Gate;
use pli_io::{Clock, Random, Resolver};
use pli_net::{ClientTls, Shutdown};
use pli_store::{QueueChange, QueueRow, StoreError};
use pli_types::{Action, QueueId, SessionId, SessionInfo, UnixMillis};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::QueueConfig;
use crate::deliver::{Delivered, Identity, Line, Route};
use crate::hosts::{Finder, destination, due};
use crate::networks::Network;
use crate::outcome::{Outcome, Reason};
use crate::plan::{DestinationState, Pick, Plan, Went};
use crate::settle::DoubleBounces;
use crate::transaction::Envelope;

/// Rows read between two looks at what can start.
const LOAD_ROWS: usize = 2_000;
/// The longest sleep: a clock that was set back must not stop the queue.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The pause after an error of the store.
const STORE_ERROR_PAUSE: Duration = Duration::from_secs(5);
/// How often old events of the trace are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 86_400_000;

/// The queue's own task.
pub struct QueueRunner {
    pub(crate) config: QueueConfig,
    pub(crate) hostname: String,
    pub(crate) gate: Arc<Gate>,
    resolver: Arc<dyn Resolver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    tls: Option<ClientTls>,
    allowed: Vec<Network>,
    pub(crate) session: Arc<SessionInfo>,
    connections: Arc<Semaphore>,
    state: Mutex<State>,
    pub(crate) doubles: DoubleBounces,
    /// Wakes the loop when an attempt has ended.
    ended: Notify,
}

struct State {
    plan: Plan,
    /// Domains that an administrator froze.
    frozen: HashSet<String>,
    /// Where the reading of the whole queue stands; `None`: done.
    loading: Option<Option<QueueId>>,
    /// Rows to look at again: their attempt has ended.
    again: Vec<QueueId>,
}

/// A row as the queue sees it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowState {
    /// An attempt is under way.
    pub busy: bool,
    /// Where it goes: a domain, or `@host:port` of a route.
    pub destination: String,
    /// What is known of that.
    pub state: Option<DestinationState>,
}

/// An attempt's hold on its rows, its destination and its slot; they are given back however the attempt ends. A panic
/// on a peer's bytes must not keep rows out of the queue until the next start.
struct Busy {
    runner: Arc<QueueRunner>,
    pick: Pick,
    went: Went,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let went = std::mem::replace(&mut self.went, Went::Untried);
        let mut state = self.runner.state.lock();
        state.plan.done(&self.pick.destination, &self.pick.ids, went, self.runner.clock.now().0);
        state.again.extend(&self.pick.ids);
        drop(state);
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
        let plan = Plan::new(config.connections_per_destination_max, config.recipients_per_transaction_max);
        Arc::new(Self {
            connections: Arc::new(Semaphore::new(config.connections_max.max(1))),
            allowed: config.private_networks.iter().filter_map(|text| Network::parse(text)).collect(),
            config,
            hostname,
            gate,
            resolver,
            clock,
            random,
            tls,
            session,
            state: Mutex::new(State { plan, frozen: HashSet::new(), loading: Some(None), again: Vec::new() }),
            doubles: DoubleBounces::default(),
            ended: Notify::new(),
        })
    }

    /// Works until shutdown. Attempts in flight then are tracked by `shutdown`; one that does not end in time is an
    /// attempt whose outcome is not known, and is made again at the next start.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut changed = self.gate.store().queue_changed();
        let mut swept: Option<Duration> = None;
        loop {
            let pause = match self.turn(&shutdown) {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "reading the queue");
                    self.state.lock().loading = Some(None);
                    STORE_ERROR_PAUSE
                }
            };
            let now = self.clock.monotonic();
            if swept.is_none_or(|at| now.saturating_sub(at) >= SWEEP_EVERY) {
                swept = Some(now);
                shutdown.tracker().spawn(Arc::clone(&self).sweep());
            }
            if pause.is_zero() {
                tokio::task::yield_now().await;
                if shutdown.token().is_cancelled() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = shutdown.token().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.ended.notified() => {}
                result = changed.changed() => if result.is_err() { return },
            }
        }
    }

    /// Old events of the trace.
    async fn sweep(self: Arc<Self>) {
        let before = self.clock.now().plus_ms(-i64::from(self.config.trace_days).saturating_mul(DAY_MS));
        let permit = self.gate.admit_system(Action::TraceSweep);
        match self.gate.store().trace_sweep(permit, before, self.config.trace_events_max).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "old events of the trace"),
            Err(error) => tracing::warn!(%error, "old events of the trace could not be removed"),
        }
    }

    /// Learns what changed and starts what may start; returns how long to sleep when nothing else happens.
    fn turn(self: &Arc<Self>, shutdown: &Shutdown) -> Result<Duration, StoreError> {
        self.learn()?;
        self.load()?;
        let now = self.clock.now().0;
        loop {
            let Ok(slot) = Arc::clone(&self.connections).try_acquire_owned() else { break };
            let Some(pick) = self.state.lock().plan.pick(now) else { break };
            shutdown.tracker().spawn(Arc::clone(self).attempt(pick, slot));
        }
        let state = self.state.lock();
        if state.loading.is_some() {
            return Ok(Duration::ZERO);
        }
        Ok(match state.plan.next() {
            // What is due and did not start waits for an attempt to end, which wakes the loop.
            Some(at) if at > now => Duration::from_millis(at.saturating_sub(now).unsigned_abs()).min(SLEEP_MAX),
            _ => SLEEP_MAX,
        })
    }

    /// What changed since the last turn.
    fn learn(&self) -> Result<(), StoreError> {
        let news = self.gate.store().queue_news();
        let permit = self.gate.admit_system(Action::QueueRead);
        if news.all {
            let frozen = self.gate.store().queue_frozen(&permit)?;
            let mut state = self.state.lock();
            state.frozen = frozen.into_iter().map(|domain| domain.domain).collect();
            state.plan.clear();
            state.loading = Some(None);
        }
        let mut ids = std::mem::take(&mut self.state.lock().again);
        ids.extend(news.ids);
        for id in ids {
            let row = self.gate.store().queue_row(&permit, id)?;
            let mut state = self.state.lock();
            match row {
                Some(row) => self.plan_row(&mut state, &row),
                None => state.plan.remove(id),
            }
        }
        Ok(())
    }

    /// Reads a piece of the whole queue, at the start and after a freeze.
    fn load(&self) -> Result<(), StoreError> {
        let Some(after) = self.state.lock().loading else { return Ok(()) };
        let permit = self.gate.admit_system(Action::QueueRead);
        let rows = self.gate.store().queue_list(&permit, after, LOAD_ROWS)?;
        let mut state = self.state.lock();
        for row in &rows {
            self.plan_row(&mut state, row);
        }
        // One piece only goes on where the last one ended; a freeze meanwhile begins it anew.
        if state.loading == Some(after) {
            state.loading = rows.last().filter(|_| rows.len() == LOAD_ROWS).map(|row| Some(row.id));
        }
        Ok(())
    }

    fn plan_row(&self, state: &mut State, row: &QueueRow) {
        let domain = row.forward_path.domain_ascii();
        if row.held || state.frozen.contains(&domain) {
            return state.plan.remove(row.id);
        }
        let to = destination(&self.config, &domain, row.route.as_deref());
        let at = due(row.next_attempt, row.attempts, &row.parameters);
        state.plan.put(row.id, row.body.get(), at.0, &to);
    }

    /// What the queue knows of a row and of where it goes.
    #[must_use]
    pub fn row_state(&self, row: &QueueRow) -> RowState {
        let destination = destination(&self.config, &row.forward_path.domain_ascii(), row.route.as_deref());
        let state = self.state.lock();
        RowState {
            busy: state.plan.is_busy(row.id),
            state: state.plan.state(&destination, self.clock.now().0),
            destination,
        }
    }

    /// Lets a destination that froze by itself be tried at once.
    pub fn thaw(&self, destination: &str) {
        self.state.lock().plan.thaw(destination);
        self.ended.notify_one();
    }

    /// When a row is given up.
    #[must_use]
    pub fn expires(&self, row: &QueueRow) -> UnixMillis {
        row.created.plus_ms(i64::from(self.config.expire_s).saturating_mul(1000))
    }

    /// One attempt after the other at a destination, as long as its connection serves and something is due.
    async fn attempt(self: Arc<Self>, first: Pick, _slot: OwnedSemaphorePermit) {
        let mut line = None;
        let mut next = Some(first);
        while let Some(pick) = next.take() {
            let destination = pick.destination.clone();
            let mut busy = Busy { runner: Arc::clone(&self), pick, went: Went::Untried };
            match self.attempt_pick(&busy.pick, line.take()).await {
                Ok((went, kept)) => (busy.went, line) = (went, kept),
                Err(error) => {
                    // The outcome could not be committed. The rows are as they were; they must not spin.
                    tracing::error!(%error, %destination, "committing a delivery's outcome");
                    tokio::time::sleep(STORE_ERROR_PAUSE).await;
                }
            }
            drop(busy);
            if line.is_some() {
                next = self.state.lock().plan.pick_more(&destination, self.clock.now().0);
            }
        }
        if let Some(line) = line {
            line.close().await;
        }
    }

    async fn attempt_pick(&self, pick: &Pick, line: Option<Line>) -> Result<(Went, Option<Line>), StoreError> {
        let rows = self.rows(&pick.ids)?;
        let Some(first) = rows.first() else { return Ok((Went::Untried, line)) };
        let message = match self.message(first.id) {
            Ok(message) => message,
            // An administrator dropped it in the meantime.
            Err(StoreError::NoQueueRow(_)) => return Ok((Went::Untried, line)),
            Err(error) if error.is_damage() => {
                self.hold_damaged(&rows, &error).await?;
                return Ok((Went::Untried, line));
            }
            Err(error) => return Err(error),
        };
        let delivered = match &pick.frozen {
            Some(reason) => {
                let text = format!("not tried, the destination does not answer: {reason}");
                let reason = Reason { text, reply: None, ..Reason::new(&reason.status, "") };
                Delivered { outcomes: vec![Outcome::Deferred(reason); rows.len()], went: Went::Untried, line }
            }
            None => self.deliver(&pick.destination, &rows, &message, line).await,
        };
        self.settle(&rows, delivered.outcomes, &message).await?;
        Ok((delivered.went, delivered.line))
    }

    /// The rows as they are now: held, frozen or gone ones are left out.
    fn rows(&self, ids: &[QueueId]) -> Result<Vec<QueueRow>, StoreError> {
        let permit = self.gate.admit_system(Action::QueueRead);
        let mut rows: Vec<QueueRow> = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(row) = self.gate.store().queue_row(&permit, *id)? else { continue };
            let same =
                rows.first().is_none_or(|first| first.body == row.body && first.reverse_path == row.reverse_path);
            let frozen = self.state.lock().frozen.contains(&row.forward_path.domain_ascii());
            if same && !row.held && !frozen {
                rows.push(row);
            }
        }
        Ok(rows)
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
    async fn hold_damaged(&self, rows: &[QueueRow], error: &StoreError) -> Result<(), StoreError> {
        for row in rows {
            tracing::error!(queue_id = %row.id, %error, "a queued message does not open; it is held");
            self.change(row, QueueChange::Damaged { error: error.to_string() }).await?;
        }
        Ok(())
    }

    async fn deliver(&self, destination: &str, rows: &[QueueRow], message: &Bytes, line: Option<Line>) -> Delivered {
        let reverse_path = rows.first().and_then(|row| row.reverse_path.as_ref());
        let envelope = Envelope {
            reverse_path,
            forward_paths: rows.iter().map(|row| &row.forward_path).collect(),
            parameters: rows.iter().map(|row| pli_types::EnvelopeParameters::decode(&row.parameters)).collect(),
            smtputf8: rows.iter().any(|row| row.smtputf8),
            eight_bit: rows.iter().any(|row| row.eight_bit),
            message,
        };
        let sender = reverse_path.and_then(|from| self.config.senders.get(&from.domain_ascii()));
        let route = Route {
            config: &self.config,
            finder: Finder {
                config: &self.config,
                allowed: &self.allowed,
                resolver: &*self.resolver,
                random: &*self.random,
                hostname: &self.hostname,
            },
            tls: self.tls.as_ref(),
            identity: Identity {
                ehlo: sender.and_then(|sender| sender.ehlo.clone()).unwrap_or_else(|| self.hostname.clone()),
                source: sender.map(|sender| sender.source.clone()).unwrap_or_default(),
            },
            now: self.clock.monotonic(),
        };
        route.deliver(destination, &envelope, line).await
    }
}
