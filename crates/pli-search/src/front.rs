//! Reading a segment: its first part, which is held while it is used, and its chunks, filter and lists, which are read
//! by range.

use std::ops::Range;

use bytes::Bytes;

use crate::TEXT_VERSION;
use crate::chunk::{CHUNK_BYTES, Chunk, Place};
use crate::codec::{take, take32, word};
use crate::encode::Posting;
use crate::filter::{ROWS, row_bytes};

pub(crate) const MAGIC: &[u8; 8] = b"PLISRCH\x02";
/// Bytes of the head: magic, text version, five counts, where five areas end.
pub(crate) const HEAD_BYTES: usize = 8 + 4 * 11;
/// Place, length, masks of all words together.
pub(crate) const CHUNK_ROW_BYTES: usize = 16;

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
    /// Does both, beside each other if there is a thread to spare.
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }
}

impl<P: Postings + ?Sized> Postings for &P {
    type Error = P::Error;
    fn read(&self, range: Range<u64>) -> Result<Bytes, Self::Error> {
        (**self).read(range)
    }
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        (**self).both(first, second);
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

/// The numbers of a segment's head.
struct Head {
    docs: u32,
    words: u32,
    masks: u32,
    chunks: u32,
    plain: u32,
    doc_bytes: u32,
    mask_bytes: u32,
    filter: u32,
    lists: u32,
    end: u32,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Damaged> {
        let number = |n: usize| word(bytes, 8 + 4 * n).ok_or(Damaged);
        if bytes.get(..8) != Some(MAGIC) || number(0)? != TEXT_VERSION {
            return Err(Damaged);
        }
        Ok(Self {
            docs: number(1)?,
            words: number(2)?,
            masks: number(3)?,
            chunks: number(4)?,
            plain: number(5)?,
            doc_bytes: number(6)?,
            mask_bytes: number(7)?,
            filter: number(8)?,
            lists: number(9)?,
            end: number(10)?,
        })
    }
    /// Where messages, masks and the table of chunks stand.
    fn areas(&self) -> [Range<usize>; 3] {
        let docs = HEAD_BYTES.saturating_add(self.doc_bytes as usize);
        let masks = docs.saturating_add(self.mask_bytes as usize);
        let table = masks.saturating_add((self.chunks as usize).saturating_mul(CHUNK_ROW_BYTES));
        [HEAD_BYTES..docs, docs..masks, masks..table]
    }
}

/// Bytes of the first part, read from a segment's head: what [`Front::parse`] needs.
pub fn front_bytes(head: &[u8]) -> Result<u64, Damaged> {
    let [.., table] = Head::parse(head)?.areas();
    Ok(table.end as u64)
}

/// Where a chunk stands, and where its words do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRow {
    at: u32,
    length: u32,
    /// Masks of all its words together.
    pub(crate) mask: u64,
}

/// What a segment says of itself: its messages, and where everything else stands.
#[derive(Debug)]
pub struct Front {
    emails: Vec<u64>,
    lens: Vec<u32>,
    masks: Vec<u64>,
    chunks: Vec<ChunkRow>,
    plain: usize,
    words: u32,
    filter: Range<u64>,
    lists: Range<u64>,
}

