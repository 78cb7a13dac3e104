//! Reading a segment: its first part, which is held while it is used, and its postings, which are read by range.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::TEXT_VERSION;
use crate::codec::{take, take32, word};
use crate::encode::Posting;

pub(crate) const MAGIC: &[u8; 8] = b"PLISRCH\x01";
/// Bytes of the head: magic, text version, counts of messages, words and masks, lengths of the six areas.
pub const HEAD_BYTES: usize = 8 + 4 * 10;
/// Words between two entries of the block table.
pub(crate) const BLOCK_WORDS: u32 = 32;
const BLOCK_BYTES: usize = 12;

/// A segment is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a search segment is damaged or of another version")]
pub struct Damaged;

/// Gives bytes of a segment.
pub trait Postings {
    /// Why it cannot.
    type Error: From<Damaged>;
    /// The bytes in a range of the segment.
    fn read(&self, range: Range<u64>) -> Result<Bytes, Self::Error>;
}

impl<P: Postings + ?Sized> Postings for &P {
    type Error = P::Error;
    fn read(&self, range: Range<u64>) -> Result<Bytes, Self::Error> {
        (**self).read(range)
    }
}

impl Postings for Bytes {
    type Error = Damaged;
    fn read(&self, range: Range<u64>) -> Result<Bytes, Damaged> {
        let at = |n: u64| usize::try_from(n).ok().filter(|n| *n <= self.len());
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start <= end => Ok(self.slice(start..end)),
            _ => Err(Damaged),
        }
    }
}

/// Bytes of the first part, read from a segment's head: what [`Front::parse`] needs.
pub fn front_bytes(head: &[u8]) -> Result<u64, Damaged> {
    lengths(head).map(|(_, areas)| areas.iter().take(5).map(|area| u64::from(*area)).sum::<u64>() + HEAD_BYTES as u64)
}

fn lengths(head: &[u8]) -> Result<([u32; 4], [u32; 6]), Damaged> {
    if head.get(..8) != Some(MAGIC) {
        return Err(Damaged);
    }
    let number = |n: usize| word(head, 8 + 4 * n).ok_or(Damaged);
    let counts = [number(0)?, number(1)?, number(2)?, number(3)?];
    let areas = [number(4)?, number(5)?, number(6)?, number(7)?, number(8)?, number(9)?];
    if counts[0] == TEXT_VERSION { Ok((counts, areas)) } else { Err(Damaged) }
}

/// A segment without its postings.
#[derive(Debug)]
pub struct Front {
    emails: Vec<u64>,
    lens: Vec<u32>,
    masks: Vec<u64>,
    bytes: Bytes,
    words: Range<usize>,
    records: Range<usize>,
    blocks: Range<usize>,
    count: u32,
    postings: Range<u64>,
}

impl Front {
    /// Takes the first [`front_bytes`] bytes of a segment.
    pub fn parse(bytes: Bytes) -> Result<Self, Damaged> {
        let ([_, docs, count, masks], areas) = lengths(&bytes)?;
        let mut at = HEAD_BYTES;
        let mut next = |length: u32| {
            let start = at;
            at = at.saturating_add(length as usize);
            start..at
        };
        let [doc_area, mask_area, words, records, blocks] =
            [areas[0], areas[1], areas[2], areas[3], areas[4]].map(&mut next);
        let area = |range: &Range<usize>| bytes.get(range.clone()).ok_or(Damaged);
        let (mut emails, mut lens) = (Vec::with_capacity(docs as usize), Vec::with_capacity(docs as usize));
        let (doc_bytes, mut place, mut email) = (area(&doc_area)?, 0, 0u64);
        for _ in 0..docs {
            let step = take(doc_bytes, &mut place).ok_or(Damaged)?;
            email = email.wrapping_add(step);
            emails.push(email);
            lens.push(take32(doc_bytes, &mut place).ok_or(Damaged)?);
        }
        let (mask_bytes, mut place) = (area(&mask_area)?, 0);
        let masks = (0..masks).map(|_| take(mask_bytes, &mut place).ok_or(Damaged)).collect::<Result<_, _>>()?;
        let whole = area(&blocks)?.len() == count.div_ceil(BLOCK_WORDS) as usize * BLOCK_BYTES
            && area(&words)?.starts_with(b"\n")
            && area(&words)?.ends_with(b"\n")
            && emails.is_sorted();
        if !whole {
            return Err(Damaged);
        }
        let start = blocks.end as u64;
        let postings = start..start.saturating_add(areas[5].into());
        Ok(Self { emails, lens, masks, bytes, words, records, blocks, count, postings })
    }

