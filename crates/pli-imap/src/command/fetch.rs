//! FETCH and UID FETCH. RFC 9051 §6.4.5, RFC 7162 §3.1.4 (CHANGEDSINCE), §3.2.6 (VANISHED), RFC 3516 (BINARY),
//! RFC 9394 §3.3 (PARTIAL), RFC 8514 (SAVEDATE).
//!
//! Answers are written in batches and sent as the buffer fills: memory stays the same however many messages are
//! asked, and a slow client holds up nobody but itself.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use pli_crypto::Opened;
use pli_imap_proto::{Code, FetchItem, MessageSet, Out, PartialRange};
use pli_store::{Entry, FlagMode, Listed, Reader, Snapshot, StoreError};
use pli_types::{Action, EmailId, FlagSet, ModSeq, Rights, SystemFlag, Uid};

use crate::fail::{Fail, Reply, ReplyCode};
use crate::limits::{BATCH_MESSAGES, FLUSH_BYTES, HOLE_BYTES, LISTED_MESSAGES, LISTED_MESSAGES_FIRST};
use crate::listing::{Keeper, lasts};
use crate::message::{Content, Label, Message, email_id, off_worker};
use crate::others;
use crate::pick::{Picked, pick};
use crate::picture::{FlagPrinter, Show};
use crate::placeholder::hole;
use crate::saved::SaveDates;
use crate::session::Session;
use crate::state::Place;

/// What the items ask of the store.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// The message's row.
    row: bool,
    /// Its summary.
    summary: bool,
    /// When it was put into the mailbox.
    dates: bool,
    /// How many items need bytes of the body.
    bodies: usize,
    /// Asking marks messages \Seen.
    sets_seen: bool,
    /// Content is read, not only what describes it.
    content: bool,
}

impl Plan {
    fn new(items: &[FetchItem], read_only: bool) -> Self {
        let mut plan = Self::default();
        for item in items {
            match item {
                FetchItem::Flags | FetchItem::Uid | FetchItem::ModSeq | FetchItem::EmailId | FetchItem::ThreadId => {}
                FetchItem::SaveDate => plan.dates = true,
                FetchItem::InternalDate | FetchItem::Rfc822Size => plan.row = true,
                FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => plan.summary = true,
                FetchItem::Preview { .. } => {
                    plan.summary = true;
                    plan.content = true;
                }
                FetchItem::Rfc822
                | FetchItem::Rfc822Header
                | FetchItem::Rfc822Text
                | FetchItem::Section { .. }
                | FetchItem::Binary { .. }
                | FetchItem::BinarySize { .. } => {
                    plan.summary = true;
                    plan.content = true;
                    plan.bodies = plan.bodies.saturating_add(1);
                }
            }
            plan.sets_seen |= item.sets_seen() && !read_only;
        }
        plan
    }
    /// Everything stands in the picture.
    const fn is_light(self) -> bool {
        !self.row && !self.summary && !self.dates
    }
    /// Whether pieces of the answers are worth keeping: there are some, and nothing else must be read for the rest.
    fn lasts(self, items: &[FetchItem]) -> bool {
        let lasting = |item: &&FetchItem| {
            matches!(item, FetchItem::Flags | FetchItem::Uid | FetchItem::ModSeq)
                || matches!(item, FetchItem::EmailId | FetchItem::ThreadId | FetchItem::SaveDate)
                || lasts(item)
        };
        (self.row || self.summary) && !self.sets_seen && items.iter().all(|item| lasting(&item))
    }
}

/// What went wrong with single messages while the others were served.
#[derive(Default)]
struct Trouble {
    gone: bool,
    failed: Option<StoreError>,
    unknown_encoding: bool,
}

/// What comes of a FETCH as it goes.
#[derive(Default)]
struct Course {
    trouble: Trouble,
    /// Keeps pieces of the answers for the next who asks.
    keeper: Option<Keeper>,
    /// Where they stand in the buffer, of the message that is written.
    pieces: Vec<Range<usize>>,
}

