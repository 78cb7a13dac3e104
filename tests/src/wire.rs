//! One connection, in the clear or over TLS, read in the protocol's own units.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a test waits for the server before it fails.
const WAIT: Duration = Duration::from_secs(20);

/// Lines longer than this are a fault of the server.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Whose units an answer is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A line with the literals in it.
    Imap,
    /// A reply of one or more lines with the same code.
    Smtp,
    /// A line.
    Lines,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

/// A connection.
pub struct Wire {
    stream: Stream,
    /// Whose units are read.
    pub dialect: Dialect,
    config: Arc<ClientConfig>,
    host: String,
    buffer: Vec<u8>,
    start: usize,
}

impl Wire {
    /// Connects to a loopback port, in the clear.
    pub fn plain(port: u16, dialect: Dialect, config: Arc<ClientConfig>, host: &str) -> Result<Self, String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| format!("connect to port {port}: {error}"))?;
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.set_write_timeout(Some(WAIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Ok(Self { stream: Stream::Plain(stream), dialect, config, host: host.to_owned(), buffer: Vec::new(), start: 0 })
    }

    /// Connects to a loopback port, over TLS.
    pub fn tls(port: u16, dialect: Dialect, config: Arc<ClientConfig>, host: &str) -> Result<Self, String> {
        let mut wire = Self::plain(port, dialect, config, host)?;
        wire.upgrade()?;
        Ok(wire)
    }

    /// Puts TLS on the connection, as after STARTTLS. Bytes that the server
    /// sent in the clear and nobody read are a fault.
    pub fn upgrade(&mut self) -> Result<(), String> {
        if self.start < self.buffer.len() {
            return Err(format!(
                "the server sent more before TLS: {:?}",
                String::from_utf8_lossy(&self.buffer[self.start..])
            ));
        }
        let Stream::Plain(mut socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err("TLS is on already, or the connection is closed".to_owned());
        };
        let name = ServerName::try_from(self.host.clone()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| format!("TLS handshake: {error}"))?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let outcome = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => return Err("send on a closed connection".to_owned()),
        };
        outcome.map_err(|error| format!("send: {error}"))
    }

    /// Keying material exported from the TLS session, as RFC 9266 §2 binds logins to it.
    pub fn binding(&self) -> [u8; 32] {
        let Stream::Tls(stream) = &self.stream else { panic!("not inside TLS") };
        stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).unwrap()
    }

    /// What has come, as it came; waits for something.
    pub fn some(&mut self) -> Vec<u8> {
        let mut bytes = self.buffer.split_off(self.start);
        self.buffer.clear();
        self.start = 0;
        if bytes.is_empty() {
            let mut space = vec![0; 1 << 16];
            let count = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut space),
                Stream::Tls(stream) => stream.read(&mut space),
                Stream::Gone => Ok(0),
            };
            bytes.extend_from_slice(&space[..count.unwrap()]);
        }
        bytes
    }

    /// Sends a line.
    pub fn line(&mut self, text: &str) -> Result<(), String> {
        self.send(format!("{text}\r\n").as_bytes())
    }

    /// The next answer without its last line end, or `None` when the server closed.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.dialect {
            Dialect::Imap => self.imap_response(),
            Dialect::Smtp => self.smtp_reply(),
            Dialect::Lines => self.raw_line(),
        }
    }

    /// Drops the connection without a word.
    pub fn close(&mut self) {
        if let Stream::Plain(socket) = &self.stream {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.stream = Stream::Gone;
        self.buffer.clear();
        self.start = 0;
    }

    /// A line, then for each literal at its end the literal and what follows.
    fn imap_response(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(mut all) = self.raw_line()? else {
            return Ok(None);
        };
        while let Some(size) = literal_size(&all) {
            all.extend_from_slice(b"\r\n");
            let literal = self.exactly(size)?;
            all.extend_from_slice(&literal);
            let rest = self.raw_line()?.ok_or("closed after a literal")?;
            all.extend_from_slice(&rest);
        }
        Ok(Some(all))
    }

    /// A reply as `code text`, its lines joined by a bare LF without their codes.
    fn smtp_reply(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut all = Vec::new();
        let mut code = Vec::new();
        loop {
            let Some(line) = self.raw_line()? else {
                return if all.is_empty() { Ok(None) } else { Err("closed within a reply".to_owned()) };
            };
            let shown = String::from_utf8_lossy(&line).into_owned();
            // RFC 5321 §4.5.3.1.5: 512 bytes with the line end.
            if line.len() > 510 {
                return Err(format!("reply line of {} bytes: {shown}", line.len()));
            }
            if line.len() < 3 || !line[..3].iter().all(u8::is_ascii_digit) {
                return Err(format!("not a reply: {shown}"));
            }
            let first = all.is_empty();
            if first {
                code = line[..3].to_vec();
                all.extend_from_slice(&code);
                all.push(b' ');
            } else if line[..3] != code[..] {
                return Err(format!("the code changes within a reply: {shown}"));
            } else {
                all.push(b'\n');
            }
            all.extend_from_slice(line.get(4..).unwrap_or_default());
            match line.get(3) {
                None | Some(b' ') => return Ok(Some(all)),
                Some(b'-') => {}
                Some(_) => return Err(format!("not a reply: {shown}")),
            }
        }
    }

    fn raw_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut looked = self.start;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let end = looked + at;
                if end == self.start || self.buffer[end - 1] != b'\r' {
                    return Err(format!(
                        "the server sent a bare LF: {:?}",
                        String::from_utf8_lossy(&self.buffer[self.start..=end])
                    ));
                }
                let line = self.buffer[self.start..end - 1].to_vec();
                self.start = end + 1;
                return Ok(Some(line));
            }
            looked = self.buffer.len();
            if looked - self.start > LINE_BYTES_MAX {
                return Err("the server's line does not end".to_owned());
            }
            let before = self.start;
            if !self.fill()? {
                return if self.start == self.buffer.len() {
                    Ok(None)
                } else {
                    Err(format!("closed within a line: {:?}", String::from_utf8_lossy(&self.buffer[self.start..])))
                };
            }
            // Filling moves what is left to the front.
            looked -= before - self.start;
        }
    }

    fn exactly(&mut self, size: usize) -> Result<Vec<u8>, String> {
        while self.buffer.len() - self.start < size {
            if !self.fill()? {
                return Err("closed within a literal".to_owned());
            }
        }
        let bytes = self.buffer[self.start..self.start + size].to_vec();
        self.start += size;
        Ok(bytes)
    }

    /// Reads some more; `false` at the end.
    fn fill(&mut self) -> Result<bool, String> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let mut chunk = [0_u8; 32 << 10];
        let outcome = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
            Stream::Gone => return Ok(false),
        };
        match outcome {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(false),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(format!("no answer in {} s", WAIT.as_secs())),
                _ => Err(format!("read: {error}")),
            },
        }
    }
}

/// The size of a literal that the line announces at its end.
fn literal_size(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|byte| *byte == b'{')?;
    let digits = std::str::from_utf8(&inner[open + 1..]).ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::literal_size;

    #[test]
    fn literals() {
        assert_eq!(literal_size(b"* 1 FETCH (BODY[] {12}"), Some(12));
        assert_eq!(literal_size(b"* 1 FETCH (BINARY[] ~{0}"), Some(0));
        assert_eq!(literal_size(b"* OK {}"), None);
        assert_eq!(literal_size(b"* OK {a}"), None);
        assert_eq!(literal_size(b"* OK"), None);
    }
}
