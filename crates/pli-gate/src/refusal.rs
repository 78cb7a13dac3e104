//! Why an action is not admitted.

use thiserror::Error;

/// Why an action is not admitted. Each protocol has one function that turns this into its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The session must authenticate first.
    #[error("authentication is required")]
    NotAuthenticated,
    /// The right is missing.
    #[error("you may not do this")]
    NoRight,
    /// The right is missing, and that to know of the mailbox too: it is answered as if there were none.
    #[error("no such mailbox")]
    Hidden,
    /// The account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// The quota would not hold; more room may come (`452 4.2.2`, `NO [OVERQUOTA]`).
    #[error("the mailbox is full")]
    OverQuota {
        /// Whether the message would never fit, however much were removed (`552 5.2.2`).
        never: bool,
    },
    /// Too much in too short a time.
    #[error("too many requests, try again later")]
    RateLimited,
    /// The store does not answer.
    #[error("temporarily unavailable")]
    Unavailable,
}

impl Refusal {
    /// The code in the audit event.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not-authenticated",
            Self::NoRight => "no-right",
            Self::Hidden => "hidden",
            Self::Suspended => "suspended",
            Self::OverQuota { never: false } => "over-quota",
            Self::OverQuota { never: true } => "over-quota-ever",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
        }
    }
}
