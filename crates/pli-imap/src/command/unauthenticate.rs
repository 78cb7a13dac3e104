//! UNAUTHENTICATE. RFC 8437 §3: as after the greeting, but for TLS and what ID said.

use std::sync::Arc;

use pli_types::{Actor, SessionInfo};

use super::logout;
use crate::fail::{Reply, ReplyCode};
use crate::session::{Counts, Session};
use crate::state::{Enabled, State};
use crate::wire::Turn;

pub fn run(session: &mut Session) -> Reply {
    logout::note(session);
    session.info = Arc::new(SessionInfo { actor: Actor::Anonymous, ..SessionInfo::clone(&session.info) });
    session.state = State::NotAuthenticated { failures: 0 };
    session.enabled = Enabled::default();
    session.look_up_mask();
    session.notify = None;
    session.listings = Vec::new();
    session.wire.out.set_uid_only(false);
    session.counts = Counts::default();
    session.began = session.service.clock.monotonic();
    session.wire.out.set_utf8(false);
    session.wire.out.set_translator(None);
    session.wire.framer.set_narrow(true);
    if session.wire.is_compressed() {
        session.turn = Some(Turn::Plain);
    }
    Reply::ok_code(ReplyCode::Capability(session.capabilities()), "As before login")
}
