//! SELECT and EXAMINE. RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.1.8 (CONDSTORE), §3.2.5 (QRESYNC).

use pli_gate::Login;
use pli_imap_proto::{Code, ListRow, ListVerb, Qresync, Status};
use pli_store::{Mailbox, Reader};
use pli_types::{Action, MailboxName, ModSeq, Rights, SystemFlag};
use std::sync::Arc;

use super::status::mailbox_id;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::indexing::{self, Mail};
use crate::others;
use crate::past::{Located, locate};
use crate::picture::{FlagPrinter, Show, write_flag_lines, write_flags};
use crate::session::Session;
use crate::state::{Enabled, Selected, State};

/// RFC 7162 §3.2.5.2: pairs that a client may send to narrow what it is told.
const MATCHES_COUNT_MAX: usize = 10_000;

/// RFC 4314 §5.2: \\Seen is not among them, each has his own.
const SHARED_CHANGES: Rights = Rights::INSERT.with(Rights::EXPUNGE).with(Rights::WRITE).with(Rights::TRASH);

pub async fn run(
    session: &mut Session,
    name: &MailboxName,
    read_only: bool,
    condstore: bool,
    qresync: Option<Qresync>,
) -> Result<Reply, Fail> {
    // RFC 7162 §3.2.5: BAD unless it was enabled before.
    if qresync.is_some() && !session.enabled.qresync {
        return Err(Fail::Bad("Enable QRESYNC first"));
    }
    let login = leave(session)?;
    if condstore {
        session.enabled.condstore = true;
    }
    let (mailbox, past) = match locate(session, name).await? {
        Located::Present(mailbox) => (mailbox, None),
        Located::Past(moment, mailbox) => (mailbox, Some(moment)),
    };
    // RFC 9051 §6.3.2: SELECT of what cannot be changed is answered as read-only.
    let read_only = read_only || past.is_some();
    let permit = session.admit_on(Action::Select, &mailbox)?;
    let rights = session.rights(&mailbox)?;
    let keys = Box::pin(others::keys(session, &mailbox)).await?;
    let store = session.store();
    let reader = match &past {
        None => store.read(&permit)?,
        Some(moment) => store.read_past(&permit, moment)?,
    };
    let view = reader.view(mailbox.id)?;
    let mut current = view.subscribe();
    let picture = current.borrow_and_update().clone();
    let selected = Selected {
        account: mailbox.account,
        keys,
        mailbox: mailbox.id,
        name: mailbox.name.clone(),
        read_only,
        rights,
        past: past.clone(),
        keywords_told: picture.keywords.len(),
        picture,
        _view: view,
        current,
        saved: Vec::new(),
        new_from: None,
        contexts: Vec::new(),
    };
    write_mailbox(session, &mailbox, &selected);
    indexing::begin_if_behind(&session.service, &Mail::new(&login, &selected));
    if let Some(qresync) = qresync {
        resynchronise(session, reader, &selected, &qresync)?;
    }
    login.presence.set_selected(Some(mailbox.name.as_str()));
    session.state = State::Selected { login, selected: Box::new(selected) };
    // RFC 4314 §5.2: READ-WRITE where something can be changed that others see.
    Ok(if read_only || !rights.has_any(SHARED_CHANGES) {
        Reply::ok_code(ReplyCode::Plain(Code::ReadOnly), "Examined")
    } else {
        Reply::ok_code(ReplyCode::Plain(Code::ReadWrite), "Selected")
    })
}

/// RFC 9051 §6.3.2: SELECT closes the mailbox that is open, whether it succeeds or not.
fn leave(session: &mut Session) -> Result<Arc<Login>, Fail> {
    let login = session.login()?;
    if session.selected().is_some() {
        // RFC 7162 §3.2.11: what follows is about the new mailbox.
        session.wire.out.untagged(Status::Ok, Some(Code::Closed), "Previous mailbox closed");
    }
    session.deselect(Arc::clone(&login));
    Ok(login)
}

