//! GETMETADATA and SETMETADATA. RFC 5464 §4.2, §4.3.

use pli_gate::Target;
use pli_imap_proto::{Code, Depth, Metadata};
use pli_store::{ANNOTATION_BYTES_MAX, Mailbox, StoreError};
use pli_types::{Action, MailboxName};

use super::find;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::filters;
use crate::session::Session;
use crate::state::Place;

/// Entries with their values; `None` for one that was asked for and is not there.
type Found = Vec<(String, Option<Vec<u8>>)>;

pub fn get(session: &mut Session, asked: &Metadata) -> Result<Reply, Fail> {
    let place = place(session, asked.mailbox.as_ref())?;
    let (mut found, mut longest) = (Found::new(), 0_u64);
    for (name, value) in read(session, place, asked)? {
        let bytes = value.as_ref().map_or(0, Vec::len) as u64;
        if asked.max_size.is_some_and(|most| bytes > most) {
            longest = longest.max(bytes);
        } else {
            found.push((name, value));
        }
    }
    if !found.is_empty() {
        let name = asked.mailbox.as_ref().map_or("", MailboxName::as_str);
        session.wire.out.metadata(name, &found);
    }
    // RFC 5464 §4.2.1
    Ok(match longest {
        0 => Reply::ok("GETMETADATA done"),
        _ => Reply::ok_code(ReplyCode::Plain(Code::MetadataLongEntries(longest)), "Some values are too long"),
    })
}

/// RFC 9590: the entries of a mailbox that LIST has shown; what is not there is NIL.
pub fn write(session: &mut Session, mailbox: &Mailbox, entries: &[String]) -> Result<(), Fail> {
    let asked = Metadata { entries: entries.to_vec(), ..Metadata::default() };
    match read(session, Some(mailbox.into()), &asked) {
        Ok(found) => session.wire.out.metadata(mailbox.name.as_str(), &found),
        // It may be listed and not be looked into.
        Err(Fail::Refused(_)) => {}
        Err(fail) => return Err(fail),
    }
    Ok(())
}

pub async fn set(
    session: &mut Session,
    name: Option<&MailboxName>,
    entries: Vec<(String, Option<Vec<u8>>)>,
) -> Result<Reply, Fail> {
    let place = place(session, name)?;
    // RFC 5464 §4.3: all or nothing, so what cannot be is refused before anything is done.
    if entries.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.len() > ANNOTATION_BYTES_MAX)) {
        return Err(Fail::No(Some(Code::MetadataMaxSize(ANNOTATION_BYTES_MAX as u64)), "The value is too long"));
    }
    if name.is_none() {
        for (name, value) in &entries {
            filters::check(name, value.as_deref().unwrap_or(b"ALL"))?;
        }
    }
    let (private, shared): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name.starts_with(PRIVATE));
    let mut parts = Vec::new();
    for (changes, root, action) in [(private, PRIVATE, Action::SetPrivate), (shared, SHARED, Action::SetMetadata)] {
        if changes.is_empty() {
            continue;
        }
        let permit = match place {
            Some(place) => session.admit_on(action, place)?,
            None if action == Action::SetPrivate => session.admit_any(action)?,
            None => {
                return Err(Fail::No(Some(Code::NoPerm), "What all see of the server is set by administrators"));
            }
        };
        let within = |(name, value): (String, _)| (name.strip_prefix(root).unwrap_or_default().to_owned(), value);
        parts.push((permit, root == PRIVATE, changes.into_iter().map(within).collect()));
    }
    match session.store().set_annotations(parts).await {
        Ok(_) => Ok(Reply::ok("SETMETADATA done")),
        Err(StoreError::Limit("annotations")) => Err(Fail::No(Some(Code::MetadataTooMany), "Too many entries")),
        Err(error) => Err(error.into()),
    }
}

const PRIVATE: &str = "/private";
const SHARED: &str = "/shared";

/// The mailbox, or the server.
fn place(session: &Session, name: Option<&MailboxName>) -> Result<Option<Place>, Fail> {
    name.map(|name| find(session, name).map(|mailbox| Place::from(&mailbox))).transpose()
}

fn read(session: &Session, place: Option<Place>, asked: &Metadata) -> Result<Found, Fail> {
    let target = Target {
        account: place.map(|place| place.account),
        mailbox: place.map(|place| place.mailbox),
        ..Target::default()
    };
    let permit = session.admit(Action::GetMetadata, &target)?;
    let mut found = Found::new();
    for (root, private) in [(PRIVATE, true), (SHARED, false)] {
        let asked_of: Vec<&str> = asked.entries.iter().filter_map(|name| name.strip_prefix(root)).collect();
        if asked_of.is_empty() {
            continue;
        }
        let there = session.store().annotations(&permit, private)?;
        for name in &asked_of {
            if asked.depth == Depth::Zero && !there.iter().any(|(known, _)| known == name) {
                found.push((format!("{root}{name}"), None));
            }
        }
        let wanted = |known: &str| asked_of.iter().any(|name| is_within(known, name, asked.depth));
        let wanted = there.into_iter().filter(|(known, _)| wanted(known));
        found.extend(wanted.map(|(known, value)| (format!("{root}{known}"), Some(value))));
    }
    Ok(found)
}

/// RFC 5464 §4.2.2
fn is_within(known: &str, name: &str, depth: Depth) -> bool {
    let Some(rest) = known.strip_prefix(name) else { return false };
    match depth {
        _ if rest.is_empty() => true,
        Depth::Zero => false,
        Depth::One => rest.starts_with('/') && !rest.trim_start_matches('/').contains('/'),
        Depth::Infinity => rest.starts_with('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths() {
        for (known, depth, fits) in [
            ("/a", Depth::Zero, true),
            ("/a/b", Depth::Zero, false),
            ("/a/b", Depth::One, true),
            ("/a/b/c", Depth::One, false),
            ("/a/b/c", Depth::Infinity, true),
            ("/ab", Depth::Infinity, false),
        ] {
            assert_eq!(is_within(known, "/a", depth), fits, "{known} {depth:?}");
        }
    }
}
