//! A store as plain maps, the commands that change it, and the comparison of both. What a command must answer and what
//! must be there after it is written here a second time, without rows, log or index.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pli_io::Clock as _;
use pli_io::sim::{SimClock, SimRandom};
use pli_store::*;
use pli_types::{AccountId, Action, Keyword, MailboxId, ModSeq, QueueId, SystemFlag, Uid, UnixMillis};

use crate::world::*;

mod perform;

/// What was really done in a test: one that never compacts anything says nothing about compaction.
pub static DROPPED: AtomicU64 = AtomicU64::new(0);
pub static MOVED: AtomicU64 = AtomicU64::new(0);
pub static PURGED: AtomicU64 = AtomicU64::new(0);
pub static RESTORED: AtomicU64 = AtomicU64::new(0);
pub static MOMENTS: AtomicU64 = AtomicU64::new(0);

/// The counts above: segments dropped, bodies moved and purged, messages restored, moments compared.
pub fn done() -> [u64; 5] {
    [&DROPPED, &MOVED, &PURGED, &RESTORED, &MOMENTS].map(|count| count.load(Ordering::Relaxed))
}

/// Names of flags and keywords, in lower case.
pub type Flags = BTreeSet<String>;

/// Two accounts; the second one's address.
pub const ADDRESSES: [&str; 2] = ["ana@example.org", "bob@example.org"];
const NAMES: [&str; 7] = ["INBOX", "Trash", "Archive", "Archive/2026", "a", "a/b", "a/b/c"];
const KEYWORDS: [&str; 4] = ["$Junk", "work", "Later", "x-1"];

/// A mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainBox {
    /// 0 while nobody has seen it.
    pub validity: u32,
    pub uid_next: u32,
    /// UID → message, flags by name.
    pub entries: BTreeMap<u32, (usize, Flags)>,
    pub expunged: BTreeSet<u32>,
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlainAccount {
    pub boxes: BTreeMap<String, PlainBox>,
    pub subscribed: BTreeSet<String>,
}

/// A queue row: the message, and whether it is held.
pub type PlainQueue = BTreeMap<u64, (usize, bool, u32)>;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    pub accounts: Vec<PlainAccount>,
    pub queue: PlainQueue,
}

impl Default for PlainBox {
    fn default() -> Self {
        Self { validity: 0, uid_next: 1, entries: BTreeMap::new(), expunged: BTreeSet::new() }
    }
}

impl PlainBox {
    fn enter(&mut self, raw: usize, flags: Flags) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.entries.insert(uid, (raw, flags));
        uid
    }
    fn leave(&mut self, uid: u32) -> (usize, Flags) {
        self.expunged.insert(uid);
        self.entries.remove(&uid).unwrap()
    }
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Uids(Vec<u32>),
    Pairs(Vec<(u32, u32)>),
    Delivered { uids: Vec<u32>, queued: Vec<u64> },
    Refused,
}

/// A command; accounts by their number, messages by theirs.
#[derive(Clone, Debug)]
pub enum Command {
    Deliver {
        raw: usize,
        to: Vec<usize>,
        remote: usize,
    },
    Append {
        account: usize,
        to: String,
        raws: Vec<usize>,
        flags: Flags,
    },
    Flags {
        account: usize,
        of: String,
        uids: Vec<u32>,
        mode: FlagMode,
        flags: Flags,
    },
    Copy {
        account: usize,
        from: String,
        uids: Vec<u32>,
        to: String,
        moving: bool,
    },
    Expunge {
        account: usize,
        of: String,
        only: Option<Vec<u32>>,
    },
    Create {
        account: usize,
        name: String,
    },
    Delete {
        account: usize,
        name: String,
    },
    Rename {
        account: usize,
        from: String,
        to: String,
    },
    Subscribe {
        account: usize,
        name: String,
        on: bool,
    },
    QueueHold {
        id: u64,
        held: bool,
    },
    QueueDefer {
        id: u64,
    },
    QueueEnd {
        id: u64,
    },
    /// First readings replace seals; nothing that a client sees changes.
    Read {
        account: usize,
        of: String,
    },
    /// The count is right, so nothing changes.
    Recalculate {
        account: usize,
    },
    Snapshot,
    Compact {
        all: bool,
    },
    RotateAccount {
        account: usize,
    },
    /// Messages of an earlier state, as they were there, into a mailbox of the present.
    Restore {
        account: usize,
        at: i64,
        from: String,
        picked: Vec<(u32, (usize, Flags))>,
        to: String,
    },
}

