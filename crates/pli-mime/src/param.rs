//! Content-Type and Content-Disposition: a token and its parameters. RFC 2045 §5.1, RFC 2183.

use std::borrow::Cow;

use crate::decode::{charset_to_utf8, decode_words, hex};

/// A value with parameters, read leniently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parametrised<'a> {
    /// `text/plain`, `attachment`.
    pub value: &'a [u8],
    /// Names and unquoted values in order.
    pub params: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

impl Parametrised<'_> {
    /// The parameters as pairs of bytes.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.params.iter().map(|(name, value)| (*name, &**value))
    }
}

/// Reads an unfolded value; at most `params_max` parameters.
pub(crate) fn parse(value: &[u8], params_max: usize) -> Parametrised<'_> {
    let mut rest = value;
    let head = until(&mut rest, b';');
    let mut out = Parametrised { value: without_comment(head).trim_ascii(), params: Vec::new() };
    while !rest.is_empty() && out.params.len() < params_max {
        rest = skip_blanks(rest);
        let name_end = rest.iter().position(|b| matches!(b, b'=' | b';')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        let name = name.trim_ascii();
        match after.split_first() {
            Some((b'=', after)) => {
                let mut after = skip_blanks(after);
                let value = match after.split_first() {
                    Some((b'"', quoted)) => {
                        let (value, tail) = unquote(quoted);
                        after = tail;
                        until(&mut after, b';');
                        value
                    }
                    _ => Cow::Borrowed(bare(until(&mut after, b';').trim_ascii())),
                };
                rest = after;
                if !name.is_empty() {
                    out.params.push((name, value));
                }
            }
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    out
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

/// What stands before the mark; `rest` goes on after it.
fn until<'a>(rest: &mut &'a [u8], mark: u8) -> &'a [u8] {
    let at = memchr::memchr(mark, rest).unwrap_or(rest.len());
    let (before, after) = rest.split_at(at);
    *rest = after.get(1..).unwrap_or_default();
    before
}

/// Comments in these fields are rare and stand at the end: what follows a parenthesis goes.
fn without_comment(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'(', bytes).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// A value without quotes. `utf-8 (a comment)` has one, the file name `report (1).pdf` has none.
fn bare(value: &[u8]) -> &[u8] {
    if value.ends_with(b")") { without_comment(value).trim_ascii_end() } else { value }
}

/// A parameter put together from what the sender made of it. RFC 2231.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined<'p> {
    charset: Option<&'p [u8]>,
    /// Whether any of it was written in the extended form, so that its percent signs are undone.
    extended: bool,
    /// The value's bytes, in its charset.
    pub bytes: Cow<'p, [u8]>,
}

impl Joined<'_> {
    /// As UTF-8. Encoded words have no place here (RFC 2047 §5), and are what most senders write.
    pub(crate) fn text(&self) -> String {
        if self.extended && (self.charset.is_some() || !self.bytes.starts_with(b"=?")) {
            charset_to_utf8(self.charset, &self.bytes).into_owned()
        } else {
            decode_words(&self.bytes)
        }
    }
}

/// The parameter of a name: `name*`, else the pieces `name*0`, `name*1*`… in the order of their numbers and up to the
/// first that is missing, else `name`. RFC 2231 §3, §4.
pub(crate) fn joined<'p>(params: impl Iterator<Item = (&'p [u8], &'p [u8])>, name: &str) -> Option<Joined<'p>> {
    let mut plain = None;
    let mut whole = None;
    let mut pieces: Vec<(u32, bool, &[u8])> = Vec::new();
    for (key, value) in params {
        let Some((start, rest)) = key.split_at_checked(name.len()) else { continue };
        if !start.eq_ignore_ascii_case(name.as_bytes()) {
            continue;
        }
        match rest {
            b"" => plain = plain.or(Some(value)),
            b"*" => whole = whole.or(Some(value)),
            _ => pieces.extend(piece(rest).map(|(number, extended)| (number, extended, value))),
        }
    }
    if let Some(value) = whole {
        pieces = vec![(0, true, value)];
    }
    // The sort is stable, and of two pieces with one number the first is taken.
    pieces.sort_by_key(|(number, ..)| *number);
    pieces.dedup_by_key(|(number, ..)| *number);
    let Some((first, ..)) = pieces.first().copied() else {
        return plain.map(|value| Joined { charset: None, extended: false, bytes: Cow::Borrowed(value) });
    };
    let mut out = Joined { charset: None, extended: false, bytes: Cow::Borrowed(&[]) };
    for ((number, extended, mut value), expected) in pieces.into_iter().zip(first..) {
        if number != expected {
            break;
        }
        if !extended {
            out.bytes.to_mut().extend_from_slice(value);
            continue;
        }
        out.extended = true;
        if number == first {
            // RFC 2231 §4: charset'language'text
            let mut three = value.splitn(3, |b| *b == b'\'');
            if let (Some(set), Some(_), Some(text)) = (three.next(), three.next(), three.next()) {
                out.charset = Some(set).filter(|set| !set.is_empty());
                value = text;
            }
        }
        percent(value, out.bytes.to_mut());
    }
    Some(out)
}

