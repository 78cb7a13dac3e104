//! Ranked search: words by their stems and without accents, best messages first.

use std::collections::{BTreeSet, HashMap};

use memchr::memmem::Finder;
use pli_mime::fold_fuzzy;
use rust_stemmers::{Algorithm, Stemmer};

use crate::chunk::{Chunk, Place};
use crate::field::weight;
use crate::front::{Front, Lists, Postings};

/// Characters by which words are picked before they are stemmed: stemming changes the end of a word, not its start.
const PREFIX_CHARS: usize = 3;
/// Words of a query; more are left out.
const TERMS_MAX: usize = 16;
/// BM25's constants: how soon a better place stops to count, and how much a message's length does.
const K1: f32 = 1.2;
const B: f32 = 0.5;

/// A message found, with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The message's id.
    pub email: u64,
    /// The higher, the better; comparable within one search only.
    pub score: f32,
}

/// A word of the query: every form by which it may be found.
struct Term {
    forms: BTreeSet<String>,
    prefix: String,
}

/// What is looked for.
pub struct Query {
    stems: Stems,
    terms: Vec<Term>,
}

struct Stems {
    french: Stemmer,
    english: Stemmer,
}

impl Stems {
    /// The forms of a word in lower case: itself and its stems, French and English, all without accents. Stems are taken
    /// with accents and without: French endings have some, and people leave them out.
    fn forms(&self, word: &str, forms: &mut BTreeSet<String>) {
        let plain = plain(word);
        for stemmer in [&self.french, &self.english] {
            forms.insert(stemmer.stem(&plain).into_owned());
            if plain != word {
                forms.insert(self::plain(&stemmer.stem(word)));
            }
        }
        forms.insert(plain);
    }
}

/// Without accents and ligatures.
fn plain(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    for c in fold_fuzzy(word).chars() {
        match c {
            'œ' => out.push_str("oe"),
            'æ' => out.push_str("ae"),
            'ß' => out.push_str("ss"),
            c => out.push(c),
        }
    }
    out
}

/// The words of a text in the sense of a reader: letters and digits.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty())
}

impl Query {
    /// From what somebody typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let stems = Stems { french: Stemmer::create(Algorithm::French), english: Stemmer::create(Algorithm::English) };
        let folded = pli_mime::fold(text);
        let mut terms: Vec<Term> = Vec::new();
        for run in runs(&folded) {
            let mut forms = BTreeSet::new();
            stems.forms(run, &mut forms);
            let shortest = forms.iter().min_by_key(|form| form.chars().count()).cloned().unwrap_or_default();
            let prefix = shortest.chars().take(PREFIX_CHARS).collect();
            if terms.len() < TERMS_MAX && !terms.iter().any(|term| term.forms == forms) {
                terms.push(Term { forms, prefix });
            }
        }
        Self { stems, terms }
    }
    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
    /// How many of its words a text has.
    #[must_use]
    pub fn found_in(&self, text: &str) -> usize {
        let folded = pli_mime::fold(text);
        self.terms.iter().filter(|term| self.fits(term, folded.as_bytes())).count()
    }
    fn fits(&self, term: &Term, word: &[u8]) -> bool {
        let Ok(word) = std::str::from_utf8(word) else { return false };
        runs(word).any(|run| {
            if !plain(run).starts_with(&term.prefix) {
                return false;
            }
            let mut forms = BTreeSet::new();
            self.stems.forms(run, &mut forms);
            !forms.is_disjoint(&term.forms)
        })
    }
}

/// The best messages for a query over some segments, best first; of equal ones the newer first. `keep` says which
/// messages count.
pub fn rank<P: Postings>(
    segments: &[(&Front, P)],
    query: &Query,
    keep: &dyn Fn(u64) -> bool,
    limit: usize,
) -> Result<Vec<Scored>, P::Error> {
    let total: usize = segments.iter().map(|(front, _)| front.emails().len()).sum();
    let words: f64 = segments.iter().flat_map(|(front, _)| front.lens()).map(|len| f64::from(*len)).sum();
    let average = (words / total.max(1) as f64).max(1.0) as f32;
    let mut scores: HashMap<u64, f32> = HashMap::new();
    for term in &query.terms {
        // A message's best place of the word, with the message's length.
        let mut found: HashMap<u64, (f32, u32)> = HashMap::new();
        for (front, postings) in segments {
            let mut lists = Lists::new(postings);
            for place in fitting(front, postings, query, term)? {
                front.list(place, &mut lists, &mut |posting| {
                    let doc = posting.doc as usize;
                    let Some(email) = front.emails().get(doc).filter(|email| keep(**email)) else { return };
                    let best = found.entry(*email).or_insert((0.0, front.lens().get(doc).copied().unwrap_or(0)));
                    best.0 = best.0.max(weight(posting.mask));
                })?;
            }
        }
        let count = found.len() as f32;
        let rarity = (1.0 + (total as f32 - count + 0.5).max(0.0) / (count + 0.5)).ln();
        for (email, (place, words)) in found {
            let length = 1.0 - B + B * words as f32 / average;
            *scores.entry(email).or_default() += rarity * place * (K1 + 1.0) / (place + K1 * length);
        }
    }
    let mut scored: Vec<Scored> = scores.into_iter().map(|(email, score)| Scored { email, score }).collect();
    scored.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(b.email.cmp(&a.email)));
    scored.truncate(limit);
    Ok(scored)
}

/// Where the words of a segment stand that a term finds.
fn fitting<P: Postings>(front: &Front, postings: &P, query: &Query, term: &Term) -> Result<Vec<Place>, P::Error> {
    let finder = Finder::new(&term.prefix);
    let mut found = Vec::new();
    for number in 0..front.chunks().len() {
        fitting_in(&front.chunk(number, postings)?, &finder, query, term, &mut found)?;
    }
    Ok(found)
}

fn fitting_in(
    chunk: &Chunk,
    finder: &Finder<'_>,
    query: &Query,
    term: &Term,
    found: &mut Vec<Place>,
) -> Result<(), crate::Damaged> {
    let text = chunk.text();
    let mut walk = chunk.walk();
    let mut at = 0;
    // Words with the prefix as it is, and words that may have it without their accents.
    let (mut plain_at, mut other_at) = (Some(0), Some(0));
    loop {
        if plain_at.is_some_and(|hit| hit < at) || at == 0 {
            plain_at = text.get(at..).and_then(|rest| finder.find(rest)).map(|hit| hit.saturating_add(at));
        }
        if other_at.is_some_and(|hit| hit < at) || at == 0 {
            let beyond = text.get(at..).and_then(|rest| rest.iter().position(|byte| *byte >= 0x80));
            other_at = beyond.map(|hit| hit.saturating_add(at));
        }
        let Some(position) = plain_at.into_iter().chain(other_at).min() else { return Ok(()) };
        let entry = walk.seek(chunk, position)?.ok_or(crate::Damaged)?;
        at = entry.word.end;
        if text.get(entry.word).is_some_and(|word| query.fits(term, word)) {
            found.push(entry.place);
        }
    }
}
