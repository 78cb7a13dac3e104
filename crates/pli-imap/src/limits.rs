//! Every bound on what one session can make us do, with the reply that the peer gets.

/// Bytes read from the peer at a time; the buffer stands on the stack only while bytes are taken over.
pub const READ_BYTES: usize = 16 * 1024;
/// The output buffer is sent when it has grown to this.
pub const FLUSH_BYTES: usize = 32 * 1024;
/// Bytes of a body that are read from the store and sent at a time.
pub const BODY_CHUNK_BYTES: u64 = 1024 * 1024;
/// Around damage in the midst of a long content, so much is read at a time: what does not open is left out.
pub const HOLE_BYTES: u64 = 64 * 1024;
/// Messages that one step of FETCH or SEARCH takes before others get their turn.
pub const BATCH_MESSAGES: usize = 128;
/// Summaries that one step of FETCH reads at most: what it asks first is little, so that the first answer is out at
/// once, and then grows to this.
pub const LISTED_MESSAGES: usize = 256;
/// And the little.
pub const LISTED_MESSAGES_FIRST: usize = 16;
/// A message in an APPEND is grown by what has come, not by what was announced; this much is reserved at most.
pub const APPEND_RESERVE_BYTES: usize = 1024 * 1024;
/// Commands in a row that were BAD before the session is closed with BYE.
pub const BAD_COMMANDS_COUNT_MAX: u32 = 30;
/// Names that RECURSIVEMATCH and wildcards may look at in one LIST; more mailboxes than an account can have.
pub const LIST_NAMES_COUNT_MAX: usize = 100_000;
/// Moments of the past that the patterns of one LIST may name: each may cost a walk through the log. `NO [LIMIT]`.
pub const LIST_MOMENTS_COUNT_MAX: usize = 4;
/// Steps that matching one LIST pattern may take. `*` backtracks, and a pattern of many is cut off as no match.
pub const PATTERN_STEPS_MAX: u32 = 100_000;
/// A session that was ended from outside has this long to say goodbye, whatever it is in the midst of.
pub const ENDED_GRACE_S: u64 = 5;
/// RFC 4978: compressed bytes read from the peer at a time, and compressed bytes that wait to be sent at most.
pub const DEFLATE_BYTES: usize = 16 * 1024;
/// What the peer sends may inflate to this much, and to [`INFLATE_TIMES_MAX`] times what came beyond it; more ends the
/// session. No mail compresses so well, only bombs.
pub const INFLATE_BYTES_FREE: u64 = 256 * 1024 * 1024;
/// See [`INFLATE_BYTES_FREE`].
pub const INFLATE_TIMES_MAX: u64 = 200;
/// A write that makes no progress for so long ends the session.
pub const WRITE_TIMEOUT_S: u64 = 300;
/// BINARY and decoded search look at this many bytes of one part.
pub const DECODE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A refused message that the client sends without waiting is read and dropped up to so many times the size limit;
/// for a larger one the session ends with `* BYE [TOOBIG]`.
pub const SKIP_TIMES_MAX: u64 = 4;
/// Messages that one APPEND may carry (RFC 3502); what they take together is bounded by the memory for messages that
/// are being appended. `NO [LIMIT]`.
pub const MULTIAPPEND_COUNT_MAX: usize = 200_000;
/// What a message costs beside its bytes while it waits for the others of its APPEND.
pub const APPEND_MESSAGE_BYTES: u64 = 1024;
/// RFC 2971 §3.3: bytes of a client's name that logs keep.
pub const CLIENT_NAME_BYTES_MAX: usize = 120;
/// A session may take so many times the configured time for a login in all before it has logged in, whatever it says
/// meanwhile; then `* BYE`.
pub const LOGIN_TIMES_MAX: u64 = 3;
/// Texts that one SEARCH may look for in whole messages (TEXT, BODY): each costs a pass over all of them. `NO [LIMIT]`.
pub const SEARCH_TEXTS_COUNT_MAX: usize = 32;
/// Texts of one SEARCH that the index is asked about; further ones are looked for in the messages that are left.
pub const INDEXED_TEXTS_COUNT_MAX: usize = 64;
/// Fewer messages than this are looked into one by one: that is quicker than asking the index.
pub const INDEX_ASK_MESSAGES_MIN: u32 = 32;
/// So many messages without an index make a session bring it up to date.
pub const INDEX_BEHIND_MESSAGES: u64 = 64;
/// Between two steps of indexing, as long a rest as the last step took, but no longer than this.
pub const INDEX_REST_MS_MAX: u64 = 5_000;
/// Before each step, indexing waits so long, and on while commands read many messages, up to the maximum.
pub const INDEX_WAY_MS: u64 = 50;
/// See [`INDEX_WAY_MS`].
pub const INDEX_WAY_MS_MAX: u64 = 3_000;
/// Searches of one session that are kept up to date (RFC 5267 §4.3.1). `* NO [NOUPDATE]`.
pub const CONTEXTS_COUNT_MAX: usize = 10;
/// Those of them that are sorted.
pub const SORTED_CONTEXTS_COUNT_MAX: usize = 2;
/// Results of such a search: more are not kept.
pub const CONTEXT_RESULTS_MAX: usize = 200_000;
/// Results of a sorted one, whose sort values are kept.
pub const CONTEXT_ROWS_MAX: usize = 10_000;
/// Messages that come at once and are looked into for such a search; when more come, its updates end.
pub const CONTEXT_TESTED_MAX: usize = 1_000;
/// Batches of fewer messages than this are made only where there are few batches. RFC 10022 §3. `NO [TOOFEW]`.
pub const BATCH_SIZE_MIN: u32 = 500;
/// That is few.
pub const BATCHES_COUNT_MAX: u32 = 1_000;
/// Mailboxes that one ESEARCH looks into. `NO [LIMIT]`.
pub const SEARCHED_MAILBOXES_MAX: usize = 1_000;
/// RFC 5466 §3.1: filters in filters; what is still one after so many passes is taken for none.
pub const FILTER_PASSES_MAX: usize = 4;
/// Search keys of one search with its filters. `NO [LIMIT]`.
pub const FILTERED_KEYS_COUNT_MAX: usize = 2_000;
/// RFC 9585 §3: a command that takes longer says so often how far it is.
pub const PROGRESS_S: u64 = 10;
/// Messages that an order made before is brought up to date by; with more of them all are compared anew.
pub const SORT_FRESH_MAX: usize = 64;
