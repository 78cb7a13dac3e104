//! What SORT and THREAD read of messages: out of the account's listing where it is there, else of the messages, many at a
//! time.

use pli_mime::{AddressRef, Summary, decode_words, fold};
use pli_store::{Entry, Listed, Reader, StoreError};
use pli_types::{Action, EmailId};

use crate::collate::casemap;
use crate::fail::Fail;
use crate::limits::BATCH_MESSAGES;
use crate::listing::{Record, Records, View};
use crate::message::{Message, off_worker};
use crate::session::Session;
use crate::state::Open;
use crate::subject::base_subject;
use crate::threading::ids_of;

/// Bytes of a text that are compared; sorting a mailbox must not take the memory of all that strangers wrote into their
/// subjects.
const VALUE_BYTES_MAX: usize = 1024;

/// What is done with each record.
pub type Visit<'a> = dyn FnMut((u32, Entry), View<'_>) + Send + 'a;

/// Reads the records of messages, in their order; one that is gone is left out. With `records`, what was read stays there.
pub async fn each(
    session: &mut Session,
    open: &Open,
    mut records: Option<&mut Records>,
    entries: &[(u32, Entry)],
    visit: &mut Visit<'_>,
) -> Result<(), Fail> {
    let permit = session.admit_on(Action::Search, open)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    let _first = session.service.indexing.give_way();
    let goal = u32::try_from(entries.len()).ok();
    let mut done = 0_u32;
    for batch in entries.chunks(BATCH_MESSAGES) {
        session.progress(done, goal).await?;
        done = done.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let mut damaged = Vec::new();
        off_worker(|| read(reader, open, records.as_deref_mut(), batch, visit, &mut damaged))?;
        session.tell_damaged(Action::Search, open, damaged);
        tokio::task::yield_now().await;
    }
    if let Some(records) = records {
        records.finish();
    }
    Ok(())
}

fn read(
    reader: Reader<'_>,
    open: &Open,
    mut records: Option<&mut Records>,
    batch: &[(u32, Entry)],
    visit: &mut Visit<'_>,
    damaged: &mut Vec<(Entry, StoreError)>,
) -> Result<(), StoreError> {
    let mut is_kept = |entry: &Entry| {
        !reader.is_damaged(entry.email) && records.as_deref_mut().is_some_and(|records| records.has(entry.uid.get()))
    };
    let missing: Vec<EmailId> =
        batch.iter().filter(|(_, entry)| !is_kept(entry)).map(|(_, entry)| entry.email).collect();
    let mut listed = reader.list(&missing, Some(&open.keys))?.into_iter();
    let mut expected = missing.into_iter().peekable();
    for at in batch {
        let (uid, email) = (at.1.uid.get(), at.1.email);
        let listed = if expected.next_if_eq(&email).is_some() { listed.next() } else { None };
        if listed.is_none()
            && let Some(view) = records.as_deref_mut().and_then(|records| records.get(uid))
        {
            visit(*at, view);
            continue;
        }
        match make(reader, open, at.1, listed, damaged) {
            Ok(record) => {
                if let Some(records) = records.as_deref_mut().filter(|_| !reader.is_damaged(email)) {
                    records.keep(uid, &record);
                }
                record.read(|view| visit(*at, view));
            }
            // Gone meanwhile.
            Err(StoreError::NoMessage) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn make(
    reader: Reader<'_>,
    open: &Open,
    entry: Entry,
    listed: Option<Result<Listed, StoreError>>,
    damaged: &mut Vec<(Entry, StoreError)>,
) -> Result<Record, StoreError> {
    if let Some(Ok(listed)) = listed
        && let Ok(record) = Message::from_listed(reader, &open.keys, entry.email, listed, true)
            .and_then(|mut message| record(&mut message))
    {
        return Ok(record);
    }
    // Whatever is wrong with it is looked into again, alone.
    let mut tell = |error| damaged.push((entry, error));
    Message::with(reader, &open.keys, entry.email, true, &mut tell, record)
}

fn record(message: &mut Message<'_>) -> Result<Record, StoreError> {
    let references = message.header_values("References")?;
    let row = message.row;
    let summary = message.summary()?;
    let (base, reply) = base_subject(&decode_words(summary.envelope().subject().unwrap_or_default()));
    let envelope = summary.envelope();
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (id, references) = ids_of(&text(envelope.message_id()), &references.join(" "), &text(envelope.in_reply_to()));
    Ok(Record {
        // RFC 5256 §2.2: the internal date where the Date field cannot be read.
        date: summary.date().map_or(row.received.0, |date| date.0),
        received: row.received.0,
        size: row.size.get(),
        reply,
        texts: [
            collated(&base),
            collated(&mailbox(envelope.from().next())),
            collated(&mailbox(envelope.to().next())),
            collated(&mailbox(envelope.cc().next())),
            collated(&display(envelope.from().next())),
            collated(&display(envelope.to().next())),
            cut(fold(&base)),
        ],
        id,
        references,
    })
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
    text.shrink_to_fit();
    text
}

/// RFC 5255 §4.4: compared by i;unicode-casemap.
pub fn collated(value: &str) -> String {
    cut(casemap(value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default()))
}

/// The base subject of a message.
pub fn plain_subject(summary: &Summary) -> String {
    base_subject(&decode_words(summary.envelope().subject().unwrap_or_default())).0
}

/// The local part of an address.
pub fn mailbox(address: Option<AddressRef<'_>>) -> String {
    String::from_utf8_lossy(address.and_then(|address| address.mailbox).unwrap_or_default()).into_owned()
}

/// RFC 5957 §3: the display name, else the address.
pub fn display(address: Option<AddressRef<'_>>) -> String {
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
    use super::collated;

    #[test]
    fn long_values_are_cut_between_characters() {
        let cut = collated(&("日".repeat(10_000) + "a"));
        assert!(cut.len() <= 1024 && cut.capacity() <= 1024 && cut.ends_with('日'));
        assert!(collated("a") < collated("B"));
    }
}
