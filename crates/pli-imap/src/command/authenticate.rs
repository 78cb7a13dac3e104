//! AUTHENTICATE. RFC 9051 §6.2.2, RFC 4959 (initial response). The mechanisms are `pli-sasl`'s.

use std::sync::Arc;

use pli_gate::Answer;
use pli_imap_proto::{Code, Hidden, decode_base64};
use pli_sasl::{Exchange, Failure, Mechanism, Step as Sasl};
use zeroize::Zeroizing;

use super::login::{entered, failed};
use crate::fail::{Fail, Reply};
use crate::session::Session;
use crate::wire::Step;

pub async fn run(session: &mut Session, mechanism: &str, initial: Option<Hidden>) -> Result<Reply, Fail> {
    let initial = initial.map(|initial| Zeroizing::new(initial.0));
    let terms = session.terms();
    let Some(mechanism) = Mechanism::find(mechanism, &terms) else {
        return Err(Fail::No(Some(Code::Cannot), "This mechanism is not offered"));
    };
    if !session.may_log_in() {
        return Err(Fail::No(Some(Code::PrivacyRequired), "Not without TLS"));
    }
    let mut exchange = Exchange::new(mechanism, terms);
    let mut step = exchange.start(initial.as_ref().map(|initial| initial.as_slice()));
    let mut refused = None;
    loop {
        step = match step {
            Sasl::Challenge(challenge) => {
                let response = ask(session, &challenge).await?;
                exchange.respond(&response)
            }
            Sasl::Ask(question) => {
                let (info, gate) = (Arc::clone(&session.info), Arc::clone(&session.service.gate));
                match gate.sasl(&info, question, &session.security.addresses).await {
                    Ok(Answer::Verifiers(verifiers)) => exchange.verifiers(verifiers),
                    Ok(Answer::Login(login)) => return Ok(entered(session, *login)),
                    Err(error) => match exchange.refused() {
                        Some(step) => {
                            refused = Some(error);
                            step
                        }
                        None => return failed(session, Fail::Login(error)),
                    },
                }
            }
            Sasl::Fail(failure) => return failed(session, refused.map_or_else(|| reason(failure), Fail::Login)),
        };
    }
}

fn reason(failure: Failure) -> Fail {
    match failure {
        Failure::Syntax(text) => Fail::Bad(text),
        Failure::Credentials => Fail::Login(pli_gate::AuthError::Failed),
        Failure::OtherIdentity => Fail::No(Some(Code::AuthorizationFailed), "You may not act for another account"),
        Failure::Binding => Fail::No(Some(Code::Cannot), "This kind of channel binding is not offered"),
        Failure::Unavailable => Fail::Login(pli_gate::AuthError::Unavailable),
    }
}

/// Sends a challenge and takes the client's line.
async fn ask(session: &mut Session, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fail> {
    // RFC 9051 §6.2.2: a challenge without content is `+ ` and the line's end.
    session.wire.out.continuation_base64(challenge);
    session.wire.flush().await?;
    session.wire.framer.expect_line();
    loop {
        match session.wire.step() {
            Step::Line(line) => {
                let line = Zeroizing::new(line);
                let line = line.trim_ascii();
                // RFC 9051 §6.2.2: `*` gives the exchange up, and the session goes on.
                if line == b"*" {
                    return Err(Fail::Bad("Given up"));
                }
                return match decode_base64(line) {
                    Some(response) => Ok(Zeroizing::new(response)),
                    None => Err(not_base64(session, line)),
                };
            }
            Step::Refused(..) => return Err(Fail::Bad("Line too long")),
            _ => {}
        }
        session.read_on().await?;
    }
}

/// A line that is no response. eM Client gives an exchange up with LOGOUT (clients.md): a command in the place of a response
/// ends the exchange, and is carried out.
fn not_base64(session: &mut Session, line: &[u8]) -> Fail {
    let mut words = line.split(|&b| b == b' ');
    let is_logout = words.nth(1).is_some_and(|verb| verb.eq_ignore_ascii_case(b"LOGOUT")) && words.next().is_none();
    if is_logout {
        session.wire.put_back(line);
    }
    Fail::Bad("Not Base64")
}
