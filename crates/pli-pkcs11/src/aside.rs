//! Waiting for a token beside the async runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// A token answers in milliseconds, or not at all. A worker of the async runtime that waits for it has its tasks done by
/// another thread meanwhile; on any other thread the work is just done.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let on_runtime = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if on_runtime { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn other_tasks_go_on_while_the_only_worker_waits() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (send, receive) = channel();
        let waiting = runtime.spawn(async move { aside(|| receive.recv_timeout(Duration::from_secs(20))) });
        runtime.spawn(async move { send.send(7).unwrap() });
        assert_eq!(runtime.block_on(waiting).unwrap(), Ok(7));
    }

    #[test]
    fn elsewhere_it_is_just_done() {
        assert_eq!(aside(|| 1), 1);
        let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(single.block_on(async { aside(|| 2) }), 2);
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert_eq!(many.block_on(async { tokio::task::spawn_blocking(|| aside(|| 3)).await.unwrap() }), 3);
    }
}
