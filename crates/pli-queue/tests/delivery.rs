//! The queue against other MTAs that take, refuse, put off, drop and say nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pli_crypto::FileKeyStore;
use pli_directory::{Directory, Profile};
use pli_gate::{Gate, Target};
use pli_io::{Env, MxHost, StaticResolver};
use pli_net::Shutdown;
use pli_queue::{QueueConfig, QueueRunner};
use pli_store::{Delivery, IndexEngine, NewAccount, QueueRow, QuotaLimit, RemoteRecipient, Store, StoreOptions};
use pli_types::{
    AccountId, Action, Actor, Address, EnvelopeParameters, MailParameters, MailboxName, Notify, Protocol,
    RcptParameters, Ret, SessionId, SessionInfo,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
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
    /// Offers CHUNKING and DSN.
    Modern,
    /// Says that it has the message before it got it.
    Lies,
    /// Answers with one byte every 50 ms and never ends a reply.
    Tarpit,
    /// Takes two messages over one connection, then 421.
    TakesTwo,
}

#[derive(Default)]
struct Seen {
    /// Commands of all sessions.
    commands: Vec<String>,
    /// Messages that it answered 250 for.
    messages: Vec<String>,
    sessions: usize,
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
    seen.lock().unwrap().sessions += 1;
    let mut taken = 0;
    if manner == Manner::Tarpit {
        loop {
            stream.write_all(b"2").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
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
            "EHLO" if manner == Manner::Modern => "250-fake\r\n250-CHUNKING\r\n250-PIPELINING\r\n250 DSN",
            "MAIL" if manner == Manner::TakesTwo && taken == 2 => {
                return stream.write_all(b"421 4.7.0 enough\r\n").await;
            }
            "DATA" if manner == Manner::Lies => "354 go\r\n250 2.0.0 taken",
            "BDAT" => {
                let size = upper.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
                let mut message = vec![0; size];
                stream.read_exact(&mut message).await?;
                seen.lock().unwrap().messages.push(String::from_utf8(message).unwrap());
                "250 2.0.0 taken"
            }
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
                taken += 1;
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
    async fn new(routes: &[(&str, &str)], config: QueueConfig) -> Self {
        Self::with(routes, config, StaticResolver::default()).await
    }

    async fn with(routes: &[(&str, &str)], mut config: QueueConfig, resolver: StaticResolver) -> Self {
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
            Arc::new(resolver),
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
        self.submit_with(Some("alice@example.org"), to, text, &EnvelopeParameters::default()).await;
    }

    async fn submit_with(&self, from: Option<&str>, to: &[&str], text: &str, parameters: &EnvelopeParameters) {
        let target = Target { account: Some(self.alice), ..Target::default() };
        let permit = self.gate.admit(&self.session, Action::Submit, &target).unwrap();
        let remote = to
            .iter()
            .map(|to| RemoteRecipient {
                permit: self.gate.admit(&self.session, Action::Relay, &target).unwrap(),
                forward_path: Address::parse(to).unwrap(),
                parameters: parameters.encode(),
            })
            .collect();
        let delivery = Delivery {
            prepared: self.gate.store().prepare(Bytes::from(text.to_owned())).unwrap(),
            reverse_path: from.map(|from| Address::parse(from).unwrap()),
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

/// Messages queued before the runner starts go over few connections, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_for_many_messages() {
    let (route, seen) = mta(Manner::Modern).await;
    let config = QueueConfig { connections_per_destination_max: 1, ..QueueConfig::default() };
    let world = World::new(&[("other.test", &route)], config).await;
    // The first one is slow to come: the others queue up behind it.
    for n in 0..50 {
        world.submit(&[&format!("u{n}@other.test")], TEXT).await;
    }
    world.until("the queue is empty", |w| w.rows().is_empty()).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.messages, vec![TEXT; 50], "each once, byte for byte, as chunks");
    assert!(seen.commands.iter().any(|c| c.starts_with("BDAT ")));
    assert!(!seen.commands.iter().any(|c| c == "DATA"));
    let resets = seen.commands.iter().filter(|c| *c == "RSET").count();
    assert_eq!(resets + seen.sessions, 50, "RSET between two messages of one session");
}

/// "Enough over this connection" costs a new connection, not a delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_taken_enough_is_followed_by_another() {
    let (route, seen) = mta(Manner::TakesTwo).await;
    let config = QueueConfig { connections_per_destination_max: 1, ..QueueConfig::default() };
    let world = World::new(&[("other.test", &route)], config).await;
    for n in 0..10 {
        world.submit(&[&format!("u{n}@other.test")], TEXT).await;
    }
    world.until("the queue is empty", |w| w.rows().is_empty()).await;
    assert_eq!(seen.lock().unwrap().messages.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_he_has_the_message_before_it_came_is_not_believed() {
    let (route, seen) = mta(Manner::Lies).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("deferred", |w| w.rows().first().is_some_and(|row| row.attempts == 1)).await;
    assert!(world.rows()[0].last_error.as_deref().unwrap().contains("before the end"), "{:?}", world.rows());
    assert!(seen.lock().unwrap().messages.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarpit_is_left_when_the_time_of_an_attempt_is_over() {
    let (route, _) = mta(Manner::Tarpit).await;
    let (alive, seen) = mta(Manner::Takes).await;
    let config = QueueConfig { attempt_timeout_s: 1, ..QueueConfig::default() };
    let world = World::new(&[("tar.test", &route), ("alive.test", &alive)], config).await;
    for n in 0..30 {
        world.submit(&[&format!("u{n}@tar.test")], TEXT).await;
    }
    world.submit(&["bob@alive.test"], TEXT).await;
    world.until("the other one is through", |_| seen.lock().unwrap().messages.len() == 1).await;
    // Four attempts find out; then it is frozen, and all else is put off with the reason.
    world.until("all are put off", |w| w.rows().iter().all(|row| row.attempts == 1)).await;
    assert_eq!(world.rows().len(), 30);
    assert!(world.rows().iter().all(|row| row.last_error.as_deref().is_some_and(|e| e.contains("more than 1 s"))));
    assert!(world.rows().iter().any(|row| row.last_error.as_deref().is_some_and(|e| e.contains("not tried"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_does_not_lead_to_loopback_unless_it_may() {
    let (route, seen) = mta(Manner::Takes).await;
    let port = route.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut resolver = StaticResolver::default();
    let host = |preference, name: &str| MxHost { preference, name: name.to_owned() };
    // The better host has an address where nobody listens, and IPv6 before IPv4.
    resolver.mx.insert(String::from("other.test"), vec![host(5, "gone.other.test"), host(10, "mx.other.test")]);
    resolver.addresses.insert(String::from("gone.other.test"), vec!["127.0.0.9".parse().unwrap()]);
    let both = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    resolver.addresses.insert(String::from("mx.other.test"), both);
    let config = QueueConfig { port, ..QueueConfig::default() };
    let world = World::with(&[], config.clone(), resolver.clone()).await;
    world.submit(&["bob@other.test", "bob@[127.0.0.1]"], TEXT).await;
    world.until("bounced", |w| w.rows().is_empty() && w.inbox() == 2).await;
    assert_eq!(seen.lock().unwrap().sessions, 0);
    let private_networks = vec![String::from("127.0.0.0/8"), String::from("::1")];
    let world = World::with(&[], QueueConfig { private_networks, ..config }, resolver).await;
    world.submit(&["bob@other.test", "bob@[127.0.0.1]"], TEXT).await;
    world.until("taken by the second host's second address", |w| w.rows().is_empty()).await;
    assert_eq!(world.inbox(), 0);
    assert_eq!(seen.lock().unwrap().messages.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_asked_for_where_they_can_be_and_made_here_where_not() {
    let (old, _) = mta(Manner::Takes).await;
    let (modern, seen) = mta(Manner::Modern).await;
    let world = World::new(&[("old.test", &old), ("modern.test", &modern)], QueueConfig::default()).await;
    let parameters = EnvelopeParameters {
        mail: MailParameters {
            ret: Some(Ret::Headers),
            envid: Some(String::from("id+2B7")),
            ..MailParameters::default()
        },
        rcpt: RcptParameters {
            notify: Some(Notify { success: true, ..Notify::default() }),
            orcpt: Some(String::from("rfc822;Bob@Old.test")),
            ..RcptParameters::default()
        },
    };
    world.submit_with(Some("alice@example.org"), &["bob@old.test"], TEXT, &parameters).await;
    world.until("relayed is told", |w| w.rows().is_empty() && w.inbox() == 1).await;
    world.submit_with(Some("alice@example.org"), &["bob@modern.test"], TEXT, &parameters).await;
    world.until("the other side is asked", |w| w.rows().is_empty()).await;
    assert_eq!(world.inbox(), 1);
    let commands = seen.lock().unwrap().commands.clone();
    assert!(commands.contains(&String::from("MAIL FROM:<alice@example.org> RET=HDRS ENVID=id+2B7")), "{commands:?}");
    let rcpt = "RCPT TO:<bob@modern.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Old.test";
    assert!(commands.contains(&rcpt.to_owned()), "{commands:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_is_told_once_and_never_means_never() {
    let (route, _) = mta(Manner::PutsOff).await;
    let config = QueueConfig { delay_notice_s: 1, retry_s: vec![1], ..QueueConfig::default() };
    let world = World::new(&[("other.test", &route)], config).await;
    let never = EnvelopeParameters {
        rcpt: RcptParameters { notify: Some(Notify::default()), ..RcptParameters::default() },
        ..EnvelopeParameters::default()
    };
    world.submit_with(Some("alice@example.org"), &["quiet@other.test"], TEXT, &never).await;
    world.submit(&["bob@other.test"], TEXT).await;
    world.until("told", |w| w.inbox() == 1).await;
    let tries = |w: &World| w.rows().iter().map(|row| row.attempts).min().unwrap();
    let before = tries(&world);
    world.until("tried again", |w| tries(w) >= before + 2).await;
    assert_eq!(world.inbox(), 1, "once, and of one of them");
    assert_eq!(world.rows().iter().filter(|row| row.told_delay).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_about_a_report_goes_to_the_postmaster_alone() {
    let (route, _) = mta(Manner::RefusesSome).await;
    let world = World::new(&[("other.test", &route)], QueueConfig::default()).await;
    // No such account: the row ends, nobody is told.
    world.submit_with(None, &["xavier@other.test"], TEXT, &EnvelopeParameters::default()).await;
    world.until("ended", |w| w.rows().is_empty()).await;
    assert_eq!(world.inbox(), 0);
    let admin = Arc::new(SessionInfo::admin(SessionId(1), 0));
    let permit = world.gate.admit(&admin, Action::AliasChange, &Target::default()).unwrap();
    let (postmaster, alice) = ("postmaster@example.org", "alice@example.org");
    let alias = pli_store::Alias {
        address: Address::parse(postmaster).unwrap(),
        targets: vec![Address::parse(alice).unwrap()],
    };
    world.gate.store().set_alias(permit, alias).await.unwrap();
    world.submit_with(None, &["xavier@other.test"], TEXT, &EnvelopeParameters::default()).await;
    world.until("the postmaster has it", |w| w.rows().is_empty() && w.inbox() == 1).await;
}
