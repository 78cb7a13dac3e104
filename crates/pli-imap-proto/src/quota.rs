//! RFC 9208 §4.1: GETQUOTA and SETQUOTA.

use crate::command::CommandBody;
use crate::cursor::{Cursor, Read};

/// ` root`
pub fn read_get(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    Ok(CommandBody::GetQuota { root: c.astring_text()? })
}

/// ` root (NAME limit ...)`
pub fn read_set(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let root = c.astring_text()?;
    c.space()?;
    let mut limits = Vec::new();
    c.list(|c| {
        let name = c.atom_upper()?;
        c.space()?;
        limits.push((name, c.number()?));
        Ok(())
    })?;
    Ok(CommandBody::SetQuota { root, limits })
}
