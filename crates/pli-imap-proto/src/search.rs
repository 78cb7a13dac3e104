//! RFC 9051 §6.4.4 SEARCH with RFC 3501's keys, RFC 4731, RFC 5032, RFC 5182, RFC 5267, RFC 6203, RFC 7162, RFC 8474,
//! RFC 8514 and RFC 9394; RFC 7377 §2 ESEARCH.

use pli_types::{Keyword, SystemFlag};
use std::num::NonZeroU32;

use crate::chars::is_atom_char;
use crate::command::{CommandBody, PartialRange, Search, SearchKey, SearchReturn};
use crate::cursor::{Cursor, Fail, Read};
use crate::date::parse_date;
use crate::filter::read_filters;
use crate::limits::{ANNOTATION_NAME_BYTES_MAX, SEARCH_DEPTH_MAX, SEARCH_KEYS_COUNT_MAX};

/// ` [RETURN (options)] [CHARSET name] keys`
pub fn read(c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    c.space()?;
    Ok(CommandBody::Search { uid, search: read_search(c)? })
}

/// RFC 7377 §4: ` [IN (mailboxes)] [RETURN (options)] [CHARSET name] keys`
pub fn read_esearch(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mut sources = None;
    if c.eat_word(b"IN") {
        c.space()?;
        sources = Some(read_filters(c)?);
        c.space()?;
    }
    Ok(CommandBody::ESearch { sources, search: read_search(c)? })
}

fn read_search(c: &mut Cursor<'_>) -> Read<Search> {
    let returns = read_returns(c)?;
    let mut charset = None;
    if c.eat_word(b"CHARSET") {
        c.space()?;
        charset = Some(read_charset(c)?);
        c.space()?;
    }
    let key = read_keys(c)?;
    let search = Search { returns, charset, key };
    check_relevancy(&search)?;
    Ok(search)
}

/// RFC 6203 §4: RELEVANCY needs a FUZZY key.
pub fn check_relevancy(search: &Search) -> Read<()> {
    if search.returns.is_some_and(|returns| returns.relevancy) && !search.key.is_fuzzy() {
        return Err("RELEVANCY needs a FUZZY search key".into());
    }
    Ok(())
}

/// `RETURN (MIN MAX ALL COUNT SAVE) ` if it is there.
pub fn read_returns(c: &mut Cursor<'_>) -> Read<Option<SearchReturn>> {
    if !c.eat_word(b"RETURN") {
        return Ok(None);
    }
    c.space()?;
    let mut returns = SearchReturn::default();
    c.list(|c| {
        match c.word().to_ascii_uppercase().as_slice() {
            b"MIN" => returns.min = true,
            b"MAX" => returns.max = true,
            b"ALL" => returns.all = true,
            b"COUNT" => returns.count = true,
            b"SAVE" => returns.save = true,
            b"RELEVANCY" => returns.relevancy = true,
            b"CONTEXT" => returns.context = true,
            b"UPDATE" => returns.update = true,
            // RFC 9394 §3.1: one PARTIAL at most.
            b"PARTIAL" if returns.partial.is_none() => {
                c.space()?;
                returns.partial = Some(read_partial_range(c)?);
            }
            _ => return Err("Unknown SEARCH return option".into()),
        }
        Ok(())
    })?;
    // RFC 9394 §3.1, RFC 5267 §4.4
    if returns.all && returns.partial.is_some() {
        return Err("Either ALL or PARTIAL".into());
    }
    // RFC 9051 §6.4.4: an empty list is ALL.
    if returns == SearchReturn::default() {
        returns.all = true;
    }
    c.space()?;
    Ok(Some(returns))
}

/// RFC 9394 §4 `partial-range`: `1:500` or `-1:-500`.
pub fn read_partial_range(c: &mut Cursor<'_>) -> Read<PartialRange> {
    let text = "Expected a range of results";
    let from_end = c.eat(b'-');
    let first = NonZeroU32::new(c.number32()?).ok_or(text)?;
    c.need(b':', text)?;
    if from_end != c.eat(b'-') {
        return Err(text.into());
    }
    let last = NonZeroU32::new(c.number32()?).ok_or(text)?;
    Ok(PartialRange { first, last, from_end })
}

/// RFC 9051 §9 `charset`.
pub fn read_charset(c: &mut Cursor<'_>) -> Read<Box<str>> {
    let name = c.astring_text()?;
    if name.is_ascii() { Ok(name.to_ascii_uppercase().into()) } else { Err("Not a charset".into()) }
}

