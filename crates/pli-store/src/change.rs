//! The store's calls that change something: each takes its permit, prepares, and waits for its commit.

use std::sync::Arc;

use pli_audit::Event;
use pli_crypto::{AccountKeyBlob, CryptoError, Epoch, EpochBlob, KeyWrap, Opened, WrappedKey};
use pli_types::{AccountId, Action, Address, FlagSet, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UnixMillis};

use crate::body::{queue_aad, wrap_aad};
use crate::error::StoreError;
use crate::limits::{EPOCH_ACCOUNTS, EPOCH_AHEAD_DAYS};
use crate::model::{
    AccountChange, Alias, AppendMessage, Appended, Copied, Delivered, Delivery, FlagMode, Flagged, Mailbox, NewAccount,
    Quota,
};
use crate::model_queue::TraceEvent;
use crate::model_sharing::Member;
use crate::ops::{By, Change, Envelope, LocalPlace, NewEntry, RemotePlace, allowed, owner};
use crate::permit::{Committed, Permit};
use crate::store::Store;
use crate::txn::Txn;

/// Whose, signed by which K1, and the keys of the epoch.
type NewEpoch = (AccountId, AccountKeyBlob, EpochBlob);
type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Queues an operation for the committer.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Committed<T>> {
        if let Some(stopped) = self.engine().stop_reason() {
            return Err(stopped);
        }
        self.engine().queue.submit(operation).await
    }

    // ---- the directory ----

    /// Makes an account with its keys, INBOX and the mailboxes given.
    pub async fn create_account(&self, permit: Permit, new: NewAccount) -> Result<Committed<AccountId>> {
        allowed(&permit, &[Action::AccountCreate], None)?;
        self.make_account(permit, new, None).await
    }
    /// An account with its keys; a shared one if there are members, be it none so far.
    pub(crate) async fn make_account(
        &self,
        permit: Permit,
        new: NewAccount,
        members: Option<Vec<Member>>,
    ) -> Result<Committed<AccountId>> {
        if self.account_by_key(&new.address.key())?.is_some() {
            return Err(StoreError::Exists(new.address.to_string()));
        }
        let engine = self.engine();
        let id = engine.new_account()?;
        let aad = engine.account_aad(id);
        let key = engine.keystore.create_account(&aad)?;
        let epoch = engine.keystore.create_epoch(&key, &aad, Epoch::at(engine.now()))?;
        self.commit(move |txn| {
            txn.create_account(id, new, &key, &epoch)?;
            if let Some(members) = members {
                txn.make_shared(id, members)?;
            }
            txn.audit(&permit, |event| event.account(id));
            Ok(id)
        })
        .await
    }
    /// Changes an account.
    pub async fn change_account(&self, permit: Permit, id: AccountId, change: AccountChange) -> Result<Committed<()>> {
        allowed(&permit, &[Action::AccountChange, Action::PasswordChange, Action::SetQuota], Some(id))?;
        self.commit(move |txn| {
            txn.change_account(id, change)?;
            txn.audit(&permit, |event| event.account(id));
            Ok(())
        })
        .await
    }
    /// Removes an account, its mailboxes, messages and keys.
    pub async fn remove_account(&self, permit: Permit, id: AccountId) -> Result<Committed<()>> {
        allowed(&permit, &[Action::AccountRemove], Some(id))?;
        let removed = self.commit(move |txn| {
            txn.remove_account(id)?;
            txn.audit(&permit, |event| event.account(id));
            Ok(())
        });
        let removed = removed.await?;
        self.engine().moments.forget(id);
        Ok(removed)
    }
    /// Adds or replaces an alias.
    pub async fn set_alias(&self, permit: Permit, alias: Alias) -> Result<Committed<()>> {
        allowed(&permit, &[Action::AliasChange], None)?;
        self.commit(move |txn| {
            txn.set_alias(&alias)?;
            txn.audit(&permit, |event| event.count("targets", alias.targets.len() as u64));
            Ok(())
        })
        .await
    }
    /// Removes an alias.
    pub async fn remove_alias(&self, permit: Permit, address: Address) -> Result<Committed<()>> {
        allowed(&permit, &[Action::AliasChange], None)?;
        self.commit(move |txn| {
            txn.remove_alias(&address)?;
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
    }
    /// Adds a domain.
    pub async fn add_domain(&self, permit: Permit, name: String) -> Result<Committed<()>> {
        allowed(&permit, &[Action::DomainChange], None)?;
        self.commit(move |txn| {
            txn.add_domain(name)?;
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
    }
    /// Removes a domain that no account or alias uses.
    pub async fn remove_domain(&self, permit: Permit, name: String) -> Result<Committed<()>> {
        allowed(&permit, &[Action::DomainChange], None)?;
        self.commit(move |txn| {
            txn.remove_domain(&name)?;
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
    }
    /// Counts an account's quota again from its rows; returns what it was and what it is.
    pub async fn recalculate_quota(&self, permit: Permit, id: AccountId) -> Result<Committed<(Quota, Quota)>> {
        allowed(&permit, &[Action::SetQuota, Action::Verify], Some(id))?;
        self.commit(move |txn| {
            let counted = txn.recalculate_quota(id)?;
            txn.audit(&permit, |event| event.account(id));
            Ok(counted)
        })
        .await
    }

    // ---- an account's mail; each acts on the permit's account ----

    /// Takes a message for all its recipients: one body, one commit, all or nothing. Quota is checked again here.
    pub async fn deliver(&self, permit: Permit, delivery: Delivery) -> Result<Committed<Delivered>> {
        self.deliver_traced(permit, delivery, None).await
    }
    /// The same, with an event of the trace in the same commit. Its recipients are in the order of the delivery's, local
    /// ones first; where they went is filled in here.
    pub async fn deliver_traced(
        &self,
        permit: Permit,
        delivery: Delivery,
        trace: Option<TraceEvent>,
    ) -> Result<Committed<Delivered>> {
        const ENTRANCES: &[Action] = &[Action::Deliver, Action::Submit, Action::Relay, Action::QueueAttempt];
        allowed(&permit, ENTRANCES, None)?;
        let engine = self.engine();
        let now = engine.now();
        let Delivery { prepared, reverse_path, local, remote, smtputf8, eight_bit, ends } = delivery;
        let mut local_places = Vec::with_capacity(local.len());
        for recipient in local {
            if owner(&recipient.permit, &[Action::Deliver], recipient.mailbox)? != recipient.account {
                return Err(StoreError::WrongPermit);
            }
            // The public key suffices: delivery writes what it cannot read.
            let aad = wrap_aad(engine.keys.id, recipient.account, prepared.body);
            local_places.push(LocalPlace {
                wrap: engine.seal_for(recipient.account, now, &prepared.key, &aad)?,
                permit: recipient.permit,
                account: recipient.account,
                mailbox: recipient.mailbox,
                flags: recipient.flags,
            });
        }
        let mut remote_places = Vec::with_capacity(remote.len());
        for recipient in remote {
            allowed(&recipient.permit, &[Action::Relay], None)?;
            remote_places.push(RemotePlace {
                permit: recipient.permit,
                forward_path: recipient.forward_path,
                parameters: recipient.parameters,
            });
        }
        for (permit, _, _) in &ends {
            allowed(permit, &[Action::QueueAttempt, Action::QueueChange], None)?;
        }
        let queue_key: Option<WrappedKey> = if remote_places.is_empty() {
            None
        } else {
            Some(prepared.key.wrap_under(&engine.keys.queue, &queue_aad(engine.keys.id, prepared.body))?)
        };
        let submitter = permit.grant().session.account().filter(|_| permit.grant().action == Action::Submit);
        let accounts: Vec<AccountId> = local_places.iter().map(|place| place.account).collect();
        let envelope = Envelope { reverse_path, submitter, smtputf8, eight_bit };
        self.commit(move |txn| {
            let delivered = txn.deliver(&prepared, local_places, remote_places, &envelope, queue_key.as_ref())?;
            for (permit, id, outcome) in &ends {
                txn.end_queue_row(permit, *id, outcome)?;
            }
            if let Some(trace) = trace {
                txn.trace_delivery(trace, &accounts, &delivered)?;
            }
            txn.audit(&permit, |event| {
                event
                    .digest(&prepared.sealed_digest)
                    .count("bytes", prepared.size)
                    .count("local", delivered.local.len() as u64)
                    .count("remote", delivered.queued.len() as u64)
            });
            Ok(delivered)
        })
        .await
    }
    /// APPEND and MULTIAPPEND. With opened keys the message key is wrapped at once instead of sealed; who has
    /// no right to read can put messages in all the same. Flags that the one who acts may not set are left out.
    pub async fn append(
        &self,
        permit: Permit,
        keys: impl Into<Option<&Opened>>,
        mailbox: MailboxId,
        messages: Vec<AppendMessage>,
    ) -> Result<Committed<Appended>> {
        self.append_for(permit, keys.into(), mailbox, messages, None).await
    }
    /// RFC 8508 §3.4: a message comes and another one goes, whatever its flags, in one commit; only what is more than
    /// before counts against the quota. `NoMessage` if the one that is to go is not there.
    pub async fn replace(
        &self,
        permit: Permit,
        keys: impl Into<Option<&Opened>>,
        mailbox: MailboxId,
        message: AppendMessage,
        gone: (Permit, MailboxId, Uid),
    ) -> Result<Committed<Appended>> {
        let account = owner(&gone.0, &[Action::Expunge], Some(gone.1))?;
        self.append_for(permit, keys.into(), mailbox, vec![message], Some((account, gone))).await
    }
    async fn append_for(
        &self,
        permit: Permit,
        keys: Option<&Opened>,
        mailbox: MailboxId,
        messages: Vec<AppendMessage>,
        gone: Option<(AccountId, (Permit, MailboxId, Uid))>,
    ) -> Result<Committed<Appended>> {
        let account = owner(&permit, &[Action::Append], Some(mailbox))?;
        let engine = self.engine();
        let now = engine.now();
        let epoch = engine.delivery_key(account, now)?.epoch();
        let secret = match keys {
            Some(keys) => Some(keys.epoch(now, epoch, &|epoch| engine.epoch_blob(account, epoch).ok().flatten())?),
            None => None,
        };
        let by = By::of(&permit);
        let mut seen = Vec::new();
        let mut entries = Vec::with_capacity(messages.len());
        let mut prepared = Vec::with_capacity(messages.len());
        for mut message in messages {
            let aad = wrap_aad(engine.keys.id, account, message.prepared.body);
            let wrap = match &secret {
                Some(secret) => KeyWrap::Wrapped { epoch, bytes: secret.wrap_key(&message.prepared.key, &aad)? },
                None => engine.seal_for(account, now, &message.prepared.key, &aad)?,
            };
            seen.push(by.filter(&mut message.flags));
            entries.push(NewEntry {
                body: message.prepared.body,
                size: message.prepared.size,
                received: message.internal_date.unwrap_or(now),
                wrap,
                flags: message.flags,
            });
            prepared.push(message.prepared);
        }
        self.commit(move |txn| {
            if let Some((account, (permit, mailbox, uid))) = gone {
                txn.remove(account, mailbox, uid)?;
                txn.audit(&permit, |event| event.uid(uid).count("messages", 1));
            }
            let bodies = prepared.iter().map(|prepared| txn.place_body(prepared)).collect();
            let (uid_validity, uids) = txn.append(account, mailbox, &entries, bodies)?;
            if let Some(person) = by.person {
                txn.mark_new(mailbox, person, uids.iter().zip(seen).filter(|(_, seen)| *seen).map(|(uid, _)| *uid))?;
            }
            txn.audit(&permit, |event| {
                let event = event.mailbox(mailbox, uid_validity).count("messages", uids.len() as u64);
                match (uids.as_slice(), prepared.first()) {
                    ([uid], Some(one)) => event.uid(*uid).digest(&one.sealed_digest),
                    _ => event,
                }
            });
            Ok(Appended { uid_validity, uids })
        })
        .await
    }
    /// Makes a mailbox and the missing ones above it. RFC 9051 §6.3.4.
    pub async fn create_mailbox(
        &self,
        permit: Permit,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Committed<Mailbox>> {
        let account = owner(&permit, &[Action::Create], None)?;
        self.commit(move |txn| {
            let mailbox = txn.create_mailbox(account, name, special_use)?;
            txn.audit(&permit, |event| event.mailbox(mailbox.id, mailbox.uid_validity));
            Ok(mailbox)
        })
        .await
    }
    /// Deletes a mailbox; those below it stay (their parent is shown as \NonExistent). RFC 9051 §6.3.5.
    pub async fn delete_mailbox(&self, permit: Permit, mailbox: MailboxId) -> Result<Committed<()>> {
        let account = owner(&permit, &[Action::Delete], Some(mailbox))?;
        self.commit(move |txn| {
            let mailbox = txn.delete_mailbox(account, mailbox)?;
            txn.audit(&permit, |event| {
                event.mailbox(mailbox.id, mailbox.uid_validity).count("messages", mailbox.messages.into())
            });
            Ok(())
        })
        .await
    }
    /// Renames a mailbox and those below it; INBOX's messages move to the new name. RFC 9051 §6.3.6.
    pub async fn rename_mailbox(&self, permit: Permit, mailbox: MailboxId, to: MailboxName) -> Result<Committed<()>> {
        let account = owner(&permit, &[Action::Rename], Some(mailbox))?;
        self.commit(move |txn| {
            let mailbox = txn.rename_mailbox(account, mailbox, to)?;
            txn.audit(&permit, |event| event.mailbox(mailbox.id, mailbox.uid_validity));
            Ok(())
        })
        .await
    }
    /// Subscribes or unsubscribes a name, whether it exists or not.
    pub async fn subscribe(&self, permit: Permit, name: MailboxName, subscribed: bool) -> Result<Committed<()>> {
        let account = owner(&permit, &[Action::Subscribe, Action::Create], None)?;
        self.commit(move |txn| {
            txn.subscribe(account, &name, subscribed);
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
    }
    /// Changes flags. UIDs that are gone are left out. RFC 7162 §3.1.3 for `unchanged_since`.
    pub async fn change_flags(
        &self,
        permit: Permit,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        mode: FlagMode,
        flags: FlagSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Committed<Flagged>> {
        // FETCH of content sets \Seen by itself (RFC 9051 §6.4.5).
        let account = owner(&permit, &[Action::Store, Action::MarkSeen], Some(mailbox))?;
        self.commit(move |txn| {
            let change = Change { mode, flags: &flags, unchanged_since };
            let flagged = txn.change_flags(account, mailbox, &uids, &change, By::of(&permit))?;
            txn.audit(&permit, |event| event.count("messages", flagged.uids.len() as u64));
            Ok(flagged)
        })
        .await
    }
    /// Copies messages; rows only, no body is touched.
    pub async fn copy(
        &self,
        permit: Permit,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
    ) -> Result<Committed<Copied>> {
        self.copy_or_move(permit, Action::Copy, from, uids, to).await
    }
    /// Moves messages in one commit. RFC 6851.
    pub async fn move_messages(
        &self,
        permit: Permit,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
    ) -> Result<Committed<Copied>> {
        self.copy_or_move(permit, Action::Move, from, uids, to).await
    }
    async fn copy_or_move(
        &self,
        permit: Permit,
        action: Action,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
    ) -> Result<Committed<Copied>> {
        let account = owner(&permit, &[action], None)?;
        // Between mailboxes of others each needs leave: `copy_across`.
        if permit.person().is_some() || permit.grant().mailbox.is_some_and(|mailbox| mailbox != from && mailbox != to) {
            return Err(StoreError::WrongPermit);
        }
        self.commit(move |txn| {
            let (uid_validity, uids) =
                txn.copy_or_move(account, from, Some(&uids), to, action == Action::Move, By::OWNER)?;
            txn.audit(&permit, |event| event.mailbox(to, uid_validity).count("messages", uids.len() as u64));
            Ok(Copied { uid_validity, uids })
        })
        .await
    }
    /// Removes messages with \Deleted, all of them or those among `only`. Returns their UIDs.
    pub async fn expunge(
        &self,
        permit: Permit,
        mailbox: MailboxId,
        only: Option<Vec<Uid>>,
    ) -> Result<Committed<Vec<Uid>>> {
        let account = owner(&permit, &[Action::Expunge], Some(mailbox))?;
        self.commit(move |txn| {
            let uids = txn.expunge(account, mailbox, only)?;
            txn.audit(&permit, |event| event.count("messages", uids.len() as u64));
            Ok(uids)
        })
        .await
    }

    /// Removes messages whatever their flags: what POP3's DELE marked. Those that are gone already are passed over.
    pub async fn remove(&self, permit: Permit, mailbox: MailboxId, uids: Vec<Uid>) -> Result<Committed<Vec<Uid>>> {
        let account = owner(&permit, &[Action::Expunge], Some(mailbox))?;
        self.commit(move |txn| {
            let gone = txn.remove_all(account, mailbox, uids)?;
            txn.audit(&permit, |event| event.count("messages", gone.len() as u64));
            Ok(gone)
        })
        .await
    }

    // ---- audit and keys ----

    /// Commits an event that has no other effect (login, refusal, read) and waits until it is durable.
    pub async fn record(&self, permit: Permit, event: Event) -> Result<Committed<()>> {
        self.commit(move |txn| {
            txn.own.events.push(event);
            drop(permit);
            Ok(())
        })
        .await
    }
    /// The same of several events, in one commit.
    pub async fn record_all(&self, permit: Permit, events: Vec<Event>) -> Result<Committed<()>> {
        self.commit(move |txn| {
            txn.own.events.extend(events);
            drop(permit);
            Ok(())
        })
        .await
    }
    /// Puts an event into the next commit group without waiting (session events, refusals).
    pub fn note(&self, permit: Permit, event: Event) {
        drop(permit);
        if !self.engine().queue.note(event) {
            tracing::error!("an audit event found no room or a closed store");
        }
    }
    /// Makes key epochs that are due soon. Returns how many were made.
    pub async fn make_due_epochs(&self, permit: Permit) -> Result<u64> {
        allowed(&permit, &[Action::KeyRotate, Action::Operate], None)?;
        self.make_epochs_ahead(&Arc::new(permit)).await
    }
    pub(crate) async fn make_epochs_ahead(&self, permit: &Arc<Permit>) -> Result<u64> {
        let engine = self.engine();
        let now = engine.now();
        let soon = UnixMillis(now.0.saturating_add(EPOCH_AHEAD_DAYS.saturating_mul(86_400_000)));
        let mut due = vec![Epoch::at(now)];
        if Epoch::at(soon) != Epoch::at(now) {
            due.push(Epoch::at(soon));
        }
        let mut made = 0_u64;
        let mut after = None;
        loop {
            let accounts = self.accounts(after, EPOCH_ACCOUNTS)?;
            let Some(last) = accounts.last() else { return Ok(made) };
            after = Some(last.id);
            let mut blobs = Vec::new();
            for account in &accounts {
                match self.missing_epochs(account.id, &due, &mut blobs) {
                    Ok(()) => {}
                    Err(error @ StoreError::Keys(CryptoError::Unavailable(_))) => return Err(error),
                    // One account's trouble is not the others'.
                    Err(error @ (StoreError::Keys(_) | StoreError::NoAccount(_))) => {
                        tracing::warn!(account = %account.id, %error, "an account gets no new epoch");
                    }
                    Err(error) => return Err(error),
                }
            }
            made = made.saturating_add(self.add_epochs(Arc::clone(permit), blobs).await?);
        }
    }
    /// Makes the keys of the epochs that an account lacks.
    fn missing_epochs(&self, account: AccountId, due: &[Epoch], made: &mut Vec<NewEpoch>) -> Result<()> {
        let engine = self.engine();
        let aad = engine.account_aad(account);
        for epoch in due {
            if engine.epoch_blob(account, *epoch)?.is_none() {
                let key = engine.account_key(account)?;
                let blob = engine.keystore.create_epoch(&key, &aad, *epoch)?;
                made.push((account, key, blob));
            }
        }
        Ok(())
    }
    /// Adds keys of epochs, with their event in the same commit.
    async fn add_epochs(&self, permit: Arc<Permit>, blobs: Vec<NewEpoch>) -> Result<u64> {
        if blobs.is_empty() {
            return Ok(0);
        }
        let added = self.commit(move |txn| {
            let mut added = 0_u64;
            for (account, key, blob) in &blobs {
                added = added.saturating_add(u64::from(txn.add_epoch(*account, key, blob)?));
            }
            if added > 0 {
                txn.audit(&permit, |event| event.count("epochs", added));
            }
            Ok(added)
        });
        Ok(added.await?.value)
    }
}
