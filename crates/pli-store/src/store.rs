//! The store's calls.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pli_audit::Event;
use pli_crypto::{KeyStore, Opened};
use pli_io::Env;
use pli_mime::Summary;
use pli_types::{
    AccountId, Address, ByteCount, EmailId, MailboxId, MailboxName, ModSeq, QueueId, SpecialUse, Uid, UnixMillis,
};
use tokio::sync::watch;

use crate::{
    Account, AccountChange, Alias, AppendMessage, Appended, ByteRange, Committed, Copied, Delivered, Delivery, Domain,
    FlagMode, Flagged, Mailbox, MessageMeta, Mint, NewAccount, OpenError, Permit, QueueChange, QueueOutcome, QueueRow,
    Quota, StoreError, StoreStat, VerifyReport, View,
};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Which index engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexEngine {
    /// sled 0.34.
    #[default]
    Sled,
    /// In memory, made again from the log at each start: tests and simulation.
    Memory,
}

/// How to open a store.
pub struct StoreOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// Disk, clock, randomness.
    pub env: Env,
    /// The root of all keys.
    pub keys: Arc<dyn KeyStore>,
    /// The index.
    pub index: IndexEngine,
    /// Cache of the index, in bytes.
    pub index_cache_bytes: u64,
    /// The audit log's origin line (C2SP tlog-checkpoint), for instance `mail.example.org/pli`.
    pub site: String,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {}

/// A message's bytes sealed under a key of its own, with its summary: what [`Store::prepare`] makes, ready to commit.
pub struct Prepared {}

impl Prepared {
    /// Original size.
    pub fn size(&self) -> ByteCount {
        todo!()
    }
    /// The summary, while it is at hand.
    pub fn summary(&self) -> &Summary {
        todo!()
    }
}

impl Store {
    /// Makes an empty store.
    pub fn create(options: StoreOptions) -> std::result::Result<(Self, Mint), OpenError> {
        let _ = options;
        todo!()
    }
    /// Opens a store: checks the header, replays the log's tail, starts the committer.
    pub fn open(options: StoreOptions) -> std::result::Result<(Self, Mint), OpenError> {
        let _ = options;
        todo!()
    }
    /// Finishes what is queued, writes a checkpoint, stops the committer. Later calls fail with `Stopped`.
    pub fn close(&self) {
        todo!()
    }

    // ---- the directory's rows: read without a permit, since they are needed before anybody is known ----

