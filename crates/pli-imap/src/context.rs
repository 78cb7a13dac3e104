//! Searches whose results are kept up to date (RFC 5267 §4.3): what each found, and how that changes as the mailbox does.
//!
//! A message is tested when it comes and when its flags change; nothing is searched again. Of a sorted search the sort
//! values are kept, so that a message's place is found without reading the others.

use std::sync::Arc;

use pli_crypto::Opened;
use pli_gate::{Login, Target};
use pli_imap_proto::{Change, Code, Out, Search, SearchReturn, Status, Tag};
use pli_store::{Entry, Moment, Snapshot, StoreError};
use pli_types::{Action, Uid};

use crate::answer::Hits;
use crate::command::sort::{Criteria, Row, compare, row};
use crate::fail::Fail;
use crate::limits::{
    CONTEXT_RESULTS_MAX, CONTEXT_ROWS_MAX, CONTEXT_TESTED_MAX, CONTEXTS_COUNT_MAX, SORTED_CONTEXTS_COUNT_MAX,
};
use crate::message::{Message, off_worker};
use crate::saved::SaveDates;
use crate::search::{Candidate, Sources, Test};
use crate::session::Session;
use crate::state::{Place, State};

/// A search that asked for UPDATE.
pub struct Context {
    tag: Tag,
    uid: bool,
    test: Test,
    results: Results,
}

/// What a search has found so far.
pub enum Results {
    /// In the mailbox's order.
    Mailbox(Vec<Uid>),
    /// In an order of its own.
    Sorted(Criteria, Vec<Row>),
}

impl Results {
    /// Of a search.
    pub fn mailbox(hits: &Hits) -> Self {
        Self::Mailbox(hits.entries.iter().map(|(_, entry)| entry.uid).collect())
    }
    /// Of a sort; the rows stand in its order.
    pub const fn sorted(criteria: Criteria, rows: Vec<Row>) -> Self {
        Self::Sorted(criteria, rows)
    }
    const fn fits(&self) -> bool {
        match self {
            Self::Mailbox(uids) => uids.len() <= CONTEXT_RESULTS_MAX,
            Self::Sorted(_, rows) => rows.len() <= CONTEXT_ROWS_MAX,
        }
    }
    /// Where a message stands, from 0.
    fn place(&self, uid: Uid) -> Option<usize> {
        match self {
            Self::Mailbox(uids) => uids.binary_search(&uid).ok(),
            Self::Sorted(_, rows) => rows.iter().position(|row| row.at.1.uid == uid),
        }
    }
    /// Takes a message out; its context position (0 in the mailbox's order).
    fn remove(&mut self, uid: Uid) -> Option<u32> {
        let place = self.place(uid)?;
        match self {
            Self::Mailbox(uids) => {
                uids.remove(place);
                Some(0)
            }
            Self::Sorted(_, rows) => {
                rows.remove(place);
                position(place)
            }
        }
    }
}

fn position(place: usize) -> Option<u32> {
    u32::try_from(place.saturating_add(1)).ok()
}

fn wanted(search: &Search) -> Option<SearchReturn> {
    search.returns.filter(|returns| returns.update)
}

/// RFC 5267 §4.3: a tag that is in use for updates is BAD.
pub fn check(session: &mut Session, tag: &Tag, search: &Search) -> Result<(), Fail> {
    let used = session.selected().is_some_and(|selected| selected.contexts.iter().any(|context| context.tag == *tag));
    if wanted(search).is_some() && used { Err(Fail::Bad("Tag in use for updates")) } else { Ok(()) }
}

/// Keeps a search up to date from now on, if it asked for that and there is room; else says NOUPDATE.
pub fn begin(session: &mut Session, tag: &Tag, uid: bool, search: &Search, test: Test, results: Results) {
    if wanted(search).is_none() {
        return;
    }
    let Some(selected) = session.selected() else { return };
    let is_sorted = |context: &&Context| matches!(context.results, Results::Sorted(..));
    let sorted = selected.contexts.iter().filter(is_sorted).count();
    let room = match results {
        Results::Mailbox(_) => selected.contexts.len() < CONTEXTS_COUNT_MAX,
        Results::Sorted(..) => sorted < SORTED_CONTEXTS_COUNT_MAX && selected.contexts.len() < CONTEXTS_COUNT_MAX,
    };
    // What FUZZY finds depends on all other messages.
    if room && results.fits() && !search.key.is_fuzzy() {
        selected.contexts.push(Context { tag: tag.clone(), uid, test, results });
        return;
    }
    refuse(&mut session.wire.out, tag);
}

/// RFC 5267 §4.3.1
fn refuse(out: &mut Out, tag: &Tag) {
    out.untagged(Status::No, Some(Code::NoUpdate(tag.as_str())), "No updates of this search");
}

/// RFC 5267 §4.3.5: ends the updates of some searches.
pub fn cancel(session: &mut Session, tags: &[Tag]) {
    if let Some(selected) = session.selected() {
        selected.contexts.retain(|context| !tags.contains(&context.tag));
    }
}

/// RFC 5267 §4.3.4: before the EXPUNGEs of some messages are told, they leave the results.
pub fn expunge(contexts: &mut [Context], out: &mut Out, before: &Snapshot, expunged: &[(u32, Uid)]) {
    for context in contexts {
        let gone = expunged.iter().map(|(_, uid)| *uid).filter(|uid| context.results.place(*uid).is_some());
        let gone: Vec<Uid> = gone.collect();
        let mut changes = Changes::new(context.uid, before);
        for uid in gone {
            if let Some(place) = context.results.remove(uid) {
                changes.add(place, uid);
            }
        }
        out.search_update(&context.tag, context.uid, Change::Remove, &changes.sets);
    }
}

