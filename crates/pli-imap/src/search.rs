//! Search programs: what SEARCH asks, made ready to be run over many messages, cheapest tests first.

use std::collections::HashMap;

use chrono::NaiveDate;
use pli_imap_proto::{Code, Resolved, SearchKey, SequenceSet};
use pli_mime::{SearchField, contains_folded, fold, searchable};
use pli_store::{Entry, Found, FuzzyQuery, SearchField as IndexField, Snapshot, StoreError, Verdict};
use pli_types::{EmailId, Keyword, SystemFlag, Uid, UnixMillis};

use crate::fail::Fail;
use crate::limits::{INDEXED_TEXTS_COUNT_MAX, SEARCH_TEXTS_COUNT_MAX};
use crate::message::{Message, email_id};

const DAY_MS: i64 = 86_400_000;

/// What a search is made ready with.
pub struct Ground<'a> {
    /// Numbers and UIDs are resolved over it.
    pub picture: &'a Snapshot,
    /// `$`
    pub saved: &'a [Uid],
    /// For OLDER and YOUNGER.
    pub now: UnixMillis,
}

/// How well messages fit some words.
pub type Scores = HashMap<EmailId, f32>;

/// A search, ready to run.
#[derive(Debug)]
pub enum Test {
    True,
    False,
    /// All of these, cheapest first.
    And(Vec<Test>),
    /// One of these, cheapest first.
    Or(Vec<Test>),
    Not(Box<Test>),
    Uids(Resolved),
    /// All bits of the mask are set.
    Flags(u64),
    /// A keyword that the mailbox did not know when the search was made ready.
    Keyword(Keyword),
    /// Modified at this or later.
    ModSeq(u64),
    EmailId(Box<str>),
    /// Internal date in this range, end excluded.
    Received(i64, i64),
    /// Save date in this range, end excluded.
    Saved(i64, i64),
    Larger(u64),
    Smaller(u64),
    /// Date field in this range, by its own calendar, end excluded.
    Sent(i64, i64),
    /// A field contains a folded text.
    Header(Box<str>, String),
    Body(String),
    Text(String),
    /// RFC 6203 §3: the words of a text by their stems, anywhere in the message; with the scores once they were asked.
    Ranked(Box<str>, Scores),
    /// The same words in the fields of a name.
    FuzzyHeader(Box<str>, Words),
    /// One of Header, Body and Text with what the search index says; where it says nothing, the message is looked into.
    Indexed(Box<Found>, Box<Test>),
}

/// Words of a FUZZY key.
pub struct Words(FuzzyQuery);

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Words")
    }
}

/// Makes a search ready: charsets decoded, texts folded, sets resolved.
pub fn compile(key: &SearchKey, charset: Option<&str>, ground: &Ground<'_>) -> Result<Test, Fail> {
    let encoding = match charset {
        None => encoding_rs::UTF_8,
        Some(name) => encoding_rs::Encoding::for_label(name.as_bytes())
            .filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
            // RFC 9051 §6.4.4
            .ok_or(Fail::No(Some(Code::BadCharset(&["UTF-8", "US-ASCII"])), "This charset is not known"))?,
    };
    let test = Compiler { encoding, ground, fuzzy: false }.compile(key);
    if test.texts() > SEARCH_TEXTS_COUNT_MAX {
        return Err(Fail::No(Some(Code::Limit), "Too many texts to look for at once"));
    }
    Ok(test)
}

struct Compiler<'a> {
    encoding: &'static encoding_rs::Encoding,
    ground: &'a Ground<'a>,
    /// Inside of FUZZY.
    fuzzy: bool,
}

