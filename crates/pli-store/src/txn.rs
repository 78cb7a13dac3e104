//! One operation within a commit group: it sees the index with the group's pending rows over it, and leaves nothing
//! behind when it fails.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use pli_audit::Event;
use pli_types::{
    AccountId, Action, MailboxId, MailboxName, ModSeq, QueueId, SessionId, SessionInfo, Uid, UidValidity, UnixMillis,
};

use crate::body::Prepared;
use crate::error::StoreError;
use crate::index::Next;
use crate::keys::StoreKeys;
use crate::limits::ROW_CACHE_ROWS;
use crate::log::frame::frame_bytes;
use crate::log::writer::BodyFrame;
use crate::model::Mailbox;
use crate::permit::Permit;
use crate::rows::mail::{AccountState, BodyRow, EntryBlock, Globals, StoredEntry, block_of};
use crate::rows::{Key, Row, RowStore, decode, keys};
use crate::view::Entry;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What a loaded view of a mailbox has to take over.
#[derive(Clone, Debug, Default)]
pub(crate) struct ViewChange {
    /// The mailbox's row, if it changed; `Some(None)` once it is deleted.
    pub(crate) mailbox: Option<Option<Mailbox>>,
    /// Entries put and removed, by UID.
    pub(crate) entries: BTreeMap<u32, Option<Entry>>,
    /// \Seen of those whose mailbox it is not: by account and UID, with its modseq.
    pub(crate) seen: BTreeMap<(AccountId, u32), (bool, ModSeq)>,
}

/// What operations leave behind: pending until the group is on disk.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) rows: BTreeMap<Key, Option<Bytes>>,
    pub(crate) views: BTreeMap<MailboxId, ViewChange>,
    pub(crate) bodies: Vec<BodyFrame>,
    pub(crate) body_bytes: u64,
    /// Bytes of keys and values, rows that were put twice counted twice.
    pub(crate) row_bytes: u64,
    pub(crate) events: Vec<Event>,
    /// Rows of the queue that came, changed or went.
    pub(crate) queue_changed: Vec<QueueId>,
    /// A domain was frozen or thawed.
    pub(crate) queue_all: bool,
    /// Accounts whose cached delivery keys are out of date.
    pub(crate) keys_changed: Vec<AccountId>,
}

impl Pending {
    pub(crate) fn merge(&mut self, other: Self) {
        self.row_bytes = self.row_bytes.saturating_add(other.rows_size());
        // The first of a group brings its own maps: nothing is put twice.
        if self.rows.is_empty() {
            self.rows = other.rows;
        } else {
            self.rows.extend(other.rows);
        }
        for (id, change) in other.views {
            let mine = self.views.entry(id).or_default();
            if mine.entries.is_empty() {
                mine.entries = change.entries;
            } else {
                mine.entries.extend(change.entries);
            }
            mine.seen.extend(change.seen);
            if change.mailbox.is_some() {
                mine.mailbox = change.mailbox;
            }
        }
        self.bodies.extend(other.bodies);
        self.body_bytes = self.body_bytes.saturating_add(other.body_bytes);
        self.events.extend(other.events);
        self.queue_changed.extend(other.queue_changed);
        self.queue_all |= other.queue_all;
        self.keys_changed.extend(other.keys_changed);
    }
    /// Bytes of the rows.
    pub(crate) fn rows_size(&self) -> u64 {
        self.rows
            .iter()
            .map(|(key, value)| (key.len() as u64).saturating_add(value.as_ref().map_or(0, |v| v.len() as u64)))
            .fold(0, u64::saturating_add)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.bodies.is_empty() && self.events.is_empty()
    }
}

/// Opened bytes of rows that the committer read or wrote lately.
#[derive(Default)]
pub(crate) struct RowCache(HashMap<Key, Option<Bytes>>);

