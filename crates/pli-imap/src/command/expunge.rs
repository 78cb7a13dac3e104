//! EXPUNGE and UID EXPUNGE. RFC 9051 §6.4.3, §6.4.9, RFC 4315 §2.1.

use pli_imap_proto::{Code, MessageSet};
use pli_types::Action;

use crate::fail::{Fail, Reply, ReplyCode};
use crate::pick::pick;
use crate::session::Session;

pub async fn run(session: &mut Session, uids: Option<MessageSet>) -> Result<Reply, Fail> {
    let open = session.open()?;
    if open.read_only {
        return Err(Fail::No(Some(Code::NoPerm), "The mailbox is open read-only"));
    }
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let mut lowest = None;
    let only = match &uids {
        None => None,
        Some(set) => {
            let mut picked = pick(&open.picture, true, set, &saved)?;
            lowest = picked.limit(&open.picture, session.message_limit());
            Some(picked.uid_list(&open.picture))
        }
    };
    let permit = session.admit_on(Action::Expunge, &open)?;
    session.store().expunge(permit, open.mailbox, only).await?;
    // What is gone is told before the tagged answer, by this row's `Tells::All`.
    session.tell_own(true);
    if lowest.is_some() {
        return Ok(session.limited("Expunged", lowest));
    }
    if session.enabled.qresync
        && let Some(selected) = session.selected()
    {
        // RFC 7162 §3.2.7
        let highest = selected.highest_modseq();
        return Ok(Reply::ok_code(ReplyCode::Plain(Code::HighestModSeq(highest)), "Expunged"));
    }
    Ok(Reply::ok("Expunged"))
}
