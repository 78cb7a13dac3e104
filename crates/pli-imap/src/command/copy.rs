//! COPY and UID COPY. RFC 9051 §6.4.7, RFC 4315 §3 (COPYUID).

use pli_imap_proto::MessageSet;
use pli_store::Copied;
use pli_types::{Action, MailboxName, Uid};

use super::find_target;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::others;
use crate::pick::pick;
use crate::session::Session;

pub async fn run(session: &mut Session, uid: bool, set: &MessageSet, name: &MailboxName) -> Result<Reply, Fail> {
    let (open, uids) = picked(session, uid, set)?;
    let target = find_target(session, name)?;
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to copy"));
    }
    if let Some(moment) = &open.past {
        // What is gone comes back as a new message: the store takes it from the quota, or refuses.
        let permit = session.admit_on(Action::Restore, &target)?;
        let copied = session.store().restore(permit, moment, open.mailbox, uids, target.id).await?.value;
        return Ok(reply(copied));
    }
    if !(session.is_own(&open)? && session.is_own(&target)?) {
        return Ok(reply(Box::pin(others::copy(session, Action::Copy, &open, uids, &target)).await?));
    }
    // A message that stands in two mailboxes of an account counts once against its quota: COPY adds nothing.
    let permit = session.admit_on(Action::Copy, &open)?;
    let copied = session.store().copy(permit, open.mailbox, uids, target.id).await?.value;
    Ok(reply(copied))
}

fn reply(copied: Copied) -> Reply {
    if copied.uids.is_empty() {
        return Reply::ok("Nothing to copy");
    }
    let (validity, from, to) = split(copied);
    Reply::ok_code(ReplyCode::CopyUid(validity, from, to), "Copied")
}

/// The messages that a command means, by UID.
pub fn picked(session: &mut Session, uid: bool, set: &MessageSet) -> Result<(crate::state::Open, Vec<Uid>), Fail> {
    let open = session.open()?;
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let uids = pick(&open.picture, uid, set, &saved)?.uid_list(&open.picture);
    session.check_message_limit(uids.len())?;
    Ok((open, uids))
}

/// RFC 4315 §3: both lists in the order of the copying.
pub fn split(copied: Copied) -> (pli_types::UidValidity, Vec<Uid>, Vec<Uid>) {
    let (from, to) = copied.uids.into_iter().unzip();
    (copied.uid_validity, from, to)
}
