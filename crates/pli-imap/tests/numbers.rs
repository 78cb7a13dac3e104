//! Message numbers stay exact while everybody acts at once: clients that only hear what they are told agree in the end with
//! one that looks anew, whatever the others did meanwhile. `PLI_SESSION_RUNS` asks for more runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{Client, message, server};
use tokio::task::JoinSet;

/// A client's picture of its mailbox: UIDs by number, where it knows them.
#[derive(Default)]
struct Picture {
    uids: Vec<Option<u32>>,
    flags: BTreeMap<u32, BTreeSet<String>>,
}

impl Picture {
    fn hear(&mut self, text: &str) {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["*", "VANISHED", set] => expand(set).for_each(|uid| self.vanished(uid, text)),
                ["*", number, what, ..] => {
                    let Ok(number) = number.parse::<usize>() else { continue };
                    match what {
                        "EXISTS" => {
                            assert!(number >= self.uids.len(), "EXISTS shrank: {text}");
                            self.uids.resize(number, None);
                        }
                        "EXPUNGE" => {
                            if let Some(uid) = self.uids.remove(number - 1) {
                                self.flags.remove(&uid);
                            }
                        }
                        "FETCH" => self.fetched(number, line),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let known: Vec<u32> = self.uids.iter().flatten().copied().collect();
        assert!(known.is_sorted_by(|a, b| a < b), "{known:?}");
    }

    fn fetched(&mut self, number: usize, line: &str) {
        let known = &mut self.uids[number - 1];
        if let Some(uid) = line.split("UID ").nth(1) {
            let uid: u32 = uid.split([' ', ')']).next().unwrap().parse().unwrap();
            assert_eq!(*known.get_or_insert(uid), uid, "message {number} is another one: {line}");
        }
        // The answer to STORE names the message by its number alone.
        let Some(uid) = *known else { return };
        if let Some(flags) = line.split("FLAGS (").nth(1) {
            let flags = flags.split(')').next().unwrap().split_ascii_whitespace().map(str::to_owned).collect();
            self.flags.insert(uid, flags);
        }
    }

    fn vanished(&mut self, uid: u32, text: &str) {
        let known = self.uids.iter().position(|known| *known == Some(uid));
        // One that it does not know the UID of lies between those that it knows: which one makes no difference.
        let between = || {
            let after =
                self.uids.iter().rposition(|known| known.is_some_and(|known| known < uid)).map_or(0, |at| at + 1);
            self.uids.get(after).filter(|known| known.is_none()).map(|_| after)
        };
        let at = known
            .or_else(between)
            .unwrap_or_else(|| panic!("{uid} vanished and was not there: {:?}: {text}", self.uids));
        self.uids.remove(at);
        self.flags.remove(&uid);
    }
}

fn expand(set: &str) -> impl Iterator<Item = u32> {
    set.split(',').flat_map(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    })
}

/// xorshift: the same run for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

async fn act(client: &mut Client, picture: &mut Picture, dice: &mut Dice, n: u32) {
    let some = dice.roll(picture.uids.len().max(1)) + 1;
    let command = match dice.roll(12) {
        0..=2 => {
            let text = message(&format!("n{n}"));
            format!("APPEND INBOX {{{}+}}\r\n{text}", text.len())
        }
        3 => format!("STORE {some} +FLAGS (\\Deleted)"),
        4 => format!("STORE {some} +FLAGS.SILENT (\\Seen $k{})", dice.roll(4)),
        5 => String::from("EXPUNGE"),
        6 => String::from("NOOP"),
        7 => format!("FETCH {some}:* (UID FLAGS)"),
        8 => format!("UID FETCH {some}:* (FLAGS)"),
        9 => String::from("SEARCH UNDELETED"),
        10 => format!("COPY {some} INBOX"),
        _ => format!("MOVE {some} Archive"),
    };
    let text = client.run(&command).await;
    let numbered = ["FETCH", "STORE", "SEARCH"].iter().any(|word| command.starts_with(word));
    let gone = text.contains(" EXPUNGE\r\n") || text.contains("* VANISHED ");
    assert!(!numbered || !gone, "RFC 9051 §7.5.1: {command}: {text}");
    picture.hear(&text);
    // It believes what it asked for, of a message that it knows.
    if command.contains("SILENT")
        && let Some(flags) = picture.uids.get(some - 1).copied().flatten().and_then(|uid| picture.flags.get_mut(&uid))
    {
        let asked = command.split(['(', ')']).nth(1).unwrap();
        flags.extend(asked.split(' ').map(str::to_owned));
    }
}

#[tokio::test]
async fn a_picture_hears_of_flags_by_number() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let mut picture = Picture::default();
    picture.hear("* 1 EXISTS\r\n");
    picture.hear(&client.ok("FETCH 1 (UID FLAGS)").await);
    let text = client.ok("STORE 1 +FLAGS (\\Deleted)").await;
    assert!(text.starts_with("* 1 FETCH (FLAGS (\\Deleted))\r\n"), "{text}");
    picture.hear(&text);
    assert_eq!(picture.flags, BTreeMap::from([(1, BTreeSet::from([String::from("\\Deleted")]))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_act_at_once_agree_in_the_end() {
    let runs = std::env::var("PLI_SESSION_RUNS").map_or(4_u64, |text| text.parse().unwrap());
    for seed in 1..=runs {
        let server = server().await;
        let mut load = JoinSet::new();
        for number in 0..2 + seed % 7 {
            let mut client = server.login("alice").await;
            if number % 2 == 1 {
                client.ok("ENABLE QRESYNC").await;
            }
            let mut picture = Picture::default();
            picture.hear(&client.ok("SELECT INBOX").await);
            let mut dice = Dice((seed * 8 + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            load.spawn(async move {
                for n in 0..80 {
                    act(&mut client, &mut picture, &mut dice, n).await;
                }
                (client, picture)
            });
        }
        let mut clients = load.join_all().await;
        let mut fresh = server.inbox().await;
        let mut truth = Picture { uids: vec![None; 10_000], ..Picture::default() };
        truth.hear(&fresh.ok("UID FETCH 1:* (FLAGS)").await);
        truth.uids.retain(Option::is_some);
        for (client, picture) in &mut clients {
            picture.hear(&client.ok("NOOP").await);
            // What it was told of before holds, and the rest fits between.
            let wrong = picture.flags.iter().find(|(uid, flags)| truth.flags.get(uid) != Some(flags));
            assert_eq!(wrong, None, "seed {seed}: {:?}", wrong.map(|(uid, _)| truth.flags.get(uid)));
            picture.hear(&client.ok("UID FETCH 1:* (FLAGS)").await);
            assert_eq!(picture.uids, truth.uids, "seed {seed}");
            assert_eq!(picture.flags, truth.flags, "seed {seed}");
        }
    }
}
