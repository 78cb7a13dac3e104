//! RFC 5465 §8 NOTIFY.

use crate::command::{CommandBody, EventGroup, MailboxFilter, NotifyEvent, NotifySet};
use crate::cursor::{Cursor, Read};
use crate::fetch::read_items;
use crate::filter::read_filter;
use crate::limits::NOTIFY_GROUPS_COUNT_MAX;

/// Events of one group; there are fewer.
const EVENTS_COUNT_MAX: usize = 16;

/// ` NONE` or ` SET [STATUS] (filter (events)) ...`
pub fn read(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    if c.eat_word(b"NONE") {
        return Ok(CommandBody::Notify(None));
    }
    if !c.eat_word(b"SET") {
        return Err("Expected SET or NONE".into());
    }
    c.space()?;
    let status = c.eat_word(b"STATUS");
    if status {
        c.space()?;
    }
    let mut groups = vec![read_group(c)?];
    while c.more() {
        if groups.len() == NOTIFY_GROUPS_COUNT_MAX {
            return Err("Too many event groups".into());
        }
        groups.push(read_group(c)?);
    }
    // RFC 5465 §6.1
    if groups.iter().filter(|group| is_selected(&group.filter)).count() > 1 {
        return Err("Only one of selected and selected-delayed".into());
    }
    Ok(CommandBody::Notify(Some(NotifySet { status, groups })))
}

const fn is_selected(filter: &MailboxFilter) -> bool {
    matches!(filter, MailboxFilter::Selected | MailboxFilter::SelectedDelayed)
}

fn read_group(c: &mut Cursor<'_>) -> Read<EventGroup> {
    c.need(b'(', "Expected an event group")?;
    c.blanks();
    // RFC 7377 §4: subtree-one is of ESEARCH.
    let filter = read_filter(c)?;
    if matches!(filter, MailboxFilter::SubtreeOne(_)) {
        return Err("subtree-one is of ESEARCH".into());
    }
    c.space()?;
    let mut events = Vec::new();
    if !c.eat_word(b"NONE") {
        read_events(c, &filter, &mut events)?;
    }
    c.blanks();
    c.need(b')', "Expected the end of an event group")?;
    check(&filter, &events)?;
    Ok(EventGroup { filter, events })
}

fn read_events(c: &mut Cursor<'_>, filter: &MailboxFilter, events: &mut Vec<NotifyEvent>) -> Read<()> {
    c.list(|c| {
        if events.len() == EVENTS_COUNT_MAX {
            return Err("Too many events".into());
        }
        let name = c.atom()?;
        let event = match name.to_ascii_lowercase().as_str() {
            "messagenew" => {
                let mut items = Vec::new();
                let mut ahead = c.clone();
                ahead.blanks();
                if ahead.peek() == Some(b'(') {
                    c.blanks();
                    items = read_items(c)?;
                    // RFC 5465 §8: only of the selected mailbox.
                    if !is_selected(filter) {
                        return Err("FETCH items are of the selected mailbox".into());
                    }
                }
                NotifyEvent::MessageNew(items)
            }
            "messageexpunge" => NotifyEvent::MessageExpunge,
            "flagchange" => NotifyEvent::FlagChange,
            "mailboxname" => NotifyEvent::MailboxName,
            "subscriptionchange" => NotifyEvent::SubscriptionChange,
            _ => NotifyEvent::Other(name.into()),
        };
        events.push(event);
        Ok(())
    })?;
    if events.is_empty() { Err("Expected an event".into()) } else { Ok(()) }
}

/// RFC 5465 §5, §6.1: which events go together.
fn check(filter: &MailboxFilter, events: &[NotifyEvent]) -> Read<()> {
    let has = |is: &dyn Fn(&NotifyEvent) -> bool| events.iter().any(is);
    let new = has(&|event| matches!(event, NotifyEvent::MessageNew(_)));
    let expunge = has(&|event| matches!(event, NotifyEvent::MessageExpunge));
    let other = |event: &NotifyEvent| matches!(event, NotifyEvent::Other(name) if name.eq_ignore_ascii_case("AnnotationChange"));
    let flags = has(&|event| matches!(event, NotifyEvent::FlagChange) || other(event));
    if new != expunge || (flags && !new) {
        return Err("MessageNew and MessageExpunge go together, and FlagChange needs both".into());
    }
    if is_selected(filter) && has(&|event| matches!(event, NotifyEvent::MailboxName | NotifyEvent::SubscriptionChange))
    {
        return Err("The selected mailbox has message events only".into());
    }
    Ok(())
}
