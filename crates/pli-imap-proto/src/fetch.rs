//! RFC 9051 §6.4.5 FETCH, with RFC 3501's items, RFC 7162 §3.1.4, RFC 3516, RFC 8474, RFC 8514,
//! RFC 8970 and RFC 9394.

use std::num::NonZeroU32;

use crate::command::{CommandBody, FetchItem, Partial, Section, SectionKind};
use crate::cursor::{Cursor, Read};
use crate::limits::{FETCH_ITEMS_COUNT_MAX, SECTION_DEPTH_MAX};
use crate::search::read_partial_range;

/// ` set item|(items) [(modifiers)]`
pub fn read(c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    c.space()?;
    let set = c.message_set()?;
    c.space()?;
    let items = read_items(c)?;
    let mut changed_since = None;
    let mut vanished = false;
    let mut partial = None;
    if c.more() {
        c.list(|c| {
            match c.word().to_ascii_uppercase().as_slice() {
                b"CHANGEDSINCE" => {
                    c.space()?;
                    changed_since = Some(c.modseq()?);
                }
                b"VANISHED" => vanished = true,
                b"PARTIAL" if partial.is_none() => {
                    c.space()?;
                    partial = Some(read_partial_range(c)?);
                }
                _ => return Err("Unknown FETCH modifier".into()),
            }
            Ok(())
        })?;
    }
    // RFC 7162 §3.2.6: VANISHED only with UID FETCH and CHANGEDSINCE.
    if vanished && !(uid && changed_since.is_some()) {
        return Err("VANISHED needs UID FETCH and CHANGEDSINCE".into());
    }
    // RFC 9394 §3.3: a modifier of UID FETCH.
    if partial.is_some() && !uid {
        return Err("PARTIAL needs UID FETCH".into());
    }
    Ok(CommandBody::Fetch { uid, set, items, changed_since, vanished, partial })
}

/// One item, or several between parentheses.
pub fn read_items(c: &mut Cursor<'_>) -> Read<Vec<FetchItem>> {
    let mut items = Vec::new();
    if c.peek() == Some(b'(') {
        c.list(|c| read_item(c, &mut items))?;
    } else {
        read_item(c, &mut items)?;
    }
    if items.is_empty() { Err("FETCH needs an item".into()) } else { Ok(items) }
}

fn push(items: &mut Vec<FetchItem>, item: FetchItem) -> Read<()> {
    if items.contains(&item) {
        return Ok(());
    }
    if items.len() == FETCH_ITEMS_COUNT_MAX {
        return Err("Too many FETCH items".into());
    }
    items.push(item);
    Ok(())
}

