//! CAPABILITY. RFC 9051 §6.1.1.

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub fn run(session: &mut Session) -> Result<Reply, Fail> {
    let list = session.capabilities();
    session.wire.out.capability(&list);
    Ok(Reply::ok("CAPABILITY done"))
}
