//! Writing a segment's bytes, word by word in ascending order.

use std::collections::HashMap;

use crate::TEXT_VERSION;
use crate::chunk::{CHUNK_BYTES, ChunkWriter, Place, Written};
use crate::codec::put;
use crate::field::{TEXT, TRACE};
use crate::filter::{ROWS, make, row_bytes};
use crate::front::{CHUNK_ROW_BYTES, HEAD_BYTES, MAGIC};

/// A message that holds a word, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) doc: u32,
    pub(crate) mask: u64,
}

/// The chunks of one kind of words.
#[derive(Default)]
struct Kind {
    open: ChunkWriter,
    done: Vec<Written>,
    bytes: usize,
}

impl Kind {
    fn word(&mut self, word: &[u8], place: Place, mask: u64, lists: u32) {
        let full = self.open.word(word, place, mask, lists);
        self.bytes = self.bytes.saturating_add(full.as_ref().map_or(0, |full| full.bytes.len()));
        self.done.extend(full);
    }
}

/// Takes words in ascending order, each once.
pub(crate) struct Encoder {
    masks: HashMap<u64, u64>,
    mask_area: Vec<u8>,
    /// Words that people look for.
    plain: Kind,
    /// Words of one message that stand only in fields which programs write: ids, signatures, traces of transport. They
    /// are most of the bytes, and most searches need not look at them.
    trace: Kind,
    lists: Vec<u8>,
    count: u32,
    scratch: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let mut encoder = Self {
            masks: HashMap::new(),
            mask_area: Vec::new(),
            plain: Kind::default(),
            trace: Kind::default(),
            lists: Vec::new(),
            count: 0,
            scratch: Vec::new(),
        };
        // Number 0, which lists begin with: by far the most frequent.
        encoder.mask(TEXT);
        encoder
    }

    fn mask(&mut self, mask: u64) -> u64 {
        let next = self.masks.len() as u64;
        *self.masks.entry(mask).or_insert_with(|| {
            put(&mut self.mask_area, mask);
            next
        })
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        let chunks = self.plain.done.len().saturating_add(self.trace.done.len());
        [self.plain.bytes, self.plain.open.len(), self.trace.bytes, self.trace.open.len(), self.lists.len()]
            .iter()
            .sum::<usize>()
            .saturating_add(row_bytes(chunks).saturating_mul(ROWS))
    }

    /// Adds a word with its messages, ascending.
    pub(crate) fn word(&mut self, word: &[u8], list: &[Posting]) {
        self.count = self.count.saturating_add(1);
        let lists = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        if let [only] = list {
            let place = Place::One(only.doc, self.mask(only.mask));
            let kind = if only.mask & !TRACE == 0 { &mut self.trace } else { &mut self.plain };
            kind.word(word, place, only.mask, lists);
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        let (mut next, mut before, mut all) = (0u32, 0u64, 0u64);
        for posting in list {
            let mask = self.mask(posting.mask);
            let step = u64::from(posting.doc.wrapping_sub(next)) << 1;
            if mask == before {
                put(&mut bytes, step);
            } else {
                put(&mut bytes, step | 1);
                put(&mut bytes, mask);
            }
            (next, before) = (posting.doc.wrapping_add(1), mask);
            all |= posting.mask;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.plain.word(word, Place::List(lists, length), all, lists);
        self.lists.extend_from_slice(&bytes);
        self.scratch = bytes;
    }

    /// The segment of these messages: their ids, ascending, each with its number of words.
    pub(crate) fn finish(mut self, docs: &[(u64, u32)]) -> Vec<u8> {
        let mut doc_area = Vec::with_capacity(docs.len().saturating_mul(3));
        let mut before = 0u64;
        for (email, words) in docs {
            put(&mut doc_area, email.wrapping_sub(before));
            put(&mut doc_area, u64::from(*words));
            before = *email;
        }
        let (last_plain, last_trace) = (self.plain.open.take(), self.trace.open.take());
        self.plain.done.extend(last_plain);
        self.trace.done.extend(last_trace);
        let chunks: Vec<&Written> = self.plain.done.iter().chain(&self.trace.done).collect();
        let mut at = [HEAD_BYTES, doc_area.len(), self.mask_area.len(), chunks.len().saturating_mul(CHUNK_ROW_BYTES)]
            .iter()
            .sum::<usize>();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (mut rows, mut places) = (Vec::new(), Vec::with_capacity(chunks.len()));
        for chunk in &chunks {
            // No chunk goes over a boundary: it would take two reads.
            let length = chunk.bytes.len();
            if (at % CHUNK_BYTES).saturating_add(length) > CHUNK_BYTES {
                at = at.next_multiple_of(CHUNK_BYTES);
            }
            places.push(at);
            rows.extend_from_slice(&number(at).to_be_bytes());
            rows.extend_from_slice(&number(length).to_be_bytes());
            rows.extend_from_slice(&chunk.mask.to_be_bytes());
            at = at.saturating_add(length);
        }
        let filter = make(&chunks);
        let lists_at = at.saturating_add(filter.len());
        let end = lists_at.saturating_add(self.lists.len());
        let mut out = Vec::with_capacity(end);
        out.extend_from_slice(MAGIC);
        let counts = [docs.len(), self.count as usize, self.masks.len(), chunks.len(), self.plain.done.len()];
        let areas = [doc_area.len(), self.mask_area.len(), at, lists_at, end];
        out.extend_from_slice(&TEXT_VERSION.to_be_bytes());
        counts.into_iter().chain(areas).for_each(|value| out.extend_from_slice(&number(value).to_be_bytes()));
        [&doc_area, &self.mask_area, &rows].into_iter().for_each(|area| out.extend_from_slice(area));
        for (place, chunk) in places.into_iter().zip(&chunks) {
            out.resize(place, 0);
            out.extend_from_slice(&chunk.bytes);
        }
        out.extend_from_slice(&filter);
        out.extend_from_slice(&self.lists);
        out
    }
}
