//! THREAD and UID THREAD. RFC 5256 §3: ORDEREDSUBJECT and REFERENCES; REFS as draft-ietf-morg-inthread has it.

use pli_imap_proto::{Search, ThreadAlgorithm};
use pli_store::{Entry, StoreError};
use pli_types::Action;

use super::search::find;
use super::sort::subject;
use crate::fail::{Fail, Reply};
use crate::limits::BATCH_MESSAGES;
use crate::message::{Message, off_worker};
use crate::session::Session;
use crate::state::Open;
use crate::threading::{Item, Tree, by_references, by_refs, by_subject};

pub async fn run(session: &mut Session, uid: bool, algorithm: ThreadAlgorithm, search: Search) -> Result<Reply, Fail> {
    if let ThreadAlgorithm::Other(_) = algorithm {
        return Err(Fail::Bad("This algorithm is not offered"));
    }
    let open = session.open()?;
    let found = find(session, &open, &search).await?;
    let items = read(session, &open, uid, found.hits.entries).await?;
    let forest = off_worker(|| match algorithm {
        ThreadAlgorithm::References => by_references(&items),
        ThreadAlgorithm::Refs => by_refs(&items),
        _ => by_subject(&items),
    });
    let out = &mut session.wire.out;
    out.thread_start();
    for tree in &forest {
        tree.write(out);
    }
    out.thread_end();
    Ok(session.limited("THREAD done", found.lowest))
}

async fn read(session: &mut Session, open: &Open, uid: bool, found: Vec<(u32, Entry)>) -> Result<Vec<Item>, Fail> {
    let permit = session.admit_on(Action::Search, open)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let keys = &open.keys;
    let mut items = Vec::with_capacity(found.len());
    let goal = u32::try_from(found.len()).ok();
    for batch in found.chunks(BATCH_MESSAGES) {
        session.progress(u32::try_from(items.len()).unwrap_or(u32::MAX), goal).await?;
        let mut damaged = Vec::new();
        off_worker(|| -> Result<(), StoreError> {
            for (number, entry) in batch {
                let number = if uid { entry.uid.get() } else { *number };
                let mut tell = |error| damaged.push((*entry, error));
                match Message::with(reader, keys, entry.email, true, &mut tell, |message| item(message, number)) {
                    Ok(item) => items.push(item),
                    Err(StoreError::NoMessage) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
        session.tell_damaged(Action::Search, open, damaged);
        tokio::task::yield_now().await;
    }
    Ok(items)
}

/// What a thread is made by.
fn item(message: &mut Message<'_>, number: u32) -> Result<Item, StoreError> {
    let received = message.row.received.0;
    let references = message.header_values("References")?;
    let summary = message.summary()?;
    let (subject, reply) = subject(summary);
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let envelope = summary.envelope();
    Ok(Item::new(
        number,
        summary.date().map_or(received, |date| date.0),
        (subject, reply),
        &text(envelope.message_id()),
        (&references.join(" "), &text(envelope.in_reply_to())),
    ))
}

impl Tree {
    /// RFC 5256 §4: `(2 3 (4)(5 6))`.
    fn write(&self, out: &mut pli_imap_proto::Out) {
        out.thread_open();
        // A stack of what is still to be written, not calls: threads can be as deep as the mailbox is long.
        enum Step<'a> {
            Tree(&'a Tree),
            Branch(&'a Tree),
            Close,
        }
        let mut steps = vec![Step::Tree(self)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Close => out.thread_close(),
                Step::Branch(tree) => {
                    out.thread_open();
                    steps.push(Step::Close);
                    steps.push(Step::Tree(tree));
                }
                Step::Tree(tree) => {
                    if let Some(number) = tree.number {
                        out.thread_number(number);
                    }
                    match tree.children.as_slice() {
                        [] => {}
                        [only] => steps.push(Step::Tree(only)),
                        many => {
                            if tree.number.is_some() {
                                out.thread_branches();
                            }
                            steps.extend(many.iter().rev().map(Step::Branch));
                        }
                    }
                }
            }
        }
        out.thread_close();
    }
}
