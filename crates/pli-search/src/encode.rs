//! Writing a segment's bytes, word by word in ascending order.

use std::collections::HashMap;

use crate::TEXT_VERSION;
use crate::codec::put;
use crate::field::TEXT;
use crate::front::{BLOCK_WORDS, HEAD_BYTES, MAGIC};

/// A message that holds a word, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) doc: u32,
    pub(crate) mask: u64,
}

/// Takes words in ascending order, each once.
pub(crate) struct Encoder {
    masks: HashMap<u64, u64>,
    mask_area: Vec<u8>,
    words: Vec<u8>,
    records: Vec<u8>,
    blocks: Vec<u8>,
    postings: Vec<u8>,
    count: u32,
    scratch: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let mut encoder = Self {
            masks: HashMap::new(),
            mask_area: Vec::new(),
            // A line feed before and after each word: where words begin and end is part of what is looked for.
            words: vec![b'\n'],
            records: Vec::new(),
            blocks: Vec::new(),
            postings: Vec::new(),
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
        [&self.words, &self.records, &self.blocks, &self.postings].iter().map(|area| area.len()).sum()
    }

    /// Adds a word with its messages, ascending.
    pub(crate) fn word(&mut self, word: &[u8], list: &[Posting]) {
        if self.count.is_multiple_of(BLOCK_WORDS) {
            for area in [self.words.len().saturating_sub(1), self.records.len(), self.postings.len()] {
                self.blocks.extend_from_slice(&u32::try_from(area).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
        self.count = self.count.saturating_add(1);
        self.words.extend_from_slice(word);
        self.words.push(b'\n');
        if let [only] = list {
            let mask = self.mask(only.mask);
            put(&mut self.records, u64::from(only.doc) << 1 | 1);
            put(&mut self.records, mask);
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        let (mut next, mut before) = (0u32, 0u64);
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
        }
        put(&mut self.records, (bytes.len() as u64) << 1);
        self.postings.extend_from_slice(&bytes);
        self.scratch = bytes;
    }

    /// The segment of these messages: their ids, ascending, each with its number of words.
    pub(crate) fn finish(self, docs: &[(u64, u32)]) -> Vec<u8> {
        let mut doc_area = Vec::with_capacity(docs.len().saturating_mul(3));
        let mut before = 0u64;
        for (email, words) in docs {
            put(&mut doc_area, email.wrapping_sub(before));
            put(&mut doc_area, u64::from(*words));
            before = *email;
        }
        let areas = [&doc_area, &self.mask_area, &self.words, &self.records, &self.blocks, &self.postings];
        let mut out = Vec::with_capacity(areas.iter().map(|area| area.len()).sum::<usize>().saturating_add(HEAD_BYTES));
        out.extend_from_slice(MAGIC);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let head = [TEXT_VERSION, number(docs.len()), self.count, number(self.masks.len())];
        let lengths = areas.map(|area| number(area.len()));
        for value in head.into_iter().chain(lengths) {
            out.extend_from_slice(&value.to_be_bytes());
        }
        areas.iter().for_each(|area| out.extend_from_slice(area));
        out
    }
}
