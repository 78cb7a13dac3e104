//! The SMTP dialogue with another MTA: greeting, EHLO, STARTTLS, AUTH, transactions, QUIT.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use memchr::memchr;
use pli_net::{ClientTls, Connection};
use pli_types::{Address, EnvelopeParameters, Ret};
use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, EXT_8BIT_MIME, EXT_CHUNKING, EXT_DSN, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8,
    EXT_START_TLS, EhloResponse,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::outcome::{Outcome, Reason, Taken};

// RFC 5321 §4.5.3.2: how long to wait for what.
const GREETING_S: u64 = 300;
const COMMAND_S: u64 = 300;
const DATA_START_S: u64 = 120;
const DATA_BLOCK_S: u64 = 180;
const DATA_END_S: u64 = 600;
const TLS_S: u64 = 60;
const QUIT_S: u64 = 5;
const RSET_S: u64 = 20;
/// For replies that change nothing any more.
const PASS_OVER_S: u64 = 5;
/// A reply of more than this is none.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// How much of a message is written at a time.
const WRITE_BYTES: usize = 64 * 1024;

/// What a transaction carries.
pub(crate) struct Envelope<'a> {
    pub(crate) reverse_path: Option<&'a Address>,
    pub(crate) forward_paths: Vec<&'a Address>,
    /// For each recipient, in order.
    pub(crate) parameters: Vec<EnvelopeParameters>,
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
    #[error("{}", .0.text)]
    Refused(Reply),
    /// TLS was offered and failed; the caller may try again without it.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// A reply came before the message had ended: it cannot be about it.
    #[error("an answer before the end of the message")]
    Early,
    /// Something demanded what the other side did not give: TLS, AUTH.
    #[error("{0}")]
    Wanting(&'static str),
    /// Bytes in the clear behind the answer to STARTTLS: somebody in between put them there.
    #[error("bytes before the TLS handshake")]
    Injected,
}

impl Reply {
    /// As received, in one line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// RFC 5321 §3.8: the service goes away.
    const fn is_closing(&self) -> bool {
        self.code == 421
    }

    const fn is_positive(&self) -> bool {
        self.code >= 200 && self.code < 300
    }

