//! COPY and MOVE between accounts: a message becomes one of the other account, with its key sealed for that one. No body
//! is touched.

use std::collections::BTreeSet;

use pli_crypto::KeyWrap;
use pli_types::{AccountId, EmailId, MailboxId, SystemFlag, Uid, UidValidity};

use super::append::{charge, next_uid};
use super::{By, Result, count, translate};
use crate::rows::keys;
use crate::rows::mail::MessageRow;
use crate::rows::sharing::Seen;
use crate::txn::Txn;
use crate::view::Entry;

const SEEN: u64 = SystemFlag::Seen.bit();

/// A message with its key sealed for the account that it goes to.
pub(crate) struct Resealed {
    pub(crate) uid: Uid,
    pub(crate) email: EmailId,
    pub(crate) wrap: KeyWrap,
}

/// A mailbox of an account, and who acts on it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) by: By,
}

impl Txn<'_> {
    /// Copies or moves messages (ascending by UID) to another account, which pays for them. Those that went meanwhile
    /// are left out.
    pub(crate) fn copy_across(
        &mut self,
        from: End,
        messages: &[Resealed],
        to: End,
        is_move: bool,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>)> {
        let mut source = self.mailbox(from.account, from.mailbox)?;
        let mut state = self.state(to.account)?;
        let mut target = self.mailbox(to.account, to.mailbox)?;
        let asked: Vec<Uid> = messages.iter().map(|message| message.uid).collect();
        let marked = match from.by.person {
            Some(person) => self.seen_of(from.mailbox, person, &asked)?,
            None => std::collections::BTreeMap::new(),
        };
        let entries = self.entries(from.mailbox, Some(&asked))?;
        let modseq = Self::next_modseq(&mut state);
        let (mut pairs, mut marks, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let resealed = messages.binary_search_by_key(&entry.uid, |message| message.uid).ok();
            let Some(resealed) = resealed.and_then(|at| messages.get(at)).filter(|m| m.email == entry.email) else {
                continue;
            };
            let Some(message) = self.message_or_lost(&keys::message(from.account, entry.email))? else { continue };
            charge(&mut state, message.size)?;
            self.revive_body(message.body)?;
            state.next_email = state.next_email.saturating_add(1);
            let email = EmailId::new(state.next_email);
            let row = MessageRow { refs: 1, thread: 0, wrap: resealed.wrap, ..message };
            self.put(keys::message(to.account, email), &row);
            let seen = match from.by.person {
                None => entry.flags & SEEN != 0,
                Some(_) => marked.get(&entry.uid.get()).is_some_and(|mark| mark.seen),
            };
            let word = (entry.flags & !SEEN | if seen { SEEN } else { 0 }) & to.by.may();
            let mut flags = translate(word, &source, &mut target)?;
            let uid = next_uid(&mut target)?;
            if to.by.person.is_some() && flags & SEEN != 0 {
                flags &= !SEEN;
                marks.push(Seen { uid, seen: true, modseq });
            }
            self.append_entry(target.id, Entry { uid, email, modseq, flags })?;
            count(&mut target, flags, message.size, true);
            pairs.push((entry.uid, uid));
            sizes.push((entry, message.size));
        }
        if pairs.is_empty() {
            return Ok((target.uid_validity, pairs));
        }
        target.highest_modseq = modseq;
        if let Some(person) = to.by.person.filter(|_| !marks.is_empty()) {
            self.put_seen(target.id, person, &marks)?;
        }
        self.put_mailbox(&target);
        self.put_state(to.account, &state);
        if is_move {
            let mut state = self.state(from.account)?;
            let modseq = Self::next_modseq(&mut state);
            let gone: Vec<Uid> = pairs.iter().map(|(uid, _)| *uid).collect::<BTreeSet<_>>().into_iter().collect();
            self.edit_entries(from.mailbox, Some(&gone), |_| None)?;
            for (entry, size) in sizes {
                self.release_entry(from.account, &mut state, entry)?;
                count(&mut source, entry.flags, size, false);
            }
            source.highest_modseq = modseq;
            self.note_expunged(from.mailbox, modseq, &gone)?;
            self.put_mailbox(&source);
            self.put_state(from.account, &state);
        }
        Ok((target.uid_validity, pairs))
    }
}
