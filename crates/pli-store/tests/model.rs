//! Random operations against a plain model, with the store opened again in between, over both indexes. A failure
//! prints its seed; `PLI_MODEL_SEED=n` runs that case alone, `PLI_MODEL_CASES=n` that many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pli_io::sim::SimRandom;
use pli_store::*;
use pli_types::{AccountId, Action, FlagSet, Keyword, SystemFlag, Uid};
use world::*;

type Flags = BTreeSet<String>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Box_ {
    validity: u32,
    uid_next: u32,
    /// UID → message, flags by name.
    entries: BTreeMap<u32, (usize, Flags)>,
}

struct Model {
    random: SimRandom,
    account: AccountId,
    boxes: BTreeMap<String, Box_>,
    raws: Vec<Bytes>,
    /// How many entries each message has.
    refs: BTreeMap<usize, u32>,
    validities: u32,
}

const NAMES: [&str; 7] = ["INBOX", "Trash", "Archive", "Archive/2026", "a", "a/b", "a/b/c"];
const KEYWORDS: [&str; 4] = ["$Junk", "work", "Later", "x-1"];

impl Model {
    fn name(&self) -> &'static str {
        NAMES[self.random.below(NAMES.len() as u64) as usize]
    }
    fn flags(&self) -> (FlagSet, Flags) {
        let (mut set, mut names) = (FlagSet::default(), Flags::new());
        for flag in SystemFlag::ALL {
            if self.random.below(4) == 0 {
                set.insert(flag);
                names.insert(flag.name().to_lowercase());
            }
        }
        for keyword in KEYWORDS {
            if self.random.below(5) == 0 {
                set.insert_keyword(Keyword::new(keyword).unwrap());
                names.insert(keyword.to_lowercase());
            }
        }
        (set, names)
    }
    fn uids(&self, of: &str) -> Vec<u32> {
        let Some(b) = self.boxes.get(of) else { return vec![1, 2] };
        (1..b.uid_next + 2).filter(|_| self.random.below(3) == 0).collect()
    }
    fn enter(&mut self, to: &str, raw: usize, flags: Flags) -> u32 {
        let b = self.boxes.get_mut(to).unwrap();
        let uid = b.uid_next;
        b.uid_next += 1;
        b.entries.insert(uid, (raw, flags));
        *self.refs.entry(raw).or_default() += 1;
        uid
    }
    fn leave(&mut self, from: &str, uid: u32) {
        let (raw, _) = self.boxes.get_mut(from).unwrap().entries.remove(&uid).unwrap();
        let left = self.refs.get_mut(&raw).unwrap();
        *left -= 1;
        if *left == 0 {
            self.refs.remove(&raw);
        }
    }
    fn raw(&mut self) -> usize {
        let n = self.raws.len();
        self.raws.push(message(&format!("model{n}"), 50 + self.random.below(2000) as usize));
        n
    }
    /// Takes the UIDVALIDITY that the store gave a new mailbox.
    fn made(&mut self, open: &Open, name: &str) {
        let mailbox = open.mailbox(self.account, name);
        assert!(mailbox.uid_validity.get() > self.validities, "UIDVALIDITY goes back");
        self.validities = mailbox.uid_validity.get();
        let new = Box_ { validity: mailbox.uid_validity.get(), uid_next: 1, entries: BTreeMap::new() };
        self.boxes.insert(name.to_owned(), new);
    }
    fn made_with_parents(&mut self, open: &Open, name: &str) {
        let levels: Vec<usize> = name.match_indices('/').map(|(at, _)| at).chain([name.len()]).collect();
        for end in levels {
            if !self.boxes.contains_key(&name[..end]) {
                self.made(open, &name[..end]);
            }
        }
    }

    async fn step(&mut self, open: &Open) {
        match self.random.below(12) {
            0..3 => self.deliver(open).await,
            3..5 => self.append(open).await,
            5..7 => self.store(open).await,
            7 => self.copy(open, false).await,
            8 => self.copy(open, true).await,
            9 => self.expunge(open).await,
            10 => self.create_or_delete(open).await,
            _ => self.rename(open).await,
        }
    }
    async fn deliver(&mut self, open: &Open) {
        let raw = self.raw();
        open.deliver(&[self.account], &self.raws[raw]).await.unwrap();
        self.enter("INBOX", raw, Flags::new());
    }
    async fn append(&mut self, open: &Open) {
        let to = self.name();
        if !self.boxes.contains_key(to) {
            return;
        }
        let mailbox = open.mailbox(self.account, to).id;
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..1 + self.random.below(40) {
            let raw = self.raw();
            let (set, names) = self.flags();
            messages.push(AppendMessage {
                prepared: open.store.prepare(self.raws[raw].clone()).unwrap(),
                flags: set,
                internal_date: None,
            });
            expected.push(self.enter(to, raw, names));
        }
        let permit = open.permit(Action::Append, Some(self.account));
        let keys = open.keys(self.account);
        let done = open.store.append(permit, &keys, mailbox, messages).await.unwrap().value;
        assert_eq!(done.uids.iter().map(|uid| uid.get()).collect::<Vec<_>>(), expected);
    }
    async fn store(&mut self, open: &Open) {
        let of = self.name();
        let uids = self.uids(of);
        let Some(b) = self.boxes.get(of) else { return };
        let mailbox = open.mailbox(self.account, of).id;
        let (set, names) = self.flags();
        let mode = [FlagMode::Replace, FlagMode::Add, FlagMode::Remove][self.random.below(3) as usize];
        let there: Vec<u32> = uids.iter().copied().filter(|uid| b.entries.contains_key(uid)).collect();
        let permit = open.permit(Action::Store, Some(self.account));
        let asked = uids.iter().map(|uid| Uid::new(*uid)).collect();
        let done = open.store.change_flags(permit, mailbox, asked, mode, set, None).await.unwrap().value;
        assert_eq!(done.uids.iter().map(|uid| uid.get()).collect::<Vec<_>>(), there);
        for uid in there {
            let (_, flags) = self.boxes.get_mut(of).unwrap().entries.get_mut(&uid).unwrap();
            match mode {
                FlagMode::Replace => *flags = names.clone(),
                FlagMode::Add => flags.extend(names.iter().cloned()),
                FlagMode::Remove => flags.retain(|flag| !names.contains(flag)),
            }
        }
    }
    async fn copy(&mut self, open: &Open, moving: bool) {
        let (from, to) = (self.name(), self.name());
        let uids = self.uids(from);
        let (Some(source), true) = (self.boxes.get(from), self.boxes.contains_key(to)) else { return };
        let entries: Vec<(u32, (usize, Flags))> =
            uids.iter().filter_map(|uid| Some((*uid, source.entries.get(uid)?.clone()))).collect();
        let (a, b) = (open.mailbox(self.account, from).id, open.mailbox(self.account, to).id);
        let asked = uids.iter().map(|uid| Uid::new(*uid)).collect();
        let done = if moving {
            open.store.move_messages(open.permit(Action::Move, Some(self.account)), a, asked, b).await
        } else {
            open.store.copy(open.permit(Action::Copy, Some(self.account)), a, asked, b).await
        };
        let mut expected = Vec::new();
        for (uid, (raw, flags)) in entries {
            expected.push((uid, self.enter(to, raw, flags)));
            if moving {
                self.leave(from, uid);
            }
        }
        let got: Vec<(u32, u32)> = done.unwrap().value.uids.iter().map(|(x, y)| (x.get(), y.get())).collect();
        assert_eq!(got, expected);
    }
    async fn expunge(&mut self, open: &Open) {
        let of = self.name();
        let only = (self.random.below(2) == 0).then(|| self.uids(of));
        let Some(b) = self.boxes.get(of) else { return };
        let gone: Vec<u32> = b
            .entries
            .iter()
            .filter(|(uid, (_, flags))| {
                flags.contains("\\deleted") && only.as_ref().is_none_or(|only| only.contains(uid))
            })
            .map(|(uid, _)| *uid)
            .collect();
        let permit = open.permit(Action::Expunge, Some(self.account));
        let asked = only.map(|only| only.into_iter().map(Uid::new).collect());
        let mailbox = open.mailbox(self.account, of).id;
        let done = open.store.expunge(permit, mailbox, asked).await.unwrap().value;
        assert_eq!(done.iter().map(|uid| uid.get()).collect::<Vec<_>>(), gone);
        gone.into_iter().for_each(|uid| self.leave(of, uid));
    }
    async fn create_or_delete(&mut self, open: &Open) {
        let of = self.name();
        if self.boxes.contains_key(of) {
            let mailbox = open.mailbox(self.account, of).id;
            let done = open.store.delete_mailbox(open.permit(Action::Delete, Some(self.account)), mailbox).await;
            assert_eq!(done.is_ok(), of != "INBOX");
            if of != "INBOX" {
                let uids: Vec<u32> = self.boxes[of].entries.keys().copied().collect();
                uids.into_iter().for_each(|uid| self.leave(of, uid));
                self.boxes.remove(of);
            }
        } else {
            let permit = open.permit(Action::Create, Some(self.account));
            open.store.create_mailbox(permit, name(of), None).await.unwrap();
            self.made_with_parents(open, of);
        }
    }
    async fn rename(&mut self, open: &Open) {
        let (from, to) = (self.name(), self.name());
        if !self.boxes.contains_key(from) {
            return;
        }
        let mailbox = open.mailbox(self.account, from).id;
        let permit = open.permit(Action::Rename, Some(self.account));
        let done = open.store.rename_mailbox(permit, mailbox, name(to)).await;
        let below = |text: &str, of: &str| text.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
        if self.boxes.contains_key(to) || (from != "INBOX" && below(to, from)) {
            assert!(done.is_err(), "{from} to {to}");
            return;
        }
        let names: Vec<String> = self.boxes.keys().filter(|n| below(n, from)).cloned().collect();
        if from != "INBOX" && names.iter().any(|n| self.boxes.contains_key(&format!("{to}{}", &n[from.len()..]))) {
            assert!(done.is_err(), "{from} to {to}");
            return;
        }
        done.unwrap();
        if from == "INBOX" {
            self.made_with_parents(open, to);
            let entries = std::mem::take(&mut self.boxes.get_mut(from).unwrap().entries);
            for (_, (raw, flags)) in entries {
                self.enter(to, raw, flags);
                *self.refs.get_mut(&raw).unwrap() -= 1;
            }
            return;
        }
        if let Some((parent, _)) = to.rsplit_once('/') {
            self.made_with_parents(open, parent);
        }
        for old in names.into_iter().chain([from.to_owned()]) {
            let moved = self.boxes.remove(&old).unwrap();
            self.boxes.insert(format!("{to}{}", &old[from.len()..]), moved);
        }
    }

    fn compare(&self, open: &Open) {
        open.check();
        let keys = open.keys(self.account);
        let found: BTreeMap<String, Box_> = open
            .mailboxes(self.account)
            .into_iter()
            .map(|mailbox| {
                let snapshot = open.view(self.account, mailbox.id).snapshot();
                let entries = snapshot.iter().map(|(_, entry)| {
                    let raw = open.body_with(&keys, self.account, entry).unwrap();
                    let number = self.raws.iter().position(|known| *known == raw).expect("unknown bytes");
                    let mut flags = Flags::new();
                    for flag in SystemFlag::ALL.into_iter().filter(|f| entry.flags & f.bit() != 0) {
                        flags.insert(flag.name().to_lowercase());
                    }
                    for (bit, word) in (5..).zip(snapshot.keywords.iter()) {
                        if entry.flags >> bit & 1 == 1 {
                            flags.insert(word.as_str().to_lowercase());
                        }
                    }
                    (entry.uid.get(), (number, flags))
                });
                let entries: BTreeMap<u32, (usize, Flags)> = entries.collect();
                assert_eq!(mailbox.messages as usize, entries.len());
                let (validity, uid_next) = (mailbox.uid_validity.get(), mailbox.uid_next.get());
                (mailbox.name.to_string(), Box_ { validity, uid_next, entries })
            })
            .collect();
        assert_eq!(found, self.boxes);
        let quota = open.store.quota(self.account).unwrap();
        let bytes: u64 = self.refs.keys().map(|raw| self.raws[*raw].len() as u64).sum();
        assert_eq!((quota.bytes_used.get(), quota.messages_used), (bytes, self.refs.len() as u64));
    }
}

async fn run(seed: u64, index: IndexEngine) {
    let world = World::real(index);
    let mut open = world.create();
    let account = open.account("ana@example.org", QuotaLimit::default()).await;
    let boxes = open
        .mailboxes(account)
        .into_iter()
        .map(|m| (m.name.to_string(), Box_ { validity: m.uid_validity.get(), uid_next: 1, entries: BTreeMap::new() }))
        .collect::<BTreeMap<_, _>>();
    let validities = boxes.values().map(|b| b.validity).max().unwrap();
    let random = SimRandom::new(seed);
    let mut model = Model { random, account, boxes, raws: Vec::new(), refs: BTreeMap::new(), validities };
    for _ in 0..4 {
        for _ in 0..model.random.below(25) {
            model.step(&open).await;
        }
        if model.random.below(2) == 0 {
            model.compare(&open);
        }
        drop(open);
        open = world.open();
        model.compare(&open);
    }
}

#[test]
fn the_store_is_its_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PLI_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_MODEL_CASES").unwrap_or(40),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in seeds {
        for index in ENGINES {
            eprintln!("PLI_MODEL_SEED={seed} ({index:?})");
            runtime.block_on(run(seed, index));
        }
    }
}
