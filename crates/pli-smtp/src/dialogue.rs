//! A session as a pure state machine: [`Session::receive`] takes bytes, [`Session::poll`] says what is to be done next,
//! [`Session::answer`] takes what the world said. No sockets, no clock, no store.
//!
//! Invariants:
//! - any split of the same input gives the same replies and the same questions;
//! - while a question is open no input is looked at, so that replies leave in the order of commands (RFC 2920 §3.2);
//! - nothing that was received in the clear is looked at after STARTTLS (RFC 3207 §4.2).

mod auth;

use memchr::memchr;
use pli_sasl::{Ask, Exchange, Mechanism, Terms, Verifiers};
use pli_types::{RcptParameters, UnixMillis};
use zeroize::Zeroize;

use crate::Role;
use crate::command::{Command, MailFrom, parse};
use crate::data::{DataDecoder, Inspector};
use crate::extension::{Circumstances, Extension, is_offered, offered};
use crate::limits::{AUTH_LINE_BYTES_MAX, DISCARD_FACTOR, IDLE_BYTES_MAX, LINE_BYTES_MAX, REFUSED_RECIPIENTS_MAX};
use crate::path::ForwardPath;
use crate::reply::Reply;

/// What a session is set up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The door.
    pub role: Role,
    /// What the server is called.
    pub hostname: String,
    /// As SIZE announces it.
    pub message_bytes_max: u64,
    /// Recipients of one message.
    pub recipients_max: u32,
    /// Bad commands before the end.
    pub bad_commands_max: u32,
    /// Failed logins before the end.
    pub login_failures_max: u32,
    /// Whether STARTTLS can be done.
    pub starttls: bool,
    /// Whether the session is inside TLS from the start.
    pub tls: bool,
    /// How long a submitted message may be told to wait, in seconds, and until when that is. RFC 4865 §3.
    pub future_release: (u32, UnixMillis),
}

/// What is to be done next. Before anything else, [`Session::take_output`] is sent.
#[derive(Debug)]
pub enum Step {
    /// More bytes are needed.
    Input,
    /// The world is asked; go on with [`Session::answer`].
    Ask(Question),
    /// The server side of a TLS handshake is to be run, then [`Session::tls_started`].
    StartTls,
    /// The connection is to be closed.
    Close,
}

/// What the core cannot know. A positive answer goes on, a negative one is the reply as it stands.
#[derive(Debug)]
pub enum Question {
    /// May mail from this sender be taken? A new transaction begins.
    Sender(MailFrom),
    /// May this recipient be added?
    Recipient {
        /// To whom.
        path: ForwardPath,
        /// What RCPT says of it.
        parameters: RcptParameters,
    },
    /// What a SASL exchange asks. [`Ask::Verifiers`] is answered with [`Session::answer_verifiers`], if not refused.
    Login(Ask),
    /// The message is whole; it is to be delivered. The transaction ends.
    Message {
        /// What MAIL said.
        from: MailFrom,
        /// Content without dot-stuffing.
        body: Vec<u8>,
    },
}

/// What is known of a transaction.
#[derive(Debug, Default)]
struct Transaction {
    from: MailFrom,
    accepted: u32,
    refused: u32,
    body: Vec<u8>,
    inspector: Inspector,
    /// Why the message is refused at its end, whatever else comes.
    failed: Option<Reply>,
    /// Bytes that came and were not kept.
    discarded: u64,
    /// BDAT has begun: DATA is not possible any more (RFC 3030 §2).
    chunked: bool,
}

