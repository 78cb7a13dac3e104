//! LIST, LSUB and XLIST. RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 3501 §6.3.9.

use std::collections::{BTreeMap, BTreeSet};

use pli_imap_proto::{Code, List, ListAttribute, ListRow, ListVerb};
use pli_store::{Mailbox, Moment, StoreError};
use pli_types::{Action, MailboxName, Rights, UnixMillis};

use super::{acl, metadata, status};
use crate::fail::{Fail, Reply};
use crate::limits::{LIST_MOMENTS_COUNT_MAX, LIST_NAMES_COUNT_MAX, PATTERN_STEPS_MAX};
use crate::others;
use crate::past;
use crate::session::Session;

/// Every name that LIST may speak of.
struct Names {
    /// Names with their mailbox; `None`: only a level above a mailbox or a subscription.
    names: BTreeMap<Box<str>, Option<Mailbox>>,
    subscribed: BTreeSet<Box<str>>,
}

pub async fn run(session: &mut Session, list: &List) -> Result<Reply, Fail> {
    let done = match list.verb {
        ListVerb::List => "LIST done",
        ListVerb::Lsub => "LSUB done",
        ListVerb::Xlist => "XLIST done",
    };
    // RFC 5258 §3.1: RECURSIVEMATCH needs another selection to act on.
    if list.select.recursive_match && !(list.select.subscribed || list.select.special_use) {
        return Err(Fail::Bad("RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE"));
    }
    if !list.extended && list.patterns.iter().all(String::is_empty) {
        // RFC 9051 §6.3.9: an empty pattern asks for the separator.
        write_root(session, list.verb);
        return Ok(Reply::ok(done));
    }
    let names = gather(session)?;
    let patterns: Vec<String> =
        list.patterns.iter().filter(|p| !p.is_empty()).map(|p| canonical(&list.reference, p)).collect();
    status::note_condstore(session, &list.returns.status);
    write_names(session, list, &patterns, &names, None).await?;
    if list.verb != ListVerb::Lsub && !list.select.subscribed && !list.select.special_use {
        write_past(session, list, &patterns, &names).await?;
    }
    Ok(Reply::ok(done))
}

/// The names that match, with their STATUS where asked.
async fn write_names(
    session: &mut Session,
    list: &List,
    patterns: &[String],
    names: &Names,
    moment: Option<&Moment>,
) -> Result<(), Fail> {
    for (name, mailbox) in names.names.iter().take(LIST_NAMES_COUNT_MAX) {
        if !patterns.iter().any(|pattern| matches(pattern, name)) {
            continue;
        }
        let Some((attributes, child_info)) = describe(list, patterns, names, name, mailbox.as_ref()) else {
            continue;
        };
        session.wire.out.list(&ListRow {
            verb: list.verb,
            attributes: &attributes,
            separator: Some(MailboxName::SEPARATOR),
            name,
            old_name: None,
            child_info_subscribed: child_info,
        });
        if let Some(mailbox) = mailbox
            && !list.returns.status.is_empty()
        {
            // RFC 5819 §2: the STATUS of each mailbox that was listed and can be selected.
            if moment.is_some() || session.rights(mailbox)?.has(Rights::READ) {
                status::write(session, mailbox, moment, &list.returns.status)?;
            }
        }
        // RFC 8440 §3, RFC 9590: what was asked of each mailbox that was listed; of the past there is none.
        if let Some(mailbox) = mailbox.as_ref().filter(|_| moment.is_none()) {
            if list.returns.my_rights {
                acl::write_mine(session, mailbox)?;
            }
            if !list.returns.metadata.is_empty() {
                metadata::write(session, mailbox, &list.returns.metadata)?;
            }
        }
        session.wire.flush_if_full().await?;
    }
    Ok(())
}

