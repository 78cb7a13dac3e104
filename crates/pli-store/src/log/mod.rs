//! The log: segments of frames, written by one writer, walked at start and by `verify`.

mod ahead;
pub(crate) mod batch;
pub(crate) mod frame;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod walk;
pub(crate) mod writer;

pub(crate) use segment::{FORMAT_OLDEST, FORMAT_VERSION};
