//! NOTIFY. RFC 5465.

use pli_imap_proto::{Code, NotifyEvent, NotifySet};

use crate::fail::{Fail, Reply};
use crate::notify::{Notify, write_status};
use crate::session::Session;

/// What the server can tell of: RFC 5465 §8 `unsupported-events-code`.
const EVENTS: &[&str] = &["MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "SubscriptionChange"];

pub fn run(session: &mut Session, set: Option<NotifySet>) -> Result<Reply, Fail> {
    let Some(set) = set else {
        // RFC 5465 §3.1: nothing is told from now on, until the next NOTIFY.
        session.notify = Some(Box::new(Notify::new(session, Vec::new())?));
        return Ok(Reply::ok("Nothing will be told"));
    };
    if set.groups.iter().flat_map(|group| &group.events).any(|event| matches!(event, NotifyEvent::Other(_))) {
        return Err(Fail::No(Some(Code::BadEvent(EVENTS)), "This event is not known here"));
    }
    // RFC 5465 §3.1: an implicit NOOP.
    session.notify = None;
    session.tell(true);
    session.notify = Some(Box::new(Notify::new(session, set.groups)?));
    if set.status {
        write_status(session)?;
    }
    Ok(Reply::ok("NOTIFY done"))
}