/// The past. Clients ask for `*` and walk all that they get, so that its many names show only to those who ask for
/// them: `*` and `%` show the first level, patterns that begin with it the days and hours, and patterns that name a
/// moment its mailboxes. RFC 9051 §6.3.9 leaves to the server which names of others it shows.
async fn write_past(session: &mut Session, list: &List, patterns: &[String], names: &Names) -> Result<(), Fail> {
    let Some(root) = past::root_of(session)? else { return Ok(()) };
    if names.has_mailbox(root) {
        return Ok(());
    }
    let hours = past::listed(session)?;
    let below = format!("{root}{}", MailboxName::SEPARATOR);
    let mut levels = vec![root.to_owned()];
    if patterns.iter().any(|pattern| pattern.starts_with(&below)) {
        let days: BTreeSet<_> = hours.iter().map(|(day, _)| *day).collect();
        levels.extend(days.into_iter().map(|day| format!("{root}/{day}")));
        levels.extend(hours.iter().map(|(day, hour)| format!("{root}/{day}/{hour:02}h")));
    }
    for level in levels.iter().filter(|level| patterns.iter().any(|pattern| matches(pattern, level))) {
        let children = if hours.is_empty() { ListAttribute::HasNoChildren } else { ListAttribute::HasChildren };
        session.wire.out.list(&ListRow {
            verb: list.verb,
            attributes: &[ListAttribute::NoSelect, children],
            separator: Some(MailboxName::SEPARATOR),
            name: level,
            old_name: None,
            child_info_subscribed: false,
        });
        session.wire.flush_if_full().await?;
    }
    let zone = session.service.config.restore_time_zone;
    let moments: BTreeMap<String, UnixMillis> =
        patterns.iter().filter_map(|pattern| past::named(root, zone, pattern)).collect();
    if moments.len() > LIST_MOMENTS_COUNT_MAX {
        return Err(Fail::No(Some(Code::Limit), "Too many moments at once"));
    }
    for (label, at) in moments {
        let moment = match past::open(session, at).await {
            Ok(moment) => moment,
            // Outside the window: there is nothing of this name.
            Err(Fail::Store(StoreError::Past(_))) => continue,
            Err(fail) => return Err(fail),
        };
        let names = gather_past(session, &label, &moment)?;
        write_names(session, list, patterns, &names, Some(&moment)).await?;
    }
    Ok(())
}

/// The mailboxes of a moment under the names by which they are shown. Special uses are left out: no client is to take a
/// Trash of the past for the one to use.
fn gather_past(session: &Session, label: &str, moment: &Moment) -> Result<Names, Fail> {
    let permit = session.admit_any(Action::List)?;
    let store = session.store();
    let mut names: BTreeMap<Box<str>, Option<Mailbox>> = BTreeMap::new();
    for mailbox in store.read_past(&permit, moment)?.mailboxes()? {
        // A name that has become too long can be neither shown nor opened.
        let Ok(name) = MailboxName::new(&format!("{label}/{}", mailbox.name)) else { continue };
        for level in std::iter::successors(name.parent(), MailboxName::parent) {
            if level.as_str().len() > label.len() {
                names.entry(level.as_str().into()).or_default();
            }
        }
        names.insert(name.as_str().into(), Some(Mailbox { name, special_use: None, ..mailbox }));
    }
    Ok(Names { names, subscribed: BTreeSet::new() })
}

fn write_root(session: &mut Session, verb: ListVerb) {
    session.wire.out.list(&ListRow {
        verb,
        attributes: &[ListAttribute::NoSelect],
        separator: Some(MailboxName::SEPARATOR),
        name: "",
        old_name: None,
        child_info_subscribed: false,
    });
}

fn gather(session: &Session) -> Result<Names, Fail> {
    let permit = session.admit_any(Action::List)?;
    let store = session.store();
    let reader = store.read(&permit)?;
    let mut names: BTreeMap<Box<str>, Option<Mailbox>> = BTreeMap::new();
    let mut subscribed = BTreeSet::new();
    for name in reader.subscriptions()? {
        for level in std::iter::successors(Some(name.clone()), MailboxName::parent) {
            names.entry(level.as_str().into()).or_default();
        }
        subscribed.insert(Box::from(name.as_str()));
    }
    for mailbox in reader.mailboxes()? {
        for level in std::iter::successors(mailbox.name.parent(), MailboxName::parent) {
            names.entry(level.as_str().into()).or_default();
        }
        names.insert(mailbox.name.as_str().into(), Some(mailbox));
    }
    for other in others::listed(session)? {
        let levels = std::iter::successors(other.name.parent(), MailboxName::parent);
        levels.for_each(|level| _ = names.entry(level.as_str().into()).or_default());
        // What people made themselves goes first.
        names
            .entry(other.name.as_str().into())
            .and_modify(|known| _ = known.get_or_insert_with(|| other.clone()))
            .or_insert(Some(other));
    }
    Ok(Names { names, subscribed })
}

impl Names {
    fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, Option<&'a Mailbox>)> + use<'a> {
        let from = format!("{name}{}", MailboxName::SEPARATOR);
        let prefix = from.clone();
        self.names
            .range::<str, _>((std::ops::Bound::Included(&*from), std::ops::Bound::Unbounded))
            .take_while(move |(below, _)| below.starts_with(&*prefix))
            .map(|(below, mailbox)| (&**below, mailbox.as_ref()))
    }
    /// Whether there is a mailbox at or below a name.
    fn has_mailbox(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(Option::is_some) || self.has_children(name)
    }
    fn has_children(&self, name: &str) -> bool {
        self.below(name).any(|(_, mailbox)| mailbox.is_some())
    }
}

