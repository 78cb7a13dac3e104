//! Reading many messages of an account at once: rows and summaries for listings.
//!
//! One message by itself costs two look-ups in the index, a lock or two and some allocations; a batch in order of the
//! rows' keys reads neighbours by one scan, looks an epoch's secret up once, and lets a second core take its half.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pli_crypto::{EpochSecret, MessageKey, Opened};
use pli_io::DiskFile;
use pli_mime::Summary;
use pli_types::{BodyId, ByteCount, EmailId, UnixMillis};

use crate::body::wrap_aad;
use crate::error::{Damaged, StoreError};
use crate::limits::{LISTED_SUMMARY_BYTES_MAX, READ_HELPERS_MAX, READ_SPLIT_MESSAGES};
use crate::read::Reader;
use crate::rows::mail::{BodyRow, MessageRow};
use crate::rows::{Key, Row as _, Table, decode, keys};
use crate::summary;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A message as a listing needs it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Original size: RFC822.SIZE and the length of `BODY[]`.
    pub size: ByteCount,
    /// INTERNALDATE.
    pub received: UnixMillis,
    body: BodyId,
    /// One piece of memory a message: its tables are made where they are read, and not carried between threads.
    encoded: Option<Vec<u8>>,
}

impl Listed {
    /// The summary, if it was asked for and is not uncommonly large (then [`Reader::summary`] reads it alone).
    pub fn summary(&self) -> Result<Option<Summary>> {
        let damaged = |_| StoreError::Damaged(Damaged::Summary(self.body));
        self.encoded.as_deref().map(|encoded| Summary::decode(encoded).map_err(damaged)).transpose()
    }
}

/// Threads that help readers now, over all sessions.
#[derive(Default)]
pub(crate) struct ReadHelpers(AtomicUsize);

/// A helper's place, given back when dropped.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl ReadHelpers {
    /// `None` when as many help as there may be.
    pub(crate) fn place(&self) -> Option<Place<'_>> {
        let more = |now: usize| (now < READ_HELPERS_MAX).then(|| now.saturating_add(1));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place(&self.0))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer and its place among those asked for.
type Answer = (usize, Result<Listed>);

impl Reader<'_> {
    /// What a listing needs of many messages, in the order asked: a message that is gone or damaged fails alone. With
    /// keys, summaries too. The caller bounds memory by the number it asks for at a time; some hundred are read
    /// faster, each, than some.
    pub fn list(&self, emails: &[EmailId], summaries: Option<&Opened>) -> Result<Vec<Result<Listed>>> {
        if summaries.is_some() {
            self.may_summarise()?;
        }
        if self.past.is_some() {
            // A moment's bodies are looked up one by one: their rows are in several places.
            return Ok(emails.iter().map(|email| self.one(*email, summaries)).collect());
        }
        let mut ids: Vec<(u64, usize)> = emails.iter().zip(0..).map(|(email, place)| (email.get(), place)).collect();
        ids.sort_unstable();
        let helper = if ids.len() >= READ_SPLIT_MESSAGES { self.engine.read_helpers.place() } else { None };
        let answers = match helper {
            None => self.part(&ids, summaries)?,
            Some(_place) => self.halves(&ids, summaries)?,
        };
        let mut listed: Vec<Result<Listed>> = emails.iter().map(|_| Err(StoreError::NoMessage)).collect();
        for (place, answer) in answers {
            if let Some(slot) = listed.get_mut(place) {
                *slot = answer;
            }
        }
        Ok(listed)
    }

    fn one(&self, email: EmailId, summaries: Option<&Opened>) -> Result<Listed> {
        let row = self.message(email)?;
        let encoded = summaries.map(|keys| self.summary(keys, email)).transpose()?.map(|summary| summary.encode());
        Ok(Listed { size: row.size, received: row.received, body: row.body, encoded })
    }

    /// Half here, half on another core.
    fn halves(&self, ids: &[(u64, usize)], summaries: Option<&Opened>) -> Result<Vec<Answer>> {
        let (first, second) = ids.split_at(ids.len() / 2);
        std::thread::scope(|scope| {
            let name = String::from("store-read");
            let other = std::thread::Builder::new().name(name).spawn_scoped(scope, || self.part(second, summaries));
            let mut answers = self.part(first, summaries)?;
            let rest = match other {
                Ok(thread) => thread.join().map_err(|_| StoreError::Stopped(String::from("a reader panicked")))?,
                Err(_) => self.part(second, summaries),
            };
            answers.extend(rest?);
            Ok(answers)
        })
    }

    /// Reads messages whose ids ascend.
    fn part(&self, ids: &[(u64, usize)], summaries: Option<&Opened>) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(ids.len());
        let mut found: Vec<Found> = Vec::with_capacity(ids.len());
        let mut at = 0;
        self.index().gather(&keys::messages(self.account), ids, |place, bytes| {
            // Each id is visited once, in order.
            let email = EmailId::new(ids.get(at).map_or(0, |(email, _)| *email));
            at = at.saturating_add(1);
            match bytes.map(decode).transpose() {
                Ok(Some(row)) => found.push(Found { place, email, row }),
                Ok(None) => answers.push((place, Err(StoreError::NoMessage))),
                Err(error) => answers.push((place, Err(error))),
            }
            Ok(())
        })?;
        let Some(opened) = summaries else {
            answers.extend(found.iter().map(|found| (found.place, Ok(listed(&found.row, None)))));
            return Ok(answers);
        };
        let mut bodies: Vec<(u64, usize)> =
            found.iter().zip(0..).map(|(found, at)| (found.row.body.get(), at)).collect();
        bodies.sort_unstable();
        let mut work = Summaries { reader: self, opened, secrets: Vec::new(), buffer: Vec::new(), file: None };
        self.index().gather(&Key::new(Table::Body), &bodies, |at, bytes| {
            let Some(found) = found.get(at) else { return Ok(()) };
            let summary = match bytes {
                Some(bytes) => work.open(found, bytes),
                None => Err(self.without_body(found.email)?),
            };
            answers.push((found.place, summary.map(|summary| listed(&found.row, summary))));
            Ok(())
        })?;
        Ok(answers)
    }

    /// Why a message has no body row: expunged between two reads, or damage.
    pub(crate) fn without_body(&self, email: EmailId) -> Result<StoreError> {
        let row = self.index().get(&keys::message(self.account, email))?;
        Ok(if row.is_none() { StoreError::NoMessage } else { StoreError::Damaged(Damaged::Row("body")) })
    }
}

