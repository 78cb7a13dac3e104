//! Mailboxes of others: found by the names under which they are seen, and done to by the rights that were given. What
//! these are, the gate says.

use std::sync::Arc;

use pli_crypto::Opened;
use pli_gate::{Gate, Other, Target};
use pli_imap_proto::Code;
use pli_store::{Copied, Entry, Mailbox, Permit, Snapshot};
use pli_types::{AccountId, Action, MailboxName, Uid};

use crate::fail::Fail;
use crate::session::Session;
use crate::state::{Open, Place};

/// The row under the name by which it is seen, and without a special use: no client is to take another's Trash for its
/// own.
fn shown(other: Other) -> Mailbox {
    Mailbox { name: other.name, special_use: None, ..other.mailbox }
}

/// A mailbox of another by name, if the session was given any right on it.
pub fn find(session: &Session, name: &MailboxName) -> Result<Option<Mailbox>, Fail> {
    let login = session.login()?;
    Ok(session.service.gate.other(&login.session, name)?.map(shown))
}

/// All that the session may list.
pub fn listed(session: &Session) -> Result<Vec<Mailbox>, Fail> {
    let login = session.login()?;
    Ok(session.service.gate.others(&login.session)?.into_iter().map(shown).collect())
}

/// Whether a name is a root of mail of others, or an account below one.
pub fn is_level(name: &str) -> bool {
    MailboxName::new(name).is_ok_and(|name| Gate::is_of_others(&name))
        && name.matches(MailboxName::SEPARATOR).count() < 2
}

/// Whether a name is of another's INBOX.
pub fn is_inbox(name: &MailboxName) -> bool {
    let mut levels = name.as_str().splitn(3, MailboxName::SEPARATOR).skip(2);
    levels.next().is_some_and(|inner| inner.eq_ignore_ascii_case("INBOX"))
}

/// The keys that open a mailbox: the session's own, or another's, which are opened now and that is recorded.
pub async fn keys(session: &mut Session, mailbox: &Mailbox) -> Result<Arc<Opened>, Fail> {
    let login = session.login()?;
    if mailbox.account == login.account {
        return Ok(Arc::clone(&login.keys));
    }
    let which = (mailbox.id, mailbox.uid_validity);
    Ok(session.service.gate.open_shared(&login.session, mailbox.account, which).await?)
}

/// Where a new name of another's mailbox leads.
pub struct NewPlace {
    /// Whose it would be.
    pub account: AccountId,
    /// The name in that account.
    pub name: MailboxName,
    /// Leave to make it.
    pub permit: Permit,
}

/// Leave for a new name in another's account; `None` for a name that is the session's own to give. RFC 4314 §4: it takes
/// the right on the nearest mailbox above; INBOX stands for the top.
pub fn place_for(session: &Session, action: Action, name: &MailboxName) -> Result<Option<NewPlace>, Fail> {
    if !Gate::is_of_others(name) {
        return Ok(None);
    }
    let login = session.login()?;
    let gate = &session.service.gate;
    let Some((account, Some(inner))) = gate.other_account(&login.session, name)? else {
        return Err(Fail::No(Some(Code::Cannot), "This name is kept for mailboxes of others"));
    };
    let above = session.store().nearest_above(account.id, &inner)?;
    let target = Target { account: Some(account.id), mailbox: Some(above), ..Target::default() };
    let permit = session.admit(action, &target)?;
    Ok(Some(NewPlace { account: account.id, name: inner, permit }))
}

/// COPY or MOVE where one of the mailboxes is another's.
pub async fn copy(
    session: &mut Session,
    action: Action,
    open: &Open,
    uids: Vec<Uid>,
    target: &Mailbox,
) -> Result<Copied, Fail> {
    let permit = session.admit_on(action, open)?;
    let into = session.admit_on(Action::CopyInto, target)?;
    Ok(session.store().copy_across(permit, &open.keys, uids, into).await?.value)
}

/// What is read of another's mail is recorded message by message, and that is on disk before a byte is sent.
pub async fn record_reads(
    session: &mut Session,
    place: Place,
    picture: &Snapshot,
    batch: &[(u32, Entry)],
) -> Result<(), Fail> {
    if session.is_own(place)? {
        return Ok(());
    }
    let login = session.login()?;
    let uids: Vec<Uid> = batch.iter().map(|(_, entry)| entry.uid).collect();
    let which = (place.mailbox, picture.uid_validity);
    Ok(session.service.gate.record_reads(&login.session, place.account, which, &uids).await?)
}
