//! THREAD and UID THREAD. RFC 5256 §3: ORDEREDSUBJECT and REFERENCES; REFS as draft-ietf-morg-inthread has it.

use std::sync::Arc;

use pli_imap_proto::{Out, Search, ThreadAlgorithm};
use pli_store::Entry;

use super::search::find;
use crate::fail::{Fail, Reply};
use crate::listing::{Forest, Text};
use crate::message::off_worker;
use crate::records;
use crate::session::Session;
use crate::state::Open;
use crate::threading::{Item, Tree, by_references, by_refs, by_subject};

pub async fn run(session: &mut Session, uid: bool, algorithm: ThreadAlgorithm, search: Search) -> Result<Reply, Fail> {
    if let ThreadAlgorithm::Other(_) = algorithm {
        return Err(Fail::Bad("This algorithm is not offered"));
    }
    let open = session.open()?;
    let found = find(session, &open, &search).await?;
    let entries = found.hits.entries;
    let forest = forest(session, &open, &algorithm, &entries).await?;
    let said = |at: u32| {
        let entry = entries.get(usize::try_from(at).unwrap_or(usize::MAX));
        entry.map_or(0, |(number, entry)| if uid { entry.uid.get() } else { *number })
    };
    write(&mut session.wire.out, &forest, said);
    Ok(session.limited("THREAD done", found.lowest))
}

/// The threads of these messages, by their places among them: those that were last made, if of the same messages.
async fn forest(
    session: &mut Session,
    open: &Open,
    algorithm: &ThreadAlgorithm,
    entries: &[(u32, Entry)],
) -> Result<Arc<Forest>, Fail> {
    let listing = session.listing(open);
    let uids: Arc<[u32]> = entries.iter().map(|(_, entry)| entry.uid.get()).collect();
    if let Some(known) = listing.as_ref().and_then(|listing| listing.forest(open.mailbox, algorithm))
        && known.uids == uids
    {
        return Ok(known);
    }
    let mut items = Vec::with_capacity(entries.len());
    let mut records = listing.as_ref().map(|listing| listing.records(open.mailbox));
    let mut place = 0_u32;
    let mut places = entries.iter();
    records::each(session, open, records.as_mut(), entries, &mut |at, view| {
        // Those that are gone have places too.
        while places.next().is_some_and(|(number, _)| *number != at.0) {
            place = place.saturating_add(1);
        }
        items.push(Item::new(place, view.date(), (view.text(Text::Thread), view.reply()), view.ids()));
        place = place.saturating_add(1);
    })
    .await?;
    let whole = items.len() == entries.len();
    let steps = off_worker(|| {
        let trees = match algorithm {
            ThreadAlgorithm::References => by_references(&items),
            ThreadAlgorithm::Refs => by_refs(&items),
            _ => by_subject(&items),
        };
        let mut steps = Vec::with_capacity(items.len().saturating_mul(2));
        trees.iter().for_each(|tree| tree.flatten(&mut steps));
        steps
    });
    let forest = Arc::new(Forest { uids, steps });
    if let Some(listing) = listing.filter(|_| whole) {
        listing.put_forest(open.mailbox, algorithm, Arc::clone(&forest));
    }
    Ok(forest)
}

/// RFC 5256 §4: `(2 3 (4)(5 6))`.
fn write(out: &mut Out, forest: &Forest, said: impl Fn(u32) -> u32) {
    out.thread_start();
    for step in &forest.steps {
        match *step {
            Forest::OPEN => out.thread_open(),
            Forest::CLOSE => out.thread_close(),
            Forest::BRANCHES => out.thread_branches(),
            place => out.thread_number(said(place)),
        }
    }
    out.thread_end();
}

impl Tree {
    fn flatten(&self, out: &mut Vec<u32>) {
        out.push(Forest::OPEN);
        // A stack of what is still to be written, not calls: threads can be as deep as the mailbox is long.
        enum Step<'a> {
            Tree(&'a Tree),
            Branch(&'a Tree),
            Close,
        }
        let mut steps = vec![Step::Tree(self)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Close => out.push(Forest::CLOSE),
                Step::Branch(tree) => {
                    out.push(Forest::OPEN);
                    steps.push(Step::Close);
                    steps.push(Step::Tree(tree));
                }
                Step::Tree(tree) => {
                    if let Some(number) = tree.number {
                        out.push(number);
                    }
                    match tree.children.as_slice() {
                        [] => {}
                        [only] => steps.push(Step::Tree(only)),
                        many => {
                            if tree.number.is_some() {
                                out.push(Forest::BRANCHES);
                            }
                            steps.extend(many.iter().rev().map(Step::Branch));
                        }
                    }
                }
            }
        }
        out.push(Forest::CLOSE);
    }
}
