//! A server in memory and clients over pipes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pli_crypto::{FileKeyStore, SecretString, hash_password};
use pli_directory::{Directory, Profile};
use pli_gate::{Gate, Target};
use pli_imap::{ImapConfig, ImapService, Peer, Security};
use pli_io::{Clock, Env, RealClock};
use pli_store::{IndexEngine, NewAccount, QuotaLimit, Store, StoreOptions};
use pli_types::{Action, Address, ByteCount, MailboxName, SessionId, SessionInfo, SpecialUse, TlsInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "correct horse";

pub struct Server {
    pub service: Arc<ImapService>,
    pub store: Store,
    pub gate: Arc<Gate>,
    pub shutdown: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.store.close();
    }
}

pub async fn server() -> Server {
    server_with(ImapConfig::default(), None).await
}

pub async fn server_with(config: ImapConfig, quota: Option<u64>) -> Server {
    server_by(config, quota, Arc::new(RealClock::new())).await
}

pub async fn server_by(config: ImapConfig, quota: Option<u64>, clock: Arc<dyn Clock>) -> Server {
    server_of(config, QuotaLimit { bytes: quota.map(ByteCount::new), messages: None }, clock).await
}

pub async fn server_of(config: ImapConfig, limit: QuotaLimit, clock: Arc<dyn Clock>) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        dir: PathBuf::from(dir.path()).join("store"),
        env: Env::real(),
        keys: Arc::new(FileKeyStore::generate(None).unwrap().0),
        index: IndexEngine::Memory,
        index_cache_bytes: 16 << 20,
        site: String::from("mail.example.org/pli"),
    };
    let (store, mint) = Store::create(options).unwrap();
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
    let permit = |action| gate.admit(&admin, action, &Target::default()).unwrap();
    store.add_domain(permit(Action::DomainChange), String::from("example.org")).await.unwrap();
    let hash = hash_password(&SecretString::from(PASSWORD)).unwrap();
    for name in ["alice", "bob"] {
        let mailboxes = SpecialUse::ALL
            .into_iter()
            .map(|u| (MailboxName::new(u.attribute().trim_start_matches('\\')).unwrap(), Some(u)))
            .collect();
        let new = NewAccount {
            address: Address::new(name, "example.org").unwrap(),
            display_name: None,
            profile: String::from("staff"),
            password: Some(hash.clone()),
            quota: Some(limit),
            quota_in_force: limit,
            language: String::from("en"),
            mailboxes,
        };
        store.create_account(permit(Action::AccountCreate), new).await.unwrap();
    }
    let shutdown = CancellationToken::new();
    let service = Arc::new(ImapService::new(config, Arc::clone(&gate), clock, shutdown.clone()));
    Server { service, store, gate, shutdown, _dir: dir }
}

pub struct Client {
    stream: DuplexStream,
    got: Vec<u8>,
    tag: u32,
}

impl Server {
    /// The log's only segment.
    pub fn segment(&self) -> PathBuf {
        self._dir.path().join("store/segments/00000001.seg")
    }
    pub async fn connect(&self) -> Client {
        self.connect_over(Some(TlsInfo { version: String::from("TLSv1.3"), cipher: String::from("test") })).await
    }
    pub async fn connect_over(&self, tls: Option<TlsInfo>) -> Client {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer = Peer { id: SessionId(7), address: "127.0.0.1:5".parse().ok(), tls, security: Security::default() };
        tokio::spawn(Arc::clone(&self.service).serve(theirs, peer));
        let mut client = Client { stream: ours, got: Vec::new(), tag: 0 };
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1"), "{greeting}");
        client
    }
    pub async fn login(&self, name: &str) -> Client {
        let mut client = self.connect().await;
        client.ok(&format!("LOGIN {name}@example.org \"{PASSWORD}\"")).await;
        client
    }
    pub async fn inbox(&self) -> Client {
        let mut client = self.login("alice").await;
        client.ok("SELECT INBOX").await;
        client
    }
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }
    async fn more(&mut self) -> bool {
        let mut buf = vec![0; 1 << 16];
        let n = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut buf))
            .await
            .unwrap_or_else(|_| panic!("nothing came; so far {:?}", String::from_utf8_lossy(&self.got)))
            .unwrap();
        self.got.extend_from_slice(&buf[..n]);
        n > 0
    }
    /// One line without its end; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        let mut looked = 0;
        loop {
            let found = self.got[looked..].iter().position(|b| *b == b'\n').map(|at| at + looked);
            match found {
                Some(end) if end > 0 && self.got[end - 1] == b'\r' => {
                    let line = String::from_utf8_lossy(&self.got[..end - 1]).into_owned();
                    self.got.drain(..=end);
                    return line;
                }
                Some(end) => looked = end + 1,
                None => {
                    looked = self.got.len();
                    if !self.more().await {
                        return String::new();
                    }
                }
            }
        }
    }
    /// All up to the line that begins with `start`, that line included.
    pub async fn until(&mut self, start: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty() || !self.got.is_empty(), "ended before {start:?}: {text}");
            text.push_str(&line);
            text.push_str("\r\n");
            if line.starts_with(start) {
                return text;
            }
        }
    }
    /// Sends a command and gives all that comes up to its tagged answer.
    pub async fn run(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.send(format!("{tag} {command}\r\n")).await;
        self.until(&format!("{tag} ")).await.replace(&format!("{tag} "), "a ")
    }
    /// The same, and it must succeed.
    pub async fn ok(&mut self, command: &str) -> String {
        let text = self.run(command).await;
        assert!(text.lines().last().unwrap().starts_with("a OK"), "{command}: {text}");
        text
    }
    /// The same, for a session that may end before it answers.
    pub async fn run_or_bye(&mut self, command: &str) -> String {
        // It may have ended already.
        let _ = self.stream.write_all(format!("b {command}\r\n").as_bytes()).await;
        self.line().await
    }
    pub async fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> String {
        self.ok(&format!("APPEND {mailbox} ({flags}) {{{}+}}\r\n{message}", message.len())).await
    }
    pub async fn at_end(&mut self) -> bool {
        self.got.is_empty() && !self.more().await
    }
}

/// A small message.
pub fn message(subject: &str) -> String {
    format!(
        "From: Ann <ann@example.net>\r\nTo: alice@example.org\r\nSubject: {subject}\r\nDate: Mon, 2 Feb 2026 10:00:00 +0100\r\nMessage-ID: <{subject}@x>\r\n\r\nHello {subject}.\r\n"
    )
}
