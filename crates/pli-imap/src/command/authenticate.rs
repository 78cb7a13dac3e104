//! AUTHENTICATE PLAIN. RFC 9051 §6.2.2, RFC 4616, RFC 4959 (initial response).

use pli_crypto::SecretString;
use pli_imap_proto::{Code, Hidden, decode_base64};
use zeroize::Zeroizing;

use super::login::log_in;
use crate::fail::{Fail, Reply};
use crate::session::Session;
use crate::wire::Step;

pub async fn run(session: &mut Session, mechanism: &str, initial: Option<Hidden>) -> Result<Reply, Fail> {
    if mechanism != "PLAIN" {
        return Err(Fail::No(Some(Code::Cannot), "This mechanism is not offered"));
    }
    if !session.may_log_in() {
        return Err(Fail::No(Some(Code::PrivacyRequired), "Not without TLS"));
    }
    let response = match initial {
        Some(initial) => Zeroizing::new(initial.0),
        None => ask(session).await?,
    };
    let (user, password) = read_plain(&response)?;
    log_in(session, user, &SecretString::from(password)).await
}

/// Sends an empty challenge and takes the client's line.
async fn ask(session: &mut Session) -> Result<Zeroizing<Vec<u8>>, Fail> {
    // RFC 9051 §6.2.2: a challenge without content is `+ ` and the line's end.
    session.wire.out.continuation("");
    session.wire.flush().await?;
    session.wire.framer.expect_line();
    loop {
        match session.wire.step() {
            Step::Line(line) => {
                let line = Zeroizing::new(line);
                // RFC 9051 §6.2.2: `*` gives the exchange up, and the session goes on.
                if line.trim_ascii() == b"*" {
                    return Err(Fail::Bad("Given up"));
                }
                return decode_base64(line.trim_ascii()).map(Zeroizing::new).ok_or(Fail::Bad("Not Base64"));
            }
            Step::Refused(..) => return Err(Fail::Bad("Line too long")),
            _ => {}
        }
        session.read_on().await?;
    }
}

/// RFC 4616 §2: authzid NUL authcid NUL password.
fn read_plain(response: &[u8]) -> Result<(&str, &str), Fail> {
    let failed = || Fail::Login(pli_gate::AuthError::Failed);
    let mut parts = response.split(|&b| b == 0);
    let (Some(authz), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fail::Bad("Not a PLAIN response"));
    };
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| failed());
    let (authz, user, password) = (text(authz)?, text(user)?, text(password)?);
    if user.is_empty() {
        return Err(failed());
    }
    // clients.md 23: the same name as both identities is usual; acting for another account is not offered.
    if !authz.is_empty() && !authz.eq_ignore_ascii_case(user) {
        return Err(Fail::No(Some(Code::AuthorizationFailed), "You may not act for another account"));
    }
    Ok((user, password))
}
