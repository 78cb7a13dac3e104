//! Reads the words of a command: atoms, strings, literals, numbers, lists.

use std::borrow::Cow;

use pli_types::{FlagSet, Keyword, MailboxName, ModSeq, SystemFlag};

use crate::chars;
use crate::command::MessageSet;
use crate::limits::FLAGS_COUNT_MAX;
use crate::number::parse_u64;
use crate::sequence::SequenceSet;
use crate::utf7;

/// Why arguments do not fit, before the tag is put to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// `BAD` with a text.
    Bad(&'static str),
    /// A verb that nobody knows.
    Unknown,
    /// A name that no mailbox can have.
    Name { text: &'static str, creating: bool },
}

impl From<&'static str> for Fail {
    fn from(text: &'static str) -> Self {
        Self::Bad(text)
    }
}

/// What a reader gives.
pub type Read<T> = Result<T, Fail>;

/// A place in a command.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    /// Mailbox names are UTF-8.
    utf8: bool,
}

impl<'a> Cursor<'a> {
    pub const fn new(bytes: &'a [u8], utf8: bool) -> Self {
        Self { rest: bytes, utf8 }
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The byte `at` places on.
    pub fn peek_at(&self, at: usize) -> Option<u8> {
        self.rest.get(at).copied()
    }

    /// Takes one byte if it is `b`.
    pub fn eat(&mut self, b: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == b => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub fn need(&mut self, b: u8, text: &'static str) -> Read<()> {
        if self.eat(b) { Ok(()) } else { Err(text.into()) }
    }

    /// Blanks, none or more.
    pub fn blanks(&mut self) {
        self.rest = self.rest.trim_start_blanks();
    }

    /// One blank or more: clients send two at times.
    pub fn space(&mut self) -> Read<()> {
        self.need(b' ', "Missing argument")?;
        self.blanks();
        Ok(())
    }

    /// Whether a further argument follows; takes the blanks before it.
    pub fn more(&mut self) -> bool {
        let before = self.rest;
        self.blanks();
        if self.rest.is_empty() {
            return false;
        }
        self.rest.len() < before.len()
    }

    /// Nothing but blanks may follow.
    pub fn end(&mut self) -> Read<()> {
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { Err("Too many arguments".into()) }
    }

    pub fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| !fits(b)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        word
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(part)
    }

    /// Letters, digits and the like up to a blank, parenthesis, bracket or `<`: a keyword of the grammar.
    pub fn word(&mut self) -> &'a [u8] {
        self.take_while(|b| chars::is_atom_char(b) && !matches!(b, b'[' | b'<'))
    }

    /// Takes a keyword, any case, if it comes next as a whole word.
    pub fn eat_word(&mut self, word: &[u8]) -> bool {
        let mut ahead = self.clone();
        let found = ahead.word().eq_ignore_ascii_case(word);
        if found {
            self.rest = ahead.rest;
        }
        found
    }

