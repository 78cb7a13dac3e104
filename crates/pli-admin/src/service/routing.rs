//! Aliases and domains.

use pli_store::Alias;
use pli_types::{Action, Address};
use serde_json::{Value, json};

use super::{Call, Result, failed};
use crate::{ErrorKind, Failure};

impl Call<'_> {
    pub(super) async fn alias_add(&self, address: Address, targets: Vec<Address>) -> Result {
        if targets.is_empty() {
            return Err(Failure::new(ErrorKind::Usage, "an alias needs a target"));
        }
        if self.store().domain(address.domain()).map_err(failed)?.is_none() {
            let text = format!("{} is not a domain of this server", address.domain());
            return Err(Failure::new(ErrorKind::NotFound, text));
        }
        if self.store().account_by_key(&address.key()).map_err(failed)?.is_some() {
            return Err(Failure::new(ErrorKind::Exists, format!("{address} is an account")));
        }
        let permit = self.admit(Action::AliasChange, None)?;
        let value = json!({ "address": address, "targets": targets });
        self.store().set_alias(permit, Alias { address, targets }).await.map_err(failed)?;
        Ok(value)
    }

    pub(super) fn alias_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let aliases = self.store().aliases().map_err(failed)?;
        let rows = aliases.iter().map(|a| json!({ "address": a.address, "targets": a.targets }));
        Ok(Value::Array(rows.collect()))
    }

    pub(super) async fn alias_remove(&self, address: Address) -> Result {
        let permit = self.admit(Action::AliasChange, None)?;
        let value = json!({ "address": address, "removed": true });
        self.store().remove_alias(permit, address).await.map_err(failed)?;
        Ok(value)
    }

    pub(super) async fn domain_add(&self, name: &str) -> Result {
        let name = domain_name(name)?;
        let permit = self.admit(Action::DomainChange, None)?;
        self.store().add_domain(permit, name.clone()).await.map_err(failed)?;
        Ok(json!({ "name": name }))
    }

    pub(super) fn domain_list(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let domains = self.store().domains().map_err(failed)?;
        let rows = domains.iter().map(|d| json!({ "name": d.name, "created": d.created.secs() }));
        Ok(Value::Array(rows.collect()))
    }

    pub(super) async fn domain_remove(&self, name: &str) -> Result {
        let name = domain_name(name)?;
        let permit = self.admit(Action::DomainChange, None)?;
        self.store().remove_domain(permit, name.clone()).await.map_err(failed)?;
        Ok(json!({ "name": name, "removed": true }))
    }
}

/// In the form that addresses have their domains in.
fn domain_name(name: &str) -> Result<String> {
    Address::new("postmaster", name)
        .map(|address| address.domain().to_owned())
        .map_err(|error| Failure::new(ErrorKind::Usage, format!("{name}: {error}")))
}
