//! RFC 5256 SORT and THREAD, with the RETURN options of RFC 5267 §3 and the keys of RFC 5957 and RFC 6203.

use crate::command::{CommandBody, Search, SortKey, ThreadAlgorithm};
use crate::cursor::{Cursor, Read};
use crate::search::{check_relevancy, read_charset, read_keys, read_returns};

/// More keys than there are say nothing new.
const SORT_KEYS_COUNT_MAX: usize = 20;

/// ` [RETURN (options)] (criteria) charset keys`
pub fn read(c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    c.space()?;
    let returns = read_returns(c)?;
    let mut criteria = Vec::new();
    c.list(|c| {
        if criteria.len() == SORT_KEYS_COUNT_MAX {
            return Err("Too many sort keys".into());
        }
        let reverse = c.eat_word(b"REVERSE");
        if reverse {
            c.space()?;
        }
        criteria.push((read_sort_key(c)?, reverse));
        Ok(())
    })?;
    if criteria.is_empty() {
        return Err("SORT needs a sort key".into());
    }
    let search = Search { returns, ..read_search(c)? };
    check_relevancy(&search)?;
    // RFC 6203 §6
    if criteria.iter().any(|(key, _)| *key == SortKey::Relevancy) && !search.key.is_fuzzy() {
        return Err("RELEVANCY needs a FUZZY search key".into());
    }
    Ok(CommandBody::Sort { uid, criteria, search })
}

fn read_sort_key(c: &mut Cursor<'_>) -> Read<SortKey> {
    Ok(match c.word().to_ascii_uppercase().as_slice() {
        b"ARRIVAL" => SortKey::Arrival,
        b"CC" => SortKey::Cc,
        b"DATE" => SortKey::Date,
        b"FROM" => SortKey::From,
        b"SIZE" => SortKey::Size,
        b"SUBJECT" => SortKey::Subject,
        b"TO" => SortKey::To,
        b"DISPLAYFROM" => SortKey::DisplayFrom,
        b"DISPLAYTO" => SortKey::DisplayTo,
        b"RELEVANCY" => SortKey::Relevancy,
        _ => return Err("Unknown sort key".into()),
    })
}

/// ` algorithm charset keys`
pub fn read_thread(c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    c.space()?;
    let name = c.atom_upper()?;
    let algorithm = match &*name {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        "REFS" => ThreadAlgorithm::Refs,
        _ => ThreadAlgorithm::Other(name),
    };
    let search = read_search(c)?;
    Ok(CommandBody::Thread { uid, algorithm, search })
}

/// ` charset keys`
fn read_search(c: &mut Cursor<'_>) -> Read<Search> {
    c.space()?;
    let charset = read_charset(c)?;
    c.space()?;
    let key = read_keys(c)?;
    Ok(Search { returns: None, charset: Some(charset), key })
}
