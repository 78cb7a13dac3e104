//! Every named limit of the store.

/// Mailboxes of one account.
pub const MAILBOXES_MAX: u32 = 10_000;
/// App passwords of one account: each costs an HMAC at every proof of SCRAM.
pub(crate) const APP_PASSWORDS_MAX: usize = 50;
/// Entries of one message in mailboxes. COPY costs no quota, and without this a mailbox copied into itself a few times
/// has more entries than there is disk.
pub(crate) const MESSAGE_COPIES_MAX: u32 = 100;
/// Operations waiting for the committer; callers beyond it wait to enter.
pub(crate) const QUEUED_OPERATIONS_MAX: usize = 1024;
/// Operations of one group.
pub(crate) const GROUP_OPERATIONS_MAX: usize = 512;
/// Body bytes after which a group takes no further operation.
pub(crate) const GROUP_BYTES_MAX: u64 = 16 << 20;
/// Bytes of rows after which a group takes no further operation.
pub(crate) const GROUP_ROW_BYTES_MAX: u64 = 16 << 20;
/// Bytes of rows of one operation; one that changes more is refused before anything is written. A batch is one frame,
/// and no frame is over 1 GiB.
pub(crate) const OPERATION_ROW_BYTES_MAX: u64 = 256 << 20;
/// Plain bytes of a body's chunk.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// Entries of a mailbox in one row.
pub(crate) const BLOCK_ENTRIES: u32 = 32;
/// Rows that an operation on many messages reads at a time before it asks for them one by one.
pub(crate) const PRELOAD_ROWS: usize = 1024;
/// Messages from which on those that make them ready divide their work with a helper.
pub(crate) const PREPARE_SPLIT_MESSAGES: usize = 8;
/// Rows that the committer keeps decoded bytes of.
pub(crate) const ROW_CACHE_ROWS: usize = 8192;
/// Bytes of views that are kept, unless the configuration says otherwise: 32 MiB are a million messages.
pub(crate) const VIEW_BYTES_KEPT_MAX: u64 = 32 << 20;
/// Accounts whose delivery keys are kept.
pub(crate) const DELIVERY_KEYS_MAX: usize = 10_000;
/// Segment files kept open for reading.
pub(crate) const OPEN_SEGMENTS_MAX: usize = 128;
/// Wraps waiting to replace their seals.
pub(crate) const REWRAPS_MAX: usize = 10_000;
/// Wraps that are written in one go without waiting for the timer.
pub(crate) const REWRAPS_AT_ONCE: usize = 256;
/// Audit events noted and not yet written; one more is written by its caller's waiting.
pub(crate) const NOTES_MAX: usize = 100_000;
/// Events of the trace that wait for the next commit.
pub(crate) const TRACES_WAITING_MAX: usize = 10_000;
/// Bytes of one event of the trace.
pub(crate) const TRACE_BYTES_MAX: usize = 16 << 10;
/// Recipients that one event of the trace names.
pub(crate) const TRACE_RECIPIENTS_MAX: usize = 200;
/// Events of the trace that are removed in one commit.
pub(crate) const TRACE_SWEEP_MAX: usize = 2_000;
/// Queue rows whose change is told by name; beyond that everything is to be read again.
pub(crate) const QUEUE_NEWS_MAX: usize = 200_000;
/// Log bytes after which the index is flushed without waiting for the timer.
pub(crate) const FLUSH_LOG_BYTES: u64 = 256 << 20;
/// Milliseconds between flushes of the index.
pub(crate) const FLUSH_MS: u64 = 5_000;
/// Milliseconds that notes, wraps and checkpoints wait at most.
pub(crate) const IDLE_MS: u64 = 1_000;
/// Accounts whose epochs are made in one commit.
pub(crate) const EPOCH_ACCOUNTS: usize = 100;
/// Days before an epoch's beginning at which its keys are made.
pub(crate) const EPOCH_AHEAD_DAYS: i64 = 5;
/// Bytes of rows in one snapshot frame.
pub(crate) const SNAPSHOT_FRAME_BYTES: usize = 128 << 10;
/// Rows in one snapshot frame.
pub(crate) const SNAPSHOT_FRAME_ROWS: usize = 1024;
/// Milliseconds between two snapshot frames, so that a round is hardly felt.
pub(crate) const SNAPSHOT_PAUSE_MS: u64 = 20;
/// Log bytes after which a snapshot round begins, at least.
pub(crate) const SNAPSHOT_LOG_BYTES: u64 = 256 << 20;
/// The same as a multiple of the last round's bytes.
pub(crate) const SNAPSHOT_LOG_ROUNDS: u64 = 4;
/// Milliseconds that the past stays within reach unless the configuration says otherwise: 30 days.
pub(crate) const RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Moments of the past that are made at once, each of another account; others wait. Each reads a part of the log.
pub(crate) const MOMENTS_BUILDING_MAX: usize = 2;
/// Moments of the past kept for the next who asks, by number and by bytes of their rows.
pub(crate) const MOMENTS_KEPT_MAX: usize = 16;
/// Over it the ones used longest ago go.
pub(crate) const MOMENT_BYTES_KEPT_MAX: u64 = 64 << 20;
/// A moment that nobody has asked for so long is let go, in milliseconds.
pub(crate) const MOMENT_IDLE_MS: u64 = 10 * 60 * 1000;
/// Bytes of rows that are gathered, their last values kept, before they go into an index that is filled from the log.
pub(crate) const FILL_WINDOW_BYTES: usize = 24 << 20;
/// Rows of one batch while an index is filled.
pub(crate) const FILL_BATCH_ROWS: usize = 4096;
/// Messages remembered as damaged, so that all answers about one agree.
pub(crate) const DAMAGED_MESSAGES_MAX: usize = 10_000;
/// A damaged summary is made again from its message up to this size.
pub(crate) const SUMMARY_AGAIN_BYTES_MAX: u64 = 64 << 20;
/// Sealed bytes of such summaries that are remembered; then all are forgotten, and made again when they are asked for.
pub(crate) const SUMMARIES_AGAIN_BYTES_MAX: usize = 4 << 20;
/// An old segment with a smaller share of live bytes is rewritten.
pub(crate) const COMPACT_LIVE_PERCENT: u64 = 85;
/// Live bytes that one compaction in the background moves.
pub(crate) const COMPACT_CALL_BYTES: u64 = 1 << 30;
/// Bytes that one commit of a compaction moves.
pub(crate) const COMPACT_BATCH_BYTES: usize = 512 << 10;
/// Milliseconds past the retention window after which expired bytes go, whatever else their segment holds: 7 days.
pub(crate) const PURGE_GRACE_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Milliseconds by which the wall clock may run ahead of the monotonic one before nothing is purged any more.
pub(crate) const CLOCK_JUMP_MS: i64 = 5 * 60 * 1000;
/// Threads that help readers of many messages, over all sessions.
pub(crate) const READ_HELPERS_MAX: usize = 1;
/// Messages from which on a reader divides its work with a helper: a thread costs what ten messages cost.
pub(crate) const READ_SPLIT_MESSAGES: usize = 128;
/// Plain bytes of a summary that is read together with others: a header that is kept whole, and a structure. Larger
/// ones are read alone, so that a mailbox full of them does not fill memory.
pub(crate) const LISTED_SUMMARY_BYTES_MAX: usize = 12 << 10;
/// An index of sled that is larger than this many times the rows of the newest snapshot round is made again.
pub(crate) const INDEX_TIMES_MAX: u64 = 4;
/// One below these bytes is left as it is.
pub(crate) const INDEX_BYTES_MIN: u64 = 32 << 20;
/// Times that an index filled beside the one in use is brought up to date before the committer does the rest.
pub(crate) const REBUILD_ROUNDS_MAX: usize = 8;
/// Milliseconds that callers wait for an index that is being made again before they are told to try later.
pub(crate) const REBUILD_PATIENCE_MS: u64 = 3_000;
/// Milliseconds between two looks at whether it is there.
pub(crate) const REBUILD_WAIT_MS: u64 = 20;
/// Longest pause before an index that could not be made is tried again, in milliseconds.
pub(crate) const REBUILD_RETRY_MS_MAX: u64 = 30_000;
/// UIDs of one row of the history of expunges: five bytes each at most, so 40 KiB.
pub(crate) const EXPUNGED_ROW_UIDS_MAX: usize = 8192;
/// UIDs that a mailbox's history of expunges holds.
pub(crate) const HISTORY_UIDS_MAX: u64 = 16_384;
/// Its rows; beyond that the old ones become one.
pub(crate) const HISTORY_ROWS_MAX: u64 = 512;
/// Expunges that then stay apart.
pub(crate) const HISTORY_ROWS_KEPT: usize = 64;
/// Bytes of one sort of a verification that stay in memory; there are four.
pub(crate) const VERIFY_RUN_BYTES: usize = 16 << 20;
/// Rows and bytes that a verification reads of the index in one step, while commits wait.
pub(crate) const VERIFY_STEP_ROWS: usize = 512;
/// See [`VERIFY_STEP_ROWS`].
pub(crate) const VERIFY_STEP_BYTES: usize = 1 << 20;
/// Things found wrong that a report lists.
pub(crate) const DAMAGE_LISTED_MAX: usize = 10_000;
/// Rows that look missing, before the log's tail is asked about them.
pub(crate) const VERIFY_SUSPECTS_MAX: usize = 100_000;
/// Times that a body or an account which changes meanwhile is looked at again.
pub(crate) const VERIFY_TRIES_MAX: usize = 3;
/// Rows that one commit of a repair puts.
pub(crate) const REPAIR_COMMIT_ROWS: usize = 500;
/// Wrong rows beyond which the whole index is made again.
pub(crate) const REPAIR_ROWS_MAX: usize = 10_000;
/// UIDs of one row of what somebody has seen: three bytes each where mail is read in order.
pub(crate) const SEEN_BLOCK_UIDS: u32 = 256;
/// Entries of a mailbox's access control list.
pub(crate) const ACL_ENTRIES_MAX: usize = 128;
/// Accounts and groups that are members of a shared account.
pub(crate) const MEMBERS_MAX: usize = 1000;
/// Accounts in a group.
pub(crate) const GROUP_MEMBERS_MAX: usize = 10_000;
/// Groups.
pub(crate) const GROUPS_MAX: usize = 10_000;
/// Annotations of one mailbox or of the server, those of all and those of each account apart.
pub(crate) const ANNOTATIONS_MAX: usize = 32;
/// Bytes of one annotation.
pub const ANNOTATION_BYTES_MAX: usize = 4096;
