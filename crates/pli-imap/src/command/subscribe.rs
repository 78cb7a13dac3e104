//! SUBSCRIBE and UNSUBSCRIBE. RFC 9051 §6.3.7, §6.3.8.

use pli_types::{Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub async fn subscribe(session: &mut Session, name: MailboxName) -> Result<Reply, Fail> {
    // RFC 9051 §6.3.7: a server may check that the mailbox exists; it then says NO.
    super::find(session, &name)?;
    let permit = session.admit_any(Action::Subscribe)?;
    session.store().subscribe(permit, name, true).await?;
    Ok(Reply::ok("Subscribed"))
}

pub async fn unsubscribe(session: &mut Session, name: MailboxName) -> Result<Reply, Fail> {
    let permit = session.admit_any(Action::Subscribe)?;
    session.store().subscribe(permit, name, false).await?;
    Ok(Reply::ok("Unsubscribed"))
}