fn below(text: &str, of: &str) -> bool {
    text.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

impl PlainAccount {
    fn make_with_parents(&mut self, name: &str) {
        let levels = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for end in levels {
            self.boxes.entry(name[..end].to_owned()).or_default();
        }
    }
    /// Messages, each counted once however many mailboxes it is in.
    pub fn messages(&self) -> BTreeSet<usize> {
        self.boxes.values().flat_map(|b| b.entries.values()).map(|(raw, _)| *raw).collect()
    }

    fn copy(&mut self, from: &str, uids: &[u32], to: &str, moving: bool) -> Answer {
        let (Some(source), true) = (self.boxes.get(from), self.boxes.contains_key(to)) else { return Answer::Refused };
        let wanted: Vec<(u32, (usize, Flags))> =
            uids.iter().filter_map(|uid| Some((*uid, source.entries.get(uid)?.clone()))).collect();
        let mut pairs = Vec::new();
        for (uid, (raw, flags)) in wanted {
            pairs.push((uid, self.boxes.get_mut(to).unwrap().enter(raw, flags)));
            if moving {
                self.boxes.get_mut(from).unwrap().leave(uid);
            }
        }
        Answer::Pairs(pairs)
    }

    fn rename(&mut self, from: &str, to: &str) -> Answer {
        if !self.boxes.contains_key(from) || self.boxes.contains_key(to) || (from != "INBOX" && below(to, from)) {
            return Answer::Refused;
        }
        if from == "INBOX" {
            // RFC 9051 §6.3.6: it stays, empty.
            self.make_with_parents(to);
            let uids: Vec<u32> = self.boxes[from].entries.keys().copied().collect();
            self.copy(from, &uids, to, true);
            return Answer::Done;
        }
        let names: Vec<String> = self.boxes.keys().filter(|n| below(n, from)).cloned().collect();
        // Parents are made first, and may stand where a child is to go.
        let mut after = self.clone();
        if let Some((parent, _)) = to.rsplit_once('/') {
            after.make_with_parents(parent);
        }
        if names.iter().any(|n| after.boxes.contains_key(&format!("{to}{}", &n[from.len()..]))) {
            return Answer::Refused;
        }
        *self = after;
        for old in names.into_iter().chain([from.to_owned()]) {
            let moved = self.boxes.remove(&old).unwrap();
            self.boxes.insert(format!("{to}{}", &old[from.len()..]), moved);
        }
        Answer::Done
    }
}

impl Plain {
    /// What the command answers, and what is there after it.
    pub fn apply(&mut self, command: &Command, queue_next: u64) -> Answer {
        match command {
            Command::Deliver { raw, to, remote } => {
                let uids = to.iter().map(|to| self.inbox(*to).enter(*raw, Flags::new())).collect();
                let queued: Vec<u64> = (queue_next..).take(*remote).collect();
                self.queue.extend(queued.iter().map(|id| (*id, (*raw, false, 0))));
                Answer::Delivered { uids, queued }
            }
            Command::Append { account, to, raws, flags } => {
                let Some(b) = self.accounts[*account].boxes.get_mut(to) else { return Answer::Refused };
                Answer::Uids(raws.iter().map(|raw| b.enter(*raw, flags.clone())).collect())
            }
            Command::Flags { account, of, uids, mode, flags } => {
                let Some(b) = self.accounts[*account].boxes.get_mut(of) else { return Answer::Refused };
                let there: Vec<u32> = uids.iter().copied().filter(|uid| b.entries.contains_key(uid)).collect();
                for uid in &there {
                    let (_, own) = b.entries.get_mut(uid).unwrap();
                    match mode {
                        FlagMode::Replace => own.clone_from(flags),
                        FlagMode::Add => own.extend(flags.iter().cloned()),
                        FlagMode::Remove => own.retain(|flag| !flags.contains(flag)),
                    }
                }
                Answer::Uids(there)
            }
            Command::Copy { account, from, uids, to, moving } => self.accounts[*account].copy(from, uids, to, *moving),
            Command::Expunge { account, of, only } => {
                let Some(b) = self.accounts[*account].boxes.get_mut(of) else { return Answer::Refused };
                let gone: Vec<u32> = b
                    .entries
                    .iter()
                    .filter(|(_, (_, flags))| flags.contains("\\deleted"))
                    .map(|(uid, _)| *uid)
                    .filter(|uid| only.as_ref().is_none_or(|only| only.contains(uid)))
                    .collect();
                gone.iter().for_each(|uid| drop(b.leave(*uid)));
                Answer::Uids(gone)
            }
            Command::Create { account, name } => {
                let account = &mut self.accounts[*account];
                if account.boxes.contains_key(name) {
                    return Answer::Refused;
                }
                account.make_with_parents(name);
                Answer::Done
            }
            Command::Delete { account, name } => {
                if name == "INBOX" || self.accounts[*account].boxes.remove(name).is_none() {
                    return Answer::Refused;
                }
                Answer::Done
            }
            Command::Rename { account, from, to } => self.accounts[*account].rename(from, to),
            Command::Subscribe { account, name, on } => {
                let subscribed = &mut self.accounts[*account].subscribed;
                let _ = if *on { subscribed.insert(name.clone()) } else { subscribed.remove(name) };
                Answer::Done
            }
            Command::QueueHold { id, held } => match self.queue.get_mut(id) {
                Some(row) => {
                    row.1 = *held;
                    Answer::Done
                }
                None => Answer::Refused,
            },
            Command::QueueDefer { id } => match self.queue.get_mut(id) {
                Some(row) => {
                    row.2 += 1;
                    Answer::Done
                }
                None => Answer::Refused,
            },
            Command::QueueEnd { id } => self.queue.remove(id).map_or(Answer::Refused, |_| Answer::Done),
            Command::Read { account, of } => match self.accounts[*account].boxes.get(of) {
                Some(_) => Answer::Done,
                None => Answer::Refused,
            },
            Command::Restore { account, picked, to, .. } => {
                let Some(b) = self.accounts[*account].boxes.get_mut(to) else { return Answer::Refused };
                let mut pairs = Vec::new();
                for (uid, (raw, flags)) in picked {
                    let flags = flags.iter().filter(|flag| *flag != "\\deleted").cloned().collect();
                    pairs.push((*uid, b.enter(*raw, flags)));
                }
                Answer::Pairs(pairs)
            }
            Command::Recalculate { .. }
            | Command::Snapshot
            | Command::Compact { .. }
            | Command::RotateAccount { .. } => Answer::Done,
        }
    }
    fn inbox(&mut self, account: usize) -> &mut PlainBox {
        self.accounts[account].boxes.get_mut("INBOX").unwrap()
    }
}

/// The store under test with its plain twin.
pub struct Twin {
    pub random: SimRandom,
    pub ids: Vec<AccountId>,
    pub plain: Plain,
    /// Messages by number, and back.
    raws: Vec<Bytes>,
    numbers: HashMap<Bytes, usize>,
    /// The highest UIDVALIDITY and modseq of each mailbox seen, and the highest queue id.
    validities: u32,
    modseqs: BTreeMap<MailboxId, ModSeq>,
    queue_next: u64,
    clock: Arc<SimClock>,
    /// When the last command was asked for.
    asked: i64,
    /// Every state that was acknowledged, and since when.
    history: Vec<(i64, Vec<PlainAccount>)>,
}

impl Twin {
    /// Makes the accounts, where they are not there yet.
    pub async fn new(seed: u64, world: &World, open: &Open) -> Self {
        let mut ids: Vec<AccountId> = open.store.accounts(None, 2).unwrap().iter().map(|account| account.id).collect();
        for address in &ADDRESSES[ids.len()..] {
            ids.push(open.account(address, QuotaLimit::default()).await);
        }
        let mut twin = Self {
            random: SimRandom::new(seed),
            ids,
            plain: Plain::default(),
            raws: Vec::new(),
            numbers: HashMap::new(),
            validities: 0,
            modseqs: BTreeMap::new(),
            queue_next: 1,
            clock: Arc::clone(&world.clock),
            asked: 0,
            history: Vec::new(),
        };
        twin.plain = twin.found(open);
        twin.learn(&twin.plain.clone());
        twin.asked = twin.clock.now().0;
        twin.remember();
        twin
    }

    /// A new message of this many bytes or somewhat more.
    pub fn raw(&mut self, bytes: usize) -> usize {
        let number = self.raws.len();
        let raw = message(&format!("model{number}"), bytes);
        self.numbers.insert(raw.clone(), number);
        self.raws.push(raw);
        number
    }

    fn name(&self) -> String {
        NAMES[self.random.below(NAMES.len() as u64) as usize].to_owned()
    }
    fn flags(&self) -> Flags {
        let system = SystemFlag::ALL.into_iter().filter(|_| self.random.below(4) == 0).map(|flag| flag.name());
        let keywords = KEYWORDS.into_iter().filter(|_| self.random.below(5) == 0);
        system.chain(keywords).map(str::to_lowercase).collect()
    }
    fn uids(&self, account: usize, of: &str) -> Vec<u32> {
        let next = self.plain.accounts[account].boxes.get(of).map_or(2, |b| b.uid_next);
        (1..next + 2).filter(|_| self.random.below(3) == 0).collect()
    }
    fn queue_id(&self) -> u64 {
        let rows = self.plain.queue.len() as u64;
        let known = self.plain.queue.keys().nth(self.random.below(rows.max(1)) as usize);
        known.copied().unwrap_or(self.queue_next)
    }

    fn remember(&mut self) {
        self.history.push((self.asked, self.plain.accounts.clone()));
    }

    /// Some messages of an earlier state, not all of which may be there any more.
    fn plan_restore(&self, open: &Open, account: usize) -> Option<Command> {
        let (at, before) = &self.history[self.random.below(self.history.len() as u64) as usize];
        let now = self.clock.now().0;
        // At a moment's end another command of the same millisecond may have happened.
        let last = self.history.iter().rev().find(|(other, _)| other == at)?;
        if *at >= now || *at < open.store.earliest_moment().0 || !std::ptr::eq(&last.1, before) {
            return None;
        }
        let from = self.name();
        let entries = &before[account].boxes.get(&from)?.entries;
        let picked = entries.iter().filter(|_| self.random.below(3) == 0).map(|(uid, e)| (*uid, e.clone())).collect();
        Some(Command::Restore { account, at: *at, from, picked, to: self.name() })
    }

    /// A command by chance.
    pub fn plan(&mut self, open: &Open) -> Command {
        let account = self.random.below(3).min(1) as usize;
        match self.random.below(30) {
            0..6 => {
                let to = if self.random.below(3) == 0 { vec![0, 1] } else { vec![account] };
                let size = if self.random.below(40) == 0 { 150_000 } else { 50 + self.random.below(2000) as usize };
                Command::Deliver { raw: self.raw(size), to, remote: self.random.below(6).saturating_sub(3) as usize }
            }
            6..9 => {
                let count = if self.random.below(6) == 0 { 40 } else { 1 + self.random.below(4) };
                let raws = (0..count).map(|_| self.raw(50 + self.random.below(600) as usize)).collect();
                Command::Append { account, to: self.name(), raws, flags: self.flags() }
            }
            9..13 => {
                let of = self.name();
                let uids = self.uids(account, &of);
                let mode = [FlagMode::Replace, FlagMode::Add, FlagMode::Remove][self.random.below(3) as usize];
                Command::Flags { account, of, uids, mode, flags: self.flags() }
            }
            13..16 => {
                let from = self.name();
                let uids = self.uids(account, &from);
                Command::Copy { account, from, uids, to: self.name(), moving: self.random.below(2) == 0 }
            }
            16..18 => {
                let of = self.name();
                let only = (self.random.below(2) == 0).then(|| self.uids(account, &of));
                Command::Expunge { account, of, only }
            }
            18 => {
                let name = self.name();
                if self.plain.accounts[account].boxes.contains_key(&name) && self.random.below(4) != 0 {
                    Command::Delete { account, name }
                } else {
                    Command::Create { account, name }
                }
            }
            19 => Command::Rename { account, from: self.name(), to: self.name() },
            20 => Command::Subscribe { account, name: self.name(), on: self.random.below(3) != 0 },
            21 => Command::QueueHold { id: self.queue_id(), held: self.random.below(2) == 0 },
            22 => Command::QueueDefer { id: self.queue_id() },
            23 => Command::QueueEnd { id: self.queue_id() },
            24 => Command::Read { account, of: self.name() },
            25 => Command::Compact { all: self.random.below(2) == 0 },
            26 if self.random.below(3) == 0 => Command::RotateAccount { account },
            26..28 => self.plan_restore(open, account).unwrap_or(Command::Recalculate { account }),
            _ if self.random.below(3) == 0 => Command::Snapshot,
            _ => Command::Recalculate { account },
        }
    }

    /// Runs a command on both. An error that is no refusal leaves the plain one as it was.
    pub async fn run(&mut self, open: &Open, command: &Command) -> Result<(), StoreError> {
        let mut after = self.plain.clone();
        let expected = after.apply(command, self.queue_next);
        self.asked = self.clock.now().0;
        let answer = match self.perform(open, command).await {
            Ok(answer) => answer,
            Err(
                StoreError::NoMailbox
                | StoreError::NoQueueRow(_)
                | StoreError::Exists(_)
                | StoreError::Impossible(_)
                | StoreError::Limit(_),
            ) => Answer::Refused,
            Err(error) => return Err(error),
        };
        assert_eq!(answer, expected, "{command:?}");
        if let Answer::Delivered { queued, .. } = &answer {
            self.queue_next += queued.len() as u64;
        }
        self.plain = after;
        self.remember();
        Ok(())
    }

    /// What is there, compared with what must be; a command whose answer never came may have happened or not.
    pub fn compare(&mut self, open: &Open, unanswered: Option<&Command>) {
        open.check();
        let found = self.found(open);
        let Some(wrong) = difference(&self.plain, &found) else { return self.learn(&found) };
        let Some(command) = unanswered else { panic!("{wrong}") };
        let mut after = self.plain.clone();
        after.apply(command, self.queue_next);
        if let Some(also) = difference(&after, &found) {
            panic!("neither without {command:?}:\n{wrong}\nnor with it:\n{also}");
        }
        self.plain = after;
        self.learn(&found);
        self.remember();
    }

    /// Moments inside the window are what they were.
    pub async fn compare_past(&mut self, open: &Open) {
        let (earliest, now) = (open.store.earliest_moment().0, self.clock.now().0);
        for turn in 0..3 {
            let at = if turn == 0 { now - 1 } else { earliest.max(START.0) + self.random.below(30_000) as i64 };
            let Some((_, then)) = self.history.iter().rev().find(|(since, _)| *since <= at) else { continue };
            if at >= now || at < earliest {
                continue;
            }
            for (number, then) in then.clone().into_iter().enumerate() {
                let id = self.ids[number];
                let permit = open.permit(Action::Past, Some(id));
                let moment = open.store.moment(&permit, UnixMillis(at)).await.unwrap();
                let permit = open.permit(Action::FetchContent, Some(id));
                let reader = open.store.read_past(&permit, &moment).unwrap();
                let mut found = PlainAccount { boxes: self.boxes(&reader, &open.keys(id)), ..PlainAccount::default() };
                found.subscribed.clone_from(&then.subscribed);
                let mut then = then;
                then.boxes.values_mut().for_each(|b| b.expunged.clear());
                let wrong = difference_of_account(number, &then, &found);
                assert_eq!(wrong, None, "{} ms ago", now - at);
                MOMENTS.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes over what only the store can say, and sees that nothing goes back.
    fn learn(&mut self, found: &Plain) {
        let before = self.validities;
        for (own, found) in self.plain.accounts.iter_mut().zip(&found.accounts) {
            for (name, own) in &mut own.boxes {
                let validity = found.boxes[name].validity;
                if own.validity == 0 {
                    assert!(validity > before, "{name}: UIDVALIDITY {validity} after {before}");
                    own.validity = validity;
                }
                self.validities = self.validities.max(validity);
            }
        }
        self.queue_next = self.queue_next.max(found.queue.keys().max().map_or(1, |id| id + 1));
    }
}

/// The first thing that differs.
fn difference(plain: &Plain, found: &Plain) -> Option<String> {
    if plain.queue != found.queue {
        return Some(format!("queue: must be {:?}, is {:?}", plain.queue, found.queue));
    }
    let pairs = plain.accounts.iter().zip(&found.accounts).enumerate();
    pairs.into_iter().find_map(|(number, (plain, found))| difference_of_account(number, plain, found))
}

fn difference_of_account(number: usize, plain: &PlainAccount, found: &PlainAccount) -> Option<String> {
    if plain.subscribed != found.subscribed {
        return Some(format!("{number}: subscribed {:?}, is {:?}", plain.subscribed, found.subscribed));
    }
    if !plain.boxes.keys().eq(found.boxes.keys()) {
        return Some(format!("{number}: mailboxes {:?}, are {:?}", plain.boxes.keys(), found.boxes.keys()));
    }
    for (name, plain) in &plain.boxes {
        let found = &found.boxes[name];
        let validity = if plain.validity == 0 { found.validity } else { plain.validity };
        if (PlainBox { validity, ..plain.clone() }) != *found {
            return Some(format!("{number} {name}: must be\n{plain:?}, is\n{found:?}"));
        }
    }
    None
}
