//! The connection around a [`Session`]: reads, writes, time limits, TLS, and the world's answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pli_gate::{Answer, Handle, Login};
use pli_net::Connection;
use pli_sasl::Verifiers;
use pli_types::{Actor, Protocol, SessionId, SessionInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::budget::Share;
use crate::dialogue::{Question, Session, Settings, Step};
use crate::limits::{COMMAND_READ_BYTES, READ_BYTES};
use crate::reply::Reply;
use crate::transaction::{Asker, Transaction, lost};
use crate::{Role, SmtpConfig, SmtpService};

/// Submission offers no SCRAM with channel binding: clients over GNU SASL, neomutt among them, choose it of any list, know
/// no tls-exporter, and then do not send at all. IMAP offers it.
const NO_BINDING: Option<[u8; 32]> = None;

/// How a session came to its end.
type End = Result<(), io::Error>;

pub(crate) async fn serve(service: &SmtpService, connection: Connection, role: Role, shutdown: &CancellationToken) {
    let mut shell = Shell::new(service, connection, role);
    let id = shell.info.id;
    debug!(session = %id, peer = ?shell.info.peer, ?role, "session begins");
    // A peer that goes away in the middle is no error of ours.
    match shell.run(shutdown).await {
        Ok(()) => debug!(session = %id, messages = shell.messages, "session ends"),
        Err(error) => debug!(session = %id, messages = shell.messages, %error, "session broke off"),
    }
    if let Some(login) = &shell.login {
        service.gate.logout(&login.session, &[("messages", shell.messages)]);
    }
}

struct Shell<'a> {
    service: &'a SmtpService,
    config: Arc<SmtpConfig>,
    role: Role,
    /// `None` only while TLS begins.
    connection: Option<Connection>,
    session: Session,
    info: Arc<SessionInfo>,
    login: Option<Login>,
    transaction: Option<Transaction>,
    share: Share,
    buffer: Vec<u8>,
    messages: u64,
    /// The part that others may reach.
    handle: Arc<Handle>,
    /// The addresses in the certificate that the client showed.
    addresses: Box<[String]>,
}

/// What a read brought.
enum Read {
    Bytes,
    Closed,
    TimedOut,
    Shutdown,
    Ended,
}

/// What a question led to.
enum Answered {
    Reply(Reply),
    Verifiers(Verifiers),
}

impl<'a> Shell<'a> {
    fn new(service: &'a SmtpService, connection: Connection, role: Role) -> Self {
        let config = service.config();
        let tls = connection.tls();
        // A server in front (LMTP) and users behind one address of a school are many; a stranger on port 25 is one.
        let share = match role {
            Role::Mx => {
                let message = config.message_bytes_max.saturating_add(2 * READ_BYTES as u64);
                service.budget.share_of(connection.peer().ip(), message)
            }
            Role::Submission | Role::Submissions | Role::Lmtp => service.budget.share(),
        };
        let mut session = Session::new(Settings {
            role,
            hostname: service.hostname.clone(),
            message_bytes_max: config.message_bytes_max,
            recipients_max: if role.is_submission() { config.submission_recipients_max } else { config.recipients_max },
            bad_commands_max: config.bad_commands_max,
            login_failures_max: config.login_failures_max,
            starttls: tls.is_none(),
            tls: tls.is_some(),
            future_release: (
                config.future_release_max_s,
                service.clock.now().plus_ms(i64::from(config.future_release_max_s) * 1000),
            ),
        });
        let addresses = connection.client_addresses();
        session.set_terms(service.gate.terms(NO_BINDING, !addresses.is_empty()));
        let info = Arc::new(SessionInfo {
            id: SessionId(service.random.next_u64()),
            protocol: match role {
                Role::Mx => Protocol::Smtp,
                Role::Submission | Role::Submissions => Protocol::Submission,
                Role::Lmtp => Protocol::Lmtp,
            },
            peer: Some(connection.peer()),
            tls,
            client: None,
            actor: Actor::Anonymous,
        });
        Self {
            service,
            config,
            role,
            connection: Some(connection),
            session,
            info,
            login: None,
            transaction: None,
            share,
            buffer: Vec::new(),
            messages: 0,
            handle: Handle::new(),
            addresses,
        }
    }

