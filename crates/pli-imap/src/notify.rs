//! NOTIFY (RFC 5465): what a session is told of mailboxes without asking, between commands and in IDLE.
//!
//! The store says that something of an account changed; what it was is the difference between the mailboxes' rows as
//! the client knows them and as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pli_imap_proto::{Bound, SequenceSet};
use pli_imap_proto::{
    EventGroup, FetchItem, ListAttribute, ListRow, ListVerb, MailboxFilter, MessageSet, NotifyEvent, StatusItem,
};
use pli_store::Mailbox;
use pli_types::{Action, MailboxId, MailboxName, Uid};
use tokio::sync::watch;

use crate::command::{fetch, status};
use crate::fail::Fail;
use crate::filter;
use crate::session::Session;
use crate::state::State;

/// So long changes are gathered before the mailboxes are looked at.
const GATHER: Duration = Duration::from_millis(20);

/// What was asked for.
pub struct Notify {
    groups: Vec<EventGroup>,
    /// What of the selected mailbox.
    pub selected: Wanted,
    /// Asked of each new message there.
    items: Vec<FetchItem>,
    /// Changes of the account.
    pub signal: watch::Receiver<u64>,
    known: Known,
}

/// What is told of the selected mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// New messages and expunges.
    pub messages: bool,
    /// Flags.
    pub flags: bool,
    /// Expunges wait for a command that may tell of them.
    pub delayed: bool,
}

/// The mailboxes as the client knows them.
#[derive(Default)]
struct Known {
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    subscribed: BTreeSet<MailboxName>,
}

impl Notify {
    /// From a NOTIFY SET.
    pub fn new(session: &Session, groups: Vec<EventGroup>) -> Result<Self, Fail> {
        let permit = session.admit_any(Action::List)?;
        let signal = session.store().watch_account(&permit)?;
        let known = know(session)?;
        let selected = groups
            .iter()
            .find(|group| matches!(group.filter, MailboxFilter::Selected | MailboxFilter::SelectedDelayed));
        let has = |is: &dyn Fn(&NotifyEvent) -> bool| selected.is_some_and(|group| group.events.iter().any(is));
        let wanted = Wanted {
            messages: has(&|event| matches!(event, NotifyEvent::MessageNew(_))),
            flags: has(&|event| matches!(event, NotifyEvent::FlagChange)),
            delayed: selected.is_some_and(|group| group.filter == MailboxFilter::SelectedDelayed),
        };
        let items = selected.into_iter().flat_map(|group| &group.events).find_map(|event| match event {
            NotifyEvent::MessageNew(items) => Some(items.clone()),
            _ => None,
        });
        Ok(Self { selected: wanted, items: items.unwrap_or_default(), signal, known, groups })
    }

    /// RFC 5465 §6: the first group that means a mailbox says what is told of it.
    fn events(&self, name: &MailboxName, subscribed: &BTreeSet<MailboxName>) -> &[NotifyEvent] {
        let group = self.groups.iter().find(|group| filter::means(&group.filter, name, subscribed));
        group.map_or(&[], |group| &group.events)
    }

    /// Whether new messages of the selected mailbox are to be fetched.
    pub fn fetches(&self) -> bool {
        !self.items.is_empty()
    }
}

fn know(session: &Session) -> Result<Known, Fail> {
    let permit = session.admit_any(Action::List)?;
    let store = session.store();
    let reader = store.read(&permit)?;
    let mailboxes = reader.mailboxes()?.into_iter().map(|mailbox| (mailbox.id, mailbox)).collect();
    Ok(Known { mailboxes, subscribed: reader.subscriptions()?.into_iter().collect() })
}

fn wants_messages(events: &[NotifyEvent]) -> bool {
    events.iter().any(|event| matches!(event, NotifyEvent::MessageNew(_)))
}
fn wants_flags(events: &[NotifyEvent]) -> bool {
    events.iter().any(|event| matches!(event, NotifyEvent::FlagChange))
}

