//! Whole sessions over loopback, with TLS, against a real gate and a store whose index is in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pli_crypto::{FileKeyStore, SecretString, hash_password};
use pli_directory::{Directory, Profile};
use pli_gate::{Gate, Target};
use pli_io::Env;
use pli_net::{ClientTls, Connection, ConnectionLimits, Listener, ServeOptions, Shutdown, TlsConfig, serve};
use pli_smtp::{Role, SmtpConfig, SmtpService};
use pli_store::{Alias, IndexEngine, NewAccount, QueueRow, QuotaLimit, Store, StoreOptions};
use pli_types::{
    Action, Actor, Address, ByteCount, EnvelopeParameters, MailboxName, Protocol, Ret, SessionId, SessionInfo,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSWORD: &str = "correct horse";

struct World {
    gate: Arc<Gate>,
    service: Arc<SmtpService>,
    tls: Arc<TlsConfig>,
    shutdown: Shutdown,
    _dir: tempfile::TempDir,
}

fn profile(name: &str, relay: bool) -> Profile {
    Profile {
        name: name.to_owned(),
        quota: QuotaLimit::default(),
        imap: true,
        submission: true,
        relay,
        submit_per_hour: None,
        recipients_max: (!relay).then_some(2),
    }
}

impl World {
    async fn new(config: SmtpConfig) -> Self {
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
        let profiles = vec![profile("staff", true), profile("pupil", false)];
        let directory = Arc::new(Directory::new(store.clone(), profiles, '+'));
        let gate = Arc::new(Gate::new(store.clone(), mint, directory));
        let key = rcgen::generate_simple_self_signed(vec![String::from("mail.example.org")]).unwrap();
        let (chain, secret) = (key.cert.pem(), key.signing_key.serialize_pem());
        let tls = Arc::new(TlsConfig::from_pem(chain.as_bytes(), secret.as_bytes()).unwrap());
        let hostname = String::from("mail.example.org");
        let (clock, random) = (Arc::clone(&env.clock), Arc::clone(&env.random));
        let service = SmtpService::new(config, hostname, Arc::clone(&gate), clock, random, Arc::clone(&tls));
        let world = Self { gate, service, tls, shutdown: Shutdown::new(), _dir: dir };
        let permit = world.admin(Action::DomainChange);
        store.add_domain(permit, String::from("example.org")).await.unwrap();
        world.account("alice", "staff", None).await;
        world.account("bob", "pupil", Some(3000)).await;
        let alias = Alias {
            address: Address::parse("team@example.org").unwrap(),
            targets: vec![Address::parse("alice@example.org").unwrap(), Address::parse("friend@else.test").unwrap()],
        };
        store.set_alias(world.admin(Action::AliasChange), alias).await.unwrap();
        world
    }

    fn admin(&self, action: Action) -> pli_store::Permit {
        let session = Arc::new(SessionInfo::admin(SessionId(1), 0));
        self.gate.admit(&session, action, &Target::default()).unwrap()
    }

    async fn account(&self, name: &str, profile: &str, bytes: Option<u64>) {
        let limit = QuotaLimit { bytes: bytes.map(ByteCount::new), messages: None };
        let new = NewAccount {
            address: Address::new(name, "example.org").unwrap(),
            display_name: None,
            profile: profile.to_owned(),
            password: Some(hash_password(&SecretString::from(PASSWORD)).unwrap()),
            quota: bytes.map(|_| limit),
            quota_in_force: limit,
            language: String::from("en"),
            mailboxes: Vec::new(),
        };
        self.gate.store().create_account(self.admin(Action::AccountCreate), new).await.unwrap();
    }

    /// Opens a door.
    fn door(&self, role: Role) -> SocketAddr {
        let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let options = ServeOptions {
            implicit_tls: (role == Role::Submissions).then(|| Arc::clone(&self.tls)),
            limits: ConnectionLimits::new(100, 100),
            handshake_timeout: Duration::from_secs(5),
            refusal: String::new(),
            shutdown: self.shutdown.clone(),
        };
        let service = Arc::clone(&self.service);
        tokio::spawn(serve(listener, options, move |connection, end| {
            Arc::clone(&service).serve(connection, role, end)
        }));
        address
    }

    /// Everything in an account's INBOX, opened with its keys.
    async fn inbox(&self, name: &str) -> Vec<String> {
        let session = Arc::new(SessionInfo {
            protocol: Protocol::Imap,
            actor: Actor::Anonymous,
            ..SessionInfo::system(SessionId(3))
        });
        let login = format!("{name}@example.org");
        let login = self.gate.authenticate(&session, &login, &SecretString::from(PASSWORD)).await.unwrap();
        let permit = self.gate.admit(&login.session, Action::FetchContent, &Target::default()).unwrap();
        let reader = self.gate.store().read(&permit).unwrap();
        let inbox = reader.mailbox_by_name(&MailboxName::inbox()).unwrap().unwrap();
        let snapshot = reader.view(inbox.id).unwrap().snapshot();
        snapshot
            .iter()
            .map(|(_, entry)| reader.body(&login.keys, entry.email, None).unwrap())
            .map(|body| String::from_utf8(body.to_vec()).unwrap())
            .collect()
    }

    fn queue(&self) -> Vec<QueueRow> {
        let permit = self.gate.admit_system(Action::QueueRead);
        self.gate.store().queue_list(&permit, None, 100).unwrap()
    }
}

struct Client {
    connection: Connection,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let mut client = Self { connection: Connection::connect(address).await.unwrap(), buffer: Vec::new() };
        assert!(client.reply().await.starts_with("220 mail.example.org"));
        client
    }
    async fn connect_tls(address: SocketAddr) -> Self {
        let plain = Connection::connect(address).await.unwrap();
        let tls = ClientTls::opportunistic().unwrap();
        let connection = plain.upgrade_client(&tls, "mail.example.org").await.unwrap();
        let mut client = Self { connection, buffer: Vec::new() };
        assert!(client.reply().await.starts_with("220 mail.example.org"));
        client
    }
    async fn starttls(mut self) -> Self {
        assert!(self.say("STARTTLS").await.starts_with("220"));
        let tls = ClientTls::opportunistic().unwrap();
        Self { connection: self.connection.upgrade_client(&tls, "mail.example.org").await.unwrap(), buffer: Vec::new() }
    }
    async fn send(&mut self, text: &str) {
        self.connection.write_all(text.as_bytes()).await.unwrap();
        self.connection.flush().await.unwrap();
    }
    async fn say(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }
    /// The next reply, all its lines; empty at the end of the connection.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            while let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                reply.push_str(std::str::from_utf8(&line).unwrap());
                if line[3] == b' ' {
                    return reply;
                }
            }
            let mut more = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(10), self.connection.read(&mut more)).await.unwrap();
            let count = read.unwrap_or(0);
            if count == 0 {
                return reply;
            }
            self.buffer.extend_from_slice(&more[..count]);
        }
    }
    /// MAIL, RCPT for each, DATA; the last reply.
    async fn message(&mut self, from: &str, to: &[&str], text: &str) -> String {
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
        for to in to {
            let reply = self.say(&format!("RCPT TO:<{to}>")).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        assert!(self.say("DATA").await.starts_with("354"));
        self.send(text).await;
        self.say(".").await
    }
    async fn login(&mut self, name: &str) {
        self.say("EHLO [127.0.0.1]").await;
        // base64 of `NUL name NUL password` by hand: both names have been encoded here.
        let response = match name {
            "alice" => "AGFsaWNlQGV4YW1wbGUub3JnAGNvcnJlY3QgaG9yc2U=",
            "bob" => "AGJvYkBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl",
            _ => panic!("nobody"),
        };
        let reply = self.say(&format!("AUTH PLAIN {response}")).await;
        assert!(reply.starts_with("235 2.7.0"), "{reply}");
    }
}

