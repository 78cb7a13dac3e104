//! IMAP's grammar.
mod chars;
pub mod command;
pub mod limits;
mod sequence;
pub use command::*;
pub use sequence::{Bound, SequenceSet};
