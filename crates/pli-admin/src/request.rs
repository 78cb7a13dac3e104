//! What an administrator can ask for.

use pli_types::{Address, ByteCount, QueueId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A quota as an administrator sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaSetting {
    /// The profile's.
    Profile,
    /// No limit.
    Unlimited,
    /// So many bytes.
    Bytes(ByteCount),
}

/// What is done to rows of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueAct {
    /// Tries at once.
    Retry,
    /// Keeps until released.
    Hold,
    /// Takes up again.
    Release,
    /// Ends without delivery and without a bounce.
    Drop,
    /// Sends another way.
    Reroute {
        /// `host:port`; none: where routes and DNS say.
        to: Option<String>,
    },
}

/// Which rows of the queue. Several conditions: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct QueueFilter {
    /// These, and no others.
    pub ids: Vec<QueueId>,
    /// The reverse-path; `<>` for the empty one.
    pub from: Option<String>,
    /// The forward-path.
    pub to: Option<String>,
    /// The forward-path's domain.
    pub domain: Option<String>,
    /// A part of the last error.
    pub error: Option<String>,
    /// Accepted so many seconds ago or longer.
    pub older: Option<u64>,
    /// Held or not.
    pub held: Option<bool>,
    /// All: said on purpose where something is done.
    pub all: bool,
}