#[tokio::test]
async fn mail_from_outside_arrives_byte_for_byte() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    client.say("EHLO mx.else.test").await;
    let text = "Return-Path: <kept@else.test>\r\nSubject: s\r\nBcc: kept@else.test\r\n\r\n..dot\r\nbody\r\n";
    let reply = client.message("friend@else.test", &["alice@example.org", "Alice+tag@EXAMPLE.org"], text).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let inbox = world.inbox("alice").await;
    assert_eq!(inbox.len(), 1, "one account gets one copy");
    assert!(inbox[0].starts_with("Return-Path: <friend@else.test>\r\nReceived: from mx.else.test ([127.0.0.1])\r\n"));
    assert!(inbox[0].ends_with(&text.replace("\r\n..", "\r\n.")));
    assert!(!inbox[0].contains("for <"), "several recipients are not named");
}

#[tokio::test]
async fn mail_that_is_not_for_us_is_refused() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    client.say("EHLO mx.else.test").await;
    client.say("MAIL FROM:<>").await;
    assert!(client.say("RCPT TO:<nobody@example.org>").await.starts_with("550 5.1.1"));
    assert!(client.say("RCPT TO:<friend@else.test>").await.starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO:<alice%example.org@else.test>").await.starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO:<@example.org:friend@else.test>").await.starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO:<alice@[127.0.0.1]>").await.starts_with("550 5.7.1"));
    assert!(client.say("DATA").await.starts_with("554"));
    assert!(world.inbox("alice").await.is_empty());
}

