//! One accepted connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use pli_types::TlsInfo;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsStream};
use x509_parser::extensions::GeneralName;

use crate::ClientTls;

/// Addresses of one certificate that are looked at.
const CLIENT_ADDRESSES_MAX: usize = 16;

/// A byte stream from a peer, in the clear or inside TLS.
pub struct Connection {
    stream: Stream,
    peer: SocketAddr,
    local: SocketAddr,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// A connection in the clear.
    pub fn plain(stream: TcpStream) -> io::Result<Self> {
        Ok(Self { peer: stream.peer_addr()?, local: stream.local_addr()?, stream: Stream::Plain(stream) })
    }
    /// Runs the server side of a TLS handshake (implicit TLS, or after STARTTLS). The caller must have thrown away
    /// every byte it read in the clear (RFC 3207 §4.2).
    pub async fn upgrade(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        match self.stream {
            Stream::Plain(stream) => {
                let tls = acceptor.accept(stream).await?;
                Ok(Self { stream: Stream::Tls(Box::new(TlsStream::Server(tls))), peer: self.peer, local: self.local })
            }
            Stream::Tls(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "already inside TLS")),
        }
    }
    /// Opens a connection to another server, in the clear. The caller sets the time limit.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::plain(stream)
    }
    /// The same from an address of ours.
    pub async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> io::Result<Self> {
        let Some(source) = source else { return Self::connect(address).await };
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(source, 0))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Self::plain(stream)
    }
    /// Runs the client side of a TLS handshake after STARTTLS; `name` is what the server is called (SNI).
    pub async fn upgrade_client(self, tls: &ClientTls, name: &str) -> io::Result<Self> {
        match self.stream {
            Stream::Plain(stream) => {
                let name = ServerName::try_from(name.to_owned())
                    .unwrap_or_else(|_| ServerName::IpAddress(self.peer.ip().into()));
                let tls = tls.connector().connect(name, stream).await?;
                Ok(Self { stream: Stream::Tls(Box::new(TlsStream::Client(tls))), peer: self.peer, local: self.local })
            }
            Stream::Tls(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "already inside TLS")),
        }
    }
    /// Has the kernel acknowledge at once what was read. A client that writes a literal's end in a small packet of its own
    /// waits for the acknowledgement of the one before (Nagle), and without this gets it 40 ms later. The kernel forgets
    /// the wish, so it is said after each read.
    fn acknowledge(&self) {
        let tcp = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        let _ = SockRef::from(tcp).set_tcp_quickack(true);
    }
    /// The other side.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }
    /// Our side.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }
    /// RFC 9266 §2: keying material exported from the TLS session, to which a login can be bound. Only where it is the
    /// session's own for sure: in TLS 1.2 that would need the extended master secret, of which nothing is told here.
    #[must_use]
    pub fn binding(&self) -> Option<[u8; 32]> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let TlsStream::Server(stream) = &**stream else { return None };
        let (_, session) = stream.get_ref();
        if session.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return None;
        }
        session.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).ok()
    }
    /// The e-mail addresses among the subject alternative names of the certificate that the client showed. Only one that
    /// was verified gets through the handshake. RFC 5280 §4.2.1.6.
    #[must_use]
    pub fn client_addresses(&self) -> Box<[String]> {
        let Stream::Tls(stream) = &self.stream else { return Box::default() };
        let (_, session) = stream.get_ref();
        let Some(certificate) = session.peer_certificates().and_then(<[_]>::first) else { return Box::default() };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Box::default() };
        let Ok(Some(names)) = parsed.subject_alternative_name() else { return Box::default() };
        let address = |name: &GeneralName<'_>| match name {
            GeneralName::RFC822Name(address) => Some((*address).to_owned()),
            _ => None,
        };
        names.value.general_names.iter().filter_map(address).take(CLIENT_ADDRESSES_MAX).collect()
    }
    /// What TLS agreed on, when inside it.
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, session) = stream.get_ref();
        Some(TlsInfo {
            version: session
                .protocol_version()
                .map(|v| format!("{v:?}").replace("TLSv1_", "TLSv1."))
                .unwrap_or_default(),
            cipher: session.negotiated_cipher_suite().map(|c| format!("{:?}", c.suite())).unwrap_or_default(),
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, connection) = (buf.filled().len(), self.get_mut());
        let read = match &mut connection.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            connection.acknowledge();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
