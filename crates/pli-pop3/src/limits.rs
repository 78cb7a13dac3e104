//! Every named limit of a session that is not a configuration key, with the reply that the peer gets.

/// A command line with its end: `-ERR`. RFC 2449 §4 asks for 255; names and passwords may be longer.
pub const LINE_BYTES_MAX: usize = 1024;
/// A line of a SASL exchange, which may hold a token: `-ERR`.
pub const AUTH_LINE_BYTES_MAX: usize = 32 * 1024;
/// Messages that a session lists: the oldest ones. The next session sees more when those are removed.
pub(crate) const MESSAGES_MAX: usize = 100_000;
/// Messages whose sizes are read at a time.
pub(crate) const SIZES_AT_ONCE: usize = 1_000;
/// Bytes of one read.
pub(crate) const READ_BYTES: usize = 1024;
/// Bytes of a message that are opened and sent at a time.
pub(crate) const CHUNK_BYTES: u64 = 64 * 1024;
/// Bytes of answers that wait for one write.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Logins of one connection that are checked: a name and a password each.
pub(crate) const NAME_BYTES_MAX: usize = 320;
