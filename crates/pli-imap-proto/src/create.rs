//! RFC 9051 §6.3.4 CREATE with RFC 6154 §3 USE, and §6.3.6 RENAME.

use pli_types::SpecialUse;

use crate::command::CommandBody;
use crate::cursor::{Cursor, Read};

/// ` mailbox [(USE (\Drafts))]`
pub fn read(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mailbox = c.new_mailbox()?;
    let mut special_use = Vec::new();
    let mut unknown_use: Vec<Box<str>> = Vec::new();
    if c.more() {
        c.list(|c| {
            if !c.eat_word(b"USE") {
                return Err("Unknown parameter".into());
            }
            c.space()?;
            c.list(|c| {
                c.need(b'\\', "Expected a special use")?;
                let attribute = format!("\\{}", c.atom()?);
                match SpecialUse::parse(&attribute) {
                    Some(known) if special_use.contains(&known) => {}
                    Some(known) => special_use.push(known),
                    None => unknown_use.push(attribute.into()),
                }
                Ok(())
            })
        })?;
    }
    Ok(CommandBody::Create { mailbox, special_use, unknown_use })
}

/// ` mailbox mailbox`
pub fn read_rename(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let from = c.mailbox()?;
    c.space()?;
    let to = c.new_mailbox()?;
    Ok(CommandBody::Rename { from, to })
}