    /// RFC 5321 §4.2.1: 5yz is for good, all else but 2yz is for now.
    fn outcome(&self, host: &str) -> Outcome {
        if self.is_positive() {
            let (reply, host) = (self.text.clone(), host.to_owned());
            return Outcome::Delivered(Taken { reply, host, reports: false });
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

/// How much TLS is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Where it is offered.
    Offered,
    /// Or nothing is sent.
    Required,
    /// From the first byte.
    Implicit,
}

/// A session that has said EHLO.
pub(crate) struct Session {
    connection: Connection,
    /// Read and not used yet: replies to pipelined commands.
    buffer: Vec<u8>,
    capabilities: u32,
    mechanisms: u64,
    size_limit: usize,
    host: String,
    /// Messages so far.
    pub(crate) messages: usize,
    /// The end of a message was written and not answered: nobody knows who has it.
    pub(crate) unknown: bool,
    /// It said goodbye, or something that is no SMTP.
    pub(crate) spent: bool,
}

impl Session {
    fn over(connection: Connection, host: &str) -> Self {
        Self {
            connection,
            buffer: Vec::new(),
            capabilities: 0,
            mechanisms: 0,
            size_limit: 0,
            host: host.to_owned(),
            messages: 0,
            unknown: false,
            spent: false,
        }
    }

    /// Greeting, EHLO (or HELO), STARTTLS where wanted and offered, EHLO again.
    pub(crate) async fn open(
        connection: Connection,
        host: &str,
        helo: &str,
        tls: Option<(&ClientTls, Secrecy)>,
    ) -> Result<Self, SessionError> {
        let connection = match tls {
            Some((tls, Secrecy::Implicit)) => upgrade(connection, tls, host).await?,
            _ => connection,
        };
        let mut session = Self::over(connection, host);
        let greeting = session.reply(GREETING_S).await?;
        if !greeting.is_positive() {
            return Err(SessionError::Refused(greeting));
        }
        session.hello(helo).await?;
        let Some((tls, secrecy)) = tls.filter(|(_, secrecy)| *secrecy != Secrecy::Implicit) else { return Ok(session) };
        let required = secrecy == Secrecy::Required;
        if session.capabilities & EXT_START_TLS == 0 {
            return if required { Err(SessionError::Wanting("no STARTTLS is offered")) } else { Ok(session) };
        }
        let ready = session.command("STARTTLS", COMMAND_S).await?;
        if !ready.is_positive() {
            // RFC 3207 §4.1: offered, but not now. Opportunistic: go on in the clear.
            return if required { Err(SessionError::Wanting("STARTTLS is refused")) } else { Ok(session) };
        }
        if !session.buffer.is_empty() {
            return Err(SessionError::Injected);
        }
        // RFC 3207 §4.2: what was learnt in the clear is forgotten.
        let mut session = Self::over(upgrade(session.connection, tls, host).await?, host);
        session.hello(helo).await?;
        Ok(session)
    }

    /// RFC 4954: PLAIN, or LOGIN where that is all there is. Never in the clear.
    pub(crate) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), SessionError> {
        if self.connection.tls().is_none() {
            return Err(SessionError::Wanting("no password is sent without TLS"));
        }
        let reply = if self.mechanisms & AUTH_PLAIN != 0 {
            let word = STANDARD.encode(format!("\0{user}\0{password}"));
            self.command(&format!("AUTH PLAIN {word}"), COMMAND_S).await?
        } else if self.mechanisms & AUTH_LOGIN != 0 {
            let mut reply = self.command("AUTH LOGIN", COMMAND_S).await?;
            for word in [user, password] {
                if reply.code == 334 {
                    reply = self.command(&STANDARD.encode(word), COMMAND_S).await?;
                }
            }
            reply
        } else {
            return Err(SessionError::Wanting("no way to log in is offered that we know"));
        };
        if reply.is_positive() { Ok(()) } else { Err(SessionError::Refused(reply)) }
    }

    /// What TLS agreed on.
    pub(crate) fn tls(&self) -> Option<pli_types::TlsInfo> {
        self.connection.tls()
    }

    /// Makes it ready for another message; an error means that it is not there any more.
    pub(crate) async fn reset(&mut self) -> Result<(), SessionError> {
        let reply = self.command("RSET", RSET_S).await?;
        if reply.is_positive() && self.buffer.is_empty() { Ok(()) } else { Err(SessionError::Refused(reply)) }
    }

    async fn hello(&mut self, helo: &str) -> Result<(), SessionError> {
        self.write(format!("EHLO {helo}\r\n").as_bytes(), COMMAND_S).await?;
        let (reply, raw) = self.reply_with_bytes(COMMAND_S).await?;
        if reply.is_positive() {
            if let Ok(ehlo) = EhloResponse::parse(&mut raw.iter()) {
                self.capabilities = ehlo.capabilities;
                self.size_limit = ehlo.size;
                self.mechanisms = ehlo.auth_mechanisms;
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
        self.messages = self.messages.saturating_add(1);
        self.unknown = false;
        let sent = self.transact(envelope).await;
        // Bytes that nobody asked for: the next reply would be taken for another's.
        self.spent |= sent.is_err() || !self.buffer.is_empty();
        sent
    }

    async fn transact(&mut self, envelope: &Envelope<'_>) -> Result<Vec<Outcome>, SessionError> {
        let count = envelope.forward_paths.len();
        if let Some(reason) = self.unfit(envelope) {
            return Ok(vec![Outcome::Failed(reason); count]);
        }
        let mail = self.mail_command(envelope);
        let rcpts = self.rcpt_commands(envelope);

        let mut outcomes = Vec::with_capacity(count);
        if self.offers(EXT_PIPELINING) {
            // RFC 2920 §3.1: MAIL and all RCPT in one write. DATA waits, so that a message is never sent to nobody.
            let mut commands = mail;
            commands.extend(rcpts.iter().map(String::as_str));
            self.write(commands.as_bytes(), COMMAND_S).await?;
            let reply = self.reply(COMMAND_S).await?;
            if !reply.is_positive() {
                // The first reply is the answer: some close the connection right after it.
                self.spent |= reply.is_closing();
                self.pass_over(count).await;
                return Ok(vec![reply.outcome(&self.host); count]);
            }
            for _ in 0..count {
                outcomes.push(self.recipient().await?);
            }
        } else {
            self.write(mail.as_bytes(), COMMAND_S).await?;
            let reply = self.reply(COMMAND_S).await?;
            if !reply.is_positive() {
                self.spent |= reply.is_closing();
                return Ok(vec![reply.outcome(&self.host); count]);
            }
            for rcpt in &rcpts {
                self.write(rcpt.as_bytes(), COMMAND_S).await?;
                outcomes.push(self.recipient().await?);
            }
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))) {
            let chunked = self.offers(EXT_CHUNKING);
            let last = if chunked { self.chunk(envelope.message).await? } else { self.data(envelope.message).await? };
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Delivered(_)) {
                    *outcome = last.clone();
                }
            }
        }
        Ok(outcomes)
    }

    async fn recipient(&mut self) -> Result<Outcome, SessionError> {
        let reply = self.reply(COMMAND_S).await?;
        self.spent |= reply.is_closing();
        Ok(reply.outcome(&self.host))
    }

    /// Reads the replies to recipients that were pipelined behind a refused MAIL, so that the session can go on.
    async fn pass_over(&mut self, count: usize) {
        for _ in 0..count {
            if self.spent || self.reply(PASS_OVER_S).await.is_err() {
                self.spent = true;
            }
        }
    }

    /// What the peer cannot take, said by what it offered.
    fn unfit(&self, envelope: &Envelope<'_>) -> Option<Reason> {
        // RFC 1870 §6.4
        if self.offers(EXT_SIZE) && self.size_limit != 0 && envelope.message.len() > self.size_limit {
            let text = format!("the message is larger than the {} bytes that the other server takes", self.size_limit);
            return Some(Reason::new("5.3.4", text).at(&self.host));
        }
        // RFC 8689 §4.2.1: 5.7.30, and the message goes no further. Nobody has proved who he is here: certificates are not
        // looked at.
        if envelope.parameters.iter().any(|p| p.mail.require_tls) {
            let text = "the message demands TLS all the way, and no other server can prove itself yet (REQUIRETLS)";
            return Some(Reason::new("5.7.30", text).at(&self.host));
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
        if let Some(first) = envelope.parameters.first().filter(|_| self.offers(EXT_DSN)) {
            // RFC 3461 §4.3, §4.4
            match first.mail.ret {
                Some(Ret::Full) => command.push_str(" RET=FULL"),
                Some(Ret::Headers) => command.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = first.mail.envid.as_deref().filter(|text| is_word(text)) {
                command.push_str(&format!(" ENVID={envid}"));
            }
        }
        command.push_str("\r\n");
        command
    }

    fn rcpt_commands(&self, envelope: &Envelope<'_>) -> Vec<String> {
        let dsn = self.offers(EXT_DSN);
        let command = |(at, to): (usize, &&Address)| {
            let mut command = format!("RCPT TO:<{}>", to.wire(envelope.smtputf8));
            if let Some(parameters) = envelope.parameters.get(at).filter(|_| dsn) {
                // RFC 3461 §5.2.1: passed on as they came.
                if let Some(notify) = parameters.rcpt.notify {
                    command.push_str(&format!(" NOTIFY={}", notify.words()));
                }
                if let Some(orcpt) = parameters.rcpt.orcpt.as_deref().filter(|text| is_word(text)) {
                    command.push_str(&format!(" ORCPT={orcpt}"));
                }
            }
            command.push_str("\r\n");
            command
        };
        envelope.forward_paths.iter().enumerate().map(command).collect()
    }

    /// RFC 3030 §2: the message as it is, in one chunk.
    async fn chunk(&mut self, message: &[u8]) -> Result<Outcome, SessionError> {
        self.write(format!("BDAT {} LAST\r\n", message.len()).as_bytes(), COMMAND_S).await?;
        self.write_blocks(message).await?;
        self.last_reply().await
    }

    /// The reply to a message, which is the last word on it.
    async fn last_reply(&mut self) -> Result<Outcome, SessionError> {
        self.unknown = true;
        let reply = self.reply(DATA_END_S).await?;
        self.unknown = false;
        self.spent |= reply.is_closing();
        let mut outcome = reply.outcome(&self.host);
        if let Outcome::Delivered(taken) = &mut outcome {
            taken.reports = self.offers(EXT_DSN);
        }
        Ok(outcome)
    }

    /// Writes a message. A reply that comes before its end has been written belongs to nothing that was asked.
    async fn write_blocks(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let mut blocks = bytes.chunks(WRITE_BYTES).peekable();
        while let Some(block) = blocks.next() {
            self.look_early()?;
            // From here on it may have the whole message.
            self.unknown = blocks.peek().is_none();
            self.write(block, DATA_BLOCK_S).await?;
        }
        Ok(())
    }

    fn look_early(&mut self) -> Result<(), SessionError> {
        if self.buffer.is_empty() {
            match self.connection.read_buf(&mut self.buffer).now_or_never() {
                None => {}
                Some(Ok(0)) => return Err(SessionError::Io(io::Error::from(io::ErrorKind::UnexpectedEof))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(SessionError::Io(error)),
            }
        }
        if self.buffer.is_empty() { Ok(()) } else { Err(SessionError::Early) }
    }

    async fn data(&mut self, message: &[u8]) -> Result<Outcome, SessionError> {
        let go = self.command("DATA", DATA_START_S).await?;
        if go.code != 354 {
            return Ok(match go.outcome(&self.host) {
                // A 2yz to DATA means nothing.
                Outcome::Delivered(taken) => Outcome::Deferred(Reason::new("4.5.0", taken.reply).at(&self.host)),
                other => other,
            });
        }
        self.write_blocks(&stuff(message)).await?;
        self.last_reply().await
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

async fn upgrade(connection: Connection, tls: &ClientTls, host: &str) -> Result<Connection, SessionError> {
    match tokio::time::timeout(Duration::from_secs(TLS_S), connection.upgrade_client(tls, host)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(SessionError::Tls(error)),
        Err(_) => Err(SessionError::Tls(io::Error::from(io::ErrorKind::TimedOut))),
    }
}

/// What may stand in a command without ending it.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 500 && text.bytes().all(|byte| byte.is_ascii_graphic())
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
