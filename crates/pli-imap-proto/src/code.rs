//! Response codes: the machine-readable part of OK, NO, BAD, BYE and PREAUTH.

use pli_types::{ModSeq, Uid, UidValidity};

use crate::out::Out;

/// RFC 9051 §7.1, RFC 5530 and the extensions' codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code<'a> {
    /// ALERT: the client must show the text.
    Alert,
    /// ALREADYEXISTS
    AlreadyExists,
    /// APPENDUID (RFC 4315 §3), the UIDs in the order of the messages.
    AppendUid {
        /// Of the mailbox.
        validity: UidValidity,
        /// One for each message.
        uids: &'a [Uid],
    },
    /// AUTHENTICATIONFAILED
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED
    AuthorizationFailed,
    /// BADCHARSET with the charsets that work; empty: no list.
    BadCharset(&'a [&'a str]),
    /// BADEVENT (RFC 5465 §8) with the events that there are.
    BadEvent(&'a [&'a str]),
    /// BADURL (RFC 4469 §4.1) with the URL.
    BadUrl(&'a str),
    /// CANNOT
    Cannot,
    /// CAPABILITY with the list separated by blanks.
    Capability(&'a str),
    /// CLIENTBUG
    ClientBug,
    /// CLOSED (RFC 7162 §3.2.11)
    Closed,
    /// COMPRESSIONACTIVE (RFC 4978 §3)
    CompressionActive,
    /// CONTACTADMIN
    ContactAdmin,
    /// COPYUID (RFC 4315 §3): both in the order of the copying, equally long.
    CopyUid {
        /// Of the target mailbox.
        validity: UidValidity,
        /// In the source.
        from: &'a [Uid],
        /// In the target.
        to: &'a [Uid],
    },
    /// CORRUPTION
    Corruption,
    /// EXPIRED
    Expired,
    /// EXPUNGEISSUED
    ExpungeIssued,
    /// HASCHILDREN
    HasChildren,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1)
    HighestModSeq(ModSeq),
    /// INPROGRESS (RFC 9585 §4): the command's tag, how much is done, and of how much.
    InProgress {
        /// Of the command that runs.
        tag: &'a str,
        /// So much is done.
        done: u32,
        /// Of so much, where that is known.
        goal: Option<u32>,
    },
    /// INUSE
    InUse,
    /// LIMIT
    Limit,
    /// MAILBOXID (RFC 8474 §4.1)
    MailboxId(&'a str),
    /// MESSAGELIMIT (RFC 9738 §3): the limit, and the lowest UID that was done, where some were.
    MessageLimit(u32, Option<Uid>),
    /// METADATA LONGENTRIES (RFC 5464 §4.2.1)
    MetadataLongEntries(u64),
    /// METADATA MAXSIZE (RFC 5464 §4.3)
    MetadataMaxSize(u64),
    /// METADATA TOOMANY (RFC 5464 §4.3)
    MetadataTooMany,
    /// MODIFIED (RFC 7162 §3.1.3): numbers or UIDs in rising order.
    Modified(&'a [u32]),
    /// NOMODSEQ (RFC 7162 §3.1.2.2)
    NoModSeq,
    /// NONEXISTENT
    NonExistent,
    /// NOPERM
    NoPerm,
    /// NOTSAVED (RFC 9051 §6.4.4.1)
    NotSaved,
    /// NOUPDATE (RFC 5267 §4.3.1): the tag of the search whose changes are not told.
    NoUpdate(&'a str),
    /// OVERQUOTA (RFC 9208 §4.3.1)
    OverQuota,
    /// PARSE
    Parse,
    /// PERMANENTFLAGS: the flags between the parentheses.
    PermanentFlags(&'a str),
    /// PRIVACYREQUIRED
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG
    ServerBug,
    /// TOOFEW (RFC 10022): the batches asked for are too small.
    TooFew,
    /// TOOBIG (RFC 7888 §4, RFC 4469)
    TooBig,
    /// TRYCREATE
    TryCreate,
    /// UNDEFINED-FILTER (RFC 5466 §4) with its name
    UndefinedFilter(&'a str),
    /// UIDNEXT
    UidNext(Uid),
    /// UIDNOTSTICKY
    UidNotSticky,
    /// UIDREQUIRED (RFC 9586 §3)
    UidRequired,
    /// UIDVALIDITY
    UidValidity(UidValidity),
    /// UNAVAILABLE
    Unavailable,
    /// UNKNOWN-CTE
    UnknownCte,
    /// UNSEEN (RFC 3501 §7.1): the number of the first message without \Seen.
    Unseen(u32),
    /// URLMECH (RFC 4467 §8) with the mechanism
    UrlMech(&'a str),
    /// USEATTR (RFC 6154 §3)
    UseAttr,
}

impl Code<'_> {
    /// The name, without arguments.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AppendUid { .. } => "APPENDUID",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::BadCharset(_) => "BADCHARSET",
            Self::BadEvent(_) => "BADEVENT",
            Self::BadUrl(_) => "BADURL",
            Self::Cannot => "CANNOT",
            Self::Capability(_) => "CAPABILITY",
            Self::ClientBug => "CLIENTBUG",
            Self::Closed => "CLOSED",
            Self::CompressionActive => "COMPRESSIONACTIVE",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::CopyUid { .. } => "COPYUID",
            Self::Corruption => "CORRUPTION",
            Self::Expired => "EXPIRED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::InProgress { .. } => "INPROGRESS",
            Self::InUse => "INUSE",
            Self::Limit => "LIMIT",
            Self::MailboxId(_) => "MAILBOXID",
            Self::MessageLimit(..) => "MESSAGELIMIT",
            Self::MetadataLongEntries(_) | Self::MetadataMaxSize(_) | Self::MetadataTooMany => "METADATA",
            Self::Modified(_) => "MODIFIED",
            Self::NoModSeq => "NOMODSEQ",
            Self::NonExistent => "NONEXISTENT",
            Self::NoPerm => "NOPERM",
            Self::NotSaved => "NOTSAVED",
            Self::NoUpdate(_) => "NOUPDATE",
            Self::OverQuota => "OVERQUOTA",
            Self::Parse => "PARSE",
            Self::PermanentFlags(_) => "PERMANENTFLAGS",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::ServerBug => "SERVERBUG",
            Self::TooBig => "TOOBIG",
            Self::TooFew => "TOOFEW",
            Self::TryCreate => "TRYCREATE",
            Self::UndefinedFilter(_) => "UNDEFINED-FILTER",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::UidRequired => "UIDREQUIRED",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unavailable => "UNAVAILABLE",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::Unseen(_) => "UNSEEN",
            Self::UrlMech(_) => "URLMECH",
            Self::UseAttr => "USEATTR",
        }
    }

    /// Writes `[NAME arguments] `.
    pub(crate) fn write(&self, out: &mut Out) {
        out.raw(b"[");
        out.raw(self.name().as_bytes());
        match *self {
            Self::AppendUid { validity, uids } => {
                out.space_number(validity.get().into());
                out.raw(b" ");
                out.runs(uids.iter().map(|u| u.get()));
            }
            Self::CopyUid { validity, from, to } => {
                out.space_number(validity.get().into());
                out.raw(b" ");
                out.runs(from.iter().map(|u| u.get()));
                out.raw(b" ");
                out.runs(to.iter().map(|u| u.get()));
            }
            Self::BadCharset(names) | Self::BadEvent(names) if !names.is_empty() => {
                out.raw(b" (");
                for (i, name) in names.iter().enumerate() {
                    if i > 0 {
                        out.raw(b" ");
                    }
                    out.astring(name.as_bytes());
                }
                out.raw(b")");
            }
            Self::BadUrl(url) => {
                out.raw(b" ");
                // RFC 4469 §5 `url-resp-text`
                let fits = |b: &u8| matches!(b, b'!'..=b'~') && *b != b']' && *b != b'\\';
                url.bytes().filter(|b| fits(b)).for_each(|b| out.raw(&[b]));
            }
            Self::Capability(list) => {
                out.raw(b" ");
                out.raw(list.as_bytes());
            }
            Self::HighestModSeq(m) => out.space_number(m.get()),
            Self::InProgress { tag, done, goal } => {
                out.raw(b" (");
                out.string(tag.as_bytes());
                out.space_number(done.into());
                match goal {
                    Some(goal) => out.space_number(goal.into()),
                    None => out.raw(b" NIL"),
                }
                out.raw(b")");
            }
            Self::MessageLimit(limit, lowest) => {
                out.space_number(limit.into());
                if let Some(lowest) = lowest {
                    out.space_number(lowest.get().into());
                }
            }
            Self::NoUpdate(tag) => {
                out.raw(b" ");
                out.string(tag.as_bytes());
            }
            Self::MailboxId(id) => {
                out.raw(b" (");
                out.raw(id.as_bytes());
                out.raw(b")");
            }
            Self::MetadataLongEntries(bytes) => {
                out.raw(b" LONGENTRIES");
                out.space_number(bytes);
            }
            Self::MetadataMaxSize(bytes) => {
                out.raw(b" MAXSIZE");
                out.space_number(bytes);
            }
            Self::MetadataTooMany => out.raw(b" TOOMANY"),
            Self::Modified(numbers) => {
                out.raw(b" ");
                out.runs(numbers.iter().copied());
            }
            Self::PermanentFlags(flags) => {
                out.raw(b" (");
                out.raw(flags.as_bytes());
                out.raw(b")");
            }
            Self::UndefinedFilter(name) | Self::UrlMech(name) => {
                out.raw(b" ");
                out.atom(name);
            }
            Self::UidNext(uid) => out.space_number(uid.get().into()),
            Self::UidValidity(v) => out.space_number(v.get().into()),
            Self::Unseen(n) => out.space_number(n.into()),
            _ => {}
        }
        out.raw(b"] ");
    }
}
