//! APPEND, REPLACE and UID REPLACE. RFC 9051 §6.3.12, RFC 3502 (several messages), RFC 4315 §3 (APPENDUID), RFC 4469
//! (CATENATE), RFC 7888 (LITERAL+), RFC 8508 (REPLACE).
//!
//! The gate is asked when a literal is announced, before a byte of it is read: a client that waits gets `NO` in
//! place of `+`; from one that does not wait, the bytes are read and dropped.

use bytes::Bytes;
use pli_gate::Target;
use pli_imap_proto::{
    Announced, AppendLiteral, AppendMeta, AppendPart, AppendPrefix, AppendReader, Code, CommandError, Replaces, Status,
    Tag, parse_append_prefix,
};
use pli_store::{AppendMessage, Appended, Mailbox, Permit, StoreError};
use pli_types::{Action, ByteCount, Uid};

use super::find_target;
use crate::budget::Share;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::limits::{APPEND_MESSAGE_BYTES, APPEND_RESERVE_BYTES, MULTIAPPEND_COUNT_MAX, SKIP_TIMES_MAX};
use crate::session::Session;
use crate::state::{Open, State};
use crate::url;
use crate::wire::Step;

/// How an APPEND that is not whole goes on.
enum End {
    /// A tagged answer.
    Answer(Result<Reply, Fail>),
    /// The line was no command; the printer knows the answer.
    Syntax(CommandError),
}

/// What follows a literal.
enum Next {
    /// Parts up to another literal.
    More(Vec<AppendPart>, Announced),
    /// Parts up to the end.
    Last(Vec<AppendPart>),
}

/// Takes an APPEND or REPLACE whose first literal is announced.
pub async fn append(session: &mut Session, announced: Announced) -> std::io::Result<()> {
    let utf8 = session.wire.out.is_utf8();
    let prefix = match parse_append_prefix(session.wire.framer.prefix(), utf8) {
        Ok(prefix) => prefix,
        Err(error) => {
            session.wire.framer.refuse();
            session.wire.out.command_error(&error);
            return Ok(());
        }
    };
    let tag = prefix.tag.clone();
    let verb = verb(prefix.replaces);
    match take(session, verb, prefix, announced).await {
        End::Answer(result) => session.answer(&tag, verb, result),
        End::Syntax(error) => {
            session.wire.out.command_error(&error);
            Ok(())
        }
    }
}

const fn verb(replaces: Option<Replaces>) -> &'static str {
    match replaces {
        None => "APPEND",
        Some(Replaces { uid: false, .. }) => "REPLACE",
        Some(Replaces { uid: true, .. }) => "UID REPLACE",
    }
}

/// One that came whole: the framer was let collect it, or it is made of URLs alone.
pub async fn whole(session: &mut Session, prefix: AppendPrefix) -> Result<Reply, Fail> {
    let mut basket = Basket::open(session, &prefix)?;
    for part in prefix.parts {
        basket.put(session, part).await?;
    }
    basket.commit(session).await
}

async fn take(session: &mut Session, verb: &'static str, mut prefix: AppendPrefix, first: Announced) -> End {
    let opened = session.enter(verb).and_then(|()| Basket::open(session, &prefix));
    let mut basket = match opened {
        Ok(basket) => basket,
        Err(fail) => {
            session.wire.framer.refuse();
            return End::Answer(Err(fail));
        }
    };
    let (mut parts, mut announced) = (prefix.parts, first);
    loop {
        for part in parts {
            let taken = match part {
                AppendPart::Literal(literal) => basket.literal(session, literal, announced).await,
                part => basket.put(session, part).await,
            };
            if let Err(fail) = taken {
                // What is announced and not begun is not wanted.
                session.wire.framer.refuse();
                return End::Answer(Err(fail));
            }
        }
        (parts, announced) = match next(session, &prefix.tag, &mut prefix.reader).await {
            Ok(Next::More(parts, announced)) => (parts, announced),
            Ok(Next::Last(parts)) => {
                for part in parts {
                    if let Err(fail) = basket.put(session, part).await {
                        return End::Answer(Err(fail));
                    }
                }
                return End::Answer(basket.commit(session).await);
            }
            Err(end) => return end,
        };
    }
}

/// What follows a literal: more, or the end.
async fn next(session: &mut Session, tag: &Tag, reader: &mut AppendReader) -> Result<Next, End> {
    loop {
        match session.wire.step() {
            Step::AppendEnd(end) => return reader.end(tag, &end).map(Next::Last).map_err(End::Syntax),
            Step::Append(announced) => {
                return reader
                    .next(tag, session.wire.framer.prefix())
                    .map(|parts| Next::More(parts, announced))
                    .map_err(|error| {
                        session.wire.framer.refuse();
                        End::Syntax(error)
                    });
            }
            Step::Refused(..) => return Err(End::Answer(Err(Fail::Bad("Line too long")))),
            Step::More => session.read_on().await.map_err(|fail| End::Answer(Err(fail)))?,
            Step::Command(_) | Step::Error(_) | Step::Continue | Step::Line(_) => {
                return Err(End::Answer(Err(Fail::Bad("Expected the end of APPEND"))));
            }
        }
    }
}