impl Compiler<'_> {
    fn decoded<'b>(&self, bytes: &'b [u8]) -> std::borrow::Cow<'b, str> {
        self.encoding.decode_without_bom_handling(bytes).0
    }

    fn header(&self, name: &str, bytes: &[u8]) -> Test {
        let text = self.decoded(bytes);
        let exact = Test::Header(name.into(), fold(&text));
        if !self.fuzzy || text.is_empty() {
            return exact;
        }
        // What has the words in a field has them in the message: the index names those first.
        let words = Test::FuzzyHeader(name.into(), Words(FuzzyQuery::new(&text)));
        Test::Or(vec![exact, Test::And(vec![Test::Ranked(text.into(), HashMap::new()), words])])
    }

    /// TEXT and BODY; a loose BODY looks at the header too.
    fn whole(&self, bytes: &[u8], exact: impl FnOnce(String) -> Test) -> Test {
        let text = self.decoded(bytes);
        let exact = exact(fold(&text));
        if !self.fuzzy || text.is_empty() {
            return exact;
        }
        Test::Or(vec![Test::Ranked(text.into(), HashMap::new()), exact])
    }

    fn keyword(&self, keyword: &Keyword) -> Test {
        keyword_bit(self.ground.picture, keyword).map_or_else(|| Test::Keyword(keyword.clone()), Test::Flags)
    }

    /// Numbers mean the messages that have them now (RFC 5267 §4.3), as many as there are.
    fn numbers(&self, set: &SequenceSet) -> Test {
        let picture = self.ground.picture;
        let uid = |number| picture.by_number(number).map(|entry| entry.uid.get());
        let ranges = set.resolve(picture.messages);
        let ranges = ranges.ranges().iter().filter_map(|&(first, last)| Some((uid(first)?, uid(last)?)));
        Test::Uids(Resolved::from_ranges(ranges.collect()))
    }

    fn compile(&self, key: &SearchKey) -> Test {
        let not = |test| Test::Not(Box::new(test));
        match key {
            // \Recent is not kept: nothing is recent, all is old.
            // RFC 8514 §4.3: every mailbox keeps save dates.
            SearchKey::All | SearchKey::Old | SearchKey::SaveDateSupported => Test::True,
            SearchKey::New | SearchKey::Recent => Test::False,
            SearchKey::And(keys) => {
                let mut tests: Vec<Test> = keys.iter().map(|key| self.compile(key)).collect();
                tests.sort_by_key(Test::cost);
                Test::And(tests)
            }
            SearchKey::Or(a, b) => {
                let mut tests = vec![self.compile(a), self.compile(b)];
                tests.sort_by_key(Test::cost);
                Test::Or(tests)
            }
            SearchKey::Not(key) => not(self.compile(key)),
            SearchKey::Fuzzy(key) => Compiler { fuzzy: true, ..*self }.compile(key),
            SearchKey::Numbers(set) => self.numbers(set),
            SearchKey::Uids(set) => Test::Uids(crate::pick::uids(self.ground.picture, set)),
            SearchKey::Saved => Test::Uids(
                SequenceSet::from_sorted(self.ground.saved.iter().map(|uid| uid.get()))
                    .map(|set| set.resolve(u32::MAX))
                    .unwrap_or_default(),
            ),
            SearchKey::Flag(flag) => Test::Flags(flag.bit()),
            SearchKey::NoFlag(flag) => not(Test::Flags(SystemFlag::bit(*flag))),
            SearchKey::Keyword(keyword) => self.keyword(keyword),
            SearchKey::NoKeyword(keyword) => not(self.keyword(keyword)),
            SearchKey::Bcc(text) => self.header("Bcc", text),
            SearchKey::Cc(text) => self.header("Cc", text),
            SearchKey::From(text) => self.header("From", text),
            SearchKey::To(text) => self.header("To", text),
            SearchKey::Subject(text) => self.header("Subject", text),
            SearchKey::Header(name, text) => self.header(name, text),
            SearchKey::Body(text) => self.whole(text, Test::Body),
            SearchKey::Text(text) => self.whole(text, Test::Text),
            SearchKey::Larger(bytes) => Test::Larger(*bytes),
            SearchKey::Smaller(bytes) => Test::Smaller(*bytes),
            SearchKey::ModSeq(modseq) => Test::ModSeq(modseq.get()),
            SearchKey::EmailId(id) => Test::EmailId(id.clone()),
            // A filter has been replaced by what it stands for before.
            SearchKey::ThreadId(_) | SearchKey::Filter(_) => Test::False,
            date => self.date(date),
        }
    }

    fn date(&self, key: &SearchKey) -> Test {
        let age = |seconds: u32| self.ground.now.0.saturating_sub(i64::from(seconds).saturating_mul(1000));
        match key {
            SearchKey::Before(day) => Test::Received(i64::MIN, begin(*day)),
            SearchKey::On(day) => Test::Received(begin(*day), end(*day)),
            SearchKey::Since(day) => Test::Received(begin(*day), i64::MAX),
            SearchKey::SentBefore(day) => Test::Sent(i64::MIN, begin(*day)),
            SearchKey::SentOn(day) => Test::Sent(begin(*day), end(*day)),
            SearchKey::SentSince(day) => Test::Sent(begin(*day), i64::MAX),
            // RFC 5032 §3
            SearchKey::Older(seconds) => Test::Received(i64::MIN, age(*seconds).saturating_add(1)),
            SearchKey::Younger(seconds) => Test::Received(age(*seconds), i64::MAX),
            SearchKey::SavedBefore(day) => Test::Saved(i64::MIN, begin(*day)),
            SearchKey::SavedOn(day) => Test::Saved(begin(*day), end(*day)),
            SearchKey::SavedSince(day) => Test::Saved(begin(*day), i64::MAX),
            _ => Test::False,
        }
    }
}

