//! Who may do what with another's mail: the rows of sharing in memory, made anew after each change of them; and the
//! store's calls that change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use pli_audit::Party;
use pli_types::{AccountId, Action, MailboxId, MailboxName, Rights};

use crate::engine::Engine;
use crate::error::StoreError;
use crate::model::NewAccount;
use crate::model_sharing::{Group, Member, RightsChange, Subject};
use crate::ops::{allowed, owner};
use crate::permit::{Committed, Permit};
use crate::rows::sharing::{Acl, Annotations, Members};
use crate::rows::{Key, Table, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Where the mailbox stands in the key of a list.
const MAILBOX_AT: usize = 9;

/// What a shared account is to somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Has all rights.
    pub owner: bool,
    /// May send in the account's name, as if it were the account.
    pub send_as: bool,
    /// May send in the account's name, named as the sender.
    pub send_on_behalf: bool,
}

/// All that was given to anybody, at one moment.
#[derive(Debug, Default)]
pub struct Sharing {
    members: BTreeMap<AccountId, Vec<Member>>,
    groups: BTreeMap<String, Group>,
    groups_of: HashMap<AccountId, Vec<String>>,
    lists: HashMap<MailboxId, Vec<(Subject, Rights)>>,
    /// By whom something was given to, the accounts that it is of.
    given: BTreeMap<Subject, BTreeSet<AccountId>>,
}

impl Sharing {
    fn read(engine: &Engine) -> Result<Self> {
        let rows = &engine.rows;
        let mut sharing = Self::default();
        for (key, members) in rows.list::<Members>(&Key::new(Table::Members))? {
            let account = AccountId::new(key.number(1));
            for member in &members.0 {
                sharing.given.entry(member.subject.clone()).or_default().insert(account);
            }
            sharing.members.insert(account, members.0);
        }
        for (_, group) in rows.list::<Group>(&Key::new(Table::Group))? {
            for id in &group.members {
                sharing.groups_of.entry(*id).or_default().push(group.name.clone());
            }
            sharing.groups.insert(group.name.clone(), group);
        }
        for (key, acl) in rows.list::<Acl>(&Key::new(Table::Acl))? {
            let account = AccountId::new(key.number(1));
            for (subject, _) in &acl.0 {
                sharing.given.entry(subject.clone()).or_default().insert(account);
            }
            sharing.lists.insert(MailboxId::new(key.number(MAILBOX_AT)), acl.0);
        }
        Ok(sharing)
    }

