//! SORT and UID SORT. RFC 5256 §3, RFC 5957 (DISPLAYFROM, DISPLAYTO).

use std::cmp::Ordering;

use pli_imap_proto::{Search, SearchKey, SortKey};
use pli_mime::{AddressRef, Summary, decode_words, fold};
use pli_store::{Entry, StoreError};
use pli_types::Action;

use super::search::find;
use crate::fail::{Fail, Reply};
use crate::limits::BATCH_MESSAGES;
use crate::message::{Message, off_worker};
use crate::session::Session;
use crate::subject::base_subject;

/// Bytes of a text that are compared; sorting a mailbox must not take the memory of all that strangers wrote into their
/// subjects.
const VALUE_BYTES_MAX: usize = 1024;

/// What one criterion compares.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

/// A message with what it is sorted by.
struct Row {
    number: u32,
    entry: Entry,
    values: Vec<Value>,
}

pub async fn run(
    session: &mut Session,
    uid: bool,
    criteria: Vec<(SortKey, bool)>,
    search: Search,
) -> Result<Reply, Fail> {
    let found = find(session, &search).await?;
    let mut rows = read(session, &criteria, found).await?;
    rows.sort_by(|a, b| compare(&criteria, a, b));
    let numbers: Vec<u32> = rows.iter().map(|row| if uid { row.entry.uid.get() } else { row.number }).collect();
    let modseq = matches!(search.key, SearchKey::ModSeq(_)).then(|| rows.iter().map(|row| row.entry.modseq).max());
    session.wire.out.sort(&numbers, modseq.flatten());
    Ok(Reply::ok("SORT done"))
}

fn compare(criteria: &[(SortKey, bool)], a: &Row, b: &Row) -> Ordering {
    for ((x, y), (_, reverse)) in a.values.iter().zip(&b.values).zip(criteria) {
        let order = x.cmp(y);
        let order = if *reverse { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    // RFC 5256 §3: equal ones by message number.
    a.number.cmp(&b.number)
}

async fn read(session: &mut Session, criteria: &[(SortKey, bool)], found: Vec<(u32, Entry)>) -> Result<Vec<Row>, Fail> {
    let open = session.open()?;
    let permit = session.admit_on(Action::Search, &open)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let keys = &open.keys;
    let needs_summary = criteria.iter().any(|(key, _)| !matches!(key, SortKey::Arrival | SortKey::Size));
    let mut rows = Vec::with_capacity(found.len());
    for batch in found.chunks(BATCH_MESSAGES) {
        let mut damaged = Vec::new();
        off_worker(|| -> Result<(), StoreError> {
            for (number, entry) in batch {
                let values = Message::with(
                    reader,
                    keys,
                    entry.email,
                    needs_summary,
                    &mut |error| damaged.push((*entry, error)),
                    |message| criteria.iter().map(|(key, _)| value(*key, message)).collect::<Result<_, _>>(),
                );
                match values {
                    Ok(values) => rows.push(Row { number: *number, entry: *entry, values }),
                    Err(StoreError::NoMessage) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
        session.tell_damaged(Action::Search, &open, damaged);
        tokio::task::yield_now().await;
    }
    Ok(rows)
}

fn value(key: SortKey, message: &mut Message<'_>) -> Result<Value, StoreError> {
    let received = message.row.received.0;
    Ok(match key {
        SortKey::Arrival => Value::Number(received),
        SortKey::Size => Value::Number(i64::try_from(message.row.size.get()).unwrap_or(i64::MAX)),
        // RFC 5256 §2.2: the internal date where the Date field cannot be read.
        SortKey::Date => Value::Number(message.summary()?.date().map_or(received, |date| date.0)),
        SortKey::Subject => text(subject(message.summary()?).0),
        SortKey::From => text(mailbox(message.summary()?.envelope().from().next())),
        SortKey::To => text(mailbox(message.summary()?.envelope().to().next())),
        SortKey::Cc => text(mailbox(message.summary()?.envelope().cc().next())),
        SortKey::DisplayFrom => text(display(message.summary()?.envelope().from().next())),
        SortKey::DisplayTo => text(display(message.summary()?.envelope().to().next())),
    })
}

fn text(mut value: String) -> Value {
    value.truncate(value.floor_char_boundary(VALUE_BYTES_MAX));
    value.shrink_to_fit();
    Value::Text(value)
}

/// The base subject, folded, and whether the message is a reply.
pub fn subject(summary: &Summary) -> (String, bool) {
    let (base, reply) = base_subject(&decode_words(summary.envelope().subject().unwrap_or_default()));
    (fold(&base), reply)
}

fn mailbox(address: Option<AddressRef<'_>>) -> String {
    fold(&String::from_utf8_lossy(address.and_then(|address| address.mailbox).unwrap_or_default()))
}

/// RFC 5957 §3: the display name, else the address.
fn display(address: Option<AddressRef<'_>>) -> String {
    let Some(address) = address else { return String::new() };
    match address.name.map(decode_words) {
        Some(name) if !name.trim().is_empty() => fold(&name),
        _ => {
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            fold(&format!("{}@{}", text(address.mailbox), text(address.host)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::{Value, text};

    #[test]
    fn long_values_are_cut_between_characters() {
        let Value::Text(cut) = text("é".repeat(10_000) + "a") else { panic!("not a text") };
        assert!(cut.len() <= 1024 && cut.capacity() <= 1024 && cut.ends_with('é'));
        assert!(text(String::from("a")) < text(String::from("b")));
    }
}
