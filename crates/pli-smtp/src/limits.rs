//! Every named limit of a session that is not a configuration key, with the reply that the peer gets.

/// A command line with its CRLF: `500 5.5.2`. RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it.
pub(crate) const LINE_BYTES_MAX: usize = 2048;
/// A line of a SASL exchange: `500 5.5.6`. RFC 4954 §4.
pub(crate) const AUTH_LINE_BYTES_MAX: usize = 12_288;
/// `Received` fields of a message: `554 5.4.6`. RFC 5321 §6.3: at least 100.
pub(crate) const RECEIVED_MAX: usize = 100;
/// Bytes of a message that is refused already and read to its end all the same, as a multiple of the largest message;
/// beyond it the connection is closed.
pub(crate) const DISCARD_FACTOR: u64 = 4;
/// Recipients that were refused in one session before it is closed with `421`.
pub(crate) const REFUSED_RECIPIENTS_MAX: u32 = 100;
/// Bytes of one read between messages.
pub(crate) const COMMAND_READ_BYTES: usize = 1024;
/// Bytes of one read of a message.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Capacity that a session keeps for its input between messages.
pub(crate) const IDLE_BYTES_MAX: usize = 4 * 1024;
/// Addresses in `From` that are looked at; more are refused.
pub(crate) const FROM_ADDRESSES_MAX: usize = 50;
/// Bytes from which a message is sealed off the async workers.
pub(crate) const PREPARE_INLINE_BYTES_MAX: usize = 128 * 1024;
