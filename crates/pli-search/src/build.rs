//! A segment out of messages.

use std::collections::HashMap;

use pli_mime::{SearchField, Summary, fold, searchable};

use crate::encode::{Encoder, Posting};
use crate::field::{ATTACHMENT, NAME, PART_HEADER, TEXT, bit};
use crate::words::words;

/// Bytes of the different words of one message; one with more is not indexed but looked into at each search.
const DOC_BYTES_MAX: usize = 8 << 20;
/// Words of one message, each repetition counted.
const DOC_WORDS_MAX: u32 = 4_000_000;

/// Why a message is left out of the index: it is looked into at each search instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has more words than an index should hold of one message.
    #[error("the message has too many different words")]
    TooLarge,
    /// Its id does not come after those before it.
    #[error("messages must come in the order of their ids")]
    Order,
}

/// Collects messages and makes a segment of them.
#[derive(Default)]
pub struct Builder {
    numbers: HashMap<Box<[u8]>, u32>,
    /// For each word, the last of its postings so far.
    last: Vec<usize>,
    postings: Vec<(u32, Posting)>,
    docs: Vec<(u64, u32)>,
    word_bytes: usize,
}

impl Builder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// How many messages it holds.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.docs.len()
    }
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.word_bytes
            .saturating_add(self.numbers.len().saturating_mul(48))
            .saturating_add(self.postings.len().saturating_mul(24))
    }

    /// Adds a message. After a refusal the builder is as it was before.
    pub fn add(&mut self, email: u64, raw: &[u8], summary: &Summary) -> Result<(), Refused> {
        if self.docs.last().is_some_and(|(last, _)| *last >= email) {
            return Err(Refused::Order);
        }
        let mut doc = Doc {
            number: u32::try_from(self.docs.len()).map_err(|_| Refused::TooLarge)?,
            begin: self.postings.len(),
            words: 0,
            new_bytes: 0,
        };
        let too_large = searchable(raw, summary, &mut |field, text| {
            match field {
                SearchField::Text => self.text(&mut doc, &fold(text), TEXT),
                SearchField::PartHeader => self.text(&mut doc, &fold(text), PART_HEADER),
                SearchField::AttachmentName => self.text(&mut doc, &fold(text), ATTACHMENT),
                SearchField::Header => self.header(&mut doc, text),
            }
            doc.words > DOC_WORDS_MAX || doc.new_bytes > DOC_BYTES_MAX
        });
        if too_large {
            // Words that nothing refers to any more are left out at the end.
            self.postings.truncate(doc.begin);
            return Err(Refused::TooLarge);
        }
        self.docs.push((email, doc.words));
        Ok(())
    }

    /// `Name: value`. HEADER looks at values alone, TEXT at names too; a blank stands between them, so that no word
    /// goes from one into the other.
    fn header(&mut self, doc: &mut Doc, text: &str) {
        let (name, value) = text.split_once(": ").unwrap_or((text, ""));
        self.text(doc, &fold(&format!("{name}:")), NAME);
        self.text(doc, &fold(value), bit(name));
    }

    fn text(&mut self, doc: &mut Doc, folded: &str, mask: u64) {
        for word in words(folded) {
            if doc.words > DOC_WORDS_MAX || doc.new_bytes > DOC_BYTES_MAX {
                return;
            }
            doc.words = doc.words.saturating_add(1);
            let number = self.number(doc, word);
            let last = self.last.get(number as usize).copied().unwrap_or(usize::MAX);
            match self.postings.get_mut(last) {
                Some((of, posting)) if *of == number && posting.doc == doc.number && last >= doc.begin => {
                    posting.mask |= mask;
                }
                _ => {
                    if let Some(last) = self.last.get_mut(number as usize) {
                        *last = self.postings.len();
                    }
                    self.postings.push((number, Posting { doc: doc.number, mask }));
                }
            }
        }
    }

    fn number(&mut self, doc: &mut Doc, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word.as_bytes()) {
            return *number;
        }
        let number = u32::try_from(self.last.len()).unwrap_or(u32::MAX);
        self.numbers.insert(word.as_bytes().into(), number);
        self.last.push(usize::MAX);
        self.word_bytes = self.word_bytes.saturating_add(word.len());
        doc.new_bytes = doc.new_bytes.saturating_add(word.len().saturating_add(8));
        number
    }

    /// The segment's bytes; none if there is no message.
    #[must_use]
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.docs.is_empty() {
            return None;
        }
        // Postings by word: counted, then put in their places. Within a word the order of messages stays.
        let mut starts = vec![0usize; self.last.len().saturating_add(1)];
        for (number, _) in &self.postings {
            if let Some(count) = starts.get_mut((*number as usize).saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0usize;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut next = starts.clone();
        let mut sorted = vec![Posting { doc: 0, mask: 0 }; self.postings.len()];
        for (number, posting) in self.postings {
            if let Some(at) = next.get_mut(number as usize)
                && let Some(place) = sorted.get_mut(*at)
            {
                *place = posting;
                *at = at.saturating_add(1);
            }
        }
        let mut words: Vec<(Box<[u8]>, u32)> = self.numbers.into_iter().collect();
        words.sort_unstable();
        let mut encoder = Encoder::new();
        for (word, number) in words {
            let at = |n: usize| starts.get(n).copied().unwrap_or(0);
            let list = sorted.get(at(number as usize)..at((number as usize).saturating_add(1))).unwrap_or_default();
            if !list.is_empty() {
                encoder.word(&word, list);
            }
        }
        Some(encoder.finish(&self.docs))
    }
}

/// The message that is being added.
struct Doc {
    number: u32,
    /// Where its postings begin.
    begin: usize,
    words: u32,
    new_bytes: usize,
}
