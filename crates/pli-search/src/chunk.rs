//! A chunk: some words of a segment, beside each other as plain text, and where the messages of each stand. One read
//! gives all of it.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::codec::{put, take, word};
use crate::front::Damaged;

/// Bytes of a chunk at most, and what segments are read by: a chunk never goes over such a boundary.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Length of the text, place of the first list.
const CHUNK_HEAD_BYTES: usize = 8;
/// Two line feeds and the longest record.
const WORD_ROOM_BYTES: usize = 24;

/// Where a word's messages stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One message, and the number of its mask.
    One(u32, u64),
    /// A list among the lists of the segment: where it begins, its bytes.
    List(u32, u32),
}

/// A chunk that is being written.
#[derive(Default)]
pub(crate) struct ChunkWriter {
    text: Vec<u8>,
    records: Vec<u8>,
    lists_at: u32,
    mask: u64,
}

/// A chunk that is written.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// Masks of all its words together.
    pub(crate) mask: u64,
    text_bytes: usize,
}

impl Written {
    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(CHUNK_HEAD_BYTES..CHUNK_HEAD_BYTES.saturating_add(self.text_bytes)).unwrap_or_default()
    }
}

impl ChunkWriter {
    /// Adds a word; `mask` is that of all its messages, `lists` how long the segment's lists were before it. Gives the
    /// chunk before if the word had no room in it.
    pub(crate) fn word(&mut self, word: &[u8], place: Place, mask: u64, lists: u32) -> Option<Written> {
        let room = CHUNK_BYTES.saturating_sub(CHUNK_HEAD_BYTES).saturating_sub(self.len());
        let full = if word.len().saturating_add(WORD_ROOM_BYTES) > room { self.take() } else { None };
        if self.text.is_empty() {
            // A line feed before and after each word: where words begin and end is part of what is looked for.
            self.text.push(b'\n');
            self.lists_at = lists;
        }
        self.text.extend_from_slice(word);
        self.text.push(b'\n');
        self.mask |= mask;
        match place {
            Place::One(doc, mask) => {
                put(&mut self.records, u64::from(doc) << 1 | 1);
                put(&mut self.records, mask);
            }
            Place::List(_, length) => put(&mut self.records, u64::from(length) << 1),
        }
        full
    }
    pub(crate) fn len(&self) -> usize {
        self.text.len().saturating_add(self.records.len())
    }
    /// What was written so far; then it is empty.
    pub(crate) fn take(&mut self) -> Option<Written> {
        let Self { text, records, lists_at, mask } = std::mem::take(self);
        if text.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(CHUNK_HEAD_BYTES.saturating_add(text.len()).saturating_add(records.len()));
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&lists_at.to_be_bytes());
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(&records);
        Some(Written { bytes, mask, text_bytes: text.len() })
    }
}

/// A chunk that is read.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    text: Bytes,
    records: Bytes,
    lists_at: u32,
}

impl Chunk {
    pub(crate) fn parse(bytes: &Bytes) -> Result<Self, Damaged> {
        let length = word(bytes, 0).ok_or(Damaged)? as usize;
        let lists_at = word(bytes, 4).ok_or(Damaged)?;
        let end = CHUNK_HEAD_BYTES.saturating_add(length);
        if end > bytes.len() {
            return Err(Damaged);
        }
        let text = bytes.slice(CHUNK_HEAD_BYTES..end);
        if !text.starts_with(b"\n") || !text.ends_with(b"\n") {
            return Err(Damaged);
        }
        Ok(Self { text, records: bytes.slice(end..), lists_at })
    }
    /// All words, a line feed before and after each.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
    /// At the first word.
    pub(crate) fn walk(&self) -> Walk {
        Walk { at: 0, record: 0, list: self.lists_at }
    }
}

/// A word of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where in the text it stands.
    pub(crate) word: Range<usize>,
    pub(crate) place: Place,
}

