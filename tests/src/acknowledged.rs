//! What a server has promised, written down from outside: messages that can be made again from their number, the ledger of
//! acknowledgements, and a mail sink that counts what reaches another domain.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::dice::Dice;

/// The header that names a message.
const MARK: &str = "X-Mark: ";

/// The message with this number: always the same bytes.
pub fn message(mark: u64) -> Vec<u8> {
    let mut dice = Dice::new(mark);
    let size = match dice.below(20) {
        0 if dice.once_in(3) => 1_200_000,
        1..=4 => 20_000 + dice.below(60_000),
        _ => 200 + dice.below(8_000),
    };
    let mut text = format!(
        "From: Anna <a@example.org>\r\nTo: Reader <reader@example.org>\r\n\
         Date: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{mark}@crash.example.net>\r\n\
         Subject: number {mark}\r\n{MARK}{mark}\r\n\r\n"
    )
    .into_bytes();
    while (text.len() as u64) < size {
        // Lines that begin with a dot are what SMTP has to unstuff.
        if dice.once_in(9) {
            text.extend_from_slice(b"..");
        }
        for _ in 0..1 + dice.below(7) {
            text.extend_from_slice(format!("{:08x} ", dice.roll() & 0xFFFF_FFFF).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// The number of a message from its bytes.
pub fn mark(bytes: &[u8]) -> Option<u64> {
    let head = &bytes[..bytes.len().min(16 << 10)];
    let at = head.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let digits: Vec<u8> = head[at + MARK.len()..].iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// Where a message is: account and mailbox.
pub type Place = (String, String);

/// What the server has said about one message in one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent, and no answer came: there once or not at all.
    Offered,
    /// Acknowledged, or seen after a crash: there once.
    Kept,
    /// Acknowledged with its UID: there once, under this UID.
    KeptAs(u32),
    /// Expunge sent and not answered: there once or not at all.
    Expunging(u32),
    /// Expunge acknowledged, or not seen after a crash: never again.
    Gone,
}

/// What one mailbox has shown so far.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// RFC 9051 §2.3.1.1: never changes.
    uid_validity: Option<u32>,
    /// The highest UID or UIDNEXT − 1 ever seen.
    uid_highest: u32,
    /// RFC 7162 §3.1.2.1: never goes back.
    modseq_highest: u64,
    /// Which message each UID was.
    uids: HashMap<u32, u64>,
    /// What the flags of a UID may be: one set, or several while an answer is out.
    flags: HashMap<u32, Vec<Flags>>,
    /// The last modseq of a UID.
    modseqs: HashMap<u32, u64>,
}

/// Flags and keywords of a message.
pub type Flags = BTreeSet<String>;

/// The messages of one place.
#[derive(Debug, Default)]
struct Fates {
    live: HashMap<u64, Fate>,
    gone: HashSet<u64>,
}

/// Everything that was promised.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: Mutex<HashMap<Place, Fates>>,
    shown: Mutex<HashMap<Place, Shown>>,
    /// Moves whose answer is out: from, to, message.
    moves: Mutex<Vec<(Place, Place, u64)>>,
}

/// A message as a client finds it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Its UID.
    pub uid: u32,
    /// Its flags.
    pub flags: Flags,
    /// Its modseq, or 0 where nobody asked.
    pub modseq: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A mailbox as a client finds it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// From SELECT.
    pub uid_validity: u32,
    /// From SELECT.
    pub uid_next: u32,
    /// From SELECT, or 0 where nobody asked.
    pub highest_modseq: u64,
    /// In order.
    pub messages: Vec<Message>,
}

impl Ledger {
    /// Writes a fate down.
    pub fn write(&self, place: &Place, mark: u64, fate: Fate) {
        let mut fates = lock(&self.fates);
        let fates = fates.entry(place.clone()).or_default();
        if fate == Fate::Gone {
            fates.live.remove(&mark);
            fates.gone.insert(mark);
        } else {
            fates.gone.remove(&mark);
            fates.live.insert(mark, fate);
        }
    }

    /// How many messages in all places must be there.
    pub fn kept(&self) -> usize {
        let fates = lock(&self.fates);
        let live = fates.values().flat_map(|fates| fates.live.values());
        live.filter(|fate| matches!(fate, Fate::Kept | Fate::KeptAs(_))).count()
    }

    /// A change of flags is sent: they are as before or so.
    pub fn flagging(&self, place: &Place, uid: u32, after: &Flags) {
        let mut shown = lock(&self.shown);
        shown.entry(place.clone()).or_default().flags.entry(uid).or_default().push(after.clone());
    }

    /// A change of flags is acknowledged: they are so.
    pub fn flagged(&self, place: &Place, uid: u32, after: &Flags) {
        let mut shown = lock(&self.shown);
        shown.entry(place.clone()).or_default().flags.insert(uid, vec![after.clone()]);
    }

    /// MOVE is sent: the message is in one of the two places.
    pub fn moving(&self, from: &Place, to: &Place, mark: u64) {
        lock(&self.moves).push((from.clone(), to.clone(), mark));
    }

    /// MOVE is acknowledged.
    pub fn moved(&self, from: &Place, mark: u64) {
        lock(&self.moves).retain(|(place, _, moved)| !(place == from && *moved == mark));
    }

    /// After all places were compared: what an unanswered MOVE took is in one place, not in both and not in none.
    pub fn settle_moves(&self) -> Result<(), String> {
        let fates = lock(&self.fates);
        for (from, to, mark) in std::mem::take(&mut *lock(&self.moves)) {
            let there = |place: &Place| fates.get(place).is_some_and(|fates| fates.live.contains_key(&mark));
            if there(&from) == there(&to) {
                let text = if there(&from) { "both" } else { "neither" };
                return Err(format!("message {mark}, moved from {from:?} to {to:?}, is in {text}"));
            }
        }
        Ok(())
    }

    /// Compares a mailbox with what was promised, and settles what was open.
    pub fn compare(&self, place: &Place, found: &Found) -> Result<(), String> {
        let named = |text: String| format!("{} {}: {text}", place.0, place.1);
        let mut shown = lock(&self.shown);
        let seen = shown.entry(place.clone()).or_default().compare(found).map_err(named)?;
        self.settle(place, &seen).map_err(named)
    }

    fn settle(&self, place: &Place, seen: &HashMap<u64, u32>) -> Result<(), String> {
        let mut fates = lock(&self.fates);
        let fates = fates.entry(place.clone()).or_default();
        for (mark, uid) in seen {
            if fates.gone.contains(mark) {
                return Err(format!("message {mark} was gone and came back as UID {uid}"));
            }
            if !fates.live.contains_key(mark) {
                return Err(format!("message {mark} was never sent here"));
            }
        }
        let mut gone = Vec::new();
        for (mark, fate) in &mut fates.live {
            *fate = match (*fate, seen.get(mark).copied()) {
                (Fate::Offered | Fate::Kept, Some(uid)) => Fate::KeptAs(uid),
                (Fate::KeptAs(uid), Some(now)) | (Fate::Expunging(uid), Some(now)) if uid == now => Fate::KeptAs(uid),
                (Fate::KeptAs(uid) | Fate::Expunging(uid), Some(now)) => {
                    return Err(format!("message {mark} was UID {uid}, is UID {now}"));
                }
                (Fate::Kept | Fate::KeptAs(_), None) => {
                    return Err(format!("message {mark} was acknowledged ({fate:?}) and is lost"));
                }
                (Fate::Offered | Fate::Expunging(_) | Fate::Gone, None) => {
                    gone.push(*mark);
                    Fate::Gone
                }
                (Fate::Gone, Some(uid)) => return Err(format!("message {mark} was gone and is UID {uid}")),
            };
        }
        for mark in gone {
            fates.live.remove(&mark);
            fates.gone.insert(mark);
        }
        Ok(())
    }
}

impl Shown {
    /// Nothing goes back and nothing changes its name; each message's UID by its mark.
    fn compare(&mut self, found: &Found) -> Result<HashMap<u64, u32>, String> {
        if self.uid_validity.is_some_and(|old| old != found.uid_validity) {
            return Err(format!("UIDVALIDITY was {:?}, is {}", self.uid_validity, found.uid_validity));
        }
        self.uid_validity = Some(found.uid_validity);
        if found.highest_modseq < self.modseq_highest {
            return Err(format!("HIGHESTMODSEQ was {}, is {}", self.modseq_highest, found.highest_modseq));
        }
        self.modseq_highest = found.highest_modseq;
        let mut seen = HashMap::new();
        for message in &found.messages {
            let uid = message.uid;
            let mark = mark(&message.bytes).ok_or_else(|| format!("UID {uid} has no mark: half a message?"))?;
            whole(mark, &message.bytes)?;
            if let Some(other) = seen.insert(mark, uid) {
                return Err(format!("message {mark} is there twice, as UID {other} and {uid}"));
            }
            match self.uids.get(&uid) {
                Some(before) if *before != mark => {
                    return Err(format!("UID {uid} was message {before}, is {mark}"));
                }
                None if uid <= self.uid_highest => {
                    return Err(format!("new message {mark} under old UID {uid} (highest {})", self.uid_highest));
                }
                _ => {}
            }
            self.state(message, found.highest_modseq)?;
        }
        self.uids.extend(seen.iter().map(|(mark, uid)| (*uid, *mark)));
        let highest = found.messages.iter().map(|message| message.uid).max().unwrap_or(0);
        if found.uid_next <= highest || found.uid_next <= self.uid_highest {
            return Err(format!(
                "UIDNEXT {} with UID {highest} there and {} seen before",
                found.uid_next, self.uid_highest
            ));
        }
        self.uid_highest = found.uid_next - 1;
        Ok(seen)
    }

    /// Flags are what was acknowledged, or what was asked for last; the modseq has not gone back.
    fn state(&mut self, message: &Message, highest: u64) -> Result<(), String> {
        let Message { uid, flags, modseq, .. } = message;
        let before = self.modseqs.insert(*uid, *modseq).unwrap_or(0);
        if *modseq < before || *modseq > highest {
            return Err(format!("UID {uid}: modseq was {before}, is {modseq}, the mailbox's is {highest}"));
        }
        let may = self.flags.entry(*uid).or_default();
        if !may.is_empty() && !may.contains(flags) {
            return Err(format!("UID {uid}: flags are {flags:?}, may be {may:?}"));
        }
        *may = vec![flags.clone()];
        Ok(())
    }
}

/// Whether the bytes are the whole message, whatever trace lines stand before it.
fn whole(mark: u64, bytes: &[u8]) -> Result<(), String> {
    let sent = message(mark);
    let Some(trace) = bytes.strip_suffix(&sent[..]) else {
        return Err(format!(
            "message {mark} has {} bytes, and they do not end in the {} that were sent",
            bytes.len(),
            sent.len()
        ));
    };
    let trace = String::from_utf8_lossy(trace).into_owned();
    // RFC 5321 §4.4: what a server puts before a message are header lines.
    let fine = trace.is_empty() || (trace.ends_with("\r\n") && !trace.contains("\r\n\r\n"));
    if fine { Ok(()) } else { Err(format!("message {mark} begins with {trace:?}")) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that reached the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The recipients of the transaction.
    pub to: Vec<String>,
    /// The bytes, unstuffed.
    pub bytes: Vec<u8>,
}

/// The mail server of another domain, on a loopback port: it takes everything.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Where it listens.
    pub port: u16,
    got: Arc<Mutex<Vec<Delivered>>>,
}

impl Sink {
    /// Listens until the process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::<Mutex<Vec<Delivered>>>::default();
        let sink = Self { port, got: Arc::clone(&got) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let got = Arc::clone(&got);
                // A connection that breaks off is the other side's crash.
                std::thread::spawn(move || drop(converse(stream, &got)));
            }
        });
        sink
    }

    /// All that came, in order.
    pub fn got(&self) -> Vec<Delivered> {
        lock(&self.got).clone()
    }

    /// How often each message came.
    pub fn counts(&self) -> HashMap<u64, u64> {
        let mut counts = HashMap::new();
        for delivered in lock(&self.got).iter() {
            *counts.entry(mark(&delivered.bytes).unwrap_or(0)).or_insert(0) += 1;
        }
        counts
    }
}

