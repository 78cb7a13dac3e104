//! Mail as it was: what an administrator may look at, and putting it back.

use std::sync::Arc;

use pli_audit::Event;
use pli_store::{Account, Mailbox, Moment, Permit};
use pli_types::{Action, Address, MailboxName, SystemFlag, UnixMillis};
use serde_json::{Value, json};

use super::{Call, Result, blocking, failed};
use crate::{ErrorKind, Failure};

/// What is put back, and how.
pub(super) struct Rewind {
    pub(super) address: Address,
    pub(super) time: UnixMillis,
    pub(super) mailbox: Option<String>,
    pub(super) label: String,
    pub(super) dry_run: bool,
}

impl Call<'_> {
    /// The mailboxes of an account as they were.
    pub(super) async fn store_at(&self, address: &Address, time: UnixMillis) -> Result {
        let (account, moment, permit) = self.moment(address, time, Action::Inspect).await?;
        self.looked(&permit, time, |event| event).await?;
        let reader = self.store().read_past(&permit, &moment).map_err(failed)?;
        let mailboxes: Vec<Value> = reader.mailboxes().map_err(failed)?.iter().map(describe).collect();
        Ok(json!({
            "address": account.address,
            "time": time,
            "whole": moment.is_whole(),
            "mailboxes": mailboxes,
        }))
    }

    /// The messages of a mailbox as it was, without what they say.
    pub(super) async fn store_at_messages(&self, address: &Address, time: UnixMillis, mailbox: &str) -> Result {
        let (account, moment, permit) = self.moment(address, time, Action::Inspect).await?;
        let row = self.mailbox_then(&permit, &moment, mailbox)?;
        self.looked(&permit, time, |event| event.mailbox(row.id, row.uid_validity)).await?;
        let store = self.store().clone();
        let messages = blocking(move || {
            let reader = store.read_past(&permit, &moment)?;
            let mut messages = Vec::new();
            for (_, entry) in reader.view(row.id)?.snapshot().iter() {
                let message = reader.message(entry.email)?;
                let flags = SystemFlag::ALL.into_iter().filter(|flag| entry.flags & flag.bit() != 0);
                let keywords = row.keywords.iter().zip(5_u32..).filter(|(_, bit)| entry.flags >> (bit % 64) & 1 == 1);
                let flags: Vec<String> = flags
                    .map(|flag| flag.name().to_owned())
                    .chain(keywords.map(|(keyword, _)| keyword.as_str().to_owned()))
                    .collect();
                messages.push(json!({
                    "uid": entry.uid,
                    "received": message.received.secs(),
                    "bytes": message.size,
                    "flags": flags,
                }));
            }
            Ok(messages)
        });
        Ok(json!({ "address": account.address, "time": time, "mailbox": mailbox, "messages": messages.await? }))
    }

    /// Puts mailboxes of an account back.
    pub(super) async fn store_rewind(&self, rewind: Rewind) -> Result {
        let Rewind { address, time, mailbox, label, dry_run } = rewind;
        let only = mailbox.as_deref().map(mailbox_name).transpose()?;
        let (account, moment, _) = self.moment(&address, time, Action::Rewind).await?;
        let prefix = if account.language == "fr" { "Restauration" } else { "Restore" };
        let aside = mailbox_name(&format!("{prefix}-{label}"))?;
        let permit = self.admit(Action::Rewind, Some(account.id))?;
        let done = self.store().rewind(permit, &moment, only.as_ref(), aside.clone(), dry_run).await.map_err(failed)?;
        let mailboxes: Vec<Value> = done
            .iter()
            .map(|rewound| {
                json!({
                    "name": rewound.mailbox.name,
                    "messages": rewound.mailbox.messages,
                    "same": rewound.same,
                    "restored": rewound.restored,
                    "aside": rewound.aside,
                    "uid_validity": rewound.mailbox.uid_validity,
                })
            })
            .collect();
        Ok(json!({
            "address": account.address,
            "time": time,
            "dry_run": dry_run,
            "aside": aside,
            "mailboxes": mailboxes,
        }))
    }

    /// Opens a moment under an action; the permit is for it.
    async fn moment(
        &self,
        address: &Address,
        time: UnixMillis,
        action: Action,
    ) -> Result<(Account, Arc<Moment>, Permit)> {
        let account = self.account(address)?;
        let permit = self.admit(action, Some(account.id))?;
        let moment = self.store().moment(&permit, time).await.map_err(failed)?;
        Ok((account, moment, permit))
    }

    fn mailbox_then(&self, permit: &Permit, moment: &Moment, name: &str) -> Result<Mailbox> {
        let reader = self.store().read_past(permit, moment).map_err(failed)?;
        let found = reader.mailbox_by_name(&mailbox_name(name)?).map_err(failed)?;
        found.ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("there was no mailbox {name}")))
    }

    /// Records that an administrator looked, and waits until that is durable.
    async fn looked(&self, permit: &Permit, time: UnixMillis, describe: impl FnOnce(Event) -> Event) -> Result<()> {
        let grant = permit.grant();
        let event = self.gate().event(self.session, grant.action).policy(grant.rule, None);
        let event = match grant.account {
            Some(account) => event.account(account).on_behalf_of(account),
            None => event,
        };
        let event = event.count("moment", u64::try_from(time.secs()).unwrap_or(0));
        self.record(grant.action, describe(event)).await
    }
}

fn describe(mailbox: &Mailbox) -> Value {
    json!({
        "name": mailbox.name,
        "messages": mailbox.messages,
        "unseen": mailbox.unseen,
        "bytes": mailbox.bytes,
        "uid_validity": mailbox.uid_validity,
        "uid_next": mailbox.uid_next,
    })
}

fn mailbox_name(name: &str) -> Result<MailboxName> {
    MailboxName::new(name).map_err(|error| Failure::new(ErrorKind::Usage, format!("{name}: {error}")))
}
