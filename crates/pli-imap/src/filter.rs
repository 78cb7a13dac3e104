//! Which mailboxes a filter means (RFC 5465 §6, RFC 7377 §2.2).

use std::collections::BTreeSet;

use pli_imap_proto::MailboxFilter;
use pli_store::Mailbox;
use pli_types::{Action, MailboxId, MailboxName};

use crate::fail::Fail;
use crate::session::Session;

/// The mailboxes of some filters, by name, each once. What is not there is left out, and so is `selected`.
pub fn mailboxes(session: &Session, filters: &[MailboxFilter]) -> Result<Vec<Mailbox>, Fail> {
    if filters.iter().all(|filter| matches!(filter, MailboxFilter::Selected | MailboxFilter::SelectedDelayed)) {
        return Ok(Vec::new());
    }
    let permit = session.admit_any(Action::List)?;
    let store = session.store();
    let reader = store.read(&permit)?;
    let subscribed: BTreeSet<MailboxName> = if filters.contains(&MailboxFilter::Subscribed) {
        reader.subscriptions()?.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let is_meant = |mailbox: &Mailbox| filters.iter().any(|filter| means(filter, &mailbox.name, &subscribed));
    Ok(reader.mailboxes()?.into_iter().filter(is_meant).collect())
}

/// The name of a mailbox now.
pub fn name_of(session: &Session, mailbox: MailboxId) -> Result<Option<MailboxName>, Fail> {
    let permit = session.admit_any(Action::List)?;
    Ok(session.store().read(&permit)?.mailbox(mailbox)?.map(|mailbox| mailbox.name))
}

/// Whether a filter means a mailbox of the session's account.
pub fn means(filter: &MailboxFilter, name: &MailboxName, subscribed: &BTreeSet<MailboxName>) -> bool {
    let below = |top: &MailboxName| {
        let rest = name.as_str().strip_prefix(top.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix(MailboxName::SEPARATOR) }
    };
    match filter {
        MailboxFilter::Selected | MailboxFilter::SelectedDelayed => false,
        // RFC 5465 §6.3: where mail is delivered.
        MailboxFilter::Inboxes => name.as_str() == "INBOX",
        MailboxFilter::Personal => true,
        MailboxFilter::Subscribed => subscribed.contains(name),
        MailboxFilter::Subtree(tops) => tops.iter().any(|top| below(top).is_some()),
        MailboxFilter::SubtreeOne(tops) => {
            tops.iter().any(|top| below(top).is_some_and(|rest| !rest.contains(MailboxName::SEPARATOR)))
        }
        MailboxFilter::Mailboxes(names) => names.contains(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn subtrees() {
        let name = |text: &str| MailboxName::new(text).unwrap();
        let none = BTreeSet::new();
        let fits =
            |filter: MailboxFilter| ["a", "a/b", "a/b/c", "ab", "INBOX"].map(|text| means(&filter, &name(text), &none));
        assert_eq!(fits(MailboxFilter::Subtree(vec![name("a")])), [true, true, true, false, false]);
        assert_eq!(fits(MailboxFilter::SubtreeOne(vec![name("a")])), [true, true, false, false, false]);
        assert_eq!(fits(MailboxFilter::Mailboxes(vec![name("a"), name("ab")])), [true, false, false, true, false]);
        assert_eq!(fits(MailboxFilter::Inboxes), [false, false, false, false, true]);
        assert_eq!(fits(MailboxFilter::Personal), [true; 5]);
        assert_eq!(fits(MailboxFilter::Selected), [false; 5]);
    }
}
