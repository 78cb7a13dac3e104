//! `verify`: every frame authenticates, every row opens, and the numbers fit. The numbers of the invariants are those of
//! `docs/design/store.md`.

use std::collections::{BTreeMap, HashMap, HashSet};

use pli_crypto::sha256;
use pli_io::OpenMode;
use pli_types::{AccountId, Action, BodyId, EmailId, MailboxId, SystemFlag};

use crate::body::read;
use crate::codec::Reader;
use crate::error::StoreError;
use crate::index::Next;
use crate::log::batch::decode_batch;
use crate::log::frame::{FrameKind, chain};
use crate::log::segment::{Footer, SEGMENT_START, Segment, SegmentEnd};
use crate::log::snapshot::decode_snapshot;
use crate::log::walk::{Bodies, Piece, read_frame, walk};
use crate::log::writer::Position;
use crate::model::{Account, Damage, Mailbox, QueueRow, VerifyReport};
use crate::open::list_segments;
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::directory::Blob;
use crate::rows::log::DroppedRow;
use crate::rows::mail::{AccountState, BodyRow, EntryBlock, MessageRow};
use crate::rows::{Key, Row, Table, decode, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What the log says of itself.
#[derive(Default)]
struct LogFacts {
    /// Body frames that authenticate: place → length and body.
    bodies: HashMap<(u32, u64), (u32, u64)>,
    /// The last value of each row, as a digest.
    rows: BTreeMap<Key, [u8; 16]>,
    /// Whether a batch was lost, so that rows cannot be compared.
    holes: bool,
    /// Up to where it was read.
    at: Position,
    /// The end of the segment before.
    previous: Option<SegmentEnd>,
    done: u64,
}

fn damage(report: &mut VerifyReport, kind: &'static str, place: String, what: impl Into<String>) {
    report.damage.push(Damage { kind, place, what: what.into() });
}

fn value_digest(value: &[u8]) -> [u8; 16] {
    let full = sha256(value);
    full.first_chunk().copied().unwrap_or_default()
}

impl Store {
    /// Authenticates every frame and compares index, counts and quota with the log. The log is read while the server
    /// works; while rows are compared, commits wait.
    pub fn verify(&self, permit: &Permit, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
        allowed(permit, &[Action::Verify], None)?;
        let engine = self.engine();
        let mut report = VerifyReport::default();
        let mut facts = LogFacts::default();
        let mut total = 0_u64;
        for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
            total = total.saturating_add(engine.segment_file(number)?.len()?);
        }
        let until = engine.progress.lock().applied;
        self.check_log(until, &mut facts, &mut report, &mut |done| progress(done, total.max(done)))?;
        {
            let _still = engine.apply.read();
            let until = engine.progress.lock().applied;
            self.check_log(until, &mut facts, &mut report, &mut |_| {})?;
            self.check_rows(&facts, &mut report)?;
            self.check_counts(&facts, &mut report)?;
            self.check_audit(&mut report)?;
        }
        progress(total, total);
        Ok(report)
    }

    /// Invariants 1 to 4: the frames from where `facts` ends up to a position.
    fn check_log(
        &self,
        until: Position,
        facts: &mut LogFacts,
        report: &mut VerifyReport,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let engine = self.engine();
        for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
            if number < facts.at.segment || number > until.segment {
                continue;
            }
            let opened =
                Segment::open(&*engine.env.disk, &engine.segments_dir(), &engine.keys, number, OpenMode::Read)?;
            let Some(segment) = opened else {
                facts.holes = true;
                damage(report, "frame", format!("segment {number}"), "neither header is whole");
                continue;
            };
            if number != facts.at.segment {
                if !segment.both_headers(&engine.keys)? {
                    damage(report, "frame", format!("segment {number}, header"), "one of its two copies is damaged");
                }
                self.check_chain(&segment, facts, report);
                facts.at = Position {
                    segment: number,
                    offset: SEGMENT_START,
                    sequence: segment.header.previous.sequence,
                    frames: 0,
                    hash: segment.header_hash,
                };
            }
            let end = match self.successor(number)? {
                Some(end) => end,
                None if number == until.segment => until.offset,
                None => segment.file.len()?,
            };
            check_segment(&segment, end.min(segment.file.len()?), facts, report, progress)?;
            let Position { segment, offset, sequence, hash, .. } = facts.at;
            facts.previous = Some(SegmentEnd { number: segment, length: offset, sequence, hash });
        }
        Ok(())
    }

    /// A segment's end as its successor has it.
    fn successor(&self, number: u32) -> Result<Option<u64>> {
        let engine = self.engine();
        let dir = engine.segments_dir();
        let later = list_segments(&*engine.env.disk, &dir)?.into_iter().find(|later| *later > number);
        let Some(later) = later else { return Ok(None) };
        let opened = Segment::open(&*engine.env.disk, &dir, &engine.keys, later, OpenMode::Read)?;
        Ok(opened
            .map(|segment| segment.header.previous)
            .filter(|previous| previous.number == number)
            .map(|previous| previous.length))
    }

    fn was_dropped(&self, end: SegmentEnd) -> bool {
        let row = self.engine().rows.load::<DroppedRow>(&keys::dropped(end.number));
        matches!(row, Ok(Some(row)) if row.end == end)
    }

    fn check_chain(&self, segment: &Segment, facts: &LogFacts, report: &mut VerifyReport) {
        let place = format!("segment {}, header", segment.header.number);
        match facts.previous {
            Some(previous) if previous == segment.header.previous => {}
            // Compaction dropped what stood before it, and kept a record of how that ended.
            _ if self.was_dropped(segment.header.previous) => {}
            Some(_) if facts.holes => {}
            None if segment.header.previous.number == 0 => {}
            _ => damage(report, "frame", place, "it does not follow the segment before"),
        }
    }

    /// Invariant 5: every row of the index opens, decodes, and is the last that the log has.
    fn check_rows(&self, facts: &LogFacts, report: &mut VerifyReport) -> Result<()> {
        let engine = self.engine();
        let mut seen = 0_usize;
        let index = engine.rows.index();
        let walked = index.scan(&[0], &[u8::MAX], &mut |bytes, _| {
            let Some(key) = Key::parse(bytes) else {
                damage(report, "row", format!("key {}", crate::codec::to_hex(bytes)), "no row of this store");
                return Next::More;
            };
            if key.table() == Some(Table::Position) {
                return Next::More;
            }
            report.rows = report.rows.saturating_add(1);
            let place = || format!("{:?} {}", key.table(), crate::codec::to_hex(bytes.get(1..).unwrap_or_default()));
            match engine.rows.get(&key) {
                Ok(Some(value)) => {
                    if !decodes(key, &value) {
                        damage(report, "row", place(), "it does not decode");
                    }
                    match facts.rows.get(&key) {
                        Some(digest) if *digest == value_digest(&value) => seen = seen.saturating_add(1),
                        Some(_) => damage(report, "row", place(), "it is not the last one in the log"),
                        None if facts.holes => {}
                        None => damage(report, "row", place(), "the log does not have it"),
                    }
                }
                _ => damage(report, "row", place(), "it does not open"),
            }
            Next::More
        });
        walked.map_err(|error| engine.rows.fail(&error))?;
        if seen < facts.rows.len() && report.damage.is_empty() {
            let missing = facts.rows.len().saturating_sub(seen);
            damage(report, "row", String::from("index"), format!("{missing} rows of the log are missing"));
        }
        Ok(())
    }

    /// Invariants 6 to 10: counts, references, quota, queue.
    fn check_counts(&self, facts: &LogFacts, report: &mut VerifyReport) -> Result<()> {
        let rows = &self.engine().rows;
        let mut uses: BTreeMap<BodyId, (u32, u32)> = BTreeMap::new();
        for (_, account) in rows.list::<Account>(&Key::new(Table::Account))? {
            self.check_account(account.id, &mut uses, report)?;
        }
        for (key, row) in rows.list::<QueueRow>(&Key::new(Table::Queue))? {
            let (_, queued) = uses.entry(row.body).or_default();
            *queued = queued.saturating_add(1);
            let due = rows.get(&keys::due(row.next_attempt.0, row.id))?.is_some();
            if due == row.held {
                damage(report, "count", format!("queue entry {}", key.number(1)), "its place in the order is wrong");
            }
        }
        let mut bad = HashSet::new();
        rows.scan(&Key::new(Table::Body), None, |key, bytes| {
            let id = BodyId::new(key.number(1));
            let row: BodyRow = decode(&bytes)?;
            let used = uses.remove(&id).unwrap_or_default();
            if used != (row.messages, row.queued) || used == (0, 0) {
                let what = format!("used {used:?} times, counted {:?}", (row.messages, row.queued));
                damage(report, "count", format!("body {id}"), what);
            }
            if facts.bodies.get(&(row.segment, row.offset)) != Some(&(row.length, id.get())) {
                bad.insert(id);
            }
            Ok(Next::More)
        })?;
        for (id, _) in uses {
            damage(report, "count", format!("body {id}"), "messages use it and it has no row");
        }
        self.check_queue_bodies(&bad, report)?;
        self.name_messages(&bad, report)
    }

    fn check_account(
        &self,
        id: AccountId,
        uses: &mut BTreeMap<BodyId, (u32, u32)>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let rows = &self.engine().rows;
        let place = |what: &str| format!("account {id}{what}");
        let Some(state) = rows.load::<AccountState>(&keys::state(id))? else {
            damage(report, "row", place(""), "it has no state");
            return Ok(());
        };
        let mut messages: HashMap<EmailId, (u32, u64)> = HashMap::new();
        let (mut bytes, mut highest_email) = (0_u64, 0_u64);
        for (key, row) in rows.list::<MessageRow>(&keys::messages(id))? {
            messages.insert(EmailId::new(key.number(9)), (row.refs, row.size));
            highest_email = highest_email.max(key.number(9));
            bytes = bytes.saturating_add(row.size);
            let (used, _) = uses.entry(row.body).or_default();
            *used = used.saturating_add(1);
        }
        let quota = state.quota;
        if (quota.bytes_used.get(), quota.messages_used) != (bytes, messages.len() as u64) {
            let what = format!("counted {} bytes, there are {bytes}", quota.bytes_used);
            damage(report, "quota", place(""), what);
        }
        if highest_email > state.next_email {
            damage(report, "count", place(""), "an email id is above the last one given out");
        }
        let mailboxes = rows.list::<Mailbox>(&keys::mailboxes(id))?;
        if mailboxes.len() != state.mailboxes as usize {
            damage(report, "count", place(""), "the number of mailboxes is wrong");
        }
        for (_, mailbox) in mailboxes {
            self.check_mailbox(&mailbox, &state, &mut messages, report)?;
        }
        for (email, (left, _)) in messages {
            if left != 0 {
                damage(report, "count", place(&format!(", message {email}")), "its entries are not those counted");
            }
        }
        Ok(())
    }

    fn check_mailbox(
        &self,
        mailbox: &Mailbox,
        state: &AccountState,
        messages: &mut HashMap<EmailId, (u32, u64)>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let engine = self.engine();
        let place = format!("account {}, mailbox {}", mailbox.account, mailbox.id);
        let name = keys::mailbox_name(&engine.keys, mailbox.account, mailbox.name.as_str());
        if engine.rows.load::<MailboxId>(&name)? != Some(mailbox.id) {
            damage(report, "row", place.clone(), "its name leads elsewhere");
        }
        let (mut count, mut unseen, mut deleted, mut bytes) = (0_u32, 0_u32, 0_u32, 0_u64);
        let mut last_uid = 0;
        for (_, block) in engine.rows.list::<EntryBlock>(&keys::entries(mailbox.id))? {
            for stored in block.0 {
                let entry = stored.entry;
                count = count.saturating_add(1);
                unseen = unseen.saturating_add(u32::from(entry.flags & SystemFlag::Seen.bit() == 0));
                deleted = deleted.saturating_add(u32::from(entry.flags & SystemFlag::Deleted.bit() != 0));
                match messages.get_mut(&entry.email) {
                    Some((left, size)) if *left > 0 => {
                        *left = left.saturating_sub(1);
                        bytes = bytes.saturating_add(*size);
                    }
                    _ => damage(report, "count", format!("{place}, UID {}", entry.uid), "its message is not counted"),
                }
                let in_order = entry.uid.get() > last_uid && entry.uid < mailbox.uid_next;
                if !in_order || entry.modseq > mailbox.highest_modseq {
                    damage(report, "count", format!("{place}, UID {}", entry.uid), "UID or modseq out of order");
                }
                last_uid = entry.uid.get();
            }
        }
        let counted = (mailbox.messages, mailbox.unseen, mailbox.deleted, mailbox.bytes.get());
        if counted != (count, unseen, deleted, bytes) || mailbox.highest_modseq.get() > state.modseq {
            let what = format!("counted {counted:?}, there are {:?}", (count, unseen, deleted, bytes));
            damage(report, "count", place, what);
        }
        Ok(())
    }

    /// The bodies whose key the store has at hand: what comes out is what came in.
    fn check_queue_bodies(&self, bad: &HashSet<BodyId>, report: &mut VerifyReport) -> Result<()> {
        let engine = self.engine();
        for (key, wrapped) in engine.rows.list::<Blob>(&Key::new(Table::QueueBody))? {
            let id = BodyId::new(key.number(1));
            if bad.contains(&id) {
                continue;
            }
            let Some(row) = engine.rows.load::<BodyRow>(&keys::body(id))? else {
                damage(report, "row", format!("body {id}"), "the queue has a key for a body that is gone");
                continue;
            };
            let opened = self.queue_key(id, &wrapped).and_then(|key| {
                let file = engine.segment_file(row.segment)?;
                read(&engine.body_place(&*file), id, &row, &key.derive(), None)
            });
            match opened {
                Ok(bytes) if sha256(&bytes) == row.digest => report.bodies = report.bodies.saturating_add(1),
                Ok(_) => damage(report, "body", format!("body {id}"), "its bytes are not those that came in"),
                Err(error) => damage(report, "body", format!("body {id}"), error.to_string()),
            }
        }
        Ok(())
    }

    /// Which messages a damaged body is.
    fn name_messages(&self, bad: &HashSet<BodyId>, report: &mut VerifyReport) -> Result<()> {
        if bad.is_empty() {
            return Ok(());
        }
        let rows = &self.engine().rows;
        let mut named = HashSet::new();
        for (_, account) in rows.list::<Account>(&Key::new(Table::Account))? {
            let emails: HashMap<EmailId, BodyId> = rows
                .list::<MessageRow>(&keys::messages(account.id))?
                .into_iter()
                .filter(|(_, row)| bad.contains(&row.body))
                .map(|(key, row)| (EmailId::new(key.number(9)), row.body))
                .collect();
            if emails.is_empty() {
                continue;
            }
            for (_, mailbox) in rows.list::<Mailbox>(&keys::mailboxes(account.id))? {
                for (_, block) in rows.list::<EntryBlock>(&keys::entries(mailbox.id))? {
                    for entry in block.0.iter().map(|stored| stored.entry) {
                        if let Some(body) = emails.get(&entry.email) {
                            named.insert(*body);
                            let place = format!("account {}, mailbox {}, UID {}", account.id, mailbox.id, entry.uid);
                            damage(report, "body", place, format!("the frame of body {body} is damaged"));
                        }
                    }
                }
            }
        }
        for body in bad.iter().filter(|body| !named.contains(*body)) {
            damage(report, "body", format!("body {body}"), "its frame is damaged");
        }
        Ok(())
    }
}

