//! The command line as scripts use it: quickstart, the store offline, mistakes with their exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;

/// What a run gave.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn pli(words: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pli"))
        .args(words)
        .env_remove("PLI_CONFIG")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with a server in it that does not run.
struct Made {
    dir: TempDir,
    answer: Value,
}

impl Made {
    fn new() -> Self {
        Self::with(&[], "")
    }
    fn with(more: &[&str], input: &str) -> Self {
        // Nothing here listens for long, but two tests at once must not meet.
        static OFFSET: AtomicU16 = AtomicU16::new(40_000);
        let offset = OFFSET.fetch_add(1, Ordering::Relaxed).to_string();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mail").to_str().unwrap().to_owned();
        let mut words = vec![
            "quickstart",
            "--dir",
            &path,
            "--domain",
            "example.org",
            "--hostname",
            "mail.example.org",
            "--port-offset",
            &offset,
            "--json",
        ];
        words.extend(more);
        let answer = pli(&words, input).json();
        Self { dir, answer }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("mail").join(name)
    }
    fn config(&self) -> String {
        self.path("pli.toml").to_str().unwrap().to_owned()
    }
    fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }
    fn run_with(&self, words: &[&str], input: &str) -> Ran {
        let config = self.config();
        let words: Vec<&str> = words.iter().copied().chain(["--config", &config]).collect();
        pli(&words, input)
    }
    fn json(&self, words: &[&str]) -> Value {
        self.run(&[words, &["--json"]].concat()).json()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Everything in a folder, folders included.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(below(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn quickstart_makes_what_it_says() {
    let made = Made::new();
    let answer = &made.answer;
    let ports = answer["ports"].as_object().unwrap();
    let base = ports["smtp"].as_u64().unwrap() - 25;
    for (name, port) in [
        ("smtp", 25),
        ("submission", 587),
        ("submissions", 465),
        ("imaps", 993),
        ("lmtp", 24),
        ("https", 443),
        ("managesieve", 4190),
    ] {
        assert_eq!(ports[name].as_u64(), Some(base + port), "{name}");
    }
    assert_eq!(answer["admin"]["address"], "admin@example.org");
    assert_eq!(answer["accounts"][1]["address"], "alice@example.org");
    assert_eq!(answer["accounts"][1]["profile"], "student");
    let passwords = [&answer["admin"]["password"], &answer["accounts"][1]["password"]].map(|p| p.as_str().unwrap());
    assert!(passwords.iter().all(|p| p.len() >= 12) && passwords[0] != passwords[1]);
    assert_eq!(Path::new(answer["config"].as_str().unwrap()), made.path("pli.toml"));
    assert_eq!(Path::new(answer["ca"].as_str().unwrap()), made.path("tls/ca.pem"));
    for secret in ["keys/root.key", "tls/key.pem", "pli.toml"] {
        assert_eq!(mode(&made.path(secret)), 0o600, "{secret}");
    }
    assert_eq!(mode(&made.path("run")), 0o700);
    let files = below(&made.path("store"));
    assert!(files.iter().any(|file| file.to_string_lossy().contains("index")), "{files:?}");
    for file in files {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    assert!(!std::fs::read_to_string(made.path("pli.toml")).unwrap().contains(passwords[0]));

    let again = pli(
        &["quickstart", "--dir", made.path("").to_str().unwrap(), "--domain", "a.test", "--hostname", "m.a.test"],
        "",
    );
    assert_eq!(again.code, 73, "{}", again.err);
    assert!(again.err.contains("already"));
}

#[test]
fn quickstart_refuses_what_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x").to_str().unwrap().to_owned();
    for (domain, hostname, offset) in [
        ("no-dot", "mail.example.org", "10000"),
        ("exa mple.org", "mail.example.org", "10000"),
        ("example.org", "mail", "10000"),
        ("example.org", "mail.example.org", "65000"),
    ] {
        let words = ["quickstart", "--dir", &path, "--domain", domain, "--hostname", hostname, "--port-offset", offset];
        let ran = pli(&words, "");
        assert_eq!(ran.code, 65, "{domain} {hostname} {offset}: {}", ran.err);
        assert!(!Path::new(&path).exists(), "nothing was made");
    }
    std::fs::create_dir(&path).unwrap();
    std::fs::write(Path::new(&path).join("letter.txt"), "dear").unwrap();
    let ran = pli(&["quickstart", "--dir", &path, "--domain", "example.org", "--hostname", "mail.example.org"], "");
    assert_eq!(ran.code, 73, "{}", ran.err);
    assert!(ran.err.contains("not empty"));
}

#[test]
fn the_store_offline() {
    let made = Made::new();
    let added = made.run_with(
        &["account", "add", "bob@example.org", "--password-stdin", "--profile", "teacher", "--quota", "5G", "--json"],
        "correct horse battery\n",
    );
    assert_eq!(added.json().get("password"), None, "a password that was given is not repeated");
    let generated = made.json(&["account", "add", "carol@example.org"]);
    assert_eq!(generated["password"].as_str().unwrap().len(), 20);
    let bob = made.json(&["account", "show", "bob@example.org"]);
    assert_eq!((bob["profile"].as_str(), bob["quota"]["bytes_limit"].as_u64()), (Some("teacher"), Some(5 << 30)));
    made.json(&["account", "set", "bob@example.org", "--profile", "alumni", "--quota", "profile"]);
    let bob = made.json(&["account", "show", "bob@example.org"]);
    assert_eq!((bob["profile"].as_str(), bob["quota"]["bytes_limit"].as_u64()), (Some("alumni"), Some(1 << 30)));
    assert_eq!(made.json(&["account", "suspend", "bob@example.org"])["suspended"], true);
    assert_eq!(made.json(&["account", "resume", "bob@example.org"])["suspended"], false);
    assert_eq!(made.json(&["account", "list"]).as_array().unwrap().len(), 4);

    made.json(&["alias", "add", "team@example.org", "bob@example.org", "carol@example.org"]);
    made.json(&["domain", "add", "Autre.Example.ORG"]);
    let domains = made.json(&["domain", "list"]).to_string();
    assert!(domains.contains("autre.example.org"), "{domains}");

    let text = "Bonjour à tous\n";
    let sent = made.run_with(
        &["send", "--from", "carol@example.org", "--to", "team@example.org", "--subject", "Été", "--json"],
        text,
    );
    assert_eq!(sent.json()["delivered"], 2);
    let sent = made.run_with(&["send", "--from", "carol@example.org", "--to", "x@other.test"], text);
    assert_eq!(sent.code, 0, "{}", sent.err);
    let queue = made.json(&["queue", "list"]);
    let id = queue[0]["id"].to_string();
    assert_eq!(queue[0]["to"], "x@other.test");
    assert_eq!(made.json(&["queue", "hold", &id])[0]["held"], true);
    assert_eq!(made.json(&["queue", "release", &id])[0]["held"], false);
    made.json(&["queue", "drop", &id]);
    assert_eq!(made.json(&["queue", "list"]).as_array().unwrap().len(), 0);

    assert_eq!(made.json(&["quota", "show", "bob@example.org"])[0]["messages_used"], 1);
    assert_eq!(made.json(&["quota", "recalculate"])[0]["corrected"], false);
    for words in [["store", "verify"], ["audit", "verify"]] {
        assert_eq!(made.json(&words)["damage"].as_array().unwrap().len(), 0, "{words:?}");
    }
    let tail = made.json(&["audit", "tail", "-n", "3"]);
    assert_eq!(tail["events"].as_array().unwrap().len(), 3, "as many as were asked for: {tail}");
    assert_eq!(tail["events"][2]["event"]["op"], "verify", "without the record of this reading: {tail}");
    let exported = made.run(&["audit", "export"]).out;
    let events: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().enumerate().all(|(at, event)| event["index"] == at));
    assert!(events.iter().any(|event| event["event"]["op"] == "account-create"));
    assert!(!exported.contains("Bonjour") && !exported.contains("bob@"), "no content and no bare address");

    assert_eq!(made.run(&["account", "rm", "bob@example.org"]).code, 64, "not without --yes");
    made.json(&["account", "rm", "bob@example.org", "--yes"]);
    assert_eq!(made.run(&["account", "show", "bob@example.org"]).code, 66);
    // Ports may be in use by other tests; all else must be well. The exit code follows the findings.
    let doctor: Value = serde_json::from_str(&made.run(&["doctor", "--json"]).out).unwrap();
    for finding in doctor["findings"].as_array().unwrap() {
        let port = finding["what"].as_str().unwrap().contains("127.0.0.1");
        assert!(port || finding["grade"] == "ok", "{finding}");
    }
}

#[test]
fn mistakes_have_their_exit_codes() {
    let made = Made::new();
    for (words, code) in [
        (&["account", "show", "nobody@example.org"][..], 66),
        (&["account", "add", "admin@example.org"], 73),
        (&["account", "add", "a@elsewhere.test"], 66),
        (&["account", "add", "a@example.org", "--profile", "wizard"], 66),
        (&["account", "add", "no-address"], 64),
        (&["account", "add", "a@example.org", "--quota", "much"], 64),
        (&["queue", "show", "99"], 66),
        (&["no-such-command"], 64),
        (&["health"], 1),
    ] {
        let ran = made.run(words);
        assert_eq!(ran.code, code, "{words:?}: {}{}", ran.out, ran.err);
    }
    let empty = made.run_with(&["account", "add", "a@example.org", "--password-stdin"], "\n");
    assert_eq!(empty.code, 65);
    let short = made.run_with(&["account", "add", "a@example.org", "--password-stdin"], "short");
    assert_eq!(short.code, 0);
    assert!(short.err.contains("fewer than 12"), "{}", short.err);
    let json = made.run(&["account", "show", "nobody@example.org", "--json"]);
    let error: Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["error"]["code"], 66);
}

#[test]
fn a_wrong_configuration_names_its_line() {
    let made = Made::new();
    let good = std::fs::read_to_string(made.path("pli.toml")).unwrap();
    assert_eq!(made.run(&["config", "check"]).code, 0);
    for (old, new, says) in [
        ("workers = 0", "wrokers = 0", "unknown field `wrokers`"),
        ("workers = 0", "workers = \"x\"", "invalid type"),
        ("hostname = \"mail.example.org\"", "hostname = \"\"", "no full host name"),
        ("keepalive_s = 120", "keepalive = 120", "unknown field `keepalive`"),
        ("level = \"info\"", "level = \"loud\"", "none of off, error"),
        ("recipients_max = 100", "recipients_max = 0", "1 at least"),
        ("in_flight_bytes_max = 268435456", "in_flight_bytes_max = 1000", "never be taken"),
    ] {
        let line = good.lines().position(|l| l == old).unwrap_or_else(|| panic!("{old}")) + 1;
        std::fs::write(made.path("pli.toml"), good.replacen(old, new, 1)).unwrap();
        for command in [&["config", "check"][..], &["serve"]] {
            let ran = made.run(command);
            assert_eq!(ran.code, 78, "{new}: {}", ran.err);
            assert!(ran.err.contains(&format!("line {line}: ")) && ran.err.contains(says), "{}", ran.err);
        }
    }
    let none = pli(&["config", "check", "--config", "/nowhere/pli.toml"], "");
    assert_eq!(none.code, 66);
    // Before the command's name as well as after it, and from the environment.
    std::fs::write(made.path("pli.toml"), good).unwrap();
    assert_eq!(pli(&["--config", &made.config(), "config", "check"], "").code, 0);
}

#[test]
fn keys_that_do_not_fit() {
    let made = Made::new();
    let other = Made::new();
    let key = made.path("keys/root.key");
    let good = std::fs::read(&key).unwrap();

    std::fs::copy(other.path("keys/root.key"), &key).unwrap();
    let ran = made.run(&["account", "list"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("root key"), "{}", ran.err);

    std::fs::write(&key, b"rubbish").unwrap();
    assert_eq!(made.run(&["account", "list"]).code, 78);
    std::fs::write(&key, &good).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = made.run(&["account", "list"]);
    assert_eq!(ran.code, 77, "{}", ran.err);
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
    std::fs::remove_file(&key).unwrap();
    assert_eq!(made.run(&["account", "list"]).code, 66);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mail");
    let words = ["quickstart", "--domain", "a.test", "--hostname", "m.a.test", "--passphrase-stdin", "--dir"];
    let made = pli(&[&words[..], &[path.to_str().unwrap()]].concat(), "a long passphrase\n");
    let serve = made.out.lines().find(|line| line.contains(" serve --config ")).unwrap_or_default();
    assert!(serve.ends_with("--passphrase-stdin"), "the line to paste works: {}{}", made.out, made.err);

    let sealed = Made::with(&["--passphrase-stdin"], "a long passphrase\n");
    let ran = sealed.run(&["account", "list"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("passphrase"), "{}", ran.err);
    let file = sealed.path("keys/passphrase");
    std::fs::write(&file, "a long passphrase\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let toml = std::fs::read_to_string(sealed.path("pli.toml")).unwrap();
    let named = toml.replace("passphrase_file = \"\"", "passphrase_file = \"keys/passphrase\"");
    std::fs::write(sealed.path("pli.toml"), named).unwrap();
    assert_eq!(sealed.json(&["account", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn both_languages() {
    let made = Made::new();
    let config = made.config();
    let french = pli(&["--lang", "fr", "doctor", "--config", &config], "");
    assert!(french.out.contains("dépôt") && french.out.contains("horloge"), "{}", french.out);
    let english = pli(&["doctor", "--lang", "en", "--config", &config], "");
    assert!(english.out.contains("store") && english.out.contains("clock"), "{}", english.out);
}