/// The messages of one command, as they come.
struct Basket {
    mailbox: Mailbox,
    /// REPLACE: the message that goes, and its size.
    gone: Option<(Open, Uid, u64)>,
    messages: Vec<(AppendMeta, Vec<u8>)>,
    total: u64,
    share: Share,
}

impl Basket {
    fn open(session: &mut Session, prefix: &AppendPrefix) -> Result<Self, Fail> {
        let gone = prefix.replaces.map(|replaces| replaced(session, replaces)).transpose()?;
        let mailbox = find_target(session, &prefix.mailbox)?;
        Ok(Self { mailbox, gone, messages: Vec::new(), total: 0, share: session.service.appending.share() })
    }

    /// Takes a part that is there.
    async fn put(&mut self, session: &mut Session, part: AppendPart) -> Result<(), Fail> {
        match part {
            AppendPart::Begin(meta) => {
                if !self.messages.is_empty() && session.hides("MULTIAPPEND") {
                    return Err(Fail::Bad("One message only"));
                }
                if self.messages.len() >= MULTIAPPEND_COUNT_MAX || !self.share.grow(APPEND_MESSAGE_BYTES) {
                    return Err(Fail::No(Some(Code::Limit), "Too many messages at once"));
                }
                session.check_message_limit(self.messages.len().saturating_add(1))?;
                self.messages.push((meta, Vec::new()));
                Ok(())
            }
            AppendPart::Url(_) if session.hides("CATENATE") => Err(Fail::Bad("No URLs")),
            AppendPart::Url(text) => {
                let room = session.service.config.message_bytes_max.saturating_sub(self.message()?.len() as u64);
                let bytes = url::read(session, &text, room).await?;
                self.add(session, &bytes)
            }
            AppendPart::Data(bytes) => self.add(session, &bytes),
            AppendPart::Literal(_) => Err(Fail::Bad("Expected the bytes of a literal")),
        }
    }

    fn add(&mut self, session: &Session, bytes: &[u8]) -> Result<(), Fail> {
        self.fits(session, bytes.len() as u64)?;
        if !self.share.grow(bytes.len() as u64) {
            return Err(Fail::No(Some(Code::Limit), "Too many messages at once, try again later"));
        }
        self.message()?.extend_from_slice(bytes);
        Ok(())
    }

    fn message(&mut self) -> Result<&mut Vec<u8>, Fail> {
        self.messages.last_mut().map(|(_, bytes)| bytes).ok_or(Fail::Bad("Expected a message"))
    }

    /// Takes a literal from the wire.
    async fn literal(
        &mut self,
        session: &mut Session,
        literal: AppendLiteral,
        announced: Announced,
    ) -> Result<(), Fail> {
        if literal == AppendLiteral::Url {
            if announced.bytes > pli_imap_proto::limits::URL_BYTES_MAX as u64 {
                return Err(Fail::BadUrl(String::new()));
            }
            let mut text = Vec::new();
            stream(session, announced, &mut self.share, &mut text).await?;
            return self.put(session, AppendPart::Url(text)).await;
        }
        if let Err(fail) = self.fits(session, announced.bytes) {
            let skippable = session.service.config.message_bytes_max.saturating_mul(SKIP_TIMES_MAX);
            if !announced.sync && announced.bytes > skippable {
                // RFC 7888 §4: so much is not skipped.
                session.wire.out.untagged(Status::Bye, Some(Code::TooBig), "Literal too long");
                session.state = State::Logout;
            }
            return Err(fail);
        }
        let Some((_, bytes)) = self.messages.last_mut() else { return Err(Fail::Bad("Expected a message")) };
        stream(session, announced, &mut self.share, bytes).await
    }

    /// Whether so many bytes more would be taken.
    fn fits(&mut self, session: &Session, bytes: u64) -> Result<(), Fail> {
        if (self.message()?.len() as u64).saturating_add(bytes) > session.service.config.message_bytes_max {
            // RFC 7889 §2, RFC 4469 §4.2: TOOBIG
            return Err(Fail::No(Some(Code::TooBig), "The message is too large"));
        }
        self.total = self.total.saturating_add(bytes);
        self.leave(session).map(drop)
    }

