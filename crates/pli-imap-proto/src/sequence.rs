//! RFC 9051 §9 `sequence-set`: message numbers or UIDs, with `*`.

use std::num::NonZeroU32;

use crate::limits::SET_RANGES_COUNT_MAX;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Star,
}

/// A set of ranges as sent: either end may be the larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(Vec<(Bound, Bound)>);