/// The attributes of a name, and whether CHILDINFO goes with it; `None`: not listed.
fn describe(
    list: &List,
    patterns: &[String],
    names: &Names,
    name: &str,
    mailbox: Option<&Mailbox>,
) -> Option<(Vec<ListAttribute>, bool)> {
    let mut attributes = Vec::new();
    let is_subscribed = names.subscribed.contains(name);
    let has_children = names.has_children(name);
    let lsub = list.verb == ListVerb::Lsub;
    let mut child_info = false;
    if lsub || list.select.subscribed {
        let below = |unmatched: bool| {
            names.below(name).any(|(below, _)| {
                names.subscribed.contains(below) && !(unmatched && patterns.iter().any(|p| matches(p, below)))
            })
        };
        if lsub && !is_subscribed {
            // RFC 3501 §6.3.9: `%` shows a level above subscribed names as \Noselect.
            return below(true).then_some((vec![ListAttribute::NoSelect], false));
        }
        // RFC 5258 §3.5: a name that is listed only because of what is below it.
        child_info = list.select.recursive_match && below(!is_subscribed);
        if !is_subscribed && !child_info {
            return None;
        }
    } else if mailbox.is_none() && !has_children {
        // Only a subscription without a mailbox: LIST does not speak of it.
        return None;
    }
    let special_use = mailbox.and_then(|mailbox| mailbox.special_use);
    if list.select.special_use && special_use.is_none() {
        return None;
    }
    match (mailbox, list.verb) {
        // The roots of mail of others and the accounts below them hold mailboxes, and are none.
        (None, ListVerb::List) if !others::is_level(name) => attributes.push(ListAttribute::NonExistent),
        (None, _) => attributes.push(ListAttribute::NoSelect),
        (Some(_), _) => {}
    }
    if is_subscribed && !lsub && (list.select.subscribed || list.returns.subscribed) {
        attributes.push(ListAttribute::Subscribed);
    }
    // RFC 9051 §7.3.1: always one of the two.
    attributes.push(if has_children { ListAttribute::HasChildren } else { ListAttribute::HasNoChildren });
    if list.verb == ListVerb::Xlist && name == "INBOX" {
        attributes.push(ListAttribute::Inbox);
    }
    // clients.md 14: Outlook wants special uses in LSUB and XLIST too; RFC 6154 §2 allows them in any LIST.
    attributes.extend(special_use.map(ListAttribute::SpecialUse));
    Some((attributes, child_info))
}

/// RFC 9051 §6.3.9: the pattern in the reference's context.
fn canonical(reference: &str, pattern: &str) -> String {
    let joined = if pattern.starts_with(MailboxName::SEPARATOR) {
        // Absolute: the reference does not count, and no name starts with the separator.
        pattern.trim_start_matches(MailboxName::SEPARATOR).to_owned()
    } else {
        format!("{reference}{pattern}")
    };
    // RFC 9051 §5.1: INBOX in any case.
    match joined.get(..5) {
        Some(first)
            if first.eq_ignore_ascii_case("INBOX")
                && matches!(joined.as_bytes().get(5), None | Some(b'/' | b'*' | b'%')) =>
        {
            format!("INBOX{}", joined.get(5..).unwrap_or_default())
        }
        _ => joined,
    }
}

/// RFC 9051 §6.3.9: `*` is anything, `%` anything within a level. The work is bounded.
pub fn matches(pattern: &str, name: &str) -> bool {
    // Bytes of names that match the pattern so far, as a set of positions: no backtracking, so the work is at most
    // pattern times name.
    let name = name.as_bytes();
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let mut steps = 0u32;
    for &symbol in pattern.as_bytes() {
        let mut next = vec![false; reached.len()];
        let mut open = false;
        for (at, slot) in next.iter_mut().enumerate() {
            steps = steps.saturating_add(1);
            if steps > PATTERN_STEPS_MAX {
                return false;
            }
            let here = reached.get(at).copied().unwrap_or(false);
            let before = at.checked_sub(1).and_then(|b| name.get(b)).copied();
            *slot = match symbol {
                b'*' | b'%' => {
                    // `%` cannot step over a separator.
                    open = here || (open && (symbol == b'*' || before != Some(b'/')));
                    open
                }
                _ => {
                    let was = at.checked_sub(1).and_then(|b| reached.get(b)).copied().unwrap_or(false);
                    was && before == Some(symbol)
                }
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::{canonical, matches};

    #[test]
    fn wildcards() {
        for (pattern, name, fits) in [
            ("*", "a/b/c", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("a*", "abc/d", true),
            ("*c", "a/b/c", true),
            ("a%c", "abc", true),
            ("a%c", "a/c", false),
            ("a*c", "a/c", true),
            ("", "", true),
            ("a", "ab", false),
            ("%%", "abc", true),
            ("*%", "a/b", true),
            ("%*", "a/b", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn many_wildcards_end() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(255)));
    }

    #[test]
    fn the_reference_goes_before_the_pattern() {
        assert_eq!(canonical("a/", "%"), "a/%");
        assert_eq!(canonical("", "inbox"), "INBOX");
        assert_eq!(canonical("", "Inbox/%"), "INBOX/%");
        assert_eq!(canonical("", "inboxes"), "inboxes");
        assert_eq!(canonical("a/", "/b"), "b");
    }
}
