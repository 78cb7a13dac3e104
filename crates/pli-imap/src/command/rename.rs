//! RENAME. RFC 9051 §6.3.6.

use pli_types::{Action, MailboxName};

use pli_imap_proto::Code;

use super::find;
use crate::fail::{Fail, Reply};
use crate::others;
use crate::session::Session;

pub async fn run(session: &mut Session, from: &MailboxName, to: MailboxName) -> Result<Reply, Fail> {
    let mailbox = find(session, from)?;
    crate::past::keep_free(session, &to)?;
    let permit = session.admit_on(Action::Rename, &mailbox)?;
    // RFC 4314 §4: `x` on the mailbox and `k` above the new name.
    let place = others::place_for(session, Action::Create, &to)?;
    let account = place.as_ref().map_or(session.login()?.account, |place| place.account);
    if account != mailbox.account {
        return Err(Fail::No(Some(Code::Cannot), "A mailbox cannot be renamed into another account"));
    }
    if place.is_some() && others::is_inbox(from) {
        return Err(Fail::No(Some(Code::Cannot), "The INBOX of another account cannot be renamed"));
    }
    let to = place.map_or(to, |place| place.name);
    session.store().rename_mailbox(permit, mailbox.id, to).await?;
    Ok(Reply::ok("Renamed"))
}
