//! The encrypted mail store: an append-only log with an index over it.
//!
//! What it promises: a commit that was answered is there after any crash, byte for byte; what is damaged is found
//! and named; nothing is changed without a [`Permit`], and its audit event is in the same commit as the effect.
//! What it does not know: protocols, clocks and files (both come through `pli-io`), and who may do what (the gate).
//!
//! Read [`permit`](Permit), then [`Store`], then `docs/design/store.md`.

mod error;
mod model;
mod permit;
mod store;
mod view;

pub use error::{Damaged, OpenError, StoreError};
pub use model::*;
pub use permit::{Committed, Durable, Grant, Mint, Permit};
pub use store::{IndexEngine, Prepared, Reader, Store, StoreOptions};
pub use view::{CHUNK_ENTRIES, Chunk, Difference, Entry, Snapshot, View};