/// What follows the name in `name*7*`: the number, and whether the value is in the extended form.
fn piece(rest: &[u8]) -> Option<(u32, bool)> {
    let rest = rest.strip_prefix(b"*")?;
    let (number, extended) = rest.strip_suffix(b"*").map_or((rest, false), |number| (number, true));
    // `parse` takes a sign, which is none here.
    let digits = number.iter().all(u8::is_ascii_digit).then_some(number)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, extended))
}

fn percent(value: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let digit = |place: usize| value.get(place).copied().and_then(hex);
        match digit(at + 1).zip(digit(at + 2)) {
            Some((high, low)) if *byte == b'%' => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
}

/// A quoted string after its first quote: its content, and what follows. Without an end it goes to the end.
pub(crate) fn unquote(bytes: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let mut at = 0;
    let mut escaped = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let end = at.min(bytes.len());
    let content = bytes.get(..end).unwrap_or_default();
    let tail = bytes.get(end + 1..).unwrap_or_default();
    if !escaped {
        return (Cow::Borrowed(content), tail);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        // Windows paths in file names: a backslash before a letter is one.
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(next)) if matches!(next, b'"' | b'\\') => {
                out.push(*next);
                bytes.next();
            }
            _ => out.push(*byte),
        }
    }
    (Cow::Owned(out), tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_parameters() {
        let all =
            parse(b"text/plain (a comment); charset=utf-8 ; name=\"a \\\"b\\\"; c\"; empty; =x; format=flowed", 10);
        assert_eq!(all.value, b"text/plain");
        let params: Vec<_> = all.params.iter().map(|(n, v)| (*n, &**v)).collect();
        assert_eq!(params, [(&b"charset"[..], &b"utf-8"[..]), (b"name", b"a \"b\"; c"), (b"format", b"flowed")]);
        assert_eq!(parse(b"a/b; name=\"no end", 10).params.first().map(|(_, v)| v.len()), Some(6));
        assert_eq!(parse(b"a; b=c; d=e", 1).params.len(), 1);
        let name = |value| parse(value, 10).params.first().map(|(_, v)| v.clone().into_owned());
        assert_eq!(name(b"a; filename=report (1).pdf"), Some(b"report (1).pdf".to_vec()));
        assert_eq!(name(b"a; charset=utf-8 (Plain)"), Some(b"utf-8".to_vec()));
    }

    fn text(field: &[u8], name: &str) -> Option<String> {
        let parsed = parse(field, 100);
        joined(parsed.pairs(), name).map(|found| found.text())
    }

    #[test]
    fn file_names_as_senders_write_them() {
        for (field, wanted) in [
            // RFC 2231 §4.1, and the same pieces out of order.
            (
                "a; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
                "This is even more ***fun*** isn't it!",
            ),
            ("a; title*1=\"b.txt\"; title*0=\"a-\"", "a-b.txt"),
            // One letter's bytes on both sides of a cut; the charset counts for all pieces.
            ("a; title*0*=UTF-8''caf%C3; title*1*=%A9.txt", "café.txt"),
            ("a; title*0*=iso-8859-15''10%20; title*1*=%A4.txt", "10 €.txt"),
            ("a; title*0*=koi8-r''%F0; title*1*=%D2%C9", "При"),
            ("a; title*=ISO-8859-1'fr'%E9t%E9.txt; title=\"?t?.txt\"", "été.txt"),
            ("a; title=ete.txt; TITLE*=utf-8''%C3%A9t%C3%A9.txt", "été.txt"),
            ("a; title*=\"utf-8''%C3%A9.txt\"", "é.txt"),
            // No charset, an unknown one, no quotes at all.
            ("a; title*=''%E9.txt", "é.txt"),
            ("a; title*=x-none''%C3%A9.txt", "é.txt"),
            ("a; title*=%C3%A9.txt", "é.txt"),
            ("a; title*=utf-7''%2BAOk-.txt", "é.txt"),
            // Encoded words: in quotes, over pieces, in the extended form.
            ("a; title=\"=?UTF-8?Q?=C3=A9t=C3=A9.txt?=\"", "été.txt"),
            ("a; title*0=\"=?UTF-8?B?w6l0w6ku\"; title*1=\"dHh0?=\"", "été.txt"),
            ("a; title*==?utf-8?B?w6kudHh0?=", "é.txt"),
            // A gap ends the name, of two pieces with one number the first counts, a sign is no number.
            ("a; title*0=a; title*2=c", "a"),
            ("a; title*0=a; title*0=b; title*1=c", "ac"),
            ("a; title*+0=x; title=b", "b"),
            ("a; title*1=b; title*2=c", "bc"),
            // Not percent signs that mean anything.
            ("a; title*=utf-8''100%+f%zz%", "100%+f%zz%"),
            ("a; title=\"100%20.txt\"", "100%20.txt"),
        ] {
            assert_eq!(text(field.as_bytes(), "title").as_deref(), Some(wanted), "{field}");
        }
        assert_eq!(text(b"a; titles=x; titl=y; title**=z; title*x=u", "title"), None);
    }
}