impl RowCache {
    pub(crate) fn put(&mut self, key: Key, value: Option<Bytes>) {
        if self.0.len() >= ROW_CACHE_ROWS {
            self.0.clear();
        }
        self.0.insert(key, value);
    }
    /// So that so many more do not push each other out.
    fn make_room(&mut self, rows: usize) {
        if self.0.len().saturating_add(rows) > ROW_CACHE_ROWS {
            self.0.clear();
        }
    }
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What all operations of a group share.
pub(crate) struct GroupBase<'a> {
    pub(crate) rows: &'a RowStore,
    pub(crate) keys: &'a StoreKeys,
    pub(crate) site: &'a str,
    pub(crate) now: UnixMillis,
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    /// Mailboxes that an account may have.
    pub(crate) mailboxes_max: u32,
}

/// One operation.
pub(crate) struct Txn<'a> {
    pub(crate) base: &'a GroupBase<'a>,
    group: &'a Pending,
    cache: &'a mut RowCache,
    pub(crate) own: Pending,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(base: &'a GroupBase<'a>, group: &'a Pending, cache: &'a mut RowCache) -> Self {
        Self { base, group, cache, own: Pending::default() }
    }
    pub(crate) const fn now(&self) -> UnixMillis {
        self.base.now
    }

    // ---- rows ----

    pub(crate) fn get(&mut self, key: &Key) -> Result<Option<Bytes>> {
        if let Some(found) = self.own.rows.get(key).or_else(|| self.group.rows.get(key)) {
            return Ok(found.clone());
        }
        if let Some(found) = self.cache.0.get(key) {
            return Ok(found.clone());
        }
        let found = self.base.rows.get(key)?.map(Bytes::from);
        self.cache.put(*key, found.clone());
        Ok(found)
    }
    pub(crate) fn load<T: Row>(&mut self, key: &Key) -> Result<Option<T>> {
        self.get(key)?.map(|bytes| decode(&bytes)).transpose()
    }
    pub(crate) fn put<T: Row>(&mut self, key: Key, row: &T) {
        self.own.rows.insert(key, Some(Bytes::from(row.encode())));
    }
    pub(crate) fn delete(&mut self, key: Key) {
        self.own.rows.insert(key, None);
    }
    /// Reads rows that are about to be asked for one by one: neighbours cost a fraction of a look-up each.
    pub(crate) fn preload(&mut self, table: &Key, mut ids: Vec<u64>) -> Result<()> {
        ids.sort_unstable();
        ids.dedup();
        let known = |key: &Key| {
            self.own.rows.contains_key(key) || self.group.rows.contains_key(key) || self.cache.0.contains_key(key)
        };
        ids.retain(|id| !known(&table.u64(*id)));
        let wanted: Vec<(u64, usize)> = ids.iter().copied().zip(0..).collect();
        self.cache.make_room(ids.len());
        self.base.rows.gather(table, &wanted, |place, bytes| {
            if let Some(id) = ids.get(place) {
                self.cache.put(table.u64(*id), bytes.map(Bytes::copy_from_slice));
            }
            Ok(())
        })
    }
    /// All rows of a prefix, with what is pending.
    pub(crate) fn list<T: Row>(&mut self, prefix: &Key) -> Result<Vec<(Key, T)>> {
        let mut found: BTreeMap<Key, Option<Bytes>> = BTreeMap::new();
        self.base.rows.scan(prefix, None, |key, value| {
            found.insert(key, Some(Bytes::from(value)));
            Ok(Next::More)
        })?;
        for pending in [&self.group.rows, &self.own.rows] {
            let rows = pending.range(*prefix..).take_while(|(key, _)| key.starts_with(prefix));
            found.extend(rows.map(|(key, value)| (*key, value.clone())));
        }
        found
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .map(|(key, v)| Ok((key, decode(&v)?)))
            .collect()
    }

    // ---- counters ----

    pub(crate) fn globals(&mut self) -> Result<Globals> {
        Ok(self.load(&keys::globals())?.unwrap_or_default())
    }
    pub(crate) fn state(&mut self, account: AccountId) -> Result<AccountState> {
        self.load(&keys::state(account))?.ok_or(StoreError::NoAccount(account))
    }
    /// Puts the state, and notes each threshold of the quota that it has crossed.
    pub(crate) fn put_state(&mut self, account: AccountId, state: &AccountState) {
        let mut state = *state;
        let now = crate::quota::thresholds(&state.quota);
        let before = std::mem::replace(&mut state.warned, now);
        for (name, before, now) in [("percent-of-bytes", before.0, now.0), ("percent-of-messages", before.1, now.1)] {
            if now > before {
                let session = SessionInfo::system(SessionId(0));
                let event = Event::new(self.base.site, &session, Action::QuotaWarning, self.now());
                self.own.events.push(event.account(account).count(name, now.into()));
                tracing::info!(%account, percent = now, what = name, "an account has crossed a threshold of its quota");
            }
        }
        self.put(keys::state(account), &state);
    }
    /// The next modseq of the account; all that one operation changes has the same.
    pub(crate) fn next_modseq(state: &mut AccountState) -> ModSeq {
        state.modseq = state.modseq.saturating_add(1);
        ModSeq::new(state.modseq)
    }
    /// RFC 9051 §2.3.1.1: a UIDVALIDITY above all that were given out, whatever the clock says.
    pub(crate) fn next_uid_validity(&mut self) -> Result<UidValidity> {
        let mut globals = self.globals()?;
        let by_clock = u32::try_from(self.now().secs().max(1)).unwrap_or(u32::MAX);
        globals.uid_validity = globals.uid_validity.saturating_add(1).max(by_clock);
        self.put(keys::globals(), &globals);
        Ok(UidValidity::new(globals.uid_validity))
    }

    // ---- mailboxes and entries, with what views need to know ----

    pub(crate) fn mailbox(&mut self, account: AccountId, id: MailboxId) -> Result<Mailbox> {
        self.load(&keys::mailbox(account, id))?.ok_or(StoreError::NoMailbox)
    }
    pub(crate) fn mailbox_id(&mut self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxId>> {
        let key = keys::mailbox_name(self.base.keys, account, name.as_str());
        self.load(&key)
    }
    pub(crate) fn put_mailbox(&mut self, mailbox: &Mailbox) {
        self.put(keys::mailbox(mailbox.account, mailbox.id), mailbox);
        self.own.views.entry(mailbox.id).or_default().mailbox = Some(Some(mailbox.clone()));
    }
    pub(crate) fn drop_mailbox(&mut self, mailbox: &Mailbox) {
        self.delete(keys::mailbox(mailbox.account, mailbox.id));
        self.delete(keys::mailbox_name(self.base.keys, mailbox.account, mailbox.name.as_str()));
        self.own.views.entry(mailbox.id).or_default().mailbox = Some(None);
    }
    /// Adds an entry at the end of a mailbox.
    pub(crate) fn append_entry(&mut self, mailbox: MailboxId, entry: Entry) -> Result<()> {
        self.append_entries(mailbox, &[entry])
    }
    /// Adds entries, UIDs ascending, at the end of a mailbox: each block is written once.
    pub(crate) fn append_entries(&mut self, mailbox: MailboxId, entries: &[Entry]) -> Result<()> {
        let saved = self.now();
        for some in entries.chunk_by(|a, b| block_of(a.uid) == block_of(b.uid)) {
            let Some(first) = some.first() else { continue };
            let key = keys::block(mailbox, block_of(first.uid));
            let mut block: EntryBlock = self.load(&key)?.unwrap_or_default();
            block.0.extend(some.iter().map(|entry| StoredEntry { entry: *entry, saved }));
            self.put(key, &block);
            let changes = &mut self.own.views.entry(mailbox).or_default().entries;
            changes.extend(some.iter().map(|entry| (entry.uid.get(), Some(*entry))));
        }
        Ok(())
    }
    /// Visits the entries of a mailbox, those of `only` (ascending) or all; what the visitor returns replaces or
    /// (`None`) removes the entry.
    pub(crate) fn edit_entries(
        &mut self,
        mailbox: MailboxId,
        only: Option<&[Uid]>,
        mut edit: impl FnMut(Entry) -> Option<Entry>,
    ) -> Result<()> {
        let blocks = match only {
            None => self.list::<EntryBlock>(&keys::entries(mailbox))?,
            Some(uids) => {
                let mut numbers: Vec<u32> = uids.iter().map(|uid| block_of(*uid)).collect();
                numbers.dedup();
                let mut blocks = Vec::with_capacity(numbers.len());
                for number in numbers {
                    let key = keys::block(mailbox, number);
                    if let Some(block) = self.load(&key)? {
                        blocks.push((key, block));
                    }
                }
                blocks
            }
        };
        for (key, mut block) in blocks {
            let mut changed = false;
            let changes = &mut self.own.views.entry(mailbox).or_default().entries;
            block.0.retain_mut(|stored| {
                let uid = stored.entry.uid;
                if only.is_some_and(|uids| uids.binary_search(&uid).is_err()) {
                    return true;
                }
                match edit(stored.entry) {
                    Some(entry) => {
                        if entry != stored.entry {
                            stored.entry = entry;
                            changes.insert(uid.get(), Some(entry));
                            changed = true;
                        }
                        true
                    }
                    None => {
                        changes.insert(uid.get(), None);
                        changed = true;
                        false
                    }
                }
            });
            if block.0.is_empty() {
                self.delete(key);
            } else if changed {
                self.put(key, &block);
            }
        }
        Ok(())
    }
    /// The entries of a mailbox, those of `only` (ascending) or all.
    pub(crate) fn entries(&mut self, mailbox: MailboxId, only: Option<&[Uid]>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.edit_entries(mailbox, only, |entry| {
            entries.push(entry);
            Some(entry)
        })?;
        Ok(entries)
    }

    // ---- bodies ----

    /// Gives a body its place in the log; its row is the caller's.
    pub(crate) fn place_body(&mut self, prepared: &Prepared) -> BodyRow {
        let mut row = BodyRow {
            segment: 0,
            offset: 0,
            length: 0,
            size: prepared.size().get(),
            digest: prepared.digest,
            sealed_digest: prepared.sealed_digest,
            messages: 0,
            queued: 0,
            summary_bytes: prepared.summary_bytes,
            summary_version: 0,
            summary: Vec::new(),
        };
        let frame = BodyFrame { payload: Arc::clone(&prepared.payload), digest: prepared.sealed_digest };
        self.place_frame(&mut row, frame);
        row
    }
    /// Puts a body's frame into this group, and its place into its row.
    pub(crate) fn place_frame(&mut self, row: &mut BodyRow, frame: BodyFrame) {
        let before = self.group.body_bytes.saturating_add(self.own.body_bytes);
        row.segment = self.base.segment;
        row.offset = self.base.offset.saturating_add(before);
        row.length = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        self.own.body_bytes = self.own.body_bytes.saturating_add(frame_bytes(row.length.into()));
        self.own.bodies.push(frame);
    }

    // ---- audit ----

    /// The event of a permit whose effect is recorded on its own.
    pub(crate) fn audit(&mut self, permit: &Permit, describe: impl FnOnce(Event) -> Event) {
        let grant = permit.grant();
        if !grant.audited {
            return;
        }
        let mut event = Event::new(self.base.site, &grant.session, grant.action, self.now()).policy(grant.rule, None);
        if let Some(account) = grant.account {
            event = event.account(account);
            if grant.session.account().is_some_and(|actor| actor != account) {
                event = event.on_behalf_of(account);
            }
        }
        let event = describe(event);
        self.own.events.push(event);
    }
}