/// One key or more, up to the end of the command.
pub fn read_keys(c: &mut Cursor<'_>) -> Read<SearchKey> {
    let mut reader = Reader { count: 0 };
    let mut keys = vec![reader.key(c, 0)?];
    while c.more() {
        keys.push(reader.key(c, 0)?);
    }
    Ok(all_of(keys))
}

fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
    match keys.pop() {
        None => SearchKey::All,
        Some(only) if keys.is_empty() => only,
        Some(last) => {
            keys.push(last);
            SearchKey::And(keys)
        }
    }
}

struct Reader {
    count: usize,
}

impl Reader {
    fn key(&mut self, c: &mut Cursor<'_>, depth: usize) -> Read<SearchKey> {
        self.count += 1;
        if self.count > SEARCH_KEYS_COUNT_MAX {
            return Err("Too many search keys".into());
        }
        if depth > SEARCH_DEPTH_MAX {
            return Err("Search keys nested too deep".into());
        }
        match c.peek() {
            Some(b'(') => {
                let mut keys = Vec::new();
                c.list(|c| {
                    keys.push(self.key(c, depth + 1)?);
                    Ok(())
                })?;
                return if keys.is_empty() { Err("Empty search list".into()) } else { Ok(all_of(keys)) };
            }
            Some(b'$') => {
                c.eat(b'$');
                return Ok(SearchKey::Saved);
            }
            Some(b'0'..=b'9' | b'*') => return c.sequence_set().map(SearchKey::Numbers),
            _ => {}
        }
        let word = c.take_while(is_atom_char).to_ascii_uppercase();
        match word.as_slice() {
            b"NOT" => {
                c.space()?;
                Ok(SearchKey::Not(Box::new(self.key(c, depth + 1)?)))
            }
            b"OR" => {
                c.space()?;
                let one = self.key(c, depth + 1)?;
                c.space()?;
                Ok(SearchKey::Or(Box::new(one), Box::new(self.key(c, depth + 1)?)))
            }
            b"FUZZY" => {
                c.space()?;
                Ok(SearchKey::Fuzzy(Box::new(self.key(c, depth + 1)?)))
            }
            word => plain_key(word).map_or_else(|| key_with_argument(word, c), Ok),
        }
    }
}

/// Keys without an argument.
fn plain_key(word: &[u8]) -> Option<SearchKey> {
    Some(match word {
        b"ALL" => SearchKey::All,
        b"ANSWERED" => SearchKey::Flag(SystemFlag::Answered),
        b"DELETED" => SearchKey::Flag(SystemFlag::Deleted),
        b"DRAFT" => SearchKey::Flag(SystemFlag::Draft),
        b"FLAGGED" => SearchKey::Flag(SystemFlag::Flagged),
        b"SEEN" => SearchKey::Flag(SystemFlag::Seen),
        b"UNANSWERED" => SearchKey::NoFlag(SystemFlag::Answered),
        b"UNDELETED" => SearchKey::NoFlag(SystemFlag::Deleted),
        b"UNDRAFT" => SearchKey::NoFlag(SystemFlag::Draft),
        b"UNFLAGGED" => SearchKey::NoFlag(SystemFlag::Flagged),
        b"UNSEEN" => SearchKey::NoFlag(SystemFlag::Seen),
        b"NEW" => SearchKey::New,
        b"OLD" => SearchKey::Old,
        b"RECENT" => SearchKey::Recent,
        b"SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        _ => return None,
    })
}