fn read_item(c: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> Read<()> {
    let word = c.word().to_ascii_uppercase();
    if c.peek() == Some(b'[') {
        let item = read_bracketed(&word, c)?;
        return push(items, item);
    }
    let item = match word.as_slice() {
        // RFC 9051 §6.4.5: macros.
        b"ALL" => return read_macro(items, &[FetchItem::Envelope]),
        b"FAST" => return read_macro(items, &[]),
        b"FULL" => return read_macro(items, &[FetchItem::Envelope, FetchItem::Body]),
        b"FLAGS" => FetchItem::Flags,
        b"ENVELOPE" => FetchItem::Envelope,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822" => FetchItem::Rfc822,
        b"RFC822.HEADER" => FetchItem::Rfc822Header,
        b"RFC822.TEXT" => FetchItem::Rfc822Text,
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        b"UID" => FetchItem::Uid,
        b"BODY" => FetchItem::Body,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"MODSEQ" => FetchItem::ModSeq,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"SAVEDATE" => FetchItem::SaveDate,
        b"PREVIEW" => FetchItem::Preview { lazy: read_lazy(c)? },
        _ => return Err("Unknown FETCH item".into()),
    };
    push(items, item)
}

fn read_macro(items: &mut Vec<FetchItem>, more: &[FetchItem]) -> Read<()> {
    let fast = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    fast.iter().chain(more).try_for_each(|item| push(items, item.clone()))
}

/// RFC 8970 §3.1: ` (LAZY)`. What else may follow in parentheses is a modifier of the whole FETCH.
fn read_lazy(c: &mut Cursor<'_>) -> Read<bool> {
    let mut ahead = c.clone();
    if !(ahead.more() && ahead.eat(b'(') && ahead.eat_word(b"LAZY")) {
        return Ok(false);
    }
    ahead.need(b')', "Unknown PREVIEW modifier")?;
    *c = ahead;
    Ok(true)
}

fn read_bracketed(word: &[u8], c: &mut Cursor<'_>) -> Read<FetchItem> {
    c.need(b'[', "Expected a section")?;
    match word {
        b"BODY" | b"BODY.PEEK" => {
            let section = read_section(c)?;
            let partial = read_partial(c)?;
            Ok(FetchItem::Section { section, peek: word == b"BODY.PEEK", partial })
        }
        // RFC 9051 §6.4.5, RFC 3516 §4.2
        b"BINARY" | b"BINARY.PEEK" => {
            let part = read_binary_part(c)?;
            let partial = read_partial(c)?;
            Ok(FetchItem::Binary { part, peek: word == b"BINARY.PEEK", partial })
        }
        b"BINARY.SIZE" => Ok(FetchItem::BinarySize { part: read_binary_part(c)? }),
        _ => Err("Unknown FETCH item".into()),
    }
}

/// Part numbers up to a keyword or the end; tells whether a dot stands behind the last.
fn read_part(c: &mut Cursor<'_>) -> Read<(Vec<NonZeroU32>, bool)> {
    let mut part = Vec::new();
    let mut dot = false;
    while c.peek().is_some_and(|b| b.is_ascii_digit()) {
        if part.len() == SECTION_DEPTH_MAX {
            return Err("Section too deep".into());
        }
        part.push(NonZeroU32::new(c.number32()?).ok_or("Part numbers start at 1")?);
        dot = c.eat(b'.');
        if !dot {
            break;
        }
    }
    Ok((part, dot))
}

fn read_binary_part(c: &mut Cursor<'_>) -> Read<Vec<NonZeroU32>> {
    let (part, dot) = read_part(c)?;
    if dot {
        return Err("Expected part numbers".into());
    }
    c.need(b']', "Expected ]")?;
    Ok(part)
}

/// RFC 9051 §9 `section-spec` and the bracket behind it.
pub fn read_section(c: &mut Cursor<'_>) -> Read<Section> {
    let (part, dot) = read_part(c)?;
    if !part.is_empty() && !dot || part.is_empty() && c.peek() == Some(b']') {
        c.need(b']', "Expected ]")?;
        return Ok(Section { part, kind: SectionKind::Full });
    }
    let kind = match c.word().to_ascii_uppercase().as_slice() {
        b"HEADER" => SectionKind::Header,
        b"HEADER.FIELDS" => SectionKind::HeaderFields(read_fields(c)?),
        b"HEADER.FIELDS.NOT" => SectionKind::HeaderFieldsNot(read_fields(c)?),
        b"TEXT" => SectionKind::Text,
        // RFC 9051 §6.4.5.1: MIME must have part numbers before it.
        b"MIME" if !part.is_empty() => SectionKind::Mime,
        _ => return Err("Unknown section".into()),
    };
    c.need(b']', "Expected ]")?;
    Ok(Section { part, kind })
}

/// RFC 9051 §9 `header-list`.
fn read_fields(c: &mut Cursor<'_>) -> Read<Vec<Box<str>>> {
    c.blanks();
    let mut fields: Vec<Box<str>> = Vec::new();
    c.list(|c| {
        if fields.len() == FETCH_ITEMS_COUNT_MAX {
            return Err("Too many header fields".into());
        }
        fields.push(c.astring_text()?.into());
        Ok(())
    })?;
    if fields.is_empty() { Err("HEADER.FIELDS needs a field".into()) } else { Ok(fields) }
}

/// RFC 9051 §9 `partial`: `<offset.count>`.
fn read_partial(c: &mut Cursor<'_>) -> Read<Option<Partial>> {
    if !c.eat(b'<') {
        return Ok(None);
    }
    let offset = c.number()?;
    c.need(b'.', "Expected <offset.count>")?;
    let count = c.number()?;
    c.need(b'>', "Expected <offset.count>")?;
    if count == 0 {
        return Err("A partial has at least one byte".into());
    }
    Ok(Some(Partial { offset, count }))
}