#[tokio::test]
async fn an_alias_leads_here_and_elsewhere_in_one_commit() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    client.say("EHLO mx.else.test").await;
    let reply = client.message("x@else.test", &["team@example.org"], "Subject: s\r\n\r\nb\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(world.inbox("alice").await.len(), 1);
    let queue = world.queue();
    assert_eq!(queue.len(), 1);
    assert_eq!(queue[0].forward_path.to_string(), "friend@else.test");
    let sent_on = queue[0].reverse_path.as_ref().unwrap().to_string();
    assert!(sent_on.starts_with("SRS0=") && sent_on.ends_with("=else.test=x@example.org"), "{sent_on}");
    assert_eq!(queue[0].submitter, None);
    // A bounce to it goes back to who sent the message; anything else gets nowhere.
    let reply = client.message("", &[&sent_on], "Subject: bounce\r\n\r\nb\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    let bounced = world.queue();
    assert_eq!(bounced.len(), 2);
    assert_eq!((bounced[1].forward_path.to_string().as_str(), &bounced[1].reverse_path), ("x@else.test", &None));
    client.say("MAIL FROM:<spam@else.test>").await;
    assert!(client.say(&format!("RCPT TO:<{sent_on}>")).await.starts_with("550 5.7.1"));
    client.say("RSET").await;
    let permit = world.gate.admit_system(Action::QueueRead);
    let body = world.gate.store().queue_body(&permit, queue[0].id).unwrap();
    assert!(body.starts_with(b"Received: "), "no Return-Path on what goes on");
}

#[tokio::test]
async fn a_full_mailbox_is_told_before_the_message() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    client.say("EHLO mx.else.test").await;
    client.say("MAIL FROM:<> SIZE=3001").await;
    assert!(client.say("RCPT TO:<bob@example.org>").await.starts_with("552 5.2.2"));
    assert!(client.say("RCPT TO:<alice@example.org>").await.starts_with("250"));
    client.say("RSET").await;
    let text = format!("Subject: s\r\n\r\n{}\r\n", "x".repeat(2000));
    assert!(client.message("", &["bob@example.org"], &text).await.starts_with("250"));
    client.say("MAIL FROM:<> SIZE=2000").await;
    assert!(client.say("RCPT TO:<bob@example.org>").await.starts_with("452 4.2.2"));
    client.say("RSET").await;
    // Not announced: it is found out at the end.
    assert!(client.message("", &["bob@example.org"], &text).await.starts_with("452 4.2.2"));
    assert_eq!(world.inbox("bob").await.len(), 1);
}

#[tokio::test]
async fn starttls_on_the_mx_is_in_the_trace() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    assert!(client.say("EHLO mx.else.test").await.contains("250-STARTTLS"));
    let mut client = client.starttls().await;
    assert!(client.say("MAIL FROM:<>").await.starts_with("503"));
    assert!(!client.say("EHLO mx.else.test").await.contains("STARTTLS"));
    assert!(client.message("", &["alice@example.org"], "Subject: s\r\n\r\nb\r\n").await.starts_with("250"));
    let inbox = world.inbox("alice").await;
    assert!(inbox[0].contains(" with ESMTPS\r\n\t(using TLSv1.3 "), "{}", inbox[0]);
    assert!(inbox[0].starts_with("Return-Path: <>\r\n"));
    assert!(inbox[0].contains("\r\n\tfor <alice@example.org>; "));
}