fn key_with_argument(word: &[u8], c: &mut Cursor<'_>) -> Read<SearchKey> {
    if !is_key_with_argument(word) {
        return Err("Unknown search key".into());
    }
    c.space()?;
    let text = |c: &mut Cursor<'_>| c.astring().map(std::borrow::Cow::into_owned);
    let date = |c: &mut Cursor<'_>| parse_date(&c.astring()?).ok_or(Fail::Bad("Not a date"));
    Ok(match word {
        b"BCC" => SearchKey::Bcc(text(c)?),
        b"CC" => SearchKey::Cc(text(c)?),
        b"FROM" => SearchKey::From(text(c)?),
        b"TO" => SearchKey::To(text(c)?),
        b"SUBJECT" => SearchKey::Subject(text(c)?),
        b"BODY" => SearchKey::Body(text(c)?),
        b"TEXT" => SearchKey::Text(text(c)?),
        b"HEADER" => {
            let name = c.astring_text()?;
            c.space()?;
            SearchKey::Header(name.into(), text(c)?)
        }
        b"BEFORE" => SearchKey::Before(date(c)?),
        b"ON" => SearchKey::On(date(c)?),
        b"SINCE" => SearchKey::Since(date(c)?),
        b"SENTBEFORE" => SearchKey::SentBefore(date(c)?),
        b"SENTON" => SearchKey::SentOn(date(c)?),
        b"SENTSINCE" => SearchKey::SentSince(date(c)?),
        b"SAVEDBEFORE" => SearchKey::SavedBefore(date(c)?),
        b"SAVEDON" => SearchKey::SavedOn(date(c)?),
        b"SAVEDSINCE" => SearchKey::SavedSince(date(c)?),
        b"KEYWORD" => SearchKey::Keyword(keyword(c)?),
        b"UNKEYWORD" => SearchKey::NoKeyword(keyword(c)?),
        b"LARGER" => SearchKey::Larger(c.number()?),
        b"SMALLER" => SearchKey::Smaller(c.number()?),
        b"OLDER" => SearchKey::Older(interval(c)?),
        b"YOUNGER" => SearchKey::Younger(interval(c)?),
        // RFC 5182 §2.1: `UID $` is the saved result, too.
        b"UID" if c.eat(b'$') => SearchKey::Saved,
        b"UID" => SearchKey::Uids(c.sequence_set()?),
        b"MODSEQ" => modseq(c)?,
        b"FILTER" => SearchKey::Filter(filter_name(c)?),
        b"EMAILID" => SearchKey::EmailId(object_id(c)?),
        b"THREADID" => SearchKey::ThreadId(object_id(c)?),
        _ => return Err("Unknown search key".into()),
    })
}

fn is_key_with_argument(word: &[u8]) -> bool {
    const KEYS: [&[u8]; 26] = [
        b"BCC",
        b"CC",
        b"FROM",
        b"TO",
        b"SUBJECT",
        b"BODY",
        b"TEXT",
        b"HEADER",
        b"BEFORE",
        b"ON",
        b"SINCE",
        b"SENTBEFORE",
        b"SENTON",
        b"SENTSINCE",
        b"SAVEDBEFORE",
        b"SAVEDON",
        b"SAVEDSINCE",
        b"KEYWORD",
        b"UNKEYWORD",
        b"LARGER",
        b"SMALLER",
        b"OLDER",
        b"YOUNGER",
        b"UID",
        b"MODSEQ",
        b"EMAILID",
    ];
    KEYS.contains(&word) || word == b"THREADID" || word == b"FILTER"
}

/// RFC 5466 §4 `filter-name`.
fn filter_name(c: &mut Cursor<'_>) -> Read<Box<str>> {
    let name = c.atom()?;
    if name.contains('/') || name.len() > ANNOTATION_NAME_BYTES_MAX {
        return Err("Not the name of a filter".into());
    }
    Ok(name.into())
}

/// The search keys of a filter (RFC 5466 §3.2), which are UTF-8; `None` where they are not whole.
#[must_use]
pub fn parse_search_keys(value: &[u8]) -> Option<SearchKey> {
    let mut c = Cursor::new(value, true);
    let key = read_keys(&mut c).ok()?;
    c.end().ok()?;
    std::str::from_utf8(value).is_ok().then_some(key)
}

fn keyword(c: &mut Cursor<'_>) -> Read<Keyword> {
    Keyword::new(c.atom()?).map_err(|_| "Not a keyword".into())
}

/// RFC 5032 §4: not 0.
fn interval(c: &mut Cursor<'_>) -> Read<u32> {
    match c.number32()? {
        0 => Err("An interval is not 0".into()),
        n => Ok(n),
    }
}

/// RFC 7162 §3.1.5: `MODSEQ ["/flags/\\Seen" all] n`. We keep one mod-sequence for all of a message's data, which
/// the RFC allows, so that the entry's name only needs to be well-formed.
fn modseq(c: &mut Cursor<'_>) -> Read<SearchKey> {
    if c.peek() == Some(b'"') {
        c.string()?;
        c.space()?;
        if !matches!(c.word().to_ascii_lowercase().as_slice(), b"all" | b"priv" | b"shared") {
            return Err("Expected priv, shared or all".into());
        }
        c.space()?;
    }
    c.modseq().map(SearchKey::ModSeq)
}

/// RFC 8474 §7 `objectid`.
fn object_id(c: &mut Cursor<'_>) -> Read<Box<str>> {
    let id = c.astring_text()?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if id.len() <= 255 && !id.is_empty() && id.bytes().all(fits) {
        Ok(id.into())
    } else {
        Err("Not an object id".into())
    }
}