    /// Ids of the messages that the segment covers, ascending.
    #[must_use]
    pub fn emails(&self) -> &[u64] {
        &self.emails
    }
    /// Number of words of each message.
    pub(crate) fn lens(&self) -> &[u32] {
        &self.lens
    }
    /// Number of different words.
    #[must_use]
    pub const fn word_count(&self) -> u32 {
        self.count
    }
    /// Bytes that this holds in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.len().saturating_add(self.emails.len().saturating_mul(12)).saturating_add(self.masks.len() * 8)
    }
    /// Bytes of the whole segment.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.postings.end
    }
    /// All words, a line feed before and after each.
    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(self.words.clone()).unwrap_or_default()
    }
    fn records(&self) -> &[u8] {
        self.bytes.get(self.records.clone()).unwrap_or_default()
    }
    fn block(&self, number: usize) -> Option<(usize, usize, u64)> {
        let blocks = self.bytes.get(self.blocks.clone())?;
        let at = number.checked_mul(BLOCK_BYTES)?;
        Some((word(blocks, at)? as usize, word(blocks, at + 4)? as usize, word(blocks, at + 8)?.into()))
    }
    fn block_count(&self) -> usize {
        self.blocks.len() / BLOCK_BYTES
    }
    /// The last block whose first word begins at `at` or before, among those from `from` on.
    fn block_of(&self, at: usize, from: usize) -> usize {
        let (mut low, mut high) = (from, self.block_count());
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            match self.block(middle) {
                Some((start, ..)) if start <= at => low = middle,
                _ => high = middle,
            }
        }
        low
    }
    /// A walk over the words, ascending.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { front: self, number: 0, at: 0, record: 0, postings: 0 }
    }
    /// The messages of an entry.
    pub(crate) fn list<P: Postings>(
        &self,
        entry: &Entry<'_>,
        postings: &P,
        each: &mut impl FnMut(Posting),
    ) -> Result<(), P::Error> {
        let mask_of = |number: u64| {
            usize::try_from(number).ok().and_then(|number| self.masks.get(number)).copied().ok_or(Damaged)
        };
        match &entry.place {
            Place::One(doc, mask) => each(Posting { doc: *doc, mask: mask_of(*mask)? }),
            Place::List(range) => {
                let at = |n: u64| self.postings.start.saturating_add(n);
                if at(range.end) > self.postings.end {
                    return Err(Damaged.into());
                }
                let bytes = postings.read(at(range.start)..at(range.end))?;
                let (mut at, mut next, mut mask) = (0, 0u32, mask_of(0)?);
                while at < bytes.len() {
                    let step = take(&bytes, &mut at).ok_or(Damaged)?;
                    if step & 1 == 1 {
                        mask = mask_of(take(&bytes, &mut at).ok_or(Damaged)?)?;
                    }
                    let doc = u32::try_from(step >> 1).ok().and_then(|step| next.checked_add(step)).ok_or(Damaged)?;
                    each(Posting { doc, mask });
                    next = doc.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}

/// Where a word's messages stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One message, and the number of its mask.
    One(u32, u64),
    /// A list in the postings.
    List(Range<u64>),
}

/// A word of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) word: &'a [u8],
    pub(crate) place: Place,
    /// Where the line feed behind the word stands.
    pub(crate) end: usize,
}

/// Goes over the words in ascending order.
pub(crate) struct Cursor<'a> {
    front: &'a Front,
    /// The word that comes next.
    number: u32,
    /// The line feed before it.
    at: usize,
    record: usize,
    postings: u64,
}

impl<'a> Cursor<'a> {
    /// The next word; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'a>>, Damaged> {
        if self.number >= self.front.count {
            return Ok(None);
        }
        let text = self.front.text();
        let start = self.at.saturating_add(1);
        let rest = text.get(start..).ok_or(Damaged)?;
        let length = memchr(b'\n', rest).ok_or(Damaged)?;
        let end = start.saturating_add(length);
        let records = self.front.records();
        let value = take(records, &mut self.record).ok_or(Damaged)?;
        let place = if value & 1 == 1 {
            Place::One(u32::try_from(value >> 1).map_err(|_| Damaged)?, take(records, &mut self.record).ok_or(Damaged)?)
        } else {
            let from = self.postings;
            self.postings = from.checked_add(value >> 1).ok_or(Damaged)?;
            Place::List(from..self.postings)
        };
        (self.number, self.at) = (self.number.saturating_add(1), end);
        Ok(Some(Entry { word: rest.get(..length).unwrap_or_default(), place, end }))
    }

    /// The word in which the byte at `position` of the text stands. Only forward.
    pub(crate) fn seek(&mut self, position: usize) -> Result<Option<Entry<'a>>, Damaged> {
        let present = (self.number / BLOCK_WORDS) as usize;
        let block = self.front.block_of(position, present);
        if block > present || self.number == 0 {
            let (at, record, postings) = self.front.block(block).ok_or(Damaged)?;
            self.number = u32::try_from(block).map_err(|_| Damaged)?.saturating_mul(BLOCK_WORDS);
            (self.at, self.record, self.postings) = (at, record, postings);
        }
        // Words between are counted, not looked at.
        let between = self.front.text().get(self.at.saturating_add(1)..position).unwrap_or_default();
        let mut last = None;
        for end in memchr_iter(b'\n', between) {
            self.pass()?;
            last = Some(end);
        }
        if let Some(last) = last {
            self.at = self.at.saturating_add(1).saturating_add(last);
        }
        self.next()
    }

    /// Passes over the record of the next word.
    fn pass(&mut self) -> Result<(), Damaged> {
        let records = self.front.records();
        let value = take(records, &mut self.record).ok_or(Damaged)?;
        if value & 1 == 1 {
            take(records, &mut self.record).ok_or(Damaged)?;
        } else {
            self.postings = self.postings.checked_add(value >> 1).ok_or(Damaged)?;
        }
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}
