//! A temporary installation: quickstart, serve, accounts, kill, restart.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::ports::Claim;
use crate::wire::{Dialect, Wire};

/// How long a start may take; replaying a log after a crash is part of it.
const START: Duration = Duration::from_secs(60);

/// An account with its password.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address, which is the login name too.
    pub address: String,
    /// The password.
    pub password: String,
}

/// What a run of the command line gave.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code, or −1 after a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// The output of a run that must have gone well.
    pub fn good(self) -> String {
        assert!(self.code == 0, "exit code {}\n{}\n{}", self.code, self.out, self.err);
        self.out
    }
}

/// The time now as names of the past have it, in UTC; returns when it is past.
pub fn moment_name() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_millis(3));
    let secs = since.as_secs();
    // The proleptic Gregorian calendar, years from March: 719,468 days stand between its year 0 and 1970.
    let days = secs / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}/{hour:02}h{minute:02}m{second:02}s{:03}", since.subsec_millis())
}

/// The binary under test: `PLI_BIN`, or `pli` beside the folder of this test.
pub fn pli() -> PathBuf {
    if let Some(path) = std::env::var_os("PLI_BIN") {
        return PathBuf::from(path);
    }
    let me = std::env::current_exe().unwrap();
    for dir in me.ancestors().skip(1).take(3) {
        let path = dir.join("pli");
        if path.is_file() {
            return path;
        }
    }
    panic!("no pli binary: build it (cargo build -p pli) or set PLI_BIN");
}

/// The repository's root.
pub fn repository() -> PathBuf {
    // Cargo's and nextest's word at run time: with a build cache shared by several
    // checkouts the path of compile time may be another checkout's.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().unwrap().to_path_buf()
}

/// What an instance should be like before its first start.
#[derive(Default)]
pub struct Builder {
    dir: Option<PathBuf>,
    passphrase: Option<String>,
    quickstart: Option<PathBuf>,
    config: Vec<(String, String)>,
}

impl Builder {
    /// Keeps the data in this folder, and does not remove it.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// Protects the root key by a passphrase, which `pli.toml` finds in a file.
    pub fn passphrase(mut self, text: &str) -> Self {
        self.passphrase = Some(text.to_owned());
        self.config("keys", "passphrase_file = \"keys/passphrase\"")
    }

    /// Lets another program, an older one, make the installation: its configuration is one that both understand.
    pub fn quickstart(mut self, binary: &Path) -> Self {
        self.quickstart = Some(binary.to_path_buf());
        self
    }

    /// Puts a line into a table of `pli.toml`, `("queue", "retry = …")`.
    pub fn config(mut self, table: &str, line: &str) -> Self {
        self.config.push((table.to_owned(), line.to_owned()));
        self
    }

    /// Runs quickstart, and leaves the server stopped.
    pub fn prepare(self) -> Instance {
        let claim = Claim::take();
        let temporary = match self.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("pli-").tempdir().unwrap()),
        };
        let dir = self.dir.unwrap_or_else(|| temporary.as_ref().unwrap().path().join("mail"));
        let offset = claim.offset.to_string();
        let mut words = vec!["quickstart", "--dir", dir.to_str().unwrap(), "--domain", "example.org"];
        words.extend(["--hostname", HOST, "--listen", "127.0.0.1", "--port-offset", &offset, "--json"]);
        words.extend(self.passphrase.as_ref().map(|_| "--passphrase-stdin"));
        let ran = run(
            &self.quickstart.unwrap_or_else(pli),
            &words,
            None,
            self.passphrase.as_deref().unwrap_or_default().as_bytes(),
        );
        let text = ran.good();
        if let Some(passphrase) = &self.passphrase {
            private(&dir.join("keys/passphrase"), passphrase.as_bytes());
        }
        let json: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("quickstart --json: {error}\n{text}"));
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
        let config = absolute(&text(&json["config"]), &dir);
        let ca = absolute(&text(&json["ca"]), &dir);
        let admin = Account { address: text(&json["admin"]["address"]), password: text(&json["admin"]["password"]) };
        for (table, line) in &self.config {
            edit(&config, table, line);
        }
        let tls = trust(&ca);
        Instance {
            claim,
            dir,
            config,
            ca,
            admin,
            quickstart: json,
            tls,
            binary: pli(),
            environment: Vec::new(),
            files_max: None,
            running: None,
            counter: AtomicU32::new(0),
            _temporary: temporary,
        }
    }

    /// Runs quickstart and serves.
    pub fn start(self) -> Instance {
        let mut instance = self.prepare();
        instance.serve();
        instance
    }
}

