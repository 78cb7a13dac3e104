//! The audit log in the store: entries, tiles and checkpoints as rows of the same commit as their effects.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use pli_audit::{Checkpoint, Event, LogKey, LogKeyId, NoteSigner, SealedEvent, Tree, TreeState, leaf_hash};
use pli_crypto::{KeyStore, Secret32};

use crate::codec::{Reader, Writer};
use crate::error::{Damaged, StoreError};
use crate::rows::directory::Blob;
use crate::rows::{Row, RowStore, keys};
use crate::txn::Pending;

/// An entry: its leaf, and its event as long as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub(crate) leaf: Vec<u8>,
    pub(crate) sealed: Option<Vec<u8>>,
}

impl AuditRow {
    /// The row of an event: its leaf is what the event's bytes give.
    fn of(event: SealedEvent) -> Self {
        Self { leaf: event.leaf().encode().to_vec(), sealed: Some(event.into_bytes()) }
    }
}

impl Row for AuditRow {
    const NAME: &'static str = "audit entry";
    fn encode(&self) -> Vec<u8> {
        match &self.sealed {
            // As long as the event is there its leaf is made of it, and does not stand beside it.
            Some(sealed) => {
                let mut w = Writer::new(2);
                w.raw(sealed);
                w.done()
            }
            None => {
                let mut w = Writer::new(1);
                w.bytes(&self.leaf).option(None::<&[u8]>, |_, _| {});
                w.done()
            }
        }
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        if let Some((2, sealed)) = bytes.split_first().map(|(version, rest)| (*version, rest)) {
            return SealedEvent::from_bytes(sealed.to_vec()).ok().map(Self::of);
        }
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { leaf: r.bytes()?.to_vec(), sealed: r.option(|r| r.bytes().map(<[u8]>::to_vec))? };
        r.end().map(|()| row)
    }
}

/// The tree at the newest checkpoint, and the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeRow {
    pub(crate) state: Vec<u8>,
    pub(crate) note: String,
}

impl Row for TreeRow {
    const NAME: &'static str = "audit tree";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(&self.note).bytes(&self.state);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { note: r.text()?.to_owned(), state: r.bytes()?.to_vec() };
        r.end().map(|()| row)
    }
}

fn damaged(what: &'static str) -> StoreError {
    StoreError::Damaged(Damaged::Row(what))
}

/// Keys of log entries, opened.
#[derive(Default)]
pub(crate) struct LogKeys(Mutex<HashMap<LogKeyId, OpenedKey>>);

#[derive(Clone)]
struct OpenedKey {
    key: Arc<LogKey>,
    secret: Secret32,
}

impl OpenedKey {
    fn new(secret: Secret32, id: LogKeyId) -> Self {
        Self { key: Arc::new(LogKey::new(&secret, id)), secret }
    }
}

pub(crate) fn key_role(id: LogKeyId) -> String {
    format!("log-{}", crate::codec::to_hex(&id.encode()))
}

impl LogKeys {
    fn opened(&self, id: LogKeyId, rows: &RowStore, store: &dyn KeyStore) -> Result<Option<OpenedKey>, StoreError> {
        if let Some(opened) = self.0.lock().get(&id) {
            return Ok(Some(opened.clone()));
        }
        let Some(wrapped) = rows.load::<Blob>(&keys::log_key(id.encode()))? else { return Ok(None) };
        let opened = OpenedKey::new(store.unwrap(&key_role(id), &wrapped.0)?, id);
        self.0.lock().insert(id, opened.clone());
        Ok(Some(opened))
    }
    /// The key of a month and class, if there is one.
    pub(crate) fn get(
        &self,
        id: LogKeyId,
        rows: &RowStore,
        store: &dyn KeyStore,
    ) -> Result<Option<Arc<LogKey>>, StoreError> {
        Ok(self.opened(id, rows, store)?.map(|opened| opened.key))
    }
    /// The same as a value of its own.
    pub(crate) fn make(
        &self,
        id: LogKeyId,
        rows: &RowStore,
        store: &dyn KeyStore,
    ) -> Result<Option<LogKey>, StoreError> {
        Ok(self.opened(id, rows, store)?.map(|opened| LogKey::new(&opened.secret, id)))
    }

    /// The key of a month and class; made and put into the batch if there is none.
    fn get_or_make(
        &self,
        id: LogKeyId,
        rows: &RowStore,
        store: &dyn KeyStore,
        pending: &mut Pending,
        made: &mut Vec<(LogKeyId, OpenedKey)>,
    ) -> Result<Arc<LogKey>, StoreError> {
        if let Some((_, opened)) = made.iter().find(|(known, _)| *known == id) {
            return Ok(Arc::clone(&opened.key));
        }
        if let Some(key) = self.get(id, rows, store)? {
            return Ok(key);
        }
        let secret = Secret32::generate()?;
        let wrapped = Blob(store.wrap(&key_role(id), &secret)?);
        pending.rows.insert(keys::log_key(id.encode()), Some(Bytes::from(wrapped.encode())));
        let opened = OpenedKey::new(secret, id);
        let key = Arc::clone(&opened.key);
        made.push((id, opened));
        Ok(key)
    }
}

