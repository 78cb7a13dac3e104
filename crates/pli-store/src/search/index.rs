//! Making the index: segments of new messages, and small ones merged. A session does it in steps, since nothing else
//! can read the mail; delivery does nothing for search.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use pli_crypto::Opened;
use pli_search::{Builder, Front, Merged, SEGMENT_BYTES_MAX, TEXT_VERSION, front_bytes, merge};
use pli_types::{AccountId, Action, BodyId, EmailId};

use super::limits::{
    SEARCH_STEP_BYTES, SEARCH_STEP_MEMORY, SEARCH_STEP_MESSAGES, SEARCH_TIER_FACTOR, SEARCH_TIER_MESSAGES,
};
use super::wrap_for;
use crate::body::{Prepared, prepare_plain};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::index::Next;
use crate::ops::owner;
use crate::permit::Permit;
use crate::read::Reader;
use crate::rows::mail::AccountState;
use crate::rows::search::SearchRow;
use crate::rows::{Key, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A segment made and not yet committed. While it lives nobody else works on the account's index.
pub struct IndexStep {
    _busy: Busy,
    account: AccountId,
    segment: Option<(Prepared, SearchRow)>,
    replaced: Replaced,
}

impl std::fmt::Debug for IndexStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexStep").field("account", &self.account).finish_non_exhaustive()
    }
}

struct Busy(Arc<Engine>, AccountId);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.search.end(self.1);
    }
}

impl Store {
    /// The next step in making the account's search index: new messages read and their words sealed, or small segments
    /// merged. `None` when there is nothing to do, or somebody else is at it. CPU and reading only; the caller commits
    /// the step, and takes care that steps do not keep a core busy.
    pub fn index_step(&self, permit: &Permit, keys: &Opened) -> Result<Option<IndexStep>> {
        let account = owner(permit, &[Action::Search], None)?;
        let engine = self.engine();
        if !engine.search.begin(account) {
            return Ok(None);
        }
        let busy = Busy(Arc::clone(engine), account);
        let reader = self.read(permit)?;
        let rows = reader.search_rows()?;
        // Made by a program that took words apart otherwise.
        let (usable, other): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.text_version == TEXT_VERSION);
        let others = other.iter().map(|(key, row)| (*key, row.body)).collect::<Vec<_>>();
        let after = usable.iter().map(|(_, row)| row.last).max().unwrap_or(0);
        let made = match reader.index_tail(keys, after)? {
            Some(made) => Some((made, others)),
            None => reader.index_merge(keys, &usable)?,
        };
        let Some((made, replaced)) = made else { return Ok(None) };
        let segment = match made.bytes {
            None => None,
            Some(bytes) => {
                let prepared = prepare_plain(engine.keys.id, &engine.compressors, engine.new_body()?, &bytes)?;
                let row = SearchRow {
                    body: prepared.body,
                    text_version: TEXT_VERSION,
                    first: made.first,
                    last: made.last,
                    messages: made.messages,
                    size: bytes.len() as u64,
                    wrap: wrap_for(engine, account, keys, &prepared)?,
                };
                Some((prepared, row))
            }
        };
        Ok(Some(IndexStep { _busy: busy, account, segment, replaced }))
    }

    /// Commits a step.
    pub async fn commit_index(&self, permit: &Permit, step: IndexStep) -> Result<()> {
        if owner(permit, &[Action::Search], None)? != step.account {
            return Err(StoreError::WrongPermit);
        }
        let IndexStep { _busy: busy, account, segment, replaced } = step;
        let gone: Vec<Key> = replaced.iter().map(|(key, _)| *key).collect();
        self.commit(move |txn| {
            let segment = segment.as_ref().map(|(prepared, row)| (prepared, row));
            txn.put_search_segment(account, segment, &gone)
        })
        .await?;
        for (_, body) in replaced {
            self.engine().search.forget(body);
        }
        drop(busy);
        Ok(())
    }

    /// Bytes of search segments that are in memory.
    #[must_use]
    pub fn search_memory(&self) -> usize {
        self.engine().search.bytes()
    }
    /// Forgets what is in memory of search segments: the next search is a cold one.
    #[doc(hidden)]
    pub fn forget_search(&self) {
        self.engine().search.clear();
    }
}

/// Segments that go with a step.
type Replaced = Vec<(Key, BodyId)>;

/// What a step made.
struct Made {
    /// Nothing when no message is left.
    bytes: Option<Vec<u8>>,
    first: u64,
    last: u64,
    messages: u32,
}