#[derive(Debug)]
enum Phase {
    /// No EHLO yet (or TLS has just begun).
    Start,
    /// Greeted, no transaction.
    Ready,
    /// MAIL was accepted.
    Mail(Box<Transaction>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Sender,
    Recipient,
    Login,
    Message { recipients: u32 },
}

#[derive(Debug)]
enum Mode {
    Command,
    Sasl,
    Data(DataDecoder),
    Chunk {
        left: u64,
        bytes: u64,
        last: bool,
    },
    /// A chunk that does not count; its reply is kept.
    SkipChunk {
        left: u64,
        reply: Reply,
    },
    Asked(Asked),
    Closed,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    phase: Phase,
    mode: Mode,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A line that is too long is being thrown away up to its end.
    skipping_line: bool,
    tls: bool,
    authenticated: bool,
    esmtp: bool,
    client: Option<String>,
    bad_commands: u32,
    refused_recipients: u32,
    login_failures: u32,
    /// What the open question is about.
    pending: Option<Pending>,
    /// What the connection allows of AUTH.
    terms: Terms,
    /// The exchange of AUTH that is under way.
    exchange: Option<Box<Exchange>>,
    /// How it ends when the client has heard why.
    refusal: Option<Reply>,
}

#[derive(Debug)]
enum Pending {
    From(MailFrom),
}

impl Session {
    /// A session with its greeting ready to be sent. RFC 5321 §4.3.1.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let name = if settings.role == Role::Lmtp { "LMTP" } else { "ESMTP" };
        let greeting = Reply::new(220, "", format!("{} {name} Pli", settings.hostname));
        let tls = settings.tls;
        let mut session = Self {
            settings,
            phase: Phase::Start,
            mode: Mode::Command,
            input: Vec::new(),
            output: Vec::new(),
            skipping_line: false,
            tls,
            authenticated: false,
            esmtp: false,
            client: None,
            bad_commands: 0,
            refused_recipients: 0,
            login_failures: 0,
            pending: None,
            terms: Terms::default(),
            exchange: None,
            refusal: None,
        };
        session.say(&greeting);
        session
    }

    // ---- getters ----

