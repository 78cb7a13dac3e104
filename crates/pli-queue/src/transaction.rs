//! The SMTP dialogue with another MTA: greeting, EHLO, STARTTLS, one transaction, QUIT.

use std::io;
use std::time::Duration;

use memchr::memchr;
use pli_net::{ClientTls, Connection};
use pli_types::Address;
use smtp_proto::{EXT_8BIT_MIME, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8, EXT_START_TLS, EhloResponse};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::outcome::{Outcome, Reason};

// RFC 5321 §4.5.3.2: how long to wait for what.
const GREETING_S: u64 = 300;
const COMMAND_S: u64 = 300;
const DATA_START_S: u64 = 120;
const DATA_BLOCK_S: u64 = 180;
const DATA_END_S: u64 = 600;
const TLS_S: u64 = 60;
const QUIT_S: u64 = 5;
/// A reply of more than this is none.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// How much of a message is written at a time.
const WRITE_BYTES: usize = 64 * 1024;

/// What a transaction carries.
pub(crate) struct Envelope<'a> {
    pub(crate) reverse_path: Option<&'a Address>,
    pub(crate) forward_paths: Vec<&'a Address>,
    pub(crate) smtputf8: bool,
    pub(crate) eight_bit: bool,
    pub(crate) message: &'a [u8],
}

/// A reply, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    code: u16,
    /// As received, lines joined by a blank.
    text: String,
}

/// What ends a session early.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// The peer went away, or the network did.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It said nothing in time.
    #[error("no answer in {0} s")]
    TimeOut(u64),
    /// It said something that is no reply.
    #[error("not an SMTP reply")]
    NotSmtp,
    /// It refused, for every recipient alike.
    #[error("{0:?}")]
    Refused(Reply),
    /// TLS was offered and failed; the caller may try again without it.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// Bytes in the clear behind the answer to STARTTLS: somebody in between put them there.
    #[error("bytes before the TLS handshake")]
    Injected,
}

impl Reply {
    /// As received, in one line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    const fn is_positive(&self) -> bool {
        self.code >= 200 && self.code < 300
    }

    /// RFC 5321 §4.2.1: 5yz is for good, all else but 2yz is for now.
    fn outcome(&self, host: &str) -> Outcome {
        if self.is_positive() {
            return Outcome::Delivered(self.text.clone());
        }
        let permanent = self.code >= 500;
        let reason = Reason {
            status: self.status().unwrap_or_else(|| String::from(if permanent { "5.0.0" } else { "4.0.0" })),
            reply: Some(self.text.clone()),
            text: self.text.clone(),
            host: Some(host.to_owned()),
        };
        if permanent { Outcome::Failed(reason) } else { Outcome::Deferred(reason) }
    }

    /// RFC 2034: the enhanced code after the reply code.
    fn status(&self) -> Option<String> {
        let word = self.text.get(4..)?.split(' ').next()?;
        let mut parts = word.split('.');
        let class = parts.next()?;
        let numbers = parts.filter(|p| !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit())).count();
        (matches!(class, "2" | "4" | "5") && numbers == 2 && word.matches('.').count() == 2).then(|| word.to_owned())
    }
}

/// A session that has said EHLO.
pub(crate) struct Session {
    connection: Connection,
    /// Read and not used yet: replies to pipelined commands.
    buffer: Vec<u8>,
    capabilities: u32,
    size_limit: usize,
    host: String,
}

