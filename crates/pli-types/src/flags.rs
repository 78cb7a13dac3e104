//! Message flags: the five system flags of IMAP and keywords.

use std::fmt;

use thiserror::Error;

/// Keywords that one mailbox can hold (bits 5 to 63 of a flag word).
pub const FLAGS_MAX_KEYWORDS: usize = 59;

/// RFC 9051 §2.3.2: system flags. The discriminant is the bit in a flag word. `\Recent` is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Seen`
    Seen = 0,
    /// `\Answered`
    Answered = 1,
    /// `\Flagged`
    Flagged = 2,
    /// `\Deleted`
    Deleted = 3,
    /// `\Draft`
    Draft = 4,
}

impl SystemFlag {
    /// All five, in bit order.
    pub const ALL: [Self; 5] = [Self::Seen, Self::Answered, Self::Flagged, Self::Deleted, Self::Draft];

    /// The flag's bit in a flag word.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// As on the wire, with the backslash.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
        }
    }

    /// Parses the wire form, any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(name))
    }
}

/// RFC 9051 §9 `flag-keyword`: an atom; compared without case, shown as first written.
#[derive(Clone, Debug, Eq)]
pub struct Keyword(Box<str>);

/// Why a keyword is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeywordError {
    /// Empty or over 255 bytes.
    #[error("a keyword has 1 to 255 bytes")]
    Length,
    /// A byte that an atom cannot hold.
    #[error("a keyword is an atom of printable ASCII")]
    NotAnAtom,
}

impl Keyword {
    /// Checks and wraps.
    pub fn new(text: &str) -> Result<Self, KeywordError> {
        if text.is_empty() || text.len() > 255 {
            return Err(KeywordError::Length);
        }
        // RFC 9051 §9 atom-specials
        if text.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b"(){%*\"\\]".contains(&b)) {
            return Err(KeywordError::NotAnAtom);
        }
        Ok(Self(text.into()))
    }
    /// As first written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of flags by name, as commands carry it. In a mailbox it becomes a flag word (bits) over the
/// mailbox's keyword table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagSet {
    /// Bits of [`SystemFlag`].
    pub system: u64,
    /// Keywords without repeats.
    pub keywords: Vec<Keyword>,
}

impl FlagSet {
    /// Adds a system flag.
    pub fn insert(&mut self, flag: SystemFlag) {
        self.system |= flag.bit();
    }
    /// Adds a keyword unless it is there (without case).
    pub fn insert_keyword(&mut self, keyword: Keyword) {
        if !self.keywords.contains(&keyword) {
            self.keywords.push(keyword);
        }
    }
    /// Whether the system flag is in.
    #[must_use]
    pub const fn contains(&self, flag: SystemFlag) -> bool {
        self.system & flag.bit() != 0
    }
    /// Neither system flag nor keyword.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.system == 0 && self.keywords.is_empty()
    }
}

impl FromIterator<SystemFlag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = SystemFlag>>(iter: I) -> Self {
        let mut set = Self::default();
        iter.into_iter().for_each(|f| set.insert(f));
        set
    }
}
