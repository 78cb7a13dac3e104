//! Members of shared accounts, groups, access control lists, annotations.

use pli_types::{AccountId, MailboxId, MailboxName, Rights};

use super::Result;
use crate::error::StoreError;
use crate::limits::{
    ACL_ENTRIES_MAX, ANNOTATION_BYTES_MAX, ANNOTATIONS_MAX, GROUP_MEMBERS_MAX, GROUPS_MAX, MEMBERS_MAX,
};
use crate::model::Account;
use crate::model_sharing::{Group, Member, RightsChange, Subject};
use crate::rows::sharing::{Acl, Annotations, Members, SeenHead};
use crate::rows::{Key, Table, keys};
use crate::txn::Txn;

use super::seen::PERSON_AT;

impl Txn<'_> {
    /// Somebody that a right can be given to must be there.
    fn check_subject(&mut self, subject: &Subject) -> Result<()> {
        match subject {
            Subject::Anyone => Ok(()),
            Subject::Account(id) => match self.get(&keys::account(*id))? {
                Some(_) => Ok(()),
                None => Err(StoreError::NoAccount(*id)),
            },
            Subject::Group(name) => match self.get(&keys::group(self.base.keys, name))? {
                Some(_) => Ok(()),
                None => Err(StoreError::Missing(format!("group {name}"))),
            },
        }
    }

    /// Makes an account a shared one.
    pub(crate) fn make_shared(&mut self, account: AccountId, members: Vec<Member>) -> Result<()> {
        self.put(keys::members(account), &Members::default());
        members.into_iter().try_for_each(|member| self.set_member(account, member))
    }

    fn members(&mut self, account: AccountId) -> Result<Members> {
        self.load(&keys::members(account))?.ok_or(StoreError::Impossible("the account is not a shared one"))
    }

    /// Adds a member, or changes one.
    pub(crate) fn set_member(&mut self, account: AccountId, member: Member) -> Result<()> {
        let mut row = self.members(account)?;
        if member.subject == Subject::Anyone || member.subject == Subject::Account(account) {
            return Err(StoreError::Impossible("a member is another account or a group"));
        }
        self.check_subject(&member.subject)?;
        let full = row.0.len() >= MEMBERS_MAX;
        match row.0.iter_mut().find(|known| known.subject == member.subject) {
            Some(known) => *known = member,
            None if full => return Err(StoreError::Limit("members of the account")),
            None => row.0.push(member),
        }
        self.put(keys::members(account), &row);
        Ok(())
    }

    /// Removes a member, with what lists of the account say of it.
    pub(crate) fn remove_member(&mut self, account: AccountId, subject: &Subject) -> Result<()> {
        let mut row = self.members(account)?;
        let before = row.0.len();
        row.0.retain(|member| member.subject != *subject);
        if row.0.len() == before {
            return Err(StoreError::Missing(String::from("such a member")));
        }
        self.put(keys::members(account), &row);
        self.strip_lists(&keys::acls(account), subject)
    }

    fn strip_lists(&mut self, prefix: &Key, subject: &Subject) -> Result<()> {
        for (key, mut acl) in self.list::<Acl>(prefix)? {
            let before = acl.0.len();
            acl.0.retain(|(known, _)| known != subject);
            if acl.0.is_empty() {
                self.delete(key);
            } else if acl.0.len() < before {
                self.put(key, &acl);
            }
        }
        Ok(())
    }

    /// Adds a group, or says who is in it.
    pub(crate) fn set_group(&mut self, mut group: Group) -> Result<()> {
        group.members.sort_unstable();
        group.members.dedup();
        if group.members.len() > GROUP_MEMBERS_MAX {
            return Err(StoreError::Limit("members of the group"));
        }
        for id in &group.members {
            self.check_subject(&Subject::Account(*id))?;
        }
        let key = keys::group(self.base.keys, &group.name);
        if self.get(&key)?.is_none() && self.list::<Group>(&Key::new(Table::Group))?.len() >= GROUPS_MAX {
            return Err(StoreError::Limit("groups"));
        }
        self.put(key, &group);
        Ok(())
    }

    /// Removes a group, and whatever was given to it: another of the same name must not come into it.
    pub(crate) fn remove_group(&mut self, name: &str) -> Result<()> {
        let key = keys::group(self.base.keys, name);
        if self.get(&key)?.is_none() {
            return Err(StoreError::Missing(format!("group {name}")));
        }
        self.delete(key);
        self.strip_subject(&Subject::Group(name.to_owned()))
    }

    /// Whatever was given to somebody is given to nobody.
    fn strip_subject(&mut self, subject: &Subject) -> Result<()> {
        for (key, mut members) in self.list::<Members>(&Key::new(Table::Members))? {
            let before = members.0.len();
            members.0.retain(|member| member.subject != *subject);
            if members.0.len() < before {
                self.put(key, &members);
            }
        }
        self.strip_lists(&Key::new(Table::Acl), subject)
    }

    /// An account is removed: its lists went with its mailboxes; here goes what others gave to it.
    pub(crate) fn forget_sharing(&mut self, account: AccountId) -> Result<()> {
        self.delete(keys::members(account));
        self.strip_subject(&Subject::Account(account))?;
        for (key, mut group) in self.list::<Group>(&Key::new(Table::Group))? {
            let before = group.members.len();
            group.members.retain(|id| *id != account);
            if group.members.len() < before {
                self.put(key, &group);
            }
        }
        for (key, _) in self.list::<SeenHead>(&Key::new(Table::SeenHead))? {
            if key.number(PERSON_AT) == account.get() {
                self.forget_all_seen(MailboxId::new(key.number(1)), Some(account))?;
            }
        }
        for (key, _) in self.list::<Annotations>(&Key::new(Table::Annotations))? {
            if key.number(PERSON_AT) == account.get() {
                self.delete(key);
            }
        }
        Ok(())
    }

    /// A mailbox is removed: RFC 4314 §4 takes its list with it, RFC 5464 §4.1 its annotations.
    pub(crate) fn forget_mailbox_sharing(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let key = keys::acl(account, mailbox);
        if self.get(&key)?.is_some() {
            self.delete(key);
        }
        for (key, _) in self.list::<Annotations>(&keys::annotations_of(mailbox))? {
            self.delete(key);
        }
        self.forget_all_seen(mailbox, None)
    }

    /// RFC 4314 §4: a new mailbox has the list of the one above it.
    pub(crate) fn inherit_acl(&mut self, account: AccountId, mailbox: MailboxId, name: &MailboxName) -> Result<()> {
        let Some(parent) = name.parent() else { return Ok(()) };
        let Some(parent) = self.mailbox_id(account, &parent)? else { return Ok(()) };
        if let Some(acl) = self.load::<Acl>(&keys::acl(account, parent))? {
            self.put(keys::acl(account, mailbox), &acl);
        }
        Ok(())
    }

    /// Changes what somebody may do with a mailbox. Returns what his entry gives then.
    pub(crate) fn set_acl(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        subject: &Subject,
        change: RightsChange,
    ) -> Result<Rights> {
        self.mailbox(account, mailbox)?;
        let members: Option<Members> = self.load(&keys::members(account))?;
        let member = members.and_then(|row| row.0.into_iter().find(|member| member.subject == *subject));
        if *subject == Subject::Account(account) || member.as_ref().is_some_and(|member| member.owner) {
            return Err(StoreError::Impossible("an owner has all rights"));
        }
        let key = keys::acl(account, mailbox);
        let mut acl: Acl = self.load(&key)?.unwrap_or_default();
        let place = acl.0.iter().position(|(known, _)| known == subject);
        if change == RightsChange::Delete {
            if let Some(place) = place {
                acl.0.remove(place);
            }
        } else {
            let default = if member.is_some() { Rights::MEMBER } else { Rights::NONE };
            let before = place.and_then(|place| acl.0.get(place)).map_or(default, |(_, rights)| *rights);
            let rights = change.of(before);
            if place.is_none() {
                self.check_subject(subject)?;
            }
            let full = acl.0.len() >= ACL_ENTRIES_MAX;
            match place.and_then(|place| acl.0.get_mut(place)) {
                Some(entry) => entry.1 = rights,
                None if full => {
                    return Err(StoreError::Limit("entries of the access control list"));
                }
                None => acl.0.push((subject.clone(), rights)),
            }
            // Of no member an empty entry says what no entry says; a member's takes away what members have.
            acl.0.retain(|(known, rights)| known != subject || !rights.is_empty() || member.is_some());
        }
        let after = acl.0.iter().find(|(known, _)| known == subject).map_or(Rights::NONE, |(_, rights)| *rights);
        if acl.0.is_empty() {
            self.delete(key);
        } else {
            self.put(key, &acl);
        }
        Ok(after)
    }

    /// Puts (`Some`) or removes annotations of a mailbox (0: of the server) for everybody or for one account.
    pub(crate) fn set_annotations(
        &mut self,
        mailbox: MailboxId,
        person: Option<AccountId>,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<()> {
        let key = keys::annotations(mailbox, person);
        let mut row: Annotations = self.load(&key)?.unwrap_or_default();
        for (name, value) in changes {
            let place = row.0.binary_search_by(|(known, _)| known.as_str().cmp(&name));
            match (place, value) {
                (Ok(at), None) => drop(row.0.remove(at)),
                (Err(_), None) => {}
                (_, Some(value)) if value.len() > ANNOTATION_BYTES_MAX => {
                    return Err(StoreError::Limit("bytes of an annotation"));
                }
                (Ok(at), Some(value)) => {
                    if let Some(entry) = row.0.get_mut(at) {
                        entry.1 = value;
                    }
                }
                (Err(_), Some(_)) if row.0.len() >= ANNOTATIONS_MAX => {
                    return Err(StoreError::Limit("annotations"));
                }
                (Err(at), Some(value)) => row.0.insert(at, (name, value)),
            }
        }
        if row.0.is_empty() {
            self.delete(key);
        } else {
            self.put(key, &row);
        }
        Ok(())
    }

    /// That an account is one that people share, and nobody logs in to.
    pub(crate) fn is_shared(&mut self, account: &Account) -> Result<bool> {
        Ok(self.get(&keys::members(account.id))?.is_some())
    }
}
