//! NAMESPACE. RFC 9051 §6.3.10.

use pli_gate::Space;
use pli_types::{Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    session.admit_any(Action::List)?;
    // Shared by form, not by content: mailboxes that are not made, renamed or filled like the account's own.
    let past = crate::past::root_of(session)?.map(|root| format!("{root}{}", MailboxName::SEPARATOR));
    let [others, shared] = Space::ALL.map(|space| format!("{}{}", space.root(), MailboxName::SEPARATOR));
    let shared: Vec<&str> = [&*shared].into_iter().chain(past.as_deref()).collect();
    session.wire.out.namespace(&[""], &[&others], &shared, MailboxName::SEPARATOR);
    Ok(Reply::ok("NAMESPACE done"))
}
