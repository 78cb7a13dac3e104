//! The outbound queue.

use pli_store::{QueueChange, QueueOutcome, QueueRow};
use pli_types::{Action, QueueId};
use serde_json::{Value, json};

use super::{Call, Result, failed};
use crate::{ErrorKind, Failure};

impl Call<'_> {
    pub(super) fn queue_list(&self, limit: usize) -> Result {
        let permit = self.admit(Action::QueueRead, None)?;
        let rows = self.store().queue_list(&permit, None, limit).map_err(failed)?;
        Ok(Value::Array(rows.iter().map(describe).collect()))
    }

    pub(super) fn queue_show(&self, id: QueueId) -> Result {
        let permit = self.admit(Action::QueueRead, None)?;
        let row = self.store().queue_row(&permit, id).map_err(failed)?;
        row.as_ref().map(describe).ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("no queue entry {id}")))
    }

    pub(super) async fn queue_change(&self, id: QueueId, change: QueueChange) -> Result {
        let permit = self.admit(Action::QueueChange, None)?;
        self.store().queue_change(permit, id, change).await.map_err(failed)?;
        self.queue_show(id)
    }

    pub(super) async fn queue_drop(&self, id: QueueId) -> Result {
        let permit = self.admit(Action::QueueChange, None)?;
        self.store().queue_end(permit, id, QueueOutcome::Dropped).await.map_err(failed)?;
        Ok(json!({ "id": id, "dropped": true }))
    }
}

fn describe(row: &QueueRow) -> Value {
    json!({
        "id": row.id,
        "from": row.reverse_path.as_ref().map(ToString::to_string).unwrap_or_default(),
        "to": row.forward_path,
        "size": row.size,
        "created": row.created.secs(),
        "attempts": row.attempts,
        "next_attempt": row.next_attempt.secs(),
        "last_error": row.last_error,
        "held": row.held,
        "submitter": row.submitter,
    })
}