    async fn run(&mut self, shutdown: &CancellationToken) -> End {
        // Set when a message begins, until its last byte is no more held: slow senders are given time, but not for ever,
        // and a chunk (BDAT) that no other follows holds memory as well.
        let mut message_began: Option<Duration> = None;
        loop {
            match self.session.poll() {
                Step::Input => {
                    self.flush().await?;
                    let open = self.session.receiving() || self.session.held_bytes() > 0;
                    message_began =
                        message_began.filter(|_| open).or_else(|| open.then(|| self.service.clock.monotonic()));
                    if !self.session.receiving() {
                        // A message that was given up (RSET, a chunk refused) gives its room back.
                        self.share.resize(self.session.held_bytes() as u64);
                    }
                    match self.read(message_began, shutdown).await? {
                        Read::Bytes => {}
                        Read::Closed => return Ok(()),
                        // RFC 5321 §3.8: 421 before we close on our own account.
                        Read::TimedOut => self.say_last("4.4.2", "timeout"),
                        Read::Shutdown => self.say_last("4.3.2", "shutting down"),
                        Read::Ended => self.say_last("4.3.2", "session ended by the administrator"),
                    }
                }
                Step::Ask(question) => {
                    // What is answered already need not wait for a slow answer.
                    if matches!(question, Question::Login(_) | Question::Message { .. }) {
                        self.flush().await?;
                    }
                    match self.ask(question).await {
                        Answered::Reply(reply) => self.session.answer(reply),
                        Answered::Verifiers(verifiers) => self.session.answer_verifiers(verifiers),
                    }
                }
                Step::StartTls => self.start_tls(shutdown).await?,
                Step::Close => {
                    self.flush().await?;
                    return self.close().await;
                }
            }
        }
    }

    fn say_last(&mut self, enhanced: &'static str, text: &str) {
        let text = format!("{} {text}, closing the connection", self.service.hostname);
        self.session.end(&Reply::new(421, enhanced, text));
    }

