//! Rows about keys: how far a rotation is, how old an account's key is.

use pli_crypto::RootId;
use pli_types::UnixMillis;

use super::Row;
use crate::codec::{Reader, Writer};

/// A pass over all accounts that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyJob {
    /// When it began.
    pub(crate) started: UnixMillis,
    /// The root key that it brings everything under; of no meaning for a pass that renews account keys.
    pub(crate) root: RootId,
    /// Accounts up to this number are done.
    pub(crate) cursor: u64,
    /// Accounts passed.
    pub(crate) done: u64,
    /// Accounts that there were at the beginning.
    pub(crate) total: u64,
}

/// The state of the store's keys as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyState {
    /// The root key that everything is under, and since when; none before the first pass.
    pub(crate) root: Option<(RootId, u32, UnixMillis)>,
    /// A rotation of the root.
    pub(crate) root_job: Option<KeyJob>,
    /// A renewal of every account's key.
    pub(crate) account_job: Option<KeyJob>,
    /// Versions of the root key to keep once nothing is under older ones; 0 before the first pass.
    pub(crate) keep: u8,
}

fn write_job(w: &mut Writer, job: KeyJob) {
    w.i64(job.started.0).raw(&job.root.0).u64(job.cursor).u64(job.done).u64(job.total);
}

fn read_job(r: &mut Reader<'_>) -> Option<KeyJob> {
    Some(KeyJob {
        started: UnixMillis(r.i64()?),
        root: RootId(r.array()?),
        cursor: r.u64()?,
        done: r.u64()?,
        total: r.u64()?,
    })
}

impl Row for KeyState {
    const NAME: &'static str = "key state";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.option(self.root, |w, (root, version, since)| {
            w.raw(&root.0).u32(version).i64(since.0);
        });
        w.option(self.root_job, write_job);
        w.option(self.account_job, write_job).u8(self.keep);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            root: r.option(|r| Some((RootId(r.array()?), r.u32()?, UnixMillis(r.i64()?))))?,
            root_job: r.option(read_job)?,
            account_job: r.option(read_job)?,
            keep: r.u8()?,
        };
        r.end().map(|()| row)
    }
}

/// An account's key, where it is not as old as the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyAge {
    /// When it was made (for the row of an erasure: when that was asked for).
    pub(crate) made: UnixMillis,
    /// When the account got a secret of its own, if not when it was made: copies of the store from before have its key
    /// without one.
    pub(crate) secret_since: Option<UnixMillis>,
}

impl Row for KeyAge {
    const NAME: &'static str = "key age";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.i64(self.made.0).option(self.secret_since, |w, since| {
            w.i64(since.0);
        });
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { made: UnixMillis(r.i64()?), secret_since: r.option(|r| r.i64().map(UnixMillis))? };
        r.end().map(|()| row)
    }
}
