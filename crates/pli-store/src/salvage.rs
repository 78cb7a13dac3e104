//! What is known of a message that does not open, for whoever serves a placeholder in its place.
//!
//! Damage hurts one message and hides no other: its reader asks here what the rows still say of it, and from then on all
//! answers about it agree, since the message is remembered as damaged.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pli_crypto::{CryptoError, Opened, SummaryKey, sha256};
use pli_mime::Summary;
use pli_types::{AccountId, Address, BodyId, ByteCount, EmailId, MailboxId, Uid, UnixMillis};

use crate::error::{Damaged, StoreError};
use crate::limits::{DAMAGED_MESSAGES_MAX, SUMMARIES_AGAIN_BYTES_MAX, SUMMARY_AGAIN_BYTES_MAX};
use crate::model::Account;
use crate::read::Reader;
use crate::rows::keys;
use crate::rows::mail::{BodyRow, MessageRow};
use crate::summary;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Messages that were found not to open since the store was opened.
#[derive(Default)]
pub(crate) struct DamagedMessages {
    any: AtomicBool,
    known: Mutex<HashSet<(AccountId, EmailId)>>,
}

impl DamagedMessages {
    fn contains(&self, account: AccountId, email: EmailId) -> bool {
        // Nearly always there is none, and nothing is locked.
        self.any.load(Ordering::Acquire) && self.known.lock().contains(&(account, email))
    }
    /// True the first time.
    pub(crate) fn insert(&self, account: AccountId, email: EmailId) -> bool {
        let mut known = self.known.lock();
        self.any.store(true, Ordering::Release);
        known.len() < DAMAGED_MESSAGES_MAX && known.insert((account, email))
    }
    /// Forgets all: something was mended.
    pub(crate) fn clear(&self) {
        let mut known = self.known.lock();
        known.clear();
        self.any.store(false, Ordering::Release);
    }
    pub(crate) fn len(&self) -> usize {
        self.known.lock().len()
    }
}

/// Summaries that were damaged and made again from the message, as sealed as they were: the message is not read each time.
#[derive(Default)]
pub(crate) struct SummariesAgain {
    any: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    summaries: HashMap<BodyId, Arc<[u8]>>,
    bytes: usize,
}

impl SummariesAgain {
    fn get(&self, body: BodyId) -> Option<Arc<[u8]>> {
        // Nearly always there is none, and nothing is locked.
        if self.any.load(Ordering::Acquire) { self.kept.lock().summaries.get(&body).cloned() } else { None }
    }
    fn put(&self, body: BodyId, sealed: Vec<u8>) {
        let mut kept = self.kept.lock();
        let Kept { summaries, bytes } = &mut *kept;
        *bytes = bytes.saturating_add(sealed.len());
        if *bytes > SUMMARIES_AGAIN_BYTES_MAX {
            summaries.clear();
            *bytes = sealed.len();
        }
        if let Some(before) = summaries.insert(body, sealed.into()) {
            *bytes = bytes.saturating_sub(before.len());
        }
        self.any.store(true, Ordering::Release);
    }
}

/// What is known of a message that does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvage {
    /// Within its account.
    pub email: EmailId,
    /// Whose.
    pub account: AccountId,
    /// Its body, if the message's row is there.
    pub body: Option<BodyId>,
    /// Original size, if the message's row is there.
    pub size: Option<ByteCount>,
    /// INTERNALDATE, if the message's row is there.
    pub received: Option<UnixMillis>,
    /// The account's address.
    pub address: Option<Address>,
    /// The account's language.
    pub language: String,
}

impl StoreError {
    /// Whether this is damage of one message: trying again will not help, and the rest is served. Keys that are not to
    /// be had now, an index in the making, a disk that fails are not.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Keys(error) => matches!(
                error,
                CryptoError::Open(_) | CryptoError::Malformed(_) | CryptoError::Version(..) | CryptoError::NoEpoch(_)
            ),
            // A segment that is not there.
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