fn check_segment(
    segment: &Segment,
    end: u64,
    facts: &mut LogFacts,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let number = segment.header.number;
    for piece in walk(segment, facts.at.offset, end, Bodies::Check)? {
        match piece {
            Piece::Bad { offset, until } => {
                // It may have been a batch; what it held cannot be compared.
                facts.holes = true;
                let what = format!("{} bytes do not authenticate", until.saturating_sub(offset));
                damage(report, "frame", format!("segment {number}, offset {offset}"), what);
                facts.at.offset = until;
                facts.at.hash = chain(&facts.at.hash, &sha256(&until.to_be_bytes()));
            }
            Piece::Frame { offset, header, link } => {
                report.frames = report.frames.saturating_add(1);
                if header.sequence <= facts.at.sequence {
                    let place = format!("segment {number}, offset {offset}");
                    damage(report, "frame", place, "its sequence goes back");
                }
                if let Some((_, payload, _)) = read_frame(segment, offset, end)? {
                    take_frame(number, offset, header.kind, &payload, facts, report);
                }
                facts.at.offset = offset.saturating_add(header.frame_bytes());
                facts.at.sequence = header.sequence;
                facts.at.frames = facts.at.frames.saturating_add(1);
                facts.at.hash = chain(&facts.at.hash, &link.unwrap_or_default());
                facts.done = facts.done.saturating_add(header.frame_bytes());
                progress(facts.done);
            }
        }
    }
    Ok(())
}

