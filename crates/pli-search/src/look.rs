//! Looking for a text in the words of a segment.

use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;

use crate::chunk::Place;
use crate::docs::DocSet;
use crate::filter::Candidates;
use crate::front::{Damaged, Front, Lists, Postings};

/// So many chunks are worth a second thread.
const SPLIT_CHUNKS: usize = 32;
/// So many lists, the longest, are read first: they may name all messages.
const LONGEST_LISTS: usize = 64;
/// Lists read between two looks whether all messages are found.
const LISTS_BETWEEN: usize = 256;

/// Adds the messages that have, in a field of the mask, a word in whose text (with the line feeds around it) the
/// pattern stands.
pub(crate) fn collect<P: Postings + Sync>(
    front: &Front,
    postings: &P,
    mask: u64,
    pattern: &str,
    set: &mut DocSet,
) -> Result<(), P::Error>
where
    P::Error: Send,
{
    let candidates = Candidates::of(front, postings, pattern.as_bytes())?;
    let look = Look {
        front,
        postings,
        mask,
        finder: Finder::new(pattern),
        // The first byte of the word itself: a pattern may begin with the line feed before it.
        into_word: usize::from(pattern.starts_with('\n')),
        full: AtomicBool::new(false),
    };
    // Words that people look for come first: when all messages have one, traces need not be looked at.
    for kind in front.kinds() {
        let has_field = |chunk: &usize| front.chunks().get(*chunk).is_some_and(|row| row.mask & mask != 0);
        let chunks: Vec<usize> = kind.filter(|chunk| candidates.has(*chunk)).filter(has_field).collect();
        look.chunks(&chunks, set)?;
        if set.is_full() {
            break;
        }
    }
    Ok(())
}

struct Look<'a, P> {
    front: &'a Front,
    postings: &'a P,
    mask: u64,
    finder: Finder<'a>,
    into_word: usize,
    /// All messages are found.
    full: AtomicBool,
}

impl<P: Postings + Sync> Look<'_, P>
where
    P::Error: Send,
{
    fn chunks(&self, chunks: &[usize], set: &mut DocSet) -> Result<(), P::Error> {
        if chunks.len() < SPLIT_CHUNKS {
            set.join(&self.part(chunks.iter().copied())?);
            return Ok(());
        }
        // Words are not spread evenly over the alphabet: every second chunk, not halves.
        let (mut even, mut odd) = (None, None);
        self.postings.both(&mut || even = Some(self.part(chunks.iter().step_by(2).copied())), &mut || {
            odd = Some(self.part(chunks.iter().skip(1).step_by(2).copied()))
        });
        for part in [even, odd] {
            set.join(&part.ok_or(Damaged)??);
        }
        Ok(())
    }

    /// The messages of some chunks' words.
    fn part(&self, chunks: impl Iterator<Item = usize>) -> Result<DocSet, P::Error> {
        let mut set = DocSet::none(self.front.emails().len());
        let mut lists: Vec<(u32, u32)> = Vec::new();
        for number in chunks {
            if self.full.load(Ordering::Relaxed) {
                return Ok(set);
            }
            let chunk = self.front.chunk(number, self.postings)?;
            let (text, mut walk, mut at) = (chunk.text(), chunk.walk(), 0);
            while let Some(found) = text.get(at..).and_then(|rest| self.finder.find(rest)) {
                let position = at.saturating_add(found).saturating_add(self.into_word);
                let entry = walk.seek(&chunk, position)?.ok_or(Damaged)?;
                match entry.place {
                    Place::One(doc, mask) => {
                        if self.front.mask(mask)? & self.mask != 0 {
                            set.add(doc);
                        }
                    }
                    // As long as a list of all messages: then nothing more need be looked for.
                    Place::List(start, length) if length as usize >= self.front.emails().len() => {
                        self.lists(&[(start, length)], &mut set)?;
                    }
                    Place::List(start, length) => lists.push((start, length)),
                }
                at = entry.word.end;
            }
        }
        self.lists(&lists, &mut set)?;
        Ok(set)
    }

    /// Adds the messages of lists, the longest first; stops when all messages are found.
    fn lists(&self, lists: &[(u32, u32)], set: &mut DocSet) -> Result<(), P::Error> {
        let mut lengths: Vec<u32> = lists.iter().map(|(_, length)| *length).collect();
        let longest = match lengths.len() > LONGEST_LISTS {
            true => *lengths.select_nth_unstable_by(LONGEST_LISTS, |a, b| b.cmp(a)).1,
            false => u32::MAX,
        };
        let mut reader = Lists::new(self.postings);
        for (now, some) in [(true, lists), (false, lists)] {
            for some in some.chunks(LISTS_BETWEEN) {
                if self.full.load(Ordering::Relaxed) {
                    return Ok(());
                }
                for (start, length) in some.iter().filter(|(_, length)| (*length > longest) == now) {
                    self.front.list(Place::List(*start, *length), &mut reader, &mut |posting| {
                        if posting.mask & self.mask != 0 {
                            set.add(posting.doc);
                        }
                    })?;
                }
                if set.is_full() {
                    self.full.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }
}
