//! SORT and UID SORT. RFC 5256 §3, RFC 5957 (DISPLAYFROM, DISPLAYTO), RFC 5267 §3 (ESORT), RFC 6203 §6 (RELEVANCY).

use std::cmp::Ordering;
use std::sync::Arc;

use pli_crypto::Opened;
use pli_imap_proto::{Search, SortKey, Tag};
use pli_store::{Entry, Reader, StoreError};
use pli_types::Action;

use super::search::{find, keep, note_condstore};
use crate::answer::{Answer, Hits, numbers};
use crate::context::{self, Results};
use crate::fail::{Fail, Reply};
use crate::limits::{BATCH_MESSAGES, SORT_FRESH_MAX};
use crate::listing::{Listing, Text, View};
use crate::message::{Message, off_worker};
use crate::records::{self, collated, display, mailbox, plain_subject};
use crate::session::Session;
use crate::state::Open;

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

/// A message's number and entry.
type At = (u32, Entry);

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
    let hits = std::mem::take(&mut found.hits);
    // Scores are of one search, and updates need what was compared.
    let plain = !search.key.is_fuzzy() && !search.returns.is_some_and(|returns| returns.update);
    let plain = plain && criteria.iter().all(|(key, _)| *key != SortKey::Relevancy);
    let rows = match session.listing(&open).filter(|_| plain) {
        Some(listing) => {
            let entries = ordered(session, &open, &listing, &criteria, hits.entries).await?;
            found.hits = Hits { entries, scores: Vec::new() };
            Vec::new()
        }
        None => {
            let mut rows = read(session, &open, &criteria, hits).await?;
            off_worker(|| rows.sort_by(|a, b| compare(&criteria, a, b)));
            let scores = if search.key.is_fuzzy() { rows.iter().map(|row| row.score).collect() } else { Vec::new() };
            found.hits = Hits { entries: rows.iter().map(|row| row.at).collect(), scores };
            rows
        }
    };
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

/// Puts messages, given in the order of their UIDs, in order: by the order that was made before where there is one.
async fn ordered(
    session: &mut Session,
    open: &Open,
    listing: &Arc<Listing>,
    criteria: &[(SortKey, bool)],
    found: Vec<(u32, Entry)>,
) -> Result<Vec<(u32, Entry)>, Fail> {
    let known = listing.order(open.mailbox, criteria);
    let is_whole = u32::try_from(found.len()) == Ok(open.picture.messages);
    let (mut sorted, fresh) = match &known {
        Some(known) => off_worker(|| arrange(known, &found)),
        None => (Vec::new(), found),
    };
    let mut stale = known.is_some_and(|known| known.len() > sorted.len().saturating_mul(2));
    if sorted.is_empty() || fresh.len() > SORT_FRESH_MAX {
        // All are read: those that were sorted before are not read anew, only their records.
        let mut all = sorted;
        all.extend(fresh);
        all.sort_unstable_by_key(|(_, entry)| entry.uid);
        let mut rows = read_rows(session, open, listing, criteria, &all).await?;
        off_worker(|| rows.sort_by(|a, b| compare(criteria, a, b)));
        sorted = rows.iter().map(|row| row.at).collect();
        stale = true;
    } else {
        for row in read_rows(session, open, listing, criteria, &fresh).await? {
            let (mut low, mut high) = (0, sorted.len());
            while low < high {
                let middle = low.midpoint(high);
                let Some(probe) = sorted.get(middle).copied() else { break };
                let probe = read_rows(session, open, listing, criteria, &[probe]).await?;
                // One that is gone meanwhile stands anywhere.
                match probe.first().map_or(Ordering::Less, |probe| compare(criteria, probe, &row)) {
                    Ordering::Greater => high = middle,
                    _ => low = middle.saturating_add(1),
                }
            }
            sorted.insert(low.min(sorted.len()), row.at);
            stale = true;
        }
    }
    if is_whole && stale {
        listing.put_order(open.mailbox, criteria, sorted.iter().map(|(_, entry)| entry.uid.get()).collect());
    }
    Ok(sorted)
}

