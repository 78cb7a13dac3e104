//! NAMESPACE. RFC 9051 §6.3.10, RFC 5255 §3.4 (TRANSLATION).

use pli_gate::Space;
use pli_types::{Action, MailboxName};

use crate::fail::{Fail, Reply};
use crate::language::Language;
use crate::session::Session;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    write(session)?;
    Ok(Reply::ok("NAMESPACE done"))
}

/// `* NAMESPACE`, with how the prefixes are called in the language that LANGUAGE chose.
pub fn write(session: &mut Session) -> Result<(), Fail> {
    session.admit_any(Action::List)?;
    // Shared by form, not by content: mailboxes that are not made, renamed or filled like the account's own.
    let past = crate::past::root_of(session)?.map(|root| format!("{root}{}", MailboxName::SEPARATOR));
    let [others, shared] = Space::ALL.map(|space| format!("{}{}", space.root(), MailboxName::SEPARATOR));
    let enabled = session.enabled;
    let named = |prefix| {
        let language = if enabled.french { Language::French } else { Language::English };
        let translation = if enabled.language { language.prefix(prefix) } else { None };
        (prefix, translation)
    };
    let shared: Vec<(&str, Option<&str>)> = [&*shared].into_iter().chain(past.as_deref()).map(named).collect();
    session.wire.out.namespace(&[("", None)], &[named(&others)], &shared, MailboxName::SEPARATOR);
    Ok(())
}
