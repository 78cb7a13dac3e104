//! Named limits of the search index.

use crate::limits::CHUNK_BYTES;

/// Bytes of search segments kept in memory, all accounts together: what was looked at last. The parts of a segment
/// that one search needs are held for the time of the search, whatever their size.
pub(in crate::search) const SEARCH_CACHE_BYTES_MAX: usize = 256 << 20;
/// Milliseconds after which parts of search segments that nobody looks at go from memory.
pub(in crate::search) const SEARCH_CACHE_IDLE_MS: i64 = 15 * 60 * 1000;
/// Segments are read in pieces of this size: one chunk of a body, one chunk of a segment.
pub(in crate::search) const SEARCH_BLOCK_BYTES: u64 = CHUNK_BYTES as u64;
const _: () = assert!(CHUNK_BYTES == pli_search::CHUNK_BYTES, "a chunk of words is read with one chunk of a body");
/// Messages without an index that one step takes up.
pub(in crate::search) const SEARCH_STEP_MESSAGES: usize = 4096;
/// Original bytes that one step reads.
pub(in crate::search) const SEARCH_STEP_BYTES: u64 = 32 << 20;
/// Bytes that a step's segment may take while it is made.
pub(in crate::search) const SEARCH_STEP_MEMORY: usize = 96 << 20;
/// Messages from which on segments count as larger than the smallest.
pub(in crate::search) const SEARCH_TIER_MESSAGES: u32 = 64;
/// So many segments of about the same size are merged into one, and so much larger is the next size.
pub(in crate::search) const SEARCH_TIER_FACTOR: u32 = 4;
/// Larger messages are left out of the index and looked into at each search, as far as searching looks at all.
pub(in crate::search) const SEARCH_MESSAGE_BYTES_MAX: u64 = 256 << 20;
