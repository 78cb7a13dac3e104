//! APPEND. RFC 9051 §6.3.12, RFC 3502 (several messages), RFC 4315 §3 (APPENDUID), RFC 7888 (LITERAL+).
//!
//! The gate is asked when the literal is announced, before a byte of it is read: a client that waits gets `NO` in
//! place of `+`; from one that does not wait, the bytes are read and dropped.

use bytes::Bytes;
use pli_gate::Target;
use pli_imap_proto::{
    Announced, AppendMeta, AppendPrefix, Code, CommandError, Status, Tag, parse_append_end, parse_append_next,
    parse_append_prefix,
};
use pli_store::{AppendMessage, Mailbox, Permit};
use pli_types::{Action, ByteCount};

use super::find_target;
use crate::budget::Share;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::limits::{APPEND_RESERVE_BYTES, MULTIAPPEND_COUNT_MAX, SKIP_TIMES_MAX};
use crate::session::Session;
use crate::state::State;
use crate::wire::Step;

/// How an APPEND that is not whole goes on.
enum End {
    /// A tagged answer.
    Answer(Result<Reply, Fail>),
    /// The line was no command; the printer knows the answer.
    Syntax(CommandError),
}

/// Takes an APPEND whose first message is announced.
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
    match take(session, prefix, announced).await {
        End::Answer(result) => session.answer(&tag, "APPEND", result),
        End::Syntax(error) => {
            session.wire.out.command_error(&error);
            Ok(())
        }
    }
}

/// An APPEND that came whole (the framer was let collect it).
pub async fn whole(
    session: &mut Session,
    prefix: AppendPrefix,
    message: Vec<u8>,
    more: Vec<(AppendMeta, Vec<u8>)>,
) -> Result<Reply, Fail> {
    let mailbox = find_target(session, &prefix.mailbox)?;
    let mut messages = vec![(prefix.meta, message)];
    messages.extend(more);
    let total = messages.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    admit(session, &mailbox, total)?;
    commit(session, &mailbox, messages).await
}

async fn take(session: &mut Session, prefix: AppendPrefix, first: Announced) -> End {
    let AppendPrefix { tag, mailbox, mut meta } = prefix;
    let opened = session.enter("APPEND").and_then(|()| find_target(session, &mailbox));
    let mailbox = match opened {
        Ok(mailbox) => mailbox,
        Err(fail) => {
            session.wire.framer.refuse();
            return End::Answer(Err(fail));
        }
    };
    let mut announced = first;
    let mut total = 0u64;
    let mut messages: Vec<(AppendMeta, Vec<u8>)> = Vec::new();
    let mut share = session.service.appending.share();
    loop {
        total = total.saturating_add(announced.bytes);
        if let Err(fail) = fits(session, &mailbox, announced, total, messages.len()) {
            let skippable = session.service.config.message_bytes_max.saturating_mul(SKIP_TIMES_MAX);
            if !announced.sync && announced.bytes > skippable {
                // RFC 7888 §4: so much is not skipped.
                session.wire.out.untagged(Status::Bye, Some(Code::TooBig), "Literal too long");
                session.state = State::Logout;
            }
            session.wire.framer.refuse();
            return End::Answer(Err(fail));
        }
        let bytes = match stream(session, announced, &mut share).await {
            Ok(bytes) => bytes,
            Err(fail) => return End::Answer(Err(fail)),
        };
        let last = meta.clone();
        messages.push((std::mem::take(&mut meta), bytes));
        match next(session, &tag, &last).await {
            Ok(Some((next_meta, next_announced))) => (meta, announced) = (next_meta, next_announced),
            Ok(None) => break,
            Err(end) => return end,
        }
    }
    // RFC 9051 §6.3.12, RFC 3502 §6.3.11: an empty message gives the APPEND up.
    if messages.iter().any(|(_, bytes)| bytes.is_empty()) {
        return End::Answer(Err(Fail::No(Some(Code::Cannot), "An empty message cannot be appended")));
    }
    End::Answer(commit(session, &mailbox, messages).await)
}

