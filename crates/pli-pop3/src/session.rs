//! One session: RFC 1939's three states over a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_crypto::SecretString;
use pli_gate::{Answer, AuthError, Handle, Login, Refusal};
use pli_net::Connection;
use pli_sasl::{Ask, Exchange, Failure, Mechanism, Step, Terms};
use pli_store::StoreError;
use pli_types::{Action, SessionInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::command::{Command, parse};
use crate::dots::Dots;
use crate::limits::{AUTH_LINE_BYTES_MAX, LINE_BYTES_MAX, OUTPUT_BYTES_MAX, READ_BYTES};
use crate::lines::Lines;
use crate::maildrop::{Item, Maildrop, Trouble, admit, header_bytes, piece};
use crate::service::{Lock, Pop3Service};

const NO_MESSAGE: &str = "No such message";
/// For the last words and the end of TLS.
const GOODBYE: Duration = Duration::from_secs(5);
const FIRST: &str = "Log in first";

/// Why a session ends before QUIT.
enum End {
    /// It has said goodbye, or the peer is gone.
    Over,
    /// The connection does not work any more, or was too slow.
    Broken,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

type Go = Result<(), End>;

/// A session that has logged in.
struct Open {
    login: Login,
    drop: Maildrop,
    _lock: Lock,
}

#[derive(Default)]
struct Counts {
    read: u64,
    bytes: u64,
    removed: u64,
}

pub(crate) struct Session {
    service: Arc<Pop3Service>,
    connection: Connection,
    info: Arc<SessionInfo>,
    addresses: Box<[String]>,
    terms: Terms,
    handle: Arc<Handle>,
    lines: Lines,
    output: Vec<u8>,
    user: Option<String>,
    exchange: Option<Box<Exchange>>,
    /// What is said when the client has answered the error of its token.
    refusal: Option<String>,
    open: Option<Box<Open>>,
    failures: u32,
    bad: u32,
    counts: Counts,
}

impl Session {
    pub(crate) fn new(service: Arc<Pop3Service>, connection: Connection, info: Arc<SessionInfo>) -> Self {
        let addresses = connection.client_addresses();
        let terms = service.gate.terms(connection.binding(), !addresses.is_empty());
        Self {
            service,
            connection,
            info,
            addresses,
            terms,
            handle: Handle::new(),
            lines: Lines::default(),
            output: Vec::new(),
            user: None,
            exchange: None,
            refusal: None,
            open: None,
            failures: 0,
            bad: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) async fn run(mut self, shutdown: &CancellationToken) {
        let id = self.info.id;
        tracing::debug!(session = %id, peer = ?self.info.peer, "session begins");
        // No timestamp in angle brackets: APOP is not offered (RFC 1939 §7).
        self.say("+OK POP3 server ready");
        let _ = self.commands(shutdown).await;
        // Whoever hears the goodbye may come back at once: the mailbox is free by then.
        if let Some(open) = self.open.take() {
            let Counts { read, bytes, removed } = self.counts;
            let counts = [("read", read), ("bytes", bytes), ("deleted", removed)];
            self.service.gate.logout(&open.login.session, &counts);
        }
        let (output, connection) = (std::mem::take(&mut self.output), &mut self.connection);
        let _ = timeout(GOODBYE, async {
            connection.write_all(&output).await?;
            connection.shutdown().await
        })
        .await;
        tracing::debug!(session = %id, "session ends");
    }

    async fn commands(&mut self, shutdown: &CancellationToken) -> Go {
        loop {
            let max = if self.exchange.is_some() { AUTH_LINE_BYTES_MAX } else { LINE_BYTES_MAX.max(self.auth_line()) };
            match self.lines.next(max) {
                Some(Ok(line)) if self.exchange.is_some() => self.response(&line).await?,
                Some(Ok(line)) => self.line(&line).await?,
                Some(Err(_)) => {
                    self.exchange = None;
                    self.wrong("The line is too long")?;
                }
                // RFC 2449 §6.6: what was pipelined is answered together.
                None => {
                    self.flush().await?;
                    self.read(shutdown).await?;
                }
            }
            if self.output.len() > OUTPUT_BYTES_MAX {
                self.flush().await?;
            }
        }
    }

    /// Before login a command may carry an initial response, with a token.
    const fn auth_line(&self) -> usize {
        if self.open.is_none() { AUTH_LINE_BYTES_MAX } else { 0 }
    }

    // ---- the connection ----

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn wrong(&mut self, text: &str) -> Go {
        self.say(&format!("-ERR {text}"));
        self.bad += 1;
        if self.bad > self.service.config.bad_commands_max { Err(End::Over) } else { Ok(()) }
    }

    /// A reader that takes nothing is left after the time of an idle one; it holds one piece of a message until then.
    async fn flush(&mut self) -> Go {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        let (handle, limit) = (Arc::clone(&self.handle), Duration::from_secs(self.service.config.idle_timeout_s));
        handle.sent(output.len());
        let write = async {
            self.connection.write_all(&output).await?;
            self.connection.flush().await
        };
        tokio::select! {
            () = handle.ended() => Err(End::Broken),
            done = timeout(limit, write) => match done {
                Ok(done) => done.map_err(End::from),
                Err(_) => Err(End::Broken),
            },
        }
    }

    async fn read(&mut self, shutdown: &CancellationToken) -> Go {
        let config = &self.service.config;
        let limit = if self.open.is_some() { config.idle_timeout_s } else { config.login_timeout_s };
        let mut buffer = Zeroizing::new([0; READ_BYTES]);
        let handle = Arc::clone(&self.handle);
        let read = tokio::select! {
            () = handle.ended() => {
                self.output.extend_from_slice(b"-ERR [SYS/TEMP] Session ended by the administrator\r\n");
                return Err(End::Over);
            }
            () = shutdown.cancelled() => {
                self.say("-ERR [SYS/TEMP] Shutting down");
                return Err(End::Over);
            }
            // RFC 1939 §3: closed without a word, and without an update.
            read = timeout(Duration::from_secs(limit), self.connection.read(&mut buffer[..])) => read.map_err(|_| End::Broken)??,
        };
        if read == 0 {
            return Err(End::Broken);
        }
        handle.received(read);
        self.lines.push(buffer.get(..read).unwrap_or_default());
        Ok(())
    }

    // ---- commands ----

    async fn line(&mut self, line: &[u8]) -> Go {
        let command = match parse(line) {
            Ok(command) => command,
            Err(text) => return self.wrong(text),
        };
        match command {
            Command::Capa => self.capa(),
            Command::Quit => return self.quit().await,
            Command::User(_) | Command::Pass(_) | Command::Auth { .. } | Command::Mechanisms if self.open.is_some() => {
                return self.wrong("Logged in already");
            }
            Command::User(name) => {
                self.user = Some(name);
                self.say("+OK");
            }
            Command::Pass(password) => return self.pass(password).await,
            Command::Mechanisms => {
                self.say("+OK");
                for mechanism in Mechanism::offered(&self.terms) {
                    self.output.extend_from_slice(format!("{}\r\n", mechanism.name()).as_bytes());
                }
                self.say(".");
            }
            Command::Auth { mechanism, initial } => return self.auth(&mechanism, initial).await,
            Command::Noop => return if self.open.is_some() { self.done("") } else { self.wrong(FIRST) },
            Command::Stat => {
                let Some(open) = &self.open else { return self.wrong(FIRST) };
                let (count, size) = open.drop.total();
                self.say(&format!("+OK {count} {size}"));
            }
            Command::List(which) => return self.list(which, |_, item| item.size.to_string()),
            Command::Uidl(which) => return self.list(which, Maildrop::unique),
            Command::Dele(number) => {
                let Some(open) = &mut self.open else { return self.wrong(FIRST) };
                match open.drop.delete(number) {
                    Some(()) => self.say("+OK Marked"),
                    None => return self.wrong(NO_MESSAGE),
                }
            }
            Command::Rset => {
                let Some(open) = &mut self.open else { return self.wrong(FIRST) };
                open.drop.reset();
                self.say("+OK");
            }
            Command::Retr(number) => return self.send(number, None).await,
            Command::Top(number, lines) => return self.send(number, Some(lines)).await,
        }
        Ok(())
    }

    fn done(&mut self, text: &str) -> Go {
        self.say(&format!("+OK {text}"));
        Ok(())
    }

    /// RFC 2449 §5. `EXPIRE NEVER`: what is not deleted stays.
    fn capa(&mut self) {
        let names: Vec<_> = Mechanism::offered(&self.terms).map(Mechanism::name).collect();
        self.say("+OK");
        for line in ["TOP", "UIDL", "USER", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"] {
            self.say(line);
        }
        self.say(&format!("SASL {}", names.join(" ")));
        self.say(".");
    }

    fn list(&mut self, which: Option<u32>, tell: fn(&Maildrop, Item) -> String) -> Go {
        let Some(open) = &self.open else { return self.wrong(FIRST) };
        match which {
            Some(number) => match open.drop.get(number) {
                Some(item) => {
                    let line = format!("+OK {number} {}", tell(&open.drop, item));
                    self.say(&line);
                }
                None => return self.wrong(NO_MESSAGE),
            },
            None => {
                // Some 20 bytes a message, and messages are bounded.
                let mut out = Vec::from(b"+OK\r\n");
                for (number, item) in open.drop.each() {
                    out.extend_from_slice(format!("{number} {}\r\n", tell(&open.drop, item)).as_bytes());
                }
                out.extend_from_slice(b".\r\n");
                self.output.append(&mut out);
            }
        }
        Ok(())
    }

    /// RETR, and TOP with a number of lines of the body.
    async fn send(&mut self, number: u32, lines: Option<u64>) -> Go {
        let Some(open) = &self.open else { return self.wrong(FIRST) };
        let Some(item) = open.drop.get(number) else { return self.wrong(NO_MESSAGE) };
        let gate = Arc::clone(&self.service.gate);
        let (login, mailbox) = (open.login.clone(), open.drop.mailbox);
        let begin = || -> Result<_, Trouble> {
            let permit = admit(&gate, &login, Action::FetchContent, Some(mailbox))?;
            let header = if lines.is_some() { header_bytes(&gate, &permit, &login.keys, item)? } else { 0 };
            let first = piece(&gate, &permit, &login.keys, item, 0)?;
            Ok((permit, header, first))
        };
        let (permit, header, mut bytes) = match begin() {
            Ok(begun) => begun,
            Err(trouble) => {
                self.trouble(&trouble);
                return Ok(());
            }
        };
        self.say(&if lines.is_some() { String::from("+OK") } else { format!("+OK {} octets", item.size) });
        let mut top = lines.map(|lines| Top { header, lines, at: 0 });
        let mut dots = Dots::default();
        let mut at = 0_u64;
        while !bytes.is_empty() {
            at += bytes.len() as u64;
            let some = top.as_mut().map_or(&*bytes, |top| top.take(&bytes));
            dots.push(some, &mut self.output);
            self.counts.bytes += some.len() as u64;
            if top.as_ref().is_some_and(Top::is_over) {
                break;
            }
            self.flush().await?;
            // In the midst of a message there is no way to say what is wrong.
            bytes = piece(&gate, &permit, &login.keys, item, at).map_err(|trouble| {
                tracing::error!(session = %self.info.id, ?trouble, "a message broke off");
                End::Broken
            })?;
        }
        dots.finish(&mut self.output);
        self.counts.read += 1;
        Ok(())
    }

    fn trouble(&mut self, trouble: &Trouble) {
        let text = match trouble {
            Trouble::Store(StoreError::NoMessage | StoreError::NoMailbox) => "The message is gone",
            Trouble::Store(error) if error.is_damage() => "[SYS/PERM] The message is damaged and cannot be read",
            Trouble::Refused(Refusal::Suspended) => "[SYS/PERM] The account is suspended",
            Trouble::Refused(Refusal::NoRight | Refusal::Hidden) => "[SYS/PERM] You may not do this",
            Trouble::Store(_) | Trouble::Refused(_) => "[SYS/TEMP] Temporarily unavailable",
        };
        tracing::warn!(session = %self.info.id, ?trouble, "refused");
        self.say(&format!("-ERR {text}"));
    }

    /// RFC 1939 §6: what was marked is removed now, all of it in one commit, and only now.
    async fn quit(&mut self) -> Go {
        let Some(open) = &self.open else {
            self.say("+OK Goodbye");
            return Err(End::Over);
        };
        let uids = open.drop.deleted();
        if !uids.is_empty() {
            let gate = Arc::clone(&self.service.gate);
            let mailbox = open.drop.mailbox;
            let removed = match admit(&gate, &open.login, Action::Expunge, Some(mailbox)) {
                Ok(permit) => gate.store().remove(permit, mailbox, uids).await.map_err(Trouble::Store),
                Err(trouble) => Err(trouble),
            };
            match removed {
                Ok(removed) => self.counts.removed += removed.value.len() as u64,
                Err(trouble) => {
                    tracing::error!(session = %self.info.id, ?trouble, "messages were not removed");
                    self.say("-ERR [SYS/TEMP] Messages were not removed");
                    return Err(End::Over);
                }
            }
        }
        self.say("+OK Goodbye");
        Err(End::Over)
    }

    // ---- logins ----

    async fn pass(&mut self, password: SecretString) -> Go {
        // RFC 1939 §7: right after a USER.
        let Some(user) = self.user.take() else { return self.wrong("USER first") };
        self.ask(Ask::Password { user, password }).await
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<Zeroizing<Vec<u8>>>) -> Go {
        let Some(mechanism) = Mechanism::find(mechanism, &self.terms) else {
            return self.wrong("The mechanism is not known");
        };
        self.user = None;
        self.refusal = None;
        let exchange = self.exchange.insert(Box::new(Exchange::new(mechanism, self.terms)));
        match initial {
            // RFC 5034 §4: `=` is the empty response.
            Some(initial) => {
                let response: &[u8] = if initial.as_slice() == b"=" { b"" } else { &initial };
                self.response(response).await
            }
            None => {
                let step = exchange.start(None);
                self.sasl(step).await
            }
        }
    }

    /// A response of the exchange, in Base64.
    async fn response(&mut self, response: &[u8]) -> Go {
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        // RFC 5034 §4: the client gives up. The session goes on.
        if response == b"*" {
            self.exchange = None;
            return self.wrong("Authentication cancelled");
        }
        let Ok(decoded) = BASE64.decode(response).map(Zeroizing::new) else {
            self.exchange = None;
            return self.wrong("The response is not Base64");
        };
        let step = exchange.respond(&decoded);
        self.sasl(step).await
    }

    async fn sasl(&mut self, step: Step) -> Go {
        let mut step = step;
        loop {
            match step {
                Step::Challenge(challenge) => {
                    self.say(&format!("+ {}", BASE64.encode(challenge)));
                    return Ok(());
                }
                Step::Fail(failure) => {
                    self.exchange = None;
                    return self.exchange_failed(failure);
                }
                Step::Ask(ask @ Ask::Verifiers { .. }) => {
                    let answer = self.service.gate.sasl(&self.info, ask, &self.addresses).await;
                    let verifiers = match answer {
                        Ok(Answer::Verifiers(verifiers)) => Some(verifiers),
                        Ok(Answer::Login(_)) => None,
                        Err(error) => return self.refused(error).await,
                    };
                    step = match (verifiers, &mut self.exchange) {
                        (Some(verifiers), Some(exchange)) => exchange.verifiers(verifiers),
                        _ => Step::Fail(Failure::Unavailable),
                    };
                }
                Step::Ask(ask) => return self.ask(ask).await,
            }
        }
    }

    fn exchange_failed(&mut self, failure: Failure) -> Go {
        match failure {
            Failure::Syntax(text) => self.wrong(text),
            Failure::Binding => self.wrong("This kind of channel binding is not offered"),
            Failure::Credentials | Failure::OtherIdentity => {
                let text = self.refusal.take().unwrap_or_else(|| told(AuthError::Failed).to_owned());
                self.failed(&text)
            }
            Failure::Unavailable => self.failed(told(AuthError::Unavailable)),
        }
    }

    async fn ask(&mut self, ask: Ask) -> Go {
        // Checking takes its time: what was answered before need not wait.
        self.flush().await?;
        match self.service.gate.sasl(&self.info, ask, &self.addresses).await {
            Ok(Answer::Login(login)) => {
                self.exchange = None;
                self.enter(*login)
            }
            Ok(Answer::Verifiers(_)) => self.failed(told(AuthError::Unavailable)),
            Err(error) => self.refused(error).await,
        }
    }

    async fn refused(&mut self, error: AuthError) -> Go {
        // RFC 7628 §3.2.3: some mechanisms tell the client more, and it answers, before the end.
        let Some(mut exchange) = self.exchange.take() else { return self.failed(told(error)) };
        match exchange.refused() {
            Some(Step::Challenge(challenge)) => {
                self.refusal = Some(told(error).to_owned());
                self.exchange = Some(exchange);
                self.say(&format!("+ {}", BASE64.encode(challenge)));
                Ok(())
            }
            _ => self.failed(told(error)),
        }
    }

    fn failed(&mut self, text: &str) -> Go {
        self.say(&format!("-ERR {text}"));
        self.failures += 1;
        if self.failures >= self.service.config.login_failures_max { Err(End::Over) } else { Ok(()) }
    }

    fn enter(&mut self, login: Login) -> Go {
        login.presence.attach(&self.handle);
        // RFC 1939 §4: one session a mailbox; RFC 2449 §8.1.2.
        let Some(lock) = self.service.lock(login.account) else {
            self.service.gate.logout(&login.session, &[]);
            // The connection's handle goes on to whoever logs in next.
            return self.failed("[IN-USE] Another session has the mailbox open");
        };
        match Maildrop::open(&self.service.gate, &login) {
            Ok(drop) => {
                let (count, size) = drop.total();
                login.presence.set_selected(Some("INBOX"));
                self.info = Arc::clone(&login.session);
                self.open = Some(Box::new(Open { login, drop, _lock: lock }));
                self.done(&format!("{count} messages, {size} octets"))
            }
            Err(trouble) => {
                self.service.gate.logout(&login.session, &[]);
                self.trouble(&trouble);
                Ok(())
            }
        }
    }
}

/// RFC 3206: whether the credentials are wrong, or something else is.
const fn told(error: AuthError) -> &'static str {
    match error {
        AuthError::Failed => "[AUTH] Authentication failed",
        AuthError::Suspended => "[SYS/PERM] The account is suspended",
        AuthError::Slowed => "[SYS/TEMP] Too many failed logins, try again later",
        AuthError::Unavailable | AuthError::NoKeys => "[SYS/TEMP] Temporarily unavailable",
        AuthError::TooMany => "[IN-USE] Too many sessions of the account",
    }
}

/// Where TOP is: the header, then some lines of the body.
struct Top {
    header: u64,
    lines: u64,
    at: u64,
}

impl Top {
    /// How much of the next piece belongs to it.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let head = usize::try_from(self.header.saturating_sub(self.at)).unwrap_or(usize::MAX).min(bytes.len());
        let mut end = head;
        while self.lines > 0 && end < bytes.len() {
            let rest = bytes.get(end..).unwrap_or_default();
            match memchr::memchr(b'\n', rest) {
                Some(line) => {
                    end += line + 1;
                    self.lines -= 1;
                }
                None => end = bytes.len(),
            }
        }
        self.at += bytes.len() as u64;
        bytes.get(..end).unwrap_or_default()
    }
    const fn is_over(&self) -> bool {
        self.lines == 0 && self.at >= self.header
    }
}

#[cfg(test)]
mod tests {
    use super::Top;

    #[test]
    fn top_is_the_header_and_some_lines() {
        let message = b"A: b\r\n\r\none\r\ntwo\r\nthree";
        for (lines, wanted) in [(0, 8), (1, 13), (2, 18), (3, message.len()), (u64::MAX, message.len())] {
            for piece in 1..=message.len() {
                let mut top = Top { header: 8, lines, at: 0 };
                let mut out = Vec::new();
                for piece in message.chunks(piece) {
                    out.extend_from_slice(top.take(piece));
                    if top.is_over() {
                        break;
                    }
                }
                assert_eq!(out, message.get(..wanted).unwrap_or_default(), "{lines} by {piece}");
            }
        }
    }
}
