//! A port offset that no other test process uses.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use rustix::fs::{FlockOperation, flock};

/// A listening port of the product by its name in `quickstart --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The name.
    pub name: &'static str,
    /// The standard port, to which the offset is added.
    pub standard: u16,
}

/// Every port of the command line contract (architecture.md).
pub const PORTS: [Port; 9] = [
    Port { name: "lmtp", standard: 24 },
    Port { name: "smtp", standard: 25 },
    Port { name: "imap", standard: 143 },
    Port { name: "https", standard: 443 },
    Port { name: "submissions", standard: 465 },
    Port { name: "submission", standard: 587 },
    Port { name: "imaps", standard: 993 },
    Port { name: "pop3s", standard: 995 },
    Port { name: "managesieve", standard: 4190 },
];

/// Offsets to try: below the kernel's ephemeral range even with the highest
/// port added, and never 10000, which `make run` uses.
const FIRST: u16 = 11_000;
const STEP: u16 = 200;
const COUNT: u16 = 80;

/// An offset held until dropped.
#[derive(Debug)]
pub struct Claim {
    /// What is added to each standard port.
    pub offset: u16,
    _lock: File,
}

impl Claim {
    /// Takes the first offset that no other process holds and whose ports are free.
    pub fn take() -> Self {
        let dir = std::env::temp_dir().join("pli-test-ports");
        std::fs::create_dir_all(&dir).unwrap();
        // Start at a place of our own, so that processes do not queue at the first.
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for turn in 0..COUNT {
            let offset = FIRST + STEP * ((start + turn) % COUNT);
            let lock = File::create(dir.join(offset.to_string())).unwrap();
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let free =
                PORTS.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port.standard + offset)).is_ok());
            if free {
                return Self { offset, _lock: lock };
            }
        }
        panic!("no free port offset between {FIRST} and {}", FIRST + STEP * COUNT);
    }

    /// The number of a port by name.
    pub fn port(&self, name: &str) -> u16 {
        let port = PORTS.iter().find(|port| port.name == name);
        port.unwrap_or_else(|| panic!("no port named {name}")).standard + self.offset
    }
}

/// A free port for a program of somebody else.
pub fn free() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_never_collide() {
        for a in PORTS {
            for b in PORTS {
                let distance = a.standard.abs_diff(b.standard);
                assert!(a == b || distance % STEP != 0, "{a:?} {b:?}");
            }
        }
        let highest = PORTS.iter().map(|port| port.standard + FIRST + STEP * COUNT).max();
        assert!(highest < Some(32_768), "{highest:?}");
    }

    #[test]
    fn two_claims_differ() {
        let first = Claim::take();
        let second = Claim::take();
        assert_ne!(first.offset, second.offset);
    }
}
