//! DELETE. RFC 9051 §6.3.5.

use pli_imap_proto::Code;
use pli_types::{Action, MailboxName};

use super::find;
use crate::fail::{Fail, Reply};
use crate::session::Session;

pub async fn run(session: &mut Session, name: &MailboxName) -> Result<Reply, Fail> {
    if name.is_inbox() {
        return Err(Fail::No(Some(Code::Cannot), "INBOX cannot be deleted"));
    }
    let mailbox = find(session, name)?;
    let permit = session.admit_on(Action::Delete, &mailbox)?;
    session.store().delete_mailbox(permit, mailbox.id).await?;
    leave(session, mailbox.id);
    Ok(Reply::ok("Deleted"))
}

/// The session's own open mailbox is gone: it is closed without a word of its messages.
fn leave(session: &mut Session, mailbox: pli_types::MailboxId) {
    if session.selected().is_some_and(|open| open.mailbox == mailbox)
        && let Ok(login) = session.login()
    {
        session.deselect(login);
    }
}