/// The bit of a keyword in the mailbox's flag words.
fn keyword_bit(picture: &Snapshot, keyword: &Keyword) -> Option<u64> {
    let at = picture.keywords.iter().position(|known| known == keyword)?;
    1u64.checked_shl(u32::try_from(at).ok()?.saturating_add(5))
}

/// The first millisecond of a day. RFC 9051 §6.4.4: time and time zone do not count.
fn begin(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
}

fn end(day: NaiveDate) -> i64 {
    begin(day).saturating_add(DAY_MS)
}

/// Where what a test must read comes from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Opens a message.
    pub open: &'a dyn Fn(Entry) -> Result<Message<'a>, StoreError>,
    /// When it was put into the mailbox.
    pub saved: &'a dyn Fn(Uid) -> Result<Option<UnixMillis>, StoreError>,
}

/// A message under test; what has to be read of it is read once, when first needed.
pub struct Candidate<'a> {
    /// Its entry.
    pub entry: Entry,
    sources: Sources<'a>,
    message: Option<Message<'a>>,
    /// It is looked into whatever the index says: what is shown of it is not what was indexed.
    pub direct: bool,
    /// The index did not cover it when it was asked.
    pub unknown: bool,
}

impl<'a> Candidate<'a> {
    pub const fn new(entry: Entry, sources: Sources<'a>) -> Self {
        Self { entry, sources, message: None, direct: false, unknown: false }
    }
    /// Whether something of it had to be read.
    pub const fn opened(&self) -> bool {
        self.message.is_some()
    }
    fn message(&mut self) -> Result<&mut Message<'a>, StoreError> {
        if self.message.is_none() {
            self.message = Some((self.sources.open)(self.entry)?);
        }
        self.message.as_mut().ok_or(StoreError::NoMessage)
    }
}

impl Test {
    /// How much it has to read: nothing, the row, the summary, the body. What the index answers reads nothing as a rule
    /// and much at times: it comes after what is always free.
    pub fn cost(&self) -> u8 {
        match self {
            Self::True
            | Self::False
            | Self::Uids(_)
            | Self::Flags(_)
            | Self::Keyword(_)
            | Self::Ranked(..)
            | Self::ModSeq(_)
            | Self::EmailId(_) => 0,
            Self::Indexed(..) => 1,
            Self::Received(..) | Self::Saved(..) | Self::Larger(_) | Self::Smaller(_) => 2,
            Self::Sent(..) | Self::Header(..) | Self::FuzzyHeader(..) => 3,
            Self::Body(_) | Self::Text(_) => 4,
            Self::And(tests) | Self::Or(tests) => tests.iter().map(Self::cost).max().unwrap_or(0),
            Self::Not(test) => test.cost(),
        }
    }