/// Whether the announced message would be taken.
fn fits(session: &Session, mailbox: &Mailbox, announced: Announced, total: u64, before: usize) -> Result<(), Fail> {
    if announced.bytes > session.service.config.message_bytes_max {
        // RFC 7889 §2, RFC 4469: TOOBIG
        return Err(Fail::No(Some(Code::TooBig), "The message is too large"));
    }
    if before >= MULTIAPPEND_COUNT_MAX || (before > 0 && total > session.service.config.message_bytes_max) {
        return Err(Fail::No(Some(Code::Limit), "Too many messages at once"));
    }
    admit(session, mailbox, total)
}

fn leave(session: &Session, mailbox: &Mailbox, adds: u64) -> Result<Permit, Fail> {
    let about = Target { account: Some(mailbox.account), mailbox: Some(mailbox.id), adds: ByteCount::new(adds) };
    session.admit(Action::Append, &about)
}

fn admit(session: &Session, mailbox: &Mailbox, adds: u64) -> Result<(), Fail> {
    leave(session, mailbox, adds).map(drop)
}

/// Reads the announced bytes, for as long as there is memory for them: a share grows by what has come, so that nobody
/// takes room by announcing.
async fn stream(session: &mut Session, announced: Announced, share: &mut Share) -> Result<Vec<u8>, Fail> {
    session.wire.framer.stream();
    if announced.sync {
        session.wire.out.continuation("Go on");
        session.wire.flush().await?;
    }
    let size = usize::try_from(announced.bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(size.min(APPEND_RESERVE_BYTES));
    loop {
        let before = bytes.len();
        let whole = session.wire.append_piece(Some(&mut bytes));
        if !share.grow((bytes.len() - before) as u64) {
            session.wire.framer.abandon();
            return Err(Fail::No(Some(Code::Limit), "Too many messages at once, try again later"));
        }
        if whole {
            return Ok(bytes);
        }
        session.read_on().await?;
    }
}

/// What follows a message: another one (RFC 3502), or the end.
async fn next(session: &mut Session, tag: &Tag, last: &AppendMeta) -> Result<Option<(AppendMeta, Announced)>, End> {
    loop {
        match session.wire.step() {
            Step::AppendEnd(end) => {
                return parse_append_end(tag, last, &end).map(|()| None).map_err(End::Syntax);
            }
            Step::Append(announced) => {
                return match parse_append_next(tag, last, session.wire.framer.prefix()) {
                    Ok(meta) => Ok(Some((meta, announced))),
                    Err(error) => {
                        session.wire.framer.refuse();
                        Err(End::Syntax(error))
                    }
                };
            }
            Step::Refused(..) => return Err(End::Answer(Err(Fail::Bad("Line too long")))),
            Step::More => session.read_on().await.map_err(|fail| End::Answer(Err(fail)))?,
            Step::Command(_) | Step::Error(_) | Step::Continue | Step::Line(_) => {
                return Err(End::Answer(Err(Fail::Bad("Expected the end of APPEND"))));
            }
        }
    }
}

async fn commit(session: &mut Session, mailbox: &Mailbox, messages: Vec<(AppendMeta, Vec<u8>)>) -> Result<Reply, Fail> {
    let login = session.login()?;
    let store = session.store();
    let total = messages.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let permit = leave(session, mailbox, total)?;
    // Into another's mailbox a message goes as a delivery does: sealed, without the keys that would open it.
    let keys = (mailbox.account == login.account).then_some(&*login.keys);
    let prepared = crate::message::off_worker(|| {
        messages
            .into_iter()
            .map(|(meta, bytes)| {
                let prepared = store.prepare(Bytes::from(bytes))?;
                Ok(AppendMessage { prepared, flags: meta.flags, internal_date: meta.internal_date })
            })
            .collect::<Result<Vec<_>, pli_store::StoreError>>()
    })?;
    let appended = store.append(permit, keys, mailbox.id, prepared).await?.value;
    session.counts.appended = session.counts.appended.saturating_add(appended.uids.len() as u64);
    // RFC 9051 §6.3.12, clients.md 8: EXISTS comes before the tagged OK, by this row's `Tells::All`.
    Ok(Reply::ok_code(ReplyCode::AppendUid(appended.uid_validity, appended.uids), "Appended"))
}
