//! COMPRESS=DEFLATE: a stream that inflates what comes and deflates what goes. RFC 4978, RFC 1951.
//!
//! Memory: what inflates holds its window (32 KiB) and tables as long as the session is compressed. What deflates is there
//! only between the first byte of an answer and its flush, since it is the larger part: each flush ends on a byte's
//! boundary, and what follows refers to nothing before it. So a session that waits holds no more for its output.
//!
//! A bomb fills no memory, since no more is inflated than the reader has room for; it can cost time, which is given turn by
//! turn and ends at [`INFLATE_TIMES_MAX`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{DEFLATE_BYTES, INFLATE_BYTES_FREE, INFLATE_TIMES_MAX};
use crate::wire::Stream;

/// Fast, and within some percent of the smallest for mail.
const LEVEL: u32 = 3;
/// RFC 1951 §3.2.3: the last block, empty.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// A stream under a compressed one.
pub struct Deflated {
    inner: Box<dyn Stream>,
    /// `None`: what comes is plain again.
    inflate: Option<Decompress>,
    input: Vec<u8>,
    at: usize,
    /// There may be more to give than there was room for.
    more: bool,
    came: u64,
    gave: u64,
    /// Whether what goes is deflated.
    deflating: bool,
    deflate: Option<Compress>,
    output: Vec<u8>,
    sent: usize,
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("deflate: {error}"))
}

impl Deflated {
    /// Over a stream, with what has come of it already.
    pub fn new(inner: Box<dyn Stream>, came: Vec<u8>) -> Self {
        Self {
            inner,
            inflate: Some(Decompress::new(false)),
            input: came,
            at: 0,
            more: false,
            came: 0,
            gave: 0,
            deflating: true,
            deflate: None,
            output: Vec::new(),
            sent: 0,
        }
    }
    /// Whether what goes is deflated.
    pub const fn is_on(&self) -> bool {
        self.deflating
    }
    /// Takes it up again on the same stream.
    pub fn resume(&mut self, came: Vec<u8>) {
        let inner = std::mem::replace(&mut self.inner, Box::new(tokio::io::empty()));
        let mut input = came;
        input.extend_from_slice(self.input.get(self.at..).unwrap_or_default());
        *self = Self::new(inner, input);
    }
    /// Ends it both ways; only after a flush. The peer's last block may have come with what ended it, or not at all.
    pub fn stop(&mut self) {
        self.output.extend_from_slice(&LAST_BLOCK);
        self.deflating = false;
        self.inflate = None;
        self.more = false;
    }

    /// Inflates what there is into the room there is; true if that gave anything.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        let Some(inflate) = &mut self.inflate else { return Ok(false) };
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let space = buf.initialize_unfilled();
        let room = space.len();
        let rest = self.input.get(self.at..).unwrap_or_default();
        let status = inflate.decompress(rest, space, FlushDecompress::Sync).map_err(damaged)?;
        let taken = usize::try_from(inflate.total_in().saturating_sub(before_in)).unwrap_or(usize::MAX);
        let given = usize::try_from(inflate.total_out().saturating_sub(before_out)).unwrap_or(usize::MAX);
        self.at = self.at.saturating_add(taken);
        self.came = self.came.saturating_add(taken as u64);
        self.gave = self.gave.saturating_add(given as u64);
        if self.gave > INFLATE_BYTES_FREE.saturating_add(self.came.saturating_mul(INFLATE_TIMES_MAX)) {
            return Err(damaged("the peer's data inflates too much"));
        }
        self.more = given == room;
        if status == Status::StreamEnd {
            self.inflate = None;
            self.more = false;
        }
        if self.at >= self.input.len() {
            self.input = Vec::new();
            self.at = 0;
        }
        buf.advance(given);
        Ok(given > 0)
    }

    fn read_plain(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let piece = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(piece);
        self.at = self.at.saturating_add(piece.len());
        if self.at >= self.input.len() {
            self.input = Vec::new();
            self.at = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is deflated.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(written);
        }
        self.output = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn press(&mut self, bytes: &[u8], flush: FlushCompress) -> io::Result<()> {
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        let begin = deflate.total_in();
        loop {
            self.output.reserve(DEFLATE_BYTES);
            let taken = usize::try_from(deflate.total_in().saturating_sub(begin)).unwrap_or(usize::MAX);
            let rest = bytes.get(taken..).unwrap_or_default();
            deflate.compress_vec(rest, &mut self.output, flush).map_err(damaged)?;
            let all = deflate.total_in().saturating_sub(begin) >= bytes.len() as u64;
            // Room that was not needed: nothing more was to be written.
            if all && self.output.len() < self.output.capacity() {
                return Ok(());
            }
        }
    }
}