/// The tree as the committer grows it.
pub(crate) struct AuditLog {
    tree: Tree,
    signer: Arc<NoteSigner>,
    origin: String,
    /// Size at the newest checkpoint.
    signed: u64,
}

/// What a group adds to the log; taken over once the group is on disk.
pub(crate) struct Grown {
    tree: Tree,
    made: Vec<(LogKeyId, OpenedKey)>,
    /// The new checkpoint, if one was signed.
    pub(crate) note: Option<String>,
}

impl AuditLog {
    /// Takes up the tree where the rows leave it; returns the newest checkpoint too.
    pub(crate) fn load(
        rows: &RowStore,
        signer: Arc<NoteSigner>,
        origin: String,
    ) -> Result<(Self, Option<String>), StoreError> {
        let row = rows.load::<TreeRow>(&keys::audit_tree())?;
        let (mut tree, note) = match row {
            Some(row) => {
                let state = TreeState::decode(&row.state).map_err(|_| damaged(TreeRow::NAME))?;
                (Tree::resume(state), Some(row.note))
            }
            None => (Tree::new(), None),
        };
        let signed = tree.size();
        // Entries after the checkpoint; their full tiles are rows already.
        while let Some(row) = rows.load::<AuditRow>(&keys::audit_entry(tree.size()))? {
            tree.append(leaf_hash(&row.leaf));
        }
        Ok((Self { tree, signer, origin, signed }, note))
    }

    pub(crate) const fn size(&self) -> u64 {
        self.tree.size()
    }
    /// Whether there are entries that no checkpoint covers.
    pub(crate) const fn is_unsigned(&self) -> bool {
        self.signed < self.tree.size()
    }

    /// Seals the group's events into rows; signs a checkpoint if one is due.
    pub(crate) fn grow(
        &self,
        pending: &mut Pending,
        sign: bool,
        rows: &RowStore,
        log_keys: &LogKeys,
        store: &dyn KeyStore,
    ) -> Result<Grown, StoreError> {
        let mut grown = Grown { tree: self.tree.clone(), made: Vec::new(), note: None };
        for mut event in std::mem::take(&mut pending.events) {
            event.sequence = grown.tree.size();
            let key = log_keys.get_or_make(event.key_id(), rows, store, pending, &mut grown.made)?;
            let row = AuditRow::of(seal(&key, &event)?);
            pending.rows.insert(keys::audit_entry(event.sequence), Some(Bytes::from(row.encode())));
            for tile in grown.tree.append(leaf_hash(&row.leaf)) {
                let key = keys::audit_tile(tile.id.level, tile.id.index);
                pending.rows.insert(key, Some(Bytes::from(Blob(tile.encode()).encode())));
            }
        }
        if sign && grown.tree.size() > self.signed {
            let checkpoint =
                Checkpoint { origin: self.origin.clone(), size: grown.tree.size(), root: grown.tree.root() };
            let note = checkpoint.sign(&self.signer).map_err(|_| damaged("checkpoint"))?;
            let row = TreeRow { state: grown.tree.state().encode(), note: note.clone() };
            pending.rows.insert(keys::audit_tree(), Some(Bytes::from(row.encode())));
            grown.note = Some(note);
        }
        Ok(grown)
    }

    /// The group is on disk.
    pub(crate) fn adopt(&mut self, grown: Grown, log_keys: &LogKeys) {
        self.tree = grown.tree;
        if grown.note.is_some() {
            self.signed = self.tree.size();
        }
        log_keys.0.lock().extend(grown.made);
    }
}

fn seal(key: &LogKey, event: &Event) -> Result<SealedEvent, StoreError> {
    key.seal(event).map_err(|error| {
        tracing::error!(%error, "an audit event could not be sealed");
        StoreError::Limit("audit event")
    })
}

/// Opens an entry's event.
pub(crate) fn open_event(
    row: AuditRow,
    rows: &RowStore,
    log_keys: &LogKeys,
    store: &dyn KeyStore,
) -> Result<Option<Event>, StoreError> {
    let Some(bytes) = row.sealed else { return Ok(None) };
    let sealed = SealedEvent::from_bytes(bytes).map_err(|_| damaged(AuditRow::NAME))?;
    let Some(key) = log_keys.get(sealed.key_id(), rows, store)? else { return Ok(None) };
    key.open(&sealed).map(Some).map_err(|_| damaged(AuditRow::NAME))
}
