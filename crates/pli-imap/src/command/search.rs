//! SEARCH and UID SEARCH. RFC 9051 §6.4.4, RFC 7162 §3.1.5 (MODSEQ).

use pli_crypto::Opened;
use pli_imap_proto::{ESearch, Search, SearchKey, SearchReturn, Tag};
use pli_store::{Entry, Reader, Snapshot, StoreError};
use pli_types::{Action, ModSeq};

use crate::fail::{Fail, Reply};
use crate::indexing::{self, Mail};
use crate::limits::{BATCH_MESSAGES, INDEX_ASK_MESSAGES_MIN, INDEX_BEHIND_MESSAGES};
use crate::message::{Message, off_worker, retried};
use crate::search::{Candidate, Ground, Test, compile};
use crate::session::Session;

pub async fn run(session: &mut Session, tag: &Tag, uid: bool, search: Search) -> Result<Reply, Fail> {
    if names_modseq(&search.key) {
        // RFC 7162 §3.1: a CONDSTORE-enabling command.
        session.enabled.condstore = true;
    }
    let save = search.returns.is_some_and(|returns| returns.save);
    let result = find(session, &search).await;
    if save && let Some(selected) = session.selected() {
        // RFC 9051 §6.4.4.1: a search that fails leaves an empty result.
        selected.saved = match &result {
            Ok(found) => kept(search.returns.unwrap_or_default(), found),
            Err(_) => Vec::new(),
        };
    }
    write(session, tag, uid, &search, &result?);
    Ok(Reply::ok("SEARCH done"))
}

/// RFC 5182 §2.4: with MIN or MAX and neither ALL nor COUNT only these are saved.
fn kept(returns: SearchReturn, found: &[(u32, Entry)]) -> Vec<pli_types::Uid> {
    let only_ends = (returns.min || returns.max) && !returns.all && !returns.count;
    if !only_ends {
        return found.iter().map(|(_, entry)| entry.uid).collect();
    }
    let first = found.first().filter(|_| returns.min);
    let last = found.last().filter(|_| returns.max);
    let mut uids: Vec<_> = first.into_iter().chain(last).map(|(_, entry)| entry.uid).collect();
    uids.dedup();
    uids
}

fn write(session: &mut Session, tag: &Tag, uid: bool, search: &Search, found: &[(u32, Entry)]) {
    let numbers: Vec<u32> = found.iter().map(|(number, entry)| if uid { entry.uid.get() } else { *number }).collect();
    let with_modseq = names_modseq(&search.key) && session.enabled.condstore;
    let highest = |entries: &[(u32, Entry)]| entries.iter().map(|(_, entry)| entry.modseq).max();
    let modseq: Option<ModSeq> = if with_modseq { highest(found) } else { None };
    let returns = match search.returns {
        // RFC 9051 §6.4.4: rev2 answers with ESEARCH always.
        None if session.enabled.rev2 => SearchReturn { all: true, ..SearchReturn::default() },
        None => return session.wire.out.search(&numbers, modseq),
        Some(returns) => returns,
    };
    if returns.save && !(returns.min || returns.max || returns.all || returns.count) {
        // RFC 5182 §2.1: SAVE alone gives no answer.
        return;
    }
    session.wire.out.esearch(&ESearch {
        tag: Some(tag),
        uid,
        min: numbers.first().copied().filter(|_| returns.min),
        max: numbers.last().copied().filter(|_| returns.max),
        count: returns.count.then_some(numbers.len() as u64),
        all: returns.all.then_some(&numbers),
        modseq,
    });
}

fn names_modseq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(names_modseq),
        SearchKey::Or(a, b) => names_modseq(a) || names_modseq(b),
        SearchKey::Not(key) => names_modseq(key),
        _ => false,
    }
}

