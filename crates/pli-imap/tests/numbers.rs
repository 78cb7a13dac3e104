//! Message numbers stay exact: clients that only hear what they are told agree with the store, whatever the others do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use support::{Client, message, server};

/// A client's picture of its mailbox: UIDs by number, where it knows them.
#[derive(Default)]
struct Picture(Vec<Option<u32>>);

impl Picture {
    fn hear(&mut self, text: &str) {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let ["*", number, what, ..] = words[..] else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "EXISTS" => {
                    assert!(number >= self.0.len(), "EXISTS shrank: {text}");
                    self.0.resize(number, None);
                }
                "EXPUNGE" => {
                    self.0.remove(number - 1);
                }
                "FETCH" => {
                    let Some(uid) = line.split("UID ").nth(1) else { continue };
                    let uid: u32 = uid.split([' ', ')']).next().unwrap().parse().unwrap();
                    let known = self.0[number - 1].get_or_insert(uid);
                    assert_eq!(*known, uid, "message {number} is another one: {text}");
                }
                _ => {}
            }
        }
        let known: Vec<u32> = self.0.iter().flatten().copied().collect();
        assert!(known.is_sorted_by(|a, b| a < b), "{known:?}");
    }
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
    let some = dice.roll(picture.0.len().max(1)) + 1;
    let command = match dice.roll(10) {
        0 | 1 => {
            let text = message(&format!("n{n}"));
            format!("APPEND INBOX {{{}+}}\r\n{text}", text.len())
        }
        2 => format!("STORE {some} +FLAGS (\\Deleted)"),
        3 => format!("STORE {some} +FLAGS.SILENT (\\Seen $k{})", dice.roll(4)),
        4 => String::from("EXPUNGE"),
        5 => String::from("NOOP"),
        6 => format!("FETCH {some}:* (UID FLAGS)"),
        7 => format!("UID FETCH {some}:* (FLAGS)"),
        8 => String::from("SEARCH UNDELETED"),
        _ => format!("MOVE {some} Archive"),
    };
    let text = client.run(&command).await;
    let numbered = command.starts_with("FETCH") || command.starts_with("STORE") || command.starts_with("SEARCH");
    assert!(!numbered || !text.contains(" EXPUNGE\r\n"), "RFC 9051 §7.5.1: {command}: {text}");
    picture.hear(&text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_clients_agree_with_the_store() {
    for seed in 1..=4u64 {
        let server = server().await;
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push((server.inbox().await, Picture::default()));
        }
        for n in 0..250 {
            let at = dice.roll(clients.len());
            let (client, picture) = &mut clients[at];
            act(client, picture, &mut dice, n).await;
        }
        let mut truth: Option<Vec<Option<u32>>> = None;
        for (client, picture) in &mut clients {
            picture.hear(&client.ok("NOOP").await);
            picture.hear(&client.ok("FETCH 1:* UID").await);
            assert!(picture.0.iter().all(Option::is_some), "seed {seed}");
            let truth = truth.get_or_insert_with(|| picture.0.clone());
            assert_eq!(*truth, picture.0, "seed {seed}");
        }
    }
}
