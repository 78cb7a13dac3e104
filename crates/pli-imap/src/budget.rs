//! Memory for messages that are being appended, shared by all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes in all.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    bytes_used: AtomicU64,
}

/// What one APPEND holds; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes_used: AtomicU64::new(0) })
    }
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Share {
    /// Takes so many bytes more; false, and no change, if there is no room for them.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let fits = |now: u64| now.checked_add(bytes).filter(|then| *then <= self.budget.bytes_max);
        let taken = self.budget.bytes_used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        taken
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
        assert!(a.grow(60));
        assert!(!b.grow(41));
        assert!(b.grow(40));
        assert!(!b.grow(1));
        drop(a);
        assert!(b.grow(60));
        drop(b);
        assert_eq!(budget.bytes_used.load(Ordering::Relaxed), 0);
    }
}
