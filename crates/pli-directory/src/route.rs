//! Where mail for an address goes. Pure: the rows come through [`Rows`].

use std::collections::HashSet;

use pli_store::StoreError;
use pli_types::{AccountId, Address};

use crate::limits::{ALIAS_DEPTH_MAX, ROUTE_TARGETS_MAX};

/// Where mail for an address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To these local accounts and (by aliases) remote addresses.
    To {
        /// Local accounts, each once.
        local: Vec<AccountId>,
        /// Remote addresses, each once.
        remote: Vec<Address>,
    },
    /// The domain is ours, the recipient is not known: `550 5.1.1`.
    Unknown,
    /// The domain is not ours.
    Remote,
}

/// The rows that routing reads.
pub(crate) trait Rows {
    /// Whether mail for the domain is taken here.
    fn is_local(&self, domain: &str) -> Result<bool, StoreError>;
    /// An account by [`Address::key`].
    fn account_id(&self, key: &str) -> Result<Option<AccountId>, StoreError>;
    /// An alias's targets by [`Address::key`].
    fn alias_targets(&self, key: &str) -> Result<Option<Vec<Address>>, StoreError>;
    /// Who stands in for postmaster and abuse.
    fn postmaster(&self) -> Option<Address>;
    /// Between a local part and its tag.
    fn separator(&self) -> char;

    /// The address without its tag, if it has one: `alice+shop@d` is `alice@d`.
    fn base(&self, address: &Address) -> Option<Address> {
        let (base, _tag) = address.local().split_once(self.separator())?;
        Address::new(base, address.domain()).ok()
    }
}

/// What one address stands for, one step on.
enum Step {
    Account(AccountId),
    Targets(Vec<Address>),
    Nobody,
}

pub(crate) fn route<R: Rows>(rows: &R, address: &Address) -> Result<Route, StoreError> {
    if !rows.is_local(address.domain())? {
        return Ok(Route::Remote);
    }
    let mut found = Found::default();
    found.follow(rows, address, 0)?;
    if found.local.is_empty() && found.remote.is_empty() {
        return Ok(Route::Unknown);
    }
    Ok(Route::To { local: found.local, remote: found.remote })
}

#[derive(Default)]
struct Found {
    local: Vec<AccountId>,
    remote: Vec<Address>,
    seen: HashSet<String>,
}

impl Found {
    fn follow<R: Rows>(&mut self, rows: &R, address: &Address, depth: usize) -> Result<(), StoreError> {
        // An address met before adds nothing: this ends loops, and names each recipient once.
        if !self.seen.insert(address.key()) {
            return Ok(());
        }
        if depth > ALIAS_DEPTH_MAX || self.seen.len() > ROUTE_TARGETS_MAX {
            tracing::warn!(depth, targets = self.seen.len(), "an alias stands for too much; the rest gets no mail");
            return Ok(());
        }
        if !rows.is_local(address.domain())? {
            self.remote.push(address.clone());
            return Ok(());
        }
        match step(rows, address)? {
            Step::Account(id) if self.local.contains(&id) => {}
            Step::Account(id) => self.local.push(id),
            Step::Targets(targets) => {
                for target in &targets {
                    self.follow(rows, target, depth + 1)?;
                }
            }
            Step::Nobody => {}
        }
        Ok(())
    }
}

