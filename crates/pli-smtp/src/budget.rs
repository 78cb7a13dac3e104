//! Memory for messages that are being received, shared by all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes in all.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    bytes_used: AtomicU64,
}

/// One session's part; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes_used: AtomicU64::new(0) })
    }
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Share {
    /// Makes the share `bytes` large; false, and no change, if there is no room for that.
    pub(crate) fn resize(&mut self, bytes: u64) -> bool {
        let used = &self.budget.bytes_used;
        if bytes <= self.bytes {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.bytes;
            let max = self.budget.bytes_max;
            let fits = |now: u64| now.checked_add(more).filter(|then| *then <= max);
            if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
                return false;
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.bytes_used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_come_back() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert!(a.resize(60));
        assert!(!b.resize(41));
        assert!(b.resize(40));
        assert!(a.resize(0));
        assert!(b.resize(100));
        drop(b);
        assert!(a.resize(100));
        assert_eq!(budget.bytes_used.load(Ordering::Relaxed), 100);
    }
}
