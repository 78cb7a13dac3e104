//! Several segments made into one.

use bytes::Bytes;

use crate::SEGMENT_BYTES_MAX;
use crate::encode::{Encoder, Posting};
use crate::front::{Cursor, Damaged, Entry, Front};

/// One of the segments that are merged.
struct Input<'a> {
    front: &'a Front,
    bytes: &'a Bytes,
    cursor: Cursor<'a>,
    entry: Option<Entry<'a>>,
    /// New numbers of its messages.
    numbers: Vec<Option<u32>>,
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
    let mut inputs: Vec<Input<'_>> = segments
        .iter()
        .map(|(front, bytes)| Input {
            front,
            bytes,
            cursor: front.cursor(),
            entry: None,
            numbers: vec![None; front.emails().len()],
        })
        .collect();
    let docs = number(&mut inputs, keep);
    if docs.is_empty() {
        return Ok(Merged::Nothing);
    }
    for input in &mut inputs {
        input.entry = input.cursor.next()?;
    }
    let mut encoder = Encoder::new();
    let mut list: Vec<Posting> = Vec::new();
    while let Some(word) = inputs.iter().filter_map(|input| Some(input.entry.as_ref()?.word)).min() {
        list.clear();
        for input in &mut inputs {
            let Some(entry) = input.entry.take_if(|entry| entry.word == word) else { continue };
            input.front.list(&entry, input.bytes, &mut |posting| {
                if let Some(Some(doc)) = input.numbers.get(posting.doc as usize) {
                    list.push(Posting { doc: *doc, mask: posting.mask });
                }
            })?;
            input.entry = input.cursor.next()?;
        }
        if !list.is_sorted_by_key(|posting| posting.doc) {
            list.sort_unstable_by_key(|posting| posting.doc);
        }
        if !list.is_empty() {
            encoder.word(word, &list);
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
