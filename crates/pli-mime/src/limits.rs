//! Every bound on what one message can make us do.

/// Bounds of [`crate::summarise`]. Past one of them the message is still summarised, with less detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parts in the tree; what follows is not described (its bytes stay in the enclosing part).
    pub parts_max: u32,
    /// Levels of multipart and message parts; a deeper one is a leaf.
    pub depth_max: u32,
    /// Bytes of one header block in which fields are looked for; the block's end is found all the same.
    pub header_bytes_max: u64,
    /// Fields of one header block that are looked at.
    pub header_fields_max: u32,
    /// Bytes of one string of envelope or structure; longer ones are cut.
    pub string_bytes_max: usize,
    /// Addresses of all envelopes of a message together.
    pub addresses_max: u32,
    /// Parameters of all parts of a message together.
    pub params_max: u32,
    /// The top header is kept whole in the summary up to this size; of a larger one, chosen fields up to this size.
    pub header_kept_bytes_max: usize,
    /// Bytes of all strings of a summary together; once full, strings are empty.
    pub arena_bytes_max: usize,
    /// Characters of the preview. RFC 8970 §3.1: at most 256.
    pub preview_chars_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parts_max: 1_000,
            depth_max: 50,
            header_bytes_max: 1 << 20,
            header_fields_max: 2_000,
            string_bytes_max: 16 << 10,
            addresses_max: 10_000,
            params_max: 10_000,
            header_kept_bytes_max: 8 << 10,
            arena_bytes_max: 1 << 20,
            preview_chars_max: 200,
        }
    }
}
