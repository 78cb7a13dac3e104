//! Sets of the messages of one segment.

/// A set of numbers below a bound, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocSet {
    bits: Vec<u64>,
    count: usize,
}

impl DocSet {
    /// No message of `count`.
    #[must_use]
    pub fn none(count: usize) -> Self {
        Self { bits: vec![0; count.div_ceil(64)], count }
    }
    /// All messages of `count`.
    #[must_use]
    pub fn all(count: usize) -> Self {
        let mut set = Self { bits: vec![u64::MAX; count.div_ceil(64)], count };
        let past = set.bits.len().saturating_mul(64).saturating_sub(count);
        if let Some(last) = set.bits.last_mut() {
            *last >>= past;
        }
        set
    }
    /// Whether it has a message.
    #[must_use]
    pub fn has(&self, doc: u32) -> bool {
        self.bits.get((doc / 64) as usize).is_some_and(|word| word >> (doc % 64) & 1 == 1)
    }
    /// Adds a message; numbers past the bound are left out.
    pub(crate) fn add(&mut self, doc: u32) {
        if (doc as usize) < self.count
            && let Some(word) = self.bits.get_mut((doc / 64) as usize)
        {
            *word |= 1 << (doc % 64);
        }
    }
    /// Adds the messages of another set of the same bound.
    pub(crate) fn join(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine |= theirs);
    }
    /// Whether all messages are in it.
    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.count
    }
    pub(crate) fn keep(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine &= theirs);
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0)
    }
    /// The messages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().zip((0u32..).step_by(64)).flat_map(|(word, base)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                Some(base.saturating_add(bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::DocSet;

    #[test]
    fn sets_keep_their_bound() {
        for count in [0usize, 1, 63, 64, 65, 200] {
            let all = DocSet::all(count);
            assert_eq!(all.len(), count);
            assert_eq!(all.iter().count(), count);
            assert!(!all.has(u32::try_from(count).unwrap_or(0)));
            assert!(DocSet::none(count).is_empty());
        }
        let mut set = DocSet::none(130);
        [0, 64, 129, 130, 1000].into_iter().for_each(|doc| set.add(doc));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 129]);
        let mut other = DocSet::all(130);
        other.keep(&set);
        assert_eq!(other, set);
        assert!(!other.is_full());
        other.join(&DocSet::all(130));
        assert!(other.is_full() && DocSet::none(0).is_full());
    }
}