/// A message whose row was read.
struct Found {
    place: usize,
    email: EmailId,
    row: MessageRow,
}

fn listed(row: &MessageRow, encoded: Option<Vec<u8>>) -> Listed {
    Listed { size: ByteCount::new(row.size), received: row.received, body: row.body, encoded }
}

/// Opens summaries one after the other: an epoch's secret is looked up once, the buffer is allocated once.
struct Summaries<'a> {
    reader: &'a Reader<'a>,
    opened: &'a Opened,
    secrets: Vec<Arc<EpochSecret>>,
    buffer: Vec<u8>,
    /// The segment that was read last: neighbours stand in the same.
    file: Option<(u32, Arc<dyn DiskFile>)>,
}

impl Summaries<'_> {
    fn open(&mut self, found: &Found, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let damaged = StoreError::Damaged(Damaged::Row(BodyRow::NAME));
        let (mut row, sealed) = BodyRow::decode_borrowed(body).ok_or(damaged)?;
        let key = self.message_key(found)?.derive_summary();
        let engine = self.reader.engine;
        if sealed.is_empty() {
            row = self.read(found.row.body, row)?;
        } else {
            self.buffer.clear();
            self.buffer.extend_from_slice(sealed);
        }
        let of = (found.row.body, row.summary_version);
        summary::open(engine.keys.id, &engine.decompressors, of, &mut self.buffer, &key, LISTED_SUMMARY_BYTES_MAX)
    }

    /// Reads the summary out of the body's frame; returns the row by which it was found.
    fn read(&mut self, id: BodyId, mut row: BodyRow) -> Result<BodyRow> {
        let file = match &self.file {
            Some((segment, file)) if *segment == row.segment => Arc::clone(file),
            _ => {
                let (now, file) = self.reader.engine.body_file(id, row)?;
                row = now;
                self.file = Some((row.segment, Arc::clone(&file)));
                file
            }
        };
        summary::read(&*file, id, &row, &mut self.buffer)?;
        Ok(row)
    }

    /// As for one message, in [`Reader`].
    fn message_key(&mut self, found: &Found) -> Result<MessageKey> {
        let (reader, engine) = (self.reader, self.reader.engine);
        let wrap = reader.newest_wrap(found.email, &found.row);
        let secret = match self.secrets.iter().find(|secret| secret.epoch() == wrap.epoch()) {
            Some(secret) => Arc::clone(secret),
            None => {
                let look_up = |epoch| engine.epoch_blob(reader.account, epoch).ok().flatten();
                let secret = self.opened.epoch(engine.now(), wrap.epoch(), &look_up)?;
                self.secrets.push(Arc::clone(&secret));
                secret
            }
        };
        let (key, replacement) = secret.open(&wrap, &wrap_aad(engine.keys.id, reader.account, found.row.body))?;
        if let Some(replacement) = replacement {
            engine.queue.rewrap(reader.account, found.email, replacement);
        }
        Ok(key)
    }
}
