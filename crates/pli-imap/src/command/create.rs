//! CREATE. RFC 9051 §6.3.4, RFC 6154 §3.

use pli_imap_proto::Code;
use pli_types::{Action, MailboxName, SpecialUse};

use crate::fail::{Fail, Reply, ReplyCode};
use crate::others;
use crate::session::Session;

pub async fn run(
    session: &mut Session,
    name: MailboxName,
    uses: &[SpecialUse],
    unknown: &[Box<str>],
) -> Result<Reply, Fail> {
    // RFC 6154 §3: all or nothing.
    if !unknown.is_empty() || uses.len() > 1 {
        return Err(Fail::No(Some(Code::UseAttr), "This special use cannot be given"));
    }
    if name.is_inbox() {
        return Err(Fail::No(Some(Code::AlreadyExists), "INBOX is always there"));
    }
    crate::past::keep_free(session, &name)?;
    let (permit, name) = match others::place_for(session, Action::Create, &name)? {
        // RFC 6154 §3: a use is one's own; a client would take another's mailbox for its own one.
        Some(_) if !uses.is_empty() => {
            return Err(Fail::No(Some(Code::UseAttr), "This special use cannot be given"));
        }
        Some(place) => (place.permit, place.name),
        None => (session.admit_any(Action::Create)?, name),
    };
    let made = session.store().create_mailbox(permit, name, uses.first().copied()).await?.value;
    // RFC 8474 §4.1
    Ok(Reply::ok_code(ReplyCode::MailboxId(super::status::mailbox_id(made.id, None)), "Created"))
}