#[tokio::test]
async fn submission_speaks_in_its_own_name_only() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect_tls(world.door(Role::Submissions)).await;
    client.login("alice").await;
    assert!(client.say("MAIL FROM:<bob@example.org>").await.starts_with("550 5.7.1"));
    let from = |value: &str| format!("From: {value}\r\nSubject: s\r\n\r\nb\r\n");
    for wrong in [
        "bob@example.org",
        "\"alice@example.org\" <bob@example.org>",
        "alice@example.org, bob@example.org",
        "alice@example.org\r\nFrom: bob@example.org",
        "nobody in particular",
        "team: alice@example.org, eve@else.test;",
    ] {
        let reply = client.message("alice@example.org", &["bob@example.org"], &from(wrong)).await;
        assert!(reply.starts_with("550 5.7.1"), "{wrong}: {reply}");
    }
    for right in ["Alice <alice@example.org>", "=?utf-8?q?Al?= <ALICE@Example.org>", "\"x, y\" <alice+tag@example.org>"]
    {
        let reply = client.message("alice@example.org", &["alice@example.org"], &from(right)).await;
        assert!(reply.starts_with("250"), "{right}: {reply}");
    }
    assert!(world.inbox("bob").await.is_empty());
    assert!(world.queue().is_empty());
}

#[tokio::test]
async fn submission_delivers_here_and_queues_the_rest() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect_tls(world.door(Role::Submissions)).await;
    client.login("alice").await;
    let text = "From: alice@example.org\r\nBcc: bob@example.org\r\nSubject: s\r\n\r\nb\r\n";
    let to = ["bob@example.org", "one@else.test", "two@else.test"];
    assert!(client.message("alice@example.org", &to, text).await.starts_with("250"));
    let inbox = world.inbox("bob").await;
    assert_eq!(inbox.len(), 1);
    assert!(!inbox[0].contains("Bcc") && !inbox[0].contains("127.0.0.1") && !inbox[0].contains("Return-Path"));
    assert!(inbox[0].contains("\r\nDate: ") && inbox[0].contains("\r\nMessage-ID: <"));
    assert!(inbox[0].contains(" with ESMTPSA\r\n"));
    let queue = world.queue();
    assert_eq!(queue.len(), 2);
    assert!(queue.iter().all(|row| row.body == queue[0].body && row.submitter.is_some()));
    assert!(client.say("MAIL FROM:<alice@example.org>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<nobody@example.org>").await.starts_with("550 5.1.1"));
}

#[tokio::test]
async fn what_the_envelope_says_is_in_the_queue() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect_tls(world.door(Role::Submissions)).await;
    client.login("alice").await;
    client.say("MAIL FROM:<alice@example.org> HOLDFOR=3600 RET=HDRS ENVID=E1").await;
    let reply = client.say("RCPT TO:<friend@else.test> NOTIFY=SUCCESS ORCPT=rfc822;f+2Bx@else.test").await;
    assert!(reply.starts_with("250"), "{reply}");
    client.say("DATA").await;
    let reply = client.say("From: alice@example.org\r\n\r\nb\r\n.").await;
    assert!(reply.starts_with("250"), "{reply}");
    let queue = world.queue();
    let parameters = EnvelopeParameters::decode(&queue[0].parameters);
    assert_eq!((parameters.mail.ret, parameters.mail.envid.as_deref()), (Some(Ret::Headers), Some("E1")));
    assert!(parameters.rcpt.wants_success() && !parameters.rcpt.wants_failure());
    assert_eq!(parameters.rcpt.original_recipient().unwrap(), "rfc822;f+x@else.test");
    let until = parameters.mail.hold_until.unwrap();
    assert!(until >= queue[0].created.plus_ms(3_590_000) && until <= queue[0].created.plus_ms(3_600_000));
    assert_eq!(queue[0].next_attempt, until, "not due before");
}

