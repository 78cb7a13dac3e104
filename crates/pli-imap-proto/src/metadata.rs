//! RFC 5464 §4: GETMETADATA and SETMETADATA.

use crate::command::{CommandBody, Depth, Metadata};
use crate::cursor::{Cursor, Read};
use crate::limits::{ANNOTATION_NAME_BYTES_MAX, ANNOTATION_NAME_LEVELS_MAX, METADATA_ENTRIES_COUNT_MAX};

/// ` [(options)] mailbox entry|(entries)`
pub fn read_get(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mut get = Metadata::default();
    if c.peek() == Some(b'(') {
        read_options(c, &mut get)?;
        c.space()?;
    }
    get.mailbox = read_place(c)?;
    c.space()?;
    // RFC 5464 §5 puts the options first; drafts and clients put them after the mailbox.
    if c.peek() == Some(b'(') && get.max_size.is_none() && get.depth == Depth::Zero && looks_like_options(c) {
        read_options(c, &mut get)?;
        c.space()?;
    }
    get.entries = read_entries(c)?;
    Ok(CommandBody::GetMetadata(get))
}

/// ` mailbox (entry value ...)`
pub fn read_set(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mailbox = read_place(c)?;
    c.space()?;
    let mut entries = Vec::new();
    c.list(|c| {
        if entries.len() == METADATA_ENTRIES_COUNT_MAX {
            return Err("Too many entries".into());
        }
        let name = read_entry(c)?;
        c.space()?;
        let value = if c.peek() == Some(b'~') || c.peek() == Some(b'{') {
            Some(c.literal()?.0.to_vec())
        } else {
            c.nstring()?.map(std::borrow::Cow::into_owned)
        };
        entries.push((name, value));
        Ok(())
    })?;
    if entries.is_empty() {
        Err("SETMETADATA needs an entry".into())
    } else {
        Ok(CommandBody::SetMetadata { mailbox, entries })
    }
}

/// An empty name is the server.
fn read_place(c: &mut Cursor<'_>) -> Read<Option<pli_types::MailboxName>> {
    if c.peek() == Some(b'"') && c.peek_at(1) == Some(b'"') {
        c.string()?;
        return Ok(None);
    }
    c.mailbox().map(Some)
}

fn looks_like_options(c: &Cursor<'_>) -> bool {
    !matches!(c.peek_at(1), Some(b'/' | b'"' | b'{'))
}

fn read_options(c: &mut Cursor<'_>, get: &mut Metadata) -> Read<()> {
    c.list(|c| {
        match c.word().to_ascii_uppercase().as_slice() {
            b"MAXSIZE" => {
                c.space()?;
                get.max_size = Some(c.number()?);
            }
            b"DEPTH" => {
                c.space()?;
                get.depth = match c.word().to_ascii_lowercase().as_slice() {
                    b"0" => Depth::Zero,
                    b"1" => Depth::One,
                    b"infinity" => Depth::Infinity,
                    _ => return Err("DEPTH is 0, 1 or infinity".into()),
                };
            }
            _ => return Err("Unknown option".into()),
        }
        Ok(())
    })
}

/// One entry, or several in parentheses.
pub fn read_entries(c: &mut Cursor<'_>) -> Read<Vec<String>> {
    if c.peek() != Some(b'(') {
        return Ok(vec![read_entry(c)?]);
    }
    let mut entries = Vec::new();
    c.list(|c| {
        if entries.len() == METADATA_ENTRIES_COUNT_MAX {
            return Err("Too many entries".into());
        }
        entries.push(read_entry(c)?);
        Ok(())
    })?;
    if entries.is_empty() { Err("An entry is needed".into()) } else { Ok(entries) }
}

/// RFC 5464 §3.1, §5: `/private` or `/shared` and levels below; compared without case, so kept in lower case.
fn read_entry(c: &mut Cursor<'_>) -> Read<String> {
    let name = c.astring_text()?.to_ascii_lowercase();
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'%');
    let mut levels = name.split('/');
    let rooted = levels.next() == Some("") && matches!(levels.next(), Some("private" | "shared"));
    let whole = levels.clone().all(|level| !level.is_empty()) && levels.count() <= ANNOTATION_NAME_LEVELS_MAX;
    if plain && rooted && whole && name.len() <= ANNOTATION_NAME_BYTES_MAX {
        Ok(name)
    } else {
        Err("Not the name of an entry".into())
    }
}