/// RFC 5465 §3.1: with STATUS, how each mailbox is now.
pub fn write_status(session: &mut Session) -> Result<(), Fail> {
    let Some(notify) = session.notify.take() else { return Ok(()) };
    let here = session.selected().map(|selected| selected.mailbox);
    let written = notify.known.mailboxes.values().filter(|mailbox| Some(mailbox.id) != here).try_for_each(|mailbox| {
        let events = notify.events(&mailbox.name, &notify.known.subscribed);
        if !wants_messages(events) {
            return Ok(());
        }
        let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
        if wants_flags(events) {
            items.extend([StatusItem::Unseen, StatusItem::HighestModSeq]);
        }
        status::write(session, mailbox, None, &items)
    });
    session.notify = Some(notify);
    written
}

/// Own changes are not told (RFC 5465 §5): they are known from now on.
pub fn forget_own(session: &mut Session) -> Result<(), Fail> {
    if session.notify.is_none() {
        return Ok(());
    }
    let row = session.by_notify();
    let known = know(session);
    session.by_row(row);
    let known = known?;
    if let Some(notify) = &mut session.notify {
        notify.known = known;
        notify.signal.mark_unchanged();
    }
    Ok(())
}

/// Ends when something that is to be told has changed: in the selected mailbox, or in the account.
pub fn changed(session: &Session) -> impl Future<Output = ()> + Send + use<> {
    // Receivers of its own: the state cannot be borrowed while the stream is read.
    let wanted = session.notify.as_ref().is_none_or(|notify| notify.selected.messages);
    let mut mailbox = match &session.state {
        State::Selected { selected, .. } if wanted => Some(selected.current.clone()),
        _ => None,
    };
    let mut account = session.notify.as_ref().map(|notify| notify.signal.clone());
    async move {
        tokio::select! {
            () = change(&mut mailbox) => {}
            () = change(&mut account) => {}
        }
    }
}

