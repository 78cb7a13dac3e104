//! The session's state (RFC 9051 §3): an enum whose variants own what that state may know.

use std::sync::Arc;

use pli_crypto::Opened;
use pli_gate::Login;
use pli_store::{Mailbox, Moment, Permit, Reader, Snapshot, Store, StoreError, View};
use pli_types::{AccountId, MailboxId, MailboxName, ModSeq, Rights, Uid};
use tokio::sync::watch;

use crate::context::Context;

/// RFC 9051 §3.
pub enum State {
    /// §3.1
    NotAuthenticated {
        /// Failed logins so far.
        failures: u32,
    },
    /// §3.2
    Authenticated {
        /// Who.
        login: Arc<Login>,
    },
    /// §3.3
    Selected {
        /// Who.
        login: Arc<Login>,
        /// What.
        selected: Box<Selected>,
    },
    /// §3.4
    Logout,
}

/// A mailbox and whose it is: what a command asks the gate about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose mail it is; not always the session's own.
    pub account: AccountId,
    /// Which mailbox.
    pub mailbox: MailboxId,
}

impl From<&Mailbox> for Place {
    fn from(mailbox: &Mailbox) -> Self {
        Self { account: mailbox.account, mailbox: mailbox.id }
    }
}

impl From<&Open> for Place {
    fn from(open: &Open) -> Self {
        Self { account: open.account, mailbox: open.mailbox }
    }
}

/// An open mailbox.
pub struct Selected {
    /// Whose mail it is.
    pub account: AccountId,
    /// The keys that open it: the login's own, or those of another's mail.
    pub keys: Arc<Opened>,
    /// Which.
    pub mailbox: MailboxId,
    /// Its name when it was opened.
    pub name: MailboxName,
    /// EXAMINE, or of the past.
    pub read_only: bool,
    /// What the session may do with it, as the client was told last.
    pub rights: Rights,
    /// The moment that it is of, if it is of the past.
    pub past: Option<Arc<Moment>>,
    /// What the client has been told: message numbers are places in this.
    pub picture: Arc<Snapshot>,
    /// Holds the shared view, so that changes go on arriving.
    pub _view: Arc<View>,
    /// What there is.
    pub current: watch::Receiver<Arc<Snapshot>>,
    /// RFC 9051 §6.4.4.1: `$`; UIDs, rising.
    pub saved: Vec<Uid>,
    /// RFC 5465 §5.2: the first of the new messages that are still to be fetched for NOTIFY.
    pub new_from: Option<Uid>,
    /// RFC 5267 §4.3: searches whose results are kept up to date.
    pub contexts: Vec<Context>,
    /// Keywords that the client was told of by FLAGS.
    pub keywords_told: usize,
}

/// RFC 9051 §6.3.1, RFC 5161.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// RFC 7162 §3.1: FETCH carries MODSEQ.
    pub condstore: bool,
    /// RFC 7162 §3.2: VANISHED instead of EXPUNGE.
    pub qresync: bool,
    /// RFC 6855 §3.
    pub utf8: bool,
    /// RFC 9051 §6.3.1.
    pub rev2: bool,
    /// RFC 9586 §3: no message numbers.
    pub uid_only: bool,
    /// RFC 5255 §3.2: LANGUAGE has chosen a language,
    pub language: bool,
    /// and it is French.
    pub french: bool,
}

/// What a command on the open mailbox needs, taken out of the state so that the session can write meanwhile.
#[derive(Clone)]
pub struct Open {
    /// Who.
    pub login: Arc<Login>,
    /// Whose mail it is.
    pub account: AccountId,
    /// The keys that open it.
    pub keys: Arc<Opened>,
    /// Which.
    pub mailbox: MailboxId,
    /// The picture at the command's start.
    pub picture: Arc<Snapshot>,
    /// EXAMINE, or of the past.
    pub read_only: bool,
    /// The moment that it is of.
    pub past: Option<Arc<Moment>>,
}

impl Open {
    /// Reads the mailbox and its messages, as they are or as they were.
    pub fn reader<'a>(&'a self, store: &'a Store, permit: &'a Permit) -> Result<Reader<'a>, StoreError> {
        match &self.past {
            None => store.read(permit),
            Some(moment) => store.read_past(permit, moment),
        }
    }
}

impl Selected {
    /// Which flags can be changed now.
    pub const fn changeable(&self) -> Rights {
        if self.read_only { Rights::NONE } else { self.rights }
    }
    /// What there is now. A mailbox that is deleted is an empty one (RFC 9051 §6.3.5 leaves open what a session hears).
    pub fn newest(&mut self) -> Arc<Snapshot> {
        let newest = self.current.borrow_and_update().clone();
        if newest.exists {
            return newest;
        }
        Arc::new(Snapshot { chunks: Vec::new(), messages: 0, ..Snapshot::clone(&newest) })
    }
    /// The highest mod-sequence that the client knows of.
    pub fn highest_modseq(&self) -> ModSeq {
        self.picture.highest_modseq
    }
}