    /// Who somebody is in lists: himself, his groups, everybody.
    fn subjects(&self, person: AccountId) -> impl Iterator<Item = Subject> {
        let groups = self.groups_of.get(&person).map(Vec::as_slice).unwrap_or_default();
        [Subject::Account(person), Subject::Anyone].into_iter().chain(groups.iter().cloned().map(Subject::Group))
    }
    /// Whether an account is a shared one.
    #[must_use]
    pub fn is_shared(&self, account: AccountId) -> bool {
        self.members.contains_key(&account)
    }
    /// The shared accounts.
    pub fn shared(&self) -> impl Iterator<Item = (AccountId, &[Member])> {
        self.members.iter().map(|(account, members)| (*account, members.as_slice()))
    }
    /// The members of a shared account.
    #[must_use]
    pub fn members(&self, account: AccountId) -> Option<&[Member]> {
        self.members.get(&account).map(Vec::as_slice)
    }
    /// The groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }
    /// A group.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }
    /// What a shared account is to somebody; `None`: he is no member of it, himself or by a group.
    #[must_use]
    pub fn standing(&self, person: AccountId, account: AccountId) -> Option<Standing> {
        let members = self.members.get(&account)?;
        let mut found = None;
        for subject in self.subjects(person) {
            for member in members.iter().filter(|member| member.subject == subject) {
                let standing: &mut Standing = found.get_or_insert_default();
                standing.owner |= member.owner;
                standing.send_as |= member.send_as;
                standing.send_on_behalf |= member.send_on_behalf;
            }
        }
        found
    }
    /// What somebody may do with a mailbox of an account: the union of what his identifiers have (RFC 4314 §2). A
    /// list's entry stands before what a member has by being one.
    #[must_use]
    pub fn rights(&self, person: AccountId, account: AccountId, mailbox: MailboxId) -> Rights {
        if person == account || self.standing(person, account).is_some_and(|standing| standing.owner) {
            return Rights::ALL;
        }
        self.subjects(person).fold(Rights::NONE, |rights, subject| {
            rights.with(self.entry(account, mailbox, &subject).unwrap_or_default())
        })
    }
    /// What an identifier has of a mailbox; `None` where nothing is said of it.
    #[must_use]
    pub fn entry(&self, account: AccountId, mailbox: MailboxId, subject: &Subject) -> Option<Rights> {
        let member = self.members.get(&account).and_then(|all| all.iter().find(|member| member.subject == *subject));
        if *subject == Subject::Account(account) || member.is_some_and(|member| member.owner) {
            return Some(Rights::ALL);
        }
        let list = self.lists.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        let entry = list.iter().find(|(known, _)| known == subject).map(|(_, rights)| *rights);
        entry.or_else(|| member.map(|_| Rights::MEMBER))
    }
    /// The access control list of a mailbox, as GETACL shows it. The owner of a personal account comes first; a shared
    /// account itself is nobody.
    #[must_use]
    pub fn list(&self, account: AccountId, mailbox: MailboxId) -> Vec<(Subject, Rights)> {
        let mut subjects = Vec::new();
        match self.members.get(&account) {
            Some(members) => subjects.extend(members.iter().map(|member| member.subject.clone())),
            None => subjects.push(Subject::Account(account)),
        }
        for (subject, _) in self.lists.get(&mailbox).map(Vec::as_slice).unwrap_or_default() {
            if !subjects.contains(subject) {
                subjects.push(subject.clone());
            }
        }
        let entry = |subject: Subject| {
            let rights = self.entry(account, mailbox, &subject)?;
            Some((subject, rights))
        };
        subjects.into_iter().filter_map(entry).collect()
    }
    /// Other accounts of whose mail somebody was given something.
    #[must_use]
    pub fn reaches(&self, person: AccountId) -> BTreeSet<AccountId> {
        let given = self.subjects(person).filter_map(|subject| self.given.get(&subject));
        given.flatten().copied().filter(|account| *account != person).collect()
    }
}

/// The newest [`Sharing`], until a change.
#[derive(Default)]
pub(crate) struct SharingCache(RwLock<Option<Arc<Sharing>>>);

/// Whether a row is one that [`Sharing`] is made of.
pub(crate) fn concerns(key: &Key) -> bool {
    matches!(key.table(), Some(Table::Members | Table::Group | Table::Acl))
}

impl Engine {
    /// Who may do what, as it is now.
    pub(crate) fn sharing(&self) -> Result<Arc<Sharing>> {
        if let Some(sharing) = self.sharing.0.read().as_ref() {
            return Ok(Arc::clone(sharing));
        }
        // Under the lock: no change is applied between the reading and the keeping.
        let _still = self.apply.read();
        let sharing = Arc::new(Sharing::read(self)?);
        *self.sharing.0.write() = Some(Arc::clone(&sharing));
        Ok(sharing)
    }
    /// Forgets it: rows that it is made of have changed. Under the apply lock.
    pub(crate) fn forget_sharing(&self) {
        *self.sharing.0.write() = None;
    }
}

