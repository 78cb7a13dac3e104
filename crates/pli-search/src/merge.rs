//! Several segments made into one.

use std::ops::Range;

use bytes::Bytes;

use crate::SEGMENT_BYTES_MAX;
use crate::chunk::{Chunk, Entry, Walk};
use crate::encode::{Encoder, Posting};
use crate::front::{Damaged, Front, Lists};

/// One of the segments that are merged.
struct Input<'a> {
    front: &'a Front,
    /// New numbers of its messages.
    numbers: Vec<Option<u32>>,
}

/// The words of one kind in one segment, ascending.
struct Stream<'a> {
    input: usize,
    front: &'a Front,
    bytes: &'a Bytes,
    lists: Lists<'a, Bytes>,
    chunks: Range<usize>,
    chunk: Chunk,
    walk: Walk,
    entry: Option<Entry>,
}

impl<'a> Stream<'a> {
    fn new(input: usize, (front, bytes): &'a (Front, Bytes), chunks: Range<usize>) -> Self {
        let (chunk, walk) = (Chunk::default(), Walk::default());
        Self { input, front, bytes, lists: Lists::new(bytes), chunks, chunk, walk, entry: None }
    }
    /// Goes to the next word.
    fn advance(&mut self) -> Result<(), Damaged> {
        self.entry = if self.chunk.text().is_empty() { None } else { self.walk.next(&self.chunk)? };
        while self.entry.is_none()
            && let Some(number) = self.chunks.next()
        {
            self.chunk = self.front.chunk(number, self.bytes)?;
            self.walk = self.chunk.walk();
            self.entry = self.walk.next(&self.chunk)?;
        }
        Ok(())
    }
    fn word(&self) -> Option<&[u8]> {
        self.chunk.text().get(self.entry.as_ref()?.word.clone())
    }
}

/// What merging gives.
#[derive(Debug)]
pub enum Merged {
    /// A segment.
    Segment {
        /// Its bytes.
        bytes: Vec<u8>,
        /// How many messages it covers.
        messages: u32,
    },
    /// No message stays.
    Nothing,
    /// It would be larger than a segment should be.
    TooLarge,
}

/// Merges whole segments; of the messages only those stay that `keep` says, by id.
pub fn merge(segments: &[(Front, Bytes)], keep: &dyn Fn(u64) -> bool) -> Result<Merged, Damaged> {
    let mut inputs: Vec<Input<'_>> =
        segments.iter().map(|(front, _)| Input { front, numbers: vec![None; front.emails().len()] }).collect();
    let docs = number(&mut inputs, keep);
    if docs.is_empty() {
        return Ok(Merged::Nothing);
    }
    let mut streams: Vec<Stream<'_>> = segments
        .iter()
        .enumerate()
        .flat_map(|(input, segment)| segment.0.kinds().map(|chunks| Stream::new(input, segment, chunks)))
        .collect();
    for stream in &mut streams {
        stream.advance()?;
    }
    let mut encoder = Encoder::new();
    let mut list: Vec<Posting> = Vec::new();
    let mut word: Vec<u8> = Vec::new();
    while let Some(first) = streams.iter().filter_map(Stream::word).min() {
        word.clear();
        word.extend_from_slice(first);
        list.clear();
        for stream in &mut streams {
            if stream.word() != Some(&word) {
                continue;
            }
            let (Some(entry), Some(input)) = (&stream.entry, inputs.get(stream.input)) else { continue };
            stream.front.list(entry.place, &mut stream.lists, &mut |posting| {
                if let Some(Some(doc)) = input.numbers.get(posting.doc as usize) {
                    list.push(Posting { doc: *doc, mask: posting.mask });
                }
            })?;
            stream.advance()?;
        }
        if !list.is_sorted_by_key(|posting| posting.doc) {
            list.sort_unstable_by_key(|posting| posting.doc);
        }
        if !list.is_empty() {
            encoder.word(&word, &list);
        }
        if encoder.len() > SEGMENT_BYTES_MAX {
            return Ok(Merged::TooLarge);
        }
    }
    let messages = u32::try_from(docs.len()).unwrap_or(u32::MAX);
    Ok(Merged::Segment { bytes: encoder.finish(&docs), messages })
}

/// Numbers the messages that stay by their ids; one that several segments cover is taken from the first.
fn number(inputs: &mut [Input<'_>], keep: &dyn Fn(u64) -> bool) -> Vec<(u64, u32)> {
    let mut all: Vec<(u64, usize, usize)> = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        all.extend(input.front.emails().iter().enumerate().map(|(doc, email)| (*email, at, doc)));
    }
    all.sort_unstable();
    all.dedup_by_key(|(email, ..)| *email);
    all.retain(|(email, ..)| keep(*email));
    let mut docs = Vec::with_capacity(all.len());
    for ((email, at, doc), number) in all.into_iter().zip(0u32..) {
        if let Some(input) = inputs.get_mut(at) {
            if let Some(place) = input.numbers.get_mut(doc) {
                *place = Some(number);
            }
            docs.push((email, input.front.lens().get(doc).copied().unwrap_or(0)));
        }
    }
    docs
}
