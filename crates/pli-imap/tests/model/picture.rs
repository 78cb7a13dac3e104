//! What a client believes of its mailbox, from what it is told and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::truth::{Flags, Mailbox};

/// What a command lets a session hear of the others' changes (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// All: afterwards the picture is the truth.
    All,
    /// All but EXPUNGE: what is gone may still be in the picture.
    NoExpunge,
}

#[derive(Debug, Default)]
pub struct Picture {
    /// UIDs by message number.
    pub view: Vec<u32>,
    /// Flags, where it was told of them.
    pub flags: BTreeMap<u32, Flags>,
    /// MODSEQ, where it was told of it.
    pub modseqs: BTreeMap<u32, u64>,
    /// The version of the message in the truth when the client was told of its MODSEQ last: version and touched.
    pub versions: BTreeMap<u32, (u32, u32)>,
    pub uidvalidity: u64,
    /// The highest MODSEQ or HIGHESTMODSEQ that it was told of.
    pub heard_modseq: u64,
    /// The same when it was last told everything: what it may come back with.
    pub synced_modseq: u64,
    /// UIDs that VANISHED (EARLIER) named since the last command began.
    pub earlier: BTreeSet<u32>,
    /// UIDs that FETCH named since then.
    pub fetched: BTreeSet<u32>,
    /// VANISHED comes in place of EXPUNGE.
    pub qresync: bool,
}

impl Picture {
    /// Takes in the untagged responses of one command, with the mailbox as it is after it.
    pub fn hear(&mut self, text: &str, truth: &Mailbox) {
        for line in text.lines() {
            if let Some(code) = line.split("[HIGHESTMODSEQ ").nth(1) {
                self.heard_modseq = self.heard_modseq.max(leading(code));
            }
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["*", "VANISHED", "(EARLIER)", set] => {
                    let set = expand(set);
                    assert!(set.iter().all(|uid| truth.get(*uid).is_none()), "not all of these are gone: {line}");
                    self.earlier.extend(set);
                }
                ["*", "VANISHED", set] => {
                    assert!(self.qresync, "VANISHED without QRESYNC: {line}");
                    for uid in expand(set) {
                        let at = self.view.iter().position(|known| *known == uid);
                        self.lose(at.unwrap_or_else(|| panic!("{uid} vanished and was not there: {line}")), truth);
                    }
                }
                ["*", number, what, ..] => {
                    let Ok(number) = number.parse::<usize>() else { continue };
                    match what {
                        "EXISTS" => self.exists(number, truth),
                        "EXPUNGE" => {
                            assert!(!self.qresync, "EXPUNGE after ENABLE QRESYNC: {line}");
                            assert!((1..=self.view.len()).contains(&number), "no message {number}: {line}");
                            self.lose(number - 1, truth);
                        }
                        "FETCH" => self.fetch(number, line, truth),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    fn exists(&mut self, number: usize, truth: &Mailbox) {
        assert!(number >= self.view.len(), "EXISTS {number} after {}", self.view.len());
        let last = self.view.last().copied().unwrap_or(0);
        let new = truth.messages.iter().map(|message| message.uid).filter(|uid| *uid > last);
        self.view.extend(new.take(number - self.view.len()));
        assert_eq!(self.view.len(), number, "EXISTS of messages that are not there");
    }

    fn lose(&mut self, at: usize, truth: &Mailbox) {
        let uid = self.view.remove(at);
        assert!(truth.get(uid).is_none(), "UID {uid} (number {}) is told as gone and is there", at + 1);
        self.flags.remove(&uid);
        self.modseqs.remove(&uid);
        self.versions.remove(&uid);
    }

    fn fetch(&mut self, number: usize, line: &str, truth: &Mailbox) {
        assert!((1..=self.view.len()).contains(&number), "no message {number}: {line}");
        let uid = self.view[number - 1];
        if let Some(text) = line.split("UID ").nth(1) {
            assert_eq!(leading(text), u64::from(uid), "message {number} is another one: {line}");
        }
        self.fetched.insert(uid);
        let flags = line.split("FLAGS (").nth(1).and_then(|text| text.split(')').next());
        if let Some(flags) = flags {
            self.flags.insert(uid, flags.split_ascii_whitespace().map(str::to_owned).collect());
        }
        if let Some(modseq) = line.split("MODSEQ (").nth(1).map(leading) {
            let before = self.modseqs.insert(uid, modseq).unwrap_or(0);
            assert!(modseq >= before, "MODSEQ of {uid} went back: {line}");
            self.heard_modseq = self.heard_modseq.max(modseq);
            if let Some(message) = truth.get(uid) {
                self.versions.insert(uid, (message.version, message.touched));
            }
        }
    }

    /// Why the picture is not what it may be after such a command.
    pub fn wrong(&self, hears: Hears, truth: &Mailbox) -> Option<String> {
        let there: Vec<u32> = self.view.iter().copied().filter(|uid| truth.get(*uid).is_some()).collect();
        if there != truth.uids() || (hears == Hears::All && self.view.len() != there.len()) {
            return Some(format!("believes {:?}, there are {:?}", self.view, truth.uids()));
        }
        let wrong = self.flags.iter().find(|(uid, flags)| truth.get(**uid).is_some_and(|real| real.flags != **flags));
        wrong.map(|(uid, flags)| format!("believes flags {flags:?} of UID {uid}: {:?}", truth.get(*uid)))
    }

    /// What it takes along when the connection ends.
    pub fn leave(&mut self) -> Cache {
        let cache = Cache {
            uidvalidity: self.uidvalidity,
            modseq: self.synced_modseq,
            view: std::mem::take(&mut self.view),
            flags: std::mem::take(&mut self.flags),
        };
        *self = Self { qresync: self.qresync, ..Self::default() };
        cache
    }
}

/// What a client keeps on its own disk.
#[derive(Clone, Debug)]
pub struct Cache {
    pub uidvalidity: u64,
    pub modseq: u64,
    pub view: Vec<u32>,
    pub flags: BTreeMap<u32, Flags>,
}

impl Cache {
    /// Goes on from where it was with what SELECT said: as a client does that trusts it.
    pub fn resume(&self, picture: &mut Picture, truth: &Mailbox) {
        let mut known: BTreeSet<u32> = self.view.iter().copied().filter(|uid| !picture.earlier.contains(uid)).collect();
        known.extend(&picture.fetched);
        let known: Vec<u32> = known.into_iter().collect();
        assert_eq!(known, truth.uids(), "after a return with {self:?}");
        for (uid, flags) in &self.flags {
            if known.contains(uid) {
                picture.flags.entry(*uid).or_insert_with(|| flags.clone());
            }
        }
    }
}

/// The number at the beginning of a text.
pub fn leading(text: &str) -> u64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// The numbers of a set.
pub fn expand(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("no set: {set}"));
    set.split(',')
        .flat_map(|range| match range.split_once(':') {
            Some((from, to)) => number(from).min(number(to))..=number(from).max(number(to)),
            None => number(range)..=number(range),
        })
        .collect()
}
