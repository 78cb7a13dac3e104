//! The sessions, the mailboxes and the dice.

use std::collections::BTreeMap;

use crate::picture::{Cache, Hears, Picture, leading};
use crate::support::{Client, Server, message};
use crate::truth::{Flags, Mailbox};

/// Flags that STORE and APPEND give.
const FLAGS: [&str; 7] = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "$Work", "old"];
/// Lines of the trace that a failure shows.
const SHOWN: usize = 40;

/// What a session asked for when it logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Condstore,
    Qresync,
}

pub struct Session {
    pub client: Client,
    pub mode: Mode,
    pub rev2: bool,
    /// The selected mailbox.
    pub at: Option<usize>,
    pub read_only: bool,
    pub idle: bool,
    pub picture: Picture,
    /// What it kept of each mailbox.
    pub cache: [Option<Cache>; 2],
}

pub struct World<'a> {
    server: &'a Server,
    seed: u64,
    dice: u64,
    pub boxes: [Mailbox; 2],
    pub sessions: Vec<Session>,
    /// EMAILIDs by identity.
    emailids: BTreeMap<u32, String>,
    identities: u32,
    /// HIGHESTMODSEQ that STATUS told of each mailbox, and at which version.
    pub status: [Option<(u64, u32)>; 2],
    trace: Vec<String>,
    pub commands: u64,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}, the last commands:", self.seed);
            for line in &self.trace[self.trace.len().saturating_sub(SHOWN)..] {
                println!("{line}");
            }
        }
    }
}

impl<'a> World<'a> {
    pub async fn new(server: &'a Server, seed: u64) -> Self {
        let boxes = [Mailbox::new(format!("m{seed}a")), Mailbox::new(format!("m{seed}b"))];
        let mut world = Self {
            server,
            seed,
            dice: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            boxes,
            sessions: Vec::new(),
            emailids: BTreeMap::new(),
            identities: 0,
            status: [None, None],
            trace: Vec::new(),
            commands: 0,
        };
        let count = 2 + world.roll(7);
        for number in 0..count {
            let session = world.connect().await;
            world.sessions.push(session);
            if number == 0 {
                for at in 0..2 {
                    world.run(0, &format!("CREATE {}", world.boxes[at].name)).await;
                }
            }
        }
        world
    }

