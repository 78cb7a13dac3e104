//! The commands of IMAP as types: what a parsed line means, without a byte of its spelling.
//!
//! Strings that a client may send in another charset (SEARCH) stay bytes; names and flags are the house's types.

use std::fmt;
use std::num::NonZeroU32;

use pli_types::{FlagSet, MailboxName, ModSeq, SpecialUse, Uid, UidValidity, UnixMillis};

pub use crate::listing::*;
pub use crate::query::*;
use crate::sequence::SequenceSet;

/// RFC 9051 §9 `tag`: what the client puts before a command and the server repeats in its answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// Checks and wraps: 1 to [`crate::limits::TAG_BYTES_MAX`] ASTRING-CHARs except `+`.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= crate::limits::TAG_BYTES_MAX;
        if !fits || !text.iter().all(|&b| crate::chars::is_tag_char(b)) {
            return None;
        }
        std::str::from_utf8(text).ok().map(|t| Self(t.into()))
    }
    /// As sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// One command of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Repeated in the tagged answer.
    pub tag: Tag,
    /// What is asked.
    pub body: CommandBody,
}

/// A string that never shows in a log. The session wraps it into a secret at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// What a command asks, with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandBody {
    /// RFC 9051 §6.1.1.
    Capability,
    /// RFC 9051 §6.1.2.
    Noop,
    /// RFC 9051 §6.1.3.
    Logout,
    /// RFC 2971 §3.1; `None` for `NIL`. Names as sent; a value may be NIL.
    Id(Option<Vec<(String, Option<String>)>>),
    /// RFC 9051 §6.2.1.
    StartTls,
    /// RFC 9051 §6.2.2, RFC 4959. The initial response is decoded; `=` gives `Some(empty)`.
    Authenticate {
        /// Upper case.
        mechanism: Box<str>,
        /// SASL-IR.
        initial: Option<Hidden>,
    },
    /// RFC 9051 §6.2.3.
    Login {
        /// As sent.
        user: Vec<u8>,
        /// As sent.
        password: Hidden,
    },
    /// RFC 9051 §6.3.1, RFC 5161: upper case; unknown ones are kept, the session ignores them.
    Enable(Vec<Box<str>>),
    /// RFC 9051 §6.3.2 and §6.3.3.
    Select {
        /// Which.
        mailbox: MailboxName,
        /// EXAMINE.
        read_only: bool,
        /// RFC 7162 §3.1.8.
        condstore: bool,
        /// RFC 7162 §3.2.5.
        qresync: Option<Qresync>,
    },
    /// RFC 9051 §6.3.4, RFC 6154 §3.
    Create {
        /// Which.
        mailbox: MailboxName,
        /// `USE`: the special uses that we know.
        special_use: Vec<SpecialUse>,
        /// `USE`: attributes that we do not know (→ NO `[USEATTR]`).
        unknown_use: Vec<Box<str>>,
    },
    /// RFC 9051 §6.3.5.
    Delete(MailboxName),
    /// RFC 9051 §6.3.6.
    Rename {
        /// The old name.
        from: MailboxName,
        /// The new name.
        to: MailboxName,
    },
    /// RFC 9051 §6.3.7.
    Subscribe(MailboxName),
    /// RFC 9051 §6.3.8.
    Unsubscribe(MailboxName),
    /// RFC 9051 §6.3.9, RFC 5258, RFC 3501 §6.3.9 (LSUB), XLIST.
    List(List),
    /// RFC 9051 §6.3.10.
    Namespace,
    /// RFC 5255 §3.2: language ranges, as sent.
    Language(Vec<String>),
    /// RFC 9051 §6.3.11.
    Status {
        /// Which.
        mailbox: MailboxName,
        /// Without repeats, in the order sent.
        items: Vec<StatusItem>,
    },
    /// RFC 9051 §6.3.12, RFC 8508 §3, with the messages inside the command (small ones that the session let the framer
    /// collect, and those made of URLs alone). Streamed ones go through [`crate::parse_append_prefix`].
    Append(AppendPrefix),
    /// RFC 9051 §6.3.13.
    Idle,
    /// RFC 3501 §6.4.1.
    Check,
    /// RFC 9051 §6.4.1.
    Close,
    /// RFC 9051 §6.4.2.
    Unselect,
    /// RFC 9051 §6.4.3; with a set: UID EXPUNGE (§6.4.9, RFC 4315).
    Expunge {
        /// UID EXPUNGE.
        uids: Option<MessageSet>,
    },
    /// RFC 9051 §6.4.4.
    Search {
        /// UID SEARCH.
        uid: bool,
        /// What to look for and how to answer.
        search: Search,
    },
    /// RFC 7377 §2: a search of several mailboxes; it always answers with UIDs.
    ESearch {
        /// `IN`; `None`: the selected mailbox.
        sources: Option<Vec<MailboxFilter>>,
        /// What to look for and how to answer.
        search: Search,
    },
    /// RFC 5267 §4.3.5: the tags of the searches whose updates are to end.
    CancelUpdate(Vec<Tag>),
    /// RFC 10022 §3: UID ranges of so many messages each.
    UidBatches {
        /// Messages in a batch; not 0.
        size: u32,
        /// Only these batches, counted from 1.
        range: Option<(u32, u32)>,
    },
    /// RFC 5465 §3: what is told without asking; `None`: nothing.
    Notify(Option<NotifySet>),
    /// RFC 5256 §3.
    Sort {
        /// UID SORT.
        uid: bool,
        /// `(REVERSE ARRIVAL)`; each with its REVERSE.
        criteria: Vec<(SortKey, bool)>,
        /// The rest, as SEARCH.
        search: Search,
    },
    /// RFC 5256 §3.
    Thread {
        /// UID THREAD.
        uid: bool,
        /// How.
        algorithm: ThreadAlgorithm,
        /// The rest, as SEARCH.
        search: Search,
    },
    /// RFC 9051 §6.4.5.
    Fetch {
        /// UID FETCH (the session adds UID to every answer).
        uid: bool,
        /// Which messages.
        set: MessageSet,
        /// ALL, FAST and FULL are already taken apart; no repeats.
        items: Vec<FetchItem>,
        /// RFC 7162 §3.1.4.1.
        changed_since: Option<ModSeq>,
        /// RFC 7162 §3.2.6; only with `uid` and `changed_since`.
        vanished: bool,
        /// RFC 9394 §3.3; only with `uid`.
        partial: Option<PartialRange>,
    },
    /// RFC 9051 §6.4.6.
    Store {
        /// UID STORE.
        uid: bool,
        /// Which messages.
        set: MessageSet,
        /// Replace, add or remove.
        action: StoreAction,
        /// `.SILENT`.
        silent: bool,
        /// Which flags; `\Recent` is dropped.
        flags: FlagSet,
        /// RFC 7162 §3.1.3.
        unchanged_since: Option<ModSeq>,
    },
    /// RFC 9051 §6.4.7.
    Copy {
        /// UID COPY.
        uid: bool,
        /// Which messages.
        set: MessageSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// RFC 9051 §6.4.8, RFC 6851.
    Move {
        /// UID MOVE.
        uid: bool,
        /// Which messages.
        set: MessageSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// RFC 9208 §4.1.2.
    GetQuota {
        /// The quota root, as sent.
        root: String,
    },
    /// RFC 9208 §4.1.3.
    GetQuotaRoot(MailboxName),
    /// RFC 9208 §4.1.1 SETQUOTA.
    SetQuota {
        /// The quota root, as sent.
        root: String,
        /// Resource in upper case and limit.
        limits: Vec<(Box<str>, u64)>,
    },
    /// RFC 4314 §3.1.
    SetAcl {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// Whose entry, as sent.
        identifier: String,
        /// What becomes of it.
        change: AclChange,
    },
    /// RFC 4314 §3.2.
    DeleteAcl {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// Whose entry, as sent.
        identifier: String,
    },
    /// RFC 4314 §3.3.
    GetAcl(MailboxName),
    /// RFC 4314 §3.4.
    ListRights {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// Whose, as sent.
        identifier: String,
    },
    /// RFC 4314 §3.5.
    MyRights(MailboxName),
    /// RFC 5464 §4.2.
    GetMetadata(Metadata),
    /// RFC 5464 §4.3: names in lower case; `None` removes.
    SetMetadata {
        /// Of which mailbox; `None`: of the server.
        mailbox: Option<MailboxName>,
        /// Entries with their values.
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// RFC 4467 §7: URLs without their token, each with a mechanism in upper case.
    GenUrlAuth(Vec<(Vec<u8>, Box<str>)>),
    /// RFC 4467 §7.
    ResetKey {
        /// `None`: all.
        mailbox: Option<MailboxName>,
        /// In upper case.
        mechanisms: Vec<Box<str>>,
    },
    /// RFC 4467 §7.
    UrlFetch(Vec<Vec<u8>>),
    /// RFC 8437 §3.
    Unauthenticate,
    /// RFC 4978 §3: the mechanism in upper case.
    Compress {
        /// `DEFLATE`.
        mechanism: Box<str>,
    },
}

impl CommandBody {
    /// The verb in upper case, with `UID ` before it where it was sent so: for the command table, logs and audit.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate { .. } => "AUTHENTICATE",
            Self::Login { .. } => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select { read_only: false, .. } => "SELECT",
            Self::Select { read_only: true, .. } => "EXAMINE",
            Self::Create { .. } => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(list) => match list.verb {
                ListVerb::List => "LIST",
                ListVerb::Lsub => "LSUB",
                ListVerb::Xlist => "XLIST",
            },
            Self::Namespace => "NAMESPACE",
            Self::Language(_) => "LANGUAGE",
            Self::Status { .. } => "STATUS",
            Self::Append(AppendPrefix { replaces: None, .. }) => "APPEND",
            Self::Append(AppendPrefix { replaces: Some(Replaces { uid: false, .. }), .. }) => "REPLACE",
            Self::Append(AppendPrefix { replaces: Some(Replaces { uid: true, .. }), .. }) => "UID REPLACE",
            Self::Idle => "IDLE",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge { uids: None } => "EXPUNGE",
            Self::Expunge { uids: Some(_) } => "UID EXPUNGE",
            Self::Search { uid: false, .. } => "SEARCH",
            Self::Search { uid: true, .. } => "UID SEARCH",
            Self::ESearch { .. } => "ESEARCH",
            Self::Notify(_) => "NOTIFY",
            Self::CancelUpdate(_) => "CANCELUPDATE",
            Self::UidBatches { .. } => "UIDBATCHES",
            Self::Sort { uid: false, .. } => "SORT",
            Self::Sort { uid: true, .. } => "UID SORT",
            Self::Thread { uid: false, .. } => "THREAD",
            Self::Thread { uid: true, .. } => "UID THREAD",
            Self::Fetch { uid: false, .. } => "FETCH",
            Self::Fetch { uid: true, .. } => "UID FETCH",
            Self::Store { uid: false, .. } => "STORE",
            Self::Store { uid: true, .. } => "UID STORE",
            Self::Copy { uid: false, .. } => "COPY",
            Self::Copy { uid: true, .. } => "UID COPY",
            Self::Move { uid: false, .. } => "MOVE",
            Self::Move { uid: true, .. } => "UID MOVE",
            Self::GetQuota { .. } => "GETQUOTA",
            Self::GetQuotaRoot(_) => "GETQUOTAROOT",
            Self::SetQuota { .. } => "SETQUOTA",
            Self::SetAcl { .. } => "SETACL",
            Self::DeleteAcl { .. } => "DELETEACL",
            Self::GetAcl(_) => "GETACL",
            Self::ListRights { .. } => "LISTRIGHTS",
            Self::MyRights(_) => "MYRIGHTS",
            Self::GetMetadata(_) => "GETMETADATA",
            Self::SetMetadata { .. } => "SETMETADATA",
            Self::GenUrlAuth(_) => "GENURLAUTH",
            Self::ResetKey { .. } => "RESETKEY",
            Self::UrlFetch(_) => "URLFETCH",
            Self::Unauthenticate => "UNAUTHENTICATE",
            Self::Compress { .. } => "COMPRESS",
        }
    }
}

