//! Binding and accepting.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{Connection, ConnectionGuard, ConnectionLimits, Shutdown, TlsConfig};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed (out of file descriptors); the loop never ends of it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which the kernel asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// Why a door could not be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{door}: {address} is in use by another program")]
    InUse {
        /// Which door.
        door: String,
        /// Where.
        address: SocketAddr,
    },
    /// Ports under 1024 need a privilege.
    #[error("{door}: no permission to listen on {address} (ports under 1024 need CAP_NET_BIND_SERVICE)")]
    Forbidden {
        /// Which door.
        door: String,
        /// Where.
        address: SocketAddr,
    },
    /// The address is not one of this machine's, or another failure.
    #[error("{door}: cannot listen on {address}: {error}")]
    Other {
        /// Which door.
        door: String,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// A bound door.
pub struct Listener {
    door: String,
    inner: TcpListener,
}

impl Listener {
    /// Binds `address` for the door called `door` (`smtp`, `imaps`, …). Must be called inside a tokio runtime. An
    /// IPv6 address listens for IPv6 only, so that `[::]` and `0.0.0.0` can stand side by side.
    pub fn bind(door: &str, address: SocketAddr) -> Result<Self, BindError> {
        let inner = bind(address).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { door: door.to_owned(), address },
            io::ErrorKind::PermissionDenied => BindError::Forbidden { door: door.to_owned(), address },
            _ => BindError::Other { door: door.to_owned(), address, error },
        })?;
        Ok(Self { door: door.to_owned(), inner })
    }
    /// Where it listens (with the port that port 0 became).
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
    /// The door's name.
    #[must_use]
    pub fn door(&self) -> &str {
        &self.door
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How a door serves.
#[derive(Clone)]
pub struct ServeOptions {
    /// TLS from the first byte, if set. A door with STARTTLS has `None` here.
    pub implicit_tls: Option<Arc<TlsConfig>>,
    /// Counts connections, maybe together with other doors.
    pub limits: Arc<ConnectionLimits>,
    /// For the TLS handshake of implicit TLS.
    pub handshake_timeout: Duration,
    /// What a connection over the limits is told before it is closed (doors without implicit TLS), with CRLF.
    pub refusal: String,
    /// Ends the loop; the tasks are counted there.
    pub shutdown: Shutdown,
}

/// Accepts until shutdown, one task for each connection. Each handler gets the connection and a token that is cancelled
/// at shutdown; it should then finish the reply it is in, say goodbye and return.
pub async fn serve<H, F>(listener: Listener, options: ServeOptions, handler: H)
where
    H: Fn(Connection, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Listener { door, inner } = listener;
    let door: Arc<str> = door.into();
    let handler = Arc::new(handler);
    let token = options.shutdown.token().clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => break,
            accepted = inner.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match options.limits.enter(peer.ip()) {
                Ok(guard) => {
                    let (options, handler, door) = (options.clone(), handler.clone(), door.clone());
                    let tracker = options.shutdown.tracker().clone();
                    tracker.spawn(one(stream, guard, options, handler, door));
                }
                Err(reached) => {
                    info!(%door, peer = %peer.ip(), "connection refused: {reached}");
                    refuse(stream, &options);
                }
            },
            Err(error) => {
                // Out of file descriptors or memory, or a peer that was gone before we came: never the end.
                warn!(%door, %error, "accepting failed");
                tokio::select! {
                    () = token.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    debug!(%door, "closed");
}

async fn one<H, F>(stream: TcpStream, guard: ConnectionGuard, options: ServeOptions, handler: Arc<H>, door: Arc<str>)
where
    H: Fn(Connection, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let _counted = guard;
    // Replies are small and go out in one write each: waiting to fill a segment only costs time.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
    let Ok(mut connection) = Connection::plain(stream) else {
        return;
    };
    if let Some(tls) = &options.implicit_tls {
        let peer = connection.peer();
        let acceptor = tls.acceptor();
        let handshake = tokio::time::timeout(options.handshake_timeout, connection.upgrade(&acceptor));
        let done = tokio::select! {
            () = options.shutdown.token().cancelled() => return,
            done = handshake => done,
        };
        connection = match done {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return debug!(%door, %peer, %error, "TLS handshake failed"),
            Err(_) => return debug!(%door, %peer, "TLS handshake timed out"),
        };
    }
    handler(connection, options.shutdown.token().clone()).await;
}

/// Says why, if that can be said at once; never waits for a peer that is refused.
fn refuse(mut stream: TcpStream, options: &ServeOptions) {
    if options.implicit_tls.is_some() || options.refusal.is_empty() {
        return;
    }
    let text = options.refusal.clone();
    options.shutdown.tracker().spawn(async move {
        let say = async {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), say).await;
    });
}
