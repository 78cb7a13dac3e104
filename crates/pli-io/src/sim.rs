//! A simulated world for tests: a disk that loses what was not synced, a clock that is set, seeded randomness.
