//! New messages: APPEND, and a delivery to all its recipients.

use pli_crypto::{KeyWrap, WrappedKey};
use pli_types::{
    AccountId, Address, BodyId, EmailId, EnvelopeParameters, FlagSet, MailboxId, ModSeq, QueueId, Uid, UidValidity,
    UnixMillis,
};

use super::{Result, count, keyword_bits};
use crate::error::StoreError;
use crate::model::{Delivered, Mailbox};
use crate::model_queue::QueueRow;
use crate::rows::directory::Blob;
use crate::rows::keys;
use crate::rows::log::GoneRow;
use crate::rows::mail::{AccountState, BodyRow, MessageRow};
use crate::txn::Txn;
use crate::view::Entry;

/// A message to be entered into a mailbox.
pub(crate) struct NewEntry {
    pub(crate) body: BodyId,
    pub(crate) size: u64,
    pub(crate) received: UnixMillis,
    pub(crate) wrap: KeyWrap,
    pub(crate) flags: FlagSet,
}

/// A local recipient with its sealed key.
pub(crate) struct LocalPlace {
    pub(crate) permit: crate::Permit,
    pub(crate) account: AccountId,
    pub(crate) mailbox: Option<MailboxId>,
    pub(crate) flags: FlagSet,
    pub(crate) wrap: KeyWrap,
}

/// A remote recipient.
pub(crate) struct RemotePlace {
    pub(crate) permit: crate::Permit,
    pub(crate) forward_path: Address,
    pub(crate) parameters: Vec<u8>,
}

/// What all remote recipients of a message share.
pub(crate) struct Envelope {
    pub(crate) reverse_path: Option<Address>,
    pub(crate) submitter: Option<AccountId>,
    pub(crate) smtputf8: bool,
    pub(crate) eight_bit: bool,
}

/// RFC 9051 §2.3.1.1: the next UID; a mailbox that has used them all takes no more.
pub(super) fn next_uid(mailbox: &mut Mailbox) -> Result<Uid> {
    let uid = mailbox.uid_next;
    if uid.get() >= u32::MAX >> 1 {
        return Err(StoreError::Limit("UIDs of the mailbox"));
    }
    mailbox.uid_next = Uid::new(uid.get().saturating_add(1));
    Ok(uid)
}

