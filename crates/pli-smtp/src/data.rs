//! Message bytes from DATA: where they end, dot-stuffing, and line ends that are no CRLF.
//!
//! Invariant: only `<CRLF>.<CRLF>` ends a message. A line end that is not CRLF is content here and ends nothing, so that
//! no other reading of the same bytes (the sender's server, or a proxy) can find a second message in them; and a message
//! that holds one is refused whole, so that it cannot smuggle one into the next server either.

use memchr::{memchr, memchr3};

/// What is wrong with a message's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// CR without LF, or LF without CR.
    pub bare_line_end: bool,
    /// A NUL byte.
    pub nul: bool,
}

/// Looks for faults in bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inspector {
    faults: Faults,
    after_cr: bool,
}

impl Inspector {
    /// The next bytes.
    pub(crate) fn inspect(&mut self, mut bytes: &[u8]) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            match bytes.split_first() {
                Some((b'\n', rest)) => bytes = rest,
                _ => self.faults.bare_line_end = true,
            }
        }
        while let Some(at) = memchr3(b'\r', b'\n', 0, bytes) {
            let tail = bytes.get(at..).unwrap_or_default();
            bytes = match tail {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [0, rest @ ..] => {
                    self.faults.nul = true;
                    rest
                }
                [_, rest @ ..] => {
                    self.faults.bare_line_end = true;
                    rest
                }
                [] => &[],
            };
        }
    }
    /// What was found in all bytes; the last piece has been seen.
    pub(crate) const fn finish(self) -> Faults {
        Faults { bare_line_end: self.faults.bare_line_end || self.after_cr, nul: self.faults.nul }
    }
}

/// Where in a line the decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After CRLF (or at the very start).
    LineStart,
    /// Elsewhere.
    Inside,
    /// After a CR.
    Cr,
    /// After `<CRLF>.`
    Dot,
    /// After `<CRLF>.<CR>`
    DotCr,
}

/// Takes DATA apart. RFC 5321 §4.5.2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataDecoder {
    at: At,
}

impl DataDecoder {
    pub(crate) const fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Decodes from `input`, giving content to `sink` in pieces. Returns how many bytes were used, and whether the
    /// message has ended; what comes after the end is not touched.
    pub(crate) fn decode(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, bool) {
        let mut rest = input;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.at {
                At::LineStart if byte == b'.' => {
                    // RFC 5321 §4.5.2: the first dot of a line is not content.
                    self.at = At::Dot;
                    rest = tail;
                }
                At::Dot if byte == b'\r' => {
                    self.at = At::DotCr;
                    rest = tail;
                }
                At::DotCr if byte == b'\n' => {
                    self.at = At::LineStart;
                    return (input.len() - tail.len(), true);
                }
                At::DotCr => {
                    // Not the end after all: the CR was content, and a bare one.
                    sink(b"\r");
                    self.at = At::Cr;
                }
                At::Cr if byte == b'\n' => {
                    sink(b"\n");
                    self.at = At::LineStart;
                    rest = tail;
                }
                At::LineStart | At::Inside | At::Cr | At::Dot => rest = self.lines(rest, &mut sink),
            }
        }
        (input.len(), false)
    }

    /// Content up to the next place where a dot may mean something, found in as few steps as there are CRs.
    fn lines<'a>(&mut self, input: &'a [u8], sink: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let mut from = 0;
        loop {
            let after = input.get(from..).unwrap_or_default();
            let Some(cr) = memchr(b'\r', after) else {
                sink(input);
                self.at = At::Inside;
                return &[];
            };
            let next = from + cr + 1;
            match input.get(next) {
                None => {
                    sink(input);
                    self.at = At::Cr;
                    return &[];
                }
                Some(b'\n') if input.get(next + 1).is_none_or(|b| *b == b'.') => {
                    let (content, rest) = input.split_at(next + 1);
                    sink(content);
                    self.at = At::LineStart;
                    return rest;
                }
                Some(_) => from = next,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// Content, faults and what is left after the end, with the input cut into pieces.
    fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Faults, Option<Vec<u8>>) {
        let (mut decoder, mut inspector) = (DataDecoder::new(), Inspector::default());
        let (mut content, mut left) = (Vec::new(), None::<Vec<u8>>);
        for piece in pieces {
            if let Some(left) = &mut left {
                left.extend_from_slice(piece);
                continue;
            }
            let (used, ended) = decoder.decode(piece, |bytes| {
                inspector.inspect(bytes);
                content.extend_from_slice(bytes);
            });
            if ended {
                left = Some(piece[used..].to_vec());
            }
        }
        (content, inspector.finish(), left)
    }

    /// The plainest reading of RFC 5321 §4.5.2, byte by byte, to compare with.
    fn plain(input: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut content = Vec::new();
        let mut at = 0;
        let mut line_start = true;
        while at < input.len() {
            if line_start && input[at] == b'.' {
                if input[at..].starts_with(b".\r\n") {
                    return (content, Some(input[at + 3..].to_vec()));
                }
                at += 1;
                line_start = false;
                continue;
            }
            content.push(input[at]);
            at += 1;
            line_start = content.ends_with(b"\r\n") && input[..at].ends_with(b"\r\n");
        }
        (content, None)
    }

    #[test]
    fn dots() {
        let (content, faults, left) = decode(&[b"..a\r\n.b\r\n..\r\n.\r\nQUIT\r\n"]);
        assert_eq!(content, b".a\r\nb\r\n.\r\n");
        assert_eq!(faults, Faults::default());
        assert_eq!(left.unwrap(), b"QUIT\r\n");
        assert_eq!(decode(&[b".\r\n"]).0, b"");
        assert!(decode(&[b".\r\n"]).2.is_some());
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n", "\r.\r\n", "\r\n.\r\r\n", "\r\n\0.\r\n"] {
            let input = format!("a{end}MAIL FROM:<x@y>\r\n.\r\nNOOP\r\n");
            let (content, faults, left) = decode(&[input.as_bytes()]);
            assert!(faults.bare_line_end || faults.nul, "{end:?}");
            assert_eq!(left.unwrap(), b"NOOP\r\n", "{end:?}");
            assert!(content.windows(4).any(|w| w == b"MAIL"), "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_and_the_plain_reading_agree(
            bytes in proptest::collection::vec(proptest::sample::select(b"\r\n.\0ab".to_vec()), 0..40),
            cuts in proptest::collection::vec(0usize..40, 0..6),
        ) {
            // Always with an end: what may still become one is held back without it.
            let bytes = [bytes.as_slice(), b"\r\n.\r\n"].concat();
            let (content, left) = plain(&bytes);
            let whole = decode(&[&bytes]);
            prop_assert_eq!(&whole.0, &content);
            prop_assert_eq!(&whole.2, &left);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(&decode(&pieces), &whole);
            let bare = {
                let text: Vec<u8> = content.clone();
                (0..text.len()).any(|i| match text[i] {
                    b'\r' => text.get(i + 1) != Some(&b'\n'),
                    b'\n' => i == 0 || text[i - 1] != b'\r',
                    _ => false,
                })
            };
            prop_assert_eq!(whole.1.bare_line_end, bare);
            prop_assert_eq!(whole.1.nul, content.contains(&0));
        }
    }
}
