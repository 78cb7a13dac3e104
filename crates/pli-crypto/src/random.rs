//! Randomness: the operating system's, through `ring`, and its form for HPKE.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::{CryptoError, Result};

pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| CryptoError::Random)
}

/// `N` random bytes, for ids and salts. Secrets come from [`crate::Secret32::generate`].
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// The randomness of one HPKE encapsulation, drawn beforehand.
///
/// `rand_core`'s trait has no way to fail, the operating system does: so the bytes are drawn first, where an error can
/// be returned, and [`Prefilled::exhausted`] tells whether HPKE asked for more than there was.
pub(crate) struct Prefilled {
    bytes: Zeroizing<[u8; 64]>,
    used: usize,
    exhausted: bool,
}

impl Prefilled {
    pub(crate) fn draw() -> Result<Self> {
        Ok(Self { bytes: Zeroizing::new(random_bytes()?), used: 0, exhausted: false })
    }
    pub(crate) const fn exhausted(&self) -> bool {
        self.exhausted
    }
}

impl hpke::rand_core::RngCore for Prefilled {
    fn next_u32(&mut self) -> u32 {
        let mut b = [0; 4];
        self.fill_bytes(&mut b);
        u32::from_le_bytes(b)
    }
    fn next_u64(&mut self) -> u64 {
        let mut b = [0; 8];
        self.fill_bytes(&mut b);
        u64::from_le_bytes(b)
    }
    fn fill_bytes(&mut self, dst: &mut [u8]) {
        let end = self.used.saturating_add(dst.len());
        match self.bytes.get(self.used..end) {
            Some(src) => dst.copy_from_slice(src),
            None => self.exhausted = true,
        }
        self.used = end;
    }
}

impl hpke::rand_core::CryptoRng for Prefilled {}