impl Session {
    /// Greeting, EHLO (or HELO), STARTTLS where wanted and offered, EHLO again.
    pub(crate) async fn open(
        connection: Connection,
        host: &str,
        helo: &str,
        tls: Option<&ClientTls>,
    ) -> Result<Self, SessionError> {
        let mut session =
            Self { connection, buffer: Vec::new(), capabilities: 0, size_limit: 0, host: host.to_owned() };
        let greeting = session.reply(GREETING_S).await?;
        if !greeting.is_positive() {
            return Err(SessionError::Refused(greeting));
        }
        session.hello(helo).await?;
        let Some(tls) = tls else { return Ok(session) };
        if session.capabilities & EXT_START_TLS == 0 {
            return Ok(session);
        }
        let ready = session.command("STARTTLS", COMMAND_S).await?;
        if !ready.is_positive() {
            // RFC 3207 §4.1: offered, but not now. Opportunistic: go on in the clear.
            return Ok(session);
        }
        if !session.buffer.is_empty() {
            return Err(SessionError::Injected);
        }
        let upgraded = tokio::time::timeout(Duration::from_secs(TLS_S), session.connection.upgrade_client(tls, host));
        let connection = match upgraded.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(SessionError::Tls(error)),
            Err(_) => return Err(SessionError::Tls(io::Error::from(io::ErrorKind::TimedOut))),
        };
        // RFC 3207 §4.2: what was learnt in the clear is forgotten.
        let mut session = Self { connection, buffer: Vec::new(), capabilities: 0, size_limit: 0, host: session.host };
        session.hello(helo).await?;
        Ok(session)
    }

    async fn hello(&mut self, helo: &str) -> Result<(), SessionError> {
        self.write(format!("EHLO {helo}\r\n").as_bytes(), COMMAND_S).await?;
        let (reply, raw) = self.reply_with_bytes(COMMAND_S).await?;
        if reply.is_positive() {
            if let Ok(ehlo) = EhloResponse::parse(&mut raw.iter()) {
                self.capabilities = ehlo.capabilities;
                self.size_limit = ehlo.size;
            }
            return Ok(());
        }
        // RFC 5321 §3.2: a server that does not know EHLO is greeted with HELO.
        let reply = self.command(&format!("HELO {helo}"), COMMAND_S).await?;
        if reply.is_positive() { Ok(()) } else { Err(SessionError::Refused(reply)) }
    }

    const fn offers(&self, extension: u32) -> bool {
        self.capabilities & extension != 0
    }

    /// One transaction; an outcome for each recipient, in order. An error means nothing is known to have been taken.
    pub(crate) async fn send(&mut self, envelope: &Envelope<'_>) -> Result<Vec<Outcome>, SessionError> {
        let count = envelope.forward_paths.len();
        if let Some(reason) = self.unfit(envelope) {
            return Ok(vec![Outcome::Failed(reason); count]);
        }
        let mail = self.mail_command(envelope);
        let rcpts: Vec<String> =
            envelope.forward_paths.iter().map(|to| format!("RCPT TO:<{}>\r\n", to.wire(envelope.smtputf8))).collect();

        let mut outcomes = Vec::with_capacity(count);
        if self.offers(EXT_PIPELINING) {
            // RFC 2920 §3.1: MAIL and all RCPT in one write. DATA waits, so that a message is never sent to nobody.
            let mut commands = mail;
            commands.extend(rcpts.iter().map(String::as_str));
            self.write(commands.as_bytes(), COMMAND_S).await?;
            let reply = self.reply(COMMAND_S).await?;
            if !reply.is_positive() {
                // The first reply is the answer: some close the connection right after it.
                return Ok(vec![reply.outcome(&self.host); count]);
            }
            for _ in 0..count {
                outcomes.push(self.reply(COMMAND_S).await?.outcome(&self.host));
            }
        } else {
            self.write(mail.as_bytes(), COMMAND_S).await?;
            let reply = self.reply(COMMAND_S).await?;
            if !reply.is_positive() {
                return Ok(vec![reply.outcome(&self.host); count]);
            }
            for rcpt in &rcpts {
                self.write(rcpt.as_bytes(), COMMAND_S).await?;
                outcomes.push(self.reply(COMMAND_S).await?.outcome(&self.host));
            }
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))) {
            let last = self.data(envelope.message).await?;
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Delivered(_)) {
                    *outcome = last.clone();
                }
            }
        }
        Ok(outcomes)
    }

    /// What the peer cannot take, said by what it offered.
    fn unfit(&self, envelope: &Envelope<'_>) -> Option<Reason> {
        // RFC 1870 §6.4
        if self.offers(EXT_SIZE) && self.size_limit != 0 && envelope.message.len() > self.size_limit {
            let text = format!("the message is larger than the {} bytes that the other server takes", self.size_limit);
            return Some(Reason::new("5.3.4", text).at(&self.host));
        }
        // RFC 6531 §3.2
        if envelope.smtputf8 && !self.offers(EXT_SMTP_UTF8) {
            let text = "the other server does not take international addresses";
            return Some(Reason::new("5.6.7", text).at(&self.host));
        }
        None
    }

    fn mail_command(&self, envelope: &Envelope<'_>) -> String {
        let from = envelope.reverse_path.map(|a| a.wire(envelope.smtputf8)).unwrap_or_default();
        let mut command = format!("MAIL FROM:<{from}>");
        if self.offers(EXT_SIZE) {
            command.push_str(&format!(" SIZE={}", envelope.message.len()));
        }
        // Without 8BITMIME 8-bit content is sent as it is: re-encoding would break signatures, and no MTA in use strips
        // the high bit.
        if envelope.eight_bit && self.offers(EXT_8BIT_MIME) {
            command.push_str(" BODY=8BITMIME");
        }
        if envelope.smtputf8 {
            command.push_str(" SMTPUTF8");
        }
        command.push_str("\r\n");
        command
    }

    async fn data(&mut self, message: &[u8]) -> Result<Outcome, SessionError> {
        let go = self.command("DATA", DATA_START_S).await?;
        if go.code != 354 {
            return Ok(match go.outcome(&self.host) {
                // A 2yz to DATA means nothing.
                Outcome::Delivered(text) => Outcome::Deferred(Reason::new("4.5.0", text).at(&self.host)),
                other => other,
            });
        }
        let stuffed = stuff(message);
        for block in stuffed.chunks(WRITE_BYTES) {
            self.write(block, DATA_BLOCK_S).await?;
        }
        Ok(self.reply(DATA_END_S).await?.outcome(&self.host))
    }

    /// Says goodbye; whatever comes of it changes nothing.
    pub(crate) async fn quit(mut self) {
        let _ = self.command("QUIT", QUIT_S).await;
    }

    async fn command(&mut self, line: &str, seconds: u64) -> Result<Reply, SessionError> {
        self.write(format!("{line}\r\n").as_bytes(), seconds).await?;
        self.reply(seconds).await
    }

    async fn write(&mut self, bytes: &[u8], seconds: u64) -> Result<(), SessionError> {
        let write = async {
            self.connection.write_all(bytes).await?;
            self.connection.flush().await
        };
        match tokio::time::timeout(Duration::from_secs(seconds), write).await {
            Ok(done) => done.map_err(SessionError::Io),
            Err(_) => Err(SessionError::TimeOut(seconds)),
        }
    }

    async fn reply(&mut self, seconds: u64) -> Result<Reply, SessionError> {
        self.reply_with_bytes(seconds).await.map(|(reply, _)| reply)
    }

    async fn reply_with_bytes(&mut self, seconds: u64) -> Result<(Reply, Vec<u8>), SessionError> {
        match tokio::time::timeout(Duration::from_secs(seconds), self.read_reply()).await {
            Ok(reply) => reply,
            Err(_) => Err(SessionError::TimeOut(seconds)),
        }
    }

    async fn read_reply(&mut self) -> Result<(Reply, Vec<u8>), SessionError> {
        loop {
            if let Some(end) = reply_end(&self.buffer)? {
                let rest = self.buffer.split_off(end);
                let raw = std::mem::replace(&mut self.buffer, rest);
                return Ok((parse_reply(&raw).ok_or(SessionError::NotSmtp)?, raw));
            }
            if self.buffer.len() > REPLY_BYTES_MAX {
                return Err(SessionError::NotSmtp);
            }
            if self.connection.read_buf(&mut self.buffer).await? == 0 {
                return Err(SessionError::Io(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
        }
    }
}

/// Where the first whole reply ends: after the line whose fourth byte is no hyphen.
fn reply_end(buffer: &[u8]) -> Result<Option<usize>, SessionError> {
    let mut start = 0;
    while let Some(length) = memchr(b'\n', buffer.get(start..).unwrap_or_default()) {
        let line = buffer.get(start..start + length).unwrap_or_default();
        let code = line.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit));
        if !code {
            return Err(SessionError::NotSmtp);
        }
        start += length + 1;
        if line.get(3) != Some(&b'-') {
            return Ok(Some(start));
        }
    }
    Ok(None)
}

