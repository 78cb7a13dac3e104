//! Rows: what the index holds, with their keys and forms. See `docs/store-format.md` for each field.

pub(crate) mod credential;
pub(crate) mod directory;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod mail;
pub(crate) mod queue;
pub(crate) mod search;
pub(crate) mod sharing;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use pli_crypto::NONCE_BYTES;
use pli_types::{AccountId, BodyId, EmailId, MailboxId, ModSeq, QueueId};

use crate::error::{Damaged, StoreError};
use crate::index::{Index, IndexError, Next};
use crate::keys::StoreKeys;

/// Longest key.
const KEY_BYTES_MAX: usize = 31;

/// Ids this close are read by one scan.
const GATHER_GAP: u64 = 8;

/// A row's key, on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    // Compared first, the bytes decide; equal bytes with zeros after them have equal lengths in every table.
    bytes: [u8; KEY_BYTES_MAX],
    len: u8,
}

impl Key {
    pub(crate) const fn new(table: Table) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        let [first, ..] = &mut bytes;
        *first = table as u8;
        Self { bytes, len: 1 }
    }
    #[must_use]
    pub(crate) fn raw(mut self, part: &[u8]) -> Self {
        let start = usize::from(self.len);
        if let Some(place) = self.bytes.get_mut(start..start.saturating_add(part.len())) {
            place.copy_from_slice(part);
            self.len = self.len.saturating_add(u8::try_from(part.len()).unwrap_or(0));
        }
        self
    }
    #[must_use]
    pub(crate) fn u64(self, part: u64) -> Self {
        self.raw(&part.to_be_bytes())
    }
    #[must_use]
    pub(crate) fn u32(self, part: u32) -> Self {
        self.raw(&part.to_be_bytes())
    }
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let table = Table::parse(*bytes.first()?)?;
        (bytes.len() <= KEY_BYTES_MAX).then(|| Self::new(table).raw(bytes.get(1..).unwrap_or_default()))
    }
    /// Fixed in length and in the same order.
    pub(crate) fn padded(&self) -> [u8; KEY_BYTES_MAX + 1] {
        let mut out = [0; KEY_BYTES_MAX + 1];
        if let Some((last, first)) = out.split_last_mut() {
            first.copy_from_slice(&self.bytes);
            *last = self.len;
        }
        out
    }
    /// The key that [`Self::padded`] made this of.
    pub(crate) fn from_padded(bytes: &[u8]) -> Option<Self> {
        let (len, first) = bytes.split_last()?;
        Some(Self { bytes: *first.first_chunk()?, len: *len })
    }
    /// A place in the order of keys, whether there is such a key or not.
    pub(crate) fn bound(bytes: &[u8]) -> Self {
        Self { bytes: [0; KEY_BYTES_MAX], len: 0 }.raw(bytes.get(..KEY_BYTES_MAX).unwrap_or(bytes))
    }
    pub(crate) fn table(&self) -> Option<Table> {
        self.bytes.first().copied().and_then(Table::parse)
    }
    /// The number that begins at `at` in the key.
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
    pub(crate) fn number32(&self, at: usize) -> u32 {
        self.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
    /// The first key after all that begin with this one.
    pub(crate) fn end(&self) -> Vec<u8> {
        let mut end = self.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last.saturating_add(1));
                break;
            }
        }
        end
    }
}