fn converse(stream: TcpStream, got: &Mutex<Vec<Delivered>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut to = Vec::new();
    writer.write_all(b"220 sink.test ESMTP\r\n")?;
    loop {
        let mut line = String::new();
        if reader.by_ref().take(4096).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.split([' ', '\r', '\n']).next().unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n",
            "RCPT" => {
                to.push(line[line.find('<').map_or(0, |at| at + 1)..line.find('>').unwrap_or(0)].to_owned());
                b"250 2.1.5 ok\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                let bytes = data(&mut reader)?;
                // Counted before the reply: a reply that nobody reads was a delivery too.
                lock(got).push(Delivered { to: std::mem::take(&mut to), bytes });
                b"250 2.0.0 taken\r\n"
            }
            "RSET" | "MAIL" => {
                to.clear();
                b"250 2.0.0 ok\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 2.0.0 bye\r\n")?;
                return Ok(());
            }
            "HELO" | "NOOP" => b"250 2.0.0 ok\r\n",
            _ => b"502 5.5.1 not here\r\n",
        };
        writer.write_all(reply)?;
    }
}

fn data(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if bytes[start..] == *b".\r\n" {
            bytes.truncate(start);
            return Ok(bytes);
        }
        if bytes[start] == b'.' {
            bytes.remove(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("a@example.org".to_owned(), "INBOX".to_owned())
    }

    fn found(messages: &[(u32, u64)]) -> Found {
        Found {
            uid_validity: 7,
            uid_next: messages.iter().map(|(uid, _)| uid + 1).max().unwrap_or(1),
            messages: messages
                .iter()
                .map(|(uid, mark)| Message { uid: *uid, bytes: message(*mark), ..Message::default() })
                .collect(),
            ..Found::default()
        }
    }

    #[test]
    fn messages_are_made_again() {
        for number in 1..40 {
            assert_eq!(message(number), message(number));
            assert_eq!(mark(&message(number)), Some(number));
        }
    }

    #[test]
    fn the_ledger_finds_each_breach() {
        let ledger = || {
            let ledger = Ledger::default();
            ledger.write(&place(), 1, Fate::Kept);
            ledger.write(&place(), 2, Fate::Offered);
            ledger
        };
        ledger().compare(&place(), &found(&[(1, 1)])).unwrap();
        ledger().compare(&place(), &found(&[(1, 1), (2, 2)])).unwrap();
        // Lost, twice, never sent, half.
        ledger().compare(&place(), &found(&[(1, 2)])).unwrap_err();
        ledger().compare(&place(), &found(&[(1, 1), (2, 1)])).unwrap_err();
        ledger().compare(&place(), &found(&[(1, 1), (2, 3)])).unwrap_err();
        let mut half = found(&[(1, 1)]);
        half.messages[0].bytes.pop();
        ledger().compare(&place(), &half).unwrap_err();
        // A message that was not there after a crash must not come later.
        let one = ledger();
        one.compare(&place(), &found(&[(1, 1)])).unwrap();
        one.compare(&place(), &found(&[(1, 1), (2, 2)])).unwrap_err();
        // A UID used again, and another UIDVALIDITY.
        let two = ledger();
        two.compare(&place(), &found(&[(5, 1), (6, 2)])).unwrap();
        two.write(&place(), 2, Fate::Gone);
        two.write(&place(), 3, Fate::Offered);
        two.compare(&place(), &found(&[(5, 1), (6, 3)])).unwrap_err();
        let three = ledger();
        three.compare(&place(), &found(&[(1, 1)])).unwrap();
        let mut other = found(&[(1, 1)]);
        other.uid_validity = 8;
        other.uid_next = 3;
        three.compare(&place(), &other).unwrap_err();
    }

    #[test]
    fn flags_modseq_and_moves_are_watched() {
        let flags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Flags>();
        let with = |words: &[&str], modseq| {
            let mut found = found(&[(1, 1)]);
            found.messages[0].flags = flags(words);
            found.messages[0].modseq = modseq;
            found.highest_modseq = modseq;
            found
        };
        let ledger = Ledger::default();
        ledger.write(&place(), 1, Fate::Kept);
        ledger.compare(&place(), &with(&[], 4)).unwrap();
        ledger.compare(&place(), &with(&[], 3)).unwrap_err();
        ledger.compare(&place(), &with(&["work"], 5)).unwrap_err();
        ledger.flagging(&place(), 1, &flags(&["work"]));
        ledger.compare(&place(), &with(&["work"], 6)).unwrap();
        ledger.flagged(&place(), 1, &flags(&[]));
        ledger.compare(&place(), &with(&["work"], 7)).unwrap_err();
        // In one of two places, not in none.
        let other = ("a@example.org".to_owned(), "Other".to_owned());
        ledger.moving(&place(), &other, 1);
        ledger.settle_moves().unwrap();
        ledger.moving(&place(), &other, 2);
        ledger.settle_moves().unwrap_err();
    }

    #[test]
    fn the_sink_counts() {
        let sink = Sink::start();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, sink.port)).unwrap();
        let mut text = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<m@sink.test>\r\nDATA\r\n".to_vec();
        text.extend_from_slice(&crate::smtp::stuffed(&message(4)));
        text.extend_from_slice(b"QUIT\r\n");
        stream.write_all(&text).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(sink.counts().get(&4), Some(&1), "{answer}");
        assert_eq!(sink.got()[0], Delivered { to: vec!["m@sink.test".to_owned()], bytes: message(4) });
    }
}
