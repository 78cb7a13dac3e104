//! One file a command, of the same stem as its grammar.

pub mod acl;
pub mod append;
pub mod authenticate;
pub mod capability;
pub mod close;
pub mod compress;
pub mod context;
pub mod copy;
pub mod create;
pub mod delete;
pub mod enable;
pub mod esearch;
pub mod expunge;
pub mod fetch;
pub mod id;
pub mod idle;
pub mod language;
pub mod list;
pub mod login;
pub mod logout;
pub mod metadata;
pub mod r#move;
pub mod namespace;
pub mod notify;
pub mod quota;
pub mod rename;
pub mod search;
pub mod select;
pub mod sort;
pub mod status;
pub mod store;
pub mod subscribe;
pub mod thread;
pub mod unauthenticate;
pub mod urlauth;

use pli_imap_proto::Code;
use pli_store::Mailbox;
use pli_types::{Action, MailboxName};

use crate::fail::Fail;
use crate::others;
use crate::past;
use crate::session::Session;

/// Finds a mailbox by name, among those that can be changed.
pub fn find(session: &Session, name: &MailboxName) -> Result<Mailbox, Fail> {
    find_or(session, name, Code::NonExistent)
}

/// Finds a mailbox to put messages into. RFC 9051 §6.3.12, §6.4.7: TRYCREATE tells the client to create it.
pub fn find_target(session: &Session, name: &MailboxName) -> Result<Mailbox, Fail> {
    find_or(session, name, Code::TryCreate)
}

fn find_or(session: &Session, name: &MailboxName, code: Code<'static>) -> Result<Mailbox, Fail> {
    let permit = session.admit_any(Action::List)?;
    let store = session.store();
    if let Some(found) = store.read(&permit)?.mailbox_by_name(name)? {
        return Ok(found);
    }
    if let Some(other) = others::find(session, name)? {
        return Ok(other);
    }
    if past::covering(session, name)?.is_some() {
        return Err(Fail::No(Some(Code::NoPerm), "The past is read-only"));
    }
    Err(Fail::No(Some(code), "No such mailbox"))
}
