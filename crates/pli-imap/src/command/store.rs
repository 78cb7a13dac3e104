//! STORE and UID STORE. RFC 9051 §6.4.6, RFC 7162 §3.1.3 (UNCHANGEDSINCE).

use pli_imap_proto::{Code, MessageSet, StoreAction};
use pli_store::{Entry, FlagMode, Flagged, Snapshot};
use pli_types::{Action, FlagSet, ModSeq, Rights, SystemFlag};

use crate::fail::{Fail, Reply, ReplyCode};
use crate::pick::{Picked, pick};
use crate::picture::{FlagPrinter, Show, write_flags};
use crate::session::Session;

/// What STORE asks.
pub struct Change {
    /// Replace, add or remove.
    pub action: StoreAction,
    /// `.SILENT`
    pub silent: bool,
    /// Which.
    pub flags: FlagSet,
    /// RFC 7162 §3.1.3
    pub unchanged_since: Option<ModSeq>,
}

impl Change {
    /// RFC 4314 §4: the rights of which each lets some of the flags be changed; none where no flag is named.
    fn needs(&self) -> Option<Rights> {
        if self.action == StoreAction::Replace {
            return Some(Rights::SEEN.with(Rights::TRASH).with(Rights::WRITE));
        }
        let word = self.flags.system;
        let (seen, deleted) = (SystemFlag::Seen.bit(), SystemFlag::Deleted.bit());
        let mut needs = Rights::NONE;
        if word & seen != 0 {
            needs = needs.with(Rights::SEEN);
        }
        if word & deleted != 0 {
            needs = needs.with(Rights::TRASH);
        }
        if word & !(seen | deleted) != 0 || !self.flags.keywords.is_empty() {
            needs = needs.with(Rights::WRITE);
        }
        (!needs.is_empty()).then_some(needs)
    }
}

pub async fn run(session: &mut Session, uid: bool, set: &MessageSet, change: Change) -> Result<Reply, Fail> {
    let open = session.open()?;
    if open.read_only {
        return Err(Fail::No(Some(Code::NoPerm), "The mailbox is open read-only"));
    }
    let rights = session.rights(&open)?;
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let mut picked = pick(&open.picture, uid, set, &saved)?;
    if change.unchanged_since.is_some() {
        // RFC 7162 §3.1: a CONDSTORE-enabling command.
        session.enabled.condstore = true;
    }
    let lowest = picked.limit(&open.picture, session.message_limit());
    if lowest.is_some() && change.unchanged_since.is_some() {
        // The answer has room for one code, and MODIFIED must not be lost.
        session.check_message_limit(usize::MAX)?;
    }
    let uids = picked.uid_list(&open.picture);
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to change"));
    }
    let mode = match change.action {
        StoreAction::Replace => FlagMode::Replace,
        StoreAction::Add => FlagMode::Add,
        StoreAction::Remove => FlagMode::Remove,
    };
    // RFC 4314 §4: NO only where none of the flags may be changed.
    if change.needs().is_some_and(|needs| !rights.has_any(needs)) {
        return Err(Fail::No(Some(Code::NoPerm), "You may not change these flags"));
    }
    let permit = session.admit_on(Action::Store, &open)?;
    let store = session.store();
    let flagged =
        store.change_flags(permit, open.mailbox, uids, mode, change.flags.clone(), change.unchanged_since).await?.value;
    echo(session, uid, &picked, &open.picture, &change, &flagged).await?;
    let reply = modified(session, uid, &flagged);
    Ok(session.or_limited(reply, lowest))
}

/// RFC 7162 §3.1.3: the messages that failed, by UID for UID STORE.
fn modified(session: &mut Session, uid: bool, flagged: &Flagged) -> Reply {
    if flagged.modified.is_empty() {
        return Reply::ok("STORE done");
    }
    let numbers = match session.selected() {
        Some(selected) if !uid => flagged.modified.iter().filter_map(|uid| selected.picture.number_of(*uid)).collect(),
        _ => flagged.modified.iter().map(|uid| uid.get()).collect(),
    };
    Reply::ok_code(ReplyCode::Modified(numbers), "Some messages had changed")
}

/// Tells the new flags of what was changed, and what others did meanwhile.
async fn echo(
    session: &mut Session,
    uid: bool,
    picked: &Picked,
    before: &Snapshot,
    change: &Change,
    flagged: &Flagged,
) -> Result<(), Fail> {
    let enabled = session.enabled;
    let Some(selected) = session.selected() else { return Ok(()) };
    let newest = selected.current.borrow().clone();
    let mask = word(&newest, &change.flags);
    // The store's answer is in the order of UIDs.
    let own = |entry: &Entry| flagged.uids.binary_search(&entry.uid).is_ok();
    // Silent says nothing of flags that are as the client asked; if another session changed them too, it is told.
    let expected = |entry: &Entry| {
        let old = before.by_uid(entry.uid).map_or(0, |old| old.flags);
        let wanted = match change.action {
            StoreAction::Replace => mask,
            StoreAction::Add => old | mask,
            StoreAction::Remove => old & !mask,
        };
        wanted == entry.flags
    };
    session.tell_showing(false, |entry| {
        if !own(entry) {
            (true, Show::Flags)
        } else if change.silent && expected(entry) {
            (uid, Show::ModSeq)
        } else if change.silent {
            // RFC 9051 §7.5.2: nobody asked for this answer, so it has the UID.
            (true, Show::Flags)
        } else {
            // Written below, in the order of the set, whether they changed or not.
            (uid, Show::Nothing)
        }
    });
    if change.silent {
        return Ok(());
    }
    let Some(picture) = session.selected().map(|selected| std::sync::Arc::clone(&selected.picture)) else {
        return Ok(());
    };
    let mut printer = FlagPrinter::default();
    for (number, entry) in picked.entries(&picture).filter(|(_, entry)| own(entry)) {
        write_flags(&mut session.wire.out, &mut printer, enabled, &picture, number, &entry, (uid, Show::Flags));
        session.wire.flush_if_full().await?;
    }
    Ok(())
}

/// The flags as a word over the mailbox's keywords.
fn word(snapshot: &Snapshot, flags: &FlagSet) -> u64 {
    let mut word = flags.system;
    for (at, keyword) in (5u32..).zip(snapshot.keywords.iter()) {
        if flags.keywords.contains(keyword) {
            word |= 1u64.checked_shl(at).unwrap_or(0);
        }
    }
    word
}
