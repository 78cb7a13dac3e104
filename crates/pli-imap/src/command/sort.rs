//! SORT and UID SORT. RFC 5256 §3, RFC 5957 (DISPLAYFROM, DISPLAYTO), RFC 5267 §3 (ESORT), RFC 6203 §6 (RELEVANCY).

use std::cmp::Ordering;

use pli_crypto::Opened;
use pli_imap_proto::{Search, SortKey, Tag};
use pli_mime::{AddressRef, Summary, decode_words, fold};
use pli_store::{Entry, Reader, StoreError};
use pli_types::Action;

use super::search::{find, keep, note_condstore};
use crate::answer::{Answer, Hits, numbers};
use crate::collate::casemap;
use crate::context::{self, Results};
use crate::fail::{Fail, Reply};
use crate::limits::BATCH_MESSAGES;
use crate::message::{Message, off_worker};
use crate::session::Session;
use crate::state::Open;
use crate::subject::base_subject;

/// Bytes of a text that are compared; sorting a mailbox must not take the memory of all that strangers wrote into their
/// subjects.
const VALUE_BYTES_MAX: usize = 1024;

/// What one criterion compares.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

/// A message with what it is sorted by.
#[derive(Debug)]
pub struct Row {
    /// Its number and entry.
    pub at: (u32, Entry),
    score: u8,
    values: Vec<Value>,
}

/// What is sorted by; each with its REVERSE.
pub type Criteria = Vec<(SortKey, bool)>;

pub async fn run(
    session: &mut Session,
    tag: &Tag,
    uid: bool,
    criteria: Criteria,
    search: Search,
) -> Result<Reply, Fail> {
    note_condstore(session, &search);
    context::check(session, tag, &search)?;
    let open = session.open()?;
    let result = find(session, &open, &search).await;
    if result.is_err() && search.returns.is_some_and(|returns| returns.save) {
        keep(session, &search, None);
    }
    let mut found = result?;
    let mut rows = read(session, &open, &criteria, std::mem::take(&mut found.hits)).await?;
    rows.sort_by(|a, b| compare(&criteria, a, b));
    let scores = if search.key.is_fuzzy() { rows.iter().map(|row| row.score).collect() } else { Vec::new() };
    found.hits = Hits { entries: rows.iter().map(|row| row.at).collect(), scores };
    let modseq = search.key.names_modseq() && session.enabled.condstore;
    match search.returns {
        None => {
            let entries = &found.hits.entries;
            let highest = if modseq { entries.iter().map(|(_, entry)| entry.modseq).max() } else { None };
            session.wire.out.sort(&numbers(entries, uid), highest);
        }
        Some(returns) => {
            if returns.save {
                keep(session, &search, Some(&found));
            }
            Answer { tag, mailbox: None, uid, returns, modseq }.write(&mut session.wire.out, &found.hits);
        }
    }
    context::begin(session, tag, uid, &search, found.test, Results::sorted(criteria, rows));
    Ok(session.limited("SORT done", found.lowest))
}

