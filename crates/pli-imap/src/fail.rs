//! Why a command fails: one function turns it into the reply, another into the log level. The two texts differ.

use std::borrow::Cow;
use std::io;

use pli_crypto::CryptoError;
use pli_gate::{AuthError, Refusal};
use pli_imap_proto::{Code, Out, Status, Tag};
use pli_store::{PastError, StoreError};
use pli_types::{Action, Uid, UidValidity};
use thiserror::Error;
use tracing::Level;

/// Why a command does not succeed.
#[derive(Debug, Error)]
pub enum Fail {
    /// The store's word.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The gate's word.
    #[error("gate: {0}")]
    Refused(#[from] Refusal),
    /// The gate's word on a login.
    #[error("login: {0}")]
    Login(#[from] AuthError),
    /// The peer cannot have what it asks: `NO`.
    #[error("{1}")]
    No(Option<Code<'static>>, &'static str),
    /// The peer asks what cannot be asked: `BAD`.
    #[error("{0}")]
    Bad(&'static str),
    /// The same with a code.
    #[error("{1}")]
    BadCode(Code<'static>, &'static str),
    /// RFC 5466 §3.1: a search names a filter that is none.
    #[error("a filter that is none")]
    NoFilter(Box<str>),
    /// RFC 9586 §3: a message number after UIDONLY was enabled.
    #[error("a message number after UIDONLY")]
    UidRequired,
    /// RFC 4469 §4.1: a URL of a CATENATE that names nothing.
    #[error("a URL that names nothing")]
    BadUrl(String),
    /// A command used an action that its row does not name: a defect of ours, refused.
    #[error("action {} is not in the command's row", .0.name())]
    Undeclared(Action),
    /// The stream failed: nothing can be answered any more.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
}

/// A response code that owns what it holds.
#[derive(Debug)]
pub enum ReplyCode {
    /// None.
    None,
    /// One without data of the session's.
    Plain(Code<'static>),
    /// CAPABILITY.
    Capability(String),
    /// RFC 4315 §3.
    AppendUid(UidValidity, Vec<Uid>),
    /// RFC 4315 §3.
    CopyUid(UidValidity, Vec<Uid>, Vec<Uid>),
    /// RFC 7162 §3.1.3.
    Modified(Vec<u32>),
    /// RFC 8474 §4.1.
    MailboxId(String),
    /// RFC 4469 §4.1.
    BadUrl(String),
    /// RFC 5466 §3.1.
    UndefinedFilter(Box<str>),
}

impl ReplyCode {
    /// As the printer wants it.
    pub fn code(&self) -> Option<Code<'_>> {
        match self {
            Self::None => None,
            Self::Plain(code) => Some(*code),
            Self::Capability(list) => Some(Code::Capability(list)),
            Self::AppendUid(validity, uids) => Some(Code::AppendUid { validity: *validity, uids }),
            Self::CopyUid(validity, from, to) => Some(Code::CopyUid { validity: *validity, from, to }),
            Self::Modified(numbers) => Some(Code::Modified(numbers)),
            Self::MailboxId(id) => Some(Code::MailboxId(id)),
            Self::BadUrl(url) => Some(Code::BadUrl(url)),
            Self::UndefinedFilter(name) => Some(Code::UndefinedFilter(name)),
        }
    }
}

/// A tagged reply.
#[derive(Debug)]
pub struct Reply {
    /// OK, NO or BAD.
    pub status: Status,
    /// The code.
    pub code: ReplyCode,
    /// For people.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `OK text`
    pub const fn ok(text: &'static str) -> Self {
        Self { status: Status::Ok, code: ReplyCode::None, text: Cow::Borrowed(text) }
    }
    /// `OK [CODE] text`
    pub const fn ok_code(code: ReplyCode, text: &'static str) -> Self {
        Self { status: Status::Ok, code, text: Cow::Borrowed(text) }
    }
    const fn no(code: Option<Code<'static>>, text: Cow<'static, str>) -> Self {
        let code = match code {
            None => ReplyCode::None,
            Some(code) => ReplyCode::Plain(code),
        };
        Self { status: Status::No, code, text }
    }
    /// Writes it.
    pub fn write(&self, out: &mut Out, tag: &Tag) {
        out.tagged(tag, self.status, self.code.code(), &self.text);
    }
}

const fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

/// What the peer is told. RFC 5530 §3 for the codes. No internals.
pub fn reply(fail: &Fail) -> Reply {
    match fail {
        Fail::Store(error) => store_reply(error),
        Fail::Refused(refusal) => refusal_reply(*refusal),
        Fail::Login(error) => login_reply(*error),
        Fail::No(code, words) => Reply::no(*code, text(words)),
        Fail::Bad(words) => Reply { status: Status::Bad, code: ReplyCode::None, text: text(words) },
        Fail::BadCode(code, words) => Reply { status: Status::Bad, code: ReplyCode::Plain(*code), text: text(words) },
        Fail::NoFilter(name) => {
            Reply { status: Status::No, code: ReplyCode::UndefinedFilter(name.clone()), text: text("No such filter") }
        }
        Fail::BadUrl(url) => Reply {
            status: Status::No,
            code: ReplyCode::BadUrl(url.clone()),
            text: text("This URL names nothing that can be read here"),
        },
        Fail::UidRequired => Reply {
            status: Status::Bad,
            code: ReplyCode::Plain(Code::UidRequired),
            text: text("Only UIDs are used once UIDONLY is enabled"),
        },
        Fail::Undeclared(_) => Reply::no(Some(Code::ServerBug), text("Internal error, reported")),
        Fail::Io(_) => Reply::no(Some(Code::Unavailable), text("Connection failed")),
    }
}

fn store_reply(error: &StoreError) -> Reply {
    let (code, words) = match error {
        StoreError::NoAccount(_) => (Some(Code::AuthorizationFailed), "The account is gone"),
        StoreError::NoMailbox | StoreError::Missing(_) => (Some(Code::NonExistent), "No such mailbox"),
        StoreError::NoMessage => (Some(Code::ExpungeIssued), "The message is gone"),
        StoreError::Exists(_) => (Some(Code::AlreadyExists), "There is something of this name already"),
        StoreError::Impossible(why) => (Some(Code::Cannot), *why),
        StoreError::OverQuota { .. } => (Some(Code::OverQuota), "Quota exceeded"),
        StoreError::Limit(what) => (Some(Code::Limit), *what),
        StoreError::Past(error) => past_reply(*error),
        StoreError::Damaged(_) => (Some(Code::Corruption), "This cannot be read, the administrator has been told"),
        StoreError::Keys(CryptoError::Unavailable(_)) => {
            (Some(Code::Unavailable), "The key store does not answer, try later; your mail is safe")
        }
        StoreError::Keys(_) => (Some(Code::Unavailable), "The keys for this are not open"),
        StoreError::DiskFull => (Some(Code::Unavailable), "The server is out of space, try later"),
        StoreError::NoFiles
        | StoreError::Stopped(_)
        | StoreError::Rebuilding
        | StoreError::Index(_)
        | StoreError::Io(_) => (Some(Code::Unavailable), "Temporarily unavailable, try later"),
        StoreError::NoQueueRow(_) | StoreError::WrongPermit => (Some(Code::ServerBug), "Internal error, reported"),
    };
    Reply::no(code, text(words))
}

const fn past_reply(error: PastError) -> (Option<Code<'static>>, &'static str) {
    match error {
        PastError::TooOld { .. } => (Some(Code::NonExistent), "The past is not kept for so long"),
        PastError::Future => (Some(Code::NonExistent), "This moment is not past yet"),
        PastError::Gone => (Some(Code::NonExistent), "The message is gone for good"),
    }
}

fn refusal_reply(refusal: Refusal) -> Reply {
    let (code, words) = match refusal {
        Refusal::NotAuthenticated => (Code::NoPerm, "Log in first"),
        Refusal::NoRight => (Code::NoPerm, "You may not do this"),
        Refusal::Hidden => (Code::NonExistent, "No such mailbox"),
        Refusal::Suspended => (Code::ContactAdmin, "The account is suspended"),
        Refusal::OverQuota { never: true } => (Code::OverQuota, "The message is larger than the quota"),
        Refusal::OverQuota { never: false } => (Code::OverQuota, "Quota exceeded"),
        Refusal::RateLimited => (Code::Limit, "Too many requests, try later"),
        Refusal::Unavailable => (Code::Unavailable, "Temporarily unavailable, try later"),
    };
    Reply::no(Some(code), text(words))
}

fn login_reply(error: AuthError) -> Reply {
    let (code, words) = match error {
        AuthError::Failed => (Code::AuthenticationFailed, "Wrong user name or password"),
        AuthError::Suspended => (Code::ContactAdmin, "The account is suspended"),
        AuthError::Slowed => (Code::Limit, "Too many failed logins, try later"),
        // RFC 5530 §3 names LIMIT for this.
        AuthError::TooMany => (Code::Limit, "Too many connections of this account"),
        AuthError::Unavailable => (Code::Unavailable, "Temporarily unavailable, try later"),
        AuthError::NoKeys => (Code::Unavailable, "The key store does not answer, try later; your mail is safe"),
    };
    Reply::no(Some(code), text(words))
}

/// How loud the log is.
pub const fn level(fail: &Fail) -> Level {
    match fail {
        Fail::Store(error) => match error {
            StoreError::Damaged(_)
            | StoreError::WrongPermit
            | StoreError::Stopped(_)
            | StoreError::DiskFull
            | StoreError::NoFiles
            | StoreError::Io(_)
            | StoreError::Keys(_)
            | StoreError::NoQueueRow(_) => Level::ERROR,
            StoreError::Rebuilding | StoreError::Limit(_) => Level::WARN,
            _ => Level::DEBUG,
        },
        Fail::Undeclared(_) => Level::ERROR,
        Fail::Refused(Refusal::Unavailable) | Fail::Login(AuthError::Unavailable | AuthError::NoKeys) => Level::ERROR,
        Fail::Refused(_) | Fail::Login(_) => Level::INFO,
        Fail::No(..)
        | Fail::Bad(_)
        | Fail::BadCode(..)
        | Fail::NoFilter(_)
        | Fail::BadUrl(_)
        | Fail::UidRequired
        | Fail::Io(_) => Level::DEBUG,
    }
}
