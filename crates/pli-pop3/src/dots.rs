//! A message as RFC 1939 §3 sends it: a dot before each line that begins with one, and a dot alone at the end.

/// What is left to know between two pieces of a message.
#[derive(Clone, Copy, Debug)]
pub struct Dots {
    line_start: bool,
    last: [u8; 2],
}

impl Default for Dots {
    fn default() -> Self {
        Self { line_start: true, last: *b"\r\n" }
    }
}

impl Dots {
    /// Adds a piece of the message. A line begins after any LF, a bare one too: clients that read lines by LF must not
    /// take a dot there for the end.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.line_start && rest.first() == Some(&b'.') {
                out.push(b'.');
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            out.extend_from_slice(line);
            self.line_start = line.ends_with(b"\n");
            rest = after;
        }
        match bytes {
            [] => {}
            [one] => self.last = [self.last[1], *one],
            [.., one, two] => self.last = [*one, *two],
        }
    }

    /// Ends it.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.last != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: &[u8], piece: usize) -> Vec<u8> {
        let mut dots = Dots::default();
        let mut out = Vec::new();
        for piece in message.chunks(piece) {
            dots.push(piece, &mut out);
        }
        dots.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_stuffed_and_the_end_is_one() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"", b".\r\n"),
            (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
            (b"a\n.\nb\r", b"a\n..\nb\r\r\n.\r\n"),
            (b"\r\n", b"\r\n.\r\n"),
        ];
        for (message, wanted) in cases {
            for piece in 1..=message.len().max(1) {
                assert_eq!(sent(message, piece), wanted, "{message:?} by {piece}");
            }
        }
    }
}
