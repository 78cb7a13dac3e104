//! ID. RFC 2971 §3.1.

use std::sync::Arc;

use pli_types::SessionInfo;

use crate::fail::{Fail, Reply};
use crate::limits::CLIENT_NAME_BYTES_MAX;
use crate::session::Session;
use crate::state::State;

pub fn run(session: &mut Session, fields: Option<Vec<(String, Option<String>)>>) -> Result<Reply, Fail> {
    if let Some(client) = fields.as_deref().and_then(describe) {
        session.info = Arc::new(SessionInfo { client: Some(client.clone()), ..SessionInfo::clone(&session.info) });
        if let State::Authenticated { login } | State::Selected { login, .. } = &mut session.state {
            let mut named = pli_gate::Login::clone(login);
            named.session = Arc::new(SessionInfo { client: Some(client), ..SessionInfo::clone(&named.session) });
            named.presence.set_info(&named.session);
            *login = Arc::new(named);
        }
        session.look_up_mask();
    }
    // RFC 2971 §2: the version would help attackers more than clients.
    session.wire.out.id(&[("name", Some("Pli"))]);
    Ok(Reply::ok("ID done"))
}

/// Name and version of the client, printable and short: it goes into logs.
fn describe(fields: &[(String, Option<String>)]) -> Option<String> {
    let value =
        |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_deref());
    let text = match (value("name"), value("version")) {
        (None, _) => return None,
        (Some(name), None) => name.to_owned(),
        (Some(name), Some(version)) => format!("{name} {version}"),
    };
    Some(text.chars().filter(|c| !c.is_control()).take(CLIENT_NAME_BYTES_MAX).collect())
}