    /// An account.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>> {
        let _ = id;
        todo!()
    }
    /// By primary address ([`Address::key`]).
    pub fn account_by_key(&self, key: &str) -> Result<Option<Account>> {
        let _ = key;
        todo!()
    }
    /// Accounts after an id, in id order.
    pub fn accounts(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Account>> {
        let _ = (after, limit);
        todo!()
    }
    /// An alias by [`Address::key`].
    pub fn alias(&self, key: &str) -> Result<Option<Alias>> {
        let _ = key;
        todo!()
    }
    /// All aliases.
    pub fn aliases(&self) -> Result<Vec<Alias>> {
        todo!()
    }
    /// Whether the domain is ours.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        let _ = name;
        todo!()
    }
    /// All domains.
    pub fn domains(&self) -> Result<Vec<Domain>> {
        todo!()
    }
    /// Quota and use of an account (needed at RCPT time, before there is a permit).
    pub fn quota(&self, account: AccountId) -> Result<Quota> {
        let _ = account;
        todo!()
    }

    // ---- changes of the directory ----

    /// Makes an account with its keys, INBOX and the mailboxes given.
    pub async fn create_account(&self, permit: Permit, new: NewAccount) -> Result<Committed<AccountId>> {
        let _ = (permit, new);
        todo!()
    }
    /// Changes an account.
    pub async fn change_account(&self, permit: Permit, id: AccountId, change: AccountChange) -> Result<Committed<()>> {
        let _ = (permit, id, change);
        todo!()
    }
    /// Removes an account, its mailboxes, messages and keys.
    pub async fn remove_account(&self, permit: Permit, id: AccountId) -> Result<Committed<()>> {
        let _ = (permit, id);
        todo!()
    }
    /// Adds or replaces an alias.
    pub async fn set_alias(&self, permit: Permit, alias: Alias) -> Result<Committed<()>> {
        let _ = (permit, alias);
        todo!()
    }
    /// Removes an alias.
    pub async fn remove_alias(&self, permit: Permit, address: Address) -> Result<Committed<()>> {
        let _ = (permit, address);
        todo!()
    }
    /// Adds a domain.
    pub async fn add_domain(&self, permit: Permit, name: String) -> Result<Committed<()>> {
        let _ = (permit, name);
        todo!()
    }
    /// Removes a domain that no account or alias uses.
    pub async fn remove_domain(&self, permit: Permit, name: String) -> Result<Committed<()>> {
        let _ = (permit, name);
        todo!()
    }
    /// Counts an account's quota again from its rows; returns what it was and what it is.
    pub async fn recalculate_quota(&self, permit: Permit, id: AccountId) -> Result<Committed<(Quota, Quota)>> {
        let _ = (permit, id);
        todo!()
    }

    // ---- reading an account's mail ----

    /// Opens an account's keys for a session that has authenticated (permit for `Login`).
    pub fn open_keys(&self, permit: &Permit) -> Result<Opened> {
        let _ = permit;
        todo!()
    }
    /// Reads the mail of the permit's account.
    pub fn read<'a>(&'a self, permit: &'a Permit) -> Result<Reader<'a>> {
        let _ = permit;
        todo!()
    }

    // ---- changing an account's mail; each acts on the permit's account ----

    /// Compresses, seals and summarises a message. CPU only, no lock; about 0.3 ms for 20 KB.
    pub fn prepare(&self, raw: Bytes) -> Result<Prepared> {
        let _ = raw;
        todo!()
    }
    /// Takes a message for all its recipients: one body, one commit, all or nothing. Quota is checked again here.
    pub async fn deliver(&self, permit: Permit, delivery: Delivery) -> Result<Committed<Delivered>> {
        let _ = (permit, delivery);
        todo!()
    }
    /// APPEND and MULTIAPPEND. With opened keys the message key is wrapped at once instead of sealed.
    pub async fn append(
        &self,
        permit: Permit,
        keys: &Opened,
        mailbox: MailboxId,
        messages: Vec<AppendMessage>,
    ) -> Result<Committed<Appended>> {
        let _ = (permit, keys, mailbox, messages);
        todo!()
    }
    /// Makes a mailbox and the missing ones above it. RFC 9051 §6.3.4.
    pub async fn create_mailbox(
        &self,
        permit: Permit,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Committed<Mailbox>> {
        let _ = (permit, name, special_use);
        todo!()
    }
    /// Deletes a mailbox; those below it stay (their parent is shown as \NonExistent). RFC 9051 §6.3.5.
    pub async fn delete_mailbox(&self, permit: Permit, mailbox: MailboxId) -> Result<Committed<()>> {
        let _ = (permit, mailbox);
        todo!()
    }
    /// Renames a mailbox and those below it; INBOX's messages move to the new name. RFC 9051 §6.3.6.
    pub async fn rename_mailbox(&self, permit: Permit, mailbox: MailboxId, to: MailboxName) -> Result<Committed<()>> {
        let _ = (permit, mailbox, to);
        todo!()
    }
    /// Subscribes or unsubscribes a name, whether it exists or not.
    pub async fn subscribe(&self, permit: Permit, name: MailboxName, subscribed: bool) -> Result<Committed<()>> {
        let _ = (permit, name, subscribed);
        todo!()
    }
    /// Changes flags. UIDs that are gone are left out. RFC 7162 §3.1.3 for `unchanged_since`.
    pub async fn change_flags(
        &self,
        permit: Permit,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        mode: FlagMode,
        flags: pli_types::FlagSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Committed<Flagged>> {
        let _ = (permit, mailbox, uids, mode, flags, unchanged_since);
        todo!()
    }
    /// Copies messages; rows only, no body is touched.
    pub async fn copy(&self, permit: Permit, from: MailboxId, uids: Vec<Uid>, to: MailboxId) -> Result<Committed<Copied>> {
        let _ = (permit, from, uids, to);
        todo!()
    }
    /// Moves messages in one commit. RFC 6851.
    pub async fn move_messages(
        &self,
        permit: Permit,
        from: MailboxId,
        uids: Vec<Uid>,
        to: MailboxId,
    ) -> Result<Committed<Copied>> {
        let _ = (permit, from, uids, to);
        todo!()
    }
    /// Removes messages with \Deleted, all of them or those among `only`. Returns their UIDs.
    pub async fn expunge(
        &self,
        permit: Permit,
        mailbox: MailboxId,
        only: Option<Vec<Uid>>,
    ) -> Result<Committed<Vec<Uid>>> {
        let _ = (permit, mailbox, only);
        todo!()
    }

    // ---- the queue ----

    /// Rows that are due at `now`, not held, oldest first.
    pub fn queue_due(&self, permit: &Permit, now: UnixMillis, limit: usize) -> Result<Vec<QueueRow>> {
        let _ = (permit, now, limit);
        todo!()
    }
    /// When the next row is due.
    pub fn queue_next(&self, permit: &Permit) -> Result<Option<UnixMillis>> {
        let _ = permit;
        todo!()
    }
    /// Rows in id order.
    pub fn queue_list(&self, permit: &Permit, after: Option<QueueId>, limit: usize) -> Result<Vec<QueueRow>> {
        let _ = (permit, after, limit);
        todo!()
    }
    /// One row.
    pub fn queue_row(&self, permit: &Permit, id: QueueId) -> Result<Option<QueueRow>> {
        let _ = (permit, id);
        todo!()
    }
    /// The message's bytes, under the queue's own key (no account's keys are needed).
    pub fn queue_body(&self, permit: &Permit, id: QueueId) -> Result<Bytes> {
        let _ = (permit, id);
        todo!()
    }
    /// Changes a row that stays.
    pub async fn queue_change(&self, permit: Permit, id: QueueId, change: QueueChange) -> Result<Committed<()>> {
        let _ = (permit, id, change);
        todo!()
    }
    /// Ends a row.
    pub async fn queue_end(&self, permit: Permit, id: QueueId, outcome: QueueOutcome) -> Result<Committed<()>> {
        let _ = (permit, id, outcome);
        todo!()
    }
    /// Counts up whenever rows were added or became due by an administrator's hand.
    pub fn queue_changed(&self) -> watch::Receiver<u64> {
        todo!()
    }

    // ---- audit ----

    /// Commits an event that has no other effect (login, refusal, read) and waits until it is durable.
    pub async fn record(&self, permit: Permit, event: Event) -> Result<Committed<()>> {
        let _ = (permit, event);
        todo!()
    }
    /// Puts an event into the next commit group without waiting (session events, refusals).
    pub fn note(&self, permit: Permit, event: Event) {
        let _ = (permit, event);
        todo!()
    }
    /// Events in log order from an index, opened.
    pub fn audit_events(&self, permit: &Permit, from: u64, limit: usize) -> Result<Vec<(u64, Event)>> {
        let _ = (permit, from, limit);
        todo!()
    }
    /// The number of entries and the newest signed checkpoint.
    pub fn audit_checkpoint(&self) -> (u64, Option<String>) {
        todo!()
    }
    /// Reads every entry's bytes again and compares them with the tree and the signed checkpoint.
    pub fn audit_verify(&self, permit: &Permit) -> Result<VerifyReport> {
        let _ = permit;
        todo!()
    }

    // ---- the whole ----

    /// Authenticates every frame and compares index, counts and quota with the log.
    pub fn verify(&self, permit: &Permit, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
        let _ = (permit, progress);
        todo!()
    }
    /// Sizes and counts.
    pub fn stat(&self) -> Result<StoreStat> {
        todo!()
    }
    /// Makes key epochs that are due soon; called by a timer.
    pub async fn make_due_epochs(&self, permit: Permit) -> Result<u64> {
        let _ = permit;
        todo!()
    }
}

/// Reading the mail of one account, under a permit.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    _store: &'a Store,
}

