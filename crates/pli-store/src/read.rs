//! Reading the mail of one account, under a permit.

use std::sync::Arc;

use bytes::Bytes;
use pli_crypto::{KeyWrap, MessageKey, Opened, SummaryKey};
use pli_mime::Summary;
use pli_types::{AccountId, Action, BodyId, ByteCount, EmailId, MailboxId, MailboxName, ModSeq, Uid};

use crate::body::{read, wrap_aad};
use crate::engine::Engine;
use crate::error::{Damaged, StoreError};
use crate::index::Next;
use crate::model::{ByteRange, Mailbox, MessageMeta};
use crate::moment::Moment;
use crate::personal::overlay;
use crate::rows::mail::{BodyRow, EntryBlock, Expunged, MessageRow, StoredEntry};
use crate::rows::{RowStore, decode, keys};
use crate::summary;
use crate::view::{ChunkBuilder, View};
use crate::views::snapshot;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Actions whose permits let one read rows of an account's mail.
pub(crate) const READ_ACTIONS: &[Action] = &[
    Action::Login,
    Action::List,
    Action::Status,
    Action::Select,
    Action::FetchMetadata,
    Action::FetchContent,
    Action::Search,
    Action::Store,
    Action::MarkSeen,
    Action::Append,
    Action::Copy,
    Action::CopyInto,
    Action::Move,
    Action::Expunge,
    Action::Create,
    Action::Delete,
    Action::Rename,
    Action::Subscribe,
    Action::GetQuota,
    Action::GetAcl,
    Action::GetMetadata,
    Action::Past,
    Action::Restore,
    Action::Inspect,
];
/// Those that reach what a message says of itself.
const SUMMARY_ACTIONS: &[Action] = &[Action::FetchMetadata, Action::FetchContent, Action::Search];
/// Those that reach its bytes.
const BODY_ACTIONS: &[Action] = &[Action::FetchContent, Action::Search];

/// Reading the mail of one account, under a permit.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) account: AccountId,
    pub(crate) action: Action,
    /// The moment that is read; the present if there is none.
    pub(crate) past: Option<&'a Moment>,
    /// Who reads, where it is another's mail.
    pub(crate) person: Option<AccountId>,
    /// The mailbox that the permit is for; of another's mail no other one is opened.
    pub(crate) only: Option<MailboxId>,
}

