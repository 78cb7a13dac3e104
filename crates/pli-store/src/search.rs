//! Search: what the index of an account's mail says, and which messages it does not cover.
//!
//! Segments are immutable and stand in the log as bodies do (`rows/search`); `search/cache` holds parts of those in use,
//! `search/index` makes and merges them. Bytes and queries are pli-search's.

mod cache;
mod index;
mod limits;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use pli_crypto::{KeyWrap, MessageKeys, Opened};
use pli_search::{Builder, Front, Outcome, Postings, Query, TEXT_VERSION, front_bytes, rank, search};
pub use pli_search::{Field as SearchField, Query as FuzzyQuery};
use pli_types::{Action, EmailId};

pub(crate) use self::cache::SearchCache;
pub use self::index::IndexStep;
use self::limits::{SEARCH_BLOCK_BYTES, SEARCH_MESSAGE_BYTES_MAX, SEARCH_STEP_MESSAGES};
use crate::body::{ChunkTable, chunk_table, read_chunks, wrap_aad};
use crate::engine::Engine;
use crate::error::{Damaged, StoreError};
use crate::index::Next;
use crate::read::Reader;
use crate::rows::mail::{AccountState, BodyRow, MessageRow};
use crate::rows::search::SearchRow;
use crate::rows::{Key, keys};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What the index says of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds the text.
    Yes,
    /// It does not.
    No,
    /// The message itself must be looked into: it may hold the text.
    Maybe,
    /// The message itself must be looked into: the index does not cover it (yet).
    Unknown,
}

/// Email ids of one page: 65,536 after another.
const PAGE: u64 = 1 << 16;
const PAGE_WORDS: usize = (PAGE / 64) as usize;

#[derive(Clone)]
struct Page {
    covered: [u64; PAGE_WORDS],
    yes: [u64; PAGE_WORDS],
    maybe: [u64; PAGE_WORDS],
}

/// Messages of the account that hold a text, as far as the index knows.
#[derive(Default)]
pub struct Found {
    first: u64,
    pages: Vec<Option<Box<Page>>>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl Found {
    /// What it says of a message. Costs nothing.
    #[must_use]
    pub fn verdict(&self, email: EmailId) -> Verdict {
        let id = email.get();
        let page = (id / PAGE).checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(Some(page)) = page.and_then(|at| self.pages.get(at)) else { return Verdict::Unknown };
        let (word, bit) = ((id % PAGE / 64) as usize, id % 64);
        let has = |set: &[u64; PAGE_WORDS]| set.get(word).is_some_and(|bits| bits >> bit & 1 == 1);
        match (has(&page.yes), has(&page.maybe), has(&page.covered)) {
            (true, ..) => Verdict::Yes,
            (_, true, _) => Verdict::Maybe,
            (_, _, true) => Verdict::No,
            _ => Verdict::Unknown,
        }
    }

    fn page(&mut self, id: u64) -> Option<&mut Page> {
        let at = usize::try_from((id / PAGE).checked_sub(self.first)?).ok()?;
        if at >= self.pages.len() {
            self.pages.resize(at.saturating_add(1), None);
        }
        let page = self.pages.get_mut(at)?;
        Some(page.get_or_insert_with(|| {
            Box::new(Page { covered: [0; PAGE_WORDS], yes: [0; PAGE_WORDS], maybe: [0; PAGE_WORDS] })
        }))
    }

    fn add(&mut self, front: &Front, outcome: &Outcome) {
        let emails = front.emails();
        for email in emails {
            let (word, bit) = ((email % PAGE / 64) as usize, email % 64);
            if let Some(bits) = self.page(*email).and_then(|page| page.covered.get_mut(word)) {
                *bits |= 1 << bit;
            }
        }
        let id = |doc: u32| emails.get(doc as usize).copied();
        for email in outcome.yes.iter().filter_map(id) {
            let (word, bit) = ((email % PAGE / 64) as usize, email % 64);
            if let Some(bits) = self.page(email).and_then(|page| page.yes.get_mut(word)) {
                *bits |= 1 << bit;
            }
        }
        for email in outcome.maybe.iter().filter_map(id) {
            let (word, bit) = ((email % PAGE / 64) as usize, email % 64);
            if let Some(bits) = self.page(email).and_then(|page| page.maybe.get_mut(word)) {
                *bits |= 1 << bit;
            }
        }
    }
}

/// A message that a ranked search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Which.
    pub email: EmailId,
    /// The higher, the better; comparable within one search only.
    pub score: f32,
}