pub async fn run(
    session: &mut Session,
    uid: bool,
    set: &MessageSet,
    mut items: Vec<FetchItem>,
    changed_since: Option<ModSeq>,
    vanished: bool,
    partial: Option<PartialRange>,
) -> Result<Reply, Fail> {
    let open = session.open()?;
    let saved = session.selected().map(|selected| selected.saved.clone()).unwrap_or_default();
    let mut picked = pick(&open.picture, uid, set, &saved)?;
    if let Some(range) = partial {
        // RFC 9394 §3.4: PARTIAL picks, and CHANGEDSINCE looks at what is left.
        picked.cut(&open.picture, range);
    }
    let lowest = picked.limit(&open.picture, session.message_limit());
    // RFC 7162 §3.2.6
    if vanished && !(uid && changed_since.is_some() && session.enabled.qresync) {
        return Err(Fail::Bad("VANISHED needs QRESYNC, UID FETCH and CHANGEDSINCE"));
    }
    if changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
        items.push(FetchItem::ModSeq);
    }
    if items.contains(&FetchItem::ModSeq) {
        // RFC 7162 §3.1: a CONDSTORE-enabling command.
        session.enabled.condstore = true;
    }
    // RFC 9051 §6.4.9: the UID is in every answer to UID FETCH; RFC 9586 §3.3: UIDFETCH begins with it.
    if uid && !session.enabled.uid_only && !items.contains(&FetchItem::Uid) {
        items.insert(0, FetchItem::Uid);
    }
    let items = each_once(items);
    // RFC 4314 §4: without the right to it \\Seen is left as it is, without a word.
    let marks = !open.read_only && session.rights(&open)?.has(Rights::SEEN);
    let plan = Plan::new(&items, !marks);
    let action = if plan.content { Action::FetchContent } else { Action::FetchMetadata };
    let permit = session.admit_on(action, &open)?;
    let store = session.store();
    let reader = open.reader(&store, &permit)?;
    if vanished && let Some(since) = changed_since {
        write_vanished(session, reader, set, since)?;
    }
    let dates = SaveDates::new(reader, open.mailbox, open.picture.last_uid().unwrap_or_default());
    let fetch = Fetch { reader, keys: &open.keys, place: Place::from(&open), items: &items, plan, dates };
    let mut course = Course::default();
    if plan.lasts(&items) {
        let utf8 = session.wire.out.is_utf8();
        course.keeper = session.listing(&open).map(|listing| listing.keeper(open.mailbox, &items, utf8));
    }
    let trouble = fetch.all(session, &open.picture, &picked, changed_since, course).await?;
    finish(trouble, uid).map(|reply| session.or_limited(reply, lowest))
}

/// An item that is named twice is answered once: otherwise a short command could ask for any amount of work.
fn each_once(items: Vec<FetchItem>) -> Vec<FetchItem> {
    let mut once: Vec<FetchItem> = Vec::with_capacity(items.len());
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

fn finish(trouble: Trouble, uid: bool) -> Result<Reply, Fail> {
    if let Some(error) = trouble.failed {
        return Err(error.into());
    }
    if trouble.unknown_encoding {
        return Err(Fail::No(Some(Code::UnknownCte), "A part's encoding is not known"));
    }
    if trouble.gone && !uid {
        // RFC 5530 §3
        return Ok(Reply::ok_code(ReplyCode::Plain(Code::ExpungeIssued), "Some messages are gone"));
    }
    Ok(Reply::ok("FETCH done"))
}

/// RFC 7162 §3.2.6: UIDs of the set that were expunged since.
fn write_vanished(session: &mut Session, reader: Reader<'_>, set: &MessageSet, since: ModSeq) -> Result<(), Fail> {
    let MessageSet::Set(set) = set else { return Ok(()) };
    let Some(selected) = session.selected() else { return Ok(()) };
    let last = selected.picture.uid_next.get().saturating_sub(1);
    let asked = set.resolve(last);
    let gone = asked.meet(&reader.vanished_since(&selected.picture, since)?);
    session.wire.out.vanished_earlier(&gone);
    Ok(())
}

/// How often a message has been tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    /// It did not open. What was read while the index was being made again may open now.
    Again,
    /// It does not open.
    Placeholder,
}

struct Fetch<'a> {
    reader: Reader<'a>,
    keys: &'a Opened,
    place: Place,
    items: &'a [FetchItem],
    plan: Plan,
    dates: SaveDates<'a>,
}

