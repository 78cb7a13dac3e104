//! What can go wrong in the store, and whose fault it is.

use pli_types::{AccountId, ByteCount, QueueId, UnixMillis};
use thiserror::Error;

impl From<pli_search::Damaged> for StoreError {
    fn from(_: pli_search::Damaged) -> Self {
        Self::Damaged(Damaged::Row("search segment"))
    }
}

/// Errors of reading and changing.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No such account.
    #[error("no account {0}")]
    NoAccount(AccountId),
    /// No such mailbox.
    #[error("no such mailbox")]
    NoMailbox,
    /// No such message.
    #[error("no such message")]
    NoMessage,
    /// No such queue row.
    #[error("no queue entry {0}")]
    NoQueueRow(QueueId),
    /// Something of this name is there.
    #[error("{0} exists already")]
    Exists(String),
    /// Nothing of this name is there.
    #[error("{0} does not exist")]
    Missing(String),
    /// INBOX cannot be deleted, a mailbox cannot move below itself, and the like.
    #[error("not possible: {0}")]
    Impossible(&'static str),
    /// The quota would not hold.
    #[error("over quota ({used} bytes used)")]
    OverQuota {
        /// In use now.
        used: ByteCount,
    },
    /// A named limit (keywords of a mailbox, mailboxes of an account).
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// The permit is for something else: a defect in the caller, refused all the same.
    #[error("the permit does not cover this")]
    WrongPermit,
    /// Bytes on disk that do not authenticate or decode. The rest is served.
    #[error("damaged: {0}")]
    Damaged(Damaged),
    /// A moment of the past that cannot be had.
    #[error("{0}")]
    Past(#[from] PastError),
    /// Keys for this are not open, or do not fit.
    #[error("the keys do not open this: {0}")]
    Keys(#[from] pli_crypto::CryptoError),
    /// The disk is full; nothing was changed.
    #[error("the disk is full")]
    DiskFull,
    /// The limit of open files is reached; nothing was changed.
    #[error("no file can be opened, the limit of open files is reached")]
    NoFiles,
    /// The log failed; the store takes no more commits until it is opened again.
    #[error("the store has stopped taking changes: {0}")]
    Stopped(String),
    /// The index is being made again; try later.
    #[error("the index is being rebuilt")]
    Rebuilding,
    /// A new index could not be made.
    #[error("the index: {0}")]
    Index(String),
    /// Reading a file failed.
    #[error("reading the store: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a moment of the past, or something in it, cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PastError {
    /// Before the retention window.
    #[error("the past is not kept for so long")]
    TooOld {
        /// The earliest moment that can be had.
        earliest: UnixMillis,
    },
    /// Not yet.
    #[error("this moment is not past yet")]
    Future,
    /// The bytes of a message went for good: the window has moved on since the moment was opened.
    #[error("the message is gone for good")]
    Gone,
}

/// What is damaged, by place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// A frame of the log.
    #[error("frame at {offset} of segment {segment}")]
    Frame {
        /// Segment number.
        segment: u32,
        /// Byte offset.
        offset: u64,
    },
    /// A row of the index.
    #[error("{0} row")]
    Row(&'static str),
    /// A body that does not open.
    #[error("body {0}")]
    Body(pli_types::BodyId),
    /// A summary that does not open.
    #[error("summary of body {0}")]
    Summary(pli_types::BodyId),
}

/// Errors of opening a store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nothing there.
    #[error("there is no store in {0}; `pli quickstart` makes one")]
    NoStore(String),
    /// Something is there already.
    #[error("there is a store in {0} already")]
    AlreadyThere(String),
    /// Another process has it.
    #[error("the store is open in process {pid}")]
    InUse {
        /// Its process id, 0 when unknown.
        pid: u32,
    },
    /// The root key is not this store's.
    #[error("the root key does not open this store")]
    WrongKey,
    /// The key store does not answer, or refuses to be used.
    #[error("{0}")]
    Keys(pli_crypto::CryptoError),
    /// Written by a later version.
    #[error("the store has format {found}, this program knows {known}")]
    Format {
        /// On disk.
        found: u32,
        /// Newest known.
        known: u32,
    },
    /// The store's own header is damaged.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A file failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The index could not be opened nor made again.
    #[error("the index: {0}")]
    Index(String),
}
