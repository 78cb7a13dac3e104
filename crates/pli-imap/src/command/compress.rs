//! COMPRESS. RFC 4978 §3.

use pli_imap_proto::Code;

use crate::fail::{Fail, Reply};
use crate::session::Session;
use crate::wire::Turn;

pub fn run(session: &mut Session, mechanism: &str) -> Result<Reply, Fail> {
    if mechanism != "DEFLATE" {
        return Err(Fail::No(Some(Code::Cannot), "Only DEFLATE is offered"));
    }
    if session.wire.is_compressed() {
        return Err(Fail::No(Some(Code::CompressionActive), "Compression is on already"));
    }
    session.turn = Some(Turn::Compress);
    Ok(Reply::ok("DEFLATE from here on"))
}