impl Txn<'_> {
    /// Enters a message: message row, counts, quota. Neither its entry nor mailbox nor state are put.
    fn enter(
        &mut self,
        account: AccountId,
        state: &mut AccountState,
        mailbox: &mut Mailbox,
        modseq: ModSeq,
        new: &NewEntry,
    ) -> Result<Entry> {
        charge(state, new.size)?;
        state.next_email = state.next_email.saturating_add(1);
        let email = EmailId::new(state.next_email);
        let flags = new.flags.system | keyword_bits(mailbox, &new.flags.keywords, true)?;
        let uid = next_uid(mailbox)?;
        let row =
            MessageRow { body: new.body, size: new.size, received: new.received, thread: 0, refs: 1, wrap: new.wrap };
        self.put(keys::message(account, email), &row);
        count(mailbox, flags, new.size, true);
        mailbox.highest_modseq = modseq;
        Ok(Entry { uid, email, modseq, flags })
    }

    /// APPEND and MULTIAPPEND: all or nothing (RFC 3502 §6.3.11).
    pub(crate) fn append(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        entries: &[NewEntry],
        bodies: Vec<BodyRow>,
    ) -> Result<(UidValidity, Vec<Uid>)> {
        let mut state = self.state(account)?;
        let mut row = self.mailbox(account, mailbox)?;
        let modseq = Self::next_modseq(&mut state);
        let mut entered = Vec::with_capacity(entries.len());
        for (entry, mut body) in entries.iter().zip(bodies) {
            entered.push(self.enter(account, &mut state, &mut row, modseq, entry)?);
            body.messages = 1;
            self.put(keys::body(entry.body), &body);
        }
        self.append_entries(mailbox, &entered)?;
        let uids: Vec<Uid> = entered.iter().map(|entry| entry.uid).collect();
        if !uids.is_empty() {
            self.put_mailbox(&row);
            self.put_state(account, &state);
        }
        Ok((row.uid_validity, uids))
    }

    /// Enters a delivery for each local recipient and queues it for each remote one.
    pub(crate) fn deliver(
        &mut self,
        prepared: &crate::Prepared,
        local: Vec<LocalPlace>,
        remote: Vec<RemotePlace>,
        envelope: &Envelope,
        queue_key: Option<&WrappedKey>,
    ) -> Result<Delivered> {
        let mut delivered = Delivered::default();
        let mut body = self.place_body(prepared);
        let now = self.now();
        for place in local {
            let mut state = self.state(place.account)?;
            let wanted = place.mailbox.map(|id| self.mailbox(place.account, id));
            let mut mailbox = match wanted {
                Some(Ok(mailbox)) => mailbox,
                // The mailbox may have been deleted since the recipient was accepted.
                Some(Err(StoreError::NoMailbox)) | None => self.mailbox(place.account, state.inbox)?,
                Some(Err(error)) => return Err(error),
            };
            let modseq = Self::next_modseq(&mut state);
            let new = NewEntry {
                body: prepared.body,
                size: prepared.size,
                received: now,
                wrap: place.wrap,
                flags: place.flags,
            };
            let entry = self.enter(place.account, &mut state, &mut mailbox, modseq, &new)?;
            self.append_entry(mailbox.id, entry)?;
            let uid = entry.uid;
            body.messages = body.messages.saturating_add(1);
            self.put_mailbox(&mailbox);
            self.put_state(place.account, &state);
            delivered.local.push((mailbox.id, mailbox.uid_validity, uid));
            self.audit(&place.permit, |event| {
                event.mailbox(mailbox.id, mailbox.uid_validity).uid(uid).digest(&prepared.sealed_digest)
            });
        }
        for place in remote {
            let id = self.queue_recipient(prepared, envelope, &place)?;
            body.queued = body.queued.saturating_add(1);
            delivered.queued.push(id);
            self.audit(&place.permit, |event| event.digest(&prepared.sealed_digest).count("queue-id", id.get()));
        }
        if let Some(key) = queue_key.filter(|_| body.queued > 0) {
            self.put(keys::queue_body(prepared.body), &Blob(key.as_bytes().to_vec()));
        }
        if body.messages == 0 && body.queued == 0 {
            return Err(StoreError::Impossible("a message needs a recipient"));
        }
        self.put(keys::body(prepared.body), &body);
        Ok(delivered)
    }

    fn queue_recipient(
        &mut self,
        prepared: &crate::Prepared,
        envelope: &Envelope,
        place: &RemotePlace,
    ) -> Result<QueueId> {
        let mut globals = self.globals()?;
        globals.next_queue = globals.next_queue.saturating_add(1);
        let id = QueueId::new(globals.next_queue);
        self.put(keys::globals(), &globals);
        // RFC 4865: what is to wait is not due before.
        let hold_until = EnvelopeParameters::decode(&place.parameters).mail.hold_until;
        let row = QueueRow {
            id,
            body: prepared.body,
            size: prepared.size(),
            reverse_path: envelope.reverse_path.clone(),
            forward_path: place.forward_path.clone(),
            submitter: envelope.submitter,
            created: self.now(),
            attempts: 0,
            next_attempt: hold_until.map_or(self.now(), |at| at.max(self.now())),
            last_error: None,
            held: false,
            smtputf8: envelope.smtputf8,
            eight_bit: envelope.eight_bit,
            parameters: place.parameters.clone(),
            route: None,
            last_attempt: None,
            told_delay: false,
        };
        self.put_queue_row(&row, None);
        Ok(id)
    }

    /// One reference of a body by a message row goes; the row goes with the last.
    pub(crate) fn release_body(&mut self, body: BodyId, queued: bool) -> Result<()> {
        let key = keys::body(body);
        let mut row: BodyRow = match self.load(&key) {
            Ok(Some(row)) => row,
            // Lost by damage: that must not keep its message from being removed.
            Ok(None) | Err(StoreError::Damaged(_)) => {
                tracing::error!(%body, "a body that goes has no row");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if queued {
            row.queued = row.queued.saturating_sub(1);
            if row.queued == 0 {
                self.delete(keys::queue_body(body));
            }
        } else {
            row.messages = row.messages.saturating_sub(1);
        }
        if row.messages == 0 && row.queued == 0 {
            self.delete(key);
            let time = self.now();
            self.put(keys::gone(body), &GoneRow { time, body: row });
        } else {
            self.put(key, &row);
        }
        Ok(())
    }

    /// One message row more refers to a body, be it gone already. `Missing` once its bytes are gone for good.
    pub(crate) fn revive_body(&mut self, body: BodyId) -> Result<()> {
        let key = keys::body(body);
        let mut row: BodyRow = match self.load(&key)? {
            Some(row) => row,
            None => {
                let gone: Option<GoneRow> = self.load(&keys::gone(body))?;
                let gone = gone.ok_or_else(|| StoreError::Missing(format!("body {body}")))?;
                self.delete(keys::gone(body));
                gone.body
            }
        };
        row.messages = row.messages.saturating_add(1);
        self.put(key, &row);
        Ok(())
    }
}

/// Takes a message's bytes from the quota, or refuses. RFC 9208 §5.
pub(super) fn charge(state: &mut AccountState, size: u64) -> Result<()> {
    let quota = &mut state.quota;
    let bytes = quota.bytes_used.get().saturating_add(size);
    let messages = quota.messages_used.saturating_add(1);
    if quota.limit.bytes.is_some_and(|limit| bytes > limit.get())
        || quota.limit.messages.is_some_and(|limit| messages > limit)
    {
        return Err(StoreError::OverQuota { used: quota.bytes_used });
    }
    quota.bytes_used = pli_types::ByteCount::new(bytes);
    quota.messages_used = messages;
    Ok(())
}
