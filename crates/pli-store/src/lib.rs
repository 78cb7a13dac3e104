//! The encrypted mail store: an append-only log with an index over it.
//!
//! What it promises: a commit that was answered is there after any crash, byte for byte; what is damaged is found
//! and named; nothing is changed without a [`Permit`], and its audit event is in the same commit as the effect.
//! What it does not know: protocols, clocks and files (both come through `pli-io`), and who may do what (the gate).
//!
//! The way of a change: [`Store`] checks the permit and does what needs CPU (`change`, `body`); the operation waits in
//! the `queue`; the committer (`commit`) runs it as a `txn` over the index, writes the group to the `log` with one
//! fdatasync, applies its rows to the `index`, patches the `views`, answers. The way of a read: `read`, `queue_read`,
//! `audit_read`, straight from index and segments.
//!
//! Invariants are numbered in `docs/design/store.md` and tested by [`Store::verify`].
//!
//! Read [`permit`](Permit), then [`Store`], then `docs/design/store.md`.

mod across;
mod audit;
mod audit_read;
mod body;
mod change;
mod codec;
mod commit;
mod compact;
mod credential;
mod engine;
mod error;
mod fill;
mod history;
mod index;
mod keys;
mod limits;
mod log;
mod many;
mod model;
mod model_keys;
mod model_queue;
mod model_sharing;
mod moment;
mod open;
mod ops;
mod permit;
mod personal;
mod queue;
mod queue_read;
mod quota;
mod read;
mod rebuild;
mod repair;
mod rotate;
mod rows;
mod salvage;
mod saved;
mod search;
mod sharing;
mod snapshot;
mod store;
mod summary;
mod trace;
mod txn;
mod verify;
mod view;
mod views;
mod watches;

pub use body::Prepared;
pub use compact::{Compacted, Compaction};
pub use error::{Damaged, OpenError, PastError, StoreError};
#[doc(hidden)]
pub use index::bench::IndexBench;
#[doc(hidden)]
pub use index::faulty::{IndexCall, IndexFault};
pub use limits::{ANNOTATION_BYTES_MAX, MAILBOXES_MAX};
pub use many::Listed;
pub use model::*;
pub use model_keys::*;
pub use model_queue::*;
pub use model_sharing::{Group, Member, RightsChange, Subject};
pub use moment::Moment;
pub use permit::{Committed, Durable, Grant, Mint, Permit};
pub use read::Reader;
pub use rebuild::RebuildProgress;
pub use repair::{RepairOptions, RepairReport};
pub use salvage::Salvage;
pub use search::{Found, FuzzyQuery, IndexStep, Ranked, SearchField, Verdict};
pub use sharing::{Annotating, Sharing, Standing};
pub use store::{IndexEngine, Store, StoreOptions};
pub use view::{CHUNK_ENTRIES, Chunk, Difference, Entry, Snapshot, View};
