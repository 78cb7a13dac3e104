//! RFC 9051 §6.3.2 SELECT and §6.3.3 EXAMINE, with the parameters of RFC 7162.

use pli_types::UidValidity;

use crate::command::{CommandBody, Qresync};
use crate::cursor::{Cursor, Read};
use crate::sequence::SequenceSet;

/// ` mailbox [(CONDSTORE) | (QRESYNC (...))]`
pub fn read(c: &mut Cursor<'_>, read_only: bool) -> Read<CommandBody> {
    c.space()?;
    let mailbox = c.mailbox()?;
    let mut condstore = false;
    let mut qresync = None;
    if c.more() {
        c.list(|c| {
            let word = c.word();
            if word.eq_ignore_ascii_case(b"CONDSTORE") {
                condstore = true;
            } else if word.eq_ignore_ascii_case(b"QRESYNC") && qresync.is_none() {
                c.space()?;
                qresync = Some(read_qresync(c)?);
            } else {
                return Err("Unknown parameter".into());
            }
            Ok(())
        })?;
    }
    Ok(CommandBody::Select { mailbox, read_only, condstore, qresync })
}

/// RFC 7162 §7 `select-param`: `(uidvalidity modseq [known-uids] [(numbers uids)])`.
fn read_qresync(c: &mut Cursor<'_>) -> Read<Qresync> {
    c.need(b'(', "Expected the parameters of QRESYNC")?;
    c.blanks();
    let uid_validity = c.number32()?;
    if uid_validity == 0 {
        return Err("UIDVALIDITY is not 0".into());
    }
    c.space()?;
    let mod_seq = c.modseq()?;
    let mut known_uids = None;
    let mut matches = None;
    if c.more() && c.peek().is_some_and(|b| b.is_ascii_digit()) {
        known_uids = Some(known_set(c)?);
        c.more();
    }
    if c.eat(b'(') {
        let numbers = known_set(c)?;
        c.space()?;
        matches = Some((numbers, known_set(c)?));
        c.need(b')', "Expected a pair of sets")?;
    }
    c.blanks();
    c.need(b')', "Malformed parameters of QRESYNC")?;
    Ok(Qresync { uid_validity: UidValidity::new(uid_validity), mod_seq, known_uids, matches })
}

/// RFC 7162 §7 `known-uids`: `*` is not allowed.
fn known_set(c: &mut Cursor<'_>) -> Read<SequenceSet> {
    let set = c.sequence_set()?;
    if set.has_star() { Err("No * in known sets".into()) } else { Ok(set) }
}
