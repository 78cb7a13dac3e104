//! Address lists of RFC 5322 §3.4, read as leniently as they are written.

use std::borrow::Cow;

use crate::header::unfold;
use crate::param::unquote;

/// Nested comments that are followed.
const COMMENT_DEPTH_MAX: u32 = 16;

/// Bytes of a source route; a longer one is none. Otherwise each `<@` of a large field would be looked for its colon
/// through all of the field.
const ROUTE_BYTES_MAX: usize = 1024;

/// One address, or a group's start (`host` `None`, `mailbox` `Some`) or end (both `None`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailAddress {
    /// Display name; encoded words kept.
    pub name: Option<Vec<u8>>,
    /// Source route, without the colon.
    pub route: Option<Vec<u8>>,
    /// Local part, or the group's name.
    pub mailbox: Option<Vec<u8>>,
    /// Domain.
    pub host: Option<Vec<u8>>,
}

/// All addresses of a field's value (folded or not), at most `max`.
#[must_use]
pub fn addresses(value: &[u8], max: usize) -> Vec<MailAddress> {
    let value = unfold(value);
    let mut reader = Reader { rest: &value, out: Vec::new(), max, in_group: false };
    reader.list();
    reader.out
}

enum Token<'a> {
    /// Atom text between the special characters, dots and all.
    Word(&'a [u8]),
    Quoted(Cow<'a, [u8]>),
    Special(u8),
}

struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<MailAddress>,
    max: usize,
    in_group: bool,
}

impl<'a> Reader<'a> {
    fn token(&mut self, comment: &mut Option<&'a [u8]>) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            let (first, tail) = self.rest.split_first()?;
            match first {
                b'(' => *comment = Some(self.comment()),
                b'"' => {
                    let (text, tail) = unquote(tail);
                    self.rest = tail;
                    return Some(Token::Quoted(text));
                }
                b'<' | b'>' | b'@' | b',' | b';' | b':' => {
                    self.rest = tail;
                    return Some(Token::Special(*first));
                }
                b'[' => {
                    let end = memchr::memchr(b']', self.rest).map_or(self.rest.len(), |at| at + 1);
                    let (literal, tail) = self.rest.split_at(end);
                    self.rest = tail;
                    return Some(Token::Word(literal));
                }
                _ => {
                    let stop = |b: &u8| b.is_ascii_whitespace() || b"()<>@,;:\"[".contains(b);
                    let end = self.rest.iter().position(stop).unwrap_or(self.rest.len()).max(1);
                    let (word, tail) = self.rest.split_at(end);
                    self.rest = tail;
                    return Some(Token::Word(word));
                }
            }
        }
    }

    /// A comment, nested ones included; returns its text.
    fn comment(&mut self) -> &'a [u8] {
        let all = self.rest;
        let mut depth = 0u32;
        let mut at = 0;
        while let Some(byte) = all.get(at) {
            match byte {
                b'\\' => at += 1,
                b'(' => depth = (depth + 1).min(COMMENT_DEPTH_MAX),
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let end = at.min(all.len());
        self.rest = all.get(end + 1..).unwrap_or_default();
        all.get(1..end).unwrap_or_default().trim_ascii()
    }

    fn push(&mut self, address: MailAddress) {
        if self.out.len() < self.max {
            self.out.push(address);
        }
    }

    fn list(&mut self) {
        // What was read since the last comma: words of a name or of a bare address.
        let mut phrase: Vec<Vec<u8>> = Vec::new();
        let mut comment = None;
        while self.out.len() < self.max {
            let Some(token) = self.token(&mut comment) else { break };
            match token {
                Token::Word(word) => phrase.push(word.to_vec()),
                Token::Quoted(text) => phrase.push(text.into_owned()),
                Token::Special(b'<') => {
                    let name = join(&phrase, b' ');
                    phrase.clear();
                    self.angle(name);
                }
                Token::Special(b'@') => {
                    let mailbox = join(&phrase, b' ');
                    phrase.clear();
                    let host = self.domain();
                    let name = if comment.is_none() { self.trailing_comment() } else { comment };
                    self.push(MailAddress {
                        name: name.map(<[u8]>::to_vec),
                        route: None,
                        mailbox: Some(mailbox.unwrap_or_default()),
                        host: Some(host),
                    });
                    comment = None;
                }
                Token::Special(b':') if !self.in_group => {
                    let mailbox = Some(join(&phrase, b' ').unwrap_or_default());
                    phrase.clear();
                    self.in_group = true;
                    self.push(MailAddress { mailbox, ..MailAddress::default() });
                }
                Token::Special(b';') => {
                    self.bare(&mut phrase);
                    if self.in_group {
                        self.in_group = false;
                        self.push(MailAddress::default());
                    }
                }
                Token::Special(_) => {
                    self.bare(&mut phrase);
                    comment = None;
                }
            }
        }
        self.bare(&mut phrase);
        if self.in_group {
            // An end for each start, even when the list was cut.
            self.out.push(MailAddress::default());
        }
    }

    /// Words without an `@`: shown as a mailbox with an empty domain, so that nothing a person could read is lost.
    fn bare(&mut self, phrase: &mut Vec<Vec<u8>>) {
        if let Some(mailbox) = join(phrase, b' ') {
            self.push(MailAddress { mailbox: Some(mailbox), host: Some(Vec::new()), ..MailAddress::default() });
        }
        phrase.clear();
    }

    /// `<@route:local@domain>` after its first bracket.
    fn angle(&mut self, name: Option<Vec<u8>>) {
        let mut route = None;
        let mut local: Vec<Vec<u8>> = Vec::new();
        let mut host = None;
        let mut comment = None;
        while let Some(token) = self.token(&mut comment) {
            match token {
                Token::Word(word) => local.push(word.to_vec()),
                Token::Quoted(text) => local.push(text.into_owned()),
                Token::Special(b'@') if local.is_empty() && route.is_none() => {
                    // RFC 5322 §4.4 obs-route
                    let near = self.rest.get(..self.rest.len().min(ROUTE_BYTES_MAX)).unwrap_or_default();
                    let end = memchr::memchr2(b':', b'>', near).filter(|at| near.get(*at) == Some(&b':'));
                    if let Some(end) = end {
                        let mut text = b"@".to_vec();
                        text.extend_from_slice(self.rest.get(..end).unwrap_or_default());
                        route = Some(text);
                        self.rest = self.rest.get(end + 1..).unwrap_or_default();
                    } else {
                        host = Some(self.domain());
                    }
                }
                Token::Special(b'@') => host = Some(self.domain()),
                Token::Special(b'>') => break,
                // Not closed: the next address begins.
                Token::Special(b',') if host.is_some() => break,
                Token::Special(_) => {}
            }
        }
        let mailbox = join(&local, b' ').unwrap_or_default();
        if mailbox.is_empty() && host.is_none() && name.is_none() {
            return;
        }
        self.push(MailAddress { name, route, mailbox: Some(mailbox), host: Some(host.unwrap_or_default()) });
    }

    /// A domain: words with dots between, blanks tolerated around the dots.
    fn domain(&mut self) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        loop {
            let before = self.rest;
            let glued = out.is_empty()
                || out.ends_with(b".")
                || before.trim_ascii_start().first() == Some(&b'.')
                || before.first().is_some_and(|b| !b.is_ascii_whitespace() && *b != b'(');
            if !glued {
                break;
            }
            match self.token(&mut None) {
                Some(Token::Word(word)) => out.extend_from_slice(word),
                _ => {
                    self.rest = before;
                    break;
                }
            }
        }
        out
    }

    /// `a@b (Name)`: the comment right behind is the name.
    fn trailing_comment(&mut self) -> Option<&'a [u8]> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.first() == Some(&b'(') { Some(self.comment()) } else { None }
    }
}