impl Reader<'_> {
    /// A segment of the next messages that have none. Those that cannot be indexed are passed over; when only such are
    /// left, nothing records it, and they are looked at again once newer ones have come.
    fn index_tail(&self, keys: &Opened, after: u64) -> Result<Option<Made>> {
        let mut builder = Builder::new();
        let (mut first, mut last) = (None, after);
        while builder.messages() == 0 {
            let emails = self.next_messages(last)?;
            if emails.is_empty() {
                return Ok(None);
            }
            for email in emails {
                self.index_message(keys, email, &mut builder)?;
                first.get_or_insert(email.get());
                last = email.get();
                if builder.memory() > SEARCH_STEP_MEMORY {
                    break;
                }
            }
        }
        let messages = u32::try_from(builder.messages()).unwrap_or(u32::MAX);
        Ok(builder.finish().map(|bytes| Made { bytes: Some(bytes), first: first.unwrap_or(last), last, messages }))
    }

    /// What one step takes up.
    fn next_messages(&self, after: u64) -> Result<Vec<EmailId>> {
        let mut emails: Vec<EmailId> = Vec::new();
        let mut bytes = 0_u64;
        self.messages_after(after, &mut |email, row| {
            emails.push(email);
            bytes = bytes.saturating_add(row.size);
            if emails.len() >= SEARCH_STEP_MESSAGES || bytes >= SEARCH_STEP_BYTES { Next::Stop } else { Next::More }
        })?;
        Ok(emails)
    }

    /// Segments of about the same size made into one; or all of them, when most of their messages are gone.
    fn index_merge(&self, keys: &Opened, rows: &[(Key, SearchRow)]) -> Result<Option<(Made, Replaced)>> {
        let state: Option<AccountState> = self.engine.rows.load(&keys::state(self.account))?;
        let present = state.map_or(0, |state| state.quota.messages_used);
        let Some(chosen) = choose(rows, present) else { return Ok(None) };
        let mut segments: Vec<(Front, Bytes)> = Vec::with_capacity(chosen.len());
        for (_, row) in &chosen {
            match self.search_source(keys, row).and_then(|source| source.whole()) {
                Ok(bytes) => {
                    let end = usize::try_from(front_bytes(&bytes)?).unwrap_or(usize::MAX).min(bytes.len());
                    segments.push((Front::parse(bytes.get(..end).unwrap_or_default())?, bytes));
                }
                // A damaged one is left out and goes: its messages are looked into from then on.
                Err(error) if super::is_lost(&error) => {
                    tracing::warn!(account = %self.account, %error, "a search segment is lost");
                }
                Err(error) => return Err(error),
            }
        }
        let mut present = HashSet::new();
        self.messages_after(0, &mut |email, _| {
            present.insert(email.get());
            Next::More
        })?;
        let first = chosen.iter().map(|(_, row)| row.first).min().unwrap_or(0);
        let last = chosen.iter().map(|(_, row)| row.last).max().unwrap_or(0);
        let replaced = chosen.iter().map(|(key, row)| (*key, row.body)).collect();
        let made = match merge(&segments, &|email| present.contains(&email))? {
            Merged::TooLarge => return Ok(None),
            Merged::Nothing => Made { bytes: None, first, last, messages: 0 },
            Merged::Segment { bytes, messages } => Made { bytes: Some(bytes), first, last, messages },
        };
        Ok(Some((made, replaced)))
    }
}

/// 0 for the smallest segments, one more for each [`SEARCH_TIER_FACTOR`] times as many messages.
fn tier(messages: u32) -> u32 {
    (messages / SEARCH_TIER_MESSAGES).max(1).ilog(SEARCH_TIER_FACTOR)
}

/// Which segments to merge, if any.
fn choose(rows: &[(Key, SearchRow)], present: u64) -> Option<Vec<(Key, SearchRow)>> {
    let fit = |mut rows: Vec<(Key, SearchRow)>| {
        rows.sort_by_key(|(_, row)| row.size);
        let mut size = 0_u64;
        rows.retain(|(_, row)| {
            let fits = size.saturating_add(row.size) <= SEGMENT_BYTES_MAX as u64;
            size = size.saturating_add(if fits { row.size } else { 0 });
            fits
        });
        rows
    };
    let covered: u64 = rows.iter().map(|(_, row)| u64::from(row.messages)).sum();
    if covered > present.saturating_mul(2).saturating_add(u64::from(SEARCH_TIER_MESSAGES)) {
        // One alone is worth it as well.
        return Some(fit(rows.to_vec()));
    }
    let highest = rows.iter().map(|(_, row)| tier(row.messages)).max()?;
    (0..=highest).find_map(|wanted| {
        let same: Vec<_> = rows.iter().filter(|(_, row)| tier(row.messages) == wanted).copied().collect();
        let same = if same.len() >= SEARCH_TIER_FACTOR as usize { fit(same) } else { Vec::new() };
        (same.len() >= 2).then_some(same)
    })
}
