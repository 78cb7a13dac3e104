//! The session's loop: bytes to commands, commands to replies, and the waiting in between.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pli_gate::{Handle, Login, Target};
use pli_imap_proto::{Code, Command, CommandBody, CommandError, Refusal, Search, Status, Tag};
use pli_sasl::Terms;
use pli_store::{Entry, Permit, Snapshot, Store, StoreError};
use pli_types::{Action, Rights, SessionInfo, Uid};
use tracing::{debug, error, info, warn};

use crate::command;
use crate::context;
use crate::fail::{Fail, Reply, ReplyCode, level, reply};
use crate::filters;
use crate::limits::{BAD_COMMANDS_COUNT_MAX, LOGIN_TIMES_MAX, PROGRESS_S};
use crate::listing::{HELD_MAX, Listing};
use crate::notify::{self, Notify, Wanted};
use crate::picture::{Show, write_flag_lines};
use crate::quirks::{self, Mask};
use crate::service::{ImapService, Security};
use crate::state::{Enabled, Open, Place, Selected, State};
use crate::table::{self, Need, Row, Tells};
use crate::uid_only::names_numbers;
use crate::wire::{Step, Stream, Turn, Wire};

/// The texts of BYE.
pub const SHUTDOWN: &str = "Server is shutting down";
/// Of a session that an administrator has ended.
pub const ENDED: &str = "Session ended by the administrator";
/// RFC 9051 §5.4
pub const AUTOLOGOUT: &str = "Autologout, idle for too long";

/// What a client gets that uses what is hidden from it.
const NOT_OFFERED: &str = "This is not offered to this client";

/// One connection.
pub struct Session {
    pub(crate) service: Arc<ImapService>,
    pub(crate) wire: Wire,
    pub(crate) info: Arc<SessionInfo>,
    pub(crate) state: State,
    pub(crate) enabled: Enabled,
    /// Capabilities that this client of this account does not get.
    mask: Mask,
    /// The part that others may reach.
    pub(crate) handle: Arc<Handle>,
    /// What TLS knows of the client.
    pub(crate) security: Security,
    /// The row of the command that runs: what it may ask of the gate.
    row: Option<&'static Row>,
    /// The tag of the command that runs, and when it last said how far it is.
    running: (Option<Tag>, Duration),
    /// What becomes of the stream once the command's answer is out.
    pub(crate) turn: Option<Turn>,
    /// RFC 5465: what is told without asking; `None` before any NOTIFY.
    pub(crate) notify: Option<Box<Notify>>,
    /// What is kept ready of the accounts whose mail it reads lasts as long as the session does.
    pub(crate) listings: Vec<Arc<Listing>>,
    /// BAD answers in a row.
    bad: u32,
    /// When the session began, by the service's clock.
    pub(crate) began: Duration,
    /// For the record of the session's end.
    pub(crate) counts: Counts,
}

/// What a session did, for the audit record of its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Commands that were run.
    pub commands: u64,
    /// Messages whose content was read.
    pub read: u64,
    /// Messages added.
    pub appended: u64,
    /// Messages found damaged, and served as placeholders.
    pub damaged: u64,
}

/// How waiting for bytes ended.
pub enum Wait {
    /// Bytes came.
    Input,
    /// The peer is gone.
    Gone,
    /// The server stops.
    Shutdown,
    /// Somebody has ended the session from outside.
    Ended,
    /// Nothing came for too long.
    Timeout,
}

impl Session {
    pub fn new(service: Arc<ImapService>, stream: Box<dyn Stream>, info: Arc<SessionInfo>, security: Security) -> Self {
        let began = service.clock.monotonic();
        let handle = Handle::new();
        let mut wire = Wire::new(stream, Arc::clone(&handle));
        wire.framer.set_narrow(true);
        let mask = service.quirks.mask(None, None);
        Self {
            service,
            wire,
            info,
            state: State::NotAuthenticated { failures: 0 },
            enabled: Enabled::default(),
            mask,
            handle,
            security,
            row: None,
            running: (None, Duration::ZERO),
            turn: None,
            notify: None,
            listings: Vec::new(),
            bad: 0,
            began,
            counts: Counts::default(),
        }
    }

