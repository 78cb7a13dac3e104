//! RFC 5256 §2.1: the base subject, by which SORT and THREAD know that messages belong together.

/// The base subject of a decoded subject, and whether it was a reply or a forward.
pub fn base_subject(decoded: &str) -> (String, bool) {
    // (1) blanks collapsed
    let collapsed = decoded.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text: &str = &collapsed;
    let mut reply = false;
    loop {
        let before = text;
        // (2) trailers
        while let Some(rest) = strip_trailer(text) {
            reply |= rest.1;
            text = rest.0;
        }
        // (3) to (5) leaders and blobs
        loop {
            if let Some(rest) = strip_leader(text) {
                reply = true;
                text = rest;
            } else if let Some(rest) = strip_blob(text).filter(|rest| !rest.is_empty()) {
                text = rest;
            } else {
                break;
            }
        }
        // (6) [fwd: ... ]
        if let Some(inner) = strip_forward(text) {
            reply = true;
            text = inner;
            continue;
        }
        if text == before {
            return (text.to_owned(), reply);
        }
    }
}

fn strip_trailer(text: &str) -> Option<(&str, bool)> {
    let trimmed = text.trim_end();
    if let Some(start) = trimmed.len().checked_sub(5)
        && let (Some(rest), Some(tail)) = (trimmed.get(..start), trimmed.get(start..))
        && tail.eq_ignore_ascii_case("(fwd)")
    {
        return Some((rest, true));
    }
    (trimmed.len() < text.len()).then_some((trimmed, false))
}

/// `re:`, `fw:`, `fwd:`, each with an optional blob before the colon, and leading blanks and blobs.
fn strip_leader(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(' ') {
        return Some(rest).filter(|rest| !rest.is_empty());
    }
    let mut rest = text;
    while let Some(after) = strip_blob(rest) {
        rest = after;
    }
    let after_word = ["fwd", "fw", "re"].iter().find_map(|word| {
        let head = rest.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| rest.get(word.len()..)).flatten()
    })?;
    let after_word = after_word.trim_start();
    let after_blob = strip_blob(after_word).unwrap_or(after_word);
    after_blob.strip_prefix(':').map(str::trim_start)
}

/// `[...]` and blanks behind it.
fn strip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find([']', '['])?;
    inner.get(end..)?.strip_prefix(']').map(str::trim_start)
}

fn strip_forward(text: &str) -> Option<&str> {
    let head = text.get(..5)?;
    if !head.eq_ignore_ascii_case("[fwd:") {
        return None;
    }
    text.get(5..)?.strip_suffix(']').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::base_subject;

    #[test]
    fn leaders_trailers_and_blobs_go() {
        for (subject, base, reply) in [
            ("Hello", "Hello", false),
            ("Re: Hello", "Hello", true),
            ("RE: re:  Fwd: Hello  World", "Hello World", true),
            ("Re[2]: Hello (fwd)", "Hello", true),
            ("[list] Re: [list] Hello", "Hello", true),
            ("[only]", "[only]", false),
            ("[Fwd: Hello]", "Hello", true),
            ("", "", false),
            ("Re:", "", true),
            ("Reports", "Reports", false),
        ] {
            assert_eq!(base_subject(subject), (base.to_owned(), reply), "{subject:?}");
        }
    }
}
