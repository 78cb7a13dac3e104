//! What the store holds, as its callers see it. The forms on disk are apart, in `rows`.

use std::ops::Range;
use std::sync::Arc;

use pli_crypto::ScramKeys;
use pli_types::{
    AccountId, Address, BodyId, ByteCount, EmailId, FlagSet, Keyword, MailboxId, MailboxName, ModSeq, QueueId,
    SpecialUse, Uid, UidValidity, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// A person's or a shared mail store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Never reused.
    pub id: AccountId,
    /// The primary address; also the login name.
    pub address: Address,
    /// Shown name.
    pub display_name: Option<String>,
    /// Name of the profile that gives rights, quota and policies.
    pub profile: String,
    /// Password hash as a PHC string; none: no password login.
    pub password: Option<String>,
    /// No login, no submission; mail is still received.
    pub suspended: bool,
    /// Overrides the profile's quota.
    pub quota: Option<QuotaLimit>,
    /// `fr` or `en`.
    pub language: String,
    /// When it was made.
    pub created: UnixMillis,
}

/// A password of one device or program, which can be taken back by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    /// Its number in the account.
    pub id: u32,
    /// What it is for, as its owner calls it.
    pub label: String,
    /// When it was made.
    pub created: UnixMillis,
    /// When somebody last logged in with it, to within some minutes.
    pub last_used: Option<UnixMillis>,
    /// [`crate::Store::app_password_hash`] of it.
    pub hash: [u8; 32],
    /// For SCRAM, under the account's salt.
    pub scram: ScramKeys,
    /// With so many iterations.
    pub iterations: u32,
}

/// An app password to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAppPassword {
    /// What it is for.
    pub label: String,
    /// [`crate::Store::app_password_hash`] of it.
    pub hash: [u8; 32],
    /// For SCRAM, under [`crate::Store::scram_salt`].
    pub scram: ScramKeys,
    /// With so many iterations.
    pub iterations: u32,
}

/// What a login changes, besides the record of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginTrace {
    /// The app password that it was with.
    pub app: Option<u32>,
    /// Whether that one's last use is written anew.
    pub touch: bool,
    /// The password's entry that was looked at, if it was with the account's own: it must still be that password.
    pub entry: Option<String>,
    /// The password's entry as it was read, and what takes its place if it still stands.
    pub renewed: Option<(String, String)>,
}

/// Limits of a quota root; `None` is without limit. RFC 9208 §5: STORAGE and MESSAGE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaLimit {
    /// Original bytes of all messages.
    pub bytes: Option<ByteCount>,
    /// Number of messages.
    pub messages: Option<u64>,
}

/// A quota root with its use. A message that stands in several mailboxes of an account counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes in use.
    pub bytes_used: ByteCount,
    /// Messages in use.
    pub messages_used: u64,
    /// The limits in force.
    pub limit: QuotaLimit,
}

/// What a new account starts with.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Primary address.
    pub address: Address,
    /// Shown name.
    pub display_name: Option<String>,
    /// Profile.
    pub profile: String,
    /// PHC string.
    pub password: Option<String>,
    /// Override.
    pub quota: Option<QuotaLimit>,
    /// The limit in force (override or profile's).
    pub quota_in_force: QuotaLimit,
    /// `fr` or `en`.
    pub language: String,
    /// Mailboxes to make besides INBOX; all subscribed.
    pub mailboxes: Vec<(MailboxName, Option<SpecialUse>)>,
}

/// A change of an account; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// New profile.
    pub profile: Option<String>,
    /// New shown name.
    pub display_name: Option<Option<String>>,
    /// New PHC string.
    pub password: Option<Option<String>>,
    /// Suspend or take up again.
    pub suspended: Option<bool>,
    /// New override.
    pub quota: Option<Option<QuotaLimit>>,
    /// New limit in force.
    pub quota_in_force: Option<QuotaLimit>,
    /// New language.
    pub language: Option<String>,
}

/// An address that stands for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The alias; local part `*` is the domain's catch-all.
    pub address: Address,
    /// Where mail for it goes (local or remote addresses).
    pub targets: Vec<Address>,
}

/// A domain that this server takes mail for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// In lower case.
    pub name: String,
    /// When it was added.
    pub created: UnixMillis,
}