/// Which messages a command means: by number or by UID as the command's `uid` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSet {
    /// Numbers.
    Set(SequenceSet),
    /// RFC 9051 §6.4.4.1 `$`: the saved search result.
    Saved,
}

/// RFC 7162 §3.2.5: what the client knows of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// The UIDVALIDITY it last saw.
    pub uid_validity: UidValidity,
    /// The mod-sequence it last saw.
    pub mod_seq: ModSeq,
    /// The UIDs it knows; without `*`.
    pub known_uids: Option<SequenceSet>,
    /// Pairs of message numbers and UIDs that match each other.
    pub matches: Option<(SequenceSet, SequenceSet)>,
}

/// RFC 9051 §6.3.11: what STATUS can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (RFC 3501 §6.3.10)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// SIZE (RFC 8438 §2)
    Size,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.7)
    HighestModSeq,
    /// MAILBOXID (RFC 8474 §4.3)
    MailboxId,
    /// DELETED-STORAGE (RFC 9208 §4.1.4)
    DeletedStorage,
    /// APPENDLIMIT (RFC 7889 §3.1)
    AppendLimit,
}

/// RFC 9051 §6.3.12: where messages go, and their parts as far as they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct AppendPrefix {
    /// Repeated in the tagged answer.
    pub tag: Tag,
    /// Where to.
    pub mailbox: MailboxName,
    /// RFC 8508: the message that goes.
    pub replaces: Option<Replaces>,
    /// In order.
    pub parts: Vec<AppendPart>,
    /// Reads on.
    pub reader: AppendReader,
}

