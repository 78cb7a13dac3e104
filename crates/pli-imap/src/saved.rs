//! Save dates of a mailbox's messages (RFC 8514), read some hundred at a time.

use std::sync::{Mutex, PoisonError};

use pli_store::{Reader, StoreError};
use pli_types::{MailboxId, Uid, UnixMillis};

/// Dates that are read at a time.
const WINDOW_COUNT: usize = 512;

/// Save dates for somebody who goes through a mailbox in UID order.
pub struct SaveDates<'a> {
    reader: Reader<'a>,
    mailbox: MailboxId,
    last: Uid,
    /// Rising UIDs.
    window: Mutex<Vec<(Uid, UnixMillis)>>,
}

impl<'a> SaveDates<'a> {
    /// Of the messages up to `last`. Nothing is read yet.
    pub const fn new(reader: Reader<'a>, mailbox: MailboxId, last: Uid) -> Self {
        Self { reader, mailbox, last, window: Mutex::new(Vec::new()) }
    }

    /// A message's save date; none for one that is gone.
    pub fn get(&self, uid: Uid) -> Result<Option<UnixMillis>, StoreError> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let within = matches!((window.first(), window.last()), (Some(a), Some(b)) if a.0 <= uid && uid <= b.0);
        if !within {
            *window = self.reader.saved_from(self.mailbox, uid, self.last, WINDOW_COUNT)?;
        }
        let at = window.binary_search_by_key(&uid, |(uid, _)| *uid);
        Ok(at.ok().and_then(|at| window.get(at)).map(|(_, saved)| *saved))
    }
}
