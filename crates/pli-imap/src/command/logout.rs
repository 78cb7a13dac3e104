//! LOGOUT. RFC 9051 §6.1.3.

use pli_imap_proto::Status;

use crate::fail::{Fail, Reply};
use crate::session::Session;
use crate::state::State;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    session.wire.out.untagged(Status::Bye, None, "Logging out");
    note(session);
    session.state = State::Logout;
    Ok(Reply::ok("LOGOUT done"))
}

/// Records that an authenticated session ends, with what it did.
pub fn note(session: &Session) {
    let Ok(login) = session.login() else { return };
    let counts = session.counts;
    tracing::info!(session = %session.info.id, account = %login.account, commands = counts.commands, "imap logout");
    let told = [
        ("commands", counts.commands),
        ("read", counts.read),
        ("appended", counts.appended),
        ("damaged", counts.damaged),
    ];
    let told = if counts.damaged > 0 { &told[..] } else { &told[..3] };
    session.service.gate.logout(&login.session, told);
}
