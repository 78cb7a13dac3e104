//! NAMESPACE. RFC 9051 §6.3.10.

use pli_types::{Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    session.admit_any(Action::List)?;
    // Shared by form, not by content: mailboxes that are not made, renamed or filled like the account's own.
    let past = crate::past::root_of(session)?.map(|root| format!("{root}{}", MailboxName::SEPARATOR));
    let shared: Vec<&str> = past.as_deref().into_iter().collect();
    session.wire.out.namespace(&[""], &[], &shared, MailboxName::SEPARATOR);
    Ok(Reply::ok("NAMESPACE done"))
}
