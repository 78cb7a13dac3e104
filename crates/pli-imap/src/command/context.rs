//! CANCELUPDATE (RFC 5267 §4.3.5) and UIDBATCHES (RFC 10022).

use pli_imap_proto::{Code, Tag};
use pli_store::Snapshot;

use crate::context;
use crate::fail::{Fail, Reply};
use crate::limits::{BATCH_SIZE_MIN, BATCHES_COUNT_MAX};
use crate::session::Session;

pub fn cancel(session: &mut Session, tags: &[Tag]) -> Result<Reply, Fail> {
    context::cancel(session, tags);
    Ok(Reply::ok("No further updates"))
}

pub fn batches(session: &mut Session, tag: &Tag, size: u32, range: Option<(u32, u32)>) -> Result<Reply, Fail> {
    let open = session.open()?;
    let count = open.picture.messages.div_ceil(size.max(1));
    let (first, last) = range.unwrap_or((1, count));
    let asked = last.min(count).saturating_sub(first.saturating_sub(1));
    // RFC 10022 §3: batches of 500 are always made, small ones where there are few.
    if size < BATCH_SIZE_MIN && asked > BATCHES_COUNT_MAX {
        return Err(Fail::No(Some(Code::TooFew), "Too few messages in a batch"));
    }
    let batches = cut(&open.picture, size, first, asked);
    session.wire.out.uid_batches(tag, &batches);
    Ok(Reply::ok("UIDBATCHES done"))
}

/// The highest and the lowest UID of `count` batches from the `first` on; the first has the highest UIDs.
fn cut(picture: &Snapshot, size: u32, first: u32, count: u32) -> Vec<(u32, u32)> {
    let uid = |number| picture.by_number(number).map(|entry| entry.uid.get());
    let skipped = u64::from(first.saturating_sub(1)).saturating_mul(size.into());
    let mut high = u64::from(picture.messages).saturating_sub(skipped);
    let mut batches = Vec::new();
    while high > 0 && batches.len() < count as usize {
        let low = high.saturating_sub(size.into()).saturating_add(1).max(1);
        let ends = (u32::try_from(high).ok().and_then(uid), u32::try_from(low).ok().and_then(uid));
        if let (Some(highest), Some(lowest)) = ends {
            batches.push((highest, lowest));
        }
        high = low.saturating_sub(1);
    }
    batches
}