impl Reader<'_> {
    /// All mailboxes, by name.
    pub fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        todo!()
    }
    /// One mailbox.
    pub fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>> {
        let _ = id;
        todo!()
    }
    /// One mailbox by name.
    pub fn mailbox_by_name(&self, name: &MailboxName) -> Result<Option<Mailbox>> {
        let _ = name;
        todo!()
    }
    /// Subscribed names, sorted.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        todo!()
    }
    /// The mailbox's shared view, loaded if need be.
    pub fn view(&self, mailbox: MailboxId) -> Result<Arc<View>> {
        let _ = mailbox;
        todo!()
    }
    /// UIDs expunged after a modseq (RFC 7162 §3.2.10), ascending.
    pub fn expunged_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Uid>> {
        let _ = (mailbox, since);
        todo!()
    }
    /// A message's row.
    pub fn message(&self, email: EmailId) -> Result<MessageMeta> {
        let _ = email;
        todo!()
    }
    /// A message's summary. The first read turns its seal into a wrap, in a later commit.
    pub fn summary(&self, keys: &Opened, email: EmailId) -> Result<Summary> {
        let _ = (keys, email);
        todo!()
    }
    /// Bytes of a message; all of them if `range` is `None`; a range past the end is cut. Only the chunks that hold
    /// the range are opened.
    pub fn body(&self, keys: &Opened, email: EmailId, range: Option<ByteRange>) -> Result<Bytes> {
        let _ = (keys, email, range);
        todo!()
    }
}