    fn connection(&mut self) -> io::Result<&mut Connection> {
        self.connection.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// Everything that waits in one write. RFC 2920 §3.2.
    async fn flush(&mut self) -> End {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let limit = Duration::from_secs(self.config.command_timeout_s);
        self.handle.sent(output.len());
        let connection = self.connection()?;
        let write = async {
            connection.write_all(&output).await?;
            connection.flush().await
        };
        timeout(limit, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn close(&mut self) -> End {
        let connection = self.connection()?;
        // The peer may have more to say; it is not waited for.
        match timeout(Duration::from_secs(5), connection.shutdown()).await {
            Ok(done) => done,
            Err(_) => Ok(()),
        }
    }

    async fn read(&mut self, message_began: Option<Duration>, shutdown: &CancellationToken) -> io::Result<Read> {
        let mut limit = Duration::from_secs(self.config.command_timeout_s);
        if let Some(began) = message_began {
            let spent = self.service.clock.monotonic().saturating_sub(began);
            let left = Duration::from_secs(self.config.message_timeout_s).saturating_sub(spent);
            limit = Duration::from_secs(self.config.data_timeout_s).min(left);
        }
        if limit.is_zero() && message_began.is_some() {
            return Ok(Read::TimedOut);
        }
        let receiving = self.session.receiving();
        // Between messages a session keeps a small buffer only.
        let room = if receiving { READ_BYTES } else { COMMAND_READ_BYTES };
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() != room {
            buffer = vec![0; room];
        }
        let handle = Arc::clone(&self.handle);
        let connection = self.connection()?;
        let outcome = tokio::select! {
            () = handle.ended() => return Ok(Read::Ended),
            // A message that is on its way is taken to its end.
            () = shutdown.cancelled(), if !receiving => return Ok(Read::Shutdown),
            outcome = timeout(limit, connection.read(&mut buffer)) => outcome,
        };
        let Ok(read) = outcome else { return Ok(Read::TimedOut) };
        let count = read?;
        if count == 0 {
            return Ok(Read::Closed);
        }
        handle.received(count);
        self.session.receive(buffer.get(..count).unwrap_or_default());
        self.buffer = buffer;
        if receiving {
            self.account_for_memory();
        }
        Ok(Read::Bytes)
    }

    /// The message and the bytes that wait to become part of it are within the budget, or the message is refused.
    fn account_for_memory(&mut self) {
        let held = self.session.held_bytes() + READ_BYTES;
        if !self.share.resize(held as u64) {
            info!(session = %self.info.id, "no memory for a message");
            self.session.refuse_message(Reply::new(452, "4.3.1", "Too many messages at once, try again later"));
            self.share.resize(0);
        }
    }

    async fn start_tls(&mut self, shutdown: &CancellationToken) -> End {
        self.flush().await?;
        let Some(connection) = self.connection.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        // Some large senders fail on session tickets (clients.md); programs of users gain from them.
        let tls = &self.service.tls;
        let acceptor = if self.role.is_submission() { tls.acceptor() } else { tls.acceptor_without_tickets() };
        let limit = Duration::from_secs(self.config.command_timeout_s);
        let connection = tokio::select! {
            () = shutdown.cancelled() => return Err(io::ErrorKind::Interrupted.into()),
            upgraded = timeout(limit, connection.upgrade(&acceptor)) =>
                upgraded.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?,
        };
        self.info = Arc::new(SessionInfo { tls: connection.tls(), client: None, ..SessionInfo::clone(&self.info) });
        self.addresses = connection.client_addresses();
        self.session.set_terms(self.service.gate.terms(NO_BINDING, !self.addresses.is_empty()));
        self.connection = Some(connection);
        self.transaction = None;
        self.session.tls_started();
        Ok(())
    }

    async fn ask(&mut self, question: Question) -> Answered {
        self.note_client();
        let asker = Asker {
            service: self.service,
            role: self.role,
            session: &self.info,
            login: self.login.as_ref(),
            esmtp: self.session.esmtp(),
        };
        let reply = match question {
            Question::Sender(from) => match asker.sender(&from) {
                Ok((transaction, reply)) => {
                    self.transaction = Some(transaction);
                    reply
                }
                Err(reply) => reply,
            },
            Question::Recipient { path, parameters } => match &mut self.transaction {
                Some(transaction) => asker.recipient(transaction, path, parameters).unwrap_or_else(|reply| reply),
                None => lost(),
            },
            Question::Message { from, body } => {
                let id = format!("{}.{}", self.info.id, self.messages + 1);
                let Some(transaction) = self.transaction.take() else { return Answered::Reply(lost()) };
                let reply = asker.deliver(transaction, from, body, &id).await;
                self.messages += 1;
                self.share.resize(0);
                reply
            }
            Question::Login(ask) => match asker.login(ask, &self.addresses).await {
                Ok(Answer::Verifiers(verifiers)) => return Answered::Verifiers(verifiers),
                Ok(Answer::Login(login)) => {
                    if let Some(max) = asker.recipients_max(&login) {
                        self.session.limit_recipients(max);
                    }
                    login.presence.attach(&self.handle);
                    self.info = Arc::clone(&login.session);
                    self.login = Some(*login);
                    Reply::new(235, "2.7.0", "Authentication successful")
                }
                Err(reply) => reply,
            },
        };
        Answered::Reply(reply)
    }

    /// The gate's picture of the session gets the name of EHLO.
    fn note_client(&mut self) {
        if self.session.client() != self.info.client.as_deref() {
            let client = self.session.client().map(str::to_owned);
            self.info = Arc::new(SessionInfo { client, ..SessionInfo::clone(&self.info) });
        }
    }
}
