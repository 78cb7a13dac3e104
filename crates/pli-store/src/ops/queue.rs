//! The outbound queue's rows.

use pli_types::QueueId;

use super::Result;
use crate::error::StoreError;
use crate::model::{QueueChange, QueueOutcome, QueueRow};
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
        self.own.queue_changed = true;
    }

    fn queue_row(&mut self, id: QueueId) -> Result<QueueRow> {
        self.load(&keys::queue(id))?.ok_or(StoreError::NoQueueRow(id))
    }

    /// Changes a row that stays.
    pub(crate) fn queue_change(&mut self, id: QueueId, change: QueueChange) -> Result<QueueRow> {
        let before = self.queue_row(id)?;
        let mut row = before.clone();
        match change {
            QueueChange::Deferred { error, next_attempt } => {
                row.attempts = row.attempts.saturating_add(1);
                row.last_error = Some(error);
                row.next_attempt = next_attempt;
            }
            QueueChange::Retry => row.next_attempt = self.now(),
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

    /// Ends a row under its permit, with its event.
    pub(crate) fn end_queue_row(&mut self, permit: &Permit, id: QueueId, outcome: &QueueOutcome) -> Result<()> {
        let row = self.queue_end(id)?;
        self.audit(permit, |event| {
            let event = event.count("queue-id", id.get()).count("attempts", row.attempts.into());
            match outcome {
                QueueOutcome::Delivered(_) => event,
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
        self.release_body(row.body, true)?;
        Ok(row)
    }
}
