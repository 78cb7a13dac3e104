//! A server that runs: its signals, what it says when it cannot start, and the command line through its socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);

fn pli(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pli")).args(words).env("LC_ALL", "C").env_remove("PLI_CONFIG").output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A port offset that no other test process uses: the same locks as those of the end-to-end tests.
struct Claim {
    offset: u16,
    _lock: std::fs::File,
}

impl Claim {
    fn take() -> Self {
        let dir = std::env::temp_dir().join("pli-test-ports");
        std::fs::create_dir_all(&dir).unwrap();
        let start = u16::try_from(std::process::id() % 80).unwrap();
        for turn in 0..80 {
            let offset = 11_000 + 200 * ((start + turn) % 80);
            let lock = std::fs::File::create(dir.join(offset.to_string())).unwrap();
            let locked = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
            let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port + offset)).is_ok();
            if locked && [24, 25, 465, 587, 993].into_iter().all(free) {
                return Self { offset, _lock: lock };
            }
        }
        panic!("no free ports");
    }
}

struct Server {
    dir: TempDir,
    child: Child,
    claim: Claim,
    password: String,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::take();
        let offset = claim.offset;
        let path = dir.path().join("mail").to_str().unwrap().to_owned();
        let made = pli(&[
            "quickstart",
            "--dir",
            &path,
            "--domain",
            "example.org",
            "--hostname",
            "mail.example.org",
            "--port-offset",
            &offset.to_string(),
            "--json",
        ]);
        assert!(made.status.success(), "{}", err(&made));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let password = made["admin"]["password"].as_str().unwrap().to_owned();
        let config = made["config"].as_str().unwrap().to_owned();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pli"))
            .args(["serve", "--config", &config])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(
            ready.starts_with("ready ") && ready.contains(&format!("imaps=127.0.0.1:{}", 993 + offset)),
            "{ready}{log}"
        );
        Self { dir, child, claim, password }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("mail").join(name)
    }
    fn config(&self) -> String {
        self.path("pli.toml").to_str().unwrap().to_owned()
    }
    fn run(&self, words: &[&str]) -> Output {
        let config = self.config();
        pli(&[words, &["--config", &config]].concat())
    }
    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", err(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }
    /// Until something is so; fails when it never is.
    fn until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let end = Instant::now() + LONG;
        while !so() {
            assert!(Instant::now() < end, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fn ended(&mut self) -> i32 {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fn imap(&self) -> BufReader<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("tls/ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("mail.example.org").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, 993 + self.claim.offset)).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        BufReader::new(StreamOwned::new(tls, tcp))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(imap: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    imap.read_line(&mut line).unwrap();
    line
}

#[test]
fn sigterm_says_bye_and_ends_well() {
    let mut server = Server::start();
    let mut imap = server.imap();
    assert!(line(&mut imap).starts_with("* OK"));
    let login = format!("a LOGIN admin@example.org {}\r\n", server.password);
    imap.get_mut().write_all(login.as_bytes()).unwrap();
    while !line(&mut imap).starts_with("a OK") {}
    imap.get_mut().write_all(b"b SELECT INBOX\r\nc IDLE\r\n").unwrap();
    while !line(&mut imap).starts_with('+') {}
    let waiting = server.imap();
    server.signal("TERM");
    assert!(line(&mut imap).starts_with("* BYE"));
    let mut rest = Vec::new();
    let _ = imap.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    assert_eq!(server.ended(), 0, "{}", server.log());
    drop(waiting);
    assert!(!server.path("run/admin.sock").exists());
    assert!(!server.log().contains(&server.password));
    // The store was closed whole: the command line opens it, and both ends are in the audit log.
    let export = server.run(&["audit", "export"]);
    let export = String::from_utf8(export.stdout).unwrap();
    for reason in ["start", "stop"] {
        assert!(export.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {export}");
    }
}

#[test]
fn a_second_server_and_the_command_line_beside_it() {
    let server = Server::start();
    let second = server.run(&["serve"]);
    assert_eq!(second.status.code(), Some(69), "{}", err(&second));
    assert!(err(&second).contains("in use"), "{}", err(&second));

    // Other ports, the same store: the lock holds.
    let toml = std::fs::read_to_string(server.path("pli.toml")).unwrap();
    let elsewhere = Claim::take();
    let other = toml.replacen(
        &format!("port_offset = {}", server.claim.offset),
        &format!("port_offset = {}", elsewhere.offset),
        1,
    );
    std::fs::write(server.path("other.toml"), other).unwrap();
    let second = pli(&["serve", "--config", server.path("other.toml").to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(75), "{}", err(&second));
    assert!(err(&second).contains(&format!("process {}", server.child.id())), "{}", err(&second));

    let added = server.run(&["account", "add", "bob@example.org"]);
    assert!(added.status.success());
    assert!(err(&added).contains("running server"), "{}", err(&added));
    assert_eq!(server.json(&["health"])["running"], true);
    let findings = server.json(&["doctor"]);
    assert_eq!(findings["ok"], true, "{findings}");
}

/// A command that has the store open for a moment must not keep a server from starting.
#[test]
fn a_start_waits_for_a_command_that_has_the_store() {
    let mut server = Server::start();
    server.signal("TERM");
    assert_eq!(server.ended(), 0, "{}", server.log());
    let lock = std::fs::File::open(server.path("store/lock")).unwrap();
    let hold = || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let serve = |log: &str| {
        Command::new(env!("CARGO_BIN_EXE_pli"))
            .args(["serve", "--config", &server.config()])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(server.dir.path().join(log)).unwrap())
            .spawn()
            .unwrap()
    };
    let waits = |log: &str| {
        let log = server.dir.path().join(log);
        server.until("it waits", || std::fs::read_to_string(&log).unwrap().contains("waiting for the store"));
    };
    hold();
    let mut child = serve("second");
    waits("second");
    assert_eq!(child.try_wait().unwrap(), None);
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::Unlock).unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("ready "), "{ready}");
    child.kill().unwrap();
    child.wait().unwrap();
    // Told to end while it waits, it ends.
    hold();
    let mut child = serve("third");
    waits("third");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The index made again by the running server, then by the command alone, from one engine to the other.
#[test]
fn the_index_is_made_again() {
    let mut server = Server::start();
    let engine = |server: &Server| server.json(&["store", "stat"])["index_engine"].as_str().unwrap().to_owned();
    assert_eq!(engine(&server), "sled");
    let output = server.run(&["store", "rebuild", "--engine", "fjall", "--json"]);
    assert!(output.status.success(), "{}", err(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["engine"], &answer["configured"]), (&"fjall".into(), &"sled".into()));
    assert!(answer["frames"].as_u64().unwrap() > 0, "{answer}");
    // It is told that the next start goes back.
    assert!(err(&output).contains("store.index"), "{}", err(&output));
    assert_eq!(engine(&server), "fjall");
    assert_eq!(server.json(&["store", "stat"])["index_rebuilds"], 1);
    assert_eq!(server.json(&["account", "list"]).as_array().unwrap().len(), 2);
    let events = server.run(&["audit", "export"]);
    let events = String::from_utf8(events.stdout).unwrap();
    assert!(events.contains("rebuild the index") && events.contains("index rebuilt: asked for"), "{events}");
    assert_eq!(server.run(&["store", "rebuild", "--engine", "redb"]).status.code(), Some(64));
    server.signal("TERM");
    assert_eq!(server.ended(), 0);

    let toml = std::fs::read_to_string(server.path("pli.toml")).unwrap();
    std::fs::write(server.path("pli.toml"), toml.replacen("index = \"sled\"", "index = \"fjall\"", 1)).unwrap();
    std::fs::remove_dir_all(server.path("store/index")).unwrap();
    let output = server.run(&["store", "rebuild"]);
    assert!(output.status.success(), "{}", err(&output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("fjall") && err(&output).contains("no server"), "{text}{}", err(&output));
    assert!(!err(&output).contains("store.index"), "{}", err(&output));
    assert_eq!(engine(&server), "fjall");
    assert_eq!(server.json(&["account", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(server.json(&["store", "verify"])["damage"].as_array().unwrap().len(), 0);
}

#[test]
fn sighup_takes_a_good_file_and_leaves_a_wrong_one() {
    let server = Server::start();
    let good = std::fs::read_to_string(server.path("pli.toml")).unwrap();
    let limit = || server.json(&["quota", "show", "alice@example.org"])[0]["bytes_limit"].as_u64();
    assert_eq!(limit(), Some(2 << 30));

    std::fs::write(server.path("pli.toml"), good.replacen("quota = \"2G\"", "quota = \"3X\"", 1)).unwrap();
    server.signal("HUP");
    server.until("the mistake in the log", || server.log().contains("old configuration stays"));
    std::fs::write(server.path("pli.toml"), &good).unwrap();
    assert_eq!(limit(), Some(2 << 30));

    std::fs::write(server.path("pli.toml"), good.replacen("quota = \"2G\"", "quota = \"3G\"", 1)).unwrap();
    server.signal("HUP");
    server.until("the new quota", || limit() == Some(3 << 30));

    let later = good.replacen("starttls = true", "starttls = false", 1).replacen(
        "idle_timeout_s = 1800",
        "idle_timeout_s = 1900",
        1,
    );
    std::fs::write(server.path("pli.toml"), later).unwrap();
    server.signal("HUP");
    server.until("the sections that wait for a start", || server.log().contains("imap, queue"));

    // A new certificate is shown to the next connection, a broken one to none.
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("mail");
    let made = pli(&[
        "quickstart",
        "--dir",
        path.to_str().unwrap(),
        "--domain",
        "example.org",
        "--hostname",
        "mail.example.org",
    ]);
    assert!(made.status.success());
    let copy = |name: &str| std::fs::copy(path.join("tls").join(name), server.path("tls").join(name)).unwrap();
    copy("cert.pem");
    let mistakes = server.log().matches("old configuration stays").count();
    server.signal("HUP");
    server.until("a certificate without its key is refused", || {
        server.log().matches("old configuration stays").count() > mistakes
    });
    assert!(line(&mut server.imap()).starts_with("* OK"), "the old certificate still serves");
    copy("key.pem");
    copy("ca.pem");
    let taken = server.log().matches("configuration read again").count();
    server.signal("HUP");
    server.until("the pair is taken", || server.log().matches("configuration read again").count() > taken);
    assert!(line(&mut server.imap()).starts_with("* OK"), "the new certificate, which the new CA signed");
}

#[test]
fn the_process_keeps_its_secrets() {
    let server = Server::start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id()));
    if let Ok(limits) = limits {
        let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
        let [soft, hard] = [4, 5].map(|column| core.split_whitespace().nth(column).unwrap());
        assert_eq!((soft, hard), ("0", "0"));
    }
    // No descriptor of secrets in the environment or the arguments: nothing but the configuration's path is there.
    let command = std::fs::read(Path::new("/proc").join(server.child.id().to_string()).join("cmdline"));
    if let Ok(command) = command {
        assert!(!String::from_utf8_lossy(&command).contains(&server.password));
    }
}