impl Fetch<'_> {
    async fn all(
        &self,
        session: &mut Session,
        picture: &Snapshot,
        picked: &Picked,
        changed_since: Option<ModSeq>,
        mut course: Course,
    ) -> Result<Trouble, Fail> {
        let _first = (!self.plan.is_light()).then(|| session.service.indexing.give_way());
        let mut printer = FlagPrinter::default();
        let floor = changed_since.unwrap_or_default();
        let mut entries = picked.entries(picture).filter(|(_, entry)| changed_since.is_none() || entry.modseq > floor);
        let mut batch: Vec<(u32, Entry)> = Vec::new();
        let mut count = if self.plan.is_light() { BATCH_MESSAGES } else { LISTED_MESSAGES_FIRST };
        loop {
            batch.clear();
            batch.extend(entries.by_ref().take(count));
            if !self.plan.is_light() {
                // While contents are sent to a slow client, fewer summaries wait beside them.
                let most = if self.plan.bodies > 0 { LISTED_MESSAGES_FIRST } else { LISTED_MESSAGES };
                count = count.saturating_mul(2).min(most);
            }
            if batch.is_empty() {
                if let Some(keeper) = &mut course.keeper {
                    keeper.finish();
                }
                return Ok(course.trouble);
            }
            let seen = if self.plan.sets_seen { self.mark_seen(session, &mut batch).await? } else { BTreeSet::new() };
            // A keyword that another session made meanwhile has its name in the newest picture only.
            let names = session.selected().map(|selected| Arc::clone(&selected.picture));
            let names = names.as_deref().unwrap_or(picture);
            if self.plan.content {
                Box::pin(others::record_reads(session, self.place, picture, &batch)).await?;
                session.counts.read = session.counts.read.saturating_add(batch.len() as u64);
            }
            if self.plan.is_light() {
                for (number, entry) in &batch {
                    self.light(session, &mut printer, names, *number, entry);
                    session.wire.flush_if_full().await?;
                }
            } else {
                self.batch(session, &mut printer, names, &batch, &seen, &mut course).await?;
            }
            // Others get their turn: none of the store's reads above waits.
            tokio::task::yield_now().await;
        }
    }

    /// Messages whose answers are made of what was kept, or of what the store has.
    async fn batch(
        &self,
        session: &mut Session,
        printer: &mut FlagPrinter,
        names: &Snapshot,
        batch: &[(u32, Entry)],
        seen: &BTreeSet<Uid>,
        course: &mut Course,
    ) -> Result<(), Fail> {
        let mut is_kept = |entry: &Entry| {
            let kept = course.keeper.as_mut().is_some_and(|keeper| keeper.has(entry.uid.get()));
            kept && !self.reader.is_damaged(entry.email)
        };
        let emails: Vec<EmailId> =
            batch.iter().filter(|(_, entry)| !is_kept(entry)).map(|(_, entry)| entry.email).collect();
        let summaries = self.plan.summary.then_some(self.keys);
        let mut listed = if emails.is_empty() {
            Vec::new().into_iter()
        } else {
            off_worker(|| self.reader.list(&emails, summaries))?.into_iter()
        };
        let mut read = emails.into_iter().peekable();
        for (number, entry) in batch {
            let listed = if read.next_if_eq(&entry.email).is_some() { listed.next() } else { None };
            let kept = listed.is_none() && self.kept(session, printer, names, (*number, entry), course)?;
            if !kept {
                let told = seen.contains(&entry.uid);
                let listed = listed.unwrap_or(Err(StoreError::NoMessage));
                self.one(session, printer, names, (*number, entry, listed), told, course).await?;
            }
            session.wire.flush_if_full().await?;
        }
        Ok(())
    }

    /// Writes an answer of what was kept; false if that is not there.
    fn kept(
        &self,
        session: &mut Session,
        printer: &mut FlagPrinter,
        names: &Snapshot,
        (number, entry): (u32, &Entry),
        course: &mut Course,
    ) -> Result<bool, StoreError> {
        let Some(keeper) = &mut course.keeper else { return Ok(false) };
        if !keeper.turn_to(entry.uid.get()) {
            return Ok(false);
        }
        let out = &mut session.wire.out;
        out.fetch_start(number, entry.uid);
        let mut at = 0_usize;
        for item in self.items {
            match item {
                FetchItem::SaveDate => out.fetch_save_date(self.dates.get(entry.uid)?),
                item if lasts(item) => {
                    out.fetch_again(keeper.piece(at));
                    at = at.saturating_add(1);
                }
                item => write_light(out, printer, names, item, entry),
            }
        }
        out.fetch_end();
        Ok(true)
    }

    /// RFC 9051 §6.4.5: reading content sets \Seen; it is committed before the content is sent. What is unseen is asked
    /// of the newest picture: another session may have taken \Seen away.
    async fn mark_seen(&self, session: &mut Session, batch: &mut [(u32, Entry)]) -> Result<BTreeSet<Uid>, Fail> {
        session.tell(false);
        renew(session, batch);
        let unseen: BTreeSet<Uid> = batch
            .iter()
            .filter(|(_, entry)| entry.flags & SystemFlag::Seen.bit() == 0)
            .map(|(_, entry)| entry.uid)
            .collect();
        if unseen.is_empty() {
            return Ok(unseen);
        }
        let permit = session.admit_on(Action::MarkSeen, self.place)?;
        let flags: FlagSet = [SystemFlag::Seen].into_iter().collect();
        let uids = unseen.iter().copied().collect();
        let store = session.store();
        store.change_flags(permit, self.place.mailbox, uids, FlagMode::Add, flags, None).await?;
        // Their FLAGS go with their FETCH answers below.
        session
            .tell_showing(false, |entry| (true, if unseen.contains(&entry.uid) { Show::Nothing } else { Show::Flags }));
        renew(session, batch);
        Ok(unseen)
    }

    /// One message, from the picture alone.
    fn light(&self, session: &mut Session, printer: &mut FlagPrinter, names: &Snapshot, number: u32, entry: &Entry) {
        let out = &mut session.wire.out;
        out.fetch_start(number, entry.uid);
        for item in self.items {
            write_light(out, printer, names, item, entry);
        }
        out.fetch_end();
    }

    async fn one(
        &self,
        session: &mut Session,
        printer: &mut FlagPrinter,
        names: &Snapshot,
        (number, entry, listed): (u32, &Entry, Result<Listed, StoreError>),
        tell_flags: bool,
        course: &mut Course,
    ) -> Result<(), Fail> {
        // Whatever is wrong with it is looked into again, alone.
        let mut listed = listed.ok();
        let mut turn = Turn::First;
        loop {
            let start = session.wire.out.len();
            let mut sent = false;
            let message = (number, entry, listed.take());
            let result = self.write(session, printer, names, message, tell_flags, turn, &mut sent, course).await;
            let error = match result {
                Ok(()) => return Ok(()),
                Err(Fail::Store(error)) => error,
                Err(fail) => return Err(fail),
            };
            if sent {
                // The answer is half sent and cannot be taken back.
                tracing::error!(session = %session.info.id, %error, "reading a message failed half-way");
                return Err(Fail::Io(std::io::ErrorKind::ConnectionAborted.into()));
            }
            session.wire.out.truncate(start);
            turn = match (error, turn) {
                // Its rows are gone, and nobody has expunged it.
                (error @ StoreError::NoMessage, Turn::First | Turn::Again)
                    if self.reader.stands(self.place.mailbox, entry.uid)? =>
                {
                    self.note_damage(session, entry, error);
                    Turn::Placeholder
                }
                (StoreError::NoMessage, _) => {
                    course.trouble.gone = true;
                    return Ok(());
                }
                (error, Turn::First) if error.is_damage() => {
                    self.reader.confirm_damage()?;
                    Turn::Again
                }
                (error, Turn::Again) if error.is_damage() => {
                    self.reader.confirm_damage()?;
                    self.note_damage(session, entry, error);
                    Turn::Placeholder
                }
                // The rest is served.
                (error @ (StoreError::Damaged(_) | StoreError::Keys(_) | StoreError::Io(_)), _) => {
                    course.trouble.failed = Some(error);
                    return Ok(());
                }
                (error, _) => return Err(error.into()),
            };
        }
    }

    fn note_damage(&self, session: &mut Session, entry: &Entry, error: StoreError) {
        if self.reader.mark_damaged(entry.email) {
            let action = if self.plan.content { Action::FetchContent } else { Action::FetchMetadata };
            session.tell_damaged(action, self.place, vec![(*entry, error)]);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    async fn write(
        &self,
        session: &mut Session,
        printer: &mut FlagPrinter,
        names: &Snapshot,
        (number, entry, listed): (u32, &Entry, Option<Listed>),
        tell_flags: bool,
        turn: Turn,
        sent: &mut bool,
        course: &mut Course,
    ) -> Result<(), Fail> {
        let keys = self.keys;
        let mut message = match turn {
            Turn::Placeholder => Message::placeholder(self.reader, keys, entry.email)?,
            Turn::First | Turn::Again => match listed {
                Some(listed) => Message::from_listed(self.reader, keys, entry.email, listed, self.plan.summary)?,
                None => Message::read(self.reader, keys, entry.email, self.plan.summary)?,
            },
        };
        message.expect_bodies(self.plan.bodies);
        let start = session.wire.out.len();
        session.wire.out.fetch_start(number, entry.uid);
        let begun = session.wire.out.len();
        course.pieces.clear();
        for item in self.items {
            let out = &mut session.wire.out;
            let before = out.len();
            match item {
                FetchItem::SaveDate => out.fetch_save_date(self.dates.get(entry.uid)?),
                FetchItem::InternalDate => out.fetch_internal_date(message.row.received),
                FetchItem::Rfc822Size => out.fetch_size(message.row.size.get()),
                FetchItem::Envelope => message.write_envelope(out),
                FetchItem::Body => message.write_structure(out, false),
                FetchItem::BodyStructure => message.write_structure(out, true),
                FetchItem::Preview { .. } => message.write_preview(out),
                FetchItem::BinarySize { part } => match or_nothing(off_worker(|| message.binary(part)), *sent)? {
                    Some(Some(bytes)) => out.fetch_binary_size(part, bytes.len() as u64),
                    Some(None) => course.trouble.unknown_encoding = true,
                    None => out.fetch_binary_size(part, 0),
                },
                FetchItem::Binary { part, partial, .. } => {
                    let bytes = match or_nothing(off_worker(|| message.binary(part)), *sent)? {
                        Some(Some(bytes)) => Some(bytes),
                        Some(None) => {
                            course.trouble.unknown_encoding = true;
                            None
                        }
                        None => None,
                    };
                    let bytes = bytes.map(|bytes| crate::message::cut(bytes, *partial));
                    out.fetch_binary(part, partial.map(|p| p.offset), bytes);
                }
                FetchItem::Rfc822 | FetchItem::Rfc822Header | FetchItem::Rfc822Text | FetchItem::Section { .. } => {
                    let (label, content) = message.section(item);
                    let content = or_nothing(content.map(Some), *sent)?.unwrap_or(Content::None);
                    if let Some(error) = send_content(session, &message, &label, content, sent).await? {
                        self.note_damage(session, entry, error);
                    }
                }
                light => write_light(out, printer, names, light, entry),
            }
            if lasts(item) {
                // Without the blank before it.
                let out = session.wire.out.as_bytes();
                let blank = usize::from(out.get(before) == Some(&b' '));
                course.pieces.push(before.saturating_add(blank)..out.len());
            }
            if session.wire.out.len() >= FLUSH_BYTES {
                // One message may be asked for many large pieces: they are not heaped up.
                *sent = true;
                session.wire.flush_if_full().await?;
            }
        }
        if let Some(keeper) = &mut course.keeper
            && turn == Turn::First
            && !*sent
            && !self.reader.is_damaged(entry.email)
        {
            keeper.keep_ranges(entry.uid.get(), session.wire.out.as_bytes(), &course.pieces);
        }
        self.write_seen(session, printer, names, entry, tell_flags);
        if !*sent && session.wire.out.len() == begun {
            // RFC 9051 §9 msg-att: the list is never empty.
            session.wire.out.truncate(start);
        } else {
            session.wire.out.fetch_end();
        }
        Ok(())
    }

    /// The flags that reading has changed, unless they were asked for anyway.
    fn write_seen(
        &self,
        session: &mut Session,
        printer: &mut FlagPrinter,
        names: &Snapshot,
        entry: &Entry,
        tell_flags: bool,
    ) {
        if !tell_flags {
            return;
        }
        if !self.items.contains(&FetchItem::Flags) {
            session.wire.out.fetch_flags(printer.print(names, entry.flags));
        }
        if session.enabled.condstore && !self.items.contains(&FetchItem::ModSeq) {
            session.wire.out.fetch_modseq(entry.modseq);
        }
    }
}

/// The entries as the session's picture has them now.
fn renew(session: &mut Session, batch: &mut [(u32, Entry)]) {
    let Some(selected) = session.selected() else { return };
    for (_, entry) in batch {
        if let Some(now) = selected.picture.by_uid(entry.uid) {
            *entry = now;
        }
    }
}

/// Items that stand in the picture.
fn write_light(out: &mut Out, printer: &mut FlagPrinter, names: &Snapshot, item: &FetchItem, entry: &Entry) {
    match item {
        FetchItem::Flags => out.fetch_flags(printer.print(names, entry.flags)),
        FetchItem::Uid => out.fetch_uid(entry.uid),
        FetchItem::ModSeq => out.fetch_modseq(entry.modseq),
        FetchItem::EmailId => out.fetch_email_id(&email_id(entry.email)),
        FetchItem::ThreadId => out.fetch_thread_id(None),
        _ => {}
    }
}

/// What does not open after the answer's beginning is sent is answered with NIL: nothing can be taken back.
fn or_nothing<T>(read: Result<Option<T>, StoreError>, sent: bool) -> Result<Option<T>, StoreError> {
    match read {
        Err(error) if sent && error.is_damage() => {
            tracing::error!(%error, "a part of a message does not open");
            Ok(None)
        }
        other => other,
    }
}

/// What stands for NUL, as long as it is.
const INSTEAD_OF_NUL: u8 = 0x80;

/// RFC 9051 §4.3: no string holds NUL but literal8, which only BINARY is answered with. Parsers end a session over one.
fn without_nul(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&0) {
        return Cow::Borrowed(bytes);
    }
    bytes.iter().map(|byte| if *byte == 0 { INSTEAD_OF_NUL } else { *byte }).collect()
}

