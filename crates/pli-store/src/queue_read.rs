//! The outbound queue's calls.

use bytes::Bytes;
use pli_crypto::{MessageKey, WrappedKey};
use pli_types::{Action, BodyId, QueueId, UnixMillis};
use tokio::sync::watch;

use crate::body::{queue_aad, read};
use crate::error::{Damaged, StoreError};
use crate::index::Next;
use crate::model_queue::{FrozenDomain, QueueChange, QueueNews, QueueOutcome, QueueRow};
use crate::ops::allowed;
use crate::permit::{Committed, Permit};
use crate::rows::directory::Blob;
use crate::rows::mail::BodyRow;
use crate::rows::{Key, Table, decode, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

const READ: &[Action] = &[Action::QueueRead, Action::QueueAttempt, Action::QueueChange];
const CHANGE: &[Action] = &[Action::QueueAttempt, Action::QueueChange];

impl Store {
    /// Rows that are due at `now`, not held, oldest first.
    pub fn queue_due(&self, permit: &Permit, now: UnixMillis, limit: usize) -> Result<Vec<QueueRow>> {
        allowed(permit, READ, None)?;
        let engine = self.engine();
        let _still = engine.apply.read();
        let until = now.0.max(0).cast_unsigned();
        let mut ids = Vec::new();
        engine.rows.scan(&Key::new(Table::QueueDue), None, |key, _| {
            if key.number(1) > until || ids.len() >= limit {
                return Ok(Next::Stop);
            }
            ids.push(QueueId::new(key.number(9)));
            Ok(Next::More)
        })?;
        ids.into_iter().filter_map(|id| engine.rows.load(&keys::queue(id)).transpose()).collect()
    }
    /// When the next row is due.
    pub fn queue_next(&self, permit: &Permit) -> Result<Option<UnixMillis>> {
        allowed(permit, READ, None)?;
        let mut next = None;
        self.engine().rows.scan(&Key::new(Table::QueueDue), None, |key, _| {
            next = Some(UnixMillis(key.number(1).cast_signed()));
            Ok(Next::Stop)
        })?;
        Ok(next)
    }
    /// Rows in id order.
    pub fn queue_list(&self, permit: &Permit, after: Option<QueueId>, limit: usize) -> Result<Vec<QueueRow>> {
        allowed(permit, READ, None)?;
        let from = after.map(|id| keys::queue(QueueId::new(id.get().saturating_add(1))));
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        self.engine().rows.scan(&Key::new(Table::Queue), from.as_ref(), |_, bytes| {
            rows.push(decode(&bytes)?);
            Ok(if rows.len() >= limit { Next::Stop } else { Next::More })
        })?;
        Ok(rows)
    }
    /// One row.
    pub fn queue_row(&self, permit: &Permit, id: QueueId) -> Result<Option<QueueRow>> {
        allowed(permit, READ, None)?;
        self.engine().rows.load(&keys::queue(id))
    }
    /// The message's bytes, under the queue's own key (no account's keys are needed).
    pub fn queue_body(&self, permit: &Permit, id: QueueId) -> Result<Bytes> {
        allowed(permit, READ, None)?;
        let engine = self.engine();
        let (body, row, wrapped) = {
            let _still = engine.apply.read();
            let queued: QueueRow = engine.rows.load(&keys::queue(id))?.ok_or(StoreError::NoQueueRow(id))?;
            let row = engine.rows.load::<BodyRow>(&keys::body(queued.body))?;
            let wrapped = engine.rows.load::<Blob>(&keys::queue_body(queued.body))?;
            (queued.body, row, wrapped)
        };
        let damaged = || StoreError::Damaged(Damaged::Body(body));
        let (row, wrapped) = row.zip(wrapped).ok_or_else(damaged)?;
        let key = self.queue_key(body, &wrapped)?.derive();
        let (row, file) = engine.body_file(body, row)?;
        read(&engine.body_place(&*file), body, &row, &key, None)
    }
    /// The queue's copy of a message key.
    pub(crate) fn queue_key(&self, body: BodyId, wrapped: &Blob) -> Result<MessageKey> {
        let engine = self.engine();
        let bytes = wrapped.0.as_slice().try_into().map_err(|_| StoreError::Damaged(Damaged::Row("queue body")))?;
        let aad = queue_aad(engine.keys.id, body);
        let opened = MessageKey::open_under(&engine.keys.queue, &WrappedKey::from_bytes(bytes), &aad);
        Ok(opened.map_err(pli_crypto::CryptoError::from)?)
    }
    /// Changes a row that stays.
    pub async fn queue_change(&self, permit: Permit, id: QueueId, change: QueueChange) -> Result<Committed<()>> {
        allowed(&permit, CHANGE, None)?;
        self.commit(move |txn| txn.change_queue_row(&permit, id, change)).await
    }
    /// Ends a row.
    pub async fn queue_end(&self, permit: Permit, id: QueueId, outcome: QueueOutcome) -> Result<Committed<()>> {
        allowed(&permit, CHANGE, None)?;
        self.commit(move |txn| txn.end_queue_row(&permit, id, &outcome)).await
    }
    /// What changed since this was last asked; at first everything. One caller only: what was told is forgotten.
    #[must_use]
    pub fn queue_news(&self) -> QueueNews {
        std::mem::take(&mut *self.engine().queue_news.lock())
    }
    /// The domains for which nothing is tried.
    pub fn queue_frozen(&self, permit: &Permit) -> Result<Vec<FrozenDomain>> {
        allowed(permit, READ, None)?;
        let rows = self.engine().rows.list::<FrozenDomain>(&Key::new(Table::Frozen))?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
    /// Freezes a domain with a reason, or (`None`) thaws it.
    pub async fn queue_freeze(&self, permit: Permit, domain: String, reason: Option<String>) -> Result<Committed<()>> {
        allowed(&permit, &[Action::QueueChange], None)?;
        self.commit(move |txn| {
            txn.queue_freeze(&domain, reason.as_deref())?;
            let what = if reason.is_some() { "frozen" } else { "thawed" };
            txn.audit(&permit, |event| event.count(what, 1));
            Ok(())
        })
        .await
    }
    /// Counts up whenever rows came, changed or went.
    pub fn queue_changed(&self) -> watch::Receiver<u64> {
        self.engine().queue_changed.subscribe()
    }
}
