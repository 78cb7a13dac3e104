//! Small traits for disk, clock, randomness and resolver, with their real forms and simulated ones for tests.
//!
//! This crate knows nothing of mail. It exists so that store, queue and sessions can run whole on a simulated
//! world, replayed from one seed. Everything else in the workspace is forbidden to read a clock or open a file
//! (the tidy check says so).

mod clock;
mod disk;
mod random;
mod resolver;
pub mod sim;

use std::sync::Arc;

pub use clock::{Clock, RealClock};
pub use disk::{Disk, DiskFile, DiskSpace, OpenMode, RealDisk, is_out_of_files};
pub use random::{Random, RealRandom};
pub use resolver::{LookUp, MxHost, ResolveError, Resolver, ResolverConfig, StaticResolver};

/// The world as the store and the queue see it.
#[derive(Clone)]
pub struct Env {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids and jitter (keys take theirs from the operating system, always).
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The real world.
    #[must_use]
    pub fn real() -> Self {
        Self { disk: Arc::new(RealDisk), clock: Arc::new(RealClock::new()), random: Arc::new(RealRandom::new()) }
    }
}
