//! The queue against other MTAs that take, refuse, put off, drop and say nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pli_crypto::FileKeyStore;
use pli_directory::{Directory, Profile};
use pli_gate::{Gate, Target};
use pli_io::{Env, StaticResolver};
use pli_net::Shutdown;
use pli_queue::{QueueConfig, QueueRunner};
use pli_store::{Delivery, IndexEngine, NewAccount, QueueRow, QuotaLimit, RemoteRecipient, Store, StoreOptions};
use pli_types::{AccountId, Action, Actor, Address, MailboxName, Protocol, SessionId, SessionInfo};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a fake MTA behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    /// Does not know EHLO.
    Old,
    /// Knows nobody whose name starts with `x`.
    RefusesSome,
    PutsOff,
    /// Answers MAIL with 550 and closes at once, whatever was pipelined.
    ClosesAfterMail,
    /// Closes in the middle of the message.
    DropsAtData,
    /// 421 instead of a greeting.
    Busy,
    /// Takes at most 10 bytes.
    Tiny,
}

#[derive(Default)]
struct Seen {
    /// Commands of all sessions.
    commands: Vec<String>,
    /// Messages that it answered 250 for.
    messages: Vec<String>,
}

async fn mta(manner: Manner) -> (String, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let _ = talk(stream, manner, &shared).await;
            });
        }
    });
    (address, seen)
}

