//! Exact search: which messages hold a text in a field, as a look into every message would find them.

use crate::docs::DocSet;
use crate::field::{ALL, BODY, Field, NAME, OTHER, bit};
use crate::front::{Front, Postings};
use crate::look::collect;
use crate::words::{OVERLAP_BYTES, PIECE_BYTES};

/// What a segment says of its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// These hold the text.
    pub yes: DocSet,
    /// These may: they must be looked into. None of them is in `yes`.
    pub maybe: DocSet,
}

/// Messages of a segment that hold a folded text in a field.
///
/// A text without a blank stands inside one word or nowhere: looking at the words decides. One with blanks is
/// taken apart; messages that have all parts may hold it.
pub fn search<P: Postings + Sync>(
    front: &Front,
    postings: &P,
    field: Field<'_>,
    folded: &str,
) -> Result<Outcome, P::Error>
where
    P::Error: Send,
{
    let count = front.emails().len();
    let none = || DocSet::none(count);
    match field {
        Field::Body | Field::Text => {
            let mask = if field == Field::Body { BODY } else { ALL };
            if folded.is_empty() {
                return Ok(Outcome { yes: DocSet::all(count), maybe: none() });
            }
            look(front, postings, mask, folded)
        }
        // Its word was cut into pieces.
        Field::Header(name) if name.len() >= PIECE_BYTES => Ok(Outcome { yes: none(), maybe: DocSet::all(count) }),
        Field::Header(name) => {
            // RFC 9051 §6.4.4 HEADER: an empty text asks whether the field is there.
            let there = present(front, postings, name)?;
            if folded.is_empty() || there.is_empty() {
                return Ok(Outcome { yes: there, maybe: none() });
            }
            let mask = bit(name);
            let mut found = look(front, postings, mask, folded)?;
            if mask == OTHER {
                // It stands in the value of some rare field; which one, only the message tells.
                let mut maybe = if found.yes.is_empty() { found.maybe } else { found.yes };
                maybe.keep(&there);
                found = Outcome { yes: none(), maybe };
            }
            Ok(found)
        }
    }
}

/// Messages that have a header field of this name.
fn present<P: Postings + Sync>(front: &Front, postings: &P, name: &str) -> Result<DocSet, P::Error>
where
    P::Error: Send,
{
    let mut set = DocSet::none(front.emails().len());
    // No field has such a name; and the word `:` stands for lines that are no fields.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Ok(set);
    }
    let word = format!("\n{}:\n", name.to_ascii_lowercase());
    collect(front, postings, NAME, &word, &mut set)?;
    Ok(set)
}

fn look<P: Postings + Sync>(front: &Front, postings: &P, mask: u64, folded: &str) -> Result<Outcome, P::Error>
where
    P::Error: Send,
{
    let count = front.emails().len();
    let mut found = DocSet::none(count);
    let has_blanks = folded.contains(char::is_whitespace);
    if !has_blanks && folded.len() <= OVERLAP_BYTES {
        collect(front, postings, mask, folded, &mut found)?;
        return Ok(Outcome { yes: found, maybe: DocSet::none(count) });
    }
    let mut maybe = DocSet::all(count);
    for pattern in patterns(folded) {
        let mut set = DocSet::none(count);
        collect(front, postings, mask, &pattern, &mut set)?;
        maybe.keep(&set);
        if maybe.is_empty() {
            break;
        }
    }
    Ok(Outcome { yes: found, maybe })
}

/// What must stand among the words of a message that holds a text: the end of a word, whole words, the start of one.
/// Long parts are cut to what surely stands in one piece of a word.
fn patterns(folded: &str) -> Vec<String> {
    let parts: Vec<&str> = folded.split(char::is_whitespace).collect();
    let last = parts.len().saturating_sub(1);
    let mut patterns: Vec<String> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| {
            let head = part.get(..part.floor_char_boundary(OVERLAP_BYTES)).unwrap_or_default();
            let tail_at = part.ceil_char_boundary(part.len().saturating_sub(OVERLAP_BYTES));
            let tail = part.get(tail_at..).unwrap_or_default();
            let whole = part.len() <= OVERLAP_BYTES;
            match (at > 0, at < last) {
                (true, true) if whole => format!("\n{part}\n"),
                (true, _) => format!("\n{head}"),
                (false, true) => format!("{tail}\n"),
                (false, false) => head.to_owned(),
            }
        })
        .collect();
    // The rarest first, as a rule: then the others need not be looked for if there is nothing.
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
    patterns
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn parts_keep_their_places() {
        assert_eq!(patterns("du jour et"), ["\njour\n", "du\n", "\net"]);
        assert_eq!(patterns(" a "), ["\na\n"]);
        assert_eq!(patterns("a\r\nb"), ["a\n", "\nb"]);
        assert_eq!(patterns("  "), Vec::<String>::new());
        let long = "é".repeat(100);
        let cut = patterns(&format!("{long} {long} {long}"));
        assert!(cut.iter().all(|p| p.len() <= 65 && p.trim_matches('\n').chars().all(|c| c == 'é')));
        assert_eq!(cut.len(), 3);
    }
}