/// RFC 8508 §3: the message that REPLACE removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// UID REPLACE.
    pub uid: bool,
    /// Message number or UID.
    pub number: u32,
}

/// One part of what APPEND puts into a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendPart {
    /// A message begins.
    Begin(AppendMeta),
    /// RFC 4469 §3: what a URL names.
    Url(Vec<u8>),
    /// A literal that is about to come.
    Literal(AppendLiteral),
    /// The bytes of one that came inside the command.
    Data(Vec<u8>),
}

/// What a literal of APPEND holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendLiteral {
    /// A message.
    Message,
    /// A piece of one (RFC 4469 TEXT).
    Text,
    /// A URL.
    Url,
}

/// Reads an APPEND piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendReader {
    pub(crate) at: crate::append::At,
    /// One message only.
    pub(crate) single: bool,
    /// A message has begun.
    pub(crate) begun: bool,
    /// URLs so far.
    pub(crate) urls: usize,
}

/// What APPEND says about one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppendMeta {
    /// `\Recent` is dropped.
    pub flags: FlagSet,
    /// The internal date; `None`: now.
    pub internal_date: Option<UnixMillis>,
    /// Sent as literal8 `~{n}` (RFC 3516 §4.4).
    pub binary: bool,
    /// RFC 6855 §4: `UTF8 (~{n}`; a `)` follows the literal.
    pub utf8: bool,
}

