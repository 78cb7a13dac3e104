//! Submission by an administrator, as `pli send` does it.

use std::sync::Arc;

use bytes::Bytes;
use pli_directory::Route;
use pli_gate::Target;
use pli_store::{Delivery, LocalRecipient, RemoteRecipient};
use pli_types::{Action, Actor, Address, ByteCount, FlagSet, SessionInfo};
use serde_json::json;

use super::{Call, Result, failed, refused};
use crate::{ErrorKind, Failure};

impl Call<'_> {
    pub(super) async fn send(&self, from: &Address, to: &[Address], message: &str) -> Result {
        let account = self.account(from)?;
        if to.is_empty() {
            return Err(Failure::new(ErrorKind::Usage, "nobody to send to"));
        }
        // The administrator's session with the account as actor: rights and limits are the account's own.
        let session = Arc::new(SessionInfo { actor: Actor::Account(account.id), ..(**self.session).clone() });
        let raw = Bytes::from(crlf(message));
        let submit = Target { account: Some(account.id), ..Target::default() };
        let permit = self.gate().admit(&session, Action::Submit, &submit).map_err(refused)?;

        let mut local: Vec<LocalRecipient> = Vec::new();
        let mut remote: Vec<RemoteRecipient> = Vec::new();
        for address in to {
            let (accounts, addresses) = match self.gate().route(address).map_err(refused)? {
                Route::To { local, remote } => (local, remote),
                Route::Remote => (Vec::new(), vec![address.clone()]),
                Route::Unknown => {
                    return Err(Failure::new(ErrorKind::NotFound, format!("nobody here is called {address}")));
                }
            };
            for id in accounts {
                if local.iter().any(|recipient| recipient.account == id) {
                    continue;
                }
                let adds = ByteCount::new(u64::try_from(raw.len()).unwrap_or(u64::MAX));
                let target = Target { account: Some(id), adds, ..Target::default() };
                let permit = self.gate().admit(&session, Action::Deliver, &target).map_err(refused)?;
                local.push(LocalRecipient { permit, account: id, mailbox: None, flags: FlagSet::default() });
            }
            for forward_path in addresses {
                let permit = self.gate().admit(&session, Action::Relay, &submit).map_err(refused)?;
                remote.push(RemoteRecipient { permit, forward_path, parameters: Vec::new() });
            }
        }
        let eight_bit = !raw.is_ascii();
        let delivery = Delivery {
            prepared: self.store().prepare(raw).map_err(failed)?,
            reverse_path: Some(from.clone()),
            smtputf8: from.is_international() || to.iter().any(Address::is_international),
            local,
            remote,
            eight_bit,
            ends: Vec::new(),
        };
        let done = self.store().deliver(permit, delivery).await.map_err(failed)?;
        Ok(json!({ "delivered": done.value.local.len(), "queued": done.value.queued }))
    }
}

/// Line ends as on the wire.
fn crlf(message: &str) -> String {
    message.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n")
}

#[cfg(test)]
mod tests {
    use super::crlf;

    #[test]
    fn line_ends_become_crlf() {
        assert_eq!(crlf("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd");
    }
}