/// Writes a piece of a body: small ones into the buffer, large ones past it, range by range. Where damage shows up only
/// when the beginning is sent already, the hole is filled with a notice, and the damage is returned.
async fn send_content(
    session: &mut Session,
    message: &Message<'_>,
    label: &Label<'_>,
    content: Content,
    sent: &mut bool,
) -> Result<Option<StoreError>, Fail> {
    let out = &mut session.wire.out;
    let (start, end) = match content {
        Content::None => {
            label.write(out, None);
            return Ok(None);
        }
        Content::Bytes(bytes) => {
            label.write(out, Some(&without_nul(&bytes)));
            return Ok(None);
        }
        Content::Range(range) => (range.start, range.end),
    };
    label.write_start(out, end.saturating_sub(start));
    let mut at = start;
    let mut step = crate::limits::BODY_CHUNK_BYTES;
    let mut damage = None;
    while at < end {
        let until = end.min(at.saturating_add(step));
        let bytes = match message.bytes(at..until) {
            Ok(bytes) => bytes,
            Err(error) if *sent && error.is_damage() => {
                damage.get_or_insert(error);
                if step > HOLE_BYTES {
                    // What can be read around the hole is read.
                    step = HOLE_BYTES;
                    continue;
                }
                Bytes::from(hole(usize::try_from(until.saturating_sub(at)).unwrap_or(0)))
            }
            Err(error) => return Err(error.into()),
        };
        if bytes.is_empty() {
            return Err(Fail::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        at = at.saturating_add(bytes.len() as u64);
        let bytes = without_nul(&bytes);
        if bytes.len() < FLUSH_BYTES {
            session.wire.out.raw(&bytes);
        } else {
            *sent = true;
            session.wire.send(&bytes).await?;
        }
    }
    Ok(damage)
}
