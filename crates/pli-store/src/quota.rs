//! Thresholds of a quota: each crossing upwards is told once, and again after it was left.

use crate::model::Quota;

/// In percent.
const THRESHOLDS: [u8; 3] = [80, 90, 100];

/// The highest threshold reached, of bytes and of messages; 0 below the first one and without a limit.
pub(crate) fn thresholds(quota: &Quota) -> (u8, u8) {
    let bytes = quota.limit.bytes.map_or(0, |limit| reached(quota.bytes_used.get(), limit.get()));
    let messages = quota.limit.messages.map_or(0, |limit| reached(quota.messages_used, limit));
    (bytes, messages)
}

fn reached(used: u64, limit: u64) -> u8 {
    let share = |percent: u8| u128::from(limit) * u128::from(percent) <= u128::from(used) * 100;
    // Nothing stored is no crossing, whatever the limit.
    THRESHOLDS.into_iter().rev().find(|percent| used > 0 && share(*percent)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn thresholds_are_reached_exactly() {
        for (used, limit, expected) in
            [(0, 0, 0), (1, 0, 100), (79, 100, 0), (80, 100, 80), (89, 100, 80), (90, 100, 90), (99, 100, 90)]
        {
            assert_eq!(reached(used, limit), expected, "{used} of {limit}");
        }
        assert_eq!((reached(100, 100), reached(u64::MAX, u64::MAX), reached(150, 100)), (100, 100, 100));
    }
}
