//! Classes of events, how long each is kept, and the keys that follow from it.

use std::fmt;

use pli_types::{Action, UnixMillis};
use serde::{Deserialize, Serialize};

/// What an event is about, as far as its retention goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Class {
    /// What clients and other servers did.
    Protocol = 1,
    /// What administrators and the server itself did.
    Administration = 2,
    /// What was read or disposed of in the vault.
    Vault = 3,
    /// When keys were made, opened for somebody else, or destroyed.
    Key = 4,
}

impl Class {
    /// Every class.
    pub const ALL: &'static [Self] = &[Self::Protocol, Self::Administration, Self::Vault, Self::Key];

    /// The class that an action falls into.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        match action {
            Action::QueueRead
            | Action::QueueChange
            | Action::TraceRead
            | Action::TraceSweep
            | Action::AccountCreate
            | Action::AccountRead
            | Action::AccountChange
            | Action::AccountRemove
            | Action::AliasChange
            | Action::SharedChange
            | Action::GroupChange
            | Action::SetServerMetadata
            | Action::DomainChange
            | Action::SetQuota
            | Action::PasswordChange
            | Action::AppPasswordChange
            | Action::SessionList
            | Action::SessionEnd
            | Action::AuditRead
            | Action::Inspect
            | Action::Rewind
            | Action::Verify
            | Action::Compact
            | Action::Repair
            | Action::Operate => Self::Administration,
            Action::KeyRotate | Action::OpenShared | Action::UrlKey => Self::Key,
            _ => Self::Protocol,
        }
    }

    /// Months that events of this class are kept by default. CNIL asks for 6 to 12 months of protocol events and for up
    /// to three years where that is justified.
    #[must_use]
    pub const fn retention_months(self) -> u32 {
        match self {
            Self::Protocol => 12,
            Self::Administration | Self::Vault | Self::Key => 36,
        }
    }

    /// The byte in leaves.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the byte in leaves.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Protocol),
            2 => Some(Self::Administration),
            3 => Some(Self::Vault),
            4 => Some(Self::Key),
            _ => None,
        }
    }

    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Administration => "administration",
            Self::Vault => "vault",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A calendar month in UTC: year × 12 + month − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(pub u32);

impl Month {
    /// The month of a moment; moments before year 0 count as its January.
    #[must_use]
    pub fn of(time: UnixMillis) -> Self {
        // Days since 0000-03-01 of the proleptic Gregorian calendar, in eras of 400 years: the year then begins in March,
        // so that the leap day is its last.
        let days = time.secs().div_euclid(86_400).saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let months = (era * 400 + year_of_era) * 12 + march_month + 2;
        Self(u32::try_from(months.max(0)).unwrap_or(u32::MAX))
    }
    /// The year.
    #[must_use]
    pub const fn year(self) -> u32 {
        self.0 / 12
    }
    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u32 {
        self.0 % 12 + 1
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.month())
    }
}

/// Names a log key. One for each month *and* class, since classes are kept for different times and an end of retention
/// destroys a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKeyId {
    /// The month of the events' times.
    pub month: Month,
    /// The class.
    pub class: Class,
}

impl LogKeyId {
    /// The key for an event.
    #[must_use]
    pub fn of(time: UnixMillis, class: Class) -> Self {
        Self { month: Month::of(time), class }
    }
    /// Whether the default retention of this month and class is over: the month itself, and the class's months after it.
    #[must_use]
    pub fn expired(self, now: UnixMillis) -> bool {
        Month::of(now).0 > self.month.0.saturating_add(self.class.retention_months())
    }
    /// The row key under which its wrapped secret is kept: class, month.
    #[must_use]
    pub const fn encode(self) -> [u8; 5] {
        let [a, b, c, d] = self.month.0.to_be_bytes();
        [self.class.code(), a, b, c, d]
    }
    /// Reads [`LogKeyId::encode`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (class, month) = bytes.split_first()?;
        let month = Month(u32::from_be_bytes(month.try_into().ok()?));
        Some(Self { month, class: Class::from_code(*class)? })
    }
}

impl fmt::Display for LogKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.month, self.class)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn months() {
        for (secs, text) in [
            (0, "1970-01"),
            (-1, "1969-12"),
            (951_782_399, "2000-02"), // the second before the leap day of 2000
            (951_868_799, "2000-02"), // the last second of that leap day
            (951_868_800, "2000-03"),
            (1_798_761_599, "2026-12"),
            (1_798_761_600, "2027-01"),
            (4_107_542_400, "2100-03"), // 2100 is no leap year
            (4_107_542_399, "2100-02"),
        ] {
            assert_eq!(Month::of(UnixMillis::from_secs(secs)).to_string(), text, "{secs}");
        }
        assert_eq!(Month::of(UnixMillis(i64::MIN)), Month(0));
        assert!(Month::of(UnixMillis(i64::MAX)).year() > 292_000_000);
    }

    #[test]
    fn retention() {
        let january = UnixMillis::from_secs(1_767_225_600); // 2026-01-01
        let id = LogKeyId::of(january, Class::Protocol);
        assert!(!id.expired(UnixMillis::from_secs(1_801_439_999))); // 2027-01-31 23:59:59
        assert!(id.expired(UnixMillis::from_secs(1_801_440_000))); // 2027-02-01
        assert!(!LogKeyId::of(january, Class::Key).expired(UnixMillis::from_secs(1_801_440_000)));
        assert_eq!(LogKeyId::decode(&id.encode()), Some(id));
        assert_eq!(LogKeyId::decode(&[9, 0, 0, 0, 0]), None);
    }

    #[test]
    fn codes() {
        for class in Class::ALL {
            assert_eq!(Class::from_code(class.code()), Some(*class));
        }
        assert_eq!(Class::of(Action::Login), Class::Protocol);
        assert_eq!(Class::of(Action::AccountCreate), Class::Administration);
        assert_eq!(Class::of(Action::KeyRotate), Class::Key);
    }
}
