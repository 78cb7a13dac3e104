//! A connection in raw bytes: TCP, TLS, lines, IMAP and SMTP just far enough.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Security {
    /// Never.
    None,
    /// After STARTTLS.
    Starttls,
    /// From the first byte.
    Tls,
}

/// Where connections go.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    security: Security,
    connector: TlsConnector,
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// A connection.
pub struct Connection {
    stream: Box<dyn Both>,
    buffer: Vec<u8>,
    start: usize,
    tag: u32,
}

/// Bytes of one read: more than a TLS record.
const CHUNK_BYTES: usize = 64 << 10;

impl Target {
    /// With the CA's certificate, or without any check.
    pub fn new(host: IpAddr, port: u16, name: &str, ca: Option<&Path>, security: Security) -> Result<Self, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = if let Some(ca) = ca {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(ca)? {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        } else {
            let blind = Arc::new(Blind(provider));
            builder.dangerous().with_custom_certificate_verifier(blind).with_no_client_auth()
        };
        Ok(Self {
            address: SocketAddr::new(host, port),
            name: ServerName::try_from(name.to_owned())?,
            security,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn tcp(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn tls(&self, stream: TcpStream) -> Result<Connection, Failure> {
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        Ok(Connection::over(stream))
    }

    /// An SMTP session after EHLO, and after STARTTLS where that is asked for.
    pub async fn smtp(&self) -> Result<Connection, Failure> {
        let mut stream = self.tcp().await?;
        let mut connection = match self.security {
            Security::None => Connection::over(stream),
            Security::Tls => self.tls(stream).await?,
            Security::Starttls => {
                lockstep(&mut stream, b"", "220").await?;
                lockstep(&mut stream, EHLO, "250").await?;
                lockstep(&mut stream, b"STARTTLS\r\n", "220").await?;
                self.tls(stream).await?
            }
        };
        if self.security != Security::Starttls {
            connection.reply("220").await?;
        }
        connection.send(EHLO).await?;
        connection.reply("250").await?;
        Ok(connection)
    }

    /// An LMTP session after LHLO (RFC 2033).
    pub async fn lmtp(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::over(self.tcp().await?);
        connection.reply("220").await?;
        connection.send(b"LHLO bench.example.net\r\n").await?;
        connection.reply("250").await?;
        Ok(connection)
    }

    /// An IMAP session after LOGIN.
    pub async fn imap(&self, user: &str, password: &str) -> Result<Connection, Failure> {
        let stream = self.tcp().await?;
        let mut connection = self.tls(stream).await?;
        let greeting = connection.line().await?;
        if !greeting.starts_with(b"* OK") {
            return Err(format!("greeting: {}", String::from_utf8_lossy(&greeting)).into());
        }
        connection.command(&format!("LOGIN \"{user}\" \"{password}\"")).await?;
        Ok(connection)
    }
}

const EHLO: &[u8] = b"EHLO bench.example.net\r\n";

/// One command and its reply in the clear, read to its last line and no further.
async fn lockstep(stream: &mut TcpStream, command: &[u8], code: &str) -> Result<(), Failure> {
    stream.write_all(command).await?;
    let mut text = Vec::new();
    loop {
        if stream.read_buf(&mut text).await? == 0 {
            return Err("closed before TLS".into());
        }
        let shown = String::from_utf8_lossy(&text);
        let last = shown.trim_end().rsplit("\r\n").next().unwrap_or_default();
        if text.ends_with(b"\r\n") && last.as_bytes().get(3) != Some(&b'-') {
            let good = last.starts_with(code);
            return if good { Ok(()) } else { Err(shown.into_owned().into()) };
        }
    }
}

impl Connection {
    fn over(stream: impl Both + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), start: 0, tag: 0 }
    }

    /// Sends bytes and flushes them.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.reserve(CHUNK_BYTES);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            let left = String::from_utf8_lossy(&self.buffer).into_owned();
            return Err(format!("the server closed: {left:?}").into());
        }
        Ok(())
    }

    /// The next line without its end.
    pub async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut looked = self.start;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let end = looked + at;
                let line = self.buffer[self.start..end.saturating_sub(1)].to_vec();
                self.start = end + 1;
                return Ok(line);
            }
            looked = self.buffer.len() - self.start;
            self.fill().await?;
        }
    }

    /// The next SMTP reply to its last line, which must have this code.
    pub async fn reply(&mut self, code: &str) -> Result<(), Failure> {
        loop {
            let line = self.line().await?;
            if line.get(3) == Some(&b'-') {
                continue;
            }
            return if line.starts_with(code.as_bytes()) {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&line).into_owned().into())
            };
        }
    }

    /// An IMAP command; gives the untagged lines when it is answered OK.
    pub async fn command(&mut self, text: &str) -> Result<Vec<String>, Failure> {
        self.tag += 1;
        let tag = format!("b{} ", self.tag);
        self.send(format!("{tag}{text}\r\n").as_bytes()).await?;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).into_owned();
            match line.strip_prefix(&tag) {
                Some(rest) if rest.starts_with("OK") => return Ok(lines),
                Some(rest) => return Err(format!("{}: {rest}", text.split(' ').next().unwrap_or("")).into()),
                None => lines.push(line),
            }
        }
    }

    /// Reads to the tagged answer of a command that was sent before, which must be OK.
    pub async fn answered(&mut self, tag: &str) -> Result<(), Failure> {
        loop {
            let line = self.line().await?;
            if let Some(rest) = line.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
                let good = rest.starts_with(b"OK");
                return if good { Ok(()) } else { Err(String::from_utf8_lossy(&line).into_owned().into()) };
            }
        }
    }

    /// A command with a large answer: bytes and lines are counted, not kept.
    pub async fn drain(&mut self, text: &str) -> Result<Drained, Failure> {
        self.tag += 1;
        let tag = format!("b{} ", self.tag);
        self.send(format!("{tag}{text}\r\n").as_bytes()).await?;
        let mut drained = Drained::default();
        loop {
            let new = &self.buffer[self.start..];
            // Nothing else is under way: the tagged line is the last of all.
            if new.ends_with(b"\r\n") {
                let body = &new[..new.len() - 2];
                let at = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                if body[at..].starts_with(tag.as_bytes()) {
                    if !body[at + tag.len()..].starts_with(b"OK") {
                        return Err(String::from_utf8_lossy(&body[at..]).into_owned().into());
                    }
                    drained.count(&new[..at]);
                    self.start = self.buffer.len();
                    return Ok(drained);
                }
            }
            // Whole lines are counted and dropped; the last, unfinished one stays.
            if new.len() > 4 * CHUNK_BYTES
                && let Some(last) = new[..new.len() - 2].iter().rposition(|byte| *byte == b'\n')
            {
                drained.count(&new[..=last]);
                self.start += last + 1;
            }
            self.fill().await?;
        }
    }

    /// A tag for a command whose bytes the caller writes.
    pub fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("b{}", self.tag)
    }
}

/// A large answer, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// Its bytes without the tagged line.
    pub bytes: usize,
    /// Lines that begin like a FETCH response.
    pub fetches: usize,
}

impl Drained {
    fn count(&mut self, lines: &[u8]) {
        self.bytes += lines.len();
        for line in lines.split(|byte| *byte == b'\n') {
            let head = &line[..line.len().min(24)];
            if head.starts_with(b"* ") && head.windows(7).any(|window| window == b" FETCH ") {
                self.fetches += 1;
            }
        }
    }
}

/// Takes any certificate: for servers whose CA is not at hand.
#[derive(Debug)]
struct Blind(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
