//! Shared accounts and groups.

use pli_gate::is_shareable;
use pli_store::{Group, Member, NewAccount, Subject};
use pli_types::{AccountId, Action, Address};
use serde_json::{Value, json};

use super::account::{language, limit_override};
use super::{Call, Result, default_mailboxes, failed, refused};
use crate::{ErrorKind, Failure, QuotaSetting};

/// Fields of `shared add`.
pub(super) struct NewShared {
    pub(super) address: Address,
    pub(super) members: Vec<String>,
    pub(super) owners: Vec<String>,
    pub(super) profile: Option<String>,
    pub(super) quota: Option<QuotaSetting>,
    pub(super) display_name: Option<String>,
    pub(super) language: Option<String>,
}

/// Letters of a group's name, at most.
const GROUP_NAME_CHARS_MAX: usize = 64;

impl Call<'_> {
    pub(super) async fn shared_add(&self, new: NewShared) -> Result {
        if self.store().domain(new.address.domain()).map_err(failed)?.is_none() {
            let text = format!("{} is not a domain of this server; add it with `pli domain add`", new.address.domain());
            return Err(Failure::new(ErrorKind::NotFound, text));
        }
        if !is_shareable(&new.address) {
            return Err(Failure::new(ErrorKind::Usage, "the address of a shared account has no /, * or %"));
        }
        let profile = self.profile(new.profile.as_deref().unwrap_or("staff"))?;
        let language = language(new.language.as_deref())?.unwrap_or("fr").to_owned();
        let quota = new.quota.and_then(limit_override);
        let mut members = Vec::new();
        for (names, owner) in [(&new.members, false), (&new.owners, true)] {
            for name in names {
                let subject = self.member(name)?;
                members.retain(|known: &Member| known.subject != subject);
                members.push(Member { subject, owner, send_as: false, send_on_behalf: false });
            }
        }
        let account = NewAccount {
            address: new.address.clone(),
            display_name: new.display_name,
            profile: profile.name,
            password: None,
            quota,
            quota_in_force: quota.unwrap_or(profile.quota),
            language,
            mailboxes: default_mailboxes(),
        };
        let permit = self.admit(Action::SharedChange, None)?;
        self.store().create_shared(permit, account, members).await.map_err(failed)?;
        self.shared_show(&new.address)
    }

    pub(super) fn shared_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let sharing = self.store().sharing().map_err(failed)?;
        let mut all = Vec::new();
        for (id, members) in sharing.shared() {
            all.push(self.describe_shared(id, members)?);
        }
        Ok(Value::Array(all))
    }

    pub(super) fn shared_show(&self, address: &Address) -> Result {
        let id = self.shared(address)?;
        self.admit(Action::AccountRead, Some(id))?;
        let sharing = self.store().sharing().map_err(failed)?;
        self.describe_shared(id, sharing.members(id).unwrap_or_default())
    }

    pub(super) async fn shared_member(&self, address: &Address, name: &str, what: (bool, bool, bool)) -> Result {
        let id = self.shared(address)?;
        let (owner, send_as, send_on_behalf) = what;
        let member = Member { subject: self.member(name)?, owner, send_as, send_on_behalf };
        let permit = self.admit(Action::SharedChange, Some(id))?;
        self.store().set_member(permit, id, member).await.map_err(failed)?;
        self.shared_show(address)
    }

    pub(super) async fn shared_member_remove(&self, address: &Address, name: &str) -> Result {
        let id = self.shared(address)?;
        let member = self.member(name)?;
        let permit = self.admit(Action::SharedChange, Some(id))?;
        self.store().remove_member(permit, id, member).await.map_err(failed)?;
        self.shared_show(address)
    }

    pub(super) async fn shared_remove(&self, address: &Address) -> Result {
        self.shared(address)?;
        self.account_remove(address, false).await
    }

    pub(super) async fn group_set(&self, name: &str, addresses: &[Address]) -> Result {
        let name = name.to_lowercase();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.chars().count() > GROUP_NAME_CHARS_MAX || !name.chars().all(plain) {
            let text = "a group's name has letters, digits, - _ and ., at most 64 of them";
            return Err(Failure::new(ErrorKind::Usage, text));
        }
        let members = addresses.iter().map(|address| self.account(address).map(|account| account.id));
        let members = members.collect::<Result<Vec<AccountId>>>()?;
        let permit = self.admit(Action::GroupChange, None)?;
        let group = Group { name: name.clone(), members };
        self.store().set_group(permit, group).await.map_err(failed)?;
        let sharing = self.store().sharing().map_err(failed)?;
        sharing.group(&name).map_or_else(|| Ok(Value::Null), |group| self.describe_group(group))
    }

    pub(super) fn group_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let sharing = self.store().sharing().map_err(failed)?;
        let all = sharing.groups().map(|group| self.describe_group(group));
        Ok(Value::Array(all.collect::<Result<_>>()?))
    }

    pub(super) async fn group_remove(&self, name: &str) -> Result {
        let permit = self.admit(Action::GroupChange, None)?;
        self.store().remove_group(permit, name.to_lowercase()).await.map_err(failed)?;
        Ok(json!({ "name": name.to_lowercase(), "removed": true }))
    }

    /// A shared account by its address.
    fn shared(&self, address: &Address) -> Result<AccountId> {
        let account = self.account(address)?;
        let sharing = self.store().sharing().map_err(failed)?;
        if sharing.is_shared(account.id) {
            return Ok(account.id);
        }
        Err(Failure::new(ErrorKind::NotFound, format!("{address} is an account of a person, not a shared one")))
    }

    /// Who is meant by an address, or by `group:` and a group's name.
    fn member(&self, name: &str) -> Result<Subject> {
        match self.gate().subject(name).map_err(refused)? {
            Some(Subject::Anyone) => {
                Err(Failure::new(ErrorKind::Usage, "anyone is no member; give rights on single mailboxes instead"))
            }
            Some(subject) => Ok(subject),
            None => Err(Failure::new(ErrorKind::NotFound, format!("there is no account or group {name}"))),
        }
    }

    fn describe_shared(&self, id: AccountId, members: &[Member]) -> Result {
        let Some(account) = self.store().account(id).map_err(failed)? else { return Ok(Value::Null) };
        let mut described = Vec::new();
        for member in members {
            let name = self.gate().identifier(&member.subject).map_err(refused)?;
            described.push(json!({
                "member": name,
                "owner": member.owner,
                "send_as": member.send_as,
                "send_on_behalf": member.send_on_behalf,
            }));
        }
        let mut value = self.describe(&account)?;
        if let Some(object) = value.as_object_mut() {
            object.insert(String::from("members"), Value::Array(described));
        }
        Ok(value)
    }

    fn describe_group(&self, group: &Group) -> Result {
        let mut members = Vec::new();
        for id in &group.members {
            members.push(self.gate().identifier(&Subject::Account(*id)).map_err(refused)?);
        }
        Ok(json!({ "name": group.name, "members": members }))
    }
}
