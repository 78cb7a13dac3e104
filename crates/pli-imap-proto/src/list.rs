//! RFC 9051 §6.3.9 LIST with RFC 5258, RFC 5819 and RFC 6154; RFC 3501 §6.3.9 LSUB; XLIST.

use crate::command::{CommandBody, List, ListReturn, ListSelect, ListVerb};
use crate::cursor::{Cursor, Read};
use crate::limits::LIST_PATTERNS_COUNT_MAX;
use crate::{metadata, status};

/// ` [(selection)] reference pattern|(patterns) [RETURN (options)]`
pub fn read(c: &mut Cursor<'_>, verb: ListVerb) -> Read<CommandBody> {
    let mut list = List {
        verb,
        select: ListSelect::default(),
        reference: String::new(),
        patterns: Vec::new(),
        returns: ListReturn::default(),
        extended: false,
    };
    c.space()?;
    if verb == ListVerb::List && c.peek() == Some(b'(') {
        list.extended = true;
        list.select = read_select(c)?;
        c.space()?;
    }
    list.reference = c.list_mailbox()?;
    c.space()?;
    if verb == ListVerb::List && c.peek() == Some(b'(') {
        list.extended = true;
        list.patterns = read_patterns(c)?;
    } else {
        list.patterns.push(c.list_mailbox()?);
    }
    if verb == ListVerb::List && c.more() {
        if !c.eat_word(b"RETURN") {
            return Err("Expected RETURN".into());
        }
        list.extended = true;
        c.space()?;
        list.returns = read_returns(c)?;
    }
    Ok(CommandBody::List(list))
}

/// RFC 5258 §3.1.
fn read_select(c: &mut Cursor<'_>) -> Read<ListSelect> {
    let mut select = ListSelect::default();
    c.list(|c| {
        match c.word().to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => select.subscribed = true,
            b"REMOTE" => select.remote = true,
            b"RECURSIVEMATCH" => select.recursive_match = true,
            b"SPECIAL-USE" => select.special_use = true,
            _ => return Err("Unknown selection option".into()),
        }
        Ok(())
    })?;
    // RFC 5258 §3.1: RECURSIVEMATCH says how other options work, so one of them must be there.
    if select.recursive_match && !select.subscribed && !select.special_use {
        return Err("RECURSIVEMATCH needs another selection option".into());
    }
    Ok(select)
}

fn read_patterns(c: &mut Cursor<'_>) -> Read<Vec<String>> {
    let mut patterns = Vec::new();
    c.list(|c| {
        if patterns.len() == LIST_PATTERNS_COUNT_MAX {
            return Err("Too many patterns".into());
        }
        patterns.push(c.list_mailbox()?);
        Ok(())
    })?;
    if patterns.is_empty() { Err("LIST needs a pattern".into()) } else { Ok(patterns) }
}

/// RFC 5258 §3.2, RFC 5819 §2.
fn read_returns(c: &mut Cursor<'_>) -> Read<ListReturn> {
    let mut returns = ListReturn::default();
    c.list(|c| {
        match c.word().to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => returns.subscribed = true,
            b"CHILDREN" => returns.children = true,
            b"SPECIAL-USE" => returns.special_use = true,
            b"STATUS" => {
                c.space()?;
                returns.status = status::read_items(c)?;
            }
            b"MYRIGHTS" => returns.my_rights = true,
            b"METADATA" => {
                c.space()?;
                if c.peek() != Some(b'(') {
                    return Err("METADATA needs entries".into());
                }
                returns.metadata = metadata::read_entries(c)?;
            }
            _ => return Err("Unknown return option".into()),
        }
        Ok(())
    })?;
    Ok(returns)
}
