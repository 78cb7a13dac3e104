//! Where a message went: events of the trace, kept for a time and bounded, read by administrators.

use memchr::memmem::Finder;
use pli_types::{AccountId, Action, QueueId, UnixMillis};

use crate::error::StoreError;
use crate::index::Next;
use crate::limits::{QUEUE_NEWS_MAX, TRACE_BYTES_MAX, TRACE_RECIPIENTS_MAX, TRACE_SWEEP_MAX};
use crate::model::Delivered;
use crate::model_queue::{QueueChange, QueueNews, QueueOutcome, QueueRow, TraceEvent, TraceQuery, TraceRecipient};
use crate::ops::allowed;
use crate::permit::{Committed, Permit};
use crate::rows::queue::TraceRow;
use crate::rows::{Key, Row, Table, decode, keys};
use crate::store::Store;
use crate::txn::Txn;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Queue rows that one search follows.
const FOLLOWED_MAX: usize = 10_000;

impl QueueNews {
    /// Adds what a commit changed.
    pub(crate) fn add(&mut self, ids: Vec<QueueId>, all: bool) {
        self.all |= all || self.ids.len().saturating_add(ids.len()) > QUEUE_NEWS_MAX;
        if self.all {
            self.ids = Vec::new();
        } else {
            self.ids.extend(ids);
        }
    }
}

impl QueueChange {
    /// In the trace.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Deferred { .. } | Self::Delayed { .. } => "attempt",
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Damaged { .. } => "held",
            Self::Release => "release",
            Self::Reroute(_) => "reroute",
        }
    }
}

impl Txn<'_> {
    /// Writes an event of the trace.
    pub(crate) fn trace(&mut self, mut event: TraceEvent) -> Result<()> {
        event.time = self.now().0;
        event.to.truncate(TRACE_RECIPIENTS_MAX);
        let mut row = TraceRow::of(&event);
        if row.json.len() > TRACE_BYTES_MAX {
            // What is longest is what others said.
            event.verdicts.clear();
            for text in [&mut event.reply, &mut event.host, &mut event.message_id] {
                *text = text.chars().take(200).collect();
            }
            row = TraceRow::of(&event);
        }
        let mut globals = self.globals()?;
        globals.next_trace = globals.next_trace.saturating_add(1);
        self.put(keys::trace(globals.next_trace), &row);
        self.put(keys::globals(), &globals);
        Ok(())
    }

    /// The event of a delivery, with where each recipient's copy went.
    pub(crate) fn trace_delivery(
        &mut self,
        mut event: TraceEvent,
        accounts: &[AccountId],
        delivered: &Delivered,
    ) -> Result<()> {
        let places = accounts.len().saturating_add(delivered.queued.len());
        event.to.resize_with(event.to.len().max(places), TraceRecipient::default);
        for ((to, account), (mailbox, _, uid)) in event.to.iter_mut().zip(accounts).zip(&delivered.local) {
            (to.account, to.mailbox, to.uid) = (Some(*account), Some(mailbox.get()), Some(uid.get()));
        }
        for (to, id) in event.to.iter_mut().skip(accounts.len()).zip(&delivered.queued) {
            to.queue = Some(*id);
        }
        self.trace(event)
    }

    /// A row that stays was changed.
    pub(crate) fn trace_change(&mut self, permit: &Permit, row: &QueueRow, what: &str) -> Result<()> {
        let attempt = what == "attempt";
        let event = TraceEvent {
            what: if attempt { "attempt" } else { "changed" }.to_owned(),
            rule: if attempt { String::new() } else { what.to_owned() },
            reply: match &row.last_error {
                Some(error) if attempt || what == "held" => error.clone(),
                _ => row.route.clone().filter(|_| what == "reroute").unwrap_or_default(),
            },
            next: if row.held { 0 } else { row.next_attempt.0 },
            ..queue_event(permit, row)
        };
        self.trace(event)
    }

    /// A row left the queue.
    pub(crate) fn trace_end(&mut self, permit: &Permit, row: &QueueRow, outcome: &QueueOutcome) -> Result<()> {
        let (rule, reply) = match outcome {
            QueueOutcome::Delivered(reply) => ("delivered", reply.as_str()),
            QueueOutcome::Failed(reason) => ("failed", reason.as_str()),
            QueueOutcome::Dropped => ("dropped", ""),
            QueueOutcome::Stays(_) => return Ok(()),
        };
        let tried = !matches!(outcome, QueueOutcome::Dropped);
        let mut event = TraceEvent {
            what: String::from("ended"),
            rule: rule.to_owned(),
            reply: reply.to_owned(),
            ..queue_event(permit, row)
        };
        event.attempt = event.attempt.saturating_add(u64::from(tried));
        self.trace(event)
    }
}

