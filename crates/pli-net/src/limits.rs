//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

/// Which limit a new connection ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitReached {
    /// Of all.
    #[error("too many connections")]
    Total,
    /// Of one address (IPv6: of one /64).
    #[error("too many connections from this address")]
    Address,
}

/// Counts connections. Shared by the doors that count together.
pub struct ConnectionLimits {
    connections_max: usize,
    connections_per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; dropping it ends the count.
pub struct ConnectionGuard {
    limits: Arc<ConnectionLimits>,
    key: IpAddr,
}

impl ConnectionLimits {
    /// With a limit for all and one for each address.
    #[must_use]
    pub fn new(connections_max: usize, connections_per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { connections_max, connections_per_address_max, counts: Mutex::default() })
    }

    /// Counts a connection from `address`, or says why not.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionGuard, LimitReached> {
        let key = key(address);
        let mut counts = self.counts.lock();
        if counts.total >= self.connections_max {
            return Err(LimitReached::Total);
        }
        let of_address = counts.by_address.entry(key).or_insert(0);
        if *of_address >= self.connections_per_address_max {
            if *of_address == 0 {
                counts.by_address.remove(&key);
            }
            return Err(LimitReached::Address);
        }
        *of_address += 1;
        counts.total += 1;
        drop(counts);
        Ok(ConnectionGuard { limits: self.clone(), key })
    }

    /// Connections now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.limits.counts.lock();
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.key);
            }
        }
    }
}

/// One customer's IPv6 network is a /64; single addresses cost nothing there.
fn key(address: IpAddr) -> IpAddr {
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
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn counts_by_address_and_in_all() {
        let limits = ConnectionLimits::new(3, 2);
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let b: IpAddr = "192.0.2.2".parse().unwrap();
        let first = limits.enter(a).unwrap();
        let _second = limits.enter(a).unwrap();
        assert_eq!(limits.enter(a).err(), Some(LimitReached::Address));
        let _third = limits.enter(b).unwrap();
        assert_eq!(limits.enter(b).err(), Some(LimitReached::Total));
        drop(first);
        assert_eq!(limits.connections(), 2);
        assert!(limits.enter(a).is_ok());
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        let limits = ConnectionLimits::new(10, 1);
        let _guard = limits.enter("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert_eq!(limits.enter("2001:db8:1:2:ffff::9".parse().unwrap()).err(), Some(LimitReached::Address));
        assert!(limits.enter("2001:db8:1:3::1".parse().unwrap()).is_ok());
        // An IPv4 address mapped into IPv6 counts as itself.
        let _v4 = limits.enter("192.0.2.7".parse().unwrap()).unwrap();
        assert!(limits.enter("::ffff:192.0.2.7".parse().unwrap()).is_err());
        assert!(limits.enter("::ffff:192.0.2.8".parse().unwrap()).is_ok());
    }
}