#[tokio::test]
async fn profiles_limit_submission() {
    let world = World::new(SmtpConfig::default()).await;
    let mut client = Client::connect(world.door(Role::Submission)).await;
    assert!(client.say("EHLO my_pc").await.contains("STARTTLS"));
    assert!(client.say("MAIL FROM:<bob@example.org>").await.starts_with("530 5.7.0 Must issue"));
    let mut client = client.starttls().await;
    client.login("bob").await;
    assert!(client.say("MAIL FROM: <bob@example.org>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<friend@else.test>").await.starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO: <alice@example.org>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<bob@example.org>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<team@example.org>").await.starts_with("452 4.5.3"));
}

#[tokio::test]
async fn memory_for_messages_is_bounded() {
    let world = World::new(SmtpConfig { in_flight_bytes_max: 100_000, ..SmtpConfig::default() }).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    client.say("EHLO mx.else.test").await;
    let large = format!("Subject: s\r\n\r\n{}", "0123456789abcdef\r\n".repeat(10_000));
    assert!(client.message("", &["alice@example.org"], &large).await.starts_with("452 4.3.1"));
    // What was held is given back.
    let small = format!("Subject: s\r\n\r\n{}", "0123456789abcdef\r\n".repeat(3_000));
    for _ in 0..3 {
        assert!(client.message("", &["alice@example.org"], &small).await.starts_with("250"));
    }
    assert_eq!(world.inbox("alice").await.len(), 3);
}

/// Chunks that are held without an end: the memory comes back with RSET, and the time for a message goes on.
#[tokio::test]
async fn a_chunk_without_a_next_one_holds_nothing_for_ever() {
    let limits = SmtpConfig {
        in_flight_bytes_max: 100_000,
        message_bytes_max: 70_000,
        message_timeout_s: 2,
        ..SmtpConfig::default()
    };
    let world = World::new(limits).await;
    let mut client = Client::connect(world.door(Role::Mx)).await;
    let chunk = "0123456789abcde\r\n".repeat(3_000);
    for command in ["RSET", "EHLO mx.else.test", "RSET"] {
        client.say("EHLO mx.else.test").await;
        client.say("MAIL FROM:<>").await;
        client.say("RCPT TO:<alice@example.org>").await;
        client.send(&format!("BDAT {}\r\n{chunk}", chunk.len())).await;
        assert!(client.reply().await.starts_with("250"));
        assert!(client.say(command).await.starts_with("250"));
        // All of the memory is there for another session.
        let mut other = Client::connect(world.door(Role::Mx)).await;
        other.say("EHLO mx.else.test").await;
        let text = format!("Subject: s\r\n\r\n{chunk}");
        assert!(other.message("", &["alice@example.org"], &text).await.starts_with("250"));
    }
    client.say("MAIL FROM:<>").await;
    client.say("RCPT TO:<alice@example.org>").await;
    client.send("BDAT 3\r\nA: ").await;
    assert!(client.reply().await.starts_with("250"));
    let mut last = String::new();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("NOOP\r\n").await;
        last = client.reply().await;
        if last.starts_with("421") {
            break;
        }
    }
    assert!(last.starts_with("421 4.4.2"), "{last}");
}

#[tokio::test]
async fn silence_ends_a_session() {
    let world = World::new(SmtpConfig { command_timeout_s: 0, ..SmtpConfig::default() }).await;
    let mut client =
        Client { connection: Connection::connect(world.door(Role::Mx)).await.unwrap(), buffer: Vec::new() };
    let first = client.reply().await;
    // With no time at all even the greeting may be too slow for us; what is said last is 421.
    assert!(first.starts_with("220"), "{first}");
    assert!(client.reply().await.starts_with("421 4.4.2"));
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn shutdown_finishes_messages_and_says_goodbye() {
    let world = World::new(SmtpConfig::default()).await;
    let door = world.door(Role::Mx);
    let mut idle = Client::connect(door).await;
    let mut busy = Client::connect(door).await;
    busy.say("EHLO mx.else.test").await;
    busy.say("MAIL FROM:<>").await;
    busy.say("RCPT TO:<alice@example.org>").await;
    assert!(busy.say("DATA").await.starts_with("354"));
    busy.send("Subject: s\r\n\r\n").await;
    let shutdown = world.shutdown.clone();
    let ended = tokio::spawn(async move { shutdown.finish(Duration::from_secs(10)).await });
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.reply().await, "");
    assert!(busy.say("last words\r\n.").await.starts_with("250"));
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert!(ended.await.unwrap(), "all sessions ended in time");
    assert_eq!(world.inbox("alice").await.len(), 1);
    assert_eq!(world.service.sessions(), 0);
}
