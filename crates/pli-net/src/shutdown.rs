//! Graceful shutdown: everybody is told once, everybody is waited for, but not for ever.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The token that ends things and the tracker of the tasks that must end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    /// Nothing is told to end yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Cancelled when it is time to end.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }
    /// Where tasks are counted.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }
    /// Tells everybody, and waits until all tracked tasks have ended or `bound` is over. True if all ended.
    pub async fn finish(&self, bound: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(bound, self.tracker.wait()).await.is_ok()
    }
}
