//! The command line's end of the admin socket.

use std::io;
use std::path::Path;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::{Reply, Request};

/// Why a call got no reply.
#[derive(Debug, Error)]
pub enum CallError {
    /// No server answers on the socket.
    #[error("no server is running")]
    NotRunning,
    /// The socket failed, or this user may not use it.
    #[error("the admin socket: {0}")]
    Io(#[from] io::Error),
    /// What came back is no reply.
    #[error("the server's answer cannot be read: {0}")]
    Reply(#[from] serde_json::Error),
}

/// A connection to a running server.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects; `NotRunning` when there is nobody.
    pub async fn connect(path: &Path) -> Result<Self, CallError> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream) }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Err(CallError::NotRunning)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks and waits for the answer.
    pub async fn call(&mut self, request: &Request) -> Result<Reply, CallError> {
        self.call_telling(request, &|_| {}).await
    }

    /// The same, passing on how far long work is.
    pub async fn call_telling(
        &mut self,
        request: &Request,
        tell: &(dyn Fn(serde_json::Value) + Sync),
    ) -> Result<Reply, CallError> {
        let mut bytes = serde_json::to_vec(request)?;
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes).await?;
        bytes.fill(0);
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line).await? == 0 {
                return Err(CallError::Io(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            match serde_json::from_slice(&line)? {
                Reply::Progress(progress) => tell(progress),
                reply => return Ok(reply),
            }
        }
    }
}