    /// EHLO's or HELO's name.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }
    /// Whether the peer said EHLO (or LHLO).
    #[must_use]
    pub const fn esmtp(&self) -> bool {
        self.esmtp
    }
    /// Whether message content is awaited.
    #[must_use]
    pub const fn receiving(&self) -> bool {
        matches!(self.mode, Mode::Data(_) | Mode::Chunk { .. } | Mode::SkipChunk { .. })
    }
    /// Bytes of the message that is being received, for the budget.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        match &self.phase {
            Phase::Mail(transaction) => transaction.body.len(),
            Phase::Start | Phase::Ready => 0,
        }
    }

    // ---- from the world ----

    /// Bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.mode, Mode::Closed) {
            self.input.extend_from_slice(bytes);
        }
    }
    /// The answer to the question that [`Session::poll`] asked.
    pub fn answer(&mut self, reply: Reply) {
        let Mode::Asked(asked) = self.mode else { return };
        self.mode = Mode::Command;
        let pending = self.pending.take();
        match asked {
            Asked::Sender => {
                if reply.is_positive() {
                    let Some(Pending::From(from)) = pending else { return };
                    self.phase = Phase::Mail(Box::new(Transaction { from, ..Transaction::default() }));
                }
                self.say(&reply);
            }
            Asked::Recipient => self.recipient_answered(&reply),
            Asked::Login => self.login_answered(reply),
            Asked::Message { recipients } => {
                // RFC 2033 §4.2: one reply for each recipient that was accepted.
                let times = if self.settings.role == Role::Lmtp { recipients } else { 1 };
                for _ in 0..times {
                    self.say(&reply);
                }
            }
        }
    }
    /// The answer to [`Ask::Verifiers`].
    pub fn answer_verifiers(&mut self, verifiers: Verifiers) {
        let Mode::Asked(Asked::Login) = self.mode else { return };
        self.mode = Mode::Command;
        if let Some(exchange) = &mut self.exchange {
            let step = exchange.verifiers(verifiers);
            // Nothing is asked here: the client's proof comes first.
            let _ = self.sasl(step);
        }
    }
    /// What the connection allows of AUTH; set before the first bytes, and again after STARTTLS.
    pub const fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }
    /// TLS has begun: everything learnt before is forgotten. RFC 3207 §4.2.
    pub fn tls_started(&mut self) {
        self.input.clear();
        self.phase = Phase::Start;
        self.mode = Mode::Command;
        self.tls = true;
        self.client = None;
        self.esmtp = false;
    }
    /// The message that is being received is refused at its end, for a reason from outside (no memory for it).
    pub fn refuse_message(&mut self, reply: Reply) {
        if let Phase::Mail(transaction) = &mut self.phase {
            transaction.refuse(reply);
        }
    }
    /// A smaller limit of recipients (of the profile of whoever logged in).
    pub fn limit_recipients(&mut self, max: u32) {
        self.settings.recipients_max = self.settings.recipients_max.min(max);
    }
    /// Says a last word and ends (shutdown, timeout).
    pub fn end(&mut self, reply: &Reply) {
        self.say(reply);
        self.mode = Mode::Closed;
    }

    // ---- to the world ----

    /// Replies that are to be sent, in order.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
    /// What is to be done next.
    pub fn poll(&mut self) -> Step {
        loop {
            match &mut self.mode {
                Mode::Closed => return Step::Close,
                // The shell must answer first.
                Mode::Asked(_) => return Step::Input,
                Mode::Command | Mode::Sasl => {
                    let Some(line) = self.take_line() else { return self.want_input() };
                    if let Some(step) = self.line(line) {
                        return step;
                    }
                }
                Mode::Data(decoder) => {
                    let mut decoder = *decoder;
                    let ended = self.take_data(&mut decoder);
                    if self.discarding_too_much() {
                        return self.give_up();
                    }
                    if !ended {
                        self.mode = Mode::Data(decoder);
                        return self.want_input();
                    }
                    if let Some(step) = self.message_ended() {
                        return step;
                    }
                }
                Mode::Chunk { .. } | Mode::SkipChunk { .. } => {
                    if !self.take_chunk() {
                        return self.want_input();
                    }
                    if let Some(step) = self.chunk_ended() {
                        return step;
                    }
                }
            }
        }
    }

    // ---- lines ----

    fn want_input(&mut self) -> Step {
        if self.input.is_empty() && self.input.capacity() > IDLE_BYTES_MAX && !self.receiving() {
            self.input = Vec::new();
        }
        Step::Input
    }

    fn line_limit(&self) -> usize {
        let auth = matches!(self.mode, Mode::Sasl)
            || self.input.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        if auth && self.settings.role.is_submission() { AUTH_LINE_BYTES_MAX } else { LINE_BYTES_MAX }
    }

    /// The next line without its CRLF, or why it is none. Lines end at LF for this purpose, and one without CR is
    /// refused: a peer that sends such lines is told at once instead of being waited for.
    fn take_line(&mut self) -> Option<Result<Vec<u8>, Reply>> {
        let limit = self.line_limit();
        let Some(lf) = memchr(b'\n', &self.input) else {
            if self.skipping_line || self.input.len() > limit {
                self.skipping_line = true;
                self.input.clear();
            }
            return None;
        };
        let mut line: Vec<u8> = self.input.drain(..=lf).collect();
        let too_long = std::mem::take(&mut self.skipping_line) || line.len() > limit;
        if too_long {
            let code = if matches!(self.mode, Mode::Sasl) { "5.5.6" } else { "5.5.2" };
            return Some(Err(Reply::new(500, code, "Line too long")));
        }
        line.pop();
        // RFC 5321 §2.3.8: CR and LF only together, as the end of a line.
        if line.pop() != Some(b'\r') || memchr(b'\r', &line).is_some() {
            return Some(Err(Reply::new(500, "5.5.2", "Lines end with CRLF, and hold neither CR nor LF")));
        }
        Some(Ok(line))
    }

    fn line(&mut self, line: Result<Vec<u8>, Reply>) -> Option<Step> {
        let mode = std::mem::replace(&mut self.mode, Mode::Command);
        match (line, mode) {
            (Ok(mut line), Mode::Sasl) => {
                let step = self.response(&line);
                line.zeroize();
                step
            }
            (Ok(mut line), _) => {
                let command = parse(&line);
                line.zeroize();
                match command {
                    Ok(command) => self.command(command),
                    Err(reply) => self.bad(&reply),
                }
            }
            (Err(reply), _) => self.bad(&reply),
        }
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }
    fn done(&mut self, code: u16, enhanced: &'static str, text: &str) -> Option<Step> {
        self.say(&Reply::new(code, enhanced, text));
        None
    }
    /// A command that was wrong; too many of them end the session.
    fn bad(&mut self, reply: &Reply) -> Option<Step> {
        self.say(reply);
        self.bad_commands += 1;
        if self.bad_commands > self.settings.bad_commands_max {
            self.end(&Reply::new(421, "4.7.0", "Too many errors"));
        }
        None
    }
    fn out_of_order(&mut self, text: &str) -> Option<Step> {
        self.bad(&Reply::new(503, "5.5.1", text))
    }
    fn ask(&mut self, asked: Asked, question: Question) -> Option<Step> {
        self.mode = Mode::Asked(asked);
        Some(Step::Ask(question))
    }

    // ---- commands ----

    fn command(&mut self, command: Command) -> Option<Step> {
        match command {
            Command::Ehlo { name, lmtp } if lmtp == (self.settings.role == Role::Lmtp) => self.ehlo(name),
            Command::Ehlo { .. } => self.bad(&Reply::new(500, "5.5.1", "Command not recognised here")),
            Command::Helo(_) if self.settings.role == Role::Lmtp => {
                self.bad(&Reply::new(500, "5.5.1", "Command not recognised here"))
            }
            Command::Helo(name) => self.helo(name),
            Command::Mail(from) => self.mail(from),
            Command::Rcpt { path, non_ascii, parameters, extensions } => {
                self.rcpt(path, non_ascii, parameters, &extensions)
            }
            Command::Data => self.data(),
            Command::Bdat { bytes, last } => self.bdat(bytes, last),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial),
            Command::StartTls => self.starttls(),
            Command::Rset => {
                self.end_transaction();
                self.done(250, "2.0.0", "OK")
            }
            Command::Noop => self.done(250, "2.0.0", "OK"),
            // RFC 5321 §3.5.3 and §7.3: who is here is not told.
            Command::Vrfy => {
                self.done(252, "2.1.5", "Cannot verify, but will accept the message and try to deliver it")
            }
            Command::Expn => self.bad(&Reply::new(502, "5.5.1", "Command not implemented")),
            Command::Help => self.done(214, "2.0.0", "RFC 5321"),
            Command::Quit => {
                self.end(&Reply::new(221, "2.0.0", "Goodbye"));
                None
            }
        }
    }

    fn end_transaction(&mut self) {
        if matches!(self.phase, Phase::Mail(_)) {
            self.phase = Phase::Ready;
        }
    }

    fn greeted(&mut self, name: String, esmtp: bool) {
        // RFC 5321 §4.1.4: EHLO in the middle of a transaction ends it.
        self.phase = Phase::Ready;
        self.client = Some(name);
        self.esmtp = esmtp;
    }

    fn helo(&mut self, name: String) -> Option<Step> {
        self.greeted(name, false);
        let hostname = self.settings.hostname.clone();
        self.done(250, "", &hostname)
    }

    fn ehlo(&mut self, name: String) -> Option<Step> {
        self.greeted(name, true);
        let mut lines = vec![self.settings.hostname.clone()];
        for (extension, keyword) in offered(self.circumstances()) {
            let value = self.extension_value(extension);
            lines.push(if value.is_empty() { keyword.to_owned() } else { format!("{keyword} {value}") });
        }
        self.say(&Reply { code: 250, enhanced: "", lines });
        None
    }

    const fn circumstances(&self) -> Circumstances {
        let Settings { role, starttls, .. } = self.settings;
        Circumstances { role, tls: self.tls, starttls, authenticated: self.authenticated }
    }

    /// What follows the keyword in EHLO's reply.
    fn extension_value(&self, extension: Extension) -> String {
        let settings = &self.settings;
        match extension {
            Extension::Size => settings.message_bytes_max.to_string(),
            // RFC 9422 §4
            Extension::Limits => format!("RCPTMAX={}", settings.recipients_max),
            Extension::FutureRelease => {
                let (seconds, until) = settings.future_release;
                let until = chrono::DateTime::from_timestamp(until.secs(), 0).unwrap_or_default();
                format!("{seconds} {}", until.format("%Y-%m-%dT%H:%M:%SZ"))
            }
            // RFC 4954 §4 and §9: no mechanism with a plain password outside TLS.
            Extension::Auth => Mechanism::offered(&self.terms).map(Mechanism::name).collect::<Vec<_>>().join(" "),
            _ => String::new(),
        }
    }

    /// RFC 5321 §4.1.1.11: a parameter of an extension that is not offered is not known.
    fn not_offered(&self, used: &[Extension]) -> Option<Reply> {
        let at = self.circumstances();
        let known = used.iter().all(|extension| is_offered(*extension, at));
        (!known).then(|| Reply::new(555, "5.5.4", "A parameter is of an extension that is not offered here"))
    }

    fn starttls(&mut self) -> Option<Step> {
        if self.tls {
            return self.out_of_order("TLS is on already");
        }
        if !self.settings.starttls {
            return self.bad(&Reply::new(502, "5.5.1", "STARTTLS is not offered"));
        }
        self.say(&Reply::new(220, "2.0.0", "Ready to start TLS"));
        // RFC 3207 §4.2, and the injection of commands that servers were once open to: what was pipelined after STARTTLS
        // came in the clear and must not be taken for something said inside TLS.
        self.input.clear();
        self.end_transaction();
        Some(Step::StartTls)
    }

    /// Whether mail may be spoken of at all, or the reply that says what is missing first.
    fn missing_first(&self) -> Option<Reply> {
        if self.settings.role.is_submission() {
            if !self.tls {
                return Some(Reply::new(530, "5.7.0", "Must issue a STARTTLS command first"));
            }
            if matches!(self.phase, Phase::Start) {
                return Some(Reply::new(503, "5.5.1", "EHLO first"));
            }
            if !self.authenticated {
                return Some(Reply::new(530, "5.7.0", "Authentication required"));
            }
        }
        matches!(self.phase, Phase::Start).then(|| Reply::new(503, "5.5.1", "EHLO first"))
    }

    fn mail(&mut self, from: MailFrom) -> Option<Step> {
        if let Some(reply) = self.missing_first() {
            return self.bad(&reply);
        }
        if matches!(self.phase, Phase::Mail(_)) {
            return self.out_of_order("A transaction is open already");
        }
        if let Some(reply) = self.not_offered(&from.extensions) {
            return self.bad(&reply);
        }
        // RFC 1870 §6.1
        if from.size.is_some_and(|size| size > self.settings.message_bytes_max) {
            return self.done(552, "5.3.4", "The message is larger than this server takes");
        }
        // RFC 6531 §3.5
        if from.non_ascii && !from.smtputf8 {
            return self.done(553, "5.6.7", "An address outside ASCII needs SMTPUTF8");
        }
        self.pending = Some(Pending::From(from.clone()));
        self.ask(Asked::Sender, Question::Sender(from))
    }

    fn rcpt(
        &mut self,
        path: ForwardPath,
        non_ascii: bool,
        parameters: RcptParameters,
        used: &[Extension],
    ) -> Option<Step> {
        if let Some(reply) = self.missing_first().or_else(|| self.not_offered(used)) {
            return self.bad(&reply);
        }
        let max = self.settings.recipients_max;
        let Phase::Mail(transaction) = &self.phase else { return self.out_of_order("MAIL first") };
        if transaction.chunked {
            return self.out_of_order("The message has begun");
        }
        if transaction.accepted >= max {
            return self.done(452, "4.5.3", "Too many recipients");
        }
        if non_ascii && !transaction.from.smtputf8 {
            return self.done(553, "5.6.7", "An address outside ASCII needs SMTPUTF8");
        }
        self.ask(Asked::Recipient, Question::Recipient { path, parameters })
    }

    fn recipient_answered(&mut self, reply: &Reply) {
        self.say(reply);
        let Phase::Mail(transaction) = &mut self.phase else { return };
        if reply.is_positive() {
            transaction.accepted += 1;
            return;
        }
        transaction.refused += 1;
        self.refused_recipients += 1;
        if self.refused_recipients >= REFUSED_RECIPIENTS_MAX {
            // Somebody guesses addresses.
            self.end(&Reply::new(421, "4.7.0", "Too many recipients that are not known here"));
        }
    }

    /// Why a message cannot begin now, if so. RFC 5321 §3.3, RFC 2920 §3.1.
    fn no_message_now(&self, chunk: bool) -> Option<Reply> {
        if let Some(reply) = self.missing_first() {
            return Some(reply);
        }
        match &self.phase {
            Phase::Mail(t) if t.accepted == 0 && t.refused > 0 => Some(Reply::new(554, "5.5.1", "No valid recipients")),
            Phase::Mail(t) if t.accepted == 0 => Some(Reply::new(503, "5.5.1", "RCPT first")),
            // RFC 3030 §2: DATA and BDAT do not mix.
            Phase::Mail(t) if t.chunked && !chunk => Some(Reply::new(503, "5.5.1", "BDAT has begun")),
            // RFC 3030 §3: no end can be found in content of any bytes.
            Phase::Mail(t) if t.from.binary && !chunk => Some(Reply::new(503, "5.5.1", "BINARYMIME needs BDAT")),
            Phase::Mail(_) => None,
            Phase::Start | Phase::Ready => Some(Reply::new(503, "5.5.1", "MAIL first")),
        }
    }

    fn data(&mut self) -> Option<Step> {
        if let Some(reply) = self.no_message_now(false) {
            return self.bad(&reply);
        }
        self.mode = Mode::Data(DataDecoder::new());
        self.done(354, "", "End data with <CR><LF>.<CR><LF>")
    }

    fn bdat(&mut self, bytes: u64, last: bool) -> Option<Step> {
        let max = self.settings.message_bytes_max;
        if bytes > max.saturating_mul(DISCARD_FACTOR) {
            // The octets that follow cannot be told from commands unless all are read, and these are too many.
            self.end(&Reply::new(552, "5.3.4", "The message is larger than this server takes"));
            return None;
        }
        // RFC 3030 §2: the chunk follows at once whatever the reply, and has to be read.
        if let Some(reply) = self.no_message_now(true) {
            self.mode = Mode::SkipChunk { left: bytes, reply };
            return None;
        }
        if let Phase::Mail(transaction) = &mut self.phase {
            transaction.chunked = true;
        }
        self.mode = Mode::Chunk { left: bytes, bytes, last };
        None
    }

    // ---- content ----

    fn take_data(&mut self, decoder: &mut DataDecoder) -> bool {
        let input = std::mem::take(&mut self.input);
        let max = self.settings.message_bytes_max;
        let Phase::Mail(transaction) = &mut self.phase else { return true };
        let (used, ended) = decoder.decode(&input, |bytes| transaction.keep(bytes, max));
        self.input = input;
        self.input.drain(..used);
        ended
    }

    fn discarding_too_much(&self) -> bool {
        let max = self.settings.message_bytes_max.saturating_mul(DISCARD_FACTOR);
        matches!(&self.phase, Phase::Mail(t) if t.discarded > max)
    }

    fn give_up(&mut self) -> Step {
        self.end(&Reply::new(552, "5.3.4", "The message is larger than this server takes"));
        Step::Close
    }

    /// Takes what there is of a chunk; true when the chunk is whole.
    fn take_chunk(&mut self) -> bool {
        let max = self.settings.message_bytes_max;
        let (left, skip) = match &mut self.mode {
            Mode::Chunk { left, .. } => (left, false),
            Mode::SkipChunk { left, .. } => (left, true),
            _ => return true,
        };
        let take = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
        *left -= take as u64;
        let whole = *left == 0;
        let bytes: Vec<u8> = self.input.drain(..take).collect();
        if let (Phase::Mail(transaction), false) = (&mut self.phase, skip) {
            transaction.keep(&bytes, max);
        }
        whole
    }

    fn chunk_ended(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::Chunk { last: true, .. } => self.message_ended(),
            Mode::Chunk { bytes, .. } => {
                let failed = match &mut self.phase {
                    Phase::Mail(transaction) => transaction.failed.take(),
                    Phase::Start | Phase::Ready => None,
                };
                match failed {
                    // RFC 3030 §2: after a chunk that failed the transaction is over; the chunks that were pipelined
                    // behind it get 503 each.
                    Some(reply) => {
                        self.end_transaction();
                        self.say(&reply);
                        None
                    }
                    None => self.done(250, "2.0.0", &format!("{bytes} octets received")),
                }
            }
            Mode::SkipChunk { reply, .. } => self.bad(&reply),
            _ => None,
        }
    }

    fn message_ended(&mut self) -> Option<Step> {
        self.mode = Mode::Command;
        let phase = std::mem::replace(&mut self.phase, Phase::Ready);
        let Phase::Mail(mut transaction) = phase else { return None };
        let asked = Asked::Message { recipients: transaction.accepted };
        if let Some(reply) = transaction.verdict() {
            self.mode = Mode::Asked(asked);
            self.answer(reply);
            return None;
        }
        let Transaction { from, body, .. } = *transaction;
        self.ask(asked, Question::Message { from, body })
    }
}

