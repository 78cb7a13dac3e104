//! Making the index again.

use pli_store::IndexEngine;
use pli_types::Action;
use serde_json::json;

use super::{Call, Result, failed};
use crate::{ErrorKind, Failure};

impl Call<'_> {
    /// Begins; who asked is recorded before, that it was done after.
    pub(super) async fn store_rebuild(&self, engine: Option<&str>) -> Result {
        let engine = engine.map(disk_engine).transpose()?;
        let permit = self.admit(Action::Operate, None)?;
        let mut event = self.gate().event(self.session, Action::Operate).policy("operate", None);
        event.result.reason = Some(String::from("rebuild the index"));
        self.record(Action::Operate, event).await?;
        self.store().start_rebuild(&permit, engine).map_err(failed)?;
        Ok(json!({ "started": true }))
    }

    pub(super) fn store_rebuild_status(&self) -> Result {
        self.admit(Action::Operate, None)?;
        let status = self.store().rebuild_status();
        serde_json::to_value(status).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))
    }
}

fn disk_engine(name: &str) -> Result<IndexEngine> {
    IndexEngine::parse(name)
        .filter(|engine| *engine != IndexEngine::Memory)
        .ok_or_else(|| Failure::new(ErrorKind::Usage, format!("{name} is neither sled nor fjall")))
}
