//! RFC 5267 §4.3.5 CANCELUPDATE and RFC 10022 §3 UIDBATCHES.

use crate::command::{CommandBody, Tag};
use crate::cursor::{Cursor, Read};
use crate::limits::CANCELLED_TAGS_COUNT_MAX;

/// ` "tag" "tag"`
pub fn read_cancel(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mut tags = Vec::new();
    loop {
        if tags.len() == CANCELLED_TAGS_COUNT_MAX {
            return Err("Too many tags".into());
        }
        tags.push(Tag::new(&c.astring()?).ok_or("Not a tag")?);
        if !c.more() {
            return Ok(CommandBody::CancelUpdate(tags));
        }
    }
}

/// ` size [first:last]`
pub fn read_batches(c: &mut Cursor<'_>) -> Read<CommandBody> {
    let positive = |n: u32| if n == 0 { Err("A number from 1 on") } else { Ok(n) };
    c.space()?;
    let size = positive(c.number32()?)?;
    let mut range = None;
    if c.more() {
        let first = positive(c.number32()?)?;
        c.need(b':', "Expected a range of batches")?;
        let last = positive(c.number32()?)?;
        range = Some((first.min(last), first.max(last)));
    }
    Ok(CommandBody::UidBatches { size, range })
}