/// RFC 9051 §6.4.6: what STORE does with the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// RFC 9051 §6.4.5: one thing that FETCH can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// FLAGS
    Flags,
    /// ENVELOPE
    Envelope,
    /// INTERNALDATE
    InternalDate,
    /// RFC822 (RFC 3501 §6.4.5): as BODY[]
    Rfc822,
    /// RFC822.HEADER: as `BODY.PEEK[HEADER]`
    Rfc822Header,
    /// RFC822.TEXT: as `BODY[TEXT]`
    Rfc822Text,
    /// RFC822.SIZE
    Rfc822Size,
    /// UID
    Uid,
    /// BODY: the structure without extension data
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// `BODY[section]<partial>` and `BODY.PEEK[section]<partial>`
    Section {
        /// Which part.
        section: Section,
        /// Does not set \Seen.
        peek: bool,
        /// Only this range.
        partial: Option<Partial>,
    },
    /// `BINARY[part]<partial>` and BINARY.PEEK (RFC 9051 §6.4.5)
    Binary {
        /// Part numbers; empty: the whole message.
        part: Vec<NonZeroU32>,
        /// Does not set \Seen.
        peek: bool,
        /// Only this range.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[part]`
    BinarySize {
        /// Part numbers; empty: the whole message.
        part: Vec<NonZeroU32>,
    },
    /// MODSEQ (RFC 7162 §3.1.4.2)
    ModSeq,
    /// EMAILID (RFC 8474 §5.1)
    EmailId,
    /// THREADID (RFC 8474 §5.2)
    ThreadId,
    /// PREVIEW (RFC 8970 §3)
    Preview {
        /// `(LAZY)`
        lazy: bool,
    },
    /// SAVEDATE (RFC 8514 §4)
    SaveDate,
}