/// A mailbox that is gone changes no more.
async fn change<T>(of: &mut Option<watch::Receiver<T>>) {
    let changed = match of {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

/// Tells what has changed. `expunges`: it may be told of the selected mailbox's.
pub async fn tell(session: &mut Session, expunges: bool) -> Result<(), Fail> {
    let row = session.by_notify();
    let told = tell_by_row(session, expunges).await;
    session.by_row(row);
    told
}

async fn tell_by_row(session: &mut Session, expunges: bool) -> Result<(), Fail> {
    let Some(notify) = &session.notify else { return Ok(()) };
    let wanted = notify.selected;
    if wanted.messages {
        session.tell(expunges || !wanted.delayed);
        fetch_new(session).await?;
    }
    let changed = session.notify.as_mut().is_some_and(|notify| {
        let changed = notify.signal.has_changed().unwrap_or(false);
        notify.signal.mark_unchanged();
        changed
    });
    if changed {
        tell_others(session).await?;
    }
    Ok(())
}

/// RFC 5465 §5.2: the items that were asked of new messages.
async fn fetch_new(session: &mut Session) -> Result<(), Fail> {
    let Some(first) = session.selected().and_then(|selected| selected.new_from.take()) else { return Ok(()) };
    let Some(items) = session.notify.as_ref().map(|notify| notify.items.clone()) else { return Ok(()) };
    let first = std::num::NonZeroU32::new(first.get()).unwrap_or(std::num::NonZeroU32::MIN);
    let last = std::num::NonZeroU32::MAX;
    let set = SequenceSet::from_ranges(vec![(Bound::Number(first), Bound::Number(last))]);
    let Some(set) = set.filter(|_| !items.is_empty()) else { return Ok(()) };
    match fetch::run(session, true, &MessageSet::Set(set), items, None, false, None).await {
        Err(fail @ Fail::Io(_)) => Err(fail),
        // There is no command to answer.
        Err(fail) => {
            tracing::debug!(session = %session.info.id, %fail, "new messages could not be told whole");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

async fn tell_others(session: &mut Session) -> Result<(), Fail> {
    // What comes in one go is told in one go.
    tokio::time::sleep(GATHER).await;
    if let Some(notify) = &mut session.notify {
        notify.signal.mark_unchanged();
    }
    let now = know(session)?;
    let Some(mut notify) = session.notify.take() else { return Ok(()) };
    let here = session.selected().map(|selected| selected.mailbox);
    let before = std::mem::take(&mut notify.known);
    let told = tell_difference(session, &notify, &before, &now, here).await;
    notify.known = now;
    session.notify = Some(notify);
    told
}

async fn tell_difference(
    session: &mut Session,
    notify: &Notify,
    before: &Known,
    now: &Known,
    here: Option<MailboxId>,
) -> Result<(), Fail> {
    let names = |events: &[NotifyEvent]| events.contains(&NotifyEvent::MailboxName);
    for (id, old) in &before.mailboxes {
        if !now.mailboxes.contains_key(id) && names(notify.events(&old.name, &before.subscribed)) {
            // RFC 5465 §5.4
            write_list(session, now, &old.name, &[ListAttribute::NonExistent], None);
        }
    }
    for (id, mailbox) in &now.mailboxes {
        let events = notify.events(&mailbox.name, &now.subscribed);
        match before.mailboxes.get(id) {
            None if names(events) => write_list(session, now, &mailbox.name, &[], None),
            Some(old) if old.name != mailbox.name && names(events) => {
                write_list(session, now, &mailbox.name, &[], Some(&old.name));
            }
            _ => {}
        }
        if Some(*id) != here {
            write_changes(session, events, before.mailboxes.get(id), mailbox)?;
        }
        session.wire.flush_if_full().await?;
    }
    for name in before.subscribed.symmetric_difference(&now.subscribed) {
        // A filter of the subscribed looks at both lists.
        let subscribed = now.subscribed.contains(name);
        let lists = if subscribed { &now.subscribed } else { &before.subscribed };
        if notify.events(name, lists).contains(&NotifyEvent::SubscriptionChange) {
            let attributes: &[ListAttribute] = if subscribed { &[ListAttribute::Subscribed] } else { &[] };
            write_list(session, now, name, attributes, None);
        }
    }
    Ok(())
}

fn write_list(
    session: &mut Session,
    now: &Known,
    name: &MailboxName,
    first: &[ListAttribute],
    old: Option<&MailboxName>,
) {
    let mut attributes = first.to_vec();
    let find = |mailbox: &&Mailbox| mailbox.name == *name;
    let mailbox = now.mailboxes.values().find(find);
    if mailbox.is_none() && !attributes.contains(&ListAttribute::NonExistent) {
        attributes.push(ListAttribute::NonExistent);
    }
    let below = format!("{name}{}", MailboxName::SEPARATOR);
    let has_children = now.mailboxes.values().any(|mailbox| mailbox.name.as_str().starts_with(&below));
    attributes.push(if has_children { ListAttribute::HasChildren } else { ListAttribute::HasNoChildren });
    session.wire.out.list(&ListRow {
        verb: ListVerb::List,
        attributes: &attributes,
        separator: Some(MailboxName::SEPARATOR),
        name: name.as_str(),
        old_name: old.map(MailboxName::as_str),
        child_info_subscribed: false,
    });
}

/// RFC 5465 §5.1 to §5.3: changes of a mailbox that is not selected are a STATUS.
fn write_changes(
    session: &mut Session,
    events: &[NotifyEvent],
    old: Option<&Mailbox>,
    now: &Mailbox,
) -> Result<(), Fail> {
    if !wants_messages(events) {
        return Ok(());
    }
    let condstore = session.enabled.condstore;
    let (next, messages, modseq, unseen, validity) = old.map_or((Uid::new(1), 0, None, 0, None), |old| {
        (old.uid_next, old.messages, Some(old.highest_modseq), old.unseen, Some(old.uid_validity))
    });
    let mut items = Vec::new();
    let came = now.uid_next != next || now.messages != messages;
    if came {
        items.extend([StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity]);
    }
    if wants_flags(events) {
        if now.unseen != unseen {
            items.push(StatusItem::Unseen);
        }
        if validity.is_some_and(|validity| validity != now.uid_validity)
            || (condstore && modseq != Some(now.highest_modseq))
        {
            items.push(StatusItem::UidValidity);
        }
    }
    if condstore && !items.is_empty() {
        items.push(StatusItem::HighestModSeq);
    }
    let mut once: Vec<StatusItem> = Vec::new();
    items.into_iter().for_each(|item| {
        if !once.contains(&item) {
            once.push(item)
        }
    });
    if once.is_empty() { Ok(()) } else { status::write(session, now, None, &once) }
}
