//! Who asks, and over what: the part of a session that the gate and the audit log see.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::AccountId;

/// A session's random id, as in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The door a session came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP (with or without implicit TLS).
    Imap,
    /// POP3 inside TLS.
    Pop3,
    /// SMTP from other MTAs, port 25.
    Smtp,
    /// Submission, 465 and 587.
    Submission,
    /// LMTP.
    Lmtp,
    /// The queue's own work.
    Queue,
    /// The admin socket or the command line.
    Admin,
    /// The server itself (timers, start-up).
    System,
}

impl Protocol {
    /// Its word, in logs and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Lmtp => "lmtp",
            Self::Queue => "queue",
            Self::Admin => "admin",
            Self::Pop3 => "pop3",
            Self::System => "system",
        }
    }
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsInfo {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: String,
    /// IANA name of the cipher suite.
    pub cipher: String,
}

/// In whose name a session acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// Not authenticated: another MTA, a client before login.
    Anonymous,
    /// An authenticated account.
    Account(AccountId),
    /// An administrator on the admin socket, by Unix user id.
    Admin(u32),
    /// The server itself.
    System,
}

/// A session as the gate sees it. Cheap to clone behind an `Arc`; replaced by a new one when it changes (login, TLS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Random id.
    pub id: SessionId,
    /// The door.
    pub protocol: Protocol,
    /// The other side.
    pub peer: Option<SocketAddr>,
    /// TLS, when on.
    pub tls: Option<TlsInfo>,
    /// EHLO name or IMAP ID, as claimed.
    pub client: Option<String>,
    /// In whose name.
    pub actor: Actor,
}

impl SessionInfo {
    /// A session of the server itself.
    #[must_use]
    pub const fn system(id: SessionId) -> Self {
        Self { id, protocol: Protocol::System, peer: None, tls: None, client: None, actor: Actor::System }
    }
    /// A session of an administrator.
    #[must_use]
    pub const fn admin(id: SessionId, unix_uid: u32) -> Self {
        Self { id, protocol: Protocol::Admin, peer: None, tls: None, client: None, actor: Actor::Admin(unix_uid) }
    }
    /// The authenticated account, if there is one.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        match self.actor {
            Actor::Account(id) => Some(id),
            Actor::Anonymous | Actor::Admin(_) | Actor::System => None,
        }
    }
}
