//! Mail of others: by which names it is seen, by which rights it is reached, and what is recorded when it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use pli_crypto::Opened;
use pli_store::{Account, Mailbox, Quota, Subject};
use pli_types::{AccountId, Action, Address, MailboxId, MailboxName, Rights, SessionInfo, Uid, UidValidity};

use crate::Refusal;
use crate::gate::{Gate, Target, unavailable};
use crate::policy::{Others, Row, row};

/// The two namespaces of mail of others (RFC 2342 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Of persons.
    OtherUsers,
    /// Of shared accounts.
    Shared,
}

impl Space {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OtherUsers, Self::Shared];

    /// The first level of its names.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::OtherUsers => "Other Users",
            Self::Shared => "Shared",
        }
    }
}

/// A mailbox of another as somebody sees it.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its row; the name is the one that it has in its account.
    pub mailbox: Mailbox,
    /// The name by which it is seen.
    pub name: MailboxName,
    /// What he may do with it.
    pub rights: Rights,
}

/// Whether an account's address can be a level of a mailbox name.
#[must_use]
pub fn is_shareable(address: &Address) -> bool {
    !address.to_string().contains([MailboxName::SEPARATOR, '*', '%'])
}

/// `Shared/support@example.org`: what the names of an account's mailboxes begin with.
fn prefix(space: Space, address: &Address) -> Option<String> {
    is_shareable(address).then(|| format!("{}{}{address}", space.root(), MailboxName::SEPARATOR))
}

/// A name below a root, taken apart: the namespace, the account's level, the name inside.
fn split(name: &MailboxName) -> Option<(Space, &str, Option<&str>)> {
    let (root, rest) = name.as_str().split_once(MailboxName::SEPARATOR)?;
    let space = Space::ALL.into_iter().find(|space| space.root() == root)?;
    Some(match rest.split_once(MailboxName::SEPARATOR) {
        Some((account, inner)) => (space, account, Some(inner)),
        None => (space, rest, None),
    })
}

