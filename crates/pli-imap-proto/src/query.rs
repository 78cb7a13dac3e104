//! What SEARCH, SORT and THREAD ask, as types. RFC 9051 §6.4.4, RFC 5256, RFC 5267, RFC 6203 and RFC 9394.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use pli_types::{Keyword, ModSeq, SystemFlag};

use crate::sequence::SequenceSet;

/// RFC 9051 §6.4.4: a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// RETURN; `None`: the plain SEARCH answer of rev1 (or ESEARCH ALL once rev2 is enabled).
    pub returns: Option<SearchReturn>,
    /// CHARSET, upper case; `None`: US-ASCII or UTF-8.
    pub charset: Option<Box<str>>,
    /// Several keys at the top are one [`SearchKey::And`].
    pub key: SearchKey,
}

/// RFC 9051 §6.4.4: RETURN options. `RETURN ()` is [`SearchReturn::all`] alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE
    pub save: bool,
    /// PARTIAL (RFC 9394 §3.1, RFC 5267 §4.4)
    pub partial: Option<PartialRange>,
    /// RELEVANCY (RFC 6203 §4); only with a FUZZY key
    pub relevancy: bool,
    /// CONTEXT (RFC 5267 §4.2): a hint
    pub context: bool,
    /// UPDATE (RFC 5267 §4.3)
    pub update: bool,
}

impl SearchReturn {
    /// Whether an answer is asked for, and not only something to be kept.
    #[must_use]
    pub const fn asks_answer(&self) -> bool {
        self.min || self.max || self.all || self.count || self.partial.is_some() || self.relevancy
    }
}

/// RFC 9394 §4 `partial-range`: places in a list of results, counted from 1 at its begin or, negative, from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    /// As sent: may be the larger one.
    pub first: NonZeroU32,
    /// As sent.
    pub last: NonZeroU32,
    /// Both have a minus.
    pub from_end: bool,
}

impl PartialRange {
    /// The places that it means in a list of so many, from 0.
    #[must_use]
    pub fn places(&self, len: usize) -> std::ops::Range<usize> {
        let at = |n: NonZeroU32| usize::try_from(n.get()).unwrap_or(usize::MAX);
        let low = at(self.first.min(self.last)).saturating_sub(1).min(len);
        let high = at(self.first.max(self.last)).min(len);
        if self.from_end { len.saturating_sub(high)..len.saturating_sub(low) } else { low..high }
    }
}

/// RFC 9051 §6.4.4: search keys. Strings are in the search's charset.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchKey {
    /// ALL
    All,
    /// All of these; two or more.
    And(Vec<SearchKey>),
    /// OR
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT
    Not(Box<SearchKey>),
    /// A set of message numbers.
    Numbers(SequenceSet),
    /// UID
    Uids(SequenceSet),
    /// `$`
    Saved,
    /// ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
    Flag(SystemFlag),
    /// UNANSWERED, UNDELETED, UNDRAFT, UNFLAGGED, UNSEEN
    NoFlag(SystemFlag),
    /// KEYWORD
    Keyword(Keyword),
    /// UNKEYWORD
    NoKeyword(Keyword),
    /// NEW (RFC 3501 §6.4.4): RECENT UNSEEN
    New,
    /// OLD (RFC 3501 §6.4.4): NOT RECENT
    Old,
    /// RECENT
    Recent,
    /// BCC
    Bcc(Vec<u8>),
    /// CC
    Cc(Vec<u8>),
    /// FROM
    From(Vec<u8>),
    /// TO
    To(Vec<u8>),
    /// SUBJECT
    Subject(Vec<u8>),
    /// HEADER name string; an empty string: the field is there
    Header(Box<str>, Vec<u8>),
    /// BODY
    Body(Vec<u8>),
    /// TEXT
    Text(Vec<u8>),
    /// BEFORE: internal date
    Before(NaiveDate),
    /// ON
    On(NaiveDate),
    /// SINCE
    Since(NaiveDate),
    /// SENTBEFORE: the Date field
    SentBefore(NaiveDate),
    /// SENTON
    SentOn(NaiveDate),
    /// SENTSINCE
    SentSince(NaiveDate),
    /// SAVEDBEFORE (RFC 8514 §4.3)
    SavedBefore(NaiveDate),
    /// SAVEDON
    SavedOn(NaiveDate),
    /// SAVEDSINCE
    SavedSince(NaiveDate),
    /// SAVEDATESUPPORTED
    SaveDateSupported,
    /// LARGER
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// OLDER seconds (RFC 5032 §3)
    Older(u32),
    /// YOUNGER seconds
    Younger(u32),
    /// MODSEQ (RFC 7162 §3.1.5); the entry name and type, if sent, are checked and dropped
    ModSeq(ModSeq),
    /// EMAILID (RFC 8474 §5.3), as sent
    EmailId(Box<str>),
    /// THREADID, as sent
    ThreadId(Box<str>),
    /// FILTER (RFC 5466 §3.1): a name
    Filter(Box<str>),
    /// FUZZY (RFC 6203 §3)
    Fuzzy(Box<SearchKey>),
}

impl SearchKey {
    /// Whether this key or one inside it is of a kind.
    pub fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self)
            || match self {
                Self::And(keys) => keys.iter().any(|key| key.any(is)),
                Self::Or(a, b) => a.any(is) || b.any(is),
                Self::Not(key) | Self::Fuzzy(key) => key.any(is),
                _ => false,
            }
    }
    /// RFC 7162 §3.1.5: whether it asks about mod-sequences.
    #[must_use]
    pub fn names_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq(_)))
    }
    /// RFC 6203 §3: whether something in it may match loosely.
    #[must_use]
    pub fn is_fuzzy(&self) -> bool {
        self.any(&|key| matches!(key, Self::Fuzzy(_)))
    }
}

/// RFC 5256 §3: what SORT orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// ARRIVAL
    Arrival,
    /// CC
    Cc,
    /// DATE
    Date,
    /// FROM
    From,
    /// SIZE
    Size,
    /// SUBJECT
    Subject,
    /// TO
    To,
    /// DISPLAYFROM (RFC 5957 §3)
    DisplayFrom,
    /// DISPLAYTO
    DisplayTo,
    /// RELEVANCY (RFC 6203 §6); only with a FUZZY key
    Relevancy,
}

/// RFC 5256 §3: how THREAD threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// ORDEREDSUBJECT
    OrderedSubject,
    /// REFERENCES
    References,
    /// REFS (draft-ietf-morg-inthread)
    Refs,
    /// Another one, upper case (→ BAD).
    Other(Box<str>),
}
