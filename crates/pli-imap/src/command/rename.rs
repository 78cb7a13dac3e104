//! RENAME. RFC 9051 §6.3.6.

use pli_types::{Action, MailboxName};

use super::find;
use crate::fail::{Fail, Reply};
use crate::session::Session;

pub async fn run(session: &mut Session, from: &MailboxName, to: MailboxName) -> Result<Reply, Fail> {
    let mailbox = find(session, from)?;
    crate::past::keep_free(session, &to)?;
    let permit = session.admit_on(Action::Rename, &mailbox)?;
    session.store().rename_mailbox(permit, mailbox.id, to).await?;
    Ok(Reply::ok("Renamed"))
}