/// The pairs of ADDTO and REMOVEFROM.
struct Changes<'a> {
    uid: bool,
    picture: &'a Snapshot,
    sets: Vec<(u32, Vec<u32>)>,
}

impl<'a> Changes<'a> {
    const fn new(uid: bool, picture: &'a Snapshot) -> Self {
        Self { uid, picture, sets: Vec::new() }
    }
    fn add(&mut self, place: u32, uid: Uid) {
        let Some(number) = (if self.uid { Some(uid.get()) } else { self.picture.number_of(uid) }) else { return };
        match self.sets.last_mut() {
            // In the mailbox's order the places do not count: one set for all.
            Some((0, set)) if place == 0 => set.push(number),
            _ => self.sets.push((place, vec![number])),
        }
    }
}

/// What is needed to look into messages.
struct Ground<'a> {
    login: &'a Login,
    keys: &'a Opened,
    place: Place,
    past: Option<Arc<Moment>>,
}

/// After the changes of the mailbox were told: which of the messages that came or changed are results now.
pub fn update(session: &mut Session, before: &Snapshot) {
    let State::Selected { login, selected } = &mut session.state else { return };
    if selected.contexts.is_empty() {
        return;
    }
    let picture = Arc::clone(&selected.picture);
    let mut touched = before.difference(&picture).changed;
    touched.extend(picture.range(before.uid_next, Uid::new(u32::MAX)).map(|(_, entry)| entry));
    if touched.is_empty() {
        return;
    }
    let login = Arc::clone(login);
    let keys = Arc::clone(&selected.keys);
    let place = Place { account: selected.account, mailbox: selected.mailbox };
    let ground = Ground { login: &login, keys: &keys, place, past: selected.past.clone() };
    let mut contexts = std::mem::take(&mut selected.contexts);
    if picture.keywords.len() != before.keywords.len() {
        contexts.iter_mut().for_each(|context| context.test.learn(&picture));
    }
    contexts.retain_mut(|context| {
        let reads = context.test.cost() > 0 || matches!(context.results, Results::Sorted(..));
        let done = if reads && touched.len() > CONTEXT_TESTED_MAX {
            Err(StoreError::Limit("too many messages came at once"))
        } else {
            off_worker(|| test(session, &ground, context, &touched, &picture))
        };
        if let Err(error) = &done {
            tracing::info!(session = %session.info.id, %error, "a search is no longer kept up to date");
            refuse(&mut session.wire.out, &context.tag);
        }
        done.is_ok() && context.results.fits()
    });
    if let Some(selected) = session.selected() {
        selected.contexts = contexts;
    }
}

fn test(
    session: &mut Session,
    ground: &Ground<'_>,
    context: &mut Context,
    touched: &[Entry],
    picture: &Snapshot,
) -> Result<(), StoreError> {
    // Beside the command that runs: the gate is asked for this search, not by that command's row.
    let Place { account, mailbox } = ground.place;
    let about = Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() };
    let gate = Arc::clone(&session.service.gate);
    let Ok(permit) = gate.admit(&ground.login.session, Action::Search, &about) else {
        return Err(StoreError::WrongPermit);
    };
    let store = session.store();
    let reader = match &ground.past {
        None => store.read(&permit)?,
        Some(moment) => store.read_past(&permit, moment)?,
    };
    let keys = ground.keys;
    let dates = SaveDates::new(reader, mailbox, picture.last_uid().unwrap_or_default());
    let open = |entry: Entry| Message::read(reader, keys, entry.email, false);
    let saved = |uid| dates.get(uid);
    let sources = Sources { open: &open, saved: &saved };
    let mut removed = Changes::new(context.uid, picture);
    let mut added = Changes::new(context.uid, picture);
    for entry in touched {
        let Some(number) = picture.number_of(entry.uid) else { continue };
        // What does not open fits nothing; FETCH tells of the damage.
        let fits = match context.test.passes(&mut Candidate::new(*entry, sources)) {
            Err(StoreError::NoMessage | StoreError::Damaged(_)) => false,
            other => other?,
        };
        match (context.results.place(entry.uid).is_some(), fits) {
            (true, false) => {
                if let Some(place) = context.results.remove(entry.uid) {
                    removed.add(place, entry.uid);
                }
            }
            (false, true) => {
                let place = match &mut context.results {
                    Results::Mailbox(uids) => {
                        let at = uids.partition_point(|uid| *uid < entry.uid);
                        uids.insert(at, entry.uid);
                        Some(0)
                    }
                    Results::Sorted(criteria, rows) => {
                        let Some(new) = row(reader, keys, criteria, (number, *entry), 0, &mut |_| {})? else {
                            continue;
                        };
                        let at = rows.partition_point(|row| compare(criteria, row, &new).is_lt());
                        rows.insert(at, new);
                        position(at)
                    }
                };
                if let Some(place) = place {
                    // The changes are read in the order in which they stand.
                    flush(&mut session.wire.out, context, &mut removed, Change::Remove);
                    added.add(place, entry.uid);
                }
                continue;
            }
            _ => continue,
        }
        flush(&mut session.wire.out, context, &mut added, Change::Add);
    }
    flush(&mut session.wire.out, context, &mut removed, Change::Remove);
    flush(&mut session.wire.out, context, &mut added, Change::Add);
    Ok(())
}

fn flush(out: &mut Out, context: &Context, changes: &mut Changes<'_>, change: Change) {
    // Where places do not count, the order of adding and removing does not either.
    out.search_update(&context.tag, context.uid, change, &changes.sets);
    changes.sets.clear();
}
