//! NAMESPACE. RFC 9051 §6.3.10.

use pli_types::{Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    session.admit_any(Action::List)?;
    session.wire.out.namespace(&[""], &[], &[], MailboxName::SEPARATOR);
    Ok(Reply::ok("NAMESPACE done"))
}
