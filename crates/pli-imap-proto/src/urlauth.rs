//! RFC 4467 §7: GENURLAUTH, RESETKEY and URLFETCH.

use crate::command::CommandBody;
use crate::cursor::{Cursor, Read};
use crate::limits::{URL_BYTES_MAX, URLS_COUNT_MAX};

/// ` url mechanism [url mechanism ...]`
pub fn read_generate(c: &mut Cursor<'_>) -> Read<CommandBody> {
    let mut urls = Vec::new();
    while c.more() {
        let url = read_url(c)?;
        c.space()?;
        if urls.len() == URLS_COUNT_MAX {
            return Err("Too many URLs".into());
        }
        urls.push((url, c.atom_upper()?));
    }
    if urls.is_empty() { Err("Missing argument".into()) } else { Ok(CommandBody::GenUrlAuth(urls)) }
}

/// ` url [url ...]`
pub fn read_fetch(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mut urls = vec![read_url(c)?];
    while c.more() {
        if urls.len() == URLS_COUNT_MAX {
            return Err("Too many URLs".into());
        }
        urls.push(read_url(c)?);
    }
    Ok(CommandBody::UrlFetch(urls))
}

/// ` [mailbox [mechanism ...]]`
pub fn read_reset(c: &mut Cursor<'_>) -> Read<CommandBody> {
    if !c.more() {
        return Ok(CommandBody::ResetKey { mailbox: None, mechanisms: Vec::new() });
    }
    let mailbox = Some(c.mailbox()?);
    let mut mechanisms = Vec::new();
    while c.more() {
        if mechanisms.len() == URLS_COUNT_MAX {
            return Err("Too many arguments".into());
        }
        mechanisms.push(c.atom_upper()?);
    }
    Ok(CommandBody::ResetKey { mailbox, mechanisms })
}

fn read_url(c: &mut Cursor<'_>) -> Read<Vec<u8>> {
    let url = c.astring()?.into_owned();
    if url.len() > URL_BYTES_MAX { Err("Not a URL".into()) } else { Ok(url) }
}