    pub fn atom(&mut self) -> Read<&'a str> {
        let atom = self.take_while(chars::is_atom_char);
        if atom.is_empty() {
            return Err("Expected an atom".into());
        }
        std::str::from_utf8(atom).map_err(|_| "Expected an atom".into())
    }

    /// An atom in capitals.
    pub fn atom_upper(&mut self) -> Read<Box<str>> {
        Ok(self.atom()?.to_ascii_uppercase().into_boxed_str())
    }

    pub fn number(&mut self) -> Read<u64> {
        parse_u64(self.take_while(|b| b.is_ascii_digit())).ok_or_else(|| "Expected a number".into())
    }

    pub fn number32(&mut self) -> Read<u32> {
        u32::try_from(self.number()?).map_err(|_| "Number too large".into())
    }

    /// RFC 7162 §7 `mod-sequence-valzer`: 63 bits.
    pub fn modseq(&mut self) -> Read<ModSeq> {
        let n = self.number()?;
        if n > u64::MAX >> 1 {
            return Err("Mod-sequence too large".into());
        }
        Ok(ModSeq::new(n))
    }

    /// RFC 9051 §9 `quoted`.
    fn quoted(&mut self) -> Read<Cow<'a, [u8]>> {
        self.need(b'"', "Expected a string")?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.take(1).and_then(<[u8]>::first) {
                Some(b'"') => return Ok(Cow::Owned(text)),
                Some(b'\\') => match self.take(1).and_then(<[u8]>::first) {
                    Some(&b @ (b'"' | b'\\')) => text.push(b),
                    _ => return Err("Bad escape in a quoted string".into()),
                },
                _ => return Err("Quoted string without end".into()),
            }
            text.extend_from_slice(self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)));
        }
    }

    /// `{n}`, `{n+}`, `~{n}`, the line end and the bytes. Also tells whether it was a literal8.
    pub fn literal(&mut self) -> Read<(&'a [u8], bool)> {
        let (bytes, binary) = self.literal_header()?;
        let bytes = usize::try_from(bytes).ok().and_then(|n| self.take(n)).ok_or("Literal cut short")?;
        Ok((bytes, binary))
    }

    fn literal_header(&mut self) -> Read<(u64, bool)> {
        let (bytes, binary) = self.marker()?;
        self.eat(b'\r');
        self.need(b'\n', "Literal without line end")?;
        Ok((bytes, binary))
    }

    /// `{n}` without what follows.
    pub fn marker(&mut self) -> Read<(u64, bool)> {
        let binary = self.eat(b'~');
        self.need(b'{', "Expected a literal")?;
        let bytes = self.number()?;
        self.eat(b'+');
        self.need(b'}', "Expected a literal")?;
        Ok((bytes, binary))
    }

    /// RFC 9051 §9 `string`.
    pub fn string(&mut self) -> Read<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{' | b'~') => Ok(Cow::Borrowed(self.literal()?.0)),
            _ => Err("Expected a string".into()),
        }
    }

    /// RFC 9051 §9 `astring`.
    pub fn astring(&mut self) -> Read<Cow<'a, [u8]>> {
        self.string_or(chars::is_astring_char)
    }

    /// RFC 9051 §9 `list-mailbox`.
    pub fn list_mailbox(&mut self) -> Read<String> {
        let name = self.string_or(chars::is_list_char)?;
        self.decode_name(&name)
    }

    fn string_or(&mut self, bare: impl Fn(u8) -> bool) -> Read<Cow<'a, [u8]>> {
        if let Some(b'"' | b'{') = self.peek() {
            return self.string();
        }
        let word = self.take_while(bare);
        if word.is_empty() {
            return Err("Missing argument".into());
        }
        Ok(Cow::Borrowed(word))
    }

    /// An astring that is text.
    pub fn astring_text(&mut self) -> Read<String> {
        String::from_utf8(self.astring()?.into_owned()).map_err(|_| "String is not UTF-8".into())
    }

    /// RFC 9051 §9 `nstring`.
    pub fn nstring(&mut self) -> Read<Option<Cow<'a, [u8]>>> {
        if self.eat_word(b"NIL") {
            return Ok(None);
        }
        self.string().map(Some)
    }

    fn decode_name(&self, name: &[u8]) -> Read<String> {
        if self.utf8 {
            return String::from_utf8(name.to_vec()).map_err(|_| "Mailbox name is not UTF-8".into());
        }
        utf7::decode(name).map_err(|_| "Mailbox name is not valid modified UTF-7".into())
    }

    /// RFC 9051 §9 `mailbox`. A name that reads well but that nothing can have is no syntax error.
    pub fn mailbox(&mut self) -> Read<MailboxName> {
        let name = self.astring()?;
        let name = self.decode_name(&name)?;
        MailboxName::new(&name).map_err(|error| Fail::Name { text: name_error_text(error), creating: false })
    }

    /// The name of a mailbox that is to be made.
    pub fn new_mailbox(&mut self) -> Read<MailboxName> {
        self.mailbox().map_err(|fail| match fail {
            Fail::Name { text, .. } => Fail::Name { text, creating: true },
            other => other,
        })
    }

    pub fn sequence_set(&mut self) -> Read<SequenceSet> {
        let text = self.take_while(|b| b.is_ascii_digit() || matches!(b, b'*' | b':' | b','));
        SequenceSet::parse(text).ok_or_else(|| "Expected a sequence set".into())
    }

    /// A set or `$`.
    pub fn message_set(&mut self) -> Read<MessageSet> {
        if self.eat(b'$') {
            return Ok(MessageSet::Saved);
        }
        self.sequence_set().map(MessageSet::Set)
    }

    /// RFC 9051 §9 `flag`, into the set.
    fn flag(&mut self, flags: &mut FlagSet) -> Read<()> {
        if self.eat(b'\\') {
            let name = self.atom()?;
            // RFC 9051 §2.3.2: \Recent cannot be changed by a client; old ones send it back with the others.
            if name.eq_ignore_ascii_case("Recent") {
                return Ok(());
            }
            let known =
                SystemFlag::ALL.into_iter().find(|f| f.name().trim_start_matches('\\').eq_ignore_ascii_case(name));
            flags.insert(known.ok_or("Unknown system flag")?);
            return Ok(());
        }
        let keyword = Keyword::new(self.atom()?).map_err(|_| "Not a keyword")?;
        flags.insert_keyword(keyword);
        Ok(())
    }

    /// `(\Seen $Junk)`, also empty.
    pub fn flag_list(&mut self) -> Read<FlagSet> {
        let mut flags = FlagSet::default();
        let mut count = 0;
        self.list(|c| {
            count += 1;
            if count > FLAGS_COUNT_MAX {
                return Err("Too many flags".into());
            }
            c.flag(&mut flags)
        })?;
        Ok(flags)
    }

    /// Flags without parentheses, one or more.
    pub fn bare_flags(&mut self) -> Read<FlagSet> {
        let mut flags = FlagSet::default();
        self.flag(&mut flags)?;
        for _ in 1..FLAGS_COUNT_MAX {
            if !self.more() {
                break;
            }
            self.flag(&mut flags)?;
        }
        Ok(flags)
    }

    /// `(item item ...)`, also empty, with blanks where clients put them. `item` must take at least a byte.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.need(b'(', "Expected a parenthesised list")?;
        self.blanks();
        while !self.eat(b')') {
            let before = self.rest.len();
            item(self)?;
            let spaced = self.peek() == Some(b' ');
            self.blanks();
            if self.rest.len() == before || !(spaced || self.peek() == Some(b')')) {
                return Err("Malformed list".into());
            }
        }
        Ok(())
    }
}

/// What a client reads about a name that is refused.
const fn name_error_text(error: pli_types::MailboxNameError) -> &'static str {
    match error {
        pli_types::MailboxNameError::EmptyLevel => "A mailbox name has no empty level",
        pli_types::MailboxNameError::TooLong => "Mailbox name too long",
        pli_types::MailboxNameError::Forbidden => "Mailbox name holds a character that is not allowed",
    }
}

trait TrimBlanks {
    fn trim_start_blanks(&self) -> &Self;
}

impl TrimBlanks for [u8] {
    fn trim_start_blanks(&self) -> &Self {
        let at = self.iter().position(|&b| b != b' ').unwrap_or(self.len());
        self.get(at..).unwrap_or_default()
    }
}
