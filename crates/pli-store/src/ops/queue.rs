//! The outbound queue's rows.

use pli_types::{QueueId, UnixMillis};

use super::Result;
use crate::error::StoreError;
use crate::model_queue::{FrozenDomain, QueueChange, QueueOutcome, QueueRow};
use crate::permit::Permit;
use crate::rows::directory::Blob;
use crate::rows::keys;
use crate::txn::Txn;

impl Txn<'_> {
    /// Puts a row and its place in the order of dues.
    pub(crate) fn put_queue_row(&mut self, row: &QueueRow, before: Option<&QueueRow>) {
        if let Some(before) = before {
            self.delete(keys::due(before.next_attempt.0, before.id));
        }
        if !row.held {
            self.put(keys::due(row.next_attempt.0, row.id), &Blob::default());
        }
        self.put(keys::queue(row.id), row);
        self.own.queue_changed.push(row.id);
    }

    /// Freezes a domain, or thaws it.
    pub(crate) fn queue_freeze(&mut self, domain: &str, reason: Option<&str>) -> Result<()> {
        let key = keys::frozen(self.base.keys, domain);
        match reason {
            Some(reason) => {
                let row = FrozenDomain { domain: domain.to_owned(), since: self.now(), reason: reason.to_owned() };
                self.put(key, &row);
            }
            None if self.get(&key)?.is_none() => return Err(StoreError::Missing(format!("frozen domain {domain}"))),
            None => self.delete(key),
        }
        self.own.queue_all = true;
        Ok(())
    }

    fn queue_row(&mut self, id: QueueId) -> Result<QueueRow> {
        self.load(&keys::queue(id))?.ok_or(StoreError::NoQueueRow(id))
    }

    /// Changes a row that stays.
    pub(crate) fn queue_change(&mut self, id: QueueId, change: QueueChange) -> Result<QueueRow> {
        let before = self.queue_row(id)?;
        let mut row = before.clone();
        match change {
            QueueChange::Deferred { error, next_attempt } => deferred(&mut row, error, next_attempt, self.now()),
            QueueChange::Delayed { error, next_attempt } => {
                deferred(&mut row, error, next_attempt, self.now());
                row.told_delay = true;
            }
            QueueChange::Retry => row.next_attempt = self.now(),
            QueueChange::Reroute(route) => {
                row.route = route;
                row.next_attempt = self.now();
            }
            QueueChange::Hold => row.held = true,
            QueueChange::Damaged { error } => {
                row.last_error = Some(error);
                row.held = true;
            }
            QueueChange::Release => row.held = false,
        }
        self.put_queue_row(&row, Some(&before));
        Ok(row)
    }

    /// Changes a row that stays under its permit, with its event.
    pub(crate) fn change_queue_row(&mut self, permit: &Permit, id: QueueId, change: QueueChange) -> Result<()> {
        let failed = match &change {
            QueueChange::Deferred { .. } => Some(("", "deferred")),
            QueueChange::Delayed { .. } => Some(("", "deferred, the sender was told")),
            QueueChange::Damaged { .. } => Some(("damaged", "held: the message does not open")),
            _ => None,
        };
        let name = change.name();
        let row = self.queue_change(id, change)?;
        self.trace_change(permit, &row, name)?;
        self.audit(permit, |event| {
            let event = event.count("queue-id", id.get()).count("attempts", row.attempts.into());
            match failed {
                Some((code, reason)) => event.failed(code, reason),
                None => event,
            }
        });
        Ok(())
    }

    /// Ends a row under its permit, with its event.
    pub(crate) fn end_queue_row(&mut self, permit: &Permit, id: QueueId, outcome: &QueueOutcome) -> Result<()> {
        if let QueueOutcome::Stays(change) = outcome {
            return self.change_queue_row(permit, id, change.clone());
        }
        let row = self.queue_end(id)?;
        self.trace_end(permit, &row, outcome)?;
        self.audit(permit, |event| {
            let event = event.count("queue-id", id.get()).count("attempts", row.attempts.into());
            match outcome {
                QueueOutcome::Delivered(_) | QueueOutcome::Stays(_) => event,
                // The other side's words may hold addresses: they stay out of the log.
                QueueOutcome::Failed(_) => event.failed("", "delivery failed"),
                QueueOutcome::Dropped => event.failed("", "dropped by an administrator"),
            }
        });
        Ok(())
    }

    /// Ends a row; the queue's copy of the key goes with the last one of the message.
    pub(crate) fn queue_end(&mut self, id: QueueId) -> Result<QueueRow> {
        let row = self.queue_row(id)?;
        self.delete(keys::due(row.next_attempt.0, id));
        self.delete(keys::queue(id));
        self.own.queue_changed.push(id);
        self.release_body(row.body, true)?;
        Ok(row)
    }
}

/// An attempt failed for now.
fn deferred(row: &mut QueueRow, error: String, next_attempt: UnixMillis, now: UnixMillis) {
    row.attempts = row.attempts.saturating_add(1);
    row.last_error = Some(error);
    row.next_attempt = next_attempt;
    row.last_attempt = Some(now);
}
