//! RFC 9051 §9 `sequence-set`: message numbers or UIDs, with `*`.

use std::fmt;
use std::num::NonZeroU32;

use crate::limits::SET_RANGES_COUNT_MAX;
use crate::number::push_number;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Star,
}

impl Bound {
    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Star);
        }
        crate::number::parse_u32(text).and_then(NonZeroU32::new).map(Self::Number)
    }

    const fn resolve(self, max: u32) -> u32 {
        match self {
            Self::Number(n) => n.get(),
            Self::Star => max,
        }
    }
}

/// A set of ranges as sent: not empty; either end may be the larger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceSet(Vec<(Bound, Bound)>);

impl SequenceSet {
    /// Reads a set; `None` if it is none or has over [`SET_RANGES_COUNT_MAX`] ranges.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut ranges = Vec::new();
        for part in text.split(|&b| b == b',') {
            if ranges.len() == SET_RANGES_COUNT_MAX {
                return None;
            }
            let range = match memchr::memchr(b':', part) {
                None => {
                    let one = Bound::parse(part)?;
                    (one, one)
                }
                Some(at) => (Bound::parse(part.get(..at)?)?, Bound::parse(part.get(at + 1..)?)?),
            };
            ranges.push(range);
        }
        Some(Self(ranges))
    }

    /// A set of given ranges; `None` if there are none.
    #[must_use]
    pub fn from_ranges(ranges: Vec<(Bound, Bound)>) -> Option<Self> {
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// The compact set of numbers in rising order; zeros are left out; `None` if nothing stays.
    #[must_use]
    pub fn from_sorted(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let ranges = Runs::new(numbers.into_iter())
            .filter_map(|(a, b)| Some((Bound::Number(NonZeroU32::new(a)?), Bound::Number(NonZeroU32::new(b)?))))
            .collect();
        Self::from_ranges(ranges)
    }

    /// As sent.
    #[must_use]
    pub fn ranges(&self) -> &[(Bound, Bound)] {
        &self.0
    }

    /// Whether a `*` is in.
    #[must_use]
    pub fn has_star(&self) -> bool {
        self.0.iter().any(|&(a, b)| a == Bound::Star || b == Bound::Star)
    }

    /// The largest number that is spelt out. A session may answer BAD to a message number above EXISTS.
    #[must_use]
    pub fn largest(&self) -> Option<u32> {
        self.0.iter().flat_map(|&(a, b)| [a, b]).map(|b| b.resolve(0)).max().filter(|&n| n > 0)
    }

    /// The numbers that are meant when `max` is the largest in use: sorted, merged, nothing above `max`.
    /// With `max` 0 (an empty mailbox) nothing.
    ///
    /// RFC 9051 §9 `seq-range`: `*` is `max`, and the ends may stand in any order, so that `500:*` with `max` 300
    /// means 300.
    #[must_use]
    pub fn resolve(&self, max: u32) -> Resolved {
        let ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(a, b)| {
                let (a, b) = (a.resolve(max), b.resolve(max));
                (a.min(b).max(1), a.max(b).min(max))
            })
            .filter(|&(low, high)| low <= high)
            .collect();
        Resolved::from_ranges(ranges)
    }

    /// The numbers in the order sent, without merging: for QRESYNC's pairs of sets. `None` with a `*` or over
    /// `count_max` numbers.
    #[must_use]
    pub fn in_order(&self, count_max: usize) -> Option<Vec<u32>> {
        let mut numbers = Vec::new();
        for &(a, b) in &self.0 {
            let (Bound::Number(a), Bound::Number(b)) = (a, b) else {
                return None;
            };
            let (a, b) = (a.get().min(b.get()), a.get().max(b.get()));
            let count = usize::try_from(b - a).ok()?.saturating_add(1);
            if numbers.len().saturating_add(count) > count_max {
                return None;
            }
            numbers.extend(a..=b);
        }
        Some(numbers)
    }

    /// Writes the set as it stands.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bound = |out: &mut Vec<u8>, b| match b {
            Bound::Number(n) => push_number(out, n.get().into()),
            Bound::Star => out.push(b'*'),
        };
        for (i, &(a, b)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            bound(out, a);
            if a != b {
                out.push(b':');
                bound(out, b);
            }
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Numbers that a set means in a mailbox: ranges that rise and neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved(Vec<(u32, u32)>);

impl Resolved {
    /// The numbers of some ranges, both ends in, whatever their order.
    #[must_use]
    pub fn from_ranges(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        Self(ranges)
    }
    /// The ranges, both ends in.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }
    /// No number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// How many numbers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&(a, b)| u64::from(b - a) + 1).sum()
    }
    /// Whether a number is in.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|&(_, high)| high < number);
        self.0.get(at).is_some_and(|&(low, _)| low <= number)
    }
    /// Where these ranges (rising, apart) and the set's meet.
    #[must_use]
    pub fn meet(&self, ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let (mut mine, mut met) = (self.0.iter().peekable(), Vec::new());
        for &(first, last) in ranges {
            while mine.next_if(|(_, high)| *high < first).is_some() {}
            while let Some(&&(low, high)) = mine.peek() {
                if low > last {
                    break;
                }
                met.push((low.max(first), high.min(last)));
                if high > last {
                    break;
                }
                mine.next();
            }
        }
        met
    }
    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|&(a, b)| a..=b)
    }
}

/// Runs of numbers each one above the one before: what a compact set prints as `a:b`.
pub(crate) struct Runs<I: Iterator<Item = u32>> {
    numbers: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = u32>> Runs<I> {
    pub(crate) fn new(numbers: I) -> Self {
        Self { numbers: numbers.peekable() }
    }
}

impl<I: Iterator<Item = u32>> Iterator for Runs<I> {
    type Item = (u32, u32);
    fn next(&mut self) -> Option<(u32, u32)> {
        let first = self.numbers.next()?;
        let mut last = first;
        while let Some(next) = self.numbers.next_if(|&n| Some(n) == last.checked_add(1)) {
            last = next;
        }
        Some((first, last))
    }
}

/// Prints numbers as a compact set, `1:3,7`, in the order given (COPYUID needs the order kept).
pub fn write_compact(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    for (i, (a, b)) in Runs::new(numbers.into_iter()).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_number(out, a.into());
        if a != b {
            out.push(b':');
            push_number(out, b.into());
        }
    }
}
