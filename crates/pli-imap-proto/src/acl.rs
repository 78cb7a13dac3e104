//! RFC 4314 §3: SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS.

use pli_types::Rights;

use crate::command::{AclChange, CommandBody};
use crate::cursor::{Cursor, Read};
use crate::limits::IDENTIFIER_BYTES_MAX;

/// ` mailbox identifier [+|-]rights`
pub fn read_set(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mailbox = c.mailbox()?;
    let identifier = read_identifier(c)?;
    c.space()?;
    let text = c.astring_text()?;
    let (change, letters): (fn(Rights) -> AclChange, &str) = if let Some(letters) = text.strip_prefix('+') {
        (AclChange::Add, letters)
    } else if let Some(letters) = text.strip_prefix('-') {
        (AclChange::Remove, letters)
    } else {
        (AclChange::Set, &text)
    };
    // RFC 4314 §3.1: what is not known is never ignored.
    let rights = Rights::parse(letters).map_err(|_| "Unknown right")?;
    Ok(CommandBody::SetAcl { mailbox, identifier, change: change(rights) })
}

/// ` mailbox identifier`
pub fn read_delete(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    Ok(CommandBody::DeleteAcl { mailbox: c.mailbox()?, identifier: read_identifier(c)? })
}

/// ` mailbox identifier`
pub fn read_list(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    Ok(CommandBody::ListRights { mailbox: c.mailbox()?, identifier: read_identifier(c)? })
}

fn read_identifier(c: &mut Cursor<'_>) -> Read<String> {
    c.space()?;
    let text = c.astring_text()?;
    if text.is_empty() || text.len() > IDENTIFIER_BYTES_MAX || text.chars().any(char::is_control) {
        return Err("Not an identifier".into());
    }
    Ok(text)
}