/// Goes over the words of one chunk, forward only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// The line feed before the next word.
    at: usize,
    record: usize,
    list: u32,
}

impl Walk {
    /// The next word; `None` at the end.
    pub(crate) fn next(&mut self, chunk: &Chunk) -> Result<Option<Entry>, Damaged> {
        let start = self.at.saturating_add(1);
        let rest = chunk.text.get(start..).ok_or(Damaged)?;
        if rest.is_empty() {
            return Ok(None);
        }
        let end = memchr(b'\n', rest).ok_or(Damaged)?.saturating_add(start);
        self.at = end;
        Ok(Some(Entry { word: start..end, place: self.record(chunk)? }))
    }

    /// The word in which the byte at `position` of the text stands. Words between are counted, not looked at.
    pub(crate) fn seek(&mut self, chunk: &Chunk, position: usize) -> Result<Option<Entry>, Damaged> {
        let start = self.at.saturating_add(1);
        let between = chunk.text.get(start..position).unwrap_or_default();
        let mut last = None;
        for end in memchr_iter(b'\n', between) {
            self.record(chunk)?;
            last = Some(end);
        }
        if let Some(last) = last {
            self.at = start.saturating_add(last);
        }
        self.next(chunk)
    }

    fn record(&mut self, chunk: &Chunk) -> Result<Place, Damaged> {
        let value = take(&chunk.records, &mut self.record).ok_or(Damaged)?;
        let number = u32::try_from(value >> 1).map_err(|_| Damaged)?;
        if value & 1 == 1 {
            return Ok(Place::One(number, take(&chunk.records, &mut self.record).ok_or(Damaged)?));
        }
        let at = self.list;
        self.list = at.checked_add(number).ok_or(Damaged)?;
        Ok(Place::List(at, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_gives_back_its_words() {
        let mut writer = ChunkWriter::default();
        let places = [Place::List(7, 300), Place::One(70_000, 9), Place::List(307, 1), Place::One(0, 0)];
        let words: [&[u8]; 4] = [b"a", b"bcd", b"be", b"z"];
        for (word, place) in words.into_iter().zip(places) {
            assert!(writer.word(word, place, 1 << word.len(), 7).is_none());
        }
        let written = writer.take().unwrap();
        assert!(writer.take().is_none());
        assert_eq!((written.text(), written.mask), (&b"\na\nbcd\nbe\nz\n"[..], 0b1110));
        let chunk = Chunk::parse(&Bytes::from(written.bytes.clone())).unwrap();
        let mut walk = chunk.walk();
        for (word, place) in words.into_iter().zip(places) {
            let entry = walk.next(&chunk).unwrap().unwrap();
            assert_eq!((&chunk.text()[entry.word], entry.place), (word, place));
        }
        assert!(walk.next(&chunk).unwrap().is_none());
        let mut walk = chunk.walk();
        for (position, place) in [(4, places[1]), (7, places[2]), (10, places[3])] {
            assert_eq!(walk.seek(&chunk, position).unwrap().unwrap().place, place);
        }
        for cut in 0..written.bytes.len() {
            // Cut short it gives errors or fewer words, and no panic.
            let Ok(chunk) = Chunk::parse(&Bytes::copy_from_slice(&written.bytes[..cut])) else { continue };
            let mut walk = chunk.walk();
            assert!((0..4).any(|_| walk.next(&chunk).is_err()), "{cut}");
        }
    }

    #[test]
    fn a_full_chunk_is_given_out() {
        let mut writer = ChunkWriter::default();
        let word = [b'w'; 320];
        let full =
            (0..1000u32).find_map(|n| writer.word(&word, Place::One(u32::MAX >> 1, u64::from(n)), 1, 0)).unwrap();
        assert!((CHUNK_BYTES - 400..=CHUNK_BYTES).contains(&full.bytes.len()), "{}", full.bytes.len());
        assert_eq!(writer.text.len(), 322);
    }
}