/// Writes a file that only its owner may read, as the server wants its secrets.
pub fn private(path: &Path, contents: &[u8]) {
    let _ = std::fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(contents).unwrap();
}

fn absolute(path: &str, dir: &Path) -> PathBuf {
    let path = PathBuf::from(path);
    if path.is_absolute() || path.exists() {
        return std::fs::canonicalize(&path).unwrap_or(path);
    }
    dir.join(path)
}

/// Puts a line under a table's header, and adds the table when it is not there.
fn edit(config: &Path, table: &str, line: &str) {
    let text = std::fs::read_to_string(config).unwrap();
    let header = format!("[{table}]");
    let key = line.split('=').next().unwrap().trim();
    let mut out = Vec::new();
    let mut inside = false;
    let mut done = false;
    for old in text.lines() {
        let trimmed = old.trim();
        if trimmed.starts_with('[') && !trimmed.starts_with("[[") {
            inside = trimmed == header;
        }
        // A key that is set already is replaced, or the file would hold it twice.
        let same = trimmed.split('=').next().is_some_and(|name| name.trim() == key);
        if inside && same && trimmed.contains('=') {
            continue;
        }
        out.push(old.to_owned());
        if inside && trimmed == header {
            out.push(line.to_owned());
            done = true;
        }
    }
    if !done {
        out.push(header);
        out.push(line.to_owned());
    }
    std::fs::write(config, out.join("\n") + "\n").unwrap();
}