async fn talk(stream: TcpStream, manner: Manner, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if manner == Manner::Busy {
        return stream.write_all(b"421 4.3.2 not now\r\n").await;
    }
    stream.write_all(b"220 fake ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        seen.lock().unwrap().commands.push(command.clone());
        let upper = command.to_ascii_uppercase();
        let reply = match upper.split([' ', ':']).next().unwrap_or("") {
            "EHLO" if manner == Manner::Old => "502 what?",
            "EHLO" if manner == Manner::Tiny => "250-fake\r\n250 SIZE 10",
            "EHLO" => "250-fake\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES",
            "MAIL" if manner == Manner::ClosesAfterMail => {
                return stream.write_all(b"550 5.7.1 not from you\r\n").await;
            }
            "RCPT" if manner == Manner::PutsOff => "451 4.7.1 come again",
            "RCPT" if manner == Manner::RefusesSome && upper.contains("<X") => "550 5.1.1 nobody",
            "DATA" if manner == Manner::DropsAtData => {
                stream.write_all(b"354 go\r\n").await?;
                stream.read_line(&mut line).await?;
                return Ok(());
            }
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut message = String::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                seen.lock().unwrap().messages.push(message);
                "250 2.0.0 taken"
            }
            "QUIT" => {
                return stream.write_all(b"221 bye\r\n").await;
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

struct World {
    gate: Arc<Gate>,
    alice: AccountId,
    session: Arc<SessionInfo>,
    shutdown: Shutdown,
    _dir: tempfile::TempDir,
}

impl World {
    /// One account, one runner with these routes.
    async fn new(routes: &[(&str, &str)], mut config: QueueConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (keys, _) = FileKeyStore::generate(None).unwrap();
        let env = Env::real();
        let (store, mint) = Store::create(StoreOptions {
            dir: dir.path().join("store"),
            env: env.clone(),
            keys: Arc::new(keys),
            index: IndexEngine::Memory,
            index_cache_bytes: 1 << 20,
            site: String::from("test"),
        })
        .unwrap();
        let profile = Profile {
            name: String::from("staff"),
            quota: QuotaLimit::default(),
            imap: true,
            submission: true,
            relay: true,
            submit_per_hour: None,
            recipients_max: None,
        };
        let directory = Arc::new(Directory::new(store.clone(), vec![profile], '+'));
        let gate = Arc::new(Gate::new(store.clone(), mint, directory));
        let admin = Arc::new(SessionInfo::admin(SessionId(1), 0));
        let permit = gate.admit(&admin, Action::DomainChange, &Target::default()).unwrap();
        store.add_domain(permit, String::from("example.org")).await.unwrap();
        let permit = gate.admit(&admin, Action::AccountCreate, &Target::default()).unwrap();
        let new = NewAccount {
            address: Address::parse("alice@example.org").unwrap(),
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: QuotaLimit::default(),
            language: String::from("en"),
            mailboxes: Vec::new(),
        };
        let alice = store.create_account(permit, new).await.unwrap().value;
        config.routes = routes.iter().map(|(d, r)| ((*d).to_owned(), (*r).to_owned())).collect::<BTreeMap<_, _>>();
        let runner = QueueRunner::new(
            config,
            String::from("mail.example.org"),
            Arc::clone(&gate),
            Arc::new(StaticResolver::default()),
            Arc::clone(&env.clock),
            Arc::clone(&env.random),
        );
        let shutdown = Shutdown::new();
        tokio::spawn(runner.run(shutdown.clone()));
        let session = Arc::new(SessionInfo {
            protocol: Protocol::Submission,
            actor: Actor::Account(alice),
            ..SessionInfo::system(SessionId(2))
        });
        Self { gate, alice, session, shutdown, _dir: dir }
    }

    /// Submits as alice.
    async fn submit(&self, to: &[&str], text: &str) {
        let target = Target { account: Some(self.alice), ..Target::default() };
        let permit = self.gate.admit(&self.session, Action::Submit, &target).unwrap();
        let remote = to
            .iter()
            .map(|to| RemoteRecipient {
                permit: self.gate.admit(&self.session, Action::Relay, &target).unwrap(),
                forward_path: Address::parse(to).unwrap(),
                parameters: Vec::new(),
            })
            .collect();
        let delivery = Delivery {
            prepared: self.gate.store().prepare(Bytes::from(text.to_owned())).unwrap(),
            reverse_path: Some(Address::parse("alice@example.org").unwrap()),
            local: Vec::new(),
            remote,
            smtputf8: false,
            eight_bit: false,
            ends: Vec::new(),
        };
        self.gate.store().deliver(permit, delivery).await.unwrap();
    }

    fn rows(&self) -> Vec<QueueRow> {
        let permit = self.gate.admit_system(Action::QueueRead);
        self.gate.store().queue_list(&permit, None, 1000).unwrap()
    }

    /// How many messages alice has in INBOX.
    fn inbox(&self) -> u32 {
        let target = Target { account: Some(self.alice), ..Target::default() };
        let permit = self.gate.admit(&self.session, Action::List, &target).unwrap();
        let reader = self.gate.store().read(&permit).unwrap();
        reader.mailbox_by_name(&MailboxName::inbox()).unwrap().unwrap().messages
    }

    /// Waits until something is so; fails after 10 s.
    async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not so after 10 s: {what}; rows: {:?}", self.rows());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.token().cancel();
        self.gate.store().close();
    }
}

const TEXT: &str = "Subject: hello\r\n\r\n.dot at the start\r\nend\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_leaves_the_queue_and_arrives_as_it_was() {
    let (route, seen) = mta(Manner::Takes).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test", "carol@other.test"], TEXT).await;
    world.until("the queue is empty", |w| w.rows().is_empty()).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.messages, [TEXT], "one transaction, byte for byte");
    assert_eq!(seen.commands.iter().filter(|c| c.starts_with("RCPT")).count(), 2);
    assert_eq!(world.inbox(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn helo_is_tried_when_ehlo_is_not_known() {
    let (route, seen) = mta(Manner::Old).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("the queue is empty", |w| w.rows().is_empty()).await;
    assert!(seen.lock().unwrap().commands.iter().any(|c| c == "HELO mail.example.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_bounces_and_the_others_get_it() {
    let (route, seen) = mta(Manner::RefusesSome).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["xavier@other.test", "bob@other.test"], TEXT).await;
    world.until("queue empty and a bounce there", |w| w.rows().is_empty() && w.inbox() == 1).await;
    assert_eq!(seen.lock().unwrap().messages.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_reply_counts_when_the_peer_closes_early() {
    let (route, _) = mta(Manner::ClosesAfterMail).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("bounced for good", |w| w.rows().is_empty() && w.inbox() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_for_the_peer_bounces_without_sending() {
    let (route, seen) = mta(Manner::Tiny).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("bounced", |w| w.rows().is_empty() && w.inbox() == 1).await;
    assert!(!seen.lock().unwrap().commands.iter().any(|c| c.starts_with("MAIL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_stays_with_its_reason() {
    for manner in [Manner::PutsOff, Manner::DropsAtData, Manner::Busy] {
        let (route, seen) = mta(manner).await;
        let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
        world.submit(&["bob@other.test"], TEXT).await;
        world.until("deferred", |w| w.rows().first().is_some_and(|row| row.attempts == 1)).await;
        let rows = world.rows();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].last_error.is_some());
        assert!(rows[0].next_attempt > rows[0].created);
        assert_eq!(world.inbox(), 0);
        assert!(seen.lock().unwrap().messages.is_empty());
    }
}

/// Nothing is sent or bounced that is not what was accepted, and nothing is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_open_is_held_with_its_reason() {
    let (route, seen) = mta(Manner::PutsOff).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test", "carol@other.test"], TEXT).await;
    world.until("deferred", |w| w.rows().iter().all(|row| row.attempts == 1)).await;
    let segment = world._dir.path().join("store/segments/00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    // The first frame that is a body: a byte of its chunk, after the head of 56 bytes and one row of the table.
    let mut at = 320;
    let length = |at: usize, bytes: &[u8]| u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    while bytes[at + 8] != 1 {
        at += (32 + length(at, &bytes) + 16).next_multiple_of(8);
    }
    let last = at + 32 + 56 + 8 + 20;
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for row in world.rows() {
        let permit = world.gate.admit_system(Action::QueueAttempt);
        world.gate.store().queue_change(permit, row.id, pli_store::QueueChange::Retry).await.unwrap();
    }
    world.until("held", |w| w.rows().iter().all(|row| row.held)).await;
    let rows = world.rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.last_error.as_deref().is_some_and(|e| e.contains("damaged"))), "{rows:?}");
    assert_eq!(world.inbox(), 0);
    assert!(seen.lock().unwrap().messages.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_time_is_over_bounces() {
    let (route, _) = mta(Manner::PutsOff).await;
    let config = QueueConfig { expire_s: 0, ..QueueConfig::default() };
    let world = World::new(&[("other.test", &route)], config).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("bounced", |w| w.rows().is_empty() && w.inbox() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_does_not_hold_up_another() {
    let (alive, seen) = mta(Manner::Takes).await;
    // A port that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_route = silent.local_addr().unwrap().to_string();
    let config = QueueConfig { connections_max: 8, ..QueueConfig::default() };
    let world = World::new(&[("dead.test", &silent_route), ("alive.test", &alive)], config).await;
    for n in 0..20 {
        world.submit(&[&format!("u{n}@dead.test")], TEXT).await;
    }
    world.submit(&["bob@alive.test"], TEXT).await;
    world.until("the other one is through", |_| seen.lock().unwrap().messages.len() == 1).await;
    // Our commit of it comes after the other side's 250; nothing for the dead one is lost meanwhile.
    world.until("its row has ended, the others stay", |w| w.rows().len() == 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_domain_bounces_at_once() {
    let world = World::new(&[], QueueConfig::default()).await;
    world.submit(&["bob@nowhere.test"], TEXT).await;
    world.until("bounced", |w| w.rows().is_empty() && w.inbox() == 1).await;
}

/// A bounce that does not fit is given up with its row: the other server is not asked again for what it has refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounce_for_a_full_mailbox_does_not_keep_the_row() {
    let (address, seen) = mta(Manner::RefusesSome).await;
    let world = World::new(&[("other.test", &address)], QueueConfig::default()).await;
    let admin = Arc::new(SessionInfo::admin(SessionId(1), 0));
    let target = Target { account: Some(world.alice), ..Target::default() };
    let permit = world.gate.admit(&admin, Action::AccountChange, &target).unwrap();
    let limit = QuotaLimit { bytes: Some(pli_types::ByteCount::new(300)), messages: None };
    let change = pli_store::AccountChange { quota_in_force: Some(limit), ..pli_store::AccountChange::default() };
    world.gate.store().change_account(permit, world.alice, change).await.unwrap();
    world.submit(&["xavier@other.test"], "Subject: s\r\n\r\nbody\r\n").await;
    world.until("the row has ended", |world| world.rows().is_empty()).await;
    assert_eq!(world.inbox(), 0);
    let asked = seen.lock().unwrap().commands.iter().filter(|c| c.starts_with("MAIL")).count();
    assert_eq!(asked, 1);
}
