//! STATUS. RFC 9051 §6.3.11.

use pli_imap_proto::{StatusItem, StatusValue};
use pli_store::{Mailbox, Moment};
use pli_types::{Action, MailboxId, MailboxName, SystemFlag};

use crate::fail::{Fail, Reply};
use crate::past::{Located, locate};
use crate::session::Session;

pub async fn run(session: &mut Session, name: &MailboxName, items: &[StatusItem]) -> Result<Reply, Fail> {
    let (mailbox, moment) = match locate(session, name).await? {
        Located::Present(mailbox) => (mailbox, None),
        Located::Past(moment, mailbox) => (mailbox, Some(moment)),
    };
    if moment.is_none() {
        session.admit_on(Action::Status, &mailbox)?;
    }
    note_condstore(session, items);
    write(session, &mailbox, moment.as_deref(), items)?;
    Ok(Reply::ok("STATUS done"))
}

/// RFC 7162 §3.1: asking for HIGHESTMODSEQ is a CONDSTORE-enabling command.
pub fn note_condstore(session: &mut Session, items: &[StatusItem]) {
    if items.contains(&StatusItem::HighestModSeq) {
        session.enabled.condstore = true;
    }
}

/// One STATUS answer, of a mailbox as it is or as it was.
pub fn write(
    session: &mut Session,
    mailbox: &Mailbox,
    moment: Option<&Moment>,
    items: &[StatusItem],
) -> Result<(), Fail> {
    let deleted_bytes =
        if items.contains(&StatusItem::DeletedStorage) { deleted_bytes(session, mailbox, moment)? } else { 0 };
    let id = mailbox_id(mailbox.id, moment);
    let number = StatusValue::Number;
    let values: Vec<(StatusItem, StatusValue<'_>)> = items
        .iter()
        .map(|item| {
            let value = match item {
                StatusItem::Messages => number(mailbox.messages.into()),
                // RFC 9051 Appendix E: \Recent is not kept.
                StatusItem::Recent => number(0),
                StatusItem::UidNext => number(mailbox.uid_next.get().into()),
                StatusItem::UidValidity => number(mailbox.uid_validity.get().into()),
                StatusItem::Unseen => number(mailbox.unseen.into()),
                StatusItem::Deleted => number(mailbox.deleted.into()),
                StatusItem::Size => number(mailbox.bytes.get()),
                StatusItem::HighestModSeq => number(mailbox.highest_modseq.get()),
                StatusItem::MailboxId => StatusValue::Id(&id),
                StatusItem::DeletedStorage => number(deleted_bytes),
                StatusItem::AppendLimit => number(session.service.config.message_bytes_max),
            };
            (*item, value)
        })
        .collect();
    session.wire.out.status(mailbox.name.as_str(), &values);
    Ok(())
}

/// RFC 9208 §4.1.4. No sum is kept of this, and clients seldom ask: it is counted.
fn deleted_bytes(session: &Session, mailbox: &Mailbox, moment: Option<&Moment>) -> Result<u64, Fail> {
    if mailbox.deleted == 0 {
        return Ok(0);
    }
    let permit = session.admit_on(Action::Status, mailbox)?;
    let store = session.store();
    let reader = match moment {
        None => store.read(&permit)?,
        Some(moment) => store.read_past(&permit, moment)?,
    };
    let snapshot = reader.view(mailbox.id)?.snapshot();
    let mut bytes = 0u64;
    for (_, entry) in snapshot.iter().filter(|(_, entry)| entry.flags & SystemFlag::Deleted.bit() != 0) {
        bytes = bytes.saturating_add(reader.message(entry.email)?.size.get());
    }
    Ok(bytes)
}

/// RFC 8474 §4: an object id, of letters, digits and hyphens. A mailbox as it was is not the one that it is.
pub fn mailbox_id(id: MailboxId, moment: Option<&Moment>) -> String {
    match moment {
        None => format!("F{id}"),
        Some(moment) => format!("F{id}-{}", moment.at()),
    }
}
