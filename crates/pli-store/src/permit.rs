//! The permit: nothing in the store is read or changed without one, and only the gate can make one.

use std::sync::Arc;

use pli_types::{AccountId, Action, MailboxId, Rights, SessionInfo};

/// What the gate has decided, in full. A plain value; only a [`Mint`] turns it into a [`Permit`].
#[derive(Clone, Debug)]
pub struct Grant {
    /// What may be done.
    pub action: Action,
    /// By whom, over what.
    pub session: Arc<SessionInfo>,
    /// On whose mail. `None` for things that belong to no account (queue, domains, the audit log).
    pub account: Option<AccountId>,
    /// On which mailbox, where the action has one.
    pub mailbox: Option<MailboxId>,
    /// What the actor may do with that mailbox: everything if it is his own.
    pub rights: Rights,
    /// The policy table's row, for the audit event.
    pub rule: &'static str,
    /// Whether the effect's commit carries an audit event of its own.
    pub audited: bool,
}

/// Leave to do one thing once. Not `Clone`: every store call that changes something takes one by value.
#[derive(Debug)]
pub struct Permit {
    grant: Grant,
}

impl Permit {
    /// Who acts, where it is on another's mail.
    pub(crate) fn person(&self) -> Option<AccountId> {
        self.grant.session.account().filter(|actor| self.grant.account.is_some_and(|account| account != *actor))
    }
    /// The decision behind the permit.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// Makes permits. Opening a store returns its only one; it cannot be cloned or constructed. The gate owns it.
#[derive(Debug)]
pub struct Mint(());

impl Mint {
    pub(crate) const fn new() -> Self {
        Self(())
    }
    /// Turns a decision into a permit.
    #[must_use]
    pub const fn permit(&self, grant: Grant) -> Permit {
        Permit { grant }
    }
}

/// Proof that a commit is on disk. Only the committer makes one; a `250` after DATA or the OK of an APPEND needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    sequence: u64,
}

impl Durable {
    pub(crate) const fn new(sequence: u64) -> Self {
        Self { sequence }
    }
    /// The commit's place in the log.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// What a commit did, with the proof that it is durable.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    /// The outcome.
    pub value: T,
    /// The proof.
    pub durable: Durable,
}
