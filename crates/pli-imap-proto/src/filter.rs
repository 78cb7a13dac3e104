//! RFC 5465 §8 `filter-mailboxes`, with RFC 7377 §4 subtree-one: which mailboxes a command means.

use pli_types::MailboxName;

use crate::command::MailboxFilter;
use crate::cursor::{Cursor, Read};
use crate::limits::FILTER_MAILBOXES_COUNT_MAX;

/// RFC 7377 §4 `esearch-source-opts` behind IN: `(personal subtree "a" mailboxes (b c))`.
pub fn read_filters(c: &mut Cursor<'_>) -> Read<Vec<MailboxFilter>> {
    let mut filters = Vec::new();
    let mut named = 0usize;
    c.list(|c| {
        let filter = read_filter(c)?;
        // RFC 7377 §2.2
        if filter == MailboxFilter::SelectedDelayed {
            return Err("selected-delayed is of NOTIFY".into());
        }
        if let MailboxFilter::Subtree(names) | MailboxFilter::SubtreeOne(names) | MailboxFilter::Mailboxes(names) =
            &filter
        {
            named = named.saturating_add(names.len());
        }
        if named > FILTER_MAILBOXES_COUNT_MAX || filters.len() > FILTER_MAILBOXES_COUNT_MAX {
            return Err("Too many mailboxes".into());
        }
        filters.push(filter);
        Ok(())
    })?;
    if filters.is_empty() { Err("Expected a mailbox filter".into()) } else { Ok(filters) }
}

/// One `filter-mailboxes` without its parentheses.
pub fn read_filter(c: &mut Cursor<'_>) -> Read<MailboxFilter> {
    Ok(match c.word().to_ascii_lowercase().as_slice() {
        b"selected" => MailboxFilter::Selected,
        b"selected-delayed" => MailboxFilter::SelectedDelayed,
        b"inboxes" => MailboxFilter::Inboxes,
        b"personal" => MailboxFilter::Personal,
        b"subscribed" => MailboxFilter::Subscribed,
        b"subtree" => MailboxFilter::Subtree(read_names(c)?),
        b"subtree-one" => MailboxFilter::SubtreeOne(read_names(c)?),
        b"mailboxes" => MailboxFilter::Mailboxes(read_names(c)?),
        _ => return Err("Unknown mailbox filter".into()),
    })
}

/// RFC 5465 §8 `one-or-more-mailbox`.
fn read_names(c: &mut Cursor<'_>) -> Read<Vec<MailboxName>> {
    c.space()?;
    if c.peek() != Some(b'(') {
        return Ok(vec![c.mailbox()?]);
    }
    let mut names = Vec::new();
    c.list(|c| {
        if names.len() == FILTER_MAILBOXES_COUNT_MAX {
            return Err("Too many mailboxes".into());
        }
        names.push(c.mailbox()?);
        Ok(())
    })?;
    if names.is_empty() { Err("Expected a mailbox".into()) } else { Ok(names) }
}
