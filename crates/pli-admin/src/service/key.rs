//! Keys: their state, and rotations.

use pli_types::{Action, Address};
use serde_json::Value;

use super::{Call, Result, failed};
use crate::{ErrorKind, Failure};

/// Fields that are moments; answers have them in seconds.
const MOMENTS: [&str; 6] = ["root_since", "root_due", "oldest_account", "made", "started", "covers_since"];

/// An answer, its moments in seconds of Unix time.
pub(super) fn value(of: impl serde::Serialize) -> Result {
    let mut value = serde_json::to_value(of).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))?;
    in_seconds(&mut value);
    if let Some(progress) = value.get_mut("progress") {
        in_seconds(progress);
    }
    Ok(value)
}

fn in_seconds(value: &mut Value) {
    let fields = value.as_object_mut().into_iter().flatten();
    for (_, moment) in fields.filter(|(name, _)| MOMENTS.contains(&name.as_str())) {
        if let Some(millis) = moment.as_i64() {
            *moment = millis.div_euclid(1000).into();
        }
    }
}

impl Call<'_> {
    pub(super) async fn key_status(&self, address: Option<&Address>) -> Result {
        let account = address.map(|address| self.account(address)).transpose()?;
        let permit = self.admit(Action::Operate, None)?;
        let (store, rules) = (self.store().clone(), self.service.key_rules);
        if let Some(account) = account {
            return value(store.account_key_status(&permit, account.id).map_err(failed)?);
        }
        // It asks the key store and looks at every account: off the workers.
        let status = super::blocking(move || store.key_status(&permit, rules)).await?;
        let mut status = value(status)?;
        let epoch = pli_crypto::Epoch::at((self.service.now)());
        if let Value::Object(map) = &mut status {
            map.insert(String::from("epoch"), epoch.0.into());
            map.insert(String::from("epoch_days"), pli_crypto::EPOCH_DAYS.into());
        }
        Ok(status)
    }

    pub(super) async fn key_rotate_root(&self, forget: bool) -> Result {
        let permit = self.admit(Action::KeyRotate, None)?;
        value(self.store().rotate_root(permit, forget).await.map_err(failed)?)
    }

    pub(super) async fn key_rotate_account(&self, address: Option<&Address>) -> Result {
        let account = address.map(|address| self.account(address)).transpose()?.map(|account| account.id);
        let permit = self.admit(Action::KeyRotate, account)?;
        value(self.store().rotate_accounts(permit, account).await.map_err(failed)?)
    }
}
