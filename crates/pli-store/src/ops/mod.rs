//! What operations do to rows. Each runs in the committer, within a [`Txn`](crate::txn::Txn); what needs CPU (sealing,
//! compressing, summarising) was done by the caller before.

mod across;
mod append;
mod copy;
mod credential;
mod directory;
mod expunge;
mod flags;
mod history;
mod keys;
mod mailbox;
mod mend;
mod past;
mod queue;
mod search;
mod seen;
mod sharing;

pub(crate) use across::{End, Resealed};
pub(crate) use append::{Envelope, LocalPlace, NewEntry, RemotePlace};
pub(crate) use flags::Change;
pub(crate) use past::{PastEntry, PastMailbox};

use pli_types::{AccountId, Action, FlagSet, Keyword, MailboxId, Rights, SystemFlag, Uid};

use crate::error::StoreError;
use crate::model::Mailbox;
use crate::permit::Permit;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The account on whose mail a permit lets one act, if it is for one of these actions and this mailbox.
pub(crate) fn owner(permit: &Permit, actions: &[Action], mailbox: Option<MailboxId>) -> Result<AccountId> {
    let grant = permit.grant();
    let same_mailbox = grant.mailbox.is_none() || mailbox.is_none() || grant.mailbox == mailbox;
    if actions.contains(&grant.action) && same_mailbox {
        grant.account.ok_or(StoreError::WrongPermit)
    } else {
        Err(StoreError::WrongPermit)
    }
}

/// Checks a permit that is about no account, or about this one.
pub(crate) fn allowed(permit: &Permit, actions: &[Action], account: Option<AccountId>) -> Result<()> {
    let grant = permit.grant();
    let same_account = grant.account.is_none() || account.is_none() || grant.account == account;
    if actions.contains(&grant.action) && same_account { Ok(()) } else { Err(StoreError::WrongPermit) }
}

/// In whose name flags change, and which he may change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    /// Who, if the mailbox is not his own: then \Seen is kept for him alone.
    pub(crate) person: Option<AccountId>,
    rights: Rights,
}

impl By {
    /// The owner, or the server itself.
    pub(crate) const OWNER: Self = Self { person: None, rights: Rights::ALL };

    pub(crate) fn of(permit: &Permit) -> Self {
        Self { person: permit.person(), rights: permit.grant().rights }
    }
    /// RFC 4314 §4: the flags that he may change, as bits of a flag word.
    pub(crate) const fn may(self) -> u64 {
        const SEEN: u64 = SystemFlag::Seen.bit();
        const DELETED: u64 = SystemFlag::Deleted.bit();
        let mut bits = 0;
        if self.rights.has(Rights::SEEN) {
            bits |= SEEN;
        }
        if self.rights.has(Rights::TRASH) {
            bits |= DELETED;
        }
        if self.rights.has(Rights::WRITE) {
            bits |= !(SEEN | DELETED);
        }
        bits
    }
    /// Takes out of the flags of a new message those that he may not set, and \Seen where it is his alone; whether that
    /// was there.
    pub(crate) fn filter(self, flags: &mut FlagSet) -> bool {
        flags.system &= self.may();
        if !self.rights.has(Rights::WRITE) {
            flags.keywords.clear();
        }
        let seen = self.person.is_some() && flags.system & SystemFlag::Seen.bit() != 0;
        if seen {
            flags.system &= !SystemFlag::Seen.bit();
        }
        seen
    }
}

/// UIDs in order, each once.
fn ascending(uids: &[Uid]) -> Vec<Uid> {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// Bit of the first keyword in a flag word.
const KEYWORD_BIT: usize = 5;

/// The bits of keywords in a mailbox; with `add`, those it lacks are added to its table.
fn keyword_bits(mailbox: &mut Mailbox, keywords: &[Keyword], add: bool) -> Result<u64> {
    let mut bits = 0;
    for keyword in keywords {
        let known = mailbox.keywords.iter().position(|k| k == keyword);
        let place = match known {
            Some(place) => place,
            None if !add => continue,
            None => {
                if mailbox.keywords.len() >= pli_types::FLAGS_MAX_KEYWORDS {
                    return Err(StoreError::Limit("keywords of the mailbox"));
                }
                let mut table = mailbox.keywords.to_vec();
                table.push(keyword.clone());
                mailbox.keywords = table.into();
                mailbox.keywords.len().saturating_sub(1)
            }
        };
        bits |= 1_u64 << (KEYWORD_BIT.saturating_add(place).min(63));
    }
    Ok(bits)
}

/// A flag word of one mailbox in the keyword table of another.
fn translate(flags: u64, from: &Mailbox, to: &mut Mailbox) -> Result<u64> {
    let system: u64 = SystemFlag::ALL.into_iter().map(SystemFlag::bit).sum();
    let keywords: Vec<Keyword> = from
        .keywords
        .iter()
        .zip(KEYWORD_BIT..)
        .filter(|(_, bit)| flags >> bit & 1 == 1)
        .map(|(keyword, _)| keyword.clone())
        .collect();
    Ok(flags & system | keyword_bits(to, &keywords, true)?)
}

/// Counts one entry in or out of a mailbox's row.
fn count(mailbox: &mut Mailbox, flags: u64, size: u64, add: bool) {
    let step = |value: u32, on: bool| match (on, add) {
        (false, _) => value,
        (true, true) => value.saturating_add(1),
        (true, false) => value.saturating_sub(1),
    };
    mailbox.messages = step(mailbox.messages, true);
    mailbox.unseen = step(mailbox.unseen, flags & SystemFlag::Seen.bit() == 0);
    mailbox.deleted = step(mailbox.deleted, flags & SystemFlag::Deleted.bit() != 0);
    let bytes = mailbox.bytes.get();
    mailbox.bytes =
        pli_types::ByteCount::new(if add { bytes.saturating_add(size) } else { bytes.saturating_sub(size) });
}
