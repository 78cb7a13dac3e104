//! RFC 9051 §6.3.11 STATUS, and its items in LIST RETURN (RFC 5819).

use crate::command::{CommandBody, StatusItem};
use crate::cursor::{Cursor, Read};

const ITEMS: [StatusItem; 11] = [
    StatusItem::Messages,
    StatusItem::Recent,
    StatusItem::UidNext,
    StatusItem::UidValidity,
    StatusItem::Unseen,
    StatusItem::Deleted,
    StatusItem::Size,
    StatusItem::HighestModSeq,
    StatusItem::MailboxId,
    StatusItem::DeletedStorage,
    StatusItem::AppendLimit,
];

/// ` mailbox (items)`
pub fn read(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mailbox = c.mailbox()?;
    c.space()?;
    let items = read_items(c)?;
    Ok(CommandBody::Status { mailbox, items })
}

/// `(MESSAGES UNSEEN)`, one at least.
pub fn read_items(c: &mut Cursor<'_>) -> Read<Vec<StatusItem>> {
    let mut items = Vec::new();
    c.list(|c| {
        let word = c.word();
        let item = ITEMS.into_iter().find(|i| i.name().as_bytes().eq_ignore_ascii_case(word));
        let item = item.ok_or("Unknown STATUS item")?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err("STATUS needs an item".into()) } else { Ok(items) }
}
