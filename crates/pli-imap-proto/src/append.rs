//! RFC 9051 §6.3.12 APPEND, with RFC 3502 (several messages), RFC 3516 (literal8), RFC 4469 (CATENATE), RFC 6855 §4
//! (UTF8) and RFC 8508 (REPLACE).
//!
//! The messages of a command are read as parts: where one begins, URLs, and literals. What stands between two literals
//! is a chunk; [`AppendReader`] keeps what it must know from one chunk to the next.

use crate::command::{
    AppendLiteral, AppendMeta, AppendPart, AppendPrefix, AppendReader, CommandBody, CommandError, Replaces, Tag,
};
use crate::cursor::{Cursor, Read};
use crate::date::parse_date_time;
use crate::limits::CATENATE_URLS_COUNT_MAX;
use crate::parse::{read_tag, read_verb, to_error};

/// Where a reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// Before a message.
    #[default]
    Message,
    /// Behind a message's literal; it was opened by `UTF8 (`.
    Literal { utf8: bool },
    /// Between the parts of a CATENATE.
    Part,
}

/// A whole APPEND or REPLACE with its messages in it.
pub fn read(tag: &Tag, c: &mut Cursor<'_>, replaces: Option<bool>) -> Read<CommandBody> {
    let mut prefix = read_target(tag.clone(), c, replaces)?;
    c.space()?;
    prefix.reader.parts(c, &mut prefix.parts, true)?;
    Ok(CommandBody::Append(prefix))
}

/// ` [number] mailbox`
fn read_target(tag: Tag, c: &mut Cursor<'_>, replaces: Option<bool>) -> Read<AppendPrefix> {
    c.space()?;
    let mut replaced = None;
    if let Some(uid) = replaces {
        let number = c.number32()?;
        if number == 0 {
            return Err("REPLACE needs a message".into());
        }
        replaced = Some(Replaces { uid, number });
        c.space()?;
    }
    let mailbox = c.mailbox()?;
    Ok(AppendPrefix {
        tag,
        mailbox,
        replaces: replaced,
        parts: Vec::new(),
        reader: AppendReader::new(replaces.is_some()),
    })
}

/// `[(flags) ] ["date" ]` before a message.
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
    Ok(meta)
}

impl AppendReader {
    const fn new(single: bool) -> Self {
        Self { at: At::Message, single, begun: false, urls: 0 }
    }