/// A mailbox and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Never reused.
    pub id: MailboxId,
    /// Whose.
    pub account: AccountId,
    /// Full name.
    pub name: MailboxName,
    /// RFC 6154.
    pub special_use: Option<SpecialUse>,
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: UidValidity,
    /// The next UID to be given out.
    pub uid_next: Uid,
    /// RFC 7162 §3.1.2.
    pub highest_modseq: ModSeq,
    /// Messages in it.
    pub messages: u32,
    /// Without \Seen.
    pub unseen: u32,
    /// With \Deleted.
    pub deleted: u32,
    /// Sum of sizes (RFC 8438).
    pub bytes: ByteCount,
    /// Keyword table: the keyword at position n is bit 5 + n of a flag word.
    pub keywords: Arc<[Keyword]>,
}

/// One message for APPEND.
pub struct AppendMessage {
    /// The bytes, sealed and summarised by [`crate::Store::prepare`].
    pub prepared: crate::Prepared,
    /// Flags to set.
    pub flags: FlagSet,
    /// RFC 9051 §2.3.3; now if `None`.
    pub internal_date: Option<UnixMillis>,
}

/// What APPEND answers with (RFC 4315 APPENDUID).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Of the mailbox.
    pub uid_validity: UidValidity,
    /// In the order of the messages given.
    pub uids: Vec<Uid>,
}

/// A local recipient of a delivery.
pub struct LocalRecipient {
    /// Leave to deliver into this account.
    pub permit: crate::Permit,
    /// Whose.
    pub account: AccountId,
    /// Into which mailbox; INBOX if `None` or if it is gone.
    pub mailbox: Option<MailboxId>,
    /// Flags to set.
    pub flags: FlagSet,
}

/// A remote recipient of a submission (or of a forward or bounce).
pub struct RemoteRecipient {
    /// Leave to relay.
    pub permit: crate::Permit,
    /// RFC 5321 forward-path.
    pub forward_path: Address,
    /// [`pli_types::EnvelopeParameters`] as they are encoded; of them the store heeds when the row is due at first.
    pub parameters: Vec<u8>,
}

/// One accepted message with all its recipients: one body, one commit, all or nothing.
pub struct Delivery {
    /// The bytes, sealed and summarised.
    pub prepared: crate::Prepared,
    /// RFC 5321 reverse-path; `None` is `<>`.
    pub reverse_path: Option<Address>,
    /// Recipients here.
    pub local: Vec<LocalRecipient>,
    /// Recipients elsewhere.
    pub remote: Vec<RemoteRecipient>,
    /// Whether the envelope needs SMTPUTF8.
    pub smtputf8: bool,
    /// Whether the content is 8bit.
    pub eight_bit: bool,
    /// Queue rows that end with this commit (a bounce and the row it is about are one commit).
    pub ends: Vec<(crate::Permit, QueueId, crate::QueueOutcome)>,
}

/// Where a delivery went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// For each local recipient, in order.
    pub local: Vec<(MailboxId, UidValidity, Uid)>,
    /// For each remote recipient, in order.
    pub queued: Vec<QueueId>,
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// What STORE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flagged {
    /// UIDs that exist and were not refused (changed or already so).
    pub uids: Vec<Uid>,
    /// RFC 7162 §3.1.3: UIDs refused by UNCHANGEDSINCE.
    pub modified: Vec<Uid>,
}

/// What COPY and MOVE answer with (RFC 4315 COPYUID).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Of the target mailbox.
    pub uid_validity: UidValidity,
    /// Source and target UIDs, ascending by source.
    pub uids: Vec<(Uid, Uid)>,
}

/// What putting a mailbox back to its past did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// The mailbox as it is after it.
    pub mailbox: Mailbox,
    /// Messages that were still in it.
    pub same: u32,
    /// Messages that came back.
    pub restored: u32,
    /// Messages that came later and were moved aside.
    pub aside: u32,
}

/// A message's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageMeta {
    /// Within its account.
    pub email: EmailId,
    /// The bytes.
    pub body: BodyId,
    /// Original size: RFC822.SIZE and the length of BODY[].
    pub size: ByteCount,
    /// INTERNALDATE.
    pub received: UnixMillis,
    /// SHA-256 of the original bytes.
    pub digest: [u8; 32],
}

