//! The server's end of the admin socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pli_net::Shutdown;
use pli_types::{SessionId, SessionInfo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};

use crate::{AdminService, ErrorKind, Failure, Reply, Request, Tell};

/// A request's line; a message to send may stand in it.
const REQUEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A connection that asks nothing is closed.
const IDLE: Duration = Duration::from_secs(600);

/// A bound admin socket. The file goes when this is dropped.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl AdminSocket {
    /// Binds. A socket file that nobody answers on is what an earlier run left, and is replaced; the store's lock
    /// has already made sure that no other server runs on this folder.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match rustix::fs::unlink(path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let listener = UnixListener::bind(path)?;
        rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        Ok(Self { listener, path: path.to_owned(), owner: rustix::process::geteuid().as_raw() })
    }

    /// Answers until shutdown. `session_id` gives each connection its random id.
    pub async fn serve(
        self,
        service: Arc<AdminService>,
        session_id: impl Fn() -> SessionId + Send + Sync + 'static,
        shutdown: Shutdown,
    ) {
        loop {
            let accepted = tokio::select! {
                () = shutdown.token().cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting on the admin socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(uid) = self.admitted(&stream) else { continue };
            let session = Arc::new(SessionInfo::admin(session_id(), uid));
            let service = Arc::clone(&service);
            let stop = shutdown.token().clone();
            shutdown.tracker().spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    result = converse(stream, &service, &session) => {
                        if let Err(error) = result {
                            tracing::debug!(%error, "admin connection");
                        }
                    }
                }
            });
        }
    }

    /// Root, or the user the server runs as.
    fn admitted(&self, stream: &UnixStream) -> Option<u32> {
        let uid = stream.peer_cred().ok()?.uid();
        if uid == 0 || uid == self.owner {
            return Some(uid);
        }
        tracing::warn!(uid, "refused on the admin socket");
        None
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = rustix::fs::unlink(&self.path);
    }
}

async fn converse(stream: UnixStream, service: &AdminService, session: &Arc<SessionInfo>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(REQUEST_BYTES_MAX);
        let got = tokio::time::timeout(IDLE, bounded.read_until(b'\n', &mut line)).await;
        match got {
            Err(_) | Ok(Ok(0)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => {}
        }
        let whole = line.ends_with(b"\n");
        let reply = match serde_json::from_slice::<Request>(&line) {
            _ if !whole => Reply::Error(Failure::new(ErrorKind::Usage, "the request is cut short or too long")),
            Ok(request) => carry_out(&mut write, service, session, request).await?,
            Err(error) => Reply::Error(Failure::new(ErrorKind::Usage, error.to_string())),
        };
        // A request may hold a password.
        line.fill(0);
        say(&mut write, &reply).await?;
        if !whole {
            return Ok(());
        }
    }
}

async fn say(write: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(reply).map_err(io::Error::other)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await
}

/// Waits for the answer, and passes on how far the work is; only the newest word of it when the peer reads slowly.
async fn carry_out(
    write: &mut OwnedWriteHalf,
    service: &AdminService,
    session: &Arc<SessionInfo>,
    request: Request,
) -> io::Result<Reply> {
    let (sender, mut news) = tokio::sync::watch::channel(None);
    let tell: Tell = Arc::new(move |progress| {
        sender.send_replace(Some(progress));
    });
    let work = service.handle_telling(session, request, tell);
    tokio::pin!(work);
    loop {
        let told = async {
            if news.changed().await.is_err() {
                // Nothing more will be told.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            reply = &mut work => return Ok(reply),
            () = told => {}
        }
        let progress = news.borrow_and_update().clone();
        if let Some(progress) = progress {
            say(write, &Reply::Progress(progress)).await?;
        }
    }
}