fn take_frame(
    segment: u32,
    offset: u64,
    kind: FrameKind,
    payload: &[u8],
    facts: &mut LogFacts,
    report: &mut VerifyReport,
) {
    let place = || format!("segment {segment}, offset {offset}");
    match kind {
        FrameKind::Body => {
            let body = Reader::new(payload.get(8..).unwrap_or_default()).u64().unwrap_or(0);
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            facts.bodies.insert((segment, offset), (length, body));
        }
        FrameKind::Snapshot => match decode_snapshot(payload) {
            Some((head, found)) => {
                // With everything before it in the log, a snapshot changes nothing; where that was dropped, it counts.
                let ends = |key: &Key| !head.to.is_empty() && **key >= *head.to;
                let lower = Key::parse(&head.from).unwrap_or(Key::new(Table::Globals));
                let old: Vec<Key> = facts.rows.range(lower..).map(|(key, _)| *key).take_while(|k| !ends(k)).collect();
                old.iter().for_each(|key| {
                    facts.rows.remove(key);
                });
                facts.rows.extend(found.into_iter().map(|(key, value)| (key, value_digest(value))));
            }
            None => damage(report, "frame", place(), "the snapshot does not decode"),
        },
        FrameKind::Batch => match decode_batch(payload) {
            Some((_, changes)) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => facts.rows.insert(key, value_digest(value)),
                        None => facts.rows.remove(&key),
                    };
                }
            }
            None => {
                facts.holes = true;
                damage(report, "frame", place(), "its rows do not decode");
            }
        },
        FrameKind::Footer => {
            let expected = Footer { frames: facts.at.frames, hash: facts.at.hash };
            if Footer::decode(payload) != Some(expected) && !facts.holes {
                damage(report, "frame", place(), "the footer does not fit what stands before it");
            }
        }
        FrameKind::Audit => {}
    }
}

