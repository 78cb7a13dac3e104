//! Invariant: what somebody has seen of another's mailbox is of messages that are there, and counted rightly.

use std::collections::BTreeSet;

use pli_types::{AccountId, MailboxId};

use crate::engine::Engine;
use crate::error::StoreError;
use crate::index::Next;
use crate::rows::mail::EntryBlock;
use crate::rows::sharing::{SeenBlock, SeenHead};
use crate::rows::{decode, keys};

/// What is wrong with the marks of a mailbox, by whose they are.
pub(super) fn wrong_marks(engine: &Engine, mailbox: MailboxId) -> Result<Vec<(AccountId, String)>, StoreError> {
    let rows = &engine.rows;
    let heads = rows.list::<SeenHead>(&keys::seen_heads(mailbox))?;
    let mut wrong = Vec::new();
    if heads.is_empty() {
        return Ok(wrong);
    }
    let mut there = BTreeSet::new();
    rows.scan(&keys::entries(mailbox), None, |_, value| {
        there.extend(decode::<EntryBlock>(&value)?.0.iter().map(|stored| stored.entry.uid));
        Ok(Next::More)
    })?;
    for (key, head) in heads {
        let person = AccountId::new(key.number(9));
        let (mut seen, mut stray, mut late) = (0_u32, 0_u32, 0_u32);
        rows.scan(&keys::seen_blocks(mailbox, person), None, |_, value| {
            for mark in decode::<SeenBlock>(&value)?.0 {
                seen = seen.saturating_add(u32::from(mark.seen));
                stray = stray.saturating_add(u32::from(!there.contains(&mark.uid)));
                late = late.saturating_add(u32::from(mark.modseq > head.highest));
            }
            Ok(Next::More)
        })?;
        if (seen, stray, late) != (head.seen, 0, 0) {
            let counted = head.seen;
            wrong.push((
                person,
                format!("counted {counted} seen by account {person}, there are {seen}, {stray} of no message, {late} newer than the newest"),
            ));
        }
    }
    Ok(wrong)
}