impl Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The first byte of a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Table { $($(#[$doc])* $name = $number,)* }
        impl Table {
            const fn parse(byte: u8) -> Option<Self> {
                match byte {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

tables! {
    /// Where replay goes on; the one row that is not in the log.
    Position = 0x01,
    /// Counters of the store.
    Globals = 0x02,
    /// account
    Account = 0x10,
    /// HMAC of an address → account
    Address = 0x11,
    /// HMAC of an address
    Alias = 0x12,
    /// HMAC of a name
    Domain = 0x13,
    /// account
    AccountKey = 0x14,
    /// account, epoch
    EpochKey = 0x15,
    /// account
    AccountState = 0x16,
    /// none: how far changes of keys are
    KeyState = 0x17,
    /// account: a key that is younger than the account
    KeyAge = 0x18,
    /// account: removed, its own secret still to be destroyed
    Erasing = 0x19,
    /// account, number: a password of one device
    AppPassword = 0x1a,
    /// account: the highest number of an app password that was revoked
    AppNumber = 0x1b,
    /// account, mailbox
    Mailbox = 0x20,
    /// account, HMAC of a name → mailbox
    MailboxName = 0x21,
    /// account, HMAC of a name
    Subscription = 0x22,
    /// mailbox, UID / 32
    Entries = 0x23,
    /// mailbox, modseq (and, from a second row on, a number)
    Expunged = 0x24,
    /// account, email
    Message = 0x30,
    /// body
    Body = 0x31,
    /// body: its row after its last reference went, until the retention window is over
    Gone = 0x32,
    /// segment: how it ended
    Dropped = 0x33,
    /// snapshot round
    Round = 0x35,
    /// body: the queue's copy of K3
    QueueBody = 0x38,
    /// queue id
    Queue = 0x39,
    /// time, queue id
    QueueDue = 0x3a,
    /// HMAC of a name: a domain for which nothing is tried
    Frozen = 0x3b,
    /// number: what happened to a message
    Trace = 0x3c,
    /// index
    AuditEntry = 0x40,
    /// level, index
    AuditTile = 0x41,
    /// none: the tree's state with the newest checkpoint
    AuditTree = 0x42,
    /// class, month: the key of log entries, wrapped by K0
    LogKey = 0x44,
    /// mailbox: how far back its expunged rows go
    History = 0x54,
    /// account, day: hours in which something of it changed
    ChangedHours = 0x59,
    /// account, number: a segment of its search index
    SearchSegment = 0x50,
    /// account: that it is a shared one, and for whom
    Members = 0x60,
    /// HMAC of a name
    Group = 0x61,
    /// account, mailbox: who may do what with it
    Acl = 0x62,
    /// mailbox, account: what somebody else has seen of it, as a whole
    SeenHead = 0x63,
    /// mailbox, account, UID / 256: which messages
    SeenBlock = 0x64,
    /// mailbox (0: the server), account (0: for all): annotations
    Annotations = 0x65,
}

/// Keys of all rows.
pub(crate) mod keys {
    use super::*;

    pub(crate) const fn globals() -> Key {
        Key::new(Table::Globals)
    }
    pub(crate) fn account(id: AccountId) -> Key {
        Key::new(Table::Account).u64(id.get())
    }
    pub(crate) fn address(k: &StoreKeys, key: &str) -> Key {
        Key::new(Table::Address).raw(&k.name(b"address", key))
    }
    pub(crate) fn alias(k: &StoreKeys, key: &str) -> Key {
        Key::new(Table::Alias).raw(&k.name(b"alias", key))
    }
    pub(crate) fn domain(k: &StoreKeys, name: &str) -> Key {
        Key::new(Table::Domain).raw(&k.name(b"domain", name))
    }
    pub(crate) fn account_key(id: AccountId) -> Key {
        Key::new(Table::AccountKey).u64(id.get())
    }
    pub(crate) fn epochs(id: AccountId) -> Key {
        Key::new(Table::EpochKey).u64(id.get())
    }
    pub(crate) fn epoch(id: AccountId, epoch: u32) -> Key {
        epochs(id).u32(epoch)
    }
    pub(crate) fn state(id: AccountId) -> Key {
        Key::new(Table::AccountState).u64(id.get())
    }
    pub(crate) const fn key_state() -> Key {
        Key::new(Table::KeyState)
    }
    pub(crate) fn key_age(id: AccountId) -> Key {
        Key::new(Table::KeyAge).u64(id.get())
    }
    pub(crate) fn erasing(id: AccountId) -> Key {
        Key::new(Table::Erasing).u64(id.get())
    }
    pub(crate) fn app_passwords(account: AccountId) -> Key {
        Key::new(Table::AppPassword).u64(account.get())
    }
    pub(crate) fn app_password(account: AccountId, id: u32) -> Key {
        app_passwords(account).u32(id)
    }
    pub(crate) fn app_number(account: AccountId) -> Key {
        Key::new(Table::AppNumber).u64(account.get())
    }
    pub(crate) fn mailboxes(account: AccountId) -> Key {
        Key::new(Table::Mailbox).u64(account.get())
    }
    pub(crate) fn mailbox(account: AccountId, id: MailboxId) -> Key {
        mailboxes(account).u64(id.get())
    }
    pub(crate) fn mailbox_names(account: AccountId) -> Key {
        Key::new(Table::MailboxName).u64(account.get())
    }
    pub(crate) fn mailbox_name(k: &StoreKeys, account: AccountId, name: &str) -> Key {
        // The account in the HMAC: the same name in two accounts does not look the same on disk.
        mailbox_names(account).raw(&k.name(&account.get().to_be_bytes(), name))
    }
    pub(crate) fn subscriptions(account: AccountId) -> Key {
        Key::new(Table::Subscription).u64(account.get())
    }
    pub(crate) fn subscription(k: &StoreKeys, account: AccountId, name: &str) -> Key {
        subscriptions(account).raw(&k.name(&account.get().to_be_bytes(), name))
    }
    pub(crate) fn entries(mailbox: MailboxId) -> Key {
        Key::new(Table::Entries).u64(mailbox.get())
    }
    pub(crate) fn block(mailbox: MailboxId, block: u32) -> Key {
        entries(mailbox).u32(block)
    }
    pub(crate) fn expunges(mailbox: MailboxId) -> Key {
        Key::new(Table::Expunged).u64(mailbox.get())
    }
    pub(crate) fn expunged(mailbox: MailboxId, modseq: ModSeq) -> Key {
        expunges(mailbox).u64(modseq.get())
    }
    pub(crate) fn members(account: AccountId) -> Key {
        Key::new(Table::Members).u64(account.get())
    }
    pub(crate) fn group(k: &StoreKeys, name: &str) -> Key {
        Key::new(Table::Group).raw(&k.name(b"group", name))
    }
    pub(crate) fn acls(account: AccountId) -> Key {
        Key::new(Table::Acl).u64(account.get())
    }
    pub(crate) fn acl(account: AccountId, mailbox: MailboxId) -> Key {
        acls(account).u64(mailbox.get())
    }
    pub(crate) fn seen_heads(mailbox: MailboxId) -> Key {
        Key::new(Table::SeenHead).u64(mailbox.get())
    }
    pub(crate) fn seen_head(mailbox: MailboxId, person: AccountId) -> Key {
        seen_heads(mailbox).u64(person.get())
    }
    pub(crate) fn seen_blocks(mailbox: MailboxId, person: AccountId) -> Key {
        Key::new(Table::SeenBlock).u64(mailbox.get()).u64(person.get())
    }
    pub(crate) fn seen_block(mailbox: MailboxId, person: AccountId, block: u32) -> Key {
        seen_blocks(mailbox, person).u32(block)
    }
    pub(crate) fn annotations_of(mailbox: MailboxId) -> Key {
        Key::new(Table::Annotations).u64(mailbox.get())
    }
    pub(crate) fn annotations(mailbox: MailboxId, person: Option<AccountId>) -> Key {
        annotations_of(mailbox).u64(person.map_or(0, AccountId::get))
    }
    pub(crate) fn history(mailbox: MailboxId) -> Key {
        Key::new(Table::History).u64(mailbox.get())
    }
    pub(crate) fn messages(account: AccountId) -> Key {
        Key::new(Table::Message).u64(account.get())
    }
    pub(crate) fn message(account: AccountId, email: EmailId) -> Key {
        messages(account).u64(email.get())
    }
    pub(crate) fn body(id: BodyId) -> Key {
        Key::new(Table::Body).u64(id.get())
    }
    pub(crate) fn gone(id: BodyId) -> Key {
        Key::new(Table::Gone).u64(id.get())
    }
    pub(crate) fn dropped(segment: u32) -> Key {
        Key::new(Table::Dropped).u32(segment)
    }
    pub(crate) fn round(round: u32) -> Key {
        Key::new(Table::Round).u32(round)
    }
    pub(crate) fn search_segments(account: AccountId) -> Key {
        Key::new(Table::SearchSegment).u64(account.get())
    }
    pub(crate) fn search_segment(account: AccountId, number: u32) -> Key {
        search_segments(account).u32(number)
    }
    pub(crate) fn queue_body(id: BodyId) -> Key {
        Key::new(Table::QueueBody).u64(id.get())
    }
    pub(crate) fn queue(id: QueueId) -> Key {
        Key::new(Table::Queue).u64(id.get())
    }
    pub(crate) fn due(time: i64, id: QueueId) -> Key {
        Key::new(Table::QueueDue).u64(time.max(0).cast_unsigned()).u64(id.get())
    }
    pub(crate) fn frozen(k: &StoreKeys, domain: &str) -> Key {
        Key::new(Table::Frozen).raw(&k.name(b"frozen", domain))
    }
    pub(crate) fn trace(number: u64) -> Key {
        Key::new(Table::Trace).u64(number)
    }
    pub(crate) fn audit_entry(index: u64) -> Key {
        Key::new(Table::AuditEntry).u64(index)
    }
    pub(crate) fn audit_tile(level: u8, index: u64) -> Key {
        Key::new(Table::AuditTile).raw(&[level]).u64(index)
    }
    pub(crate) fn changed_days(account: AccountId) -> Key {
        Key::new(Table::ChangedHours).u64(account.get())
    }
    pub(crate) fn changed_day(account: AccountId, day: u32) -> Key {
        changed_days(account).u32(day)
    }
    pub(crate) const fn audit_tree() -> Key {
        Key::new(Table::AuditTree)
    }
    pub(crate) fn log_key(id: [u8; 5]) -> Key {
        Key::new(Table::LogKey).raw(&id)
    }
}

/// A row's form.
pub(crate) trait Row: Sized {
    /// For messages of damage.
    const NAME: &'static str;
    /// With its version first.
    fn encode(&self) -> Vec<u8>;
    /// `None` if it is no such row.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Reads a row that must decode.
pub(crate) fn decode<T: Row>(bytes: &[u8]) -> Result<T, StoreError> {
    T::decode(bytes).ok_or(StoreError::Damaged(Damaged::Row(T::NAME)))
}

/// The index with the key that seals its values.
pub(crate) struct RowStore {
    index: RwLock<Arc<dyn Index>>,
    keys: Arc<StoreKeys>,
    /// Values are not sealed: rows that never leave memory.
    plain: bool,
    /// The index failed; the committer makes it again.
    broken: AtomicBool,
    closed: AtomicBool,
    /// Called when it has failed.
    alarm: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Nonce of a row: the place of its batch in the log and its number there, so that a batch applied twice gives the same
/// bytes and no two rows share one.
pub(crate) fn row_nonce(segment: u32, offset: u64, row: u32) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    let (a, rest) = nonce.split_at_mut(4);
    let (b, c) = rest.split_at_mut(4);
    a.copy_from_slice(&segment.to_be_bytes());
    b.copy_from_slice(&u32::try_from(offset / crate::log::frame::ALIGN).unwrap_or(u32::MAX).to_be_bytes());
    c.copy_from_slice(&row.to_be_bytes());
    nonce
}

/// Where in the log a row's value stands: what its nonce says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) row: u32,
}

impl RowPlace {
    fn of(nonce: &[u8; NONCE_BYTES]) -> Self {
        let part = |at: usize| nonce.get(at..).and_then(|n| n.first_chunk()).map_or(0, |n| u32::from_be_bytes(*n));
        Self { segment: part(0), offset: u64::from(part(4)).saturating_mul(crate::log::frame::ALIGN), row: part(8) }
    }
}

impl RowStore {
    pub(crate) fn new(index: Arc<dyn Index>, keys: Arc<StoreKeys>) -> Self {
        let (broken, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { index: RwLock::new(index), keys, plain: false, broken, closed, alarm: OnceLock::new() }
    }
    /// Over rows whose values are not sealed: a moment of the past, which has no place in the log to make nonces of.
    pub(crate) fn plain(index: Arc<dyn Index>, keys: Arc<StoreKeys>) -> Self {
        Self { plain: true, ..Self::new(index, keys) }
    }
    pub(crate) fn index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.index.read())
    }
    pub(crate) fn replace_index(&self, index: Arc<dyn Index>) {
        *self.index.write() = index;
        self.broken.store(false, Ordering::Release);
    }
    /// Lets go of the index; nothing is read any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        *self.index.write() = Arc::new(crate::index::memory::MemoryIndex::default());
    }
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Stopped(String::from("the store is closed")));
        }
        if self.is_broken() { Err(StoreError::Rebuilding) } else { Ok(()) }
    }
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
    pub(crate) fn fail(&self, error: &IndexError) -> StoreError {
        tracing::error!(%error, "the index failed and is made again from the log");
        if !self.broken.swap(true, Ordering::AcqRel)
            && let Some(alarm) = self.alarm.get()
        {
            alarm();
        }
        StoreError::Rebuilding
    }
    /// Has somebody called when the index fails.
    pub(crate) fn on_failure(&self, alarm: impl Fn() + Send + Sync + 'static) {
        // There is one who mends it, from the start on.
        let _ = self.alarm.set(Box::new(alarm));
    }
    /// The same by a reader: an index that has been replaced meanwhile says nothing of the one in use.
    fn fail_of(&self, index: &Arc<dyn Index>, error: &IndexError) -> StoreError {
        if Arc::ptr_eq(index, &self.index.read()) { self.fail(error) } else { StoreError::Rebuilding }
    }

    pub(crate) fn seal(&self, nonce: [u8; NONCE_BYTES], key: &Key, value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(value.len().saturating_add(NONCE_BYTES + pli_crypto::TAG_BYTES));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let place = sealed.get_mut(NONCE_BYTES..).unwrap_or_default();
        let tag = self.keys.row.seal_detached(nonce, key, place);
        sealed.extend_from_slice(&tag);
        sealed
    }
    /// Opens a row into a buffer that serves for many.
    fn open_into<'b>(
        &self,
        index: &Arc<dyn Index>,
        key: &[u8],
        sealed: &[u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], StoreError> {
        if self.plain {
            buffer.clear();
            buffer.extend_from_slice(sealed);
            return Ok(buffer);
        }
        let opened = sealed.split_first_chunk::<NONCE_BYTES>().and_then(|(nonce, rest)| {
            buffer.clear();
            buffer.extend_from_slice(rest);
            self.keys.row.open(*nonce, key, buffer).ok()
        });
        match opened {
            Some(plain) => Ok(plain),
            None => Err(self.fail_of(index, &IndexError::Failed(String::from("a row does not authenticate")))),
        }
    }
    fn open(&self, index: &Arc<dyn Index>, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut plain = Vec::new();
        let length = self.open_into(index, key, sealed, &mut plain)?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// Opens a value and tells the place in the log that it came from. `None`: it does not open; nothing follows from
    /// that here.
    pub(crate) fn open_quietly(&self, key: &[u8], sealed: &[u8]) -> Option<(RowPlace, Vec<u8>)> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let mut value = rest.to_vec();
        let len = self.keys.row.open(*nonce, key, &mut value).ok()?.len();
        value.truncate(len);
        Some((RowPlace::of(nonce), value))
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        let index = self.index();
        match index.get(key) {
            Ok(Some(sealed)) => self.open(&index, key, &sealed).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail_of(&index, &error)),
        }
    }
    pub(crate) fn load<T: Row>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.get(key)?.map(|bytes| decode(&bytes)).transpose()
    }
    /// Rows that begin with `prefix`, from `from` on.
    pub(crate) fn scan(
        &self,
        prefix: &Key,
        from: Option<&Key>,
        visit: impl FnMut(Key, Vec<u8>) -> Result<Next, StoreError>,
    ) -> Result<(), StoreError> {
        self.scan_range(from.unwrap_or(prefix), &prefix.end(), visit)
    }
    /// Rows from a key on, below another.
    pub(crate) fn scan_range(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(Key, Vec<u8>) -> Result<Next, StoreError>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let mut outcome = Ok(());
        let index = self.index();
        let walked = index.scan(from, to, &mut |key, sealed| {
            let step = self.open(&index, key, sealed).and_then(|value| match Key::parse(key) {
                Some(key) => visit(key, value),
                None => Err(StoreError::Damaged(Damaged::Row("unknown"))),
            });
            step.unwrap_or_else(|error| {
                outcome = Err(error);
                Next::Stop
            })
        });
        match walked {
            Ok(()) => outcome,
            Err(error) => Err(self.fail_of(&index, &error)),
        }
    }
    /// The rows of many ids of one table. `ids` ascend and come with a place each, which the visitor is told; a row that
    /// is not there is visited with `None`. Ids that stand close together are read by one scan: a step of a scan costs a
    /// fraction of a look-up, and rows between that nobody asked for are passed over unopened.
    pub(crate) fn gather(
        &self,
        table: &Key,
        ids: &[(u64, usize)],
        mut visit: impl FnMut(usize, Option<&[u8]>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let index = self.index();
        let mut buffer = Vec::new();
        for run in ids.chunk_by(|(a, _), (b, _)| b.saturating_sub(*a) <= GATHER_GAP) {
            let [(first, place), rest @ ..] = run else { continue };
            let key = table.u64(*first);
            let Some((last, _)) = rest.last() else {
                match index.get(&key).map_err(|error| self.fail_of(&index, &error))? {
                    Some(sealed) => visit(*place, Some(self.open_into(&index, &key, &sealed, &mut buffer)?))?,
                    None => visit(*place, None)?,
                }
                continue;
            };
            let mut wanted = run.iter().peekable();
            let mut outcome = Ok(());
            let walked = index.scan(&key, &table.u64(*last).end(), &mut |key, sealed| {
                let id =
                    key.get(table.len()..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_be_bytes(*b));
                let mut step = || -> Result<Next, StoreError> {
                    while let Some((_, place)) = wanted.next_if(|(want, _)| *want < id) {
                        visit(*place, None)?;
                    }
                    while let Some((_, place)) = wanted.next_if(|(want, _)| *want == id) {
                        visit(*place, Some(self.open_into(&index, key, sealed, &mut buffer)?))?;
                    }
                    Ok(if wanted.peek().is_some() { Next::More } else { Next::Stop })
                };
                step().unwrap_or_else(|error| {
                    outcome = Err(error);
                    Next::Stop
                })
            });
            walked.map_err(|error| self.fail_of(&index, &error))?;
            outcome?;
            wanted.try_for_each(|(_, place)| visit(*place, None))?;
        }
        Ok(())
    }
    /// All rows of a prefix, decoded.
    pub(crate) fn list<T: Row>(&self, prefix: &Key) -> Result<Vec<(Key, T)>, StoreError> {
        let mut rows = Vec::new();
        self.scan(prefix, None, |key, bytes| {
            rows.push((key, decode(&bytes)?));
            Ok(Next::More)
        })?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::AtomicU64;

    use pli_crypto::FileKeyStore;
    use pli_io::Disk;
    use pli_io::sim::SimDisk;
    use pli_types::UnixMillis;

    use super::*;
    use crate::index::faulty::{FaultyIndex, IndexCall, IndexFault};
    use crate::index::memory::MemoryIndex;

    /// A reader that was under way in an index when that failed and was replaced: the new one is whole.
    #[test]
    fn a_failure_of_an_index_that_was_replaced_is_not_the_new_ones() {
        let disk = SimDisk::new(1);
        let dir = std::path::Path::new("/store");
        disk.create_dir_all(dir).unwrap();
        let (store, _) = FileKeyStore::generate(None).unwrap();
        let keys = crate::keys::create(&disk, dir, &store, "example.org/pli", UnixMillis(0)).unwrap();
        let key = keys::globals();
        let faulty = |after| {
            let fault = Arc::new(IndexFault::once(IndexCall::Scan, after, false));
            Arc::new(FaultyIndex::new(Arc::new(MemoryIndex::default()), fault))
        };
        let rows = RowStore::new(Arc::new(MemoryIndex::default()), Arc::new(keys));
        let (first, second) = (faulty(1), faulty(0));
        let row = |n: u32| (key_of(n), Some(rows.seal(row_nonce(1, 8, n), &key_of(n), b"x")));
        for index in [&first, &second] {
            index.apply((0..3).map(row).collect()).unwrap();
        }
        let calls = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&calls);
        rows.on_failure(move || {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        rows.replace_index(first);
        let replaced = Arc::new(MemoryIndex::default());
        let read = rows.scan(&Key::new(Table::Gone), None, |_, _| {
            rows.replace_index(Arc::clone(&replaced) as Arc<dyn Index>);
            Ok(Next::More)
        });
        assert!(matches!(read, Err(StoreError::Rebuilding)), "{read:?}");
        assert!(!rows.is_broken() && calls.load(Ordering::Relaxed) == 0);
        // The one in use fails: that counts, once.
        rows.replace_index(second);
        for _ in 0..2 {
            let read = rows.scan(&Key::new(Table::Gone), None, |_, _| Ok(Next::More));
            assert!(matches!(read, Err(StoreError::Rebuilding)), "{read:?}");
            assert!(rows.is_broken() && calls.load(Ordering::Relaxed) == 1);
        }
        assert!(matches!(rows.get(&key), Err(StoreError::Rebuilding)));
    }

    fn key_of(n: u32) -> Key {
        Key::new(Table::Gone).u32(n)
    }
}