fn write_mailbox(session: &mut Session, mailbox: &Mailbox, selected: &Selected) {
    let Enabled { rev2, uid_only, .. } = session.enabled;
    let [modseq, object_id] = ["CONDSTORE", "OBJECTID"].map(|name| !session.hides(name));
    let out = &mut session.wire.out;
    let picture = &selected.picture;
    write_flag_lines(out, picture, selected.changeable());
    out.exists(picture.messages);
    if !rev2 {
        // RFC 3501 §7.3.2, §6.3.1: rev1 asks for both; \Recent is not kept.
        out.recent(0);
        let unseen = picture.iter().find(|(_, entry)| entry.flags & SystemFlag::Seen.bit() == 0);
        // RFC 9586 §3: no message numbers.
        if let Some((number, _)) = unseen.filter(|_| !uid_only) {
            out.untagged(Status::Ok, Some(Code::Unseen(number)), "First unseen");
        }
    }
    out.uid_lines(picture.uid_validity, picture.uid_next);
    if modseq {
        out.untagged(Status::Ok, Some(Code::HighestModSeq(highest(picture.highest_modseq))), "Highest");
    }
    if object_id {
        let id = mailbox_id(mailbox.id, selected.past.as_deref());
        out.untagged(Status::Ok, Some(Code::MailboxId(&id)), "Object id");
    }
    if rev2 {
        // RFC 9051 §6.3.2: a LIST answer with the mailbox's name is required in rev2.
        out.list(&ListRow {
            verb: ListVerb::List,
            attributes: &[],
            separator: Some(MailboxName::SEPARATOR),
            name: mailbox.name.as_str(),
            old_name: None,
            child_info_subscribed: false,
        });
    }
}

/// RFC 7162 §7: a mod-sequence is at least 1.
fn highest(modseq: ModSeq) -> ModSeq {
    modseq.max(ModSeq::new(1))
}

/// RFC 7162 §3.2.5: what changed since the client was here.
fn resynchronise(
    session: &mut Session,
    reader: Reader<'_>,
    selected: &Selected,
    qresync: &Qresync,
) -> Result<(), Fail> {
    let picture = &selected.picture;
    // RFC 7162 §3.2.5: another UIDVALIDITY: the parameters mean nothing.
    if qresync.uid_validity != picture.uid_validity {
        return Ok(());
    }
    let known = qresync.known_uids.as_ref().map(|set| set.resolve(u32::MAX));
    let floor = matched(selected, qresync);
    let mut vanished = reader.vanished_since(picture, qresync.mod_seq)?;
    vanished.retain_mut(|(first, last)| {
        *first = floor.saturating_add(1).max(*first);
        first <= last
    });
    if let Some(known) = &known {
        vanished = known.meet(&vanished);
    }
    let enabled = session.enabled;
    let out = &mut session.wire.out;
    out.vanished_earlier(&vanished);
    let mut printer = FlagPrinter::default();
    for (number, entry) in picture.iter() {
        let wanted = known.as_ref().is_none_or(|known| known.contains(entry.uid.get()));
        if entry.modseq > qresync.mod_seq && wanted {
            write_flags(out, &mut printer, enabled, picture, number, &entry, (true, Show::Flags));
        }
    }
    Ok(())
}

/// RFC 7162 §3.2.5.2: up to the last pair that still matches nothing was expunged.
fn matched(selected: &Selected, qresync: &Qresync) -> u32 {
    let Some((numbers, uids)) = &qresync.matches else { return 0 };
    let (Some(numbers), Some(uids)) = (numbers.in_order(MATCHES_COUNT_MAX), uids.in_order(MATCHES_COUNT_MAX)) else {
        return 0;
    };
    numbers
        .into_iter()
        .zip(uids)
        .take_while(|(number, uid)| selected.picture.by_number(*number).is_some_and(|e| e.uid.get() == *uid))
        .last()
        .map_or(0, |(_, uid)| uid)
}
