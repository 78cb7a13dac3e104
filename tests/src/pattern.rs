//! Patterns of `S:` lines: literal bytes, holes and bindings (tests/README.md).

use std::collections::BTreeMap;

/// What `$name` stands for.
pub type Bindings = BTreeMap<String, Vec<u8>>;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Element>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Any bytes, also none.
    Any,
    /// One byte.
    One,
    /// A token, kept under a name; a name that is known stands for its value.
    Bind(String),
    /// One of several.
    Either(Vec<Pattern>),
    /// Items in any order with one blank between; more items where `rest`.
    Unordered { items: Vec<Pattern>, rest: bool },
}

impl Pattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut elements: Vec<Element> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (element, used) = if let Some(inner) = rest.strip_prefix("<<") {
                unordered(inner)?
            } else if first == '…' {
                (Element::Any, first.len_utf8())
            } else if let Some((element, used)) = angle(rest)? {
                (element, used)
            } else if let Some(used) = variable(rest) {
                (Element::Bind(rest[1..used].to_owned()), used)
            } else {
                let bytes = rest.as_bytes()[..first.len_utf8()].to_vec();
                (Element::Bytes(bytes), first.len_utf8())
            };
            match (elements.last_mut(), element) {
                (Some(Element::Bytes(before)), Element::Bytes(more)) => before.extend(more),
                (_, element) => elements.push(element),
            }
            rest = &rest[used..];
        }
        Ok(Self(elements))
    }

    /// Whether the whole text matches; new bindings are kept only then.
    pub fn matches(&self, text: &[u8], bindings: &mut Bindings) -> bool {
        let mut found = None;
        let steps: Vec<Step<'_>> = self.0.iter().map(Step::Element).collect();
        search(&steps, text, bindings.clone(), &mut found);
        match found {
            Some(new) => {
                *bindings = new;
                true
            }
            None => false,
        }
    }
}

/// How long a `$name` at the start is, with its sign.
pub fn variable(text: &str) -> Option<usize> {
    let name = text.strip_prefix('$')?;
    let mut length = 0;
    for (at, byte) in name.bytes().enumerate() {
        let fits = byte.is_ascii_lowercase() || byte == b'_' || (at > 0 && byte.is_ascii_digit());
        if !fits {
            break;
        }
        length = at + 1;
    }
    (length > 0).then_some(length + 1)
}

/// `<CR>` and its like: the bytes, and how long it is written.
pub fn escape(text: &str) -> Option<(Vec<u8>, usize)> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find('>')?;
    let word = &inner[..end];
    let bytes = match word {
        "CR" => b"\r".to_vec(),
        "LF" => b"\n".to_vec(),
        "CRLF" => b"\r\n".to_vec(),
        "NUL" => b"\0".to_vec(),
        "TAB" => b"\t".to_vec(),
        _ => {
            if let Some(hex) = word.strip_prefix('x').filter(|hex| hex.len() == 2) {
                vec![u8::from_str_radix(hex, 16).ok()?]
            } else {
                let (count, piece) = word.split_once('*')?;
                piece.repeat(count.parse().ok()?).into_bytes()
            }
        }
    };
    Some((bytes, end + 2))
}

fn angle(text: &str) -> Result<Option<(Element, usize)>, String> {
    if text.starts_with("<.>") {
        return Ok(Some((Element::One, 3)));
    }
    if let Some((bytes, used)) = escape(text) {
        return Ok(Some((Element::Bytes(bytes), used)));
    }
    let Some(inner) = text.strip_prefix('<') else {
        return Ok(None);
    };
    // Choices may hold escapes, which are in angle brackets too.
    let mut depth = 1_usize;
    let mut bars = vec![0];
    let mut end = None;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth -= 1,
            b'|' if depth == 1 => bars.push(at + 1),
            _ => {}
        }
        if depth == 0 {
            end = Some(at);
            break;
        }
    }
    let Some(end) = end.filter(|_| bars.len() > 1) else {
        return Ok(None);
    };
    bars.push(end + 1);
    let choices: Result<Vec<Pattern>, String> =
        bars.windows(2).map(|pair| Pattern::parse(&inner[pair[0]..pair[1] - 1])).collect();
    Ok(Some((Element::Either(choices?), end + 2)))
}

fn unordered(inner: &str) -> Result<(Element, usize), String> {
    let end = inner.find(">>").ok_or("`<<` without `>>`")?;
    let mut items = Vec::new();
    let mut rest = false;
    for item in inner[..end].split(" | ") {
        match item.trim() {
            "…" => rest = true,
            item => items.push(Pattern::parse(item)?),
        }
    }
    Ok((Element::Unordered { items, rest }, end + 4))
}

