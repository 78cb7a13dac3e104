//! Rights on a mailbox: RFC 4314 §2.1, with the two virtual ones of RFC 2086.

use std::fmt;

use thiserror::Error;

/// A set of rights. Written as letters in the order `lrswipkxtea`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rights(u16);

/// Why a text is no set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a right")]
pub struct RightsError(pub char);

/// The letters, in bit order.
const LETTERS: [char; 11] = ['l', 'r', 's', 'w', 'i', 'p', 'k', 'x', 't', 'e', 'a'];

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// `l`: the mailbox is seen by LIST.
    pub const LOOKUP: Self = Self(1);
    /// `r`: SELECT and STATUS.
    pub const READ: Self = Self(1 << 1);
    /// `s`: \Seen.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: flags other than \Seen and \Deleted.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: APPEND and COPY into it.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: mail to the mailbox's own address; nothing in IMAP asks for it.
    pub const POST: Self = Self(1 << 5);
    /// `k`: mailboxes below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: DELETE and RENAME.
    pub const DELETE: Self = Self(1 << 7);
    /// `t`: \Deleted.
    pub const TRASH: Self = Self(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: the access control list.
    pub const ADMINISTER: Self = Self(1 << 10);
    /// All of them: what the owner of a mailbox has.
    pub const ALL: Self = Self((1 << 11) - 1);
    /// What a member of a shared account has unless its list says otherwise: everything but deleting mailboxes and
    /// changing lists.
    pub const MEMBER: Self = Self::ALL.without(Self::DELETE).without(Self::ADMINISTER);
    /// RFC 4314 §2.1.1: the obsolete `c` stands for these.
    const OLD_CREATE: Self = Self::CREATE.with(Self::DELETE);
    /// RFC 4314 §2.1.1: the obsolete `d` stands for these.
    const OLD_DELETE: Self = Self::TRASH.with(Self::EXPUNGE);

    /// Reads letters, in any order and repeated or not; the obsolete ones stand for their members.
    pub fn parse(text: &str) -> Result<Self, RightsError> {
        text.chars().try_fold(Self::NONE, |rights, letter| {
            Ok(rights.with(match letter {
                'c' => Self::OLD_CREATE,
                'd' => Self::OLD_DELETE,
                _ => {
                    let place = LETTERS.iter().position(|known| *known == letter).ok_or(RightsError(letter))?;
                    Self(1 << place)
                }
            }))
        })
    }
    /// From its bits, as stored; unknown ones are dropped.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }
    /// Its bits, to be stored.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// These but not the others.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether all of the others are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether one of the others at least is among these.
    #[must_use]
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The letters, and for RFC 2086 clients `c` and `d` where one of their members is there (RFC 4314 §2.1.1).
    #[must_use]
    pub fn with_obsolete(self) -> String {
        let mut text = self.to_string();
        if self.has_any(Self::OLD_CREATE) {
            text.push('c');
        }
        if self.has_any(Self::OLD_DELETE) {
            text.push('d');
        }
        text
    }
    /// The letters of all rights, each by itself.
    pub fn letters() -> impl Iterator<Item = (char, Self)> {
        LETTERS.into_iter().enumerate().map(|(place, letter)| (letter, Self(1 << place)))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::letters()
            .filter(|(_, right)| self.has(*right))
            .try_for_each(|(letter, _)| fmt::Write::write_char(f, letter))
    }
}

#[cfg(test)]
mod tests {
    use super::{Rights, RightsError};

    #[test]
    fn letters_come_back_in_order() {
        assert_eq!(Rights::parse("aetxkpiwsrl").map(|r| r.to_string()).as_deref(), Ok("lrswipkxtea"));
        assert_eq!(Rights::ALL.to_string(), "lrswipkxtea");
        assert_eq!(Rights::parse(""), Ok(Rights::NONE));
        assert_eq!(Rights::MEMBER.to_string(), "lrswipkte");
        assert_eq!(Rights::from_bits(u16::MAX), Rights::ALL);
    }

    #[test]
    fn obsolete_letters_stand_for_their_members() {
        // RFC 4314 §2.1.1, its examples, with c = kx.
        assert_eq!(Rights::parse("lrswida").map(|r| r.to_string()).as_deref(), Ok("lrswitea"));
        assert_eq!(Rights::parse("lrswikda").map(Rights::with_obsolete).as_deref(), Ok("lrswikteacd"));
        assert_eq!(Rights::parse("c").map(|r| r.to_string()).as_deref(), Ok("kx"));
        assert_eq!(Rights::parse("lrs").map(Rights::with_obsolete).as_deref(), Ok("lrs"));
        assert_eq!(Rights::parse("x").map(Rights::with_obsolete).as_deref(), Ok("xc"));
    }

    #[test]
    fn unknown_and_capital_letters_are_refused() {
        assert_eq!(Rights::parse("lrq"), Err(RightsError('q')));
        assert_eq!(Rights::parse("L"), Err(RightsError('L')));
        assert_eq!(Rights::parse("0"), Err(RightsError('0')));
    }
}