impl Gate {
    /// Whether a name is one of the two roots, or below one.
    #[must_use]
    pub fn is_of_others(name: &MailboxName) -> bool {
        Space::ALL.iter().any(|space| {
            let rest = name.as_str().strip_prefix(space.root());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(MailboxName::SEPARATOR))
        })
    }

    /// What the rights of somebody on another's mailbox come to for a row of the table.
    pub(crate) fn check_others(
        &self,
        person: AccountId,
        account: AccountId,
        row: &Row,
        mailbox: Option<MailboxId>,
    ) -> Result<Rights, Refusal> {
        if row.others == Others::Never {
            return Err(Refusal::NoRight);
        }
        let Some(mailbox) = mailbox else { return Err(Refusal::NoRight) };
        let rights = self.store.sharing().map_err(|e| unavailable(&e))?.rights(person, account, mailbox);
        if !row.others.allows(rights) {
            // RFC 4314 §6: what somebody may not see is answered as if it were not there.
            return Err(if rights.has(Rights::LOOKUP) { Refusal::NoRight } else { Refusal::Hidden });
        }
        match self.store.account(account).map_err(|e| unavailable(&e))? {
            Some(account) if account.suspended => Err(Refusal::Suspended),
            Some(_) => Ok(rights),
            None => Err(Refusal::Hidden),
        }
    }

    /// What a session may do with a mailbox: everything with its own.
    pub fn rights(&self, session: &SessionInfo, account: AccountId, mailbox: MailboxId) -> Result<Rights, Refusal> {
        let person = session.account().ok_or(Refusal::NotAuthenticated)?;
        Ok(self.store.sharing().map_err(|e| unavailable(&e))?.rights(person, account, mailbox))
    }

    /// The mailboxes of an account, for one to whom something of it was given; the caller shows what rights allow.
    fn mailboxes(&self, session: &Arc<SessionInfo>, account: AccountId) -> Result<Vec<Mailbox>, Refusal> {
        let permit = self.grant(session, Action::List, Some(account), None, row(Action::List));
        let read = || self.store.read(&permit)?.mailboxes();
        read().map_err(|e| unavailable(&e))
    }

    /// Other accounts of whose mail something was given to the session's account, by what their names begin with.
    fn reached(&self, session: &SessionInfo) -> Result<BTreeMap<String, Account>, Refusal> {
        let person = session.account().ok_or(Refusal::NotAuthenticated)?;
        let sharing = self.store.sharing().map_err(|e| unavailable(&e))?;
        let mut reached = BTreeMap::new();
        for id in sharing.reaches(person) {
            let account = self.store.account(id).map_err(|e| unavailable(&e))?;
            let Some(account) = account.filter(|account| !account.suspended) else { continue };
            let space = if sharing.is_shared(id) { Space::Shared } else { Space::OtherUsers };
            reached.extend(prefix(space, &account.address).map(|prefix| (prefix, account)));
        }
        Ok(reached)
    }

    /// All mailboxes of others that the session may list (right `l`), by the names under which they are seen.
    pub fn others(&self, session: &Arc<SessionInfo>) -> Result<Vec<Other>, Refusal> {
        let sharing = self.store.sharing().map_err(|e| unavailable(&e))?;
        let person = session.account().ok_or(Refusal::NotAuthenticated)?;
        let mut others = Vec::new();
        for (prefix, account) in self.reached(session)? {
            for mailbox in self.mailboxes(session, account.id)? {
                let rights = sharing.rights(person, account.id, mailbox.id);
                // A name that has become too long can be neither shown nor opened.
                let Ok(name) = MailboxName::new(&format!("{prefix}{}{}", MailboxName::SEPARATOR, mailbox.name)) else {
                    continue;
                };
                if rights.has(Rights::LOOKUP) {
                    others.push(Other { mailbox, name, rights });
                }
            }
        }
        Ok(others)
    }

    /// The account that a name of another's mailbox leads to, and the name inside; `None` if the session was given
    /// nothing of it, or there is none.
    pub fn other_account(
        &self,
        session: &SessionInfo,
        name: &MailboxName,
    ) -> Result<Option<(Account, Option<MailboxName>)>, Refusal> {
        let Some((space, level, inner)) = split(name) else { return Ok(None) };
        let person = session.account().ok_or(Refusal::NotAuthenticated)?;
        let Ok(address) = Address::parse(level) else { return Ok(None) };
        let account = self.store.account_by_key(&address.key()).map_err(|e| unavailable(&e))?;
        let Some(account) = account.filter(|account| account.id != person && !account.suspended) else {
            return Ok(None);
        };
        let sharing = self.store.sharing().map_err(|e| unavailable(&e))?;
        let fits = sharing.is_shared(account.id) == (space == Space::Shared) && is_shareable(&account.address);
        if !fits || !sharing.reaches(person).contains(&account.id) {
            return Ok(None);
        }
        match inner.map(MailboxName::new) {
            Some(Err(_)) => Ok(None),
            Some(Ok(inner)) => Ok(Some((account, Some(inner)))),
            None => Ok(Some((account, None))),
        }
    }

    /// A mailbox of another by the name under which it is seen, if the session has any right on it.
    pub fn other(&self, session: &Arc<SessionInfo>, name: &MailboxName) -> Result<Option<Other>, Refusal> {
        let Some((account, Some(inner))) = self.other_account(session, name)? else { return Ok(None) };
        let permit = self.grant(session, Action::List, Some(account.id), None, row(Action::List));
        let read = || self.store.read(&permit)?.mailbox_by_name(&inner);
        let Some(mailbox) = read().map_err(|e| unavailable(&e))? else { return Ok(None) };
        let rights = self.rights(session, account.id, mailbox.id)?;
        Ok((!rights.is_empty()).then(|| Other { mailbox, name: name.clone(), rights }))
    }

    /// Opens the keys of another's mail for a session that may read this mailbox of it. The event is on disk before
    /// anything can be read with them.
    pub async fn open_shared(
        &self,
        session: &Arc<SessionInfo>,
        account: AccountId,
        (mailbox, validity): (MailboxId, UidValidity),
    ) -> Result<Arc<Opened>, Refusal> {
        let target = Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() };
        let permit = self.admit(session, Action::OpenShared, &target)?;
        let keys = self.store.open_keys(&permit).map_err(|e| unavailable(&e))?;
        let event = self.event(session, Action::OpenShared).account(account).on_behalf_of(account);
        let event = event.mailbox(mailbox, validity).policy("open-shared", None);
        self.store.record(permit, event).await.map_err(|e| unavailable(&e))?;
        Ok(Arc::new(keys))
    }

    /// Records that messages of another were read, one event each, before they are sent.
    pub async fn record_reads(
        &self,
        session: &Arc<SessionInfo>,
        account: AccountId,
        (mailbox, validity): (MailboxId, UidValidity),
        uids: &[Uid],
    ) -> Result<(), Refusal> {
        let target = Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() };
        let permit = self.admit(session, Action::FetchContent, &target)?;
        let event = self.event(session, Action::FetchContent).account(account).on_behalf_of(account);
        let event = event.mailbox(mailbox, validity).policy("fetch-content", None);
        let events = uids.iter().map(|uid| event.clone().uid(*uid)).collect();
        self.store.record_all(permit, events).await.map(drop).map_err(|e| unavailable(&e))
    }

    /// The quota of an account of which the session may read something.
    pub fn quota_of(&self, session: &Arc<SessionInfo>, account: AccountId) -> Result<Quota, Refusal> {
        if session.account() != Some(account) {
            let sharing = self.store.sharing().map_err(|e| unavailable(&e))?;
            let person = session.account().ok_or(Refusal::NotAuthenticated)?;
            let reads = |mailbox: &Mailbox| sharing.rights(person, account, mailbox.id).has(Rights::READ);
            if !sharing.reaches(person).contains(&account) || !self.mailboxes(session, account)?.iter().any(reads) {
                return Err(Refusal::Hidden);
            }
        }
        self.store.quota(account).map_err(|e| unavailable(&e))
    }

    /// An identifier of a list: `anyone`, a group by `group:NAME`, or an account by its address or login name.
    /// `None` if there is nobody of this name.
    pub fn subject(&self, identifier: &str) -> Result<Option<Subject>, Refusal> {
        if identifier == "anyone" {
            return Ok(Some(Subject::Anyone));
        }
        if let Some(name) = identifier.strip_prefix("group:") {
            let sharing = self.store.sharing().map_err(|e| unavailable(&e))?;
            return Ok(sharing.group(&name.to_lowercase()).map(|group| Subject::Group(group.name.clone())));
        }
        let account = self.directory.account_by_login(identifier).map_err(|e| unavailable(&e))?;
        Ok(account.map(|account| Subject::Account(account.id)))
    }

    /// How an identifier is shown; `None` if it is of nobody any more.
    pub fn identifier(&self, subject: &Subject) -> Result<Option<String>, Refusal> {
        Ok(match subject {
            Subject::Anyone => Some(String::from("anyone")),
            Subject::Group(name) => Some(format!("group:{name}")),
            Subject::Account(id) => {
                let account = self.store.account(*id).map_err(|e| unavailable(&e))?;
                account.map(|account| account.address.to_string())
            }
        })
    }
}