fn parse_reply(raw: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(raw);
    let mut lines = text.lines().map(|line| line.trim_end());
    let first = lines.next()?;
    let code = first.get(..3)?.parse().ok()?;
    let mut joined = first.replacen('-', " ", usize::from(first.as_bytes().get(3) == Some(&b'-')));
    for line in lines {
        joined.push(' ');
        joined.push_str(line.get(4..).unwrap_or_default());
    }
    // What stands in rows, bounces and logs is one line of printable characters.
    let text = joined.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    (200..600).contains(&code).then_some(Reply { code, text })
}

/// RFC 5321 §4.5.2: doubles a dot that starts a line; ends with `<CRLF>.<CRLF>`.
fn stuff(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut rest = message;
    while !rest.is_empty() {
        if rest.first() == Some(&b'.') {
            out.push(b'.');
        }
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at(end);
        out.extend_from_slice(line);
        rest = tail;
    }
    if !out.ends_with(b"\r\n") && !out.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn dots_are_doubled_at_line_starts_only() {
        assert_eq!(stuff(b".a\r\nb.c\r\n..\r\n"), b"..a\r\nb.c\r\n...\r\n.\r\n");
        assert_eq!(stuff(b"no end"), b"no end\r\n.\r\n");
        assert_eq!(stuff(b""), b".\r\n");
    }

    #[test]
    fn replies_are_found_and_joined() {
        assert!(reply_end(b"250-a\r\n250").unwrap().is_none());
        assert_eq!(reply_end(b"250-a\r\n250 b\r\n354 c\r\n").unwrap(), Some(14));
        assert!(reply_end(b"HTTP/1.1 400\r\n").is_err());
        let reply = parse_reply(b"550-5.1.1 no\r\n550 5.1.1 such user\r\n").unwrap();
        assert_eq!((reply.code, reply.text.as_str()), (550, "550 5.1.1 no 5.1.1 such user"));
        assert_eq!(reply.status().as_deref(), Some("5.1.1"));
        assert_eq!(parse_reply(b"250 ok\r\n").unwrap().status(), None);
        assert!(parse_reply(b"999 x\r\n").is_none());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        let alphabet = b"0123456789-. \r\n\xffab";
        for _ in 0..50_000 {
            let length = next() % 24;
            let bytes: Vec<u8> = (0..length).map(|_| *alphabet.get(next() % alphabet.len()).unwrap()).collect();
            if let Ok(Some(end)) = reply_end(&bytes) {
                assert!(end <= bytes.len());
                let _ = parse_reply(&bytes).map(|reply| (reply.status(), reply.outcome("h")));
                let _ = EhloResponse::parse(&mut bytes.iter());
            }
        }
    }
}
