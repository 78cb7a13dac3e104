//! Named filters (RFC 5466): `FILTER name` in a search stands for what an annotation of the server says.

use pli_imap_proto::{Code, Search, SearchKey, parse_search_keys};
use pli_types::Action;

use crate::fail::Fail;
use crate::limits::{FILTER_PASSES_MAX, FILTERED_KEYS_COUNT_MAX};
use crate::session::Session;

/// Where filters stand, below `/private` and `/shared`.
const VALUES: &str = "/filters/values/";

/// Puts what they stand for in the place of filters.
pub fn expand(session: &Session, search: &mut Search) -> Result<(), Fail> {
    let has_filter = |key: &SearchKey| key.any(&|key| matches!(key, SearchKey::Filter(_)));
    if !has_filter(&search.key) {
        return Ok(());
    }
    // RFC 5466 §3.1: filters are UTF-8, and so is the search that they stand in.
    if search.charset.as_deref().is_some_and(|charset| !matches!(charset, "UTF-8" | "US-ASCII")) {
        return Err(Fail::BadCode(Code::BadCharset(&["UTF-8", "US-ASCII"]), "This charset is not known"));
    }
    let permit = session.admit_any(Action::GetMetadata)?;
    let store = session.store();
    let (own, all) = (store.annotations(&permit, true)?, store.annotations(&permit, false)?);
    // RFC 5466 §3.1: the private one goes first.
    let named = |name: &str| {
        let entry = format!("{VALUES}{}", name.to_ascii_lowercase());
        let found = own.iter().chain(&all).find(|(known, _)| *known == entry);
        found.and_then(|(_, value)| parse_search_keys(value))
    };
    // RFC 5466 §3.1: three passes at least. The count of passes ends loops, and that of keys what grows in each.
    for _ in 0..FILTER_PASSES_MAX {
        let mut missing = None;
        replace(&mut search.key, &named, &mut missing);
        if let Some(name) = missing {
            return Err(Fail::NoFilter(name));
        }
        if count(&search.key) > FILTERED_KEYS_COUNT_MAX {
            return Err(Fail::No(Some(Code::Limit), "Too many search keys"));
        }
        if !has_filter(&search.key) {
            // RFC 9586 §3: not by the back door either.
            let numbers = search.key.any(&|key| matches!(key, SearchKey::Numbers(_)));
            return if session.enabled.uid_only && numbers { Err(Fail::UidRequired) } else { Ok(()) };
        }
    }
    let mut left = None;
    replace(&mut search.key, &|_| None, &mut left);
    Err(Fail::NoFilter(left.unwrap_or_default()))
}

/// One pass; the first name that is none is kept.
fn replace(key: &mut SearchKey, named: &dyn Fn(&str) -> Option<SearchKey>, missing: &mut Option<Box<str>>) {
    match key {
        SearchKey::Filter(name) => match named(name) {
            Some(found) => *key = found,
            None => {
                missing.get_or_insert_with(|| name.clone());
            }
        },
        SearchKey::And(keys) => keys.iter_mut().for_each(|key| replace(key, named, missing)),
        SearchKey::Or(one, other) => {
            replace(one, named, missing);
            replace(other, named, missing);
        }
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => replace(key, named, missing),
        _ => {}
    }
}

fn count(key: &SearchKey) -> usize {
    1 + match key {
        SearchKey::And(keys) => keys.iter().map(count).sum(),
        SearchKey::Or(one, other) => count(one) + count(other),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => count(key),
        _ => 0,
    }
}

/// RFC 5466 §3.2: whether the value of an entry of the server is one that it may have; what is no filter may have any.
pub fn check(entry: &str, value: &[u8]) -> Result<(), Fail> {
    let below = ["/private", "/shared"].into_iter().find_map(|root| entry.strip_prefix(root)?.strip_prefix(VALUES));
    let Some(name) = below else { return Ok(()) };
    if name.contains('/') {
        return Err(Fail::No(Some(Code::Cannot), "Not the name of a filter"));
    }
    match parse_search_keys(value) {
        Some(_) => Ok(()),
        None => Err(Fail::No(Some(Code::Cannot), "A filter is search keys that are whole")),
    }
}
