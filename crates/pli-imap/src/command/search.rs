//! SEARCH and UID SEARCH. RFC 9051 §6.4.4, RFC 4731 (ESEARCH), RFC 5267 (CONTEXT), RFC 6203 (FUZZY), RFC 7162 §3.1.5
//! (MODSEQ), RFC 9394 (PARTIAL).

use pli_crypto::Opened;
use pli_imap_proto::{Search, SearchReturn, Tag};
use pli_store::{Entry, Reader, Snapshot, StoreError};
use pli_types::{Action, Uid};

use crate::answer::{Answer, Hits, kept, numbers};
use crate::context::{self, Results};
use crate::fail::{Fail, Reply};
use crate::indexing;
use crate::limits::{BATCH_MESSAGES, INDEX_ASK_MESSAGES_MIN, INDEX_BEHIND_MESSAGES};
use crate::message::{Message, off_worker, retried};
use crate::saved::SaveDates;
use crate::search::{Candidate, Ground, Scores, Sources, Test, compile};
use crate::session::Session;
use crate::state::Open;

pub async fn run(session: &mut Session, tag: &Tag, uid: bool, search: Search) -> Result<Reply, Fail> {
    note_condstore(session, &search);
    context::check(session, tag, &search)?;
    let save = search.returns.is_some_and(|returns| returns.save);
    let open = session.open()?;
    let result = find(session, &open, &search).await;
    if save {
        keep(session, &search, result.as_ref().ok());
    }
    let found = result?;
    write(session, tag, uid, &search, &found.hits);
    context::begin(session, tag, uid, &search, found.test, Results::mailbox(&found.hits));
    Ok(session.limited("SEARCH done", found.lowest))
}

/// RFC 7162 §3.1: asking for mod-sequences is a CONDSTORE-enabling command.
pub fn note_condstore(session: &mut Session, search: &Search) {
    if search.key.names_modseq() {
        session.enabled.condstore = true;
    }
}

/// RFC 9051 §6.4.4.1: what `$` means from now on; a search that fails leaves an empty result.
pub fn keep(session: &mut Session, search: &Search, found: Option<&Found>) {
    let Some(selected) = session.selected() else { return };
    let returns = search.returns.unwrap_or_default();
    selected.saved = found.map(|found| kept(returns, &found.hits.entries)).unwrap_or_default();
}

fn write(session: &mut Session, tag: &Tag, uid: bool, search: &Search, hits: &Hits) {
    let modseq = search.key.names_modseq() && session.enabled.condstore;
    let returns = match search.returns {
        // RFC 9051 §6.4.4: rev2 answers with ESEARCH always.
        None if session.enabled.rev2 => SearchReturn { all: true, ..SearchReturn::default() },
        None => {
            let highest = if modseq { hits.entries.iter().map(|(_, entry)| entry.modseq).max() } else { None };
            return session.wire.out.search(&numbers(&hits.entries, uid), highest);
        }
        Some(returns) => returns,
    };
    Answer { tag, mailbox: None, uid, returns, modseq }.write(&mut session.wire.out, hits);
}

/// What [`find`] gives.
pub struct Found {
    /// In the picture's order.
    pub hits: Hits,
    /// What was looked for, made ready.
    pub test: Test,
    /// RFC 9738 §3: the lowest UID that was looked at, where not all were.
    pub lowest: Option<Uid>,
}

/// Looks for messages of a mailbox.
pub async fn find(session: &mut Session, open: &Open, search: &Search) -> Result<Found, Fail> {
    let permit = session.admit_on(Action::Search, open)?;
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let now = session.service.clock.now();
    let ground = Ground { picture: &open.picture, saved: &saved, now };
    let mut test = compile(&search.key, search.charset.as_deref(), &ground)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let keys = &open.keys;
    let last = open.picture.last_uid().unwrap_or_default();
    let finder = Finder { reader, keys, dates: SaveDates::new(reader, open.mailbox, last) };
    // The index is of the present: what a message of the past says is read from it.
    let indexed = open.past.is_none();
    if indexed {
        finder.ask(&mut test, &open.picture)?;
    }
    let mut so_far = SoFar::default();
    let (first, lowest) = session.newest_allowed(&open.picture);
    let mut entries = open.picture.range_numbers(first, u32::MAX).peekable();
    if let Test::True = test {
        so_far.found = entries.by_ref().collect();
    }
    let goal = open.picture.messages.saturating_sub(first.saturating_sub(1));
    while let Some((number, _)) = entries.peek() {
        session.progress(number.saturating_sub(first), Some(goal)).await?;
        let mut turn = || finder.turn(&test, &mut entries, &mut so_far);
        if test.cost() == 0 { turn() } else { off_worker(turn) }?;
        session.tell_damaged(Action::Search, open, std::mem::take(&mut so_far.damaged));
        tokio::task::yield_now().await;
    }
    if indexed && so_far.unknown >= INDEX_BEHIND_MESSAGES {
        indexing::begin(&session.service, &indexing::Mail::of(open));
    }
    let found = so_far.found;
    let hits =
        if search.key.is_fuzzy() { Hits::scored(found, &test) } else { Hits { entries: found, ..Hits::default() } };
    Ok(Found { hits, test, lowest })
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
    dates: SaveDates<'a>,
}

impl Finder<'_> {
    /// Asks the index what it can say beforehand.
    fn ask(&self, test: &mut Test, picture: &Snapshot) -> Result<(), StoreError> {
        let Self { reader, keys, .. } = *self;
        if test.texts() > 0 {
            off_worker(|| {
                test.rank(&mut |text| {
                    let ranked = reader.search_ranked(keys, text, usize::MAX)?;
                    Ok(ranked.into_iter().map(|ranked| (ranked.email, ranked.score)).collect::<Scores>())
                })
            })?;
        }
        if test.cost() > 0 && self.worth_asking(test, picture) {
            off_worker(|| test.ask(&mut |field, text| reader.search(keys, field, text)))?;
        }
        Ok(())
    }

    /// One turn: what reads nothing goes fast; so many messages that had to be read, and others may have the thread.
    fn turn(
        &self,
        test: &Test,
        entries: &mut dyn Iterator<Item = (u32, Entry)>,
        so_far: &mut SoFar,
    ) -> Result<(), StoreError> {
        let Self { reader, keys, .. } = *self;
        let open = |entry: Entry| Message::read(reader, keys, entry.email, false);
        let saved = |uid| self.dates.get(uid);
        let sources = Sources { open: &open, saved: &saved };
        let placeholder = |entry: Entry| Message::placeholder(reader, keys, entry.email);
        let (mut seen, mut read) = (0_usize, 0_usize);
        while read < BATCH_MESSAGES && seen < BATCH_MESSAGES.saturating_mul(64) {
            let Some((number, entry)) = entries.next() else { break };
            let is_damaged = reader.is_damaged(entry.email);
            let (mut was_read, mut was_unknown) = (false, false);
            let mut passes = || {
                let mut candidate = Candidate::new(entry, sources);
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
                    let mut candidate = Candidate::new(entry, Sources { open: &placeholder, ..sources });
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
        let Self { reader, keys, .. } = *self;
        let open = |entry: Entry| Message::read(reader, keys, entry.email, false);
        let saved = |uid| self.dates.get(uid);
        let sources = Sources { open: &open, saved: &saved };
        let mut left = 0_u32;
        picture.iter().any(|(_, entry)| {
            left = left.saturating_add(test.may_pass(&mut Candidate::new(entry, sources)).into());
            left >= INDEX_ASK_MESSAGES_MIN
        })
    }
}