/// Sizes and counts of the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreStat {
    /// Accounts.
    pub accounts: u64,
    /// Messages of all accounts, as quotas count them.
    pub messages: u64,
    /// Their bytes, as quotas count them: a body that several accounts have counts in each.
    pub message_bytes: u64,
    /// Bytes of search segments, as they are before compression.
    pub search_bytes: u64,
    /// Log segments.
    pub segments: u64,
    /// Bytes of all log segments.
    pub log_bytes: u64,
    /// Bytes of the index on disk.
    pub index_bytes: u64,
    /// Queue rows.
    pub queued: u64,
    /// Audit entries.
    pub audit_entries: u64,
    /// Commits since start.
    pub commits: u64,
    /// Commit groups since start; each is one fdatasync.
    pub commit_groups: u64,
    /// Calls of fdatasync on the log since start.
    pub log_syncs: u64,
    /// Name of the index engine.
    pub index_engine: String,
    /// Times that the index was made again from the log since start.
    pub index_rebuilds: u64,
    /// Views of mailboxes in memory.
    pub views: u64,
    /// What they take.
    pub view_bytes: u64,
}

/// How far the index is that is being made again, or how the last one ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RebuildStatus {
    /// Whether one is being made now.
    pub running: bool,
    /// Whether reads and changes are served meanwhile.
    pub serving: bool,
    /// Name of the engine: the new one's, or the one in use.
    pub engine: String,
    /// Bytes of the log that have been read.
    pub done_bytes: u64,
    /// Bytes of the log to read; 0 before that is known.
    pub total_bytes: u64,
    /// Frames applied, of the last one when none is running.
    pub frames: u64,
    /// Times that the index was made again since start.
    pub rebuilds: u64,
    /// Why the last one failed, if it did.
    pub error: Option<String>,
}

/// A message of which something is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HurtMessage {
    /// Whose.
    pub account: AccountId,
    /// The account's address.
    pub address: String,
    /// Where it stands.
    pub mailbox: String,
    /// Its number there.
    pub uid: Uid,
    /// Within its account.
    pub email: EmailId,
    /// Original size, where its row is there.
    pub size: Option<ByteCount>,
    /// INTERNALDATE in Unix seconds, where its row is there.
    pub received: Option<i64>,
}

/// One thing that `verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// `frame`, `snapshot`, `body`, `row`, `count`, `quota`, `audit`.
    pub kind: &'static str,
    /// Where, in words: segment and offset, or account, mailbox, UID.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// The message that it hurts, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<HurtMessage>,
}

/// What `verify` saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Segments that were dropped in order, and that the chain still proves.
    pub dropped: u64,
    /// Frames that authenticated.
    pub frames: u64,
    /// Snapshot frames compared with the batches around them.
    pub snapshots: u64,
    /// Bodies whose place holds their frame, with the SHA-256 that their row has; those that are gone and kept included.
    pub bodies: u64,
    /// Messages that were opened and compared with what came in (only where keys were at hand).
    pub originals: u64,
    /// Rows compared.
    pub rows: u64,
    /// Accounts whose counts were compared.
    pub accounts: u64,
    /// Audit entries compared with the tree.
    pub audit_entries: u64,
    /// Bodies that changed whenever they were looked at: neither right nor wrong.
    pub undecided: u64,
    /// Everything that is wrong; empty is well.
    pub damage: Vec<Damage>,
    /// Damage beyond what the list holds.
    pub damage_left_out: u64,
}

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Bytes of log and index that are read a second at most; as fast as can be if there is none.
    pub bytes_per_second: Option<u64>,
    /// Set to break it off.
    pub cancel: Arc<std::sync::atomic::AtomicBool>,
    /// Bytes of each sort that stay in memory; the store's own choice if there is none. For tests.
    #[doc(hidden)]
    pub run_bytes: Option<usize>,
}

/// What a verification is about just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyStep {
    /// Frames are authenticated.
    Log,
    /// The index is compared with the log.
    Rows,
    /// Bodies and their references are compared.
    Bodies,
    /// Accounts are counted.
    Counts,
    /// The audit log is read.
    Audit,
    /// Messages are opened and compared with what came in.
    Originals,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgress {
    /// What it is about.
    pub step: VerifyStep,
    /// Work done, in bytes.
    pub done: u64,
    /// All of it.
    pub total: u64,
    /// Seconds so far.
    pub elapsed_s: u64,
    /// Seconds left, once that can be told.
    pub eta_s: Option<u64>,
    /// Things found wrong so far.
    pub damage: u64,
}

/// A byte range of a message; the end is exclusive.
pub type ByteRange = Range<u64>;
