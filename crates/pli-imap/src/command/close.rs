//! CLOSE and UNSELECT. RFC 9051 §6.4.1, §6.4.2.

use pli_types::Action;

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub async fn close(session: &mut Session) -> Result<Reply, Fail> {
    let open = session.open()?;
    // RFC 9051 §6.4.1: expunges without a word, and not at all after EXAMINE.
    if !open.read_only {
        match session.admit_on(Action::Expunge, &open) {
            Ok(permit) => match session.store().expunge(permit, open.mailbox, None).await {
                // The mailbox was deleted meanwhile: there is nothing to expunge.
                Ok(_) | Err(pli_store::StoreError::NoMailbox) => {}
                Err(error) => return Err(error.into()),
            },
            // RFC 4314 §4: who may not expunge closes all the same.
            Err(Fail::Refused(_)) if !session.is_own(&open)? => {}
            Err(fail) => return Err(fail),
        }
    }
    session.deselect(open.login);
    Ok(Reply::ok("Closed"))
}

pub fn unselect(session: &mut Session) -> Result<Reply, Fail> {
    let login = session.login()?;
    session.deselect(login);
    Ok(Reply::ok("Unselected"))
}