/// The order of precedence: account, alias, the same without the tag, postmaster's stand-in, catch-all.
fn step<R: Rows>(rows: &R, address: &Address) -> Result<Step, StoreError> {
    for candidate in [Some(address.clone()), rows.base(address)].into_iter().flatten() {
        let key = candidate.key();
        if let Some(id) = rows.account_id(&key)? {
            return Ok(Step::Account(id));
        }
        if let Some(targets) = rows.alias_targets(&key)? {
            return Ok(Step::Targets(targets));
        }
    }
    // RFC 5321 §4.5.1: postmaster is always taken; RFC 2142 §4: so should abuse be.
    let role = ["postmaster", "abuse"].iter().any(|r| address.local().eq_ignore_ascii_case(r));
    if role && let Some(stand_in) = rows.postmaster() {
        return Ok(Step::Targets(vec![stand_in]));
    }
    let catch_all = Address::new("*", address.domain()).map(|a| a.key());
    if let Ok(key) = catch_all
        && let Some(targets) = rows.alias_targets(&key)?
    {
        return Ok(Step::Targets(targets));
    }
    Ok(Step::Nobody)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::collections::HashMap;

    use super::*;

    struct Table {
        accounts: HashMap<&'static str, u64>,
        aliases: HashMap<String, Vec<Address>>,
        postmaster: Option<Address>,
    }

    impl Rows for Table {
        fn is_local(&self, domain: &str) -> Result<bool, StoreError> {
            Ok(domain == "a.test" || domain == "b.test")
        }
        fn account_id(&self, key: &str) -> Result<Option<AccountId>, StoreError> {
            Ok(self.accounts.get(key).map(|id| AccountId::new(*id)))
        }
        fn alias_targets(&self, key: &str) -> Result<Option<Vec<Address>>, StoreError> {
            Ok(self.aliases.get(key).cloned())
        }
        fn postmaster(&self) -> Option<Address> {
            self.postmaster.clone()
        }
        fn separator(&self) -> char {
            '+'
        }
    }

    fn addr(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn table(aliases: &[(&str, &[&str])]) -> Table {
        Table {
            accounts: HashMap::from([("alice@a.test", 1), ("bob@a.test", 2), ("alice+vip@a.test", 3)]),
            aliases: aliases
                .iter()
                .map(|(from, to)| ((*from).to_owned(), to.iter().map(|t| addr(t)).collect()))
                .collect(),
            postmaster: Some(addr("bob@a.test")),
        }
    }

    fn to(table: &Table, address: &str) -> (Vec<u64>, Vec<String>) {
        match route(table, &addr(address)).unwrap() {
            Route::To { local, remote } => {
                (local.iter().map(|id| id.get()).collect(), remote.iter().map(ToString::to_string).collect())
            }
            other => panic!("{address} goes to {other:?}"),
        }
    }

    #[test]
    fn accounts_in_any_case_and_their_subaddresses() {
        let t = table(&[]);
        assert_eq!(to(&t, "ALICE@A.test"), (vec![1], vec![]));
        assert_eq!(to(&t, "alice+shop@a.test"), (vec![1], vec![]));
        assert_eq!(to(&t, "alice+vip@a.test"), (vec![3], vec![]), "an exact account goes before a subaddress");
        assert_eq!(route(&t, &addr("carol@a.test")).unwrap(), Route::Unknown);
        assert_eq!(route(&t, &addr("+x@a.test")).unwrap(), Route::Unknown);
        assert_eq!(route(&t, &addr("alice@other.test")).unwrap(), Route::Remote);
    }

    #[test]
    fn aliases_expand_to_each_once_and_loops_end() {
        let t = table(&[
            ("team@a.test", &["alice@a.test", "bob@a.test", "all@b.test", "x@other.test"]),
            ("all@b.test", &["team@a.test", "bob@a.test", "x@other.test", "gone@a.test"]),
            ("self@a.test", &["self@a.test"]),
            ("ping@a.test", &["pong@a.test"]),
            ("pong@a.test", &["ping@a.test"]),
        ]);
        assert_eq!(to(&t, "team@a.test"), (vec![1, 2], vec!["x@other.test".into()]));
        assert_eq!(to(&t, "team+tag@a.test").0, vec![1, 2]);
        for nobody in ["self@a.test", "ping@a.test", "pong@a.test"] {
            assert_eq!(route(&t, &addr(nobody)).unwrap(), Route::Unknown, "{nobody}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut t = table(&[]);
        for n in 0..20 {
            t.aliases.insert(format!("n{n}@a.test"), vec![addr(&format!("n{}@a.test", n + 1))]);
        }
        t.aliases.insert("n20@a.test".into(), vec![addr("alice@a.test")]);
        assert_eq!(route(&t, &addr("n0@a.test")).unwrap(), Route::Unknown);
        assert_eq!(to(&t, "n15@a.test").0, vec![1]);
    }

    #[test]
    fn postmaster_and_catch_all() {
        let mut t = table(&[("*@b.test", &["alice@a.test"])]);
        assert_eq!(to(&t, "Postmaster@a.test").0, vec![2]);
        assert_eq!(to(&t, "abuse@b.test").0, vec![2], "the stand-in goes before the catch-all");
        assert_eq!(to(&t, "whoever@b.test").0, vec![1]);
        assert_eq!(route(&t, &addr("whoever@a.test")).unwrap(), Route::Unknown);
        t.aliases.insert("postmaster@a.test".into(), vec![addr("alice@a.test")]);
        assert_eq!(to(&t, "postmaster@a.test").0, vec![1]);
        t.postmaster = None;
        assert_eq!(to(&t, "abuse@b.test").0, vec![1]);
    }
}
