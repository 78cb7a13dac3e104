//! `kill -9` under load, again and again: what was acknowledged is there, whole
//! and once; what was not is there once or not at all; a moved message is in one
//! mailbox; flags are what was acknowledged; UIDs are never used again, and
//! modseq and UIDNEXT never go back. Meanwhile the log is compacted.
//!
//! `PLI_CRASH_ROUNDS` says how often (20), `PLI_CRASH_SEED` replays the choices
//! of a run, whose seed is printed (moments and sizes; threads still race).
//! A killed process loses nothing that it gave to the kernel: power failures
//! are the store's own tests' business, on a simulated disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pli_tests::acknowledged::{Fate, Flags, Found, Ledger, Place, Sink, mark, message};
use pli_tests::dice::Dice;
use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Builder, Instance, pli};

/// Messages of one mailbox beyond which it is emptied, to bound a long run.
const MESSAGES_MAX: usize = 60;
/// How long the queue may take to empty after the last start.
const QUEUE_WAIT: Duration = Duration::from_secs(60);
/// The last one is where copies and moves go.
const MAILBOXES: [&str; 3] = ["INBOX", "Box", "Other"];
const OTHER: usize = 2;
/// Rounds after which the whole log and index are compared, and a compaction ends that no kill cuts short; quotas are
/// counted again after each round.
const VERIFY_ROUNDS: u64 = 10;
/// What an administrator does meanwhile.
const CHORES: [&[&str]; 8] = [
    &["store", "compact", "--all"],
    &["store", "compact", "--all"],
    &["store", "compact"],
    &["store", "rebuild"],
    &["key", "rotate", "root"],
    &["key", "rotate", "account", "--all"],
    &["quota", "recalculate"],
    &["store", "verify"],
];

struct Run {
    accounts: Vec<Account>,
    ledger: Ledger,
    sink: Sink,
    /// Messages for the other domain, and whether they were acknowledged.
    remote: Mutex<HashMap<u64, bool>>,
    next: AtomicU64,
    crashes: AtomicU64,
    stop: AtomicBool,
    dice: Mutex<Dice>,
    /// How often each chore was done, and cut short by a kill.
    chores: Mutex<BTreeMap<String, [u64; 2]>>,
    begun: Instant,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn nothing_acknowledged_is_lost() {
    let rounds = number("PLI_CRASH_ROUNDS").unwrap_or(20);
    let seed = number("PLI_CRASH_SEED")
        .unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()));
    println!("PLI_CRASH_SEED={seed} PLI_CRASH_ROUNDS={rounds}");
    let run = Run::new(seed);
    let route = format!("routes = {{ \"sink.test\" = \"127.0.0.1:{}\" }}", run.sink.port);
    let mut instance = Builder::default()
        .config("queue", &route)
        .config("queue", "retry_s = [1]")
        // One transaction at a time: then a crash can repeat one delivery at most.
        .config("queue", "connections_per_destination_max = 1")
        .config("dns", "resolver = \"off\"")
        // No past: whatever a compaction may remove, it removes.
        .config("store", "retention_days = 0")
        .start();
    for account in &run.accounts {
        instance.add(account);
        let mut imap = Imap::login(&instance, account).unwrap();
        MAILBOXES[1..].iter().for_each(|name| drop(imap.ok(&format!("CREATE {name}")).unwrap()));
    }
    for round in 1..=rounds {
        if let Err(text) = run.round(&mut instance, round) {
            panic!("round {round} of PLI_CRASH_SEED={seed}: {text}\n{}", tail(&instance.log()));
        }
    }
    let begun = run.begun.elapsed();
    let outcome = run.compare(&instance).and_then(|_| run.queue(&instance));
    if let Err(text) = outcome {
        panic!("after {rounds} rounds of PLI_CRASH_SEED={seed}: {text}\n{}", tail(&instance.log()));
    }
    undamaged(&mut instance);
    println!(
        "{rounds} rounds in {:.0} s, {} crashes, {} messages offered, {} kept, {} delivered elsewhere",
        begun.as_secs_f64(),
        run.crashes.load(Ordering::Relaxed),
        run.next.load(Ordering::Relaxed) & 0xFF_FFFF,
        run.ledger.kept(),
        run.sink.got().len()
    );
    for (chore, [done, cut]) in &*run.chores.lock().unwrap() {
        println!("{chore}: {done} done, {cut} cut short");
        assert!(rounds < 100 || *done > 0, "{chore} was never done");
    }
}

