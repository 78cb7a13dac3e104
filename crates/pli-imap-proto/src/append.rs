//! RFC 9051 §6.3.12 APPEND, with RFC 3502 (several messages), RFC 3516 (literal8) and RFC 6855 §4 (UTF8).

use crate::command::{AppendMeta, AppendPrefix, CommandBody, CommandError, Tag};
use crate::cursor::{Cursor, Read};
use crate::date::parse_date_time;
use crate::parse::{read_tag, read_verb, to_error};

/// A whole APPEND with its messages in it.
pub fn read(tag: &Tag, c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mailbox = c.mailbox()?;
    let (meta, message) = read_message(c)?;
    let mut more = Vec::new();
    while c.more() {
        more.push(read_message_here(c)?);
    }
    Ok(CommandBody::Append { prefix: AppendPrefix { tag: tag.clone(), mailbox, meta }, message, more })
}

fn read_message(c: &mut Cursor<'_>) -> Read<(AppendMeta, Vec<u8>)> {
    c.space()?;
    read_message_here(c)
}

fn read_message_here(c: &mut Cursor<'_>) -> Read<(AppendMeta, Vec<u8>)> {
    let mut meta = read_meta(c)?;
    let (bytes, binary) = c.literal()?;
    meta.binary = binary;
    if meta.utf8 {
        c.need(b')', "Expected ) after UTF8 message")?;
    }
    Ok((meta, bytes.to_vec()))
}

/// `[(flags) ] ["date" ] [UTF8 (]` before a literal.
fn read_meta(c: &mut Cursor<'_>) -> Read<AppendMeta> {
    let mut meta = AppendMeta::default();
    if c.peek() == Some(b'(') {
        meta.flags = c.flag_list()?;
        c.space()?;
    }
    if c.peek() == Some(b'"') {
        let date = c.string()?;
        meta.internal_date = Some(parse_date_time(&date).ok_or("Not a date")?);
        c.space()?;
    }
    if c.eat_word(b"UTF8") {
        c.space()?;
        c.need(b'(', "Expected ( after UTF8")?;
        meta.utf8 = true;
    }
    Ok(meta)
}

/// As [`read_meta`], up to the `{n}` that ends what the framer has.
fn read_meta_and_marker(c: &mut Cursor<'_>) -> Read<AppendMeta> {
    let mut meta = read_meta(c)?;
    meta.binary = c.marker()?.1;
    c.end()?;
    // RFC 6855 §4: the message in UTF8 () is a literal8.
    if meta.utf8 && !meta.binary { Err("UTF8 needs a literal8".into()) } else { Ok(meta) }
}

/// Reads [`crate::Framer::prefix`] after the first [`crate::Event::AppendLiteral`] of a command.
pub fn parse_append_prefix(prefix: &[u8], utf8: bool) -> Result<AppendPrefix, CommandError> {
    let (tag, mut c) = read_tag(prefix, utf8)?;
    let mut read = || {
        read_verb(&mut c, &mut [0; 16]);
        c.space()?;
        let mailbox = c.mailbox()?;
        c.space()?;
        Ok((mailbox, read_meta_and_marker(&mut c)?))
    };
    match read() {
        Ok((mailbox, meta)) => Ok(AppendPrefix { tag, mailbox, meta }),
        Err(fail) => Err(to_error(tag, fail)),
    }
}

/// Reads [`crate::Framer::prefix`] after a further [`crate::Event::AppendLiteral`] (RFC 3502): `before` is what the
/// message before it had.
pub fn parse_append_next(tag: &Tag, before: &AppendMeta, prefix: &[u8]) -> Result<AppendMeta, CommandError> {
    let mut c = Cursor::new(prefix, false);
    let mut read = || {
        close(before, &mut c)?;
        c.space()?;
        read_meta_and_marker(&mut c)
    };
    read().map_err(|fail| to_error(tag.clone(), fail))
}

/// Reads [`crate::Event::AppendEnd`]: nothing may stand there but, after `UTF8 (`, a `)`.
pub fn parse_append_end(tag: &Tag, last: &AppendMeta, end: &[u8]) -> Result<(), CommandError> {
    let mut c = Cursor::new(end, false);
    close(last, &mut c).and_then(|()| c.end()).map_err(|fail| to_error(tag.clone(), fail))
}

fn close(before: &AppendMeta, c: &mut Cursor<'_>) -> Read<()> {
    if before.utf8 { c.need(b')', "Expected ) after UTF8 message") } else { Ok(()) }
}
