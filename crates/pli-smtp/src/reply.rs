//! Replies: a code, an enhanced status code, a text.

use std::fmt::Write as _;

use pli_gate::{AuthError, Refusal};
use pli_store::StoreError;

/// One reply. RFC 5321 §4.2, RFC 2034.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// RFC 3463; empty where the RFCs give none (greeting, EHLO, 334, 354).
    pub enhanced: &'static str,
    /// One line or several, without CRLF.
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line.
    #[must_use]
    pub fn new(code: u16, enhanced: &'static str, text: impl Into<String>) -> Self {
        Self { code, enhanced, lines: vec![text.into()] }
    }
    /// Whether the command succeeded (or goes on).
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }
    /// Writes the reply as on the wire. RFC 2034 §4: the enhanced code stands on each line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut text = String::with_capacity(64);
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let mark = if index == last { ' ' } else { '-' };
            let blank = if self.enhanced.is_empty() { "" } else { " " };
            // Writing to a String does not fail.
            let _ = write!(text, "{}{mark}{}{blank}", self.code, self.enhanced);
            // A reply is ASCII without control characters, whatever went into it.
            text.extend(line.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }));
            text.push_str("\r\n");
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// The reply to a refusal of the gate, in the context of a recipient or a transaction.
#[must_use]
pub fn of_refusal(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::NotAuthenticated => Reply::new(530, "5.7.0", "Authentication required"),
        Refusal::NoRight | Refusal::Hidden => Reply::new(550, "5.7.1", "You may not do this"),
        Refusal::Suspended => Reply::new(550, "5.7.1", "The account is suspended"),
        Refusal::OverQuota { never: false } => Reply::new(452, "4.2.2", "The mailbox is full"),
        Refusal::OverQuota { never: true } => Reply::new(552, "5.2.2", "The message does not fit the mailbox"),
        Refusal::RateLimited => Reply::new(451, "4.7.1", "Too many messages in too short a time, try again later"),
        Refusal::Unavailable => unavailable(),
    }
}

/// The reply to a commit that failed. The sender keeps the message.
#[must_use]
pub fn of_store_error(error: &StoreError) -> Reply {
    match error {
        StoreError::DiskFull => Reply::new(452, "4.3.1", "Not enough space now, try again later"),
        StoreError::OverQuota { .. } => Reply::new(452, "4.2.2", "The mailbox is full"),
        _ => unavailable(),
    }
}

/// The reply to a login that failed. RFC 4954 §6.
#[must_use]
pub fn of_auth_error(error: AuthError) -> Reply {
    match error {
        AuthError::Failed => Reply::new(535, "5.7.8", "Authentication credentials invalid"),
        AuthError::Suspended => Reply::new(525, "5.7.13", "The account is suspended"),
        AuthError::Slowed => Reply::new(454, "4.7.0", "Too many failed logins, try again later"),
        AuthError::TooMany => Reply::new(454, "4.7.0", "Too many sessions of this account, try again later"),
        AuthError::Unavailable | AuthError::NoKeys => Reply::new(454, "4.7.0", "Temporary authentication failure"),
    }
}

/// The store does not answer.
#[must_use]
pub fn unavailable() -> Reply {
    Reply::new(451, "4.3.0", "Temporarily unavailable, try again later")
}