/// The order of two messages.
pub fn compare(criteria: &[(SortKey, bool)], a: &Row, b: &Row) -> Ordering {
    for ((x, y), (_, reverse)) in a.values.iter().zip(&b.values).zip(criteria) {
        let order = x.cmp(y);
        let order = if *reverse { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    // RFC 5256 §3: equal ones by message number, which is the order of the UIDs.
    a.at.1.uid.cmp(&b.at.1.uid)
}

async fn read(session: &mut Session, open: &Open, criteria: &[(SortKey, bool)], hits: Hits) -> Result<Vec<Row>, Fail> {
    let permit = session.admit_on(Action::Search, open)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let goal = u32::try_from(hits.entries.len()).ok();
    let mut rows = Vec::with_capacity(hits.entries.len());
    let mut scores = hits.scores.into_iter();
    for batch in hits.entries.chunks(BATCH_MESSAGES) {
        session.progress(u32::try_from(rows.len()).unwrap_or(u32::MAX), goal).await?;
        let mut damaged = Vec::new();
        off_worker(|| -> Result<(), StoreError> {
            for at in batch {
                let score = scores.next().unwrap_or(0);
                let mut tell = |error| damaged.push((at.1, error));
                rows.extend(row(reader, &open.keys, criteria, *at, score, &mut tell)?);
            }
            Ok(())
        })?;
        session.tell_damaged(Action::Search, open, damaged);
        tokio::task::yield_now().await;
    }
    Ok(rows)
}

/// A message with its values; none for one that is gone.
pub fn row(
    reader: Reader<'_>,
    keys: &Opened,
    criteria: &[(SortKey, bool)],
    at: (u32, Entry),
    score: u8,
    damaged: &mut dyn FnMut(StoreError),
) -> Result<Option<Row>, StoreError> {
    let needs_summary =
        criteria.iter().any(|(key, _)| !matches!(key, SortKey::Arrival | SortKey::Size | SortKey::Relevancy));
    let values = Message::with(reader, keys, at.1.email, needs_summary, damaged, |message| {
        criteria.iter().map(|(key, _)| value(*key, score, message)).collect::<Result<_, _>>()
    });
    match values {
        Ok(values) => Ok(Some(Row { at, score, values })),
        Err(StoreError::NoMessage) => Ok(None),
        Err(error) => Err(error),
    }
}

fn value(key: SortKey, score: u8, message: &mut Message<'_>) -> Result<Value, StoreError> {
    let received = message.row.received.0;
    Ok(match key {
        SortKey::Arrival => Value::Number(received),
        // RFC 6203 §6: the highest score comes first.
        SortKey::Relevancy => Value::Number(-i64::from(score)),
        SortKey::Size => Value::Number(i64::try_from(message.row.size.get()).unwrap_or(i64::MAX)),
        // RFC 5256 §2.2: the internal date where the Date field cannot be read.
        SortKey::Date => Value::Number(message.summary()?.date().map_or(received, |date| date.0)),
        SortKey::Subject => text(plain_subject(message.summary()?)),
        SortKey::From => text(mailbox(message.summary()?.envelope().from().next())),
        SortKey::To => text(mailbox(message.summary()?.envelope().to().next())),
        SortKey::Cc => text(mailbox(message.summary()?.envelope().cc().next())),
        SortKey::DisplayFrom => text(display(message.summary()?.envelope().from().next())),
        SortKey::DisplayTo => text(display(message.summary()?.envelope().to().next())),
    })
}

/// RFC 5255 §4.4: compared by i;unicode-casemap.
fn text(value: String) -> Value {
    let mut value = casemap(value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default());
    value.truncate(value.floor_char_boundary(VALUE_BYTES_MAX));
    value.shrink_to_fit();
    Value::Text(value)
}

fn plain_subject(summary: &Summary) -> String {
    base_subject(&decode_words(summary.envelope().subject().unwrap_or_default())).0
}

/// The base subject, folded, and whether the message is a reply.
pub fn subject(summary: &Summary) -> (String, bool) {
    let (base, reply) = base_subject(&decode_words(summary.envelope().subject().unwrap_or_default()));
    (fold(&base), reply)
}

fn mailbox(address: Option<AddressRef<'_>>) -> String {
    String::from_utf8_lossy(address.and_then(|address| address.mailbox).unwrap_or_default()).into_owned()
}

/// RFC 5957 §3: the display name, else the address.
fn display(address: Option<AddressRef<'_>>) -> String {
    let Some(address) = address else { return String::new() };
    match address.name.map(decode_words) {
        Some(name) if !name.trim().is_empty() => name,
        _ => {
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            format!("{}@{}", text(address.mailbox), text(address.host))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::{Value, text};

    #[test]
    fn long_values_are_cut_between_characters() {
        let Value::Text(cut) = text("日".repeat(10_000) + "a") else { panic!("not a text") };
        assert!(cut.len() <= 1024 && cut.capacity() <= 1024 && cut.ends_with('日'));
        assert!(text(String::from("a")) < text(String::from("b")));
    }
}
