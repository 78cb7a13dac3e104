//! Shared accounts, groups and access control lists, as values.

use pli_types::{AccountId, Rights};
use serde::{Deserialize, Serialize};

/// Whom a right is given to (RFC 4314 §2: the identifier).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// One account.
    Account(AccountId),
    /// All accounts of a group, by its name.
    Group(String),
    /// Every account.
    Anyone,
}

/// Somebody for whom a shared account is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// An account or a group; never everybody.
    pub subject: Subject,
    /// Has every right, which no list takes away, and changes lists.
    pub owner: bool,
    /// May send in the account's name, as if it were the account.
    pub send_as: bool,
    /// May send in the account's name, named as the sender.
    pub send_on_behalf: bool,
}

/// Accounts under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// In lower case.
    pub name: String,
    /// Ascending, each once.
    pub members: Vec<AccountId>,
}

/// How an entry of an access control list changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// To exactly these.
    Set(Rights),
    /// These besides.
    Add(Rights),
    /// Without these.
    Remove(Rights),
    /// The entry goes; a member of a shared account has what members have again.
    Delete,
}

impl RightsChange {
    /// What becomes of these rights.
    #[must_use]
    pub const fn of(self, rights: Rights) -> Rights {
        match self {
            Self::Set(new) => new,
            Self::Add(more) => rights.with(more),
            Self::Remove(less) => rights.without(less),
            Self::Delete => Rights::NONE,
        }
    }
}
