//! Bytes to lines, whatever the pieces in which they come.

use zeroize::{Zeroize, Zeroizing};

/// The line was longer than it may be; it was passed over up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What has come and is not read yet. The caller adds to it only when [`Lines::next`] gives nothing: then it holds less
/// than one line.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    dropping: bool,
}

impl Lines {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its end (CRLF; a bare LF is taken too), of `bytes_max` bytes with it at most.
    pub fn next(&mut self, bytes_max: usize) -> Option<Result<Zeroizing<Vec<u8>>, TooLong>> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer) else {
            if self.buffer.len() >= bytes_max {
                self.buffer.zeroize();
                self.dropping = true;
            }
            return None;
        };
        let rest = self.buffer.split_off(end + 1);
        let mut line = Zeroizing::new(std::mem::replace(&mut self.buffer, rest));
        if std::mem::take(&mut self.dropping) || line.len() > bytes_max {
            return Some(Err(TooLong));
        }
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Ok(line))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // It may hold half a password.
        self.buffer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn all(input: &[u8], piece: usize, max: usize) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in input.chunks(piece) {
            lines.push(piece);
            while let Some(line) = lines.next(max) {
                out.push(line.map(|line| line.to_vec()));
            }
        }
        assert!(lines.buffer.len() < max + piece);
        out
    }

    #[test]
    fn any_split_gives_the_same() {
        let input = b"USER a\r\nPASS b c \n\r\n0123456789012345\r\nQUIT\r\nhalf";
        let wanted =
            vec![Ok(b"USER a".to_vec()), Ok(b"PASS b c ".to_vec()), Ok(vec![]), Err(TooLong), Ok(b"QUIT".to_vec())];
        for piece in 1..=input.len() {
            assert_eq!(all(input, piece, 16), wanted, "{piece}");
        }
    }
}