impl AsyncRead for Deflated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.inflate.is_none() {
                return this.read_plain(cx, buf);
            }
            if this.more || this.at < this.input.len() {
                // What inflates without end is always ready: others get their turn.
                let turn = ready!(tokio::task::coop::poll_proceed(cx));
                let gave = this.give(buf)?;
                turn.made_progress();
                if gave {
                    return Poll::Ready(Ok(()));
                }
                if this.inflate.is_none() {
                    continue;
                }
            }
            let mut space = [0; DEFLATE_BYTES];
            let mut raw = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut raw))?;
            if raw.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.input.extend_from_slice(raw.filled());
        }
    }
}

impl AsyncWrite for Deflated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.deflating {
            ready!(this.drain(cx))?;
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        if this.output.len().saturating_sub(this.sent) >= DEFLATE_BYTES {
            ready!(this.drain(cx))?;
        }
        let piece = buf.get(..DEFLATE_BYTES).unwrap_or(buf);
        this.press(piece, FlushCompress::None)?;
        Poll::Ready(Ok(piece.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deflate.is_some() {
            // RFC 4978 §4: all of an answer can be inflated by the peer. What deflated it is of no more use.
            this.press(&[], FlushCompress::Sync)?;
            this.deflate = None;
        }
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn pair() -> (Deflated, Deflated) {
        let (a, b) = tokio::io::duplex(4096);
        (Deflated::new(Box::new(a), Vec::new()), Deflated::new(Box::new(b), Vec::new()))
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[tokio::test]
    async fn each_flush_arrives_whole_and_nothing_is_kept_for_output() {
        let (mut ours, mut theirs) = pair();
        let text = b"* 1 FETCH (FLAGS (\\Seen))\r\n".repeat(5_000);
        for sent in [&b"a OK done\r\n"[..], &text, &noise(100_000), b"x"] {
            let (to, mut got) = (sent.to_vec(), vec![0; sent.len()]);
            let write = async {
                ours.write_all(&to).await.unwrap();
                ours.flush().await.unwrap();
                assert!(ours.deflate.is_none() && ours.output.capacity() == 0);
            };
            let (_, read) = tokio::join!(write, theirs.read_exact(&mut got));
            read.unwrap();
            assert_eq!(got, sent);
        }
        assert!(theirs.came < theirs.gave, "it got smaller: {} of {}", theirs.came, theirs.gave);
    }

    #[tokio::test]
    async fn plain_again_both_ways() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"last").await.unwrap();
        ours.flush().await.unwrap();
        ours.stop();
        ours.write_all(b"plain").await.unwrap();
        ours.flush().await.unwrap();
        let mut got = vec![0; 9];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"lastplain", "what stands behind the last block is plain");
        theirs.stop();
        theirs.output.clear();
        theirs.write_all(b"answer").await.unwrap();
        theirs.flush().await.unwrap();
        let mut got = vec![0; 6];
        ours.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"answer");
        ours.resume(Vec::new());
        theirs.resume(Vec::new());
        ours.write_all(b"again").await.unwrap();
        ours.flush().await.unwrap();
        let mut got = vec![0; 5];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"again");
    }

    #[tokio::test]
    async fn a_bomb_ends_the_stream() {
        // A million zeros take a thousand bytes: sent again and again as one stream.
        let mut deflate = Compress::new(Compression::best(), false);
        let zeros = vec![0; 1 << 20];
        let (a, mut b) = tokio::io::duplex(1 << 16);
        let mut stream = Deflated::new(Box::new(a), Vec::new());
        let feed = tokio::spawn(async move {
            for _ in 0..2_000 {
                let mut packed = Vec::with_capacity(1 << 16);
                deflate.compress_vec(&zeros, &mut packed, FlushCompress::Sync).unwrap();
                if b.write_all(&packed).await.is_err() {
                    break;
                }
            }
        });
        let mut buf = vec![0; 1 << 16];
        let mut total = 0_u64;
        let error = loop {
            match stream.read(&mut buf).await {
                Ok(0) => panic!("it was let through: {total}"),
                Ok(n) => total += n as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!((INFLATE_BYTES_FREE..INFLATE_BYTES_FREE * 2).contains(&total), "{total}");
        drop(stream);
        feed.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_deflate_is_an_error() {
        let (a, mut b) = tokio::io::duplex(1 << 16);
        let mut stream = Deflated::new(Box::new(a), b"a NOOP\r\nb NOOP\r\n\xff\xff\xff\xff".to_vec());
        b.write_all(&noise(4096)).await.unwrap();
        drop(b);
        let mut got = Vec::new();
        assert!(stream.read_to_end(&mut got).await.is_err());
    }
}