fn queue_event(permit: &Permit, row: &QueueRow) -> TraceEvent {
    let session = &permit.grant().session;
    TraceEvent {
        protocol: session.protocol.name().to_owned(),
        to: vec![TraceRecipient {
            address: row.forward_path.to_string(),
            queue: Some(row.id),
            ..TraceRecipient::default()
        }],
        attempt: row.attempts.into(),
        ..TraceEvent::default()
    }
}

impl Store {
    /// Notes what happened to a message of which nothing is kept (a refusal). Soon on disk; lost in a flood of them.
    pub fn trace(&self, event: TraceEvent) {
        self.engine().queue.trace(event);
    }

    /// Events about a message, oldest first. What is about a recipient in the queue follows from the event that put it
    /// there.
    pub fn trace_find(&self, permit: &Permit, query: &TraceQuery) -> Result<Vec<TraceEvent>> {
        allowed(permit, &[Action::TraceRead], None)?;
        let needle = query.text.as_ref().map(|text| serde_json::to_string(&text.to_lowercase()).unwrap_or_default());
        // Within JSON's quotes: the whole text, not a part of one.
        let finder = needle.as_ref().map(|needle| Finder::new(needle.as_bytes()));
        let mut followed: std::collections::HashSet<QueueId> = query.queue.into_iter().collect();
        let mut found: std::collections::VecDeque<TraceEvent> = std::collections::VecDeque::new();
        self.engine().rows.scan(&Key::new(Table::Trace), None, |_, bytes| {
            let row: TraceRow = decode(&bytes)?;
            if query.since.is_some_and(|since| row.time < since) {
                return Ok(Next::More);
            }
            let named = finder.as_ref().is_some_and(|finder| finder.find(lower(&row.json).as_bytes()).is_some());
            if (named || row.queue.iter().any(|id| followed.contains(id)))
                && let Some(event) = row.event()
            {
                if named && followed.len() < FOLLOWED_MAX {
                    follow(&event, query.text.as_deref().unwrap_or_default(), &mut followed);
                }
                found.push_back(event);
                if found.len() > query.limit {
                    found.pop_front();
                }
            }
            Ok(Next::More)
        })?;
        Ok(found.into())
    }

    /// Removes events that are older than `before`, and the oldest beyond `keep`. Returns how many.
    pub async fn trace_sweep(&self, permit: Permit, before: UnixMillis, keep: u64) -> Result<u64> {
        allowed(&permit, &[Action::TraceSweep], None)?;
        let mut removed = 0_u64;
        loop {
            let numbers = self.trace_old(before, keep)?;
            if numbers.is_empty() {
                return Ok(removed);
            }
            removed = removed.saturating_add(numbers.len() as u64);
            let _: Committed<()> = self
                .commit(move |txn| {
                    numbers.iter().for_each(|number| txn.delete(keys::trace(*number)));
                    Ok(())
                })
                .await?;
        }
    }

    /// Numbers of events to remove, some of them.
    fn trace_old(&self, before: UnixMillis, keep: u64) -> Result<Vec<u64>> {
        let engine = self.engine();
        let newest = engine.rows.load::<crate::rows::mail::Globals>(&keys::globals())?.unwrap_or_default().next_trace;
        let mut numbers = Vec::new();
        engine.rows.scan(&Key::new(Table::Trace), None, |key, bytes| {
            let number = key.number(1);
            let old = newest.saturating_sub(number) >= keep || TraceRow::decode(&bytes).is_none_or(|r| r.time < before);
            if !old || numbers.len() >= TRACE_SWEEP_MAX {
                return Ok(Next::Stop);
            }
            numbers.push(number);
            Ok(Next::More)
        })?;
        Ok(numbers)
    }
}

/// An address that is one of the recipients stands for itself; all else for every recipient of the message.
fn follow(event: &TraceEvent, text: &str, followed: &mut std::collections::HashSet<QueueId>) {
    let text = text.to_lowercase();
    let is_it = |to: &&TraceRecipient| to.address.to_lowercase() == text;
    let one = event.to.iter().any(|to| is_it(&to));
    followed.extend(event.to.iter().filter(|to| !one || is_it(to)).filter_map(|to| to.queue));
}

fn lower(json: &[u8]) -> String {
    String::from_utf8_lossy(json).to_lowercase()
}
