//! RFC 9051 §6.4.6 STORE with RFC 7162 §3.1.3.

use crate::command::{CommandBody, StoreAction};
use crate::cursor::{Cursor, Read};

/// ` set [(UNCHANGEDSINCE n)] [+|-]FLAGS[.SILENT] flags`
pub fn read(c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    c.space()?;
    let set = c.message_set()?;
    c.space()?;
    let mut unchanged_since = None;
    if c.peek() == Some(b'(') {
        c.list(|c| {
            if !c.eat_word(b"UNCHANGEDSINCE") {
                return Err("Unknown STORE modifier".into());
            }
            c.space()?;
            unchanged_since = Some(c.modseq()?);
            Ok(())
        })?;
        c.space()?;
    }
    let word = c.word().to_ascii_uppercase();
    let (action, word) = match word.split_first() {
        Some((b'+', rest)) => (StoreAction::Add, rest),
        Some((b'-', rest)) => (StoreAction::Remove, rest),
        _ => (StoreAction::Replace, word.as_slice()),
    };
    let silent = match word {
        b"FLAGS" => false,
        b"FLAGS.SILENT" => true,
        _ => return Err("Expected FLAGS, +FLAGS or -FLAGS".into()),
    };
    c.space()?;
    let flags = if c.peek() == Some(b'(') { c.flag_list()? } else { c.bare_flags()? };
    Ok(CommandBody::Store { uid, set, action, silent, flags, unchanged_since })
}