/// The messages that pass, in the picture's order.
pub async fn find(session: &mut Session, search: &Search) -> Result<Vec<(u32, Entry)>, Fail> {
    let open = session.open()?;
    let permit = session.admit_on(Action::Search, &open)?;
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let now = session.service.clock.now();
    let ground = Ground { picture: &open.picture, saved: &saved, now };
    let mut test = compile(&search.key, search.charset.as_deref(), &ground)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let keys = &open.keys;
    let finder = Finder { reader, keys };
    // The index is of the present: what a message of the past says is read from it.
    let indexed = open.past.is_none();
    if indexed && test.cost() > 0 && finder.worth_asking(&test, &open.picture) {
        off_worker(|| test.ask(&mut |field, text| reader.search(keys, field, text)))?;
    }
    let mut so_far = SoFar::default();
    let mut entries = open.picture.iter().peekable();
    while entries.peek().is_some() {
        let mut turn = || finder.turn(&test, &mut entries, &mut so_far);
        if test.cost() == 0 { turn() } else { off_worker(turn) }?;
        session.tell_damaged(Action::Search, &open, std::mem::take(&mut so_far.damaged));
        tokio::task::yield_now().await;
    }
    if indexed && so_far.unknown >= INDEX_BEHIND_MESSAGES {
        indexing::begin(&session.service, &Mail::of(&open));
    }
    Ok(so_far.found)
}

/// What a search has come to.
#[derive(Default)]
struct SoFar {
    found: Vec<(u32, Entry)>,
    /// Messages that turned out to be damaged.
    damaged: Vec<(Entry, StoreError)>,
    /// How many the index did not cover.
    unknown: u64,
}

/// Reads messages for a search.
struct Finder<'a> {
    reader: Reader<'a>,
    keys: &'a Opened,
}

impl Finder<'_> {
    /// One turn: what reads nothing goes fast; so many messages that had to be read, and others may have the thread.
    fn turn(
        &self,
        test: &Test,
        entries: &mut dyn Iterator<Item = (u32, Entry)>,
        so_far: &mut SoFar,
    ) -> Result<(), StoreError> {
        let Self { reader, keys } = *self;
        let open = |entry: Entry| Message::read(reader, keys, entry.email, false);
        let placeholder = |entry: Entry| Message::placeholder(reader, keys, entry.email);
        let (mut seen, mut read) = (0_usize, 0_usize);
        while read < BATCH_MESSAGES && seen < BATCH_MESSAGES.saturating_mul(64) {
            let Some((number, entry)) = entries.next() else { break };
            let is_damaged = reader.is_damaged(entry.email);
            let (mut was_read, mut was_unknown) = (false, false);
            let mut passes = || {
                let mut candidate = Candidate::new(number, entry, &open);
                candidate.direct = is_damaged;
                let passed = test.passes(&mut candidate);
                (was_read, was_unknown) = (candidate.opened(), candidate.unknown);
                passed
            };
            let passed = match retried(reader, &mut passes) {
                // It is searched as it is shown, and the rest is searched.
                Err(error) if error.is_damage() => {
                    if reader.mark_damaged(entry.email) {
                        so_far.damaged.push((entry, error));
                    }
                    let mut candidate = Candidate::new(number, entry, &placeholder);
                    candidate.direct = true;
                    test.passes(&mut candidate)
                }
                other => other,
            };
            match passed {
                Ok(true) => so_far.found.push((number, entry)),
                // Gone meanwhile.
                Ok(false) | Err(StoreError::NoMessage) => {}
                Err(error) => return Err(error),
            }
            so_far.unknown = so_far.unknown.saturating_add(was_unknown.into());
            (seen, read) = (seen.saturating_add(1), read.saturating_add(was_read.into()));
        }
        Ok(())
    }

    /// Whether so many messages are left after the tests that read nothing that asking the index pays.
    fn worth_asking(&self, test: &Test, picture: &Snapshot) -> bool {
        let Self { reader, keys } = *self;
        let open = |entry: Entry| Message::read(reader, keys, entry.email, false);
        let mut left = 0_u32;
        picture.iter().any(|(number, entry)| {
            left = left.saturating_add(test.may_pass(&mut Candidate::new(number, entry, &open)).into());
            left >= INDEX_ASK_MESSAGES_MIN
        })
    }
}