fn trust(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(ca).unwrap_or_else(|error| panic!("{}: {error}", ca.display()));
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    assert!(!roots.is_empty(), "no certificate in {}", ca.display());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Runs the command line to its end.
fn run(binary: &Path, words: &[&str], config: Option<&Path>, input: &[u8]) -> Ran {
    let mut command = Command::new(binary);
    command.args(words);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    // A command that does not read its input closes it early.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A temporary installation.
pub struct Instance {
    claim: Claim,
    /// The folder that quickstart made.
    pub dir: PathBuf,
    /// Its `pli.toml`.
    pub config: PathBuf,
    /// The private CA's certificate.
    pub ca: PathBuf,
    /// The administrator that quickstart made.
    pub admin: Account,
    /// The whole answer of `quickstart --json`.
    pub quickstart: serde_json::Value,
    /// A TLS configuration that trusts the CA and nothing else.
    pub tls: Arc<ClientConfig>,
    /// The program: [`pli`], or an older one.
    pub binary: PathBuf,
    /// Variables of the server's environment.
    pub environment: Vec<(String, String)>,
    /// How many files the server may have open; as many as this process if `None`.
    pub files_max: Option<u32>,
    running: Option<Running>,
    counter: AtomicU32,
    _temporary: Option<TempDir>,
}

/// The host name in the certificate.
const HOST: &str = "mail.example.org";

impl Instance {
    /// An instance with quickstart's own configuration, serving.
    pub fn start() -> Self {
        Builder::default().start()
    }

    /// A port's number.
    pub fn port(&self, name: &str) -> u16 {
        self.claim.port(name)
    }

    /// Serves, and comes back when the mail ports accept.
    pub fn serve(&mut self) {
        assert!(self.running.is_none(), "serves already");
        let log = self.dir.join("serve.log");
        let running = Running::spawn(self, &log);
        let deadline = Instant::now() + START;
        for name in ["smtp", "submission", "submissions", "imaps"] {
            let port = self.port(name);
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                let alive = running.alive();
                if !alive || Instant::now() > deadline {
                    panic!(
                        "serve {} before port {port} ({name}) accepted:\n{}",
                        if alive { "took too long" } else { "ended" },
                        tail(&log)
                    );
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // A port accepts before the store is open; a command that came now would find no server and take the store.
        loop {
            let greeting = self.connect("smtp").and_then(|mut wire| wire.read());
            if greeting.is_ok_and(|greeting| greeting.is_some_and(|line| line.starts_with(b"220"))) {
                break;
            }
            assert!(running.alive() && Instant::now() < deadline, "serve did not greet:\n{}", tail(&log));
            std::thread::sleep(Duration::from_millis(10));
        }
        self.running = Some(running);
    }

    /// Whether the process is there.
    pub fn alive(&self) -> bool {
        self.running.as_ref().is_some_and(Running::alive)
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("not serving").pid
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.running.take().expect("not serving").end("KILL");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        self.running.take().expect("not serving").end("TERM")
    }

    /// SIGHUP: reload.
    pub fn reload(&self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("serve.log")).unwrap_or_default()
    }

    /// Runs `pli WORDS… --config pli.toml`.
    pub fn pli(&self, words: &[&str]) -> Ran {
        run(&self.binary, words, Some(&self.config), b"")
    }

    /// The same with something on standard input.
    pub fn pli_with(&self, words: &[&str], input: &[u8]) -> Ran {
        run(&self.binary, words, Some(&self.config), input)
    }

    /// A new account with an address that nobody had before.
    pub fn account(&self) -> Account {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let account = Account {
            address: format!("t{number:03}@example.org"),
            password: format!("Correct-Horse-{number}-{}", std::process::id()),
        };
        self.add(&account);
        account
    }

    /// Adds an account of the caller's choice.
    pub fn add(&self, account: &Account) {
        let words = ["account", "add", &account.address, "--password-stdin"];
        self.pli_with(&words, format!("{}\n", account.password).as_bytes()).good();
    }

    /// The same with another TLS configuration of the client's.
    pub fn connect_as(&self, name: &str, tls: &Arc<ClientConfig>) -> Result<Wire, String> {
        Wire::tls(self.port(name), dialect(name), Arc::clone(tls), HOST)
    }

    /// A connection to a port by name, TLS from the first byte where the port has it.
    pub fn connect(&self, name: &str) -> Result<Wire, String> {
        let tls = matches!(name, "imaps" | "pop3s" | "submissions");
        let connect = if tls { Wire::tls } else { Wire::plain };
        connect(self.port(name), dialect(name), Arc::clone(&self.tls), HOST)
    }
}

fn dialect(port: &str) -> Dialect {
    match port {
        "pop3s" => Dialect::Lines,
        name if name.starts_with("imap") => Dialect::Imap,
        _ => Dialect::Smtp,
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let mut text = String::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A start that must fail does so long before this.
const FAILS: Duration = Duration::from_secs(20);

/// `serve` by a program, that must end by itself; one that serves is ended and reported.
pub fn serve_fails(binary: &Path, config: &Path) -> Ran {
    let mut child = Command::new(binary)
        .args(["serve", "--lang", "en", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + FAILS;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("it serves:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The server under a shell that ends it when this process ends, however that
/// happens: the shell waits for a word on a pipe that only we hold.
struct Running {
    shell: Child,
    input: Option<ChildStdin>,
    pid: u32,
    output: BufReader<std::process::ChildStdout>,
}

const GUARD: &str = r#"if [ -n "$3" ]; then ulimit -n "$3"; fi
"$0" serve --config "$1" >>"$2" 2>&1 & p=$!
echo $p
word=KILL; read -r word || word=KILL
kill -"$word" $p 2>/dev/null
wait $p
echo $?"#;

impl Running {
    fn spawn(instance: &Instance, log: &Path) -> Self {
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(GUARD)
            .arg(&instance.binary)
            .arg(&instance.config)
            .arg(log)
            .arg(instance.files_max.map(|files| files.to_string()).unwrap_or_default())
            .envs(instance.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let pid = number(&mut output);
        Self { shell, input, pid: u32::try_from(pid).unwrap(), output }
    }

    fn alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state follows the name in brackets; Z is a process that has ended.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    fn end(mut self, signal: &str) -> i32 {
        let mut input = self.input.take().unwrap();
        writeln!(input, "{signal}").unwrap();
        drop(input);
        let code = number(&mut self.output);
        self.shell.wait().unwrap();
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closing the pipe makes the shell end the server.
        if self.input.take().is_some() {
            let _ = self.shell.wait();
        }
    }
}

fn number(output: &mut impl BufRead) -> i32 {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().parse().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::edit;

    #[test]
    fn edits_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pli.toml");
        std::fs::write(&file, "[a]\nx = 1\n# y = 2\n\n[b]\nx = 3\n").unwrap();
        edit(&file, "a", "x = 9");
        edit(&file, "c", "z = 4");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "[a]\nx = 9\n# y = 2\n\n[b]\nx = 3\n[c]\nz = 4\n");
    }
}