impl Front {
    /// Takes the first [`front_bytes`] bytes of a segment.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damaged> {
        let head = Head::parse(bytes)?;
        let [docs, masks, table] = head.areas();
        let area = |range: &Range<usize>| bytes.get(range.clone()).ok_or(Damaged);
        // Each message takes two bytes at least, each mask one.
        if head.docs > head.doc_bytes || head.masks > head.mask_bytes {
            return Err(Damaged);
        }
        let count = head.docs as usize;
        let (mut emails, mut lens) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (doc_bytes, mut place, mut email) = (area(&docs)?, 0, 0u64);
        for _ in 0..head.docs {
            let step = take(doc_bytes, &mut place).ok_or(Damaged)?;
            email = email.wrapping_add(step);
            emails.push(email);
            lens.push(take32(doc_bytes, &mut place).ok_or(Damaged)?);
        }
        let (mask_bytes, mut place) = (area(&masks)?, 0);
        let masks = (0..head.masks).map(|_| take(mask_bytes, &mut place).ok_or(Damaged)).collect::<Result<_, _>>()?;
        let (rows, _) = area(&table)?.as_chunks::<CHUNK_ROW_BYTES>();
        let chunks: Vec<ChunkRow> = rows.iter().filter_map(|row| chunk_row(row)).collect();
        let filter = u64::from(head.filter)..u64::from(head.lists);
        let lists = u64::from(head.lists)..u64::from(head.end);
        let filter_bytes = row_bytes(chunks.len()).saturating_mul(ROWS) as u64;
        let whole = chunks.iter().all(|chunk| {
            chunk.length as usize <= CHUNK_BYTES && u64::from(chunk.at) + u64::from(chunk.length) <= filter.start
        });
        let whole = whole
            && filter.start.checked_add(filter_bytes) == Some(filter.end)
            && lists.start <= lists.end
            && head.plain <= head.chunks
            && emails.is_sorted();
        if !whole {
            return Err(Damaged);
        }
        Ok(Self { emails, lens, masks, chunks, plain: head.plain as usize, words: head.words, filter, lists })
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
        self.words
    }
    /// Bytes that this holds in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        let each = [self.emails.len() * 12, self.masks.len() * 8, self.chunks.len() * size_of::<ChunkRow>()];
        each.iter().sum::<usize>().saturating_add(size_of::<Self>())
    }
    /// Bytes of the whole segment.
    #[must_use]
    pub const fn segment_bytes(&self) -> u64 {
        self.lists.end
    }
    /// All chunks: those of the words that people look for, then those of traces.
    pub(crate) fn chunks(&self) -> &[ChunkRow] {
        &self.chunks
    }
    /// Numbers of the chunks of the words that people look for, and of traces: in each the words ascend.
    pub(crate) fn kinds(&self) -> [Range<usize>; 2] {
        [0..self.plain, self.plain..self.chunks.len()]
    }
    /// Where the filter stands.
    pub(crate) fn filter(&self) -> Range<u64> {
        self.filter.clone()
    }
    /// Reads a chunk.
    pub(crate) fn chunk<P: Postings + ?Sized>(&self, number: usize, postings: &P) -> Result<Chunk, P::Error> {
        let row = self.chunks.get(number).ok_or(Damaged)?;
        let at = u64::from(row.at);
        let bytes = postings.read(at..at.saturating_add(row.length.into()))?;
        Ok(Chunk::parse(&bytes)?)
    }
    /// The mask of a number.
    pub(crate) fn mask(&self, number: u64) -> Result<u64, Damaged> {
        usize::try_from(number).ok().and_then(|number| self.masks.get(number)).copied().ok_or(Damaged)
    }
    /// The messages of a word.
    pub(crate) fn list<P: Postings + ?Sized>(
        &self,
        place: Place,
        lists: &mut Lists<'_, P>,
        each: &mut impl FnMut(Posting),
    ) -> Result<(), P::Error> {
        let (start, length) = match place {
            Place::One(doc, mask) => {
                each(Posting { doc, mask: self.mask(mask)? });
                return Ok(());
            }
            Place::List(start, length) => (start, length),
        };
        let start = self.lists.start.saturating_add(start.into());
        let end = start.saturating_add(length.into());
        if end > self.lists.end {
            return Err(Damaged.into());
        }
        let bytes = lists.get(start..end, self.lists.end)?;
        let (mut at, mut next, mut mask) = (0, 0u32, self.mask(0)?);
        while at < bytes.len() {
            let step = take(&bytes, &mut at).ok_or(Damaged)?;
            if step & 1 == 1 {
                mask = self.mask(take(&bytes, &mut at).ok_or(Damaged)?)?;
            }
            let doc = u32::try_from(step >> 1).ok().and_then(|step| next.checked_add(step)).ok_or(Damaged)?;
            each(Posting { doc, mask });
            next = doc.saturating_add(1);
        }
        Ok(())
    }
}

fn chunk_row(row: &[u8]) -> Option<ChunkRow> {
    let mask = row.get(8..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))?;
    Some(ChunkRow { at: word(row, 0)?, length: word(row, 4)?, mask })
}

/// Reads lists: those beside each other with one read.
pub(crate) struct Lists<'a, P: Postings + ?Sized> {
    postings: &'a P,
    held: Bytes,
    /// Where the held bytes stand.
    at: u64,
}

impl<'a, P: Postings + ?Sized> Lists<'a, P> {
    pub(crate) fn new(postings: &'a P) -> Self {
        Self { postings, held: Bytes::new(), at: 0 }
    }
    /// Bytes of a segment that ends at `end`.
    fn get(&mut self, range: Range<u64>, end: u64) -> Result<Bytes, P::Error> {
        let within = |at: u64, held: &Bytes| {
            let from = usize::try_from(range.start.checked_sub(at)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(at)?).ok()?;
            (from <= to && to <= held.len()).then(|| held.slice(from..to))
        };
        if let Some(bytes) = within(self.at, &self.held) {
            return Ok(bytes);
        }
        const BLOCK: u64 = CHUNK_BYTES as u64;
        let block = range.start / BLOCK * BLOCK;
        if range.end > block.saturating_add(BLOCK) {
            return self.postings.read(range);
        }
        self.held = self.postings.read(block..block.saturating_add(BLOCK).min(end))?;
        self.at = block;
        within(self.at, &self.held).ok_or_else(|| Damaged.into())
    }
}