impl Reader<'_> {
    /// The rows that are read: the index, or those of a moment.
    pub(crate) fn index(&self) -> &RowStore {
        self.past.map_or(&self.engine.rows, Moment::rows)
    }
    fn body_row(&self, body: BodyId) -> Result<Option<BodyRow>> {
        match self.past {
            None => self.engine.rows.load(&keys::body(body)),
            Some(moment) => moment.body_row(self.engine, body),
        }
    }
    /// All mailboxes, by name.
    pub fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        let _still = self.engine.apply.read();
        let rows = self.index().list::<Mailbox>(&keys::mailboxes(self.account))?;
        let mut mailboxes: Vec<Mailbox> =
            rows.into_iter().map(|(_, mailbox)| self.as_seen(mailbox)).collect::<Result<_>>()?;
        mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(mailboxes)
    }
    /// One mailbox.
    pub fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>> {
        self.index().load(&keys::mailbox(self.account, id))?.map(|mailbox| self.as_seen(mailbox)).transpose()
    }
    /// One mailbox by name.
    pub fn mailbox_by_name(&self, name: &MailboxName) -> Result<Option<Mailbox>> {
        let _still = self.engine.apply.read();
        let key = keys::mailbox_name(&self.engine.keys, self.account, name.as_str());
        match self.index().load::<MailboxId>(&key)? {
            Some(id) => self.mailbox(id),
            None => Ok(None),
        }
    }
    /// Subscribed names, sorted.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        let rows = self.index().list::<MailboxName>(&keys::subscriptions(self.account))?;
        let mut names: Vec<MailboxName> = rows.into_iter().map(|(_, name)| name).collect();
        names.sort();
        Ok(names)
    }
    /// The mailbox's shared view, loaded if need be.
    pub fn view(&self, mailbox: MailboxId) -> Result<Arc<View>> {
        // Under the lock: no group is applied between the reading and the sharing, and none is missed.
        let _still = self.engine.apply.read();
        if self.person.is_some() && self.only != Some(mailbox) {
            return Err(StoreError::WrongPermit);
        }
        let row = self.mailbox(mailbox)?.ok_or(StoreError::NoMailbox)?;
        if self.past.is_none()
            && let Some(view) = self.engine.views.get(mailbox, self.person)
        {
            return Ok(view);
        }
        let marks = self.marks(mailbox)?;
        let mut builder = ChunkBuilder::new();
        self.index().scan(&keys::entries(mailbox), None, |_, bytes| {
            for StoredEntry { entry, .. } in decode::<EntryBlock>(&bytes)?.0 {
                builder.push(match self.person {
                    None => entry,
                    Some(_) => overlay(entry, marks.get(&entry.uid.get()).copied()),
                });
            }
            Ok(Next::More)
        })?;
        let snapshot = snapshot(&row, builder);
        // A moment's view never changes, so nobody else needs to know of it.
        Ok(if self.past.is_some() { View::alone(snapshot) } else { self.engine.views.insert(snapshot, self.person) })
    }
    /// UIDs expunged after a modseq (RFC 7162 §3.2.10), ascending.
    pub fn expunged_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Vec<Uid>> {
        self.mailbox(mailbox)?.ok_or(StoreError::NoMailbox)?;
        let from = keys::expunged(mailbox, ModSeq::new(since.get().saturating_add(1)));
        let mut uids = Vec::new();
        self.index().scan(&keys::expunges(mailbox), Some(&from), |_, bytes| {
            uids.extend(decode::<Expunged>(&bytes)?.0);
            Ok(Next::More)
        })?;
        uids.sort_unstable();
        Ok(uids)
    }
    pub(crate) fn rows(&self, email: EmailId) -> Result<(MessageRow, BodyRow)> {
        let message: MessageRow =
            self.index().load(&keys::message(self.account, email))?.ok_or(StoreError::NoMessage)?;
        match self.body_row(message.body)? {
            Some(body) => Ok((message, body)),
            None => Err(self.without_body(email)?),
        }
    }
    /// A message's row.
    pub fn message(&self, email: EmailId) -> Result<MessageMeta> {
        let (message, body) = self.rows(email)?;
        Ok(MessageMeta {
            email,
            body: message.body,
            size: ByteCount::new(message.size),
            received: message.received,
            digest: body.digest,
        })
    }
    /// Opens K3. The first time its seal is to be replaced by a wrap, in a later commit.
    pub(crate) fn message_key(&self, keys: &Opened, email: EmailId, message: &MessageRow) -> Result<MessageKey> {
        let engine = self.engine;
        let wrap = self.newest_wrap(email, message);
        let aad = wrap_aad(engine.keys.id, self.account, message.body);
        let look_up = |epoch| engine.epoch_blob(self.account, epoch).ok().flatten();
        let (key, replacement) = keys.message_key(engine.now(), &wrap, &aad, &look_up)?;
        if let Some(replacement) = replacement {
            engine.queue.rewrap(self.account, email, replacement);
        }
        Ok(key)
    }
    /// The row's wrap, or the one that waits to replace its seal.
    pub(crate) fn newest_wrap(&self, email: EmailId, message: &MessageRow) -> KeyWrap {
        match &message.wrap {
            KeyWrap::Sealed { .. } => self.engine.queue.pending_wrap(self.account, email).unwrap_or(message.wrap),
            KeyWrap::Wrapped { .. } => message.wrap,
        }
    }
    pub(crate) fn may_summarise(&self) -> Result<()> {
        if SUMMARY_ACTIONS.contains(&self.action) { Ok(()) } else { Err(StoreError::WrongPermit) }
    }
    /// A message's summary. The first read turns its seal into a wrap, in a later commit.
    pub fn summary(&self, keys: &Opened, email: EmailId) -> Result<Summary> {
        self.may_summarise()?;
        let (message, body) = self.rows(email)?;
        let key = self.message_key(keys, email, &message)?.derive_summary();
        match self.own_summary(&key, message.body, body) {
            Err(StoreError::Damaged(Damaged::Summary(body))) => self.summary_made_before(&key, body),
            other => other,
        }
    }
    /// The summary that stands beside the body, in its frame or its row.
    pub(crate) fn own_summary(&self, key: &SummaryKey, id: BodyId, body: BodyRow) -> Result<Summary> {
        let engine = self.engine;
        let (mut sealed, version) = (body.summary.clone(), body.summary_version);
        if sealed.is_empty() {
            let (body, file) = engine.body_file(id, body)?;
            summary::read(&*file, id, &body, &mut sealed)?;
        }
        summary::open(engine.keys.id, &engine.decompressors, (id, version), &mut sealed, key, usize::MAX)?
            .and_then(|encoded| Summary::decode(&encoded).ok())
            .ok_or(StoreError::Damaged(Damaged::Summary(id)))
    }
    /// Bytes of a message; all of them if `range` is `None`; a range past the end is cut. Only the chunks that hold
    /// the range are opened.
    pub fn body(&self, keys: &Opened, email: EmailId, range: Option<ByteRange>) -> Result<Bytes> {
        if !BODY_ACTIONS.contains(&self.action) {
            return Err(StoreError::WrongPermit);
        }
        self.read_body(keys, email, range)
    }
    /// The same whatever the permit is for: for what never leaves the store.
    pub(crate) fn read_body(&self, keys: &Opened, email: EmailId, range: Option<ByteRange>) -> Result<Bytes> {
        let (message, body) = self.rows(email)?;
        let keys = self.message_key(keys, email, &message)?.derive();
        let (body, file) = self.engine.body_file(message.body, body)?;
        read(&self.engine.body_place(&*file), message.body, &body, &keys, range)
    }
}