/// A segment that can be read.
pub(super) struct Source<'a> {
    engine: &'a Engine,
    row: BodyRow,
    body: pli_types::BodyId,
    keys: MessageKeys,
    /// Where its chunks stand; the same wherever compaction moves it.
    table: OnceLock<ChunkTable>,
}

impl Source<'_> {
    fn plain(&self, range: Range<u64>) -> Result<Bytes> {
        let (row, file) = self.engine.body_file(self.body, self.row.clone())?;
        let place = self.engine.body_place(&*file);
        let table = match self.table.get() {
            Some(table) => table,
            None => {
                let table = chunk_table(&place, self.body, &row, &self.keys)?;
                self.table.get_or_init(|| table)
            }
        };
        read_chunks(&place, self.body, &row, &self.keys, table, range)
    }
    /// The whole segment.
    pub(super) fn whole(&self) -> Result<Bytes> {
        self.plain(0..self.row.size)
    }
    /// The first part, from memory if it is there.
    fn front(&self) -> Result<Arc<Front>> {
        let now = self.engine.now();
        if let Some(front) = self.engine.search.front(self.body, now) {
            return Ok(front);
        }
        let head = self.block(0)?;
        let length = front_bytes(&head)?;
        let front = match usize::try_from(length).ok().and_then(|length| head.get(..length)) {
            Some(bytes) => Front::parse(bytes)?,
            None => Front::parse(&self.plain(0..length)?)?,
        };
        let front = Arc::new(front);
        self.engine.search.put_front(self.body, &front, now);
        Ok(front)
    }
    fn block(&self, number: u64) -> Result<Bytes> {
        let now = self.engine.now();
        if let Some(block) = self.engine.search.block(self.body, number, now) {
            return Ok(block);
        }
        let start = number.saturating_mul(SEARCH_BLOCK_BYTES);
        let block = self.plain(start..start.saturating_add(SEARCH_BLOCK_BYTES))?;
        self.engine.search.put_block(self.body, number, &block, now);
        Ok(block)
    }
}

impl Postings for Source<'_> {
    type Error = StoreError;
    fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let damaged = || StoreError::from(pli_search::Damaged);
        let (first, last) = (range.start / SEARCH_BLOCK_BYTES, range.end.saturating_sub(1) / SEARCH_BLOCK_BYTES);
        let part = |number: u64| -> Result<Bytes> {
            let block = self.block(number)?;
            let at = |n: u64| n.saturating_sub(number.saturating_mul(SEARCH_BLOCK_BYTES)).min(block.len() as u64);
            let cut = |n: u64| usize::try_from(at(n)).map_err(|_| damaged());
            let (start, end) = (cut(range.start)?, cut(range.end)?);
            Ok(block.slice(start.min(end)..end))
        };
        let bytes = if first == last {
            part(first)?
        } else {
            let mut joined = Vec::new();
            for number in first..=last {
                joined.extend_from_slice(&part(number)?);
            }
            Bytes::from(joined)
        };
        let whole = bytes.len() as u64 == range.end.saturating_sub(range.start);
        if whole { Ok(bytes) } else { Err(damaged()) }
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        let Some(_place) = self.engine.read_helpers.place() else {
            first();
            return second();
        };
        let waiting = Mutex::new(Some(second));
        let take = || {
            let second = waiting.lock().take();
            if let Some(second) = second {
                second();
            }
        };
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().name(String::from("store-search")).spawn_scoped(scope, take);
            first();
            match other {
                // What a panic left undone has no answer, and the search fails.
                Ok(other) => drop(other.join()),
                Err(_) => take(),
            }
        });
    }
}

