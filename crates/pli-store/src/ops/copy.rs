//! COPY and MOVE: rows only, no body is touched.

use pli_types::{AccountId, MailboxId, SystemFlag, Uid, UidValidity};

use super::append::next_uid;
use super::{By, Result, count, translate};
use crate::error::StoreError;
use crate::limits::{MESSAGE_COPIES_MAX, PRELOAD_ROWS};
use crate::rows::keys;
use crate::txn::Txn;
use crate::view::Entry;

impl Txn<'_> {
    /// Copies or moves the UIDs that exist. RFC 9051 §6.4.7, RFC 6851.
    pub(crate) fn copy_or_move(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: Option<&[Uid]>,
        to: MailboxId,
        is_move: bool,
        by: By,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>)> {
        let mut state = self.state(account)?;
        let mut source = self.mailbox(account, from)?;
        let mut target = self.mailbox(account, to)?;
        let sorted: Option<Vec<Uid>> = uids.map(super::ascending);
        let entries = self.entries(from, sorted.as_deref())?;
        if entries.is_empty() {
            return Ok((target.uid_validity, Vec::new()));
        }
        let modseq = Self::next_modseq(&mut state);
        let mut copied = Vec::with_capacity(entries.len());
        let mut sizes = Vec::with_capacity(entries.len());
        let mut added = Vec::with_capacity(entries.len());
        for (place, entry) in entries.iter().enumerate() {
            if place.is_multiple_of(PRELOAD_ROWS) {
                self.preload_messages(account, entries.get(place..).unwrap_or_default())?;
            }
            let key = keys::message(account, entry.email);
            let message = self.message_or_lost(&key)?;
            if let Some(mut message) = message.filter(|_| !is_move) {
                if message.refs >= MESSAGE_COPIES_MAX {
                    return Err(StoreError::Limit("copies of one message"));
                }
                message.refs = message.refs.saturating_add(1);
                self.put(key, &message);
            } else if !is_move {
                // Lost by damage: there is nothing to copy.
                continue;
            }
            let size = message.map_or(0, |message| message.size);
            // The owner's \Seen is not the copier's to set or to lose.
            let kept = if by.person.is_some() { by.may() | SystemFlag::Seen.bit() } else { by.may() };
            let flags = translate(entry.flags & kept, &source, &mut target)?;
            let uid = next_uid(&mut target)?;
            added.push(Entry { uid, email: entry.email, modseq, flags });
            count(&mut target, flags, size, true);
            copied.push((entry.uid, uid));
            sizes.push((*entry, size));
        }
        self.append_entries(to, &added)?;
        target.highest_modseq = modseq;
        self.carry_seen(from, to, &copied, modseq, by)?;
        if is_move {
            // A move within one mailbox gives new UIDs there.
            let source = if from == to { &mut target } else { &mut source };
            let gone: Vec<Uid> = entries.iter().map(|entry| entry.uid).collect();
            self.edit_entries(from, Some(&gone), |_| None)?;
            for (entry, size) in sizes {
                count(source, entry.flags, size, false);
            }
            source.highest_modseq = modseq;
            self.note_expunged(from, modseq, &gone)?;
            let source = source.clone();
            self.put_mailbox(&source);
        }
        self.put_mailbox(&target);
        self.put_state(account, &state);
        Ok((target.uid_validity, copied))
    }
}