/// What is left to match: elements of the pattern, and the state of a group.
#[derive(Clone)]
enum Step<'a> {
    Element(&'a Element),
    Group { left: Vec<&'a Pattern>, rest: bool, first: bool },
}

/// Backtracking search; patterns and answers are short.
fn search(steps: &[Step<'_>], text: &[u8], bindings: Bindings, found: &mut Option<Bindings>) {
    if found.is_some() {
        return;
    }
    let Some((step, after)) = steps.split_first() else {
        if text.is_empty() {
            *found = Some(bindings);
        }
        return;
    };
    match step {
        Step::Element(Element::Bytes(bytes)) => {
            if let Some(text) = text.strip_prefix(bytes.as_slice()) {
                search(after, text, bindings, found);
            }
        }
        Step::Element(Element::One) => {
            if let Some((_, text)) = text.split_first() {
                search(after, text, bindings, found);
            }
        }
        Step::Element(Element::Any) => any(after, text, bindings, found),
        Step::Element(Element::Bind(name)) => bind(name, after, text, bindings, found),
        Step::Element(Element::Either(choices)) => {
            for choice in choices {
                let mut steps: Vec<Step<'_>> = choice.0.iter().map(Step::Element).collect();
                steps.extend_from_slice(after);
                search(&steps, text, bindings.clone(), found);
            }
        }
        Step::Element(Element::Unordered { items, rest }) => {
            let group = Step::Group { left: items.iter().collect(), rest: *rest, first: true };
            let mut steps = vec![group];
            steps.extend_from_slice(after);
            search(&steps, text, bindings, found);
        }
        Step::Group { left, rest, first } => group(left, *rest, *first, after, text, bindings, found),
    }
}

fn any(after: &[Step<'_>], text: &[u8], bindings: Bindings, found: &mut Option<Bindings>) {
    match after.first() {
        None => *found = Some(bindings),
        // Jump from one place where the next bytes stand to the next.
        Some(Step::Element(Element::Bytes(bytes))) => {
            for at in 0..=text.len().saturating_sub(bytes.len()) {
                if text[at..].starts_with(bytes) {
                    search(after, &text[at..], bindings.clone(), found);
                }
            }
        }
        Some(_) => {
            for at in 0..=text.len() {
                search(after, &text[at..], bindings.clone(), found);
            }
        }
    }
}

fn bind(name: &str, after: &[Step<'_>], text: &[u8], bindings: Bindings, found: &mut Option<Bindings>) {
    if let Some(value) = bindings.get(name) {
        if let Some(text) = text.strip_prefix(value.as_slice()) {
            search(after, text, bindings.clone(), found);
        }
        return;
    }
    let length = text.iter().position(|byte| b" ()[]<>{}\"\r\n\0".contains(byte)).unwrap_or(text.len());
    for length in (1..=length).rev() {
        let mut bindings = bindings.clone();
        if name != "_" {
            bindings.insert(name.to_owned(), text[..length].to_vec());
        }
        search(after, &text[length..], bindings, found);
    }
}

fn group(
    left: &[&Pattern],
    rest: bool,
    first: bool,
    after: &[Step<'_>],
    text: &[u8],
    bindings: Bindings,
    found: &mut Option<Bindings>,
) {
    if left.is_empty() {
        search(after, text, bindings.clone(), found);
    }
    let text = if first {
        text
    } else {
        match text.strip_prefix(b" ") {
            Some(text) => text,
            None => return,
        }
    };
    for (at, item) in left.iter().enumerate() {
        let mut others = left.to_vec();
        others.remove(at);
        let mut steps: Vec<Step<'_>> = item.0.iter().map(Step::Element).collect();
        steps.push(Step::Group { left: others, rest, first: false });
        steps.extend_from_slice(after);
        search(&steps, text, bindings.clone(), found);
    }
    if rest {
        let word = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
        for length in 1..=word {
            let mut steps = vec![Step::Group { left: left.to_vec(), rest, first: false }];
            steps.extend_from_slice(after);
            search(&steps, &text[length..], bindings.clone(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text.as_bytes(), &mut Bindings::new())
    }

    #[test]
    fn bytes_and_holes() {
        assert!(check("a OK …", "a OK done"));
        assert!(!check("a OK …", "a NO done"));
        assert!(check("a OK…", "a OK"));
        assert!(check("5<.><.> …", "554 5.7.1 no"));
        assert!(check("<550|554> …", "554 x"));
        assert!(!check("<550|554> …", "551 x"));
        assert!(check("FROM:<a@b>", "FROM:<a@b>"));
        assert!(check("{3}<CRLF>a<NUL><xff>".replace("<xff>", "").as_str(), "{3}\r\na\0"));
        assert!(check("<3*ab>", "ababab"));
        assert!(check("B <NIL|{0}<CRLF>>)", "B {0}\r\n)"));
        assert!(check("B <NIL|{0}<CRLF>>)", "B NIL)"));
        assert!(check("B[]<2> x", "B[]<2> x"));
    }

    #[test]
    fn bindings_hold() {
        let mut bindings = Bindings::new();
        let first = Pattern::parse("* OK [UIDNEXT $next] …").unwrap();
        assert!(first.matches(b"* OK [UIDNEXT 7] x", &mut bindings));
        assert_eq!(bindings["next"], b"7");
        let second = Pattern::parse("a UID $next").unwrap();
        assert!(second.matches(b"a UID 7", &mut bindings));
        assert!(!second.matches(b"a UID 8", &mut bindings));
        assert!(check("$_ $_", "a b"));
        assert!(check("($Forwarded)", "($Forwarded)"));
    }

    #[test]
    fn any_order() {
        let pattern = r"* 1 FETCH (<<UID $u | FLAGS (\Seen)>>)";
        assert!(check(pattern, r"* 1 FETCH (UID 3 FLAGS (\Seen))"));
        assert!(check(pattern, r"* 1 FETCH (FLAGS (\Seen) UID 3)"));
        assert!(!check(pattern, r"* 1 FETCH (FLAGS (\Seen))"));
        assert!(!check(pattern, r"* 1 FETCH (FLAGS (\Seen) UID 3 MODSEQ (4))"));
        let open = r"(<<\Seen | \Draft | …>>)";
        assert!(check(open, r"(\Answered \Draft \Flagged \Seen)"));
        assert!(check(open, r"(\Draft \Seen)"));
        assert!(!check(open, r"(\Answered \Draft)"));
    }
}