    /// How many texts are looked for in whole messages.
    pub fn texts(&self) -> usize {
        match self {
            Self::Body(_) | Self::Text(_) | Self::Ranked(..) => 1,
            Self::And(tests) | Self::Or(tests) => tests.iter().map(Self::texts).fold(0, usize::saturating_add),
            Self::Not(test) => test.texts(),
            _ => 0,
        }
    }

    /// Whether those of its tests pass that read nothing; without them none of the rest matters.
    pub fn may_pass(&self, candidate: &mut Candidate<'_>) -> bool {
        match self {
            Self::And(tests) => tests.iter().all(|test| test.may_pass(candidate)),
            test if test.cost() == 0 => test.passes(candidate).unwrap_or(true),
            _ => true,
        }
    }

    /// Asks the index for the best messages for each FUZZY text.
    pub fn rank(&mut self, index: &mut dyn FnMut(&str) -> Result<Scores, StoreError>) -> Result<(), StoreError> {
        match self {
            Self::And(tests) | Self::Or(tests) => tests.iter_mut().try_for_each(|test| test.rank(index)),
            Self::Not(test) => test.rank(index),
            Self::Ranked(text, scores) => {
                *scores = index(text)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How well a message fits by its words; 0 where no FUZZY text says anything of it.
    pub fn score(&self, email: EmailId) -> f32 {
        match self {
            Self::And(tests) | Self::Or(tests) => tests.iter().map(|test| test.score(email)).sum(),
            Self::Ranked(_, scores) => scores.get(&email).copied().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// Looks up keywords that the mailbox has got since.
    pub fn learn(&mut self, picture: &Snapshot) {
        match self {
            Self::And(tests) | Self::Or(tests) => tests.iter_mut().for_each(|test| test.learn(picture)),
            Self::Not(test) => test.learn(picture),
            Self::Keyword(keyword) => {
                if let Some(bit) = keyword_bit(picture, keyword) {
                    *self = Self::Flags(bit);
                }
            }
            _ => {}
        }
    }

    /// Asks the index for each text, up to a number of them; the others are looked for in the messages.
    pub fn ask(
        &mut self,
        index: &mut dyn FnMut(IndexField<'_>, &str) -> Result<Found, StoreError>,
    ) -> Result<(), StoreError> {
        let mut left = INDEXED_TEXTS_COUNT_MAX;
        self.ask_some(&mut left, index)
    }

    fn ask_some(
        &mut self,
        left: &mut usize,
        index: &mut dyn FnMut(IndexField<'_>, &str) -> Result<Found, StoreError>,
    ) -> Result<(), StoreError> {
        let found = match self {
            Self::And(tests) | Self::Or(tests) => {
                for test in &mut *tests {
                    test.ask_some(left, index)?;
                }
                tests.sort_by_key(Self::cost);
                return Ok(());
            }
            Self::Not(test) => return test.ask_some(left, index),
            _ if *left == 0 => return Ok(()),
            Self::Header(name, text) => index(IndexField::Header(name), text)?,
            Self::Body(text) => index(IndexField::Body, text)?,
            Self::Text(text) => index(IndexField::Text, text)?,
            _ => return Ok(()),
        };
        *left = left.saturating_sub(1);
        *self = Self::Indexed(Box::new(found), Box::new(std::mem::replace(self, Self::False)));
        Ok(())
    }

    /// Whether a message passes. One that is gone passes no test that reads it.
    pub fn passes(&self, candidate: &mut Candidate<'_>) -> Result<bool, StoreError> {
        Ok(match self {
            Self::True => true,
            Self::False => false,
            Self::And(tests) => {
                for test in tests {
                    if !test.passes(candidate)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Or(tests) => {
                for test in tests {
                    if test.passes(candidate)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(test) => !test.passes(candidate)?,
            Self::Uids(set) => set.contains(candidate.entry.uid.get()),
            Self::Keyword(_) => false,
            Self::Ranked(_, scores) => scores.contains_key(&candidate.entry.email),
            Self::FuzzyHeader(name, words) => {
                let message = candidate.message()?;
                message.summary()?;
                message.header_values(name)?.iter().any(|value| words.0.found_in(value) > 0)
            }
            Self::Saved(from, until) => {
                let saved = (candidate.sources.saved)(candidate.entry.uid)?;
                saved.is_some_and(|at| *from <= at.0 && at.0 < *until)
            }
            Self::Flags(mask) => candidate.entry.flags & mask == *mask,
            Self::ModSeq(modseq) => candidate.entry.modseq.get() >= *modseq,
            Self::EmailId(id) => **id == *email_id(candidate.entry.email),
            Self::Received(from, until) => {
                let at = candidate.message()?.row.received.0;
                *from <= at && at < *until
            }
            Self::Larger(bytes) => candidate.message()?.row.size.get() > *bytes,
            Self::Smaller(bytes) => candidate.message()?.row.size.get() < *bytes,
            Self::Sent(from, until) => {
                let sent = local_date(candidate.message()?)?;
                sent.is_some_and(|at| *from <= at && at < *until)
            }
            Self::Header(name, needle) => has_header(candidate.message()?, name, needle)?,
            Self::Indexed(found, test) => match found.verdict(candidate.entry.email) {
                Verdict::Yes if !candidate.direct => true,
                Verdict::No if !candidate.direct => false,
                verdict => {
                    candidate.unknown |= verdict == Verdict::Unknown;
                    test.passes(candidate)?
                }
            },
            Self::Body(needle) => has_text(candidate.message()?, needle, false)?,
            Self::Text(needle) => has_text(candidate.message()?, needle, true)?,
        })
    }
}

/// The Date field by its own clock: RFC 9051 §6.4.4 disregards the time zone.
fn local_date(message: &mut Message<'_>) -> Result<Option<i64>, StoreError> {
    let summary = message.summary()?;
    let Some(date) = summary.date() else { return Ok(None) };
    let text = summary.envelope().date().unwrap_or_default();
    Ok(Some(date.0.saturating_add(zone_ms(text))))
}

/// The offset of `+hhmm` or `-hhmm` in a date.
fn zone_ms(text: &[u8]) -> i64 {
    let zone = text.split(u8::is_ascii_whitespace).find_map(|word| match word {
        [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => {
            let n = digits.iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0'));
            let minutes = n / 100 * 60 + n % 100;
            Some(if *sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    });
    zone.unwrap_or(0).saturating_mul(60_000)
}

/// RFC 9051 §6.4.4 HEADER: a field of the name contains the text; an empty text asks whether the field is there.
fn has_header(message: &mut Message<'_>, name: &str, needle: &str) -> Result<bool, StoreError> {
    message.summary()?;
    let found = message.header_values(name)?;
    Ok(found.iter().any(|value| needle.is_empty() || contains_folded(value, needle)))
}

/// TEXT and BODY.
fn has_text(message: &mut Message<'_>, needle: &str, with_header: bool) -> Result<bool, StoreError> {
    if needle.is_empty() {
        return Ok(true);
    }
    let raw = message.all_bytes()?;
    let summary = message.summary()?;
    Ok(searchable(&raw, summary, &mut |field, text| {
        // RFC 9051 §6.4.4: BODY leaves out the message's own header.
        (with_header || field != SearchField::Header) && contains_folded(text, needle)
    }))
}

#[cfg(test)]
mod tests {
    use super::zone_ms;

    #[test]
    fn the_zone_of_a_date() {
        assert_eq!(zone_ms(b"Mon, 2 Feb 2026 23:30:00 -0130"), -90 * 60_000);
        assert_eq!(zone_ms(b"2 Feb 2026 23:30:00 +0200 (CEST)"), 120 * 60_000);
        assert_eq!(zone_ms(b"2 Feb 2026 23:30:00 GMT"), 0);
    }
}
