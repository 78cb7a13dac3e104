//! The outbound queue and the trace of mail, as their callers see them.

use pli_types::{AccountId, Address, BodyId, ByteCount, QueueId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A recipient's row in the outbound queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Its id.
    pub id: QueueId,
    /// The message; rows of one submission share it.
    pub body: BodyId,
    /// Original size.
    pub size: ByteCount,
    /// `None` is `<>`.
    pub reverse_path: Option<Address>,
    /// Who is to get it.
    pub forward_path: Address,
    /// Who submitted it, if an account did.
    pub submitter: Option<AccountId>,
    /// When it was accepted.
    pub created: UnixMillis,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is due.
    pub next_attempt: UnixMillis,
    /// The last reply or failure, in words.
    pub last_error: Option<String>,
    /// Held by an administrator.
    pub held: bool,
    /// Envelope needs SMTPUTF8.
    pub smtputf8: bool,
    /// Content is 8bit.
    pub eight_bit: bool,
    /// As given by the caller.
    pub parameters: Vec<u8>,
    /// Where an administrator sent it: `host:port` instead of what the domain's routes and MX say.
    pub route: Option<String>,
    /// When it was last tried.
    pub last_attempt: Option<UnixMillis>,
    /// The sender has been told that it is late.
    pub told_delay: bool,
}

/// How a row left the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOutcome {
    /// The other MTA took it; its reply.
    Delivered(String),
    /// It failed for good; the reason.
    Failed(String),
    /// An administrator dropped it.
    Dropped,
    /// It did not leave it: changed in the same commit as something else (a notice of delay and what it is about).
    Stays(QueueChange),
}

/// A change of a queue row that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueChange {
    /// An attempt failed for now.
    Deferred {
        /// Reply or failure.
        error: String,
        /// When next.
        next_attempt: UnixMillis,
    },
    /// The same, and the sender is told that it is late.
    Delayed {
        /// Reply or failure.
        error: String,
        /// When next.
        next_attempt: UnixMillis,
    },
    /// Try at once.
    Retry,
    /// Keep until released.
    Hold,
    /// The message does not open: keep it with the reason until somebody has seen to it.
    Damaged {
        /// What does not open.
        error: String,
    },
    /// Take up again.
    Release,
    /// Send it to this `host:port` at once; `None`: where its domain takes mail.
    Reroute(Option<String>),
}

/// What changed in the queue since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueNews {
    /// Rows that came, changed or went.
    pub ids: Vec<QueueId>,
    /// Too many to name, or domains were frozen or thawed: everything is to be read again.
    pub all: bool,
}

/// A domain for which nothing is tried until an administrator says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrozenDomain {
    /// Its name in ASCII, lower case.
    pub domain: String,
    /// Since when.
    pub since: UnixMillis,
    /// Why, in the administrator's words.
    pub reason: String,
}

/// One thing that happened to a message. Written with what it tells of, or, where nothing was kept (a refusal), soon
/// after. Fields that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceEvent {
    /// When; filled in when it is written.
    pub time: i64,
    /// `accepted`, `refused`, `discarded`, `attempt`, `ended`, `changed`.
    pub what: String,
    /// `smtp`, `submission`, `lmtp`, `queue`, `admin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Of which session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The other side's address and port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    /// The other side's name: EHLO of a client, host name of a server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// TLS version and cipher.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls: String,
    /// Our number for the message, as in `Received` and the reply.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Message-ID without its brackets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    /// Reverse-path; `<>` for the empty one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// For whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<TraceRecipient>,
    /// Bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Which attempt.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u64,
    /// The reply, ours or the other side's, or what went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// `spf=pass …`, `dmarc=fail (policy reject)`: each verdict with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<String>,
    /// Which rule decided.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// When it is tried again, in ms of Unix time.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub next: i64,
}

/// A recipient in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceRecipient {
    /// Forward-path.
    pub address: String,
    /// The account here that got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Its mailbox, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<u64>,
    /// UID there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its row in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero_i64(n: &i64) -> bool {
    *n == 0
}

/// What is looked for in the trace; all matching is on whole words and without letter case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceQuery {
    /// A Message-ID without its brackets, an address, or our number of a message.
    pub text: Option<String>,
    /// A row of the queue.
    pub queue: Option<QueueId>,
    /// Not before this.
    pub since: Option<UnixMillis>,
    /// At most so many events; the newest are kept.
    pub limit: usize,
}