    /// Runs until either side ends it.
    pub async fn run(mut self: Box<Self>) {
        debug!(session = %self.info.id, peer = ?self.info.peer, "imap session begins");
        if let Err(error) = self.serve().await {
            // clients.md 1: a client that just goes away is no error.
            debug!(session = %self.info.id, %error, "imap connection ended");
        }
        command::logout::note(&self);
        self.wire.close().await;
        debug!(session = %self.info.id, "imap session ends");
    }

    async fn serve(&mut self) -> io::Result<()> {
        let list = self.capabilities();
        self.wire.out.untagged(Status::Ok, Some(Code::Capability(&list)), "Pli ready");
        loop {
            while let Some(flow) = self.next_command().await? {
                if flow {
                    return self.wire.flush().await;
                }
                self.wire.flush_if_full().await?;
            }
            self.wire.flush().await?;
            if !self.wait_for_input().await? {
                return Ok(());
            }
        }
    }

    /// Takes one thing out of the input: `None` when more must come, true when the session ends.
    async fn next_command(&mut self) -> io::Result<Option<bool>> {
        match self.wire.step() {
            Step::More => return Ok(None),
            Step::Command(command) => {
                // Boxed, so that a session that waits does not hold the space of its largest command.
                Box::pin(self.command(command)).await?;
            }
            Step::Error(error) => self.command_error(&error),
            Step::Continue => self.wire.out.continuation("Go on"),
            Step::Append(announced) => Box::pin(command::append::append(self, announced)).await?,
            Step::Refused(tag, why) => self.refused(tag.as_ref(), why),
            // Neither comes where no line and no message was asked for.
            Step::Line(_) | Step::AppendEnd(_) => {}
        }
        if self.bad > BAD_COMMANDS_COUNT_MAX {
            self.wire.out.untagged(Status::Bye, None, "Too many bad commands");
            return Ok(Some(true));
        }
        Ok(Some(matches!(self.state, State::Logout)))
    }

    /// How long the peer may be silent now.
    fn time_limit(&self) -> Duration {
        let config = &self.service.config;
        match self.state {
            State::NotAuthenticated { .. } => {
                // A byte now and then, or a NOOP, must not hold a place for ever.
                let in_all = Duration::from_secs(config.login_timeout_s.saturating_mul(LOGIN_TIMES_MAX));
                let spent = self.service.clock.monotonic().saturating_sub(self.began);
                Duration::from_secs(config.login_timeout_s).min(in_all.saturating_sub(spent))
            }
            _ => Duration::from_secs(config.idle_timeout_s),
        }
    }

    /// False when the session ends.
    async fn wait_for_input(&mut self) -> io::Result<bool> {
        if self.notify.is_some() {
            return Box::pin(self.wait_notified()).await;
        }
        let waited = self.wait(self.time_limit()).await?;
        self.waited(waited).await
    }

    /// The same, telling what NOTIFY asked for as it happens.
    async fn wait_notified(&mut self) -> io::Result<bool> {
        let begun = self.service.clock.monotonic();
        loop {
            match notify::tell(self, false).await {
                Err(Fail::Io(error)) => return Err(error),
                Err(fail) => self.log("NOTIFY", &fail),
                Ok(()) => {}
            }
            self.wire.flush().await?;
            let spent = self.service.clock.monotonic().saturating_sub(begun);
            let limit = self.time_limit().saturating_sub(spent);
            let changed = notify::changed(self);
            let waited = tokio::select! {
                waited = self.wait(limit) => waited?,
                () = changed => continue,
            };
            return self.waited(waited).await;
        }
    }

    /// False when the session ends.
    async fn waited(&mut self, waited: Wait) -> io::Result<bool> {
        match waited {
            Wait::Input => Ok(true),
            Wait::Gone => Ok(false),
            Wait::Shutdown => self.bye(SHUTDOWN).await,
            Wait::Ended => self.bye(ENDED).await,
            // RFC 9051 §5.4
            Wait::Timeout => self.bye(AUTOLOGOUT).await,
        }
    }

    pub(crate) async fn bye(&mut self, text: &'static str) -> io::Result<bool> {
        self.state = State::Logout;
        self.wire.out.untagged(Status::Bye, None, text);
        self.wire.flush().await?;
        Ok(false)
    }