impl QueueFilter {
    /// Whether nothing was said at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One administrative act. On the wire: `{"request": "account-add", …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Request {
    /// Adds an account with the default mailboxes. Without a password one is made and returned, once.
    AccountAdd {
        /// Its address and login name.
        address: Address,
        /// The password in the clear; hashed at once, never stored or logged.
        password: Option<PlainPassword>,
        /// Profile; `staff` if none is given.
        profile: Option<String>,
        /// Quota; the profile's if none is given.
        quota: Option<QuotaSetting>,
        /// Shown name.
        display_name: Option<String>,
        /// `fr` or `en`.
        language: Option<String>,
    },
    /// Makes a password for one device or program; returned, once.
    AppPasswordAdd {
        /// Whose.
        address: Address,
        /// What it is for.
        label: String,
    },
    /// An account's app passwords, without what they are.
    AppPasswordList {
        /// Whose.
        address: Address,
    },
    /// Takes one back, and ends the sessions that it opened.
    AppPasswordRevoke {
        /// Whose.
        address: Address,
        /// Its number.
        id: u32,
    },
    /// The sessions that are logged in.
    SessionList,
    /// Ends sessions: all of an account, or one.
    SessionEnd {
        /// Whose.
        address: Option<Address>,
        /// Its id, as listed.
        session: Option<String>,
    },
    /// All accounts.
    AccountList,
    /// One account with its quota and mailboxes' count.
    AccountShow {
        /// Which.
        address: Address,
    },
    /// Changes an account; what is not given stays.
    AccountSet {
        /// Which.
        address: Address,
        /// New password.
        password: Option<PlainPassword>,
        /// New profile.
        profile: Option<String>,
        /// New quota.
        quota: Option<QuotaSetting>,
        /// New shown name.
        display_name: Option<String>,
        /// New language.
        language: Option<String>,
    },
    /// No login and no submission from now on; mail is still received.
    AccountSuspend {
        /// Which.
        address: Address,
        /// False takes the account up again.
        suspended: bool,
    },
    /// Removes an account with its mail and keys.
    AccountRemove {
        /// Which.
        address: Address,
        /// Destroys its key in every copy of the store as well.
        #[serde(default)]
        erase: bool,
    },
    /// Adds a shared account: no password, nobody logs in to it.
    SharedAdd {
        /// Its address.
        address: Address,
        /// Accounts by address, groups as `group:NAME`.
        #[serde(default)]
        members: Vec<String>,
        /// The same, for those who have all rights.
        #[serde(default)]
        owners: Vec<String>,
        /// Profile; `staff` if none is given.
        profile: Option<String>,
        /// Quota; the profile's if none is given.
        quota: Option<QuotaSetting>,
        /// Shown name.
        display_name: Option<String>,
        /// `fr` or `en`.
        language: Option<String>,
    },
    /// All shared accounts with their members.
    SharedList,
    /// One shared account.
    SharedShow {
        /// Which.
        address: Address,
    },
    /// Adds a member of a shared account, or says anew what he is.
    SharedMember {
        /// Of which.
        address: Address,
        /// An address, or `group:NAME`.
        member: String,
        /// Has all rights.
        #[serde(default)]
        owner: bool,
        /// May send as if he were the account.
        #[serde(default)]
        send_as: bool,
        /// May send in the account's name, named as the sender.
        #[serde(default)]
        send_on_behalf: bool,
    },
    /// Removes a member of a shared account.
    SharedMemberRemove {
        /// Of which.
        address: Address,
        /// An address, or `group:NAME`.
        member: String,
    },
    /// Removes a shared account with its mail and keys.
    SharedRemove {
        /// Which.
        address: Address,
    },
    /// Adds a group of accounts, or says anew who is in it.
    GroupSet {
        /// Its name.
        name: String,
        /// Who is in it.
        members: Vec<Address>,
    },
    /// All groups.
    GroupList,
    /// Removes a group, and whatever was given to it.
    GroupRemove {
        /// Which.
        name: String,
    },
    /// Adds or replaces an alias.
    AliasAdd {
        /// The alias; local part `*` is the domain's catch-all.
        address: Address,
        /// Where its mail goes.
        targets: Vec<Address>,
    },
    /// All aliases.
    AliasList,
    /// Removes an alias.
    AliasRemove {
        /// Which.
        address: Address,
    },
    /// Takes mail for a domain.
    DomainAdd {
        /// Its name.
        name: String,
    },
    /// All domains.
    DomainList,
    /// Stops taking mail for a domain.
    DomainRemove {
        /// Its name.
        name: String,
    },
    /// An account's quota and use.
    QuotaShow {
        /// Whose.
        address: Address,
    },
    /// Sets an account's quota.
    QuotaSet {
        /// Whose.
        address: Address,
        /// What.
        quota: QuotaSetting,
    },
    /// Counts an account's use again; finds nothing to correct, or there is a defect.
    QuotaRecalculate {
        /// Whose.
        address: Address,
    },
    /// The configured profiles.
    ProfileList,
    /// Rows of the outbound queue.
    QueueList {
        /// At most so many.
        limit: usize,
        /// Which; all where nothing is said.
        #[serde(default)]
        filter: QueueFilter,
    },
    /// One row.
    QueueShow {
        /// Which.
        id: QueueId,
    },
    /// One row, what it waits for, and what was tried.
    QueueWhy {
        /// Which.
        id: QueueId,
    },
    /// Does something to rows.
    QueueAct {
        /// To which.
        filter: QueueFilter,
        /// What.
        act: QueueAct,
        /// Says to which it would be done, and does nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// Tries nothing for a domain until it is thawed.
    QueueFreeze {
        /// Its name.
        domain: String,
        /// Why.
        reason: String,
        /// Says how many recipients it would be, and does nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// Takes a frozen domain up again.
    QueueThaw {
        /// Its name.
        domain: String,
        /// Says how many recipients it would be, and does nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// The frozen domains.
    QueueFrozen,
    /// Where a message went.
    Trace {
        /// A Message-ID, an address, or a number of the queue.
        what: String,
        /// At most so many events; the newest.
        limit: usize,
    },
    /// The newest audit events, oldest of them first.
    AuditTail {
        /// So many.
        count: u64,
    },
    /// Audit events from an index.
    AuditExport {
        /// The first index.
        from: u64,
        /// At most so many.
        limit: usize,
    },
    /// Reads every audit entry's bytes again and compares them with the tree and its signed checkpoint.
    AuditVerify,
    /// Sizes and counts.
    StoreStat,
    /// Authenticates every frame and compares index, counts and quota with the log.
    StoreVerify {
        /// As fast as can be; else at a pace that leaves the disk to others.
        #[serde(default)]
        fast: bool,
        /// Bytes a second instead of that pace.
        #[serde(default)]
        rate: Option<ByteCount>,
        /// Opens every message of these accounts too, and compares it with what came in.
        #[serde(default)]
        accounts: Vec<Address>,
    },
    /// Mends what verification finds.
    StoreRepair {
        /// Says what would be done, and does nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// Removes from the disk what the retention window no longer holds.
    StoreCompact {
        /// Old segments whatever their share of live bytes, after a snapshot round.
        all: bool,
    },
    /// The mailboxes of an account as they were.
    StoreAt {
        /// Whose.
        address: Address,
        /// When, in milliseconds since 1970.
        time: UnixMillis,
    },
    /// The messages of a mailbox as it was: numbers, dates, sizes, flags.
    StoreAtMessages {
        /// Whose.
        address: Address,
        /// When, in milliseconds since 1970.
        time: UnixMillis,
        /// Which mailbox.
        mailbox: String,
    },
    /// Puts mailboxes of an account back to what they were; what came later is moved aside.
    StoreRewind {
        /// Whose.
        address: Address,
        /// To when, in milliseconds since 1970.
        time: UnixMillis,
        /// Only this one.
        mailbox: Option<String>,
        /// What the mailbox for later mail is called, after `Restauration-` or `Restore-`.
        label: String,
        /// Says what would be done.
        dry_run: bool,
    },
    /// Makes the index again from the log, beside the one in use.
    StoreRebuild {
        /// `sled` or `fjall`; the one in use if none is given.
        engine: Option<String>,
    },
    /// How far the index is that is being made again.
    StoreRebuildStatus,
    /// Ages of the keys, what is due, how far a rotation is; or the state of one account's.
    KeyStatus {
        /// Whose.
        #[serde(default)]
        address: Option<Address>,
    },
    /// Makes a new version of the root key and brings everything under it.
    KeyRotateRoot {
        /// Forgets all older versions at the end: older copies of the store do not open any more.
        forget: bool,
    },
    /// Gives an account, or every account, a new key.
    KeyRotateAccount {
        /// Whose; none: everybody's.
        address: Option<Address>,
    },
    /// Submits a message in an account's name, as if it had logged in.
    Send {
        /// Whose account.
        from: Address,
        /// To whom.
        to: Vec<Address>,
        /// The message; RFC 5322, line ends CRLF or LF.
        message: String,
    },
    /// Whether the server is well.
    Health,
}

/// A password in the clear on its way to being hashed. Its text never shows in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainPassword(pub String);

impl std::fmt::Debug for PlainPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainPassword(redacted)")
    }
}
