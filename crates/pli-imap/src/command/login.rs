//! LOGIN. RFC 9051 §6.2.3.

use std::sync::Arc;

use pli_crypto::SecretString;
use pli_gate::Login;
use pli_imap_proto::{Code, Hidden, Status};
use zeroize::Zeroizing;

use crate::fail::{Fail, Reply, ReplyCode};
use crate::session::Session;
use crate::state::State;

pub async fn run(session: &mut Session, user: Vec<u8>, password: Hidden) -> Result<Reply, Fail> {
    if !session.may_log_in() {
        return Err(Fail::No(Some(Code::PrivacyRequired), "Not without TLS"));
    }
    let password = Zeroizing::new(password.0);
    let (Ok(user), Ok(password)) = (std::str::from_utf8(&user), std::str::from_utf8(&password)) else {
        return failed(session, Fail::Login(pli_gate::AuthError::Failed));
    };
    log_in(session, user, &SecretString::from(password)).await
}

async fn log_in(session: &mut Session, user: &str, password: &SecretString) -> Result<Reply, Fail> {
    let info = Arc::clone(&session.info);
    let gate = Arc::clone(&session.service.gate);
    match gate.authenticate(&info, user, password).await {
        Ok(login) => Ok(entered(session, login)),
        Err(error) => failed(session, Fail::Login(error)),
    }
}

/// The state after login.
pub fn entered(session: &mut Session, login: Login) -> Reply {
    login.presence.attach(&session.handle);
    session.info = Arc::clone(&login.session);
    session.state = State::Authenticated { login: Arc::new(login) };
    session.wire.framer.set_narrow(false);
    session.look_up_mask();
    // RFC 9051 §6.2.2: the capabilities may differ now, so they are told at once.
    Reply::ok_code(ReplyCode::Capability(session.capabilities()), "Logged in")
}

/// Counts a failure; the last one ends the session.
pub fn failed(session: &mut Session, fail: Fail) -> Result<Reply, Fail> {
    if let State::NotAuthenticated { failures } = &mut session.state {
        *failures = failures.saturating_add(1);
        if *failures >= session.service.config.login_failures_max {
            session.wire.out.untagged(Status::Bye, None, "Too many failed logins");
            session.state = State::Logout;
        }
    }
    Err(fail)
}