    /// Waits for bytes, the end, the shutdown or the time limit.
    pub(crate) async fn wait(&mut self, limit: Duration) -> io::Result<Wait> {
        if limit.is_zero() {
            return Ok(Wait::Timeout);
        }
        let shutdown = &self.service.shutdown;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(Wait::Shutdown),
            () = self.handle.ended() => Ok(Wait::Ended),
            got = tokio::time::timeout(limit, self.wire.read()) => match got {
                Err(_) => Ok(Wait::Timeout),
                Ok(Ok(true)) => Ok(Wait::Input),
                Ok(Ok(false)) => Ok(Wait::Gone),
                Ok(Err(error)) => Err(error),
            },
        }
    }

    /// In the midst of a command: more bytes, or the end of the session. What was not whole leaves nothing behind.
    pub(crate) async fn read_on(&mut self) -> Result<(), Fail> {
        let (text, kind) = match self.wait(self.time_limit()).await? {
            Wait::Input => return Ok(()),
            Wait::Gone => return Err(Fail::Io(io::ErrorKind::UnexpectedEof.into())),
            Wait::Ended => (ENDED, io::ErrorKind::ConnectionAborted),
            Wait::Shutdown => (SHUTDOWN, io::ErrorKind::ConnectionAborted),
            Wait::Timeout => (AUTOLOGOUT, io::ErrorKind::TimedOut),
        };
        self.bye(text).await?;
        Err(Fail::Io(kind.into()))
    }

    /// Runs a command and writes its tagged answer.
    async fn command(&mut self, command: Box<Command>) -> io::Result<()> {
        let Command { tag, body } = *command;
        let body = Box::new(body);
        let verb = body.verb();
        self.counts.commands = self.counts.commands.saturating_add(1);
        self.running = (Some(tag.clone()), self.service.clock.monotonic());
        let result = match self.enter(verb) {
            Ok(()) if self.enabled.uid_only && names_numbers(&body) => Err(Fail::UidRequired),
            Ok(()) if quirks::hides_part(self.mask, &body, self.enabled.rev2) => Err(Fail::Bad(NOT_OFFERED)),
            Ok(()) => {
                if self.looks_anew() {
                    self.tell(false);
                }
                let changes_names = self.notify.is_some()
                    && matches!(verb, "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE");
                if changes_names {
                    // What others did is told before this session's own changes are taken for known.
                    Box::pin(notify::tell(self, false)).await.or_else(only_io)?;
                }
                // Boxed apart: a session in IDLE holds the space of IDLE only, not of the largest command.
                let result = match *body {
                    CommandBody::Idle => Box::pin(command::idle::run(self)).await,
                    _ => Box::pin(self.dispatch(&tag, body)).await,
                };
                if changes_names {
                    notify::forget_own(self).or_else(only_io)?;
                }
                result
            }
            Err(fail) => Err(fail),
        };
        self.answer(&tag, verb, result)?;
        match self.turn.take() {
            None => Ok(()),
            // The answer is the last thing that is sent as things were before.
            Some(turn) => Box::pin(self.wire.turn(turn)).await,
        }
    }

    /// Whether the command that runs looks the mailbox up by UID or searches it: then it sees what is there now, not
    /// only what the client has been told (clients.md: `UID FETCH n:*` sees what another session moved in).
    fn looks_anew(&self) -> bool {
        self.row.is_some_and(|row| {
            row.states.with_mailbox_only()
                && (row.verb.starts_with("UID ") || matches!(row.verb, "SEARCH" | "SORT" | "THREAD" | "UIDBATCHES"))
        })
    }

    /// Finds the row and checks the state.
    pub(crate) fn enter(&mut self, verb: &'static str) -> Result<(), Fail> {
        self.row = table::find(verb);
        let Some(row) = self.row else { return Err(Fail::Bad("Unknown command")) };
        if quirks::hides_command(self.mask, row, self.enabled.rev2) {
            return Err(Fail::Bad(NOT_OFFERED));
        }
        let fits = match self.state {
            State::NotAuthenticated { .. } => row.states.before_login(),
            State::Authenticated { .. } => row.states.after_login(),
            State::Selected { .. } => row.states.with_mailbox(),
            State::Logout => false,
        };
        if fits {
            return Ok(());
        }
        Err(Fail::Bad(match self.state {
            State::NotAuthenticated { .. } => "Log in first",
            State::Authenticated { .. } if row.states.with_mailbox() => "Select a mailbox first",
            _ => "Not in this state",
        }))
    }

    /// Tells what may be told now, then writes the tagged answer.
    pub(crate) fn answer(&mut self, tag: &Tag, verb: &'static str, result: Result<Reply, Fail>) -> io::Result<()> {
        let reply = match result {
            Ok(reply) => self.masked(reply),
            Err(Fail::Io(error)) => return Err(error),
            Err(fail) => {
                self.log(verb, &fail);
                reply(&fail)
            }
        };
        if reply.status == Status::Bad {
            self.bad = self.bad.saturating_add(1);
        } else {
            self.bad = 0;
        }
        match self.row.map_or(Tells::Nothing, |row| row.tells) {
            Tells::Nothing => {}
            Tells::NoExpunge => self.tell(false),
            Tells::All => self.tell(true),
        }
        reply.write(&mut self.wire.out, tag);
        Ok(())
    }

    fn log(&self, verb: &'static str, fail: &Fail) {
        let session = self.info.id;
        match level(fail) {
            tracing::Level::ERROR => error!(%session, verb, reason = %fail, "imap command failed"),
            tracing::Level::WARN => warn!(%session, verb, reason = %fail, "imap command failed"),
            tracing::Level::INFO => info!(%session, verb, reason = %fail, "imap command refused"),
            _ => debug!(%session, verb, reason = %fail, "imap command refused"),
        }
    }

    /// Tells what changed in the open mailbox.
    pub(crate) fn tell(&mut self, expunges: bool) {
        match self.notify.as_ref().map(|notify| notify.selected) {
            None | Some(Wanted { messages: true, flags: true, .. }) => self.tell_own(expunges),
            // RFC 5465 §3.1: what was not asked for is not told, and the mailbox stays as the client knows it.
            Some(Wanted { messages: false, .. }) => {}
            Some(_) => self.tell_showing(expunges, |_| (true, Show::Nothing)),
        }
    }

    /// Tells what the session itself changed, whatever NOTIFY asked for, and what others did till now with it.
    pub(crate) fn tell_own(&mut self, expunges: bool) {
        self.tell_showing(expunges, |_| (true, Show::Flags));
    }

    /// Something that no command asked for is done by NOTIFY's row.
    pub(crate) fn by_notify(&mut self) -> Option<&'static Row> {
        std::mem::replace(&mut self.row, table::find("NOTIFY"))
    }

    /// Back to the command's row.
    pub(crate) const fn by_row(&mut self, row: Option<&'static Row>) {
        self.row = row;
    }

    /// As [`Self::tell`], choosing how each changed message is shown.
    pub(crate) fn tell_showing(&mut self, expunges: bool, show: impl FnMut(&pli_store::Entry) -> (bool, Show)) {
        let State::Selected { login, selected } = &mut self.state else { return };
        if selected.account != login.account {
            let now = self.service.gate.rights(&login.session, selected.account, selected.mailbox).unwrap_or_default();
            // Who may not read any more is told no more.
            if !now.has(Rights::READ) {
                return;
            }
            // RFC 4314 §5.1.1: FLAGS and PERMANENTFLAGS again when rights have changed.
            if std::mem::replace(&mut selected.rights, now) != now {
                write_flag_lines(&mut self.wire.out, &selected.picture, selected.changeable());
            }
        }
        let before = Arc::clone(&selected.picture);
        selected.tell(&mut self.wire.out, self.enabled, expunges, show);
        if self.notify.as_ref().is_some_and(|notify| notify.fetches()) && selected.picture.uid_next > before.uid_next {
            selected.new_from.get_or_insert(before.uid_next);
        }
        context::update(self, &before);
    }

    /// RFC 9585 §3: says how far the command that runs is, if it has taken long since it last said so.
    pub(crate) async fn progress(&mut self, done: u32, goal: Option<u32>) -> Result<(), Fail> {
        let now = self.service.clock.monotonic();
        if now.saturating_sub(self.running.1) < Duration::from_secs(PROGRESS_S) {
            return Ok(());
        }
        self.running.1 = now;
        if let Some(tag) = &self.running.0 {
            let code = Code::InProgress { tag: tag.as_str(), done, goal };
            self.wire.out.untagged(Status::Ok, Some(code), "Still at it");
        }
        Ok(self.wire.flush().await?)
    }

    /// RFC 9738 §3: messages that one command may be about.
    pub(crate) fn message_limit(&self) -> Option<u32> {
        Some(self.service.config.message_limit).filter(|limit| *limit > 0)
    }

    /// RFC 9738 §3: the first message number of those that a search looks at, and its UID where there are others.
    pub(crate) fn newest_allowed(&self, picture: &Snapshot) -> (u32, Option<Uid>) {
        let skipped = self.message_limit().map_or(0, |limit| picture.messages.saturating_sub(limit));
        let first = skipped.saturating_add(1);
        (first, (skipped > 0).then(|| picture.by_number(first)).flatten().map(|entry| entry.uid))
    }

    /// `OK text`, or `OK [MESSAGELIMIT n uid]` where a command was about fewer messages than it meant.
    pub(crate) fn limited(&self, text: &'static str, lowest: Option<Uid>) -> Reply {
        self.or_limited(Reply::ok(text), lowest)
    }

    /// The same, of a reply that is there.
    pub(crate) fn or_limited(&self, reply: Reply, lowest: Option<Uid>) -> Reply {
        match (lowest, self.message_limit()) {
            (Some(lowest), Some(limit)) => {
                let code = ReplyCode::Plain(Code::MessageLimit(limit, Some(lowest)));
                Reply::ok_code(code, "Too many messages at once: the newest are done")
            }
            _ => reply,
        }
    }

    /// RFC 9738 §3.2: a command that does all or nothing refuses too many messages.
    pub(crate) fn check_message_limit(&self, count: usize) -> Result<(), Fail> {
        match self.message_limit() {
            Some(limit) if count > usize::try_from(limit).unwrap_or(usize::MAX) => {
                Err(Fail::No(Some(Code::MessageLimit(limit, None)), "Too many messages at once"))
            }
            _ => Ok(()),
        }
    }

    /// Logs, counts and records messages that were found not to open; each comes here once.
    pub(crate) fn tell_damaged(&mut self, action: Action, place: impl Into<Place>, damaged: Vec<(Entry, StoreError)>) {
        let Place { account, mailbox } = place.into();
        if !damaged.is_empty() {
            // All answers about a message agree from now on.
            self.service.listings.forget(account);
        }
        for (entry, error) in damaged {
            let session = self.info.id;
            error!(%session, %mailbox, uid = %entry.uid, email = %entry.email, %error, "a message is damaged; a placeholder is served");
            self.counts.damaged = self.counts.damaged.saturating_add(1);
            let Ok(login) = self.login() else { continue };
            let about = Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() };
            let gate = &self.service.gate;
            let Ok(permit) = gate.admit(&login.session, action, &about) else { continue };
            let event = gate.event(&login.session, action).account(account).uid(entry.uid);
            let event = event.failed("damaged", "a placeholder was served");
            gate.store().note(permit, event);
        }
    }

    fn command_error(&mut self, error: &CommandError) {
        if !matches!(error, CommandError::MailboxName { .. }) {
            self.bad = self.bad.saturating_add(1);
        }
        debug!(session = %self.info.id, %error, "imap bad command");
        self.wire.out.command_error(error);
    }

    fn refused(&mut self, tag: Option<&Tag>, why: Refusal) {
        self.bad = self.bad.saturating_add(1);
        info!(session = %self.info.id, reason = %why, "imap line refused");
        let (code, text) = match why {
            Refusal::LineTooLong => (None, "Line too long"),
            Refusal::Nul => (None, "NUL in command"),
            // RFC 7888 §4
            Refusal::LiteralTooLong(announced) => {
                if !announced.sync && announced.bytes > self.service.config.message_bytes_max {
                    self.state = State::Logout;
                    return self.wire.out.untagged(Status::Bye, Some(Code::TooBig), "Literal too long");
                }
                (Some(Code::TooBig), "Literal too long")
            }
            Refusal::TooManyLiterals => (None, "Too many literals"),
        };
        match tag {
            Some(tag) => self.wire.out.tagged(tag, Status::Bad, code, text),
            None => self.wire.out.untagged(Status::Bad, code, text),
        }
    }

    /// Whether passwords may be sent.
    pub(crate) fn may_log_in(&self) -> bool {
        self.info.tls.is_some() || self.service.config.login_without_tls
    }

    /// The capabilities as they are now.
    pub(crate) fn capabilities(&self) -> String {
        let lists = &self.service.capabilities;
        let list = match self.state {
            State::NotAuthenticated { .. } if self.may_log_in() => lists.offering(&self.terms()),
            State::NotAuthenticated { .. } => lists.in_the_clear.clone(),
            _ => lists.after_login.clone(),
        };
        if self.mask.is_empty() { list } else { self.mask.apply(&list) }
    }

    /// Looks up what is hidden, after the client or the account has become known.
    pub(crate) fn look_up_mask(&mut self) {
        let account = self.login().ok().map(|login| login.address.to_string());
        self.mask = self.service.quirks.mask(self.info.client.as_deref(), account.as_deref());
    }

    /// Whether a capability is hidden from this session.
    pub(crate) fn hides(&self, capability: &str) -> bool {
        quirks::hides(self.mask, capability, self.enabled.rev2)
    }

    /// A reply without the code of an extension that is hidden.
    fn masked(&self, mut reply: Reply) -> Reply {
        let of = match &reply.code {
            ReplyCode::AppendUid(..) | ReplyCode::CopyUid(..) => "UIDPLUS",
            ReplyCode::MailboxId(_) => "OBJECTID",
            _ => return reply,
        };
        if self.hides(of) {
            reply.code = ReplyCode::None;
        }
        reply
    }

    /// RFC 5466 §3.1: what filters stand for; a search that names none leaves an empty `$` where it saves.
    fn expand_filters(&mut self, search: &mut Search) -> Result<(), Fail> {
        let expanded = filters::expand(self, search);
        if expanded.is_err() && search.returns.is_some_and(|returns| returns.save) {
            command::search::keep(self, search, None);
        }
        expanded
    }

    /// No mailbox is open any more.
    pub(crate) fn deselect(&mut self, login: Arc<Login>) {
        login.presence.set_selected(None);
        self.state = State::Authenticated { login };
    }

    /// Which mechanisms of AUTHENTICATE the connection allows.
    pub(crate) fn terms(&self) -> Terms {
        self.service.gate.terms(self.security.binding, !self.security.addresses.is_empty())
    }

    /// Who is logged in.
    pub(crate) fn login(&self) -> Result<Arc<Login>, Fail> {
        match &self.state {
            State::Authenticated { login } | State::Selected { login, .. } => Ok(Arc::clone(login)),
            State::NotAuthenticated { .. } | State::Logout => Err(Fail::Bad("Log in first")),
        }
    }

    /// The open mailbox, to read.
    pub(crate) fn open(&self) -> Result<Open, Fail> {
        match &self.state {
            State::Selected { login, selected } => Ok(Open {
                login: Arc::clone(login),
                account: selected.account,
                keys: Arc::clone(&selected.keys),
                mailbox: selected.mailbox,
                picture: Arc::clone(&selected.picture),
                read_only: selected.read_only,
                past: selected.past.clone(),
            }),
            _ => Err(Fail::Bad("Select a mailbox first")),
        }
    }

    /// The open mailbox, if there is one.
    pub(crate) fn selected(&mut self) -> Option<&mut Selected> {
        match &mut self.state {
            State::Selected { selected, .. } => Some(selected),
            _ => None,
        }
    }

    /// The store.
    pub(crate) fn store(&self) -> Store {
        self.service.gate.store().clone()
    }

    /// What is kept ready of the open mailbox's account; nothing of the past.
    pub(crate) fn listing(&mut self, open: &Open) -> Option<Arc<Listing>> {
        if open.past.is_some() {
            return None;
        }
        let listing = self.service.listings.of(open.account)?;
        if !self.listings.iter().any(|held| Arc::ptr_eq(held, &listing)) {
            if self.listings.len() >= HELD_MAX {
                self.listings.remove(0);
            }
            self.listings.push(Arc::clone(&listing));
        }
        Some(listing)
    }

    /// Asks the gate, for an action that the command's row names.
    pub(crate) fn admit(&self, action: Action, target: &Target) -> Result<Permit, Fail> {
        let declared = self.row.is_some_and(|row| match row.need {
            Need::Free(_) => false,
            Need::Actions(actions) => actions.contains(&action),
        });
        if !declared {
            return Err(Fail::Undeclared(action));
        }
        let login = self.login()?;
        Ok(self.service.gate.admit(&login.session, action, target)?)
    }

    /// Asks the gate about a mailbox.
    pub(crate) fn admit_on(&self, action: Action, place: impl Into<Place>) -> Result<Permit, Fail> {
        let Place { account, mailbox } = place.into();
        self.admit(action, &Target { account: Some(account), mailbox: Some(mailbox), ..Target::default() })
    }

    /// What the session may do with a mailbox now: everything with its own.
    pub(crate) fn rights(&self, place: impl Into<Place>) -> Result<Rights, Fail> {
        let Place { account, mailbox } = place.into();
        Ok(self.service.gate.rights(&self.login()?.session, account, mailbox)?)
    }

    /// Whether a mailbox is the session's own.
    pub(crate) fn is_own(&self, place: impl Into<Place>) -> Result<bool, Fail> {
        Ok(self.login()?.account == place.into().account)
    }

    /// Asks the gate about the session's own account.
    pub(crate) fn admit_any(&self, action: Action) -> Result<Permit, Fail> {
        self.admit(action, &Target::default())
    }

    async fn dispatch(&mut self, tag: &Tag, body: Box<CommandBody>) -> Result<Reply, Fail> {
        match *body {
            CommandBody::Capability => command::capability::run(self),
            CommandBody::Noop => Ok(Reply::ok("NOOP done")),
            CommandBody::Logout => command::logout::run(self),
            CommandBody::Id(fields) => command::id::run(self, fields),
            CommandBody::StartTls => Err(Fail::Bad("TLS is not started here")),
            CommandBody::Authenticate { mechanism, initial } => {
                // Boxed: a session in IDLE does not hold the space of a login.
                Box::pin(command::authenticate::run(self, &mechanism, initial)).await
            }
            CommandBody::Login { user, password } => Box::pin(command::login::run(self, user, password)).await,
            CommandBody::Enable(names) => command::enable::run(self, &names),
            CommandBody::Select { mailbox, read_only, condstore, qresync } => {
                Box::pin(command::select::run(self, &mailbox, read_only, condstore, qresync)).await
            }
            CommandBody::Create { mailbox, special_use, unknown_use } => {
                Box::pin(command::create::run(self, mailbox, &special_use, &unknown_use)).await
            }
            CommandBody::Delete(mailbox) => command::delete::run(self, &mailbox).await,
            CommandBody::Rename { from, to } => command::rename::run(self, &from, to).await,
            CommandBody::Subscribe(name) => command::subscribe::subscribe(self, name).await,
            CommandBody::Unsubscribe(name) => command::subscribe::unsubscribe(self, name).await,
            CommandBody::List(list) => Box::pin(command::list::run(self, &list)).await,
            CommandBody::Namespace => command::namespace::run(self),
            CommandBody::Language(ranges) => command::language::run(self, &ranges),
            CommandBody::Status { mailbox, items } => Box::pin(command::status::run(self, &mailbox, &items)).await,
            CommandBody::Append(prefix) => Box::pin(command::append::whole(self, prefix)).await,
            CommandBody::Idle => command::idle::run(self).await,
            CommandBody::Check => Ok(Reply::ok("CHECK done")),
            CommandBody::Close => Box::pin(command::close::close(self)).await,
            CommandBody::Unselect => command::close::unselect(self),
            CommandBody::Expunge { uids } => Box::pin(command::expunge::run(self, uids)).await,
            CommandBody::Search { uid, mut search } => {
                self.expand_filters(&mut search)?;
                Box::pin(command::search::run(self, tag, uid, search)).await
            }
            CommandBody::ESearch { sources, mut search } => {
                self.expand_filters(&mut search)?;
                Box::pin(command::esearch::run(self, tag, sources, search)).await
            }
            CommandBody::Notify(set) => command::notify::run(self, set),
            CommandBody::CancelUpdate(tags) => command::context::cancel(self, &tags),
            CommandBody::UidBatches { size, range } => command::context::batches(self, tag, size, range),
            CommandBody::Sort { uid, criteria, mut search } => {
                self.expand_filters(&mut search)?;
                Box::pin(command::sort::run(self, tag, uid, criteria, search)).await
            }
            CommandBody::Thread { uid, algorithm, mut search } => {
                self.expand_filters(&mut search)?;
                Box::pin(command::thread::run(self, uid, algorithm, search)).await
            }
            CommandBody::Fetch { uid, set, items, changed_since, vanished, partial } => {
                Box::pin(command::fetch::run(self, uid, &set, items, changed_since, vanished, partial)).await
            }
            CommandBody::Store { uid, set, action, silent, flags, unchanged_since } => {
                let change = command::store::Change { action, silent, flags, unchanged_since };
                Box::pin(command::store::run(self, uid, &set, change)).await
            }
            CommandBody::Copy { uid, set, mailbox } => Box::pin(command::copy::run(self, uid, &set, &mailbox)).await,
            CommandBody::Move { uid, set, mailbox } => Box::pin(command::r#move::run(self, uid, &set, &mailbox)).await,
            CommandBody::GetQuota { root } => command::quota::get(self, &root),
            CommandBody::GetQuotaRoot(mailbox) => command::quota::root(self, &mailbox),
            // RFC 9208 §4.1.1
            CommandBody::SetQuota { .. } => Err(Fail::No(Some(Code::NoPerm), "Quotas are set by administrators")),
            CommandBody::SetAcl { mailbox, identifier, change } => {
                Box::pin(command::acl::set(self, &mailbox, &identifier, change)).await
            }
            CommandBody::DeleteAcl { mailbox, identifier } => {
                Box::pin(command::acl::delete(self, &mailbox, &identifier)).await
            }
            CommandBody::GetAcl(mailbox) => command::acl::get(self, &mailbox),
            CommandBody::ListRights { mailbox, identifier } => command::acl::list(self, &mailbox, &identifier),
            CommandBody::MyRights(mailbox) => command::acl::mine(self, &mailbox),
            CommandBody::GetMetadata(asked) => command::metadata::get(self, &asked),
            CommandBody::SetMetadata { mailbox, entries } => {
                Box::pin(command::metadata::set(self, mailbox.as_ref(), entries)).await
            }
            CommandBody::Compress { mechanism } => command::compress::run(self, &mechanism),
            CommandBody::GenUrlAuth(urls) => Box::pin(command::urlauth::generate(self, urls)).await,
            CommandBody::ResetKey { mailbox, mechanisms } => {
                Box::pin(command::urlauth::reset(self, mailbox, &mechanisms)).await
            }
            CommandBody::UrlFetch(urls) => Box::pin(command::urlauth::fetch(self, urls)).await,
            CommandBody::Unauthenticate => Ok(command::unauthenticate::run(self)),
        }
    }
}

/// What NOTIFY cannot tell is no reason for a command to fail; a stream that failed is.
fn only_io(fail: Fail) -> io::Result<()> {
    match fail {
        Fail::Io(error) => Err(error),
        fail => {
            debug!(%fail, "changes could not be told");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::print_stderr, reason = "tests")]
    use super::*;

    /// A session that waits, in IDLE or for a command, is small: this is what thousands of idle clients cost.
    #[test]
    fn waiting_sessions_are_small() {
        assert!(size_of::<Session>() <= 1024, "{}", size_of::<Session>());
        let run = |session: Box<Session>| session.run();
        let size = future_bytes(&run);
        assert!(size <= 2048, "{size}");
        let command = |mut session: Box<Session>, command: Box<Command>| async move { session.command(command).await };
        let size = future_bytes_of_two(&command);
        assert!(size <= 2048, "{size}");
        let idle = |mut session: Box<Session>| async move { command::idle::run(&mut session).await };
        let size = future_bytes(&idle);
        assert!(size <= 1280, "{size}");
    }

    fn future_bytes<A, F: Future>(_: &impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }
    fn future_bytes_of_two<A, B, F: Future>(_: &impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }
}