/// The quota counts are those of the messages.
fn counted(instance: &Instance) -> Result<(), String> {
    let quota = || instance.pli(&["quota", "show", "--json"]).good();
    let before = quota();
    instance.pli(&["quota", "recalculate"]).good();
    let after = quota();
    if before == after { Ok(()) } else { Err(format!("the quota counts had drifted: {before} {after}")) }
}

/// The product's own checks agree.
fn undamaged(instance: &mut Instance) {
    counted(instance).unwrap();
    assert_eq!(instance.stop(), 0, "exit code after SIGTERM");
    instance.pli(&["store", "verify"]).good();
    instance.pli(&["audit", "verify"]).good();
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

impl Run {
    fn new(seed: u64) -> Self {
        let account = |name: &str| Account {
            address: format!("{name}@example.org"),
            password: format!("Correct-Horse-{name}-{seed}"),
        };
        Self {
            accounts: vec![account("a"), account("b"), account("c")],
            ledger: Ledger::default(),
            sink: Sink::start(),
            remote: Mutex::default(),
            // Other seeds, other messages.
            next: AtomicU64::new((seed & 0xFFFF_FFFF) << 24 | 1),
            crashes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            dice: Mutex::new(Dice::new(seed)),
            chores: Mutex::default(),
            begun: Instant::now(),
        }
    }

    fn below(&self, limit: u64) -> u64 {
        self.dice.lock().unwrap().below(limit)
    }

    fn mark(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn place(&self, account: usize, mailbox: &str) -> Place {
        (self.accounts[account].address.clone(), mailbox.to_owned())
    }

    /// Load on the serving instance, the kill, the start, the comparison.
    fn round(&self, instance: &mut Instance, round: u64) -> Result<(), String> {
        let sessions = self.compare(instance)?;
        counted(instance)?;
        if round.is_multiple_of(VERIFY_ROUNDS) {
            for words in [["store", "compact", "--all"].as_slice(), &["store", "verify"]] {
                let ran = instance.pli(words);
                if ran.code != 0 {
                    return Err(format!("{words:?}: {}{}", ran.out, ran.err));
                }
                self.chores.lock().unwrap().entry(words.join(" ")).or_default()[0] += 1;
            }
        }
        self.stop.store(false, Ordering::SeqCst);
        let lifetime = Duration::from_millis(20 + self.below(680));
        self.load(instance, sessions, lifetime)?;
        // The process is gone; this waits for the shell around it.
        instance.kill();
        // Now and then nothing is left of the index: the log alone makes it again.
        if self.below(25) == 0 {
            std::fs::remove_dir_all(instance.dir.join("store/index")).unwrap();
        }
        if self.below(5) == 0 {
            self.kill_while_starting(instance);
        }
        instance.serve();
        Ok(())
    }

    fn load(&self, instance: &Instance, sessions: Vec<Session>, lifetime: Duration) -> Result<(), String> {
        std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for session in sessions {
                workers.push(scope.spawn(|| self.until_killed(self.reader(session))));
            }
            for _ in 0..3 {
                let seed = self.below(u64::MAX);
                workers.push(scope.spawn(move || self.until_killed(self.stranger(instance, seed))));
            }
            workers.push(scope.spawn(|| self.until_killed(self.author(instance))));
            workers.push(scope.spawn(|| self.until_killed(self.neighbour(instance))));
            workers.push(scope.spawn(|| self.until_killed(self.steward(instance))));
            std::thread::sleep(lifetime);
            self.stop.store(true, Ordering::SeqCst);
            let pid = instance.pid().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            self.crashes.fetch_add(1, Ordering::Relaxed);
            let outcomes: Vec<Result<(), String>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            outcomes.into_iter().collect()
        })
    }

    /// A crash within the start, when the log is read again.
    fn kill_while_starting(&self, instance: &Instance) {
        let mut child = Command::new(pli())
            .arg("serve")
            .arg("--config")
            .arg(&instance.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(self.below(250)));
        child.kill().unwrap();
        child.wait().unwrap();
        self.crashes.fetch_add(1, Ordering::Relaxed);
    }

    /// An error is the kill's doing when the kill had begun, and a fault before.
    fn until_killed(&self, outcome: Result<(), String>) -> Result<(), String> {
        match outcome {
            Err(text) if !self.stop.load(Ordering::SeqCst) => Err(text),
            _ => Ok(()),
        }
    }

    /// Mail from another server: one to three recipients a message.
    fn stranger(&self, instance: &Instance, seed: u64) -> Result<(), String> {
        let mut dice = Dice::new(seed);
        let mut smtp = Smtp::mx(instance)?;
        while !self.stop.load(Ordering::SeqCst) {
            let mark = self.mark();
            let chosen = 1 + dice.below(7);
            let to: Vec<usize> = (0..self.accounts.len()).filter(|at| chosen & (1 << at) != 0).collect();
            let addresses: Vec<&str> = to.iter().map(|at| self.accounts[*at].address.as_str()).collect();
            self.write(&to, mark, Fate::Offered);
            smtp.send("stranger@example.net", &addresses, &message(mark))?;
            self.write(&to, mark, Fate::Kept);
            std::thread::sleep(Duration::from_millis(dice.below(8)));
        }
        Ok(())
    }

    fn write(&self, to: &[usize], mark: u64, fate: Fate) {
        for at in to {
            self.ledger.write(&self.place(*at, "INBOX"), mark, fate);
        }
    }

    /// Mail of the first account to another domain, sometimes to the second account too.
    fn author(&self, instance: &Instance) -> Result<(), String> {
        let mut smtp = Smtp::submission(instance, &self.accounts[0])?;
        while !self.stop.load(Ordering::SeqCst) {
            let mark = self.mark();
            let remote = format!("m{mark}@sink.test");
            let mut to = vec![remote.as_str()];
            let local: &[usize] = if self.below(3) == 0 { &[1] } else { &[] };
            to.extend(local.iter().map(|at| self.accounts[*at].address.as_str()));
            self.write(local, mark, Fate::Offered);
            self.remote.lock().unwrap().insert(mark, false);
            smtp.send(&self.accounts[0].address, &to, &message(mark))?;
            self.remote.lock().unwrap().insert(mark, true);
            self.write(local, mark, Fate::Kept);
            std::thread::sleep(Duration::from_millis(self.below(15)));
        }
        Ok(())
    }

    /// A program of this machine that delivers by LMTP: an answer for each recipient.
    fn neighbour(&self, instance: &Instance) -> Result<(), String> {
        let mut lmtp = Smtp::lmtp(instance)?;
        while !self.stop.load(Ordering::SeqCst) {
            let mark = self.mark();
            let to = [1, 2];
            let addresses: Vec<&str> = to.iter().map(|at| self.accounts[*at].address.as_str()).collect();
            self.write(&to, mark, Fate::Offered);
            lmtp.send_each("cron@example.net", &addresses, &message(mark))?;
            self.write(&to, mark, Fate::Kept);
            std::thread::sleep(Duration::from_millis(self.below(20)));
        }
        Ok(())
    }

    /// The administrator's chores, one after the other.
    fn steward(&self, instance: &Instance) -> Result<(), String> {
        std::thread::sleep(Duration::from_millis(self.below(300)));
        while !self.stop.load(Ordering::SeqCst) {
            let words = CHORES[self.below(CHORES.len() as u64) as usize];
            let ran = instance.pli(words);
            // Without a server the command does its work on the store itself, and that counts no less.
            // One of a kind at a time: the server's own timers have theirs.
            let busy = ran.err.contains("under way") || ran.err.contains("already");
            let failed = usize::from(ran.code != 0);
            self.chores.lock().unwrap().entry(words.join(" ")).or_default()[failed] += 1;
            if failed == 1 && !busy && !self.stop.load(Ordering::SeqCst) {
                return Err(format!("{words:?}: {}{}", ran.out, ran.err));
            }
            std::thread::sleep(Duration::from_millis(self.below(100)));
        }
        Ok(())
    }

    /// An account's own session: APPEND, flags, COPY, MOVE, EXPUNGE.
    fn reader(&self, mut session: Session) -> Result<(), String> {
        let mut dice = Dice::new(self.below(u64::MAX));
        while !self.stop.load(Ordering::SeqCst) {
            let at = dice.below(3) as usize;
            let full = session.there[at].len() > 8;
            match dice.below(12) {
                0..2 if full => {
                    let count = 1 + dice.below(4) as usize;
                    let victims: Vec<Held> = session.there[at].drain(..count).collect();
                    self.expunge(&mut session.imap, &self.place(session.account, MAILBOXES[at]), &victims)?;
                }
                2..5 if !session.there[at].is_empty() => self.flag(&mut session, at, &mut dice)?,
                5..7 if full && at != OTHER => self.to_other(&mut session, at, &mut dice, true)?,
                7 if full && at != OTHER => self.to_other(&mut session, at, &mut dice, false)?,
                _ => {
                    let mark = self.mark();
                    let place = self.place(session.account, "Box");
                    self.ledger.write(&place, mark, Fate::Offered);
                    let answer = session.imap.append("Box", "(\\Seen)", &message(mark))?;
                    self.ledger.write(&place, mark, appended(&answer));
                }
            }
            std::thread::sleep(Duration::from_millis(dice.below(8)));
        }
        Ok(())
    }

    /// STORE: one flag or keyword on or off for one message.
    fn flag(&self, session: &mut Session, at: usize, dice: &mut Dice) -> Result<(), String> {
        let place = self.place(session.account, MAILBOXES[at]);
        let count = session.there[at].len() as u64;
        let held = &mut session.there[at][dice.below(count) as usize];
        let word = ["\\Flagged", "\\Seen", "Later", "$Forwarded"][dice.below(4) as usize];
        let on = !held.flags.contains(word);
        let _ = if on { held.flags.insert(word.to_owned()) } else { held.flags.remove(word) };
        session.imap.ok(&format!("SELECT {}", place.1))?;
        self.ledger.flagging(&place, held.uid, &held.flags);
        let sign = if on { '+' } else { '-' };
        session.imap.ok(&format!("UID STORE {} {sign}FLAGS.SILENT ({word})", held.uid))?;
        self.ledger.flagged(&place, held.uid, &held.flags);
        Ok(())
    }

    /// COPY or MOVE of a few messages that are not in the other mailbox yet.
    fn to_other(&self, session: &mut Session, at: usize, dice: &mut Dice, moving: bool) -> Result<(), String> {
        let (from, to) = (self.place(session.account, MAILBOXES[at]), self.place(session.account, MAILBOXES[OTHER]));
        let there: BTreeSet<u64> = session.there[OTHER].iter().map(|held| held.mark).collect();
        let count = 1 + dice.below(4) as usize;
        let chosen: Vec<Held> =
            session.there[at].iter().filter(|held| !there.contains(&held.mark)).take(count).cloned().collect();
        if chosen.is_empty() {
            return Ok(());
        }
        session.imap.ok(&format!("SELECT {}", from.1))?;
        for held in &chosen {
            self.ledger.write(&to, held.mark, Fate::Offered);
            if moving {
                self.ledger.moving(&from, &to, held.mark);
                self.ledger.write(&from, held.mark, Fate::Expunging(held.uid));
            }
        }
        let verb = if moving { "MOVE" } else { "COPY" };
        let answer = session.imap.ok(&format!("UID {verb} {} {}", set(&chosen), to.1))?;
        let lines = answer.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        let text: String = lines.chain([answer.tagged]).collect();
        let uids = copied(&text).filter(|uids| uids.len() == chosen.len()).ok_or(format!("no COPYUID in {text}"))?;
        for (held, uid) in chosen.into_iter().zip(uids) {
            self.ledger.write(&to, held.mark, Fate::KeptAs(uid));
            self.ledger.flagged(&to, uid, &held.flags);
            if moving {
                self.ledger.write(&from, held.mark, Fate::Gone);
                self.ledger.moved(&from, held.mark);
                session.there[at].retain(|other| other.uid != held.uid);
            }
            session.there[OTHER].push(Held { uid, ..held });
        }
        Ok(())
    }

    fn expunge(&self, imap: &mut Imap, place: &Place, victims: &[Held]) -> Result<(), String> {
        let set = set(victims);
        imap.ok(&format!("SELECT {}", place.1))?;
        for held in victims {
            self.ledger.write(place, held.mark, Fate::Expunging(held.uid));
            let mut flags = held.flags.clone();
            flags.insert("\\Deleted".to_owned());
            self.ledger.flagging(place, held.uid, &flags);
        }
        imap.ok(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"))?;
        imap.ok(&format!("UID EXPUNGE {set}"))?;
        for held in victims {
            self.ledger.write(place, held.mark, Fate::Gone);
        }
        Ok(())
    }

    /// Reads every mailbox whole, and gives the sessions for the next load.
    fn compare(&self, instance: &Instance) -> Result<Vec<Session>, String> {
        let mut sessions = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..self.accounts.len()).map(|at| scope.spawn(move || self.compare_account(instance, at))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<Session>, String>>()
        })?;
        self.ledger.settle_moves()?;
        // Whole batches go, so that a long run stays small and the log has something to shed.
        for session in &mut sessions {
            for (at, mailbox) in MAILBOXES.iter().enumerate() {
                if session.there[at].len() > MESSAGES_MAX {
                    let victims: Vec<Held> = session.there[at].drain(..MESSAGES_MAX - 20).collect();
                    self.expunge(&mut session.imap, &self.place(session.account, mailbox), &victims)?;
                }
            }
        }
        Ok(sessions)
    }

    fn compare_account(&self, instance: &Instance, at: usize) -> Result<Session, String> {
        let mut imap = Imap::login(instance, &self.accounts[at])?;
        imap.ok("ENABLE CONDSTORE")?;
        let mut there = Vec::new();
        for mailbox in MAILBOXES {
            let place = self.place(at, mailbox);
            let found = read(&mut imap, mailbox)?;
            self.ledger.compare(&place, &found)?;
            let held = |message: &pli_tests::acknowledged::Message| Held {
                uid: message.uid,
                mark: mark(&message.bytes).unwrap(),
                flags: message.flags.clone(),
            };
            there.push(found.messages.iter().map(held).collect());
        }
        Ok(Session { account: at, imap, there })
    }

    /// Waits until the queue is empty, then counts at the other domain.
    fn queue(&self, instance: &Instance) -> Result<(), String> {
        let remote = self.remote.lock().unwrap();
        let deadline = Instant::now() + QUEUE_WAIT;
        loop {
            let counts = self.sink.counts();
            let missing = remote.iter().filter(|(mark, sure)| **sure && !counts.contains_key(*mark)).count();
            if missing == 0 && queue_length(instance)? == 0 {
                break;
            }
            if Instant::now() > deadline {
                let list = instance.pli(&["queue", "list"]).good();
                return Err(format!("{missing} acknowledged messages never reached the other domain\n{list}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        for delivered in self.sink.got() {
            let mark = mark(&delivered.bytes).ok_or("half a message reached the other domain")?;
            if !remote.contains_key(&mark) || delivered.to != [format!("m{mark}@sink.test")] {
                return Err(format!("message {mark} went to {:?}", delivered.to));
            }
            if !delivered.bytes.ends_with(&message(mark)) {
                return Err(format!("message {mark} was changed on the way out"));
            }
        }
        let crashes = self.crashes.load(Ordering::Relaxed);
        let repeats: u64 = self.sink.counts().values().map(|count| count - 1).sum();
        if repeats > crashes {
            return Err(format!("{repeats} deliveries repeated by {crashes} crashes"));
        }
        println!("{} remote messages, {repeats} deliveries repeated by {crashes} crashes", remote.len());
        Ok(())
    }
}

struct Session {
    account: usize,
    imap: Imap,
    /// For each of [`MAILBOXES`] what is there.
    there: Vec<Vec<Held>>,
}

/// A message in a mailbox.
#[derive(Clone)]
struct Held {
    uid: u32,
    mark: u64,
    flags: Flags,
}

fn set(messages: &[Held]) -> String {
    let uids: Vec<String> = messages.iter().map(|held| held.uid.to_string()).collect();
    uids.join(",")
}

/// RFC 4315 §3: `[COPYUID validity from to]`; the UIDs in the target.
fn copied(text: &str) -> Option<Vec<u32>> {
    let code = text.split("[COPYUID ").nth(1)?.split(']').next()?;
    let mut uids = Vec::new();
    for part in code.split(' ').nth(2)?.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        uids.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(uids)
}

/// RFC 4315 §3: `OK [APPENDUID validity uid] …`.
fn appended(answer: &str) -> Fate {
    let uid = answer.split("[APPENDUID ").nth(1).and_then(|rest| rest.split([' ', ']']).nth(1)?.parse().ok());
    uid.map_or(Fate::Kept, Fate::KeptAs)
}

fn read(imap: &mut Imap, mailbox: &str) -> Result<Found, String> {
    let answer = imap.ok(&format!("SELECT {mailbox}"))?;
    let text: String = answer.untagged.iter().map(|line| String::from_utf8_lossy(line) + "\n").collect();
    let code = |name: &str| -> Result<u64, String> {
        let rest = text.split(&format!("[{name} ")).nth(1).ok_or(format!("no {name} in {text}"))?;
        rest.split(']').next().unwrap().parse().map_err(|_| format!("{name} in {text}"))
    };
    let messages = imap.messages()?;
    let exists = text.lines().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok());
    if exists != Some(messages.len()) {
        return Err(format!("{mailbox}: EXISTS {exists:?}, {} fetched", messages.len()));
    }
    let number = |name: &str| code(name).map(|value| u32::try_from(value).unwrap());
    let (uid_validity, uid_next) = (number("UIDVALIDITY")?, number("UIDNEXT")?);
    Ok(Found { uid_validity, uid_next, highest_modseq: code("HIGHESTMODSEQ")?, messages })
}

fn queue_length(instance: &Instance) -> Result<usize, String> {
    let text = instance.pli(&["queue", "list", "--json"]).good();
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    // Either the rows themselves, or an object that holds them.
    let rows = json.as_array().or_else(|| json.as_object()?.values().find_map(|value| value.as_array()));
    rows.map(Vec::len).ok_or_else(|| format!("no rows in {text}"))
}
