//! ESEARCH. RFC 7377: a search of several mailboxes, each with an answer of its own if something is found there.

use std::collections::BTreeSet;

use pli_imap_proto::{Code, MailboxFilter, Search, SearchReturn, Tag};
use pli_store::Mailbox;
use pli_types::{Action, MailboxId, MailboxName, UidValidity};

use super::search::{find, keep, note_condstore};
use crate::answer::Answer;
use crate::context::{self, Results};
use crate::fail::{Fail, Reply};
use crate::filter;
use crate::limits::SEARCHED_MAILBOXES_MAX;
use crate::session::Session;
use crate::state::Open;

pub async fn run(
    session: &mut Session,
    tag: &Tag,
    sources: Option<Vec<MailboxFilter>>,
    search: Search,
) -> Result<Reply, Fail> {
    let sources = sources.unwrap_or_else(|| vec![MailboxFilter::Selected]);
    let selected = sources.contains(&MailboxFilter::Selected);
    let returns = search.returns.unwrap_or(SearchReturn { all: true, ..SearchReturn::default() });
    // RFC 7377 §2.2
    if selected && session.selected().is_none() {
        return Err(Fail::Bad("Select a mailbox first"));
    }
    if returns.save && sources.iter().any(|source| *source != MailboxFilter::Selected) {
        return Err(Fail::Bad("SAVE is of the selected mailbox"));
    }
    if returns.update && session.selected().is_none() {
        return Err(Fail::Bad("UPDATE is of the selected mailbox"));
    }
    note_condstore(session, &search);
    context::check(session, tag, &search)?;
    // The mailbox is looked at as it is now.
    session.tell(false);
    let here = session.selected().map(|selected| (selected.mailbox, selected.past.is_some(), selected.name.clone()));
    let mut grounds: Vec<(Open, MailboxName)> = Vec::new();
    let mut seen: BTreeSet<MailboxId> = BTreeSet::new();
    if selected && let Some((mailbox, past, name)) = here.clone() {
        let name = if past { name } else { filter::name_of(session, mailbox)?.unwrap_or(name) };
        grounds.push((session.open()?, name));
        seen.insert(mailbox);
    }
    for mailbox in filter::mailboxes(session, &sources)? {
        if !seen.insert(mailbox.id) {
            continue;
        }
        if grounds.len() >= SEARCHED_MAILBOXES_MAX {
            return Err(Fail::No(Some(Code::Limit), "Too many mailboxes at once"));
        }
        let open = match here {
            Some((selected, false, _)) if selected == mailbox.id => session.open()?,
            _ => open(session, &mailbox)?,
        };
        grounds.push((open, mailbox.name));
    }
    for (open, name) in grounds {
        one(session, tag, &search, returns, &open, &name).await?;
        session.wire.flush_if_full().await?;
    }
    Ok(Reply::ok("ESEARCH done"))
}

/// A mailbox that is not the selected one, to be searched.
fn open(session: &Session, mailbox: &Mailbox) -> Result<Open, Fail> {
    let permit = session.admit_on(Action::Search, mailbox)?;
    let picture = session.store().read(&permit)?.view(mailbox.id)?.snapshot();
    let login = session.login()?;
    let keys = std::sync::Arc::clone(&login.keys);
    Ok(Open { login, account: mailbox.account, keys, mailbox: mailbox.id, picture, read_only: true, past: None })
}

async fn one(
    session: &mut Session,
    tag: &Tag,
    search: &Search,
    returns: SearchReturn,
    open: &Open,
    name: &MailboxName,
) -> Result<(), Fail> {
    let found = find(session, open, search).await?;
    let is_here = session
        .selected()
        .is_some_and(|selected| selected.mailbox == open.mailbox && selected.past.is_some() == open.past.is_some());
    if returns.save {
        keep(session, search, Some(&found));
    }
    // RFC 7377 §2.1: no answer where nothing is found.
    if !found.hits.entries.is_empty() {
        let mailbox: Option<(&str, UidValidity)> = Some((name.as_str(), open.picture.uid_validity));
        let modseq = search.key.names_modseq() && session.enabled.condstore;
        Answer { tag, mailbox, uid: true, returns, modseq }.write(&mut session.wire.out, &found.hits);
    }
    if is_here {
        let results = Results::mailbox(&found.hits);
        context::begin(session, tag, true, search, found.test, results);
    }
    Ok(())
}
