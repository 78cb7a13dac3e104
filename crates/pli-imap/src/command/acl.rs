//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS. RFC 4314 §3.

use pli_imap_proto::{AclChange, Code};
use pli_store::{Mailbox, RightsChange, StoreError, Subject};
use pli_types::{Action, MailboxName, Rights};

use super::find;
use crate::fail::{Fail, Reply};
use crate::session::Session;

pub async fn set(
    session: &mut Session,
    name: &MailboxName,
    identifier: &str,
    change: AclChange,
) -> Result<Reply, Fail> {
    let change = match change {
        AclChange::Set(rights) => RightsChange::Set(rights),
        AclChange::Add(rights) => RightsChange::Add(rights),
        AclChange::Remove(rights) => RightsChange::Remove(rights),
    };
    let mailbox = find(session, name)?;
    let permit = session.admit_on(Action::SetAcl, &mailbox)?;
    let subject = subject(session, identifier)?;
    refuse_owner(session, &mailbox, &subject)?;
    session.store().set_acl(permit, mailbox.id, subject, change).await?;
    Ok(Reply::ok("SETACL done"))
}

pub async fn delete(session: &mut Session, name: &MailboxName, identifier: &str) -> Result<Reply, Fail> {
    let mailbox = find(session, name)?;
    let permit = session.admit_on(Action::SetAcl, &mailbox)?;
    let subject = subject(session, identifier)?;
    refuse_owner(session, &mailbox, &subject)?;
    session.store().set_acl(permit, mailbox.id, subject, RightsChange::Delete).await?;
    Ok(Reply::ok("DELETEACL done"))
}

pub fn get(session: &mut Session, name: &MailboxName) -> Result<Reply, Fail> {
    let mailbox = find(session, name)?;
    session.admit_on(Action::GetAcl, &mailbox)?;
    let list = session.store().sharing()?.list(mailbox.account, mailbox.id);
    let mut shown = Vec::with_capacity(list.len());
    for (subject, rights) in list {
        if let Some(identifier) = session.service.gate.identifier(&subject)? {
            shown.push((identifier, rights.with_obsolete()));
        }
    }
    session.wire.out.acl(name.as_str(), &shown);
    Ok(Reply::ok("GETACL done"))
}

/// No rights are tied together: each is in a string of its own.
pub fn list(session: &mut Session, name: &MailboxName, identifier: &str) -> Result<Reply, Fail> {
    let mailbox = find(session, name)?;
    session.admit_on(Action::GetAcl, &mailbox)?;
    let subject = subject(session, identifier)?;
    // RFC 4314 §3.7: what an owner always has.
    let (always, optional) = if is_owner(session, &mailbox, &subject)? {
        (Rights::ALL.with_obsolete(), Vec::new())
    } else {
        // RFC 4314 §2.1.1: the virtual rights by themselves.
        let letters = Rights::letters().map(|(letter, _)| letter).chain(['c', 'd']);
        (String::new(), letters.map(String::from).collect())
    };
    // RFC 4314 §3.4: the identifier as the client gave it.
    session.wire.out.list_rights(name.as_str(), identifier, &always, &optional);
    Ok(Reply::ok("LISTRIGHTS done"))
}

pub fn mine(session: &mut Session, name: &MailboxName) -> Result<Reply, Fail> {
    let mailbox = find(session, name)?;
    let rights = session.rights(&mailbox)?;
    // RFC 4314 §4: one of these at least; without, the mailbox is not to be known of.
    if !rights.has_any(KNOWING) {
        return Err(Fail::No(Some(Code::NonExistent), "No such mailbox"));
    }
    session.wire.out.my_rights(name.as_str(), &rights.with_obsolete());
    Ok(Reply::ok("MYRIGHTS done"))
}

const KNOWING: Rights = Rights::LOOKUP
    .with(Rights::READ)
    .with(Rights::INSERT)
    .with(Rights::CREATE)
    .with(Rights::DELETE)
    .with(Rights::ADMINISTER);

/// RFC 8440 §3: the rights of a mailbox that LIST has shown.
pub fn write_mine(session: &mut Session, mailbox: &Mailbox) -> Result<(), Fail> {
    let rights = session.rights(mailbox)?;
    session.wire.out.my_rights(mailbox.name.as_str(), &rights.with_obsolete());
    Ok(())
}

fn subject(session: &Session, identifier: &str) -> Result<Subject, Fail> {
    // RFC 4314 §2: servers need not have negative rights.
    if identifier.starts_with('-') {
        return Err(Fail::No(Some(Code::Cannot), "There are no negative rights here"));
    }
    let found = session.service.gate.subject(identifier)?;
    found.ok_or(Fail::No(Some(Code::Cannot), "There is nobody of this name"))
}

fn is_owner(session: &Session, mailbox: &Mailbox, subject: &Subject) -> Result<bool, Fail> {
    let sharing = session.store().sharing()?;
    let member = sharing.members(mailbox.account).and_then(|all| all.iter().find(|member| member.subject == *subject));
    Ok(*subject == Subject::Account(mailbox.account) || member.is_some_and(|member| member.owner))
}

/// Nobody is locked out: an owner has all rights, whatever a list says.
fn refuse_owner(session: &Session, mailbox: &Mailbox, subject: &Subject) -> Result<(), Fail> {
    if is_owner(session, mailbox, subject)? {
        return Err(StoreError::Impossible("An owner has all rights, always").into());
    }
    Ok(())
}
