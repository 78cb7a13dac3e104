//! Verification and repair of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pli_store::{RepairOptions, VerifyOptions, VerifyProgress};
use pli_types::{Action, Address, ByteCount};

use super::{Call, Result, Tell, blocking, failed};
use crate::{ErrorKind, Failure};

/// The pace of a verification that nobody is in a hurry for: a fraction of what a disk gives.
const GENTLE_BYTES_PER_SECOND: u64 = 32 << 20;

/// Breaks the work off when whoever waits for it is gone.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn told(tell: &Tell, progress: &VerifyProgress) {
    if let Ok(value) = serde_json::to_value(progress) {
        tell(value);
    }
}

impl Call<'_> {
    pub(super) async fn store_verify(
        &self,
        fast: bool,
        rate: Option<ByteCount>,
        accounts: &[Address],
        tell: Tell,
    ) -> Result {
        let waiting = Waiting(Arc::new(AtomicBool::new(false)));
        let bytes_per_second = if fast { None } else { Some(rate.map_or(GENTLE_BYTES_PER_SECOND, ByteCount::get)) };
        let cancel = Arc::clone(&waiting.0);
        let options = VerifyOptions { bytes_per_second, cancel, ..VerifyOptions::default() };
        // Who may have which account's messages opened is decided, and recorded, before any is.
        let mut permits = Vec::new();
        for address in accounts {
            let account = self.account(address)?;
            let event = self.gate().event(self.session, Action::Verify).account(account.id).count("messages", 1);
            self.record(Action::Verify, event).await?;
            permits.push(self.admit(Action::Verify, Some(account.id))?);
        }
        let permit = self.admit(Action::Verify, None)?;
        let store = self.store().clone();
        let report = blocking(move || {
            let mut report = store.verify_with(&permit, &options, &mut |progress| told(&tell, progress))?;
            for permit in permits {
                let opened = store.verify_messages(&permit, &options, &mut |progress| told(&tell, progress))?;
                report.originals = report.originals.saturating_add(opened.originals);
                report.damage.extend(opened.damage);
            }
            Ok(report)
        })
        .await?;
        drop(waiting);
        self.verified("store", &report).await
    }

    pub(super) async fn store_repair(&self, dry_run: bool, tell: Tell) -> Result {
        let permit = self.admit(Action::Repair, None)?;
        let waiting = Waiting(Arc::new(AtomicBool::new(false)));
        let verify = VerifyOptions { cancel: Arc::clone(&waiting.0), ..VerifyOptions::default() };
        // A server that runs has others who use the store.
        let options = RepairOptions { dry_run, online: self.service.status.is_some(), verify };
        let tell = Box::new(move |progress: &VerifyProgress| told(&tell, progress));
        let report = self.store().repair(permit, options, tell).await.map_err(failed)?;
        drop(waiting);
        let value = serde_json::to_value(&report).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))?;
        let is_well = report.left.is_empty() && report.needs_offline.is_empty();
        if is_well { Ok(value) } else { Err(Failure::new(ErrorKind::Damaged, value.to_string())) }
    }
}