impl FetchItem {
    /// Whether asking it marks the message \Seen (RFC 9051 §6.4.5).
    #[must_use]
    pub const fn sets_seen(&self) -> bool {
        matches!(
            self,
            Self::Rfc822 | Self::Rfc822Text | Self::Section { peek: false, .. } | Self::Binary { peek: false, .. }
        )
    }
}

/// RFC 9051 §6.4.5.1: a part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty: the message itself.
    pub part: Vec<NonZeroU32>,
    /// What of it.
    pub kind: SectionKind,
}

/// RFC 9051 §6.4.5.1: what of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SectionKind {
    /// All of it.
    #[default]
    Full,
    /// HEADER
    Header,
    /// HEADER.FIELDS (names), as sent
    HeaderFields(Vec<Box<str>>),
    /// HEADER.FIELDS.NOT (names), as sent
    HeaderFieldsNot(Vec<Box<str>>),
    /// TEXT
    Text,
    /// MIME; only with part numbers
    Mime,
}

/// RFC 9051 §6.4.5: `<offset.count>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First byte.
    pub offset: u64,
    /// At most so many; not 0.
    pub count: u64,
}

/// One UID to another: COPYUID and UIDs in answers.
pub type UidPair = (Uid, Uid);

/// Why a line is no command. The session answers what [`CommandError::tag`] allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No tag could be read: `* BAD`.
    #[error("no tag")]
    NoTag,
    /// A tag without a verb, or a verb that IMAP does not know.
    #[error("unknown command")]
    UnknownCommand {
        /// For the answer.
        tag: Tag,
    },
    /// A known verb with arguments that do not fit: `tag BAD`.
    #[error("{text}")]
    BadArguments {
        /// For the answer.
        tag: Tag,
        /// For the answer; ASCII without line ends.
        text: &'static str,
    },
    /// The syntax is right, but no mailbox can have this name: `tag NO [CANNOT]` for CREATE and RENAME,
    /// `tag NO [NONEXISTENT]` otherwise.
    #[error("{text}")]
    MailboxName {
        /// For the answer.
        tag: Tag,
        /// For the answer.
        text: &'static str,
        /// CREATE, RENAME (the new name).
        creating: bool,
    },
}

impl CommandError {
    /// The tag, if one could be read.
    #[must_use]
    pub const fn tag(&self) -> Option<&Tag> {
        match self {
            Self::NoTag => None,
            Self::UnknownCommand { tag } | Self::BadArguments { tag, .. } | Self::MailboxName { tag, .. } => Some(tag),
        }
    }
}