    /// Reads up to the literal that ends a chunk, or up to the end of the command. `whole`: literals are there.
    fn parts(&mut self, c: &mut Cursor<'_>, parts: &mut Vec<AppendPart>, whole: bool) -> Read<()> {
        loop {
            match self.at {
                At::Literal { utf8 } => {
                    if utf8 {
                        c.need(b')', "Expected ) after UTF8 message")?;
                    }
                    if !c.more() {
                        return c.end();
                    }
                    self.at = At::Message;
                }
                At::Message => {
                    // RFC 8508 §4.7: one message only.
                    if self.begun && self.single {
                        return Err("REPLACE takes one message".into());
                    }
                    self.begun = true;
                    if self.begin(c, parts, whole)? {
                        return Ok(());
                    }
                }
                At::Part => {
                    c.blanks();
                    if c.eat(b')') {
                        self.at = At::Literal { utf8: false };
                    } else if self.part(c, parts, whole)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A message's begin; true at a literal that is still to come.
    fn begin(&mut self, c: &mut Cursor<'_>, parts: &mut Vec<AppendPart>, whole: bool) -> Read<bool> {
        let mut meta = read_meta(c)?;
        if c.eat_word(b"CATENATE") {
            c.space()?;
            c.need(b'(', "Expected ( after CATENATE")?;
            self.at = At::Part;
            parts.push(AppendPart::Begin(meta));
            if c.peek() == Some(b')') {
                return Err("CATENATE needs a part".into());
            }
            return Ok(false);
        }
        if c.eat_word(b"UTF8") {
            c.space()?;
            c.need(b'(', "Expected ( after UTF8")?;
            meta.utf8 = true;
        }
        let utf8 = meta.utf8;
        let (data, binary) = literal(c, whole)?;
        meta.binary = binary;
        // RFC 6855 §4: the message in UTF8 () is a literal8.
        if utf8 && !binary {
            return Err("UTF8 needs a literal8".into());
        }
        parts.push(AppendPart::Begin(meta));
        self.at = At::Literal { utf8 };
        Ok(push(parts, AppendLiteral::Message, data))
    }

    /// RFC 4469 §5 `cat-part`; true at a literal that is still to come.
    fn part(&mut self, c: &mut Cursor<'_>, parts: &mut Vec<AppendPart>, whole: bool) -> Read<bool> {
        if c.eat_word(b"TEXT") {
            c.space()?;
            let (data, _) = literal(c, whole)?;
            return Ok(push(parts, AppendLiteral::Text, data));
        }
        if !c.eat_word(b"URL") {
            return Err("Expected TEXT or URL".into());
        }
        self.urls = self.urls.saturating_add(1);
        if self.urls > CATENATE_URLS_COUNT_MAX {
            return Err("Too many URLs".into());
        }
        c.space()?;
        if let Some(b'{' | b'~') = c.peek() {
            let (data, _) = literal(c, whole)?;
            return Ok(push(parts, AppendLiteral::Url, data));
        }
        parts.push(AppendPart::Url(c.astring()?.into_owned()));
        Ok(false)
    }

    /// Reads [`crate::Framer::prefix`] after a further [`crate::Event::AppendLiteral`].
    pub fn next(&mut self, tag: &Tag, prefix: &[u8]) -> Result<Vec<AppendPart>, CommandError> {
        self.rest(tag, prefix, true)
    }

    /// Reads [`crate::Event::AppendEnd`].
    pub fn end(&mut self, tag: &Tag, end: &[u8]) -> Result<Vec<AppendPart>, CommandError> {
        self.rest(tag, end, false)
    }

    fn rest(&mut self, tag: &Tag, text: &[u8], literal: bool) -> Result<Vec<AppendPart>, CommandError> {
        let mut parts = Vec::new();
        let mut c = Cursor::new(text, false);
        let read = self.parts(&mut c, &mut parts, false);
        let at_literal = matches!(parts.last(), Some(AppendPart::Literal(_)));
        match read {
            Ok(()) if at_literal == literal => Ok(parts),
            Ok(()) => Err(to_error(tag.clone(), "Malformed message".into())),
            Err(fail) => Err(to_error(tag.clone(), fail)),
        }
    }
}

/// A literal's bytes, or where it is still to come its announcement, which ends the chunk; and whether it is a literal8.
fn literal(c: &mut Cursor<'_>, whole: bool) -> Read<(Option<Vec<u8>>, bool)> {
    if whole {
        let (bytes, binary) = c.literal()?;
        return Ok((Some(bytes.to_vec()), binary));
    }
    let (_, binary) = c.marker()?;
    c.end()?;
    Ok((None, binary))
}

fn push(parts: &mut Vec<AppendPart>, literal: AppendLiteral, data: Option<Vec<u8>>) -> bool {
    let awaited = data.is_none();
    parts.push(match (literal, data) {
        (_, None) => AppendPart::Literal(literal),
        (AppendLiteral::Url, Some(url)) => AppendPart::Url(url),
        (_, Some(bytes)) => AppendPart::Data(bytes),
    });
    awaited
}

/// Reads [`crate::Framer::prefix`] after the first [`crate::Event::AppendLiteral`] of a command.
pub fn parse_append_prefix(prefix: &[u8], utf8: bool) -> Result<AppendPrefix, CommandError> {
    let (tag, mut c) = read_tag(prefix, utf8)?;
    let mut read = || {
        let mut buffer = [0; 16];
        let replaces = match read_verb(&mut c, &mut buffer) {
            b"UID" => {
                c.space()?;
                read_verb(&mut c, &mut [0; 16]);
                Some(true)
            }
            b"REPLACE" => Some(false),
            _ => None,
        };
        let mut prefix = read_target(tag.clone(), &mut c, replaces)?;
        c.space()?;
        prefix.reader.parts(&mut c, &mut prefix.parts, false)?;
        if matches!(prefix.parts.last(), Some(AppendPart::Literal(_))) {
            Ok(prefix)
        } else {
            Err("Expected a message".into())
        }
    };
    read().map_err(|fail| to_error(tag.clone(), fail))
}
