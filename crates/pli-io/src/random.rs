//! Randomness for ids and jitter.

use ring::rand::{SecureRandom, SystemRandom};

/// A source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The operating system's generator.
#[derive(Debug)]
pub struct RealRandom(SystemRandom);

impl RealRandom {
    /// The generator.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for RealRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for RealRandom {
    fn fill(&self, out: &mut [u8]) {
        // Linux's getrandom fails only before the kernel has seeded it, at boot; ids would repeat, so try on.
        while self.0.fill(out).is_err() {
            std::thread::yield_now();
        }
    }
}