/// Joins words; none is `None`.
fn join(words: &[Vec<u8>], by: u8) -> Option<Vec<u8>> {
    if words.is_empty() {
        return None;
    }
    Some(words.join(&by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Vec<String> {
        let text_of = |field: &Option<Vec<u8>>| {
            field.as_ref().map_or_else(|| String::from("-"), |b| String::from_utf8_lossy(b).into_owned())
        };
        addresses(text.as_bytes(), 100)
            .iter()
            .map(|a| format!("{}|{}|{}|{}", text_of(&a.name), text_of(&a.route), text_of(&a.mailbox), text_of(&a.host)))
            .collect()
    }

    #[test]
    fn the_usual_forms() {
        assert_eq!(show("a@b"), ["-|-|a|b"]);
        assert_eq!(show("Ann Lee <a.l@b.org>, c@d"), ["Ann Lee|-|a.l|b.org", "-|-|c|d"]);
        assert_eq!(show("\"Lee, Ann\" <a@b>"), ["Lee, Ann|-|a|b"]);
        assert_eq!(show("a@b (Ann)"), ["Ann|-|a|b"]);
        assert_eq!(show("=?utf-8?q?=C3=A9?= <a@b>"), ["=?utf-8?q?=C3=A9?=|-|a|b"]);
        assert_eq!(show("\"a b\"@c"), ["-|-|a b|c"]);
        assert_eq!(show("<@x,@y:a@b>"), ["-|@x,@y|a|b"]);
        assert_eq!(show("a@[192.0.2.1]"), ["-|-|a|[192.0.2.1]"]);
    }

    #[test]
    fn groups() {
        assert_eq!(show("undisclosed-recipients:;"), ["-|-|undisclosed-recipients|-", "-|-|-|-"]);
        assert_eq!(show("g: a@b, c@d; e@f"), ["-|-|g|-", "-|-|a|b", "-|-|c|d", "-|-|-|-", "-|-|e|f"]);
        assert_eq!(show("g: a@b"), ["-|-|g|-", "-|-|a|b", "-|-|-|-"]);
    }

    #[test]
    fn broken_ones() {
        assert_eq!(show("just a name"), ["-|-|just a name|"]);
        assert_eq!(show("<a@b"), ["-|-|a|b"]);
        assert_eq!(show("a@b c@d"), ["-|-|a|b", "-|-|c|d"]);
        assert_eq!(show("<>"), [""; 0]);
        assert_eq!(show(",,;"), [""; 0]);
        assert_eq!(show("\"no end <a@b>"), ["-|-|no end <a@b>|"]);
        assert_eq!(show("((((a@b"), [""; 0]);
        assert_eq!(addresses(&b"a@b,".repeat(1000), 10).len(), 10);
    }
}
