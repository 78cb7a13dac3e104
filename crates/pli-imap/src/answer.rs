//! What a search found, and how that is told. RFC 9051 §7.3.4, RFC 4731, RFC 5182, RFC 6203, RFC 9394.

use pli_imap_proto::{ESearch, Out, SearchReturn, Tag};
use pli_store::Entry;
use pli_types::{ModSeq, Uid, UidValidity};

use crate::search::Test;

/// What a search found, in its order.
#[derive(Debug, Default)]
pub struct Hits {
    /// Message numbers and entries.
    pub entries: Vec<(u32, Entry)>,
    /// RFC 6203 §4: 1 to 100, one an entry; empty where nothing was FUZZY.
    pub scores: Vec<u8>,
}

impl Hits {
    /// Scores of what a FUZZY search found. The best is 100, and the others stand in proportion; what fits without
    /// any of the words gets 1, and a search without words 100.
    pub fn scored(entries: Vec<(u32, Entry)>, test: &Test) -> Self {
        let raw: Vec<f32> = entries.iter().map(|(_, entry)| test.score(entry.email)).collect();
        let best = raw.iter().copied().fold(0.0, f32::max);
        let of = |score: f32| if best > 0.0 { (score / best * 100.0).round().clamp(1.0, 100.0) as u8 } else { 100 };
        let scores = raw.into_iter().map(of).collect();
        Self { entries, scores }
    }
}

/// How the answer is written.
pub struct Answer<'a> {
    /// The command's tag.
    pub tag: &'a Tag,
    /// RFC 7377 §2.1: which mailbox was searched, where the command could name several.
    pub mailbox: Option<(&'a str, UidValidity)>,
    /// UIDs, not numbers.
    pub uid: bool,
    /// What is asked for.
    pub returns: SearchReturn,
    /// RFC 7162 §3.1.10: with the highest mod-sequence.
    pub modseq: bool,
}

impl Answer<'_> {
    /// Writes it, unless nothing is asked for.
    pub fn write(&self, out: &mut Out, hits: &Hits) {
        let returns = self.returns;
        // RFC 5182 §2.1: SAVE alone gives no answer.
        if !returns.asks_answer() && (returns.save || returns.update) {
            return;
        }
        let numbers = numbers(&hits.entries, self.uid);
        let shown = returns.partial.map_or(0..numbers.len(), |range| range.places(numbers.len()));
        let partial = numbers.get(shown.clone()).unwrap_or_default();
        let scores = hits.scores.get(shown).unwrap_or_default();
        out.esearch(&ESearch {
            tag: Some(self.tag),
            mailbox: self.mailbox,
            uid: self.uid,
            min: numbers.first().copied().filter(|_| returns.min),
            max: numbers.last().copied().filter(|_| returns.max),
            count: returns.count.then_some(numbers.len() as u64),
            all: returns.all.then_some(&numbers),
            partial: returns.partial.map(|range| (range, partial)),
            relevancy: returns.relevancy.then_some(scores),
            modseq: if self.modseq { told_modseq(returns, &hits.entries) } else { None },
        });
    }
}

/// Message numbers or UIDs.
pub fn numbers(entries: &[(u32, Entry)], uid: bool) -> Vec<u32> {
    entries.iter().map(|(number, entry)| if uid { entry.uid.get() } else { *number }).collect()
}

/// RFC 4731 §3.2: of MIN and MAX alone it is those messages' mod-sequence, else that of all.
fn told_modseq(returns: SearchReturn, entries: &[(u32, Entry)]) -> Option<ModSeq> {
    if (returns.min || returns.max) && !returns.all && !returns.count && returns.partial.is_none() {
        return ends(returns, entries).map(|entry| entry.modseq).max();
    }
    entries.iter().map(|(_, entry)| entry.modseq).max()
}

fn ends(returns: SearchReturn, entries: &[(u32, Entry)]) -> impl Iterator<Item = &Entry> {
    let first = entries.first().filter(|_| returns.min);
    let last = entries.last().filter(|_| returns.max);
    first.into_iter().chain(last).map(|(_, entry)| entry)
}

/// What `$` means afterwards, rising. RFC 5182 §2.4: with MIN or MAX and neither ALL nor COUNT only these are saved;
/// RFC 9394 §3.2: with PARTIAL what lies in it, too.
pub fn kept(returns: SearchReturn, entries: &[(u32, Entry)]) -> Vec<Uid> {
    let some = returns.min || returns.max || returns.partial.is_some();
    let mut uids: Vec<Uid> = if some && !returns.all && !returns.count {
        let range = returns.partial.map_or(0..0, |range| range.places(entries.len()));
        let partial = entries.get(range).unwrap_or_default().iter().map(|(_, entry)| entry.uid);
        ends(returns, entries).map(|entry| entry.uid).chain(partial).collect()
    } else {
        entries.iter().map(|(_, entry)| entry.uid).collect()
    };
    uids.sort_unstable();
    uids.dedup();
    uids
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::num::NonZeroU32;

    use pli_imap_proto::PartialRange;
    use pli_types::EmailId;

    use super::*;

    fn entries(uids: &[u32]) -> Vec<(u32, Entry)> {
        let entry = |uid: u32| Entry {
            uid: Uid::new(uid),
            email: EmailId::new(uid.into()),
            modseq: ModSeq::new(u64::from(uid) * 10),
            flags: 0,
        };
        (1..).zip(uids).map(|(number, uid)| (number, entry(*uid))).collect()
    }
    fn partial(first: u32, last: u32, from_end: bool) -> Option<PartialRange> {
        let n = |n| NonZeroU32::new(n).unwrap();
        Some(PartialRange { first: n(first), last: n(last), from_end })
    }

    /// The table of RFC 9394 §3.2.
    #[test]
    fn what_is_saved() {
        let found = entries(&[3, 5, 7, 9, 11]);
        let kept = |returns| kept(returns, &found).into_iter().map(Uid::get).collect::<Vec<_>>();
        let base = SearchReturn { save: true, partial: partial(2, 3, false), ..SearchReturn::default() };
        assert_eq!(kept(base), [5, 7]);
        assert_eq!(kept(SearchReturn { min: true, ..base }), [3, 5, 7]);
        assert_eq!(kept(SearchReturn { max: true, ..base }), [5, 7, 11]);
        assert_eq!(kept(SearchReturn { min: true, max: true, ..base }), [3, 5, 7, 11]);
        assert_eq!(kept(SearchReturn { count: true, min: true, ..base }), [3, 5, 7, 9, 11]);
        assert_eq!(kept(SearchReturn { partial: partial(9, 1, true), ..base }), [3, 5, 7, 9, 11]);
        assert_eq!(kept(SearchReturn { partial: partial(1, 2, true), ..base }), [9, 11]);
        assert_eq!(kept(SearchReturn { partial: partial(6, 9, false), ..base }), Vec::<u32>::new());
    }

    /// RFC 4731 §3.2
    #[test]
    fn the_mod_sequence_is_of_what_is_told() {
        let mut found = entries(&[1, 2, 3]);
        if let Some((_, entry)) = found.get_mut(1) {
            entry.modseq = ModSeq::new(99);
        }
        let of = |min, max, count| {
            told_modseq(SearchReturn { min, max, count, ..SearchReturn::default() }, &found).map(ModSeq::get)
        };
        assert_eq!(
            (of(true, false, false), of(false, true, false), of(true, true, false)),
            (Some(10), Some(30), Some(30))
        );
        assert_eq!((of(true, true, true), of(false, false, true)), (Some(99), Some(99)));
        assert_eq!(told_modseq(SearchReturn::default(), &[]), None);
    }
}