impl Reader<'_> {
    /// Whether the message is known not to open.
    #[must_use]
    pub fn is_damaged(&self, email: EmailId) -> bool {
        self.engine.damaged.contains(self.account, email)
    }
    /// Remembers that a message does not open; true the first time, when it is to be logged and recorded.
    pub fn mark_damaged(&self, email: EmailId) -> bool {
        self.engine.damaged.insert(self.account, email)
    }
    /// Whether what did not open is damage: not while the index is being made again or the store has closed.
    pub fn confirm_damage(&self) -> Result<()> {
        self.engine.rows.check()
    }
    /// Whether the mailbox has an entry of this UID now. A message that is gone although its entry stands was lost.
    pub fn stands(&self, mailbox: MailboxId, uid: Uid) -> Result<bool> {
        Ok(self.view(mailbox)?.snapshot().by_uid(uid).is_some())
    }
    /// What the rows still say of a message.
    pub fn salvage(&self, email: EmailId) -> Result<Salvage> {
        let readable = |error: StoreError| if error.is_damage() { Ok(None) } else { Err(error) };
        let rows = self.index();
        let message: Option<MessageRow> = rows.load(&keys::message(self.account, email)).or_else(readable)?;
        let readable = |error: StoreError| if error.is_damage() { Ok(None) } else { Err(error) };
        let account: Option<Account> = self.engine.rows.load(&keys::account(self.account)).or_else(readable)?;
        Ok(Salvage {
            email,
            account: self.account,
            body: message.as_ref().map(|message| message.body),
            size: message.as_ref().map(|message| ByteCount::new(message.size)),
            received: message.as_ref().map(|message| message.received),
            language: account.as_ref().map_or_else(|| String::from("en"), |account| account.language.clone()),
            address: account.map(|account| account.address),
        })
    }
    /// Whether a message's bytes are those that came in, and how many they are; its summary must open too.
    pub(crate) fn original(&self, keys: &Opened, email: EmailId) -> Result<(bool, u64)> {
        let (message, body): (MessageRow, BodyRow) = self.rows(email)?;
        let bytes = self.read_body(keys, email, None)?;
        let digest = body.digest;
        if digest == [0; 32] {
            // A row that was made again: its chunks authenticate, and its summary is made of them.
            return Ok((true, bytes.len() as u64));
        }
        let key = self.message_key(keys, email, &message)?.derive_summary();
        self.own_summary(&key, message.body, body)?;
        Ok((sha256(&bytes) == digest, bytes.len() as u64))
    }
    /// The summary of a message whose own is damaged, made again from its bytes: those that came in, or none.
    pub fn summary_again(&self, keys: &Opened, email: EmailId) -> Result<Summary> {
        let (message, body): (MessageRow, BodyRow) = self.rows(email)?;
        if body.size > SUMMARY_AGAIN_BYTES_MAX {
            return Err(StoreError::Damaged(Damaged::Summary(message.body)));
        }
        let bytes = self.read_body(keys, email, None)?;
        // A row that was made again knows no digest.
        if body.digest != [0; 32] && sha256(&bytes) != body.digest {
            return Err(StoreError::Damaged(Damaged::Body(message.body)));
        }
        let made = pli_mime::summarise(&bytes, &pli_mime::Limits::default());
        let key = self.message_key(keys, email, &message)?.derive();
        let sealed = summary::seal_as(self.engine.keys.id, (message.body, summary::AGAIN), &key, &made);
        self.engine.summaries_again.put(message.body, sealed);
        Ok(made)
    }
    /// A damaged summary, if it was made again lately.
    pub(crate) fn summary_made_before(&self, key: &SummaryKey, body: BodyId) -> Result<Summary> {
        let engine = self.engine;
        let lost = || StoreError::Damaged(Damaged::Summary(body));
        let mut sealed = engine.summaries_again.get(body).ok_or_else(lost)?.to_vec();
        summary::open(engine.keys.id, &engine.decompressors, (body, summary::AGAIN), &mut sealed, key, usize::MAX)?
            .and_then(|encoded| Summary::decode(&encoded).ok())
            .ok_or_else(lost)
    }
}

impl crate::Store {
    /// Messages found not to open since the store was opened.
    #[must_use]
    pub fn damaged_messages(&self) -> u64 {
        self.engine().damaged.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_lost_for_good_is_damage() {
        assert!(StoreError::Damaged(Damaged::Row("body")).is_damage());
        assert!(StoreError::Keys(CryptoError::NoEpoch(3)).is_damage());
        assert!(StoreError::Io(io::ErrorKind::NotFound.into()).is_damage());
        // A placeholder would be kept by clients for ever: nothing passing may bring one about.
        for passing in [
            StoreError::Rebuilding,
            StoreError::Keys(CryptoError::Random),
            StoreError::Io(io::ErrorKind::Other.into()),
            StoreError::Stopped(String::new()),
            StoreError::NoMessage,
        ] {
            assert!(!passing.is_damage(), "{passing}");
        }
    }

    #[test]
    fn a_message_is_told_once() {
        let damaged = DamagedMessages::default();
        let (account, email) = (AccountId::new(1), EmailId::new(2));
        assert!(!damaged.contains(account, email));
        assert!(damaged.insert(account, email) && !damaged.insert(account, email));
        assert!(damaged.contains(account, email) && damaged.len() == 1);
        damaged.clear();
        assert!(!damaged.contains(account, email) && damaged.len() == 0);
    }
}