/// Whether a row's bytes are a row of their table.
fn decodes(key: Key, value: &[u8]) -> bool {
    use crate::audit::{AuditRow, TreeRow};
    use crate::model::{Alias, Domain};
    use crate::rows::key::{KeyAge, KeyState};
    use crate::rows::log::{DroppedRow, GoneRow, RoundRow};
    use crate::rows::mail::{Expunged, Globals, History};
    match key.table() {
        None | Some(Table::Position) => false,
        Some(Table::Globals) => Globals::decode(value).is_some(),
        Some(Table::Account) => Account::decode(value).is_some(),
        Some(Table::Address) => AccountId::decode(value).is_some(),
        Some(Table::Alias) => Alias::decode(value).is_some(),
        Some(Table::Domain) => Domain::decode(value).is_some(),
        Some(Table::AccountState) => AccountState::decode(value).is_some(),
        Some(Table::KeyState) => KeyState::decode(value).is_some(),
        Some(Table::KeyAge | Table::Erasing) => KeyAge::decode(value).is_some(),
        Some(Table::Mailbox) => Mailbox::decode(value).is_some(),
        Some(Table::MailboxName) => MailboxId::decode(value).is_some(),
        Some(Table::Subscription) => pli_types::MailboxName::decode(value).is_some(),
        Some(Table::Entries) => EntryBlock::decode(value).is_some(),
        Some(Table::Expunged) => Expunged::decode(value).is_some(),
        Some(Table::History) => History::decode(value).is_some(),
        Some(Table::Message) => MessageRow::decode(value).is_some(),
        Some(Table::Body) => BodyRow::decode(value).is_some(),
        Some(Table::Gone) => GoneRow::decode(value).is_some(),
        Some(Table::Dropped) => DroppedRow::decode(value).is_some(),
        Some(Table::Round) => RoundRow::decode(value).is_some(),
        Some(Table::Queue) => QueueRow::decode(value).is_some(),
        Some(Table::ChangedHours) => crate::moment::hours::ChangedHours::decode(value).is_some(),
        Some(Table::AuditEntry) => AuditRow::decode(value).is_some(),
        Some(Table::AuditTree) => TreeRow::decode(value).is_some(),
        Some(
            Table::AccountKey | Table::EpochKey | Table::QueueBody | Table::QueueDue | Table::AuditTile | Table::LogKey,
        ) => Blob::decode(value).is_some(),
    }
}
