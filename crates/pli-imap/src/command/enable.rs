//! ENABLE. RFC 9051 §6.3.1, RFC 5161, RFC 9586 §3.1 (UIDONLY).

use crate::fail::{Fail, Reply};
use crate::session::Session;

pub fn run(session: &mut Session, names: &[Box<str>]) -> Result<Reply, Fail> {
    let mut enabled = session.enabled;
    let mut told: Vec<&str> = Vec::new();
    for name in names {
        if session.hides(name) {
            continue;
        }
        // RFC 5161 §3.1: what cannot be enabled is left out without a word.
        let name = match &**name {
            "CONDSTORE" => {
                enabled.condstore = true;
                "CONDSTORE"
            }
            "QRESYNC" => {
                // RFC 7162 §3.2.3: QRESYNC brings CONDSTORE with it.
                enabled.qresync = true;
                enabled.condstore = true;
                "QRESYNC"
            }
            "UTF8=ACCEPT" => {
                enabled.utf8 = true;
                "UTF8=ACCEPT"
            }
            "IMAP4REV2" => {
                enabled.rev2 = true;
                "IMAP4rev2"
            }
            "UIDONLY" => {
                enabled.uid_only = true;
                "UIDONLY"
            }
            _ => continue,
        };
        if !told.contains(&name) {
            told.push(name);
        }
    }
    session.enabled = enabled;
    session.wire.out.enabled(&told);
    // RFC 6855 §3, RFC 9051 §6.3.1: from the next command on, names are UTF-8.
    session.wire.out.set_utf8(enabled.utf8 || enabled.rev2);
    session.wire.out.set_uid_only(enabled.uid_only);
    Ok(Reply::ok("ENABLE done"))
}
