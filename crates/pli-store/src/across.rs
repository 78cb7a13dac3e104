//! COPY and MOVE where a mailbox is another's.

use pli_crypto::Opened;
use pli_types::{Action, Uid};

use crate::body::wrap_aad;
use crate::error::StoreError;
use crate::model::Copied;
use crate::ops::{By, End, Resealed, owner};
use crate::permit::{Committed, Permit};
use crate::read::Reader;
use crate::rows::keys;
use crate::rows::mail::MessageRow;
use crate::store::Store;
use crate::txn::Txn;

type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Copies messages into a mailbox of the same account or of another; `keys` open the source. Flags come along as far
    /// as the one who acts may set them. The permits are for `Copy` or `Move` of the source and `CopyInto` of the target;
    /// the target's account pays. What is read of another's mail is recorded message by message.
    pub async fn copy_across(
        &self,
        permit: Permit,
        keys: &Opened,
        uids: Vec<Uid>,
        into: Permit,
    ) -> Result<Committed<Copied>> {
        let is_move = permit.grant().action == Action::Move;
        let (from, to) = (end(&permit, &[Action::Copy, Action::Move])?, end(&into, &[Action::CopyInto])?);
        let resealed =
            if from.account == to.account { Vec::new() } else { self.reseal(&permit, from, keys, &uids, to)? };
        self.commit(move |txn| {
            let (uid_validity, pairs) = if from.account == to.account {
                txn.copy_or_move(from.account, from.mailbox, Some(&uids), to.mailbox, is_move, to.by)?
            } else {
                txn.copy_across(from, &resealed, to, is_move)?
            };
            note(txn, &permit, &into, &pairs)?;
            Ok(Copied { uid_validity, uids: pairs })
        })
        .await
    }

    /// Seals the keys of messages for another account. Only who can open them can do so.
    fn reseal(&self, permit: &Permit, from: End, keys: &Opened, uids: &[Uid], to: End) -> Result<Vec<Resealed>> {
        let engine = self.engine();
        let now = engine.now();
        let reader = Reader {
            engine,
            account: from.account,
            action: permit.grant().action,
            past: None,
            person: permit.person(),
            only: Some(from.mailbox),
        };
        let picture = reader.view(from.mailbox)?.snapshot();
        let mut uids = uids.to_vec();
        uids.sort_unstable();
        uids.dedup();
        let mut resealed = Vec::with_capacity(uids.len());
        for entry in uids.iter().filter_map(|uid| picture.by_uid(*uid)) {
            let message: Option<MessageRow> = engine.rows.load(&keys::message(from.account, entry.email))?;
            let Some(message) = message else { continue };
            let key = reader.message_key(keys, entry.email, &message)?;
            let wrap = engine.seal_for(to.account, now, &key, &wrap_aad(engine.keys.id, to.account, message.body))?;
            resealed.push(Resealed { uid: entry.uid, email: entry.email, wrap });
        }
        Ok(resealed)
    }
}

fn end(permit: &Permit, actions: &[Action]) -> Result<End> {
    let account = owner(permit, actions, None)?;
    let mailbox = permit.grant().mailbox.ok_or(StoreError::WrongPermit)?;
    Ok(End { account, mailbox, by: By::of(permit) })
}

/// The events: what went where; and each message that somebody took of another's mail.
fn note(txn: &mut Txn<'_>, permit: &Permit, into: &Permit, pairs: &[(Uid, Uid)]) -> Result<()> {
    let messages = pairs.len() as u64;
    let (from, to) = (end(permit, &[Action::Copy, Action::Move])?, end(into, &[Action::CopyInto])?);
    let validity = txn.mailbox(from.account, from.mailbox)?.uid_validity;
    if from.account != to.account && permit.person().is_some() {
        for (uid, _) in pairs {
            txn.audit(permit, |event| event.mailbox(from.mailbox, validity).uid(*uid));
        }
    } else {
        txn.audit(permit, |event| event.mailbox(from.mailbox, validity).count("messages", messages));
    }
    let validity = txn.mailbox(to.account, to.mailbox)?.uid_validity;
    txn.audit(into, |event| event.mailbox(to.mailbox, validity).count("messages", messages));
    Ok(())
}