    /// RFC 8508 §3.4: only what is more than before counts.
    fn leave(&self, session: &Session) -> Result<Permit, Fail> {
        let gone = self.gone.as_ref().map_or(0, |(_, _, bytes)| *bytes);
        let adds = ByteCount::new(self.total.saturating_sub(gone));
        let about = Target { account: Some(self.mailbox.account), mailbox: Some(self.mailbox.id), adds };
        session.admit(Action::Append, &about)
    }

    async fn commit(self, session: &mut Session) -> Result<Reply, Fail> {
        // RFC 9051 §6.3.12, RFC 3502 §6.3.11: an empty message gives the APPEND up.
        if self.messages.iter().any(|(_, bytes)| bytes.is_empty()) {
            return Err(Fail::No(Some(Code::Cannot), "An empty message cannot be appended"));
        }
        let login = session.login()?;
        // Into another's mailbox a message goes as a delivery does: sealed, without the keys that would open it.
        let keys = (self.mailbox.account == login.account).then_some(&*login.keys);
        let store = session.store();
        let permit = self.leave(session)?;
        let mut prepared = crate::message::off_worker(|| {
            let (metas, raws): (Vec<_>, Vec<_>) =
                self.messages.into_iter().map(|(meta, bytes)| (meta, Bytes::from(bytes))).unzip();
            let prepared = store.prepare_all(raws)?.into_iter().zip(metas);
            Ok::<_, StoreError>(
                prepared
                    .map(|(prepared, meta)| AppendMessage {
                        prepared,
                        flags: meta.flags,
                        internal_date: meta.internal_date,
                    })
                    .collect::<Vec<_>>(),
            )
        })?;
        let Appended { uid_validity, uids } = match (self.gone, prepared.len()) {
            (None, _) => store.append(permit, keys, self.mailbox.id, prepared).await?.value,
            (Some((open, uid, _)), 1) => {
                let expunge = session.admit_on(Action::Expunge, &open)?;
                let message = prepared.remove(0);
                let gone = (expunge, open.mailbox, uid);
                let appended = store.replace(permit, keys, self.mailbox.id, message, gone).await?.value;
                session.counts.appended = session.counts.appended.saturating_add(1);
                // RFC 8508 §4.3: before the EXPUNGE.
                let code = Code::AppendUid { validity: appended.uid_validity, uids: &appended.uids };
                session.wire.out.untagged(Status::Ok, Some(code), "Replacement is there");
                session.tell_own(true);
                return Ok(Reply::ok("REPLACE done"));
            }
            (Some(_), _) => return Err(Fail::Bad("REPLACE takes one message")),
        };
        session.counts.appended = session.counts.appended.saturating_add(uids.len() as u64);
        // RFC 9051 §6.3.12, clients.md 8: EXISTS comes before the tagged OK, by this row's `Tells::All`.
        Ok(Reply::ok_code(ReplyCode::AppendUid(uid_validity, uids), "Appended"))
    }
}

/// The message that REPLACE removes.
fn replaced(session: &mut Session, replaces: Replaces) -> Result<(Open, Uid, u64), Fail> {
    if session.enabled.uid_only && !replaces.uid {
        return Err(Fail::UidRequired);
    }
    session.tell(false);
    let open = session.open()?;
    if open.read_only {
        return Err(Fail::No(Some(Code::NoPerm), "The mailbox is open read-only"));
    }
    let entry = if replaces.uid {
        open.picture.by_uid(Uid::new(replaces.number))
    } else {
        open.picture.by_number(replaces.number)
    };
    let Some(entry) = entry else {
        return Err(Fail::No(Some(Code::NonExistent), "The message to replace is not there"));
    };
    let permit = session.admit_on(Action::Expunge, &open)?;
    // One that cannot be read any more can still be replaced.
    let size = session.store().read(&permit)?.message(entry.email).map_or(0, |row| row.size.get());
    Ok((open, entry.uid, size))
}

/// Reads the announced bytes, for as long as there is memory for them: a share grows by what has come, so that nobody
/// takes room by announcing.
async fn stream(
    session: &mut Session,
    announced: Announced,
    share: &mut Share,
    bytes: &mut Vec<u8>,
) -> Result<(), Fail> {
    session.wire.framer.stream();
    if announced.sync {
        session.wire.out.continuation("Go on");
        session.wire.flush().await?;
    }
    let size = usize::try_from(announced.bytes).unwrap_or(usize::MAX);
    bytes.reserve_exact(size.min(APPEND_RESERVE_BYTES));
    loop {
        let before = bytes.len();
        let whole = session.wire.append_piece(Some(bytes));
        if !share.grow((bytes.len() - before) as u64) {
            session.wire.framer.abandon();
            return Err(Fail::No(Some(Code::Limit), "Too many messages at once, try again later"));
        }
        if whole {
            return Ok(());
        }
        session.read_on().await?;
    }
}