impl Transaction {
    fn refuse(&mut self, reply: Reply) {
        self.discarded = self.discarded.saturating_add(self.body.len() as u64);
        self.body = Vec::new();
        if self.failed.is_none() {
            self.failed = Some(reply);
        }
    }

    fn keep(&mut self, bytes: &[u8], max: u64) {
        if self.failed.is_some() {
            self.discarded = self.discarded.saturating_add(bytes.len() as u64);
            return;
        }
        // RFC 1870 §6.3: the announced size is a hint; what came is what counts.
        if self.body.len() as u64 + bytes.len() as u64 > max {
            self.refuse(Reply::new(552, "5.3.4", "The message is larger than this server takes"));
            self.discarded = self.discarded.saturating_add(bytes.len() as u64);
            return;
        }
        if self.body.is_empty() {
            let expected = self.from.size.unwrap_or(0).min(max).min(1024 * 1024);
            self.body.reserve(usize::try_from(expected).unwrap_or(0));
        }
        self.inspector.inspect(bytes);
        self.body.extend_from_slice(bytes);
    }

    /// Why the whole message is refused, if it is.
    fn verdict(&mut self) -> Option<Reply> {
        if let Some(reply) = self.failed.take() {
            return Some(reply);
        }
        let faults = self.inspector.finish();
        if self.from.binary {
            return None;
        }
        if faults.bare_line_end {
            return Some(Reply::new(550, "5.6.0", "The message holds a CR or LF that is no CRLF"));
        }
        if faults.nul {
            return Some(Reply::new(550, "5.6.0", "The message holds a NUL"));
        }
        None
    }
}
