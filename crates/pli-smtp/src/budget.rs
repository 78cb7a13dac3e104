//! Memory for messages that are being received, shared by all sessions.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// One address that nobody vouches for gets this part of the memory at most; others must still be heard.
const ADDRESS_PART: u64 = 4;

/// So many bytes in all.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: u64,
    by_address: HashMap<IpAddr, u64>,
}

/// One session's part; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    /// Counted under this address as well, up to so many bytes.
    address: Option<(IpAddr, u64)>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: Mutex::default() })
    }
    /// A share without a limit for its address.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), address: None, bytes: 0 }
    }
    /// A share of somebody unknown at `address`; one message of `message_bytes` fits always.
    pub(crate) fn share_of(self: &Arc<Self>, address: IpAddr, message_bytes: u64) -> Share {
        let bytes_max = (self.bytes_max / ADDRESS_PART).max(message_bytes);
        Share { budget: Arc::clone(self), address: Some((network(address), bytes_max)), bytes: 0 }
    }
}

impl Share {
    /// Makes the share `bytes` large; false, and no change, if there is no room for that.
    pub(crate) fn resize(&mut self, bytes: u64) -> bool {
        let mut used = self.budget.used.lock();
        let in_all = used.bytes.saturating_sub(self.bytes).saturating_add(bytes);
        if bytes > self.bytes && in_all > self.budget.bytes_max {
            return false;
        }
        if let Some((address, bytes_max)) = self.address {
            let before = used.by_address.get(&address).copied().unwrap_or(0);
            let after = before.saturating_sub(self.bytes).saturating_add(bytes);
            if bytes > self.bytes && after > bytes_max {
                return false;
            }
            if after == 0 {
                used.by_address.remove(&address);
            } else {
                used.by_address.insert(address, after);
            }
        }
        used.bytes = in_all;
        drop(used);
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// One customer's IPv6 network is a /64; single addresses cost nothing there.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
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
        assert_eq!(budget.used.lock().bytes, 100);
    }

    #[test]
    fn one_address_cannot_take_all() {
        let budget = Budget::new(100);
        let from = |text: &str| budget.share_of(text.parse().unwrap(), 10);
        let (mut a, mut b, mut other) = (from("2001:db8::1"), from("2001:db8::2"), from("192.0.2.1"));
        assert!(a.resize(20));
        assert!(!b.resize(6), "a quarter for both");
        assert!(b.resize(5));
        assert!(other.resize(25));
        assert!(a.resize(0));
        assert!(b.resize(25));
        let mut whole = budget.share();
        assert!(whole.resize(50));
        assert!(!whole.resize(51));
        drop((b, other, whole));
        assert_eq!(budget.used.lock().bytes, 0);
        assert!(budget.used.lock().by_address.is_empty());
        let mut large = budget.share_of("192.0.2.1".parse().unwrap(), 60);
        assert!(large.resize(60), "one message fits");
    }
}
