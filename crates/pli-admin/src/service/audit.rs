//! The audit log.

use pli_types::Action;
use serde_json::{Value, json};

use super::{Call, Result, blocking};
use crate::{ErrorKind, Failure};

/// Events of one reply: the socket's line stays bounded.
const EVENTS_MAX: usize = 10_000;

impl Call<'_> {
    pub(super) async fn audit_tail(&self, count: u64) -> Result {
        let (entries, _) = self.store().audit_checkpoint();
        let count = count.min(u64::try_from(EVENTS_MAX).unwrap_or(u64::MAX));
        // Up to what was there when it was asked: the record of this reading is not among them.
        self.events(entries.saturating_sub(count), usize::try_from(count).unwrap_or(EVENTS_MAX)).await
    }

    pub(super) async fn audit_export(&self, from: u64, limit: usize) -> Result {
        self.events(from, limit.min(EVENTS_MAX)).await
    }

    async fn events(&self, from: u64, limit: usize) -> Result {
        // Who reads the log is recorded before he has it.
        let event = self.gate().event(self.session, Action::AuditRead).count("from", from);
        self.record(Action::AuditRead, event).await?;
        let permit = self.admit(Action::AuditRead, None)?;
        let store = self.store().clone();
        let events = blocking(move || store.audit_events(&permit, from, limit)).await?;
        let rows: std::result::Result<Vec<Value>, _> = events
            .into_iter()
            .map(|(index, event)| Ok(json!({ "index": index, "event": serde_json::to_value(event)? })))
            .collect();
        let rows = rows.map_err(|e: serde_json::Error| Failure::new(ErrorKind::Unavailable, e.to_string()))?;
        let (entries, checkpoint) = self.store().audit_checkpoint();
        Ok(json!({ "events": rows, "entries": entries, "checkpoint": checkpoint }))
    }

    pub(super) async fn audit_verify(&self) -> Result {
        let permit = self.admit(Action::Verify, None)?;
        let store = self.store().clone();
        let report = blocking(move || store.audit_verify(&permit)).await?;
        self.verified("audit", &report).await
    }
}
