//! What is asked of mailboxes as wholes, as types: LIST, NOTIFY, rights, annotations.

use pli_types::{MailboxName, Rights};

use crate::command::{FetchItem, StatusItem};

/// Which of the three listing commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListVerb {
    /// RFC 9051 §6.3.9.
    List,
    /// RFC 3501 §6.3.9.
    Lsub,
    /// Old clients' LIST with special uses.
    Xlist,
}

/// RFC 5465 §6, RFC 7377 §2.2: which mailboxes a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// selected
    Selected,
    /// selected-delayed
    SelectedDelayed,
    /// inboxes: those that mail is delivered to
    Inboxes,
    /// personal
    Personal,
    /// subscribed
    Subscribed,
    /// subtree: these and all below them
    Subtree(Vec<MailboxName>),
    /// subtree-one: these and the next level below
    SubtreeOne(Vec<MailboxName>),
    /// mailboxes: these
    Mailboxes(Vec<MailboxName>),
}

/// RFC 5465 §3: NOTIFY SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySet {
    /// With how each mailbox is now.
    pub status: bool,
    /// The first one that means a mailbox counts.
    pub groups: Vec<EventGroup>,
}

/// RFC 5465 §8 `event-group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: MailboxFilter,
    /// What of them; empty for NONE.
    pub events: Vec<NotifyEvent>,
}

/// RFC 5465 §5: what a session can be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyEvent {
    /// MessageNew, with what is fetched of each.
    MessageNew(Vec<FetchItem>),
    /// MessageExpunge
    MessageExpunge,
    /// FlagChange
    FlagChange,
    /// MailboxName
    MailboxName,
    /// SubscriptionChange
    SubscriptionChange,
    /// Another one, as sent.
    Other(Box<str>),
}

/// RFC 5258 §3 with the extensions of RFC 5819, RFC 6154 and RFC 8440.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// LIST, LSUB or XLIST.
    pub verb: ListVerb,
    /// Selection options.
    pub select: ListSelect,
    /// The reference name, UTF-8.
    pub reference: String,
    /// The patterns with `*` and `%`, UTF-8; one or more. A single empty one asks for the separator.
    pub patterns: Vec<String>,
    /// Return options.
    pub returns: ListReturn,
    /// Whether selection options, a pattern list or RETURN were given (RFC 5258 §3: then CHILDREN and the like
    /// follow the extended rules).
    pub extended: bool,
}

/// RFC 5258 §3.1: selection options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// REMOTE
    pub remote: bool,
    /// RECURSIVEMATCH
    pub recursive_match: bool,
    /// SPECIAL-USE (RFC 6154 §2)
    pub special_use: bool,
}

/// RFC 5258 §3.2: return options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// CHILDREN
    pub children: bool,
    /// SPECIAL-USE
    pub special_use: bool,
    /// RFC 5819 §2 STATUS; empty: not asked.
    pub status: Vec<StatusItem>,
    /// RFC 8440 MYRIGHTS
    pub my_rights: bool,
    /// RFC 9590 METADATA: names of entries; empty: not asked.
    pub metadata: Vec<String>,
}

/// RFC 4314 §3.1: what becomes of the rights of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclChange {
    /// These alone.
    Set(Rights),
    /// `+`
    Add(Rights),
    /// `-`
    Remove(Rights),
}

/// RFC 5464 §4.2.2: how far below an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The entry alone.
    #[default]
    Zero,
    /// And those right below it.
    One,
    /// And all below it.
    Infinity,
}

/// RFC 5464 §4.2: what GETMETADATA asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Of which mailbox; `None`: of the server.
    pub mailbox: Option<MailboxName>,
    /// Names in lower case, with `/private` or `/shared` before them.
    pub entries: Vec<String>,
    /// MAXSIZE
    pub max_size: Option<u64>,
    /// DEPTH
    pub depth: Depth,
}