impl Reader<'_> {
    fn may_search(&self) -> Result<()> {
        if self.action == Action::Search { Ok(()) } else { Err(StoreError::WrongPermit) }
    }

    /// The account's segments that this program can use. Of today, whichever moment is read: what stands in a message
    /// never changes, and email ids are not given out twice.
    pub(super) fn search_rows(&self) -> Result<Vec<(Key, SearchRow)>> {
        self.engine.rows.list::<SearchRow>(&keys::search_segments(self.account))
    }

    /// Opens a segment. Always with the account's keys, be its parts in memory or not.
    pub(super) fn search_source(&self, keys: &Opened, row: &SearchRow) -> Result<Source<'_>> {
        let engine = self.engine;
        let body: BodyRow = engine
            .rows
            .load(&crate::rows::keys::body(row.body))?
            .ok_or(StoreError::Damaged(Damaged::Row("search segment's body")))?;
        let aad = wrap_aad(engine.keys.id, self.account, row.body);
        let look_up = |epoch| engine.epoch_blob(self.account, epoch).ok().flatten();
        let (key, _) = keys.message_key(engine.now(), &row.wrap, &aad, &look_up)?;
        Ok(Source { engine, row: body, body: row.body, keys: key.derive(), table: OnceLock::new() })
    }

    /// All segments that can be read. One that is damaged, or was replaced this moment, covers nothing: its messages
    /// are looked into instead.
    fn search_segments<'s>(&'s self, keys: &Opened) -> Result<Vec<(Arc<Front>, Source<'s>)>> {
        let mut segments = Vec::new();
        for (_, row) in self.search_rows()?.iter().filter(|(_, row)| row.text_version == TEXT_VERSION) {
            let opened = self.search_source(keys, row).and_then(|source| Ok((source.front()?, source)));
            match opened {
                Ok(segment) => segments.push(segment),
                Err(error) if is_lost(&error) => {
                    tracing::warn!(account = %self.account, %error, "a search segment cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(segments)
    }

    /// Which messages of the account hold a text in a field, as `pli_mime::contains_folded` would find in each of them.
    /// `folded` is the text as `pli_mime::fold` gives it. Messages that came after the index was last made are
    /// [`Verdict::Unknown`].
    pub fn search(&self, keys: &Opened, field: SearchField<'_>, folded: &str) -> Result<Found> {
        self.may_search()?;
        let segments = self.search_segments(keys)?;
        let first = segments.iter().filter_map(|(front, _)| front.emails().first()).min().copied().unwrap_or(0);
        let mut found = Found { first: first / PAGE, pages: Vec::new() };
        for (front, source) in &segments {
            match search(front, source, field, folded) {
                Ok(outcome) => found.add(front, &outcome),
                Err(error) if is_lost(&error) => {
                    tracing::warn!(account = %self.account, %error, "a search segment cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// How many messages came since the index was last made, at most: those removed meanwhile are counted.
    pub fn search_behind(&self) -> Result<u64> {
        let state: Option<AccountState> = self.engine.rows.load(&keys::state(self.account))?;
        let last = state.map_or(0, |state| state.next_email);
        let rows = self.search_rows()?;
        let usable = rows.iter().filter(|(_, row)| row.text_version == TEXT_VERSION);
        Ok(last.saturating_sub(usable.map(|(_, row)| row.last).max().unwrap_or(0)))
    }

    /// The best messages for some words: by their stems in French and English, without accents, rare words and words in
    /// the subject first. For people who look for a message, where IMAP's SEARCH is exact.
    pub fn search_ranked(&self, keys: &Opened, words: &str, limit: usize) -> Result<Vec<Ranked>> {
        self.may_search()?;
        let query = Query::new(words);
        let mut segments = self.search_segments(keys)?;
        let last = self.search_rows()?.iter().map(|(_, row)| row.last).max().unwrap_or(0);
        let tail = self.tail(keys, last)?;
        let mut scored = {
            let all: Vec<(&Front, &dyn Postings<Error = StoreError>)> = segments
                .iter()
                .map(|(front, source)| (&**front, source as &dyn Postings<Error = StoreError>))
                .chain(tail.iter().map(|(front, bytes)| (front, bytes as &dyn Postings<Error = StoreError>)))
                .collect();
            rank(&all, &query, &|_| true, usize::MAX)?
        };
        segments.clear();
        let mut best = Vec::new();
        for scored in scored.drain(..) {
            if best.len() >= limit {
                break;
            }
            let email = EmailId::new(scored.email);
            if self.index().get(&keys::message(self.account, email))?.is_some() {
                best.push(Ranked { email, score: scored.score });
            }
        }
        Ok(best)
    }

    /// The messages after an email id as a segment in memory; the newest if there are too many.
    fn tail(&self, keys: &Opened, after: u64) -> Result<Option<(Front, Memory)>> {
        let mut emails: Vec<EmailId> = Vec::new();
        self.messages_after(after, &mut |email, _| {
            emails.push(email);
            Next::More
        })?;
        let mut builder = Builder::new();
        for email in emails.split_off(emails.len().saturating_sub(SEARCH_STEP_MESSAGES)) {
            self.index_message(keys, email, &mut builder)?;
        }
        let Some(bytes) = builder.finish() else { return Ok(None) };
        let bytes = Bytes::from(bytes);
        let end = usize::try_from(front_bytes(&bytes)?).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Some((Front::parse(bytes.get(..end).unwrap_or_default())?, Memory(bytes))))
    }

    pub(super) fn messages_after(&self, after: u64, visit: &mut dyn FnMut(EmailId, &MessageRow) -> Next) -> Result<()> {
        let from = keys::message(self.account, EmailId::new(after.saturating_add(1)));
        self.engine.rows.scan(&keys::messages(self.account), Some(&from), |key, bytes| {
            Ok(visit(EmailId::new(key.number(9)), &crate::rows::decode(&bytes)?))
        })
    }

    /// Takes a message up. One that is gone, damaged or too large is left out.
    pub(super) fn index_message(&self, keys: &Opened, email: EmailId, builder: &mut Builder) -> Result<()> {
        let read = || -> Result<(Bytes, pli_mime::Summary)> {
            let summary = self.summary(keys, email)?;
            Ok((self.read_body(keys, email, None)?, summary))
        };
        match read() {
            Ok((bytes, summary)) if bytes.len() as u64 <= SEARCH_MESSAGE_BYTES_MAX => {
                if let Err(why) = builder.add(email.get(), &bytes, &summary) {
                    tracing::info!(account = %self.account, %email, %why, "a message is not indexed");
                }
            }
            Ok(_) | Err(StoreError::NoMessage | StoreError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A segment in memory.
struct Memory(Bytes);

impl Postings for Memory {
    type Error = StoreError;
    fn read(&self, range: Range<u64>) -> Result<Bytes> {
        Ok(self.0.read(range)?)
    }
}

/// Whether only this segment is lost, not the account or the store.
fn is_lost(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged(_) => true,
        // Its file was removed by compaction after its place was looked up.
        StoreError::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The wrap of a segment's key.
pub(super) fn wrap_for(
    engine: &Engine,
    account: pli_types::AccountId,
    keys: &Opened,
    prepared: &crate::Prepared,
) -> Result<KeyWrap> {
    let now = engine.now();
    let epoch = engine.delivery_key(account, now)?.epoch();
    let secret = keys.epoch(now, epoch, &|epoch| engine.epoch_blob(account, epoch).ok().flatten())?;
    let aad = wrap_aad(engine.keys.id, account, prepared.body);
    Ok(KeyWrap::Wrapped { epoch, bytes: secret.wrap_key(&prepared.key, &aad)? })
}
