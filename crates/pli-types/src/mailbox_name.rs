//! Mailbox names and special uses.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// Longest mailbox name in bytes of UTF-8.
pub const MAILBOX_NAME_BYTES_MAX: usize = 255;

/// A mailbox name in UTF-8, NFC, levels separated by `/`; INBOX in capitals whatever the case it came in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailboxName(Box<str>);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MailboxNameError {
    /// Empty, or an empty level (`a//b`, `/a`).
    #[error("a mailbox name has no empty level")]
    EmptyLevel,
    /// Over [`MAILBOX_NAME_BYTES_MAX`].
    #[error("a mailbox name has at most 255 bytes")]
    TooLong,
    /// A control character, or `*` or `%`, which LIST would read as wildcards.
    #[error("a mailbox name holds no control character and neither % nor *")]
    Forbidden,
}

impl MailboxName {
    /// The level separator.
    pub const SEPARATOR: char = '/';

    /// Checks, normalises to NFC, and writes INBOX (also as a first level) in capitals. One trailing separator is
    /// taken off (RFC 9051 §6.3.4).
    pub fn new(name: &str) -> Result<Self, MailboxNameError> {
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(MailboxNameError::EmptyLevel);
        }
        if name.chars().any(|c| c.is_control() || c == '*' || c == '%') {
            return Err(MailboxNameError::Forbidden);
        }
        let mut text: String = name.nfc().collect();
        if text.split('/').any(str::is_empty) {
            return Err(MailboxNameError::EmptyLevel);
        }
        if text.len() > MAILBOX_NAME_BYTES_MAX {
            return Err(MailboxNameError::TooLong);
        }
        let first = text.find('/').unwrap_or(text.len());
        if text.get(..first).is_some_and(|level| level.eq_ignore_ascii_case("INBOX")) {
            text.replace_range(..first, "INBOX");
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// INBOX (RFC 9051 §5.1).
    #[must_use]
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }
    /// Whether this is INBOX.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }
    /// UTF-8, NFC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The name one level up, if there is one.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }
    /// Whether this stands somewhere below `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 6154 §2: what a mailbox is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All, in wire order.
    pub const ALL: [Self; 5] = [Self::Archive, Self::Drafts, Self::Junk, Self::Sent, Self::Trash];

    /// The attribute on the wire.
    #[must_use]
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
    /// Parses the attribute, any case.
    #[must_use]
    pub fn parse(attribute: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|u| u.attribute().eq_ignore_ascii_case(attribute))
    }
}
