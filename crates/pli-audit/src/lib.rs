//! The audit log: events, the Merkle tree over them, checkpoints, proofs, verification.
//!
//! This crate does no I/O and reads no clock. It knows nothing of the store that keeps its bytes: entries, tiles and
//! checkpoints come in and go out as bytes, tiles through [`TileReader`].
//!
//! The way of an event: an [`Event`] is made beside its effect; at commit it gets its sequence and is sealed under the
//! key of its month and class ([`LogKey`]) to a [`SealedEvent`]; its [`Leaf`] commits to that *ciphertext*; the leaf's
//! hash goes into the [`Tree`]; now and then a [`Checkpoint`] of the tree is signed. A retention period ends by
//! destroying a month's key and its sealed events, while leaves, tree and checkpoints stay and stay valid.
//!
//! Standards: RFC 6962 §2.1 (tree and proofs), C2SP tlog-tiles, tlog-checkpoint, tlog-proof and signed-note.
//!
//! Invariants:
//! - An event's sequence is its index in the tree.
//! - An event holds no subject, no body and no bare address: accounts by id, other addresses by [`Pseudonym`].
//! - No decoder panics, whatever the bytes.
//!
//! A newcomer reads [`Event`], [`Leaf`], [`Tree`], then [`verify`].

mod bundle;
mod class;
mod entry_proof;
mod error;
mod event;
mod leaf;
mod note;
mod proof;
mod seal;
mod tile;
mod tree;
mod verify;

pub use bundle::{ENTRY_BYTES_MAX, decode_bundle, encode_bundle};
pub use class::{Class, LogKeyId, Month};
pub use entry_proof::EntryProof;
pub use error::{AuditError, Result};
pub use event::{EVENT_BYTES_MAX, Event, Object, Origin, Outcome, Party, Policy, Pseudonym, PseudonymKey, Status};
pub use leaf::{Hash, LEAF_BYTES, Leaf, leaf_hash, node_hash};
pub use note::{Checkpoint, NoteKey, NoteSigner};
pub use proof::{consistency_proof, inclusion_proof, root_from_tiles, verify_consistency, verify_inclusion};
pub use seal::{LogKey, SealedEvent};
pub use tile::{TILE_HASHES, Tile, TileId, TileReader, bundle_path};
pub use tree::{Tree, TreeState};
pub use verify::{Fault, Report, StoredEntry, Verifier, verify};
