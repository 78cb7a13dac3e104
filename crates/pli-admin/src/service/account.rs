//! Accounts, their quota, profiles.

use pli_gate::Which;
use pli_store::{Account, AccountChange, NewAccount, Quota, QuotaLimit};
use pli_types::{Action, Address};
use serde_json::{Value, json};

use super::{Call, Result, default_mailboxes, failed, hash, refused};
use crate::{ErrorKind, Failure, PlainPassword, QuotaSetting};

/// Fields of `account add` and `account set`.
pub(super) struct New {
    pub(super) address: Address,
    pub(super) password: Option<PlainPassword>,
    pub(super) profile: Option<String>,
    pub(super) quota: Option<QuotaSetting>,
    pub(super) display_name: Option<String>,
    pub(super) language: Option<String>,
}

impl Call<'_> {
    pub(super) async fn account_add(&self, new: New) -> Result {
        if self.store().domain(new.address.domain()).map_err(failed)?.is_none() {
            let text = format!("{} is not a domain of this server; add it with `pli domain add`", new.address.domain());
            return Err(Failure::new(ErrorKind::NotFound, text));
        }
        let profile = self.profile(new.profile.as_deref().unwrap_or("staff"))?;
        let language = language(new.language.as_deref())?.unwrap_or("fr").to_owned();
        let quota = new.quota.and_then(limit_override);
        let permit = self.admit(Action::AccountCreate, None)?;
        let (password, generated) = match new.password {
            Some(password) => (password, None),
            None => {
                let made =
                    pli_crypto::generate_password().map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))?;
                (PlainPassword(made.expose().to_owned()), Some(made.expose().to_owned()))
            }
        };
        let account = NewAccount {
            address: new.address.clone(),
            display_name: new.display_name,
            profile: profile.name.clone(),
            password: Some(hash(&password, self.store().scram_salt(&new.address.key())).await?),
            quota,
            quota_in_force: quota.unwrap_or(profile.quota),
            language,
            mailboxes: default_mailboxes(),
        };
        let id = self.store().create_account(permit, account).await.map_err(failed)?.value;
        let mut value = json!({ "id": id, "address": new.address, "profile": profile.name });
        if let (Some(password), Some(object)) = (generated, value.as_object_mut()) {
            object.insert(String::from("password"), Value::String(password));
        }
        Ok(value)
    }

    pub(super) fn account_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.store().accounts(after, 1000).map_err(failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for account in &page {
                all.push(self.describe(account)?);
            }
        }
        Ok(Value::Array(all))
    }

    pub(super) fn account_show(&self, address: &Address) -> Result {
        let account = self.account(address)?;
        self.admit(Action::AccountRead, Some(account.id))?;
        self.describe(&account)
    }

    pub(super) async fn account_set(&self, set: New) -> Result {
        let account = self.account(&set.address)?;
        let mut change = AccountChange { display_name: set.display_name.map(Some), ..AccountChange::default() };
        change.language = language(set.language.as_deref())?.map(str::to_owned);
        let profile = self.profile(set.profile.as_deref().unwrap_or(&account.profile))?;
        if set.profile.is_some() {
            change.profile = Some(profile.name.clone());
        }
        let own = match set.quota {
            Some(setting) => {
                change.quota = Some(limit_override(setting));
                limit_override(setting)
            }
            None => account.quota,
        };
        if set.profile.is_some() || set.quota.is_some() {
            change.quota_in_force = Some(own.unwrap_or(profile.quota));
        }
        // Two acts with an event each: who may set a password need not be who may change the rest.
        if change != AccountChange::default() {
            let permit = self.admit(Action::AccountChange, Some(account.id))?;
            self.store().change_account(permit, account.id, change).await.map_err(failed)?;
        }
        if let Some(password) = &set.password {
            let salt = self.store().scram_salt(&account.address.key());
            let change =
                AccountChange { password: Some(Some(hash(password, salt).await?)), ..AccountChange::default() };
            let permit = self.admit(Action::PasswordChange, Some(account.id))?;
            self.store().change_account(permit, account.id, change).await.map_err(failed)?;
            // Whoever knew the old one is out; app passwords are others, and stay.
            self.end_sessions(Which::Password(account.id), account.id).await?;
        }
        self.account_show(&set.address)
    }

    pub(super) async fn account_suspend(&self, address: &Address, suspended: bool) -> Result {
        let account = self.account(address)?;
        let permit = self.admit(Action::AccountChange, Some(account.id))?;
        let change = AccountChange { suspended: Some(suspended), ..AccountChange::default() };
        self.store().change_account(permit, account.id, change).await.map_err(failed)?;
        if suspended {
            self.end_sessions(Which::Account(account.id), account.id).await?;
        }
        self.account_show(address)
    }

    pub(super) async fn account_remove(&self, address: &Address, erase: bool) -> Result {
        let account = self.account(address)?;
        let permit = self.admit(Action::AccountRemove, Some(account.id))?;
        if erase {
            let erased = self.store().erase_account(permit, account.id).await.map_err(failed)?;
            self.end_sessions(Which::Account(account.id), account.id).await?;
            return Ok(json!({
                "id": account.id,
                "address": account.address,
                "removed": true,
                "erased": true,
                "covers_since": erased.covers_since.map(pli_types::UnixMillis::secs),
            }));
        }
        self.store().remove_account(permit, account.id).await.map_err(failed)?;
        self.end_sessions(Which::Account(account.id), account.id).await?;
        Ok(json!({ "id": account.id, "address": account.address, "removed": true }))
    }

    pub(super) fn quota_show(&self, address: &Address) -> Result {
        let account = self.account(address)?;
        let permit = self.admit(Action::GetQuota, Some(account.id))?;
        Ok(describe_quota(&account, &self.gate().quota(&permit).map_err(refused)?))
    }

    pub(super) async fn quota_set(&self, address: &Address, setting: QuotaSetting) -> Result {
        let account = self.account(address)?;
        let profile = self.profile(&account.profile)?;
        let own = limit_override(setting);
        let change = AccountChange {
            quota: Some(own),
            quota_in_force: Some(own.unwrap_or(profile.quota)),
            ..AccountChange::default()
        };
        let permit = self.admit(Action::SetQuota, Some(account.id))?;
        self.store().change_account(permit, account.id, change).await.map_err(failed)?;
        self.quota_show(address)
    }

    pub(super) async fn quota_recalculate(&self, address: &Address) -> Result {
        let account = self.account(address)?;
        let permit = self.admit(Action::SetQuota, Some(account.id))?;
        let (was, is) = self.store().recalculate_quota(permit, account.id).await.map_err(failed)?.value;
        Ok(json!({
            "address": account.address,
            "was": describe_quota(&account, &was),
            "is": describe_quota(&account, &is),
            "corrected": was != is,
        }))
    }

    pub(super) fn profile_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let profiles = self.gate().directory().profiles();
        serde_json::to_value(&*profiles).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))
    }

    pub(super) fn profile(&self, name: &str) -> Result<pli_directory::Profile> {
        self.gate().directory().profile(name).ok_or_else(|| {
            let profiles = self.gate().directory().profiles();
            let known: Vec<&str> = profiles.iter().map(|p| p.name.as_str()).collect();
            let text = format!("there is no profile {name}; there are: {}", known.join(", "));
            Failure::new(ErrorKind::NotFound, text)
        })
    }

    pub(super) fn describe(&self, account: &Account) -> Result {
        let quota = self.store().quota(account.id).map_err(failed)?;
        Ok(json!({
            "id": account.id,
            "address": account.address,
            "display_name": account.display_name,
            "profile": account.profile,
            "shared": self.store().sharing().map_err(failed)?.is_shared(account.id),
            "suspended": account.suspended,
            "language": account.language,
            "created": account.created.secs(),
            "password": account.password.is_some(),
            "quota": describe_quota(account, &quota),
        }))
    }
}

/// `Unlimited` overrides with no limit; `Profile` does not override.
pub(super) fn limit_override(setting: QuotaSetting) -> Option<QuotaLimit> {
    match setting {
        QuotaSetting::Profile => None,
        QuotaSetting::Unlimited => Some(QuotaLimit::default()),
        QuotaSetting::Bytes(bytes) => Some(QuotaLimit { bytes: Some(bytes), messages: None }),
    }
}

fn describe_quota(account: &Account, quota: &Quota) -> Value {
    json!({
        "bytes_used": quota.bytes_used,
        "bytes_limit": quota.limit.bytes,
        "messages_used": quota.messages_used,
        "messages_limit": quota.limit.messages,
        "from": if account.quota.is_some() { "account" } else { "profile" },
    })
}

pub(super) fn language(text: Option<&str>) -> Result<Option<&str>> {
    match text {
        None | Some("fr" | "en") => Ok(text),
        Some(other) => Err(Failure::new(ErrorKind::Usage, format!("language {other} is neither fr nor en"))),
    }
}