/// Those of `found` that an order knows, in that order, and the others.
fn arrange(known: &[u32], found: &[At]) -> (Vec<At>, Vec<At>) {
    let uid = |at: Option<&(u32, Entry)>| at.map_or(0, |(_, entry)| entry.uid.get());
    let first = uid(found.first());
    let span = uid(found.last()).saturating_sub(first) as usize;
    // Where a UID stands in `found`, by a table unless its UIDs are few and far between.
    let mut table: Vec<u32> = Vec::new();
    if span < found.len().saturating_mul(8).saturating_add(1024) {
        table.resize(span.saturating_add(1), u32::MAX);
        for (place, (_, entry)) in (0..).zip(found) {
            if let Some(slot) = table.get_mut(entry.uid.get().saturating_sub(first) as usize) {
                *slot = place;
            }
        }
    }
    let place = |uid: u32| {
        if table.is_empty() {
            return found.binary_search_by_key(&uid, |(_, entry)| entry.uid.get()).ok();
        }
        let place = *table.get(uid.checked_sub(first)? as usize)?;
        (place != u32::MAX).then_some(place as usize)
    };
    let mut seen = vec![false; found.len()];
    let mut sorted = Vec::with_capacity(found.len());
    for place in known.iter().filter_map(|uid| place(*uid)) {
        if let (Some(at), Some(seen)) = (found.get(place), seen.get_mut(place))
            && !std::mem::replace(seen, true)
        {
            sorted.push(*at);
        }
    }
    let fresh = found.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(at, _)| *at).collect();
    (sorted, fresh)
}

async fn read_rows(
    session: &mut Session,
    open: &Open,
    listing: &Arc<Listing>,
    criteria: &[(SortKey, bool)],
    entries: &[(u32, Entry)],
) -> Result<Vec<Row>, Fail> {
    let mut rows = Vec::with_capacity(entries.len());
    let mut records = listing.records(open.mailbox);
    records::each(session, open, Some(&mut records), entries, &mut |at, view| {
        rows.push(Row { at, score: 0, values: criteria.iter().map(|(key, _)| kept_value(*key, view)).collect() });
    })
    .await?;
    Ok(rows)
}

fn kept_value(key: SortKey, view: View<'_>) -> Value {
    let text = |which| Value::Text(view.text(which).to_owned());
    match key {
        SortKey::Arrival => Value::Number(view.received()),
        SortKey::Relevancy => Value::Number(0),
        SortKey::Size => Value::Number(i64::try_from(view.size()).unwrap_or(i64::MAX)),
        SortKey::Date => Value::Number(view.date()),
        SortKey::Subject => text(Text::Subject),
        SortKey::From => text(Text::From),
        SortKey::To => text(Text::To),
        SortKey::Cc => text(Text::Cc),
        SortKey::DisplayFrom => text(Text::DisplayFrom),
        SortKey::DisplayTo => text(Text::DisplayTo),
    }
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

fn text(value: String) -> Value {
    Value::Text(collated(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pli_types::{EmailId, ModSeq, Uid};

    fn at(uids: &[u32]) -> Vec<(u32, Entry)> {
        let entry = |uid| Entry { uid: Uid::new(uid), email: EmailId::new(1), modseq: ModSeq::new(1), flags: 0 };
        (1..).zip(uids).map(|(number, uid)| (number, entry(*uid))).collect()
    }
    fn uids(entries: &[(u32, Entry)]) -> Vec<u32> {
        entries.iter().map(|(_, entry)| entry.uid.get()).collect()
    }

    #[test]
    fn an_order_made_before_holds_for_some_of_its_messages_and_names_the_new() {
        for found in [&[2, 3, 5, 9][..], &[2, 3, 5, 4_000_000_000]] {
            let (sorted, fresh) = arrange(&[5, 1, 3, 3, 2, 7], &at(found));
            assert_eq!((uids(&sorted), uids(&fresh)), (vec![5, 3, 2], vec![found[3]]));
            assert_eq!(sorted.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 2, 1]);
        }
        assert_eq!(arrange(&[1, 2], &[]), (Vec::new(), Vec::new()));
    }
}
