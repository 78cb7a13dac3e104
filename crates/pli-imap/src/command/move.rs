//! MOVE and UID MOVE. RFC 9051 §6.4.8, RFC 6851.

use pli_imap_proto::{Code, MessageSet, Status};
use pli_types::{Action, MailboxName};

use super::copy::{picked, split};
use super::find_target;
use crate::fail::{Fail, Reply};
use crate::others;
use crate::session::Session;

pub async fn run(session: &mut Session, uid: bool, set: &MessageSet, name: &MailboxName) -> Result<Reply, Fail> {
    let (open, uids) = picked(session, uid, set)?;
    if open.read_only {
        return Err(Fail::No(Some(Code::NoPerm), "The mailbox is open read-only"));
    }
    let target = find_target(session, name)?;
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to move"));
    }
    let moved = if session.is_own(&open)? && session.is_own(&target)? {
        let permit = session.admit_on(Action::Move, &open)?;
        session.store().move_messages(permit, open.mailbox, uids, target.id).await?.value
    } else {
        Box::pin(others::copy(session, Action::Move, &open, uids, &target)).await?
    };
    if !moved.uids.is_empty() {
        // RFC 6851 §4.3: COPYUID in an untagged OK, before the EXPUNGEs.
        let (validity, from, to) = split(moved);
        if !session.hides("UIDPLUS") {
            session.wire.out.untagged(Status::Ok, Some(Code::CopyUid { validity, from: &from, to: &to }), "Moved");
        }
    }
    session.tell_own(true);
    Ok(Reply::ok("MOVE done"))
}
