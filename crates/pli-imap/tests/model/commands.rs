//! The commands: what is sent, what it does to the truth, and what must be answered.

use std::collections::BTreeSet;

use crate::picture::{Hears, expand, leading};
use crate::truth::{Change, Flags, copied};
use crate::world::{Mode, World};

/// The response code of this name in an answer.
fn code<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.split(&format!("[{name} ")).nth(1)?.split(']').next()
}

fn joined(flags: &Flags) -> String {
    flags.iter().cloned().collect::<Vec<_>>().join(" ")
}

fn set_of(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// A key, and which messages it finds.
type Key = (&'static str, fn(&Flags) -> bool);

const KEYS: [Key; 9] = [
    ("ALL", |_| true),
    ("SEEN", |flags| flags.contains("\\Seen")),
    ("UNSEEN", |flags| !flags.contains("\\Seen")),
    ("FLAGGED", |flags| flags.contains("\\Flagged")),
    ("UNDELETED", |flags| !flags.contains("\\Deleted")),
    ("KEYWORD $Work", |flags| flags.contains("$Work")),
    ("UNKEYWORD old", |flags| !flags.contains("old")),
    ("NOT DRAFT", |flags| !flags.contains("\\Draft")),
    ("OR DELETED ANSWERED", |flags| flags.contains("\\Deleted") || flags.contains("\\Answered")),
];

impl World<'_> {
    /// A command of a session without a mailbox.
    pub async fn unselected(&mut self, who: usize) {
        let at = self.roll(2);
        match self.roll(8) {
            0 => self.append(who, at).await,
            1 => self.status(who, at).await,
            2 => self.reconnect(who).await,
            3 => self.select(who, at, true).await,
            _ => self.select(who, at, false).await,
        }
    }

    /// A command of a session with one.
    pub async fn selected(&mut self, who: usize) {
        let at = self.sessions[who].at.expect("a mailbox");
        let empty = self.sessions[who].picture.view.is_empty();
        let read_only = self.sessions[who].read_only;
        match self.roll(30) {
            0..=4 => self.append(who, at).await,
            5 => self.append(who, 1 - at).await,
            6..=9 if !empty && !read_only => self.store(who, at).await,
            10 if !empty && !read_only => self.store_unchanged(who, at).await,
            11 | 12 if !read_only => self.expunge(who, at).await,
            13..=15 if !empty => self.fetch(who, at).await,
            16 if !empty && !read_only => self.read(who, at).await,
            17 | 18 => self.search(who, at).await,
            19 if !empty => self.copy(who, at).await,
            20 | 21 if !empty && !read_only => self.take_along(who, at).await,
            22 | 23 => self.idle(who).await,
            24 => self.close(who, at).await,
            25 => self.reconnect(who).await,
            26 => self.status(who, at).await,
            27 if empty => self.status(who, 1 - at).await,
            27 if !empty => self.changed_since(who).await,
            28 => {
                let (other, examine) = (self.roll(2), self.roll(4) == 0);
                self.select(who, other, examine).await;
            }
            _ => {
                let text = self.run(who, ["NOOP", "CHECK"][usize::from(!self.sessions[who].rev2)]).await;
                self.hear(who, Hears::All, &text);
            }
        }
    }

    /// Some message numbers of the session's picture, and their UIDs.
    fn some(&mut self, who: usize) -> (String, Vec<u32>) {
        let view = self.sessions[who].picture.view.clone();
        let (one, two) = (self.roll(view.len()), self.roll(view.len()));
        match self.roll(6) {
            0 => ("1:*".to_owned(), view),
            1 => ("*".to_owned(), view[view.len() - 1..].to_vec()),
            2 => (format!("{}:{}", one + 1, two + 1), view[one.min(two)..=one.max(two)].to_vec()),
            3 => {
                let uids = [view[one], view[two]];
                (format!("{},{}", one + 1, two + 1), if one == two { uids[..1].to_vec() } else { uids.to_vec() })
            }
            _ => (format!("{}", one + 1), vec![view[one]]),
        }
    }

    /// Numbers or UIDs: the set as it is sent, the UIDs, the word before the command.
    fn chosen(&mut self, who: usize) -> (String, Vec<u32>, &'static str) {
        let (numbers, uids) = self.some(who);
        if self.roll(2) == 0 { (numbers, uids, "") } else { (set_of(&uids), uids, "UID ") }
    }

    fn hears(prefix: &str) -> Hears {
        if prefix.is_empty() { Hears::NoExpunge } else { Hears::All }
    }

    async fn append(&mut self, who: usize, to: usize) {
        let mut command = format!("APPEND {}", self.boxes[to].name);
        let mut new = Vec::new();
        for _ in 0..1 + self.roll(6) / 4 {
            let flags = self.some_flags(3);
            let (identity, text) = self.new_message();
            command.push_str(&format!(" ({}) {{{}+}}\r\n{text}", joined(&flags), text.len()));
            new.push((identity, flags));
        }
        let text = self.run(who, &command).await;
        let uids: Vec<u32> = new.into_iter().map(|(identity, flags)| self.boxes[to].add(identity, flags)).collect();
        let told = code(&text, "APPENDUID").expect("APPENDUID").split(' ').nth(1).expect("UIDs");
        assert_eq!(expand(told), uids, "{text}");
        self.hear(who, Hears::All, &text);
    }

    async fn store(&mut self, who: usize, at: usize) {
        let (set, uids, prefix) = self.chosen(who);
        let (change, sign) =
            [(Change::Add, "+"), (Change::Add, "+"), (Change::Remove, "-"), (Change::Replace, "")][self.roll(4)];
        let silent = self.roll(2) == 0;
        let flags = self.some_flags(2);
        let item = if silent { "FLAGS.SILENT" } else { "FLAGS" };
        let text = self.try_run(who, &format!("{prefix}STORE {set} {sign}{item} ({})", joined(&flags))).await;
        self.answered(&text, at, &uids);
        self.boxes[at].store(&uids, change, &flags);
        self.stored(who, at, &uids, silent.then_some((change, &flags)), Self::hears(prefix), &text);
    }

    /// NO may be said where a message is gone that the session was not told of (RFC 2180 §4.2).
    fn answered(&self, text: &str, at: usize, uids: &[u32]) {
        let last = text.lines().last().unwrap_or_default();
        let gone = uids.iter().any(|uid| self.boxes[at].get(*uid).is_none());
        assert!(last.starts_with("a OK") || (gone && last.starts_with("a NO")), "{text}");
    }

    fn stored(
        &mut self,
        who: usize,
        at: usize,
        uids: &[u32],
        silent: Option<(Change, &Flags)>,
        hears: Hears,
        text: &str,
    ) {
        let there: Vec<u32> = uids.iter().copied().filter(|uid| self.boxes[at].get(*uid).is_some()).collect();
        let picture = &mut self.sessions[who].picture;
        picture.hear(text, &self.boxes[at]);
        match silent {
            None => assert!(there.iter().all(|uid| picture.flags.contains_key(uid)), "not all flags were told: {text}"),
            // What the client asked for is what it believes.
            Some((change, flags)) => {
                for uid in there {
                    match change {
                        Change::Replace => {
                            picture.flags.insert(uid, flags.clone());
                        }
                        Change::Add => {
                            picture.flags.entry(uid).and_modify(|known| known.extend(flags.iter().cloned()));
                        }
                        Change::Remove => {
                            picture.flags.entry(uid).and_modify(|known| known.retain(|flag| !flags.contains(flag)));
                        }
                    }
                }
            }
        }
        self.compare(who, hears);
    }

    /// RFC 7162 §3.1.3: what changed since the client was told of it is not touched.
    async fn store_unchanged(&mut self, who: usize, at: usize) {
        let picture = &self.sessions[who].picture;
        let known: Vec<u32> =
            picture.modseqs.keys().copied().filter(|uid| self.boxes[at].get(*uid).is_some()).collect();
        if known.is_empty() {
            return;
        }
        let uid = known[self.roll(known.len())];
        let picture = &self.sessions[who].picture;
        let (modseq, then) = (picture.modseqs[&uid], picture.versions[&uid]);
        let message = self.boxes[at].get(uid).expect("it is there");
        let (now, flags) = ((message.version, message.touched), self.some_flags(2));
        let command = format!("UID STORE {uid} (UNCHANGEDSINCE {modseq}) +FLAGS ({})", joined(&flags));
        let text = self.run(who, &command).await;
        let modified = code(&text, "MODIFIED").is_some();
        if modified {
            assert_ne!(then, now, "nothing changed: {text}");
        } else {
            assert_eq!(then.0, now.0, "it had changed: {text}");
            self.boxes[at].store(&[uid], Change::Add, &flags);
        }
        self.hear(who, Hears::All, &text);
    }

    async fn expunge(&mut self, who: usize, at: usize) {
        let uids = if self.roll(3) == 0 && !self.sessions[who].picture.view.is_empty() {
            let (_, uids) = self.some(who);
            let text = self.run(who, &format!("UID EXPUNGE {}", set_of(&uids))).await;
            (Some(uids), text)
        } else {
            (None, self.run(who, "EXPUNGE").await)
        };
        self.boxes[at].expunge(uids.0.as_deref());
        self.hear(who, Hears::All, &uids.1);
    }

    async fn fetch(&mut self, who: usize, at: usize) {
        let (set, uids, prefix) = self.chosen(who);
        let modseq = if self.sessions[who].mode == Mode::Plain { "" } else { " MODSEQ" };
        let items = ["(UID FLAGS", "(FLAGS UID EMAILID", "(UID FLAGS INTERNALDATE"][self.roll(3)];
        let text = self.try_run(who, &format!("{prefix}FETCH {set} {items}{modseq})")).await;
        self.answered(&text, at, &uids);
        self.hear(who, Self::hears(prefix), &text);
        for uid in uids.into_iter().filter(|uid| self.boxes[at].get(*uid).is_some()) {
            assert!(self.sessions[who].picture.fetched.contains(&uid), "UID {uid} was not fetched: {text}");
        }
    }

    /// Content, which sets \Seen.
    async fn read(&mut self, who: usize, at: usize) {
        let (set, uids, prefix) = self.chosen(who);
        let text = self.try_run(who, &format!("{prefix}FETCH {set} (BODY[TEXT]<0.1> UID)")).await;
        self.answered(&text, at, &uids);
        self.boxes[at].store(&uids, Change::Add, &Flags::from(["\\Seen".to_owned()]));
        self.hear(who, Self::hears(prefix), &text.replace("{1}\r\nH", "\"H\""));
        for uid in uids.into_iter().filter(|uid| self.boxes[at].get(*uid).is_some()) {
            let known = self.sessions[who].picture.flags.get(&uid);
            assert!(known.is_none_or(|flags| flags.contains("\\Seen")), "UID {uid} was read: {text}");
        }
    }

    async fn search(&mut self, who: usize, at: usize) {
        let (key, finds) = KEYS[self.roll(KEYS.len())];
        let prefix = ["", "UID "][self.roll(2)];
        let text = self.run(who, &format!("{prefix}SEARCH {key}")).await;
        self.hear(who, Self::hears(prefix), &text);
        let line = text.lines().find(|line| line.starts_with("* SEARCH") || line.starts_with("* ESEARCH"));
        let line = line.unwrap_or_else(|| panic!("no result: {text}"));
        let found: Vec<u32> = match line.strip_prefix("* SEARCH") {
            Some(list) => {
                let list = list.split(" (MODSEQ").next().unwrap_or_default();
                list.split_ascii_whitespace().map(|word| u32::try_from(leading(word)).unwrap()).collect()
            }
            None => line.split(" ALL ").nth(1).map(expand).unwrap_or_default(),
        };
        let view = &self.sessions[who].picture.view;
        let uid = |number: u32| if prefix.is_empty() { view[number as usize - 1] } else { number };
        let there = |uid: &u32| self.boxes[at].get(*uid).is_some();
        let found: BTreeSet<u32> = found.into_iter().map(uid).filter(there).collect();
        let right = self.boxes[at].messages.iter().filter(|message| finds(&message.flags));
        assert_eq!(found, right.map(|message| message.uid).collect(), "{key}: {text}");
    }

    /// The UIDs of COPYUID are those that the messages now have.
    fn arrived(&mut self, from: usize, to: usize, uids: &[u32], text: &str) -> Vec<u32> {
        let messages = copied(&self.boxes[from], uids);
        let mut pairs = (Vec::new(), Vec::new());
        for (uid, identity, flags) in messages {
            pairs.0.push(uid);
            pairs.1.push(self.boxes[to].add(identity, flags));
        }
        match code(text, "COPYUID") {
            Some(code) => {
                let words: Vec<&str> = code.split(' ').collect();
                assert_eq!((expand(words[1]), expand(words[2])), pairs, "{text}");
            }
            None => assert!(pairs.0.is_empty(), "no COPYUID: {text}"),
        }
        pairs.0
    }

    async fn copy(&mut self, who: usize, at: usize) {
        let (set, uids, prefix) = self.chosen(who);
        let to = if self.roll(4) == 0 { at } else { 1 - at };
        let text = self.try_run(who, &format!("{prefix}COPY {set} {}", self.boxes[to].name)).await;
        self.answered(&text, at, &uids);
        if text.lines().last().is_some_and(|last| last.starts_with("a OK")) {
            self.arrived(at, to, &uids, &text);
        }
        self.hear(who, Hears::All, &text);
    }

    async fn take_along(&mut self, who: usize, at: usize) {
        let (set, uids, prefix) = self.chosen(who);
        let to = if self.roll(6) == 0 { at } else { 1 - at };
        let text = self.try_run(who, &format!("{prefix}MOVE {set} {}", self.boxes[to].name)).await;
        self.answered(&text, at, &uids);
        if text.lines().last().is_some_and(|last| last.starts_with("a OK")) {
            let moved = self.arrived(at, to, &uids, &text);
            self.boxes[at].remove(&moved);
        }
        self.hear(who, Hears::All, &text);
    }

    async fn idle(&mut self, who: usize) {
        self.note(format!("{who} C: IDLE"));
        self.commands += 1;
        self.sessions[who].client.send("i IDLE\r\n").await;
        // What is new may come before the continuation (clients.md 11).
        let text = self.sessions[who].client.until("+").await;
        self.note(format!("{who} S: {text}"));
        self.sessions[who].idle = true;
        let at = self.sessions[who].at.expect("a mailbox");
        self.sessions[who].picture.hear(&text, &self.boxes[at]);
    }

    async fn status(&mut self, who: usize, of: usize) {
        let mailbox = &self.boxes[of];
        let text = self.run(who, &format!("STATUS {} (MESSAGES UIDNEXT UNSEEN HIGHESTMODSEQ)", mailbox.name)).await;
        let mailbox = &self.boxes[of];
        let number = |name: &str| leading(text.split(&format!("{name} ")).nth(1).expect("an item"));
        let unseen = mailbox.messages.iter().filter(|message| !message.flags.contains("\\Seen")).count();
        let right = (mailbox.messages.len() as u64, u64::from(mailbox.last_uid) + 1, unseen as u64);
        assert_eq!((number("MESSAGES"), number("UIDNEXT"), number("UNSEEN")), right, "{text}");
        let (modseq, version) = (number("HIGHESTMODSEQ"), mailbox.version);
        if let Some((before, at)) = self.status[of].replace((modseq, version)) {
            // It changes only on change (clients.md 13).
            assert!(modseq >= before && (modseq == before || version > at), "{before} became {modseq}");
        }
        self.hear(who, Hears::All, &text);
    }

    async fn close(&mut self, who: usize, at: usize) {
        if self.roll(2) == 0 {
            self.run(who, "UNSELECT").await;
        } else {
            self.run(who, "CLOSE").await;
            if !self.sessions[who].read_only {
                self.boxes[at].expunge(None);
            }
        }
        self.leave(who);
    }

    fn leave(&mut self, who: usize) {
        if let Some(at) = self.sessions[who].at.take() {
            self.sessions[who].cache[at] = Some(self.sessions[who].picture.leave());
        }
    }

    async fn reconnect(&mut self, who: usize) {
        if self.roll(2) == 0 {
            self.run(who, "LOGOUT").await;
        }
        self.leave(who);
        let mut new = self.connect().await;
        new.cache = self.sessions[who].cache.clone();
        self.sessions[who] = new;
    }

    async fn changed_since(&mut self, who: usize) {
        let session = &self.sessions[who];
        let since = session.picture.synced_modseq;
        if session.mode == Mode::Plain || since == 0 {
            return;
        }
        let vanished = if session.mode == Mode::Qresync && self.roll(2) == 0 { " VANISHED" } else { "" };
        let text = self.run(who, &format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since}{vanished})")).await;
        self.hear(who, Hears::All, &text);
    }

    /// SELECT, with what the client has kept where it may use that.
    pub async fn select(&mut self, who: usize, at: usize, examine: bool) {
        self.leave(who);
        let word = if examine { "EXAMINE" } else { "SELECT" };
        let name = self.boxes[at].name.clone();
        let cache = self.sessions[who].cache[at].take().filter(|cache| cache.modseq > 0);
        let mode = self.sessions[who].mode;
        let parameters = match (&cache, mode) {
            (Some(cache), Mode::Qresync) => {
                let known = match self.roll(3) {
                    0 => String::new(),
                    1 => cache.view.last().map(|last| format!(" 1:{last}")).unwrap_or_default(),
                    _ => self.matched(&cache.view),
                };
                format!(" (QRESYNC ({} {}{known}))", cache.uidvalidity, cache.modseq)
            }
            (_, Mode::Condstore) => " (CONDSTORE)".to_owned(),
            _ => String::new(),
        };
        let text = self.run(who, &format!("{word} {name}{parameters}")).await;
        let session = &mut self.sessions[who];
        (session.at, session.read_only) = (Some(at), examine);
        session.picture.uidvalidity = leading(code(&text, "UIDVALIDITY").expect("UIDVALIDITY"));
        assert!(text.lines().last().is_some_and(|last| last.contains("[READ-ONLY]") == examine), "{text}");
        self.hear(who, Hears::All, &text);
        let Some(cache) = cache else { return };
        assert_eq!(cache.uidvalidity, self.sessions[who].picture.uidvalidity);
        match mode {
            // What came after the UIDs that it named as known it has to ask for itself (RFC 7162 §3.2.5.1).
            Mode::Qresync => {
                let from = cache.view.last().unwrap_or(&0) + 1;
                let text = self.run(who, &format!("UID FETCH {from}:* (FLAGS)")).await;
                self.hear(who, Hears::All, &text);
            }
            Mode::Condstore => {
                let empty = self.sessions[who].picture.view.is_empty();
                let command = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {})", cache.modseq);
                let text = if empty { String::new() } else { self.run(who, &command).await };
                self.hear(who, Hears::All, &text);
                let there = self.boxes[at].uids();
                let gone = cache.view.iter().copied().filter(|uid| !there.contains(uid));
                self.sessions[who].picture.earlier.extend(gone);
            }
            Mode::Plain => return,
        }
        cache.resume(&mut self.sessions[who].picture, &self.boxes[at]);
        self.compare(who, Hears::All);
    }

    /// Known UIDs and message sequence match data (RFC 7162 §3.2.5.2).
    fn matched(&mut self, view: &[u32]) -> String {
        let Some(last) = view.last() else { return String::new() };
        let mut numbers: Vec<u32> = Vec::new();
        let mut at = self.roll(3);
        while at < view.len() {
            numbers.push(u32::try_from(at).unwrap() + 1);
            at += 1 + self.roll(5);
        }
        if numbers.is_empty() {
            return format!(" 1:{last}");
        }
        let uids: Vec<u32> = numbers.iter().map(|number| view[*number as usize - 1]).collect();
        format!(" 1:{last} ({} {})", set_of(&numbers), set_of(&uids))
    }
}
