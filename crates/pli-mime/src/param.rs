//! Content-Type and Content-Disposition: a token and its parameters. RFC 2045 §5.1, RFC 2183.

use std::borrow::Cow;

/// A value with parameters, read leniently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parametrised<'a> {
    /// `text/plain`, `attachment`.
    pub value: &'a [u8],
    /// Names and unquoted values in order.
    pub params: Vec<(&'a [u8], Cow<'a, [u8]>)>,
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
                    _ => Cow::Borrowed(without_comment(until(&mut after, b';')).trim_ascii()),
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
    }
}