impl Store {
    /// Who may do what with whose mail, as it is now. Read without a permit: the gate decides by it.
    pub fn sharing(&self) -> Result<Arc<Sharing>> {
        self.engine().sharing()
    }
    /// Makes a shared account: nobody logs in to it, and these may use it.
    pub async fn create_shared(
        &self,
        permit: Permit,
        new: NewAccount,
        members: Vec<Member>,
    ) -> Result<Committed<AccountId>> {
        allowed(&permit, &[Action::SharedChange], None)?;
        let new = NewAccount { password: None, ..new };
        self.make_account(permit, new, Some(members)).await
    }
    /// Adds a member of a shared account, or changes what he is.
    pub async fn set_member(&self, permit: Permit, account: AccountId, member: Member) -> Result<Committed<()>> {
        allowed(&permit, &[Action::SharedChange], Some(account))?;
        self.commit(move |txn| {
            txn.set_member(account, member)?;
            txn.audit(&permit, |event| event.account(account));
            Ok(())
        })
        .await
    }
    /// Removes a member of a shared account.
    pub async fn remove_member(&self, permit: Permit, account: AccountId, member: Subject) -> Result<Committed<()>> {
        allowed(&permit, &[Action::SharedChange], Some(account))?;
        self.commit(move |txn| {
            txn.remove_member(account, &member)?;
            txn.audit(&permit, |event| event.account(account));
            Ok(())
        })
        .await
    }
    /// Adds a group, or says who is in it.
    pub async fn set_group(&self, permit: Permit, group: Group) -> Result<Committed<()>> {
        allowed(&permit, &[Action::GroupChange], None)?;
        self.commit(move |txn| {
            let members = group.members.len() as u64;
            txn.set_group(group)?;
            txn.audit(&permit, |event| event.count("members", members));
            Ok(())
        })
        .await
    }
    /// Removes a group, and whatever was given to it.
    pub async fn remove_group(&self, permit: Permit, name: String) -> Result<Committed<()>> {
        allowed(&permit, &[Action::GroupChange], None)?;
        self.commit(move |txn| {
            txn.remove_group(&name)?;
            txn.audit(&permit, |event| event);
            Ok(())
        })
        .await
    }
    /// Changes what somebody may do with a mailbox. Returns what his entry gives then. RFC 4314 §3.1, §3.2.
    pub async fn set_acl(
        &self,
        permit: Permit,
        mailbox: MailboxId,
        subject: Subject,
        change: RightsChange,
    ) -> Result<Committed<Rights>> {
        let account = owner(&permit, &[Action::SetAcl], Some(mailbox))?;
        self.commit(move |txn| {
            let rights = txn.set_acl(account, mailbox, &subject, change)?;
            txn.audit(&permit, |event| {
                let event = match subject {
                    Subject::Account(id) => event.party(Party::Account(id)),
                    Subject::Group(_) | Subject::Anyone => event,
                };
                event.count("rights", rights.bits().into())
            });
            Ok(rights)
        })
        .await
    }
    /// The annotations of a mailbox (`None`: of the server), those that all see or those of the session's own account.
    pub fn annotations(&self, permit: &Permit, private: bool) -> Result<Vec<(String, Vec<u8>)>> {
        owner(permit, &[Action::GetMetadata], None)?;
        let key = keys::annotations(permit.grant().mailbox.unwrap_or_default(), whose(permit, private)?);
        Ok(self.engine().rows.load::<Annotations>(&key)?.unwrap_or_default().0)
    }
    /// Puts (`Some`) or removes annotations of each permit's mailbox, or of the server if it names none: those of the
    /// session's account where it says so, else those that all see; all of them or none. RFC 5464 §4.3.
    pub async fn set_annotations(&self, parts: Vec<Annotating>) -> Result<Committed<()>> {
        let mut places = Vec::with_capacity(parts.len());
        for (permit, private, changes) in parts {
            let mailbox = permit.grant().mailbox;
            let account = match (private, mailbox) {
                (true, _) => Some(owner(&permit, &[Action::SetPrivate], mailbox)?),
                (false, Some(_)) => Some(owner(&permit, &[Action::SetMetadata], mailbox)?),
                (false, None) => {
                    allowed(&permit, &[Action::SetServerMetadata], None)?;
                    None
                }
            };
            let person = whose(&permit, private)?;
            places.push((permit, account, mailbox, person, changes));
        }
        self.commit(move |txn| {
            for (permit, account, mailbox, person, changes) in places {
                if let (Some(account), Some(mailbox)) = (account, mailbox) {
                    txn.mailbox(account, mailbox)?;
                }
                let entries = changes.len() as u64;
                txn.set_annotations(mailbox.unwrap_or_default(), person, changes)?;
                txn.audit(&permit, |event| event.count("entries", entries));
            }
            Ok(())
        })
        .await
    }
    /// The key of the permit's mailbox that URLs are made over, if it has one. RFC 4467 §5.
    pub fn url_key(&self, permit: &Permit) -> Result<Option<Vec<u8>>> {
        let account = owner(permit, &[Action::UrlKey, Action::UrlFetch], None)?;
        let mailbox = permit.grant().mailbox.ok_or(StoreError::WrongPermit)?;
        let row = self.engine().rows.load::<Annotations>(&keys::annotations(mailbox, Some(account)))?;
        Ok(row.unwrap_or_default().url_key())
    }
    /// The same; the mailbox gets this one if it has none.
    pub async fn url_key_or(&self, permit: Permit, fresh: [u8; 32]) -> Result<Committed<Vec<u8>>> {
        let account = owner(&permit, &[Action::UrlKey], None)?;
        let mailbox = permit.grant().mailbox.ok_or(StoreError::WrongPermit)?;
        self.commit(move |txn| {
            txn.mailbox(account, mailbox)?;
            let row: Option<Annotations> = txn.load(&keys::annotations(mailbox, Some(account)))?;
            if let Some(there) = row.unwrap_or_default().url_key() {
                return Ok(there);
            }
            let entry = (String::from(Annotations::URL_KEY), Some(fresh.to_vec()));
            txn.set_annotations(mailbox, Some(account), vec![entry])?;
            txn.audit(&permit, |event| event.count("keys-made", 1));
            Ok(fresh.to_vec())
        })
        .await
    }
    /// Forgets the keys of these mailboxes of the permit's account: URLs made over them open nothing any more.
    pub async fn forget_url_keys(&self, permit: Permit, mailboxes: Vec<MailboxId>) -> Result<Committed<()>> {
        let account = owner(&permit, &[Action::UrlKey], None)?;
        self.commit(move |txn| {
            let count = mailboxes.len() as u64;
            for mailbox in mailboxes {
                let row: Option<Annotations> = txn.load(&keys::annotations(mailbox, Some(account)))?;
                if row.is_some_and(|row| row.url_key().is_some()) {
                    txn.set_annotations(mailbox, Some(account), vec![(String::from(Annotations::URL_KEY), None)])?;
                }
            }
            txn.audit(&permit, |event| event.count("keys-forgotten", count));
            Ok(())
        })
        .await
    }
    /// The nearest mailbox above a name that is there; INBOX stands for the top. RFC 4314 §4, CREATE.
    pub fn nearest_above(&self, account: AccountId, name: &MailboxName) -> Result<MailboxId> {
        let engine = self.engine();
        let _still = engine.apply.read();
        for level in std::iter::successors(name.parent(), MailboxName::parent).chain([MailboxName::inbox()]) {
            if let Some(id) = engine.rows.load(&keys::mailbox_name(&engine.keys, account, level.as_str()))? {
                return Ok(id);
            }
        }
        Err(StoreError::NoMailbox)
    }
}

/// A permit, whether its own account's annotations are meant, and what becomes of them.
pub type Annotating = (Permit, bool, Vec<(String, Option<Vec<u8>>)>);

/// Whose annotations: everybody's, or those of the session's account.
fn whose(permit: &Permit, private: bool) -> Result<Option<AccountId>> {
    if !private {
        return Ok(None);
    }
    permit.grant().session.account().map(Some).ok_or(StoreError::WrongPermit)
}
