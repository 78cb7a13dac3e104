//! The byte stream with its two buffers: what came and is not yet a command, what is not yet sent.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pli_gate::Handle;
use pli_imap_proto::{Announced, Command, CommandError, Event, Framer, Out, Refusal, Tag, parse};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::deflate::Deflated;
use crate::limits::{ENDED_GRACE_S, FLUSH_BYTES, READ_BYTES, WRITE_TIMEOUT_S};

/// Anything that a session can run over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What the input holds next.
pub enum Step {
    /// Nothing whole: read more.
    More,
    /// A command.
    Command(Box<Command>),
    /// A line that is no command.
    Error(CommandError),
    /// A synchronising literal that is welcome.
    Continue,
    /// APPEND announces a message.
    Append(Announced),
    /// What follows a streamed message.
    AppendEnd(Vec<u8>),
    /// A line that is no command by agreement.
    Line(Vec<u8>),
    /// A command that the framer drops.
    Refused(Option<Tag>, Refusal),
}

/// How the stream changes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// RFC 4978: both ways are compressed.
    Compress,
    /// RFC 8437 §4.1: neither is.
    Plain,
}

/// The connection, compressed or not.
enum Way {
    Plain(Box<dyn Stream>),
    Deflated(Box<Deflated>),
}

impl Way {
    fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Plain(stream) => &mut **stream,
            Self::Deflated(stream) => &mut **stream,
        }
    }
}

/// The stream and its buffers.
pub struct Wire {
    way: Way,
    input: Vec<u8>,
    at: usize,
    /// Bytes to commands.
    pub framer: Framer,
    /// Answers that wait to be sent.
    pub out: Out,
    handle: Arc<Handle>,
}

impl Wire {
    pub fn new(stream: Box<dyn Stream>, handle: Arc<Handle>) -> Self {
        Self { way: Way::Plain(stream), input: Vec::new(), at: 0, framer: Framer::new(), out: Out::new(), handle }
    }

    /// A line that was taken for something else is looked at again, as a command.
    pub fn put_back(&mut self, line: &[u8]) {
        let mut input = line.to_vec();
        input.extend_from_slice(b"\r\n");
        input.extend_from_slice(self.input.get(self.at..).unwrap_or_default());
        self.input = input;
        self.at = 0;
    }

    /// Takes the next whole thing out of the input.
    pub fn step(&mut self) -> Step {
        let utf8 = self.out.is_utf8();
        let mut rest = self.input.get(self.at..).unwrap_or_default();
        let step = match self.framer.next(&mut rest) {
            None => Step::More,
            Some(Event::Command(bytes)) => match parse(&bytes, utf8) {
                Ok(command) => Step::Command(Box::new(command)),
                Err(error) => Step::Error(error),
            },
            Some(Event::Continue) => Step::Continue,
            Some(Event::AppendLiteral(announced)) => Step::Append(announced),
            // Only `append_piece` asks for a stream.
            Some(Event::Stream { .. }) => Step::More,
            Some(Event::AppendEnd(bytes)) => Step::AppendEnd(bytes.into_owned()),
            Some(Event::Line(bytes)) => Step::Line(bytes.into_owned()),
            Some(Event::Refused { tag, why }) => Step::Refused(tag, why),
        };
        let left = rest.len();
        self.consumed(left);
        step
    }

    /// While a message streams: adds what has come of it to `into` (or drops it); true when it is whole.
    pub fn append_piece(&mut self, into: Option<&mut Vec<u8>>) -> bool {
        let mut rest = self.input.get(self.at..).unwrap_or_default();
        let whole = match self.framer.next(&mut rest) {
            Some(Event::Stream { bytes, last }) => {
                if let Some(into) = into {
                    into.extend_from_slice(bytes);
                }
                last
            }
            _ => false,
        };
        let left = rest.len();
        self.consumed(left);
        whole
    }

    fn consumed(&mut self, left: usize) {
        self.at = self.input.len().saturating_sub(left);
        if left == 0 {
            // A session that waits holds no buffer.
            self.input = Vec::new();
            self.at = 0;
        }
    }

    /// Reads once; false at the end of the stream. Cancelling loses nothing.
    pub async fn read(&mut self) -> io::Result<bool> {
        let Self { way, input, at, handle, .. } = self;
        poll_fn(|cx| {
            let mut space = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(way.stream()).poll_read(cx, &mut buf) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                Poll::Ready(Ok(())) => {
                    if *at > 0 {
                        input.drain(..(*at).min(input.len()));
                        *at = 0;
                    }
                    input.extend_from_slice(buf.filled());
                    handle.received(buf.filled().len());
                    Poll::Ready(Ok(!buf.filled().is_empty()))
                }
            }
        })
        .await
    }

    /// Whether answers are compressed.
    pub const fn is_compressed(&self) -> bool {
        matches!(&self.way, Way::Deflated(stream) if stream.is_on())
    }

    /// Sends what waits as things were, then changes how bytes are sent and read. What has come already is of the new kind.
    pub async fn turn(&mut self, turn: Turn) -> io::Result<()> {
        self.flush().await?;
        let came = self.input.get(self.at..).unwrap_or_default().to_vec();
        match (turn, &mut self.way) {
            (Turn::Compress, way) => {
                self.input = Vec::new();
                self.at = 0;
                match way {
                    Way::Deflated(stream) => stream.resume(came),
                    Way::Plain(stream) => {
                        let stream = std::mem::replace(stream, Box::new(tokio::io::empty()));
                        *way = Way::Deflated(Box::new(Deflated::new(stream, came)));
                    }
                }
                Ok(())
            }
            (Turn::Plain, Way::Deflated(stream)) => {
                stream.stop();
                timed(stream.flush(), &self.handle).await
            }
            (Turn::Plain, Way::Plain(_)) => Ok(()),
        }
    }

    /// Sends all that waits and gives the buffer back.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = self.out.take();
        self.write(&bytes).await?;
        timed(self.way.stream().flush(), &self.handle).await
    }

    /// Sends when enough waits; keeps the buffer.
    pub async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.out.len() < FLUSH_BYTES {
            return Ok(());
        }
        self.in_midst()?;
        self.write_out().await
    }

    /// Sends bytes past the buffer, behind what waits in it.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.in_midst()?;
        if !self.out.is_empty() {
            self.write_out().await?;
        }
        self.write(bytes).await
    }

    /// In the midst of an answer: one to a session that was ended from outside is broken off here.
    fn in_midst(&self) -> io::Result<()> {
        if self.handle.has_ended() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    async fn write_out(&mut self) -> io::Result<()> {
        timed(self.way.stream().write_all(self.out.as_bytes()), &self.handle).await?;
        self.handle.sent(self.out.len());
        self.out.clear();
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // In pieces, so that the time limit is one of progress and a slow reader of a large body is not cut off.
        for piece in bytes.chunks(FLUSH_BYTES) {
            timed(self.way.stream().write_all(piece), &self.handle).await?;
            self.handle.sent(piece.len());
        }
        Ok(())
    }

    /// Ends the stream in its own way (TLS close_notify).
    pub async fn close(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.way.stream().shutdown()).await;
    }
}

/// A write, while it makes progress; when the session is ended from outside, for some seconds more.
async fn timed<T>(work: impl Future<Output = io::Result<T>>, handle: &Handle) -> io::Result<T> {
    let limit = async {
        let most = Duration::from_secs(WRITE_TIMEOUT_S);
        if tokio::time::timeout(most, handle.ended()).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(ENDED_GRACE_S)).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = limit => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")),
    }
}
