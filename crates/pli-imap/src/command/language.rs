//! LANGUAGE. RFC 5255 §3.

use crate::fail::{Fail, Reply};
use crate::language::{Language, TAGS, french};
use crate::session::Session;
use crate::state::State;

pub fn run(session: &mut Session, ranges: &[String]) -> Result<Reply, Fail> {
    if ranges.is_empty() {
        session.wire.out.language(&TAGS);
        return Ok(Reply::ok("LANGUAGE done"));
    }
    let own = own(session)?;
    // RFC 5255 §3.2: the first that is spoken; "default" is the one that the account has.
    let chosen = ranges.iter().find_map(|range| match range.to_ascii_lowercase().as_str() {
        "default" | "*" => Some(own),
        range => Language::find(range),
    });
    let Some(language) = chosen else { return Err(Fail::No(None, "No such language here")) };
    session.enabled.french = language == Language::French;
    session.enabled.language = true;
    session.wire.out.language(&[language.tag()]);
    // RFC 5255 §3.2: from here on.
    session.wire.out.set_translator(match language {
        Language::French => Some(french),
        Language::English => None,
    });
    if matches!(session.state, State::Authenticated { .. } | State::Selected { .. }) && !session.hides("NAMESPACE") {
        super::namespace::write(session)?;
    }
    Ok(Reply::ok("LANGUAGE done"))
}

/// The language of the account, once it is known whose session this is.
fn own(session: &Session) -> Result<Language, Fail> {
    let Ok(login) = session.login() else { return Ok(Language::English) };
    let account = session.store().account(login.account)?;
    Ok(account.map_or(Language::English, |account| Language::of_account(&account.language)))
}