    /// xorshift: the same run for the same seed.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice % sides.max(1) as u64).unwrap()
    }

    pub fn some_flags(&mut self, at_most: usize) -> Flags {
        let count = self.roll(at_most + 1);
        (0..count).map(|_| FLAGS[self.roll(FLAGS.len())].to_owned()).collect()
    }

    pub fn new_message(&mut self) -> (u32, String) {
        self.identities += 1;
        (self.identities, message(&format!("s{}n{}", self.seed, self.identities)))
    }

    /// A new connection, with what it enables.
    pub async fn connect(&mut self) -> Session {
        let mut client = self.server.login("alice").await;
        let mode = [Mode::Plain, Mode::Condstore, Mode::Qresync, Mode::Qresync][self.roll(4)];
        let rev2 = self.roll(3) == 0;
        if mode != Mode::Plain {
            client.ok(&format!("ENABLE {mode:?}")).await;
        }
        if rev2 {
            client.ok("ENABLE IMAP4rev2").await;
        }
        let picture = Picture { qresync: mode == Mode::Qresync, ..Picture::default() };
        self.trace.push(format!("-- connected: {mode:?}, rev2 {rev2}"));
        Session { client, mode, rev2, at: None, read_only: false, idle: false, picture, cache: [None, None] }
    }

    pub fn note(&mut self, text: String) {
        self.trace.push(text);
    }

    /// Runs a command that must succeed.
    pub async fn run(&mut self, who: usize, command: &str) -> String {
        let text = self.try_run(who, command).await;
        assert!(text.lines().last().unwrap().starts_with("a OK"), "{command}: {text}");
        text
    }

    /// Runs a command.
    pub async fn try_run(&mut self, who: usize, command: &str) -> String {
        self.commands += 1;
        let shown = command.split('\r').next().unwrap_or_default();
        self.trace.push(format!("{who} C: {shown}"));
        let text = self.sessions[who].client.run(command).await;
        self.trace.push(format!("{who} S: {}", text.trim_end().replace("\r\n", "\r\n     ")));
        text
    }

    /// Lets the session hear an answer, and compares.
    pub fn hear(&mut self, who: usize, hears: Hears, text: &str) {
        let session = &mut self.sessions[who];
        let Some(at) = session.at else { return };
        session.picture.hear(text, &self.boxes[at]);
        self.compare(who, hears);
        self.same_messages(at, text);
    }

    pub fn compare(&mut self, who: usize, hears: Hears) {
        let session = &mut self.sessions[who];
        let Some(at) = session.at else { return };
        if let Some(wrong) = session.picture.wrong(hears, &self.boxes[at]) {
            panic!("session {who}, {}: {wrong}", self.boxes[at].name);
        }
        if hears == Hears::All {
            session.picture.synced_modseq = session.picture.heard_modseq;
        }
    }

    /// EMAILID is the same for copies of one message, and of no two messages.
    fn same_messages(&mut self, at: usize, text: &str) {
        for line in text.lines().filter(|line| line.contains(" EMAILID (")) {
            let id = line.split("EMAILID (").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
            let uid = u32::try_from(leading(line.split("UID ").nth(1).expect("UID"))).unwrap();
            let Some(message) = self.boxes[at].get(uid) else { continue };
            let known = self.emailids.entry(message.identity).or_insert_with(|| id.to_owned());
            assert_eq!(known, id, "UID {uid} is another message");
        }
    }

    /// Those in IDLE are told by themselves.
    pub async fn hear_idle(&mut self) {
        for who in 0..self.sessions.len() {
            while self.sessions[who].idle {
                let session = &mut self.sessions[who];
                let at = session.at.expect("a mailbox");
                if session.picture.wrong(Hears::All, &self.boxes[at]).is_none() {
                    session.picture.synced_modseq = session.picture.heard_modseq;
                    break;
                }
                let line = session.client.line().await;
                self.trace.push(format!("{who} S: (idle) {line}"));
                assert!(!line.is_empty(), "the connection of session {who} ended");
                self.sessions[who].picture.hear(&line, &self.boxes[at]);
            }
        }
    }

    /// One command of somebody.
    pub async fn step(&mut self) {
        let who = self.roll(self.sessions.len());
        self.sessions[who].picture.earlier.clear();
        self.sessions[who].picture.fetched.clear();
        if self.sessions[who].idle {
            self.done(who).await;
        } else if self.sessions[who].at.is_none() {
            self.unselected(who).await;
        } else {
            self.selected(who).await;
        }
        self.hear_idle().await;
    }

    async fn done(&mut self, who: usize) {
        self.sessions[who].client.send("DONE\r\n").await;
        let text = self.sessions[who].client.until("i OK").await;
        self.note(format!("{who} S: (DONE) {text}"));
        self.sessions[who].idle = false;
        self.hear(who, Hears::All, &text);
    }

    /// All hear what is left, a new session sees the same, and then the mailboxes go.
    pub async fn end(&mut self) {
        for who in 0..self.sessions.len() {
            if self.sessions[who].idle {
                self.done(who).await;
            }
            let text = self.run(who, "NOOP").await;
            self.hear(who, Hears::All, &text);
        }
        let mut fresh = self.connect().await;
        fresh.mode = Mode::Plain;
        self.sessions.push(fresh);
        let who = self.sessions.len() - 1;
        for at in 0..2 {
            self.select(who, at, false).await;
            let asked = if self.boxes[at].messages.is_empty() { "UID FETCH" } else { "FETCH" };
            let text = self.run(who, &format!("{asked} 1:* (UID FLAGS EMAILID)")).await;
            self.hear(who, Hears::NoExpunge, &text);
            let picture = &self.sessions[who].picture;
            assert_eq!(picture.flags.len(), self.boxes[at].messages.len(), "not all were told of");
        }
        self.run(who, "UNSELECT").await;
        self.sessions[who].at = None;
        for at in 0..2 {
            self.run(who, &format!("DELETE {}", self.boxes[at].name)).await;
            self.boxes[at].messages.clear();
        }
        for who in 0..self.sessions.len() {
            let text = self.run(who, "NOOP").await;
            self.hear(who, Hears::All, &text);
            self.run(who, "LOGOUT").await;
        }
    }
}
