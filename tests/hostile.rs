//! Mail that nobody should send, read back by parsers that are not ours: every FETCH item of every message through
//! imap-codec, async-imap, Python's IMAPClient and npm's imapflow, without one error, and every byte as it was sent.
//!
//! `PLI_HOSTILE_SEED` and `PLI_HOSTILE_COUNT` choose other messages and more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures::TryStreamExt;
use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use pli_tests::imap::Imap;
use pli_tests::{Account, Instance, hostile, repository};
use rustls::pki_types::ServerName;

const SEED: u64 = 20_261_124;
const COUNT: usize = 620;
/// imap-codec's decoder gives structures up that are deeper: a guard of its own, for parsers without one read them.
const CODEC_LEVELS: usize = 8;
const MAILBOX: &str = "Hostile";
/// Failures that are shown; the others are counted.
const SHOWN: usize = 12;

/// Item lists of FETCH: what stands in one line is asked for at once.
const ITEMS: [&str; 9] = [
    "FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE",
    "BODY RFC822.HEADER",
    "BODY.PEEK[]",
    "BODY.PEEK[HEADER] BODY.PEEK[TEXT]",
    "BODY.PEEK[HEADER.FIELDS (Subject From Message-ID Content-Type X)] BODY.PEEK[HEADER.FIELDS.NOT (Received To)]",
    "BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.1.HEADER] BODY.PEEK[1.TEXT]",
    "BODY.PEEK[]<3.20> BODY.PEEK[1]<0.5>",
    "BINARY.SIZE[1]",
    "BINARY.PEEK[1]",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

struct Mail {
    instance: Instance,
    account: Account,
    messages: Vec<Vec<u8>>,
}

fn filled() -> Mail {
    let count = number("PLI_HOSTILE_COUNT").map_or(COUNT, |count| usize::try_from(count).unwrap());
    let messages = hostile::messages(number("PLI_HOSTILE_SEED").unwrap_or(SEED), count);
    let instance = Instance::start();
    let account = instance.account();
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.ok(&format!("CREATE {MAILBOX}")).unwrap();
    for (number, message) in messages.iter().enumerate() {
        // RFC 3516 §4.4: what holds NUL is sent as literal8.
        let tilde = if message.contains(&0) { "~" } else { "" };
        let head = format!("APPEND {MAILBOX} {tilde}{{{}+}}\r\n", message.len());
        let answer = imap.raw(&[head.as_bytes(), message].concat()).unwrap();
        assert!(answer.tagged.starts_with("OK"), "message {number}: {}", answer.tagged);
    }
    imap.logout();
    Mail { instance, account, messages }
}

/// What went wrong, message by message.
#[derive(Default)]
struct Failures {
    shown: String,
    count: usize,
}

impl Failures {
    fn add(&mut self, what: &str, response: &[u8]) {
        self.count += 1;
        if self.count <= SHOWN {
            let shown = &response[..response.len().min(600)];
            let _ = writeln!(self.shown, "{what}: {}\n", shown.escape_ascii());
        }
    }

    fn none(&self, who: &str) {
        assert!(self.count == 0, "{who}: {} failures, the first of them\n{}", self.count, self.shown);
    }
}

/// The message as literals can carry it: NUL is 0x80 there.
fn carried(message: &[u8]) -> Vec<u8> {
    message.iter().map(|byte| if *byte == 0 { 0x80 } else { *byte }).collect()
}

/// Levels of the structure in a response: brackets that open a part.
fn levels(response: &[u8]) -> usize {
    let brackets = response.split(|byte| *byte != b'(').map(<[u8]>::len).max().unwrap_or(0);
    let inside = response.windows(18).filter(|window| window.eq_ignore_ascii_case(b"\"message\" \"rfc822\"")).count();
    brackets.max(inside)
}

/// The literal or quoted string after `BODY[] `.
fn body(response: &[u8]) -> Option<Vec<u8>> {
    let at = response.windows(7).position(|window| window == b"BODY[] ")?;
    let rest = &response[at + 7..];
    let rest = rest.strip_prefix(b"~").unwrap_or(rest);
    if rest.starts_with(b"{") {
        return pli_tests::imap::literal(rest);
    }
    let quoted = rest.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some(out),
            b'\\' => out.push(*bytes.next()?),
            byte => out.push(*byte),
        }
    }
}

/// imap-codec's decoder over every response, rev1 and rev2; and the bytes are those that were sent.
fn imap_codec(mail: &Mail) {
    let mut failures = Failures::default();
    let codec = ResponseCodec::new();
    for enable in ["IMAP4rev1", "IMAP4rev2"] {
        let mut imap = Imap::login(&mail.instance, &mail.account).unwrap();
        imap.command(&format!("ENABLE {enable}")).unwrap();
        imap.ok(&format!("EXAMINE {MAILBOX}")).unwrap();
        for items in ITEMS {
            for number in 1..=mail.messages.len() {
                // RFC 3516 §4.3: NO [UNKNOWN-CTE] may be said where a coding is not known.
                let answer = imap.command(&format!("FETCH {number} ({items})")).unwrap();
                let unknown = items.starts_with("BINARY") && answer.tagged.starts_with("NO [UNKNOWN-CTE]");
                if !answer.tagged.starts_with("OK") && !unknown {
                    failures.add(&format!("message {number} ({items})"), answer.tagged.as_bytes());
                }
                for response in answer.untagged {
                    let whole = [&response[..], b"\r\n"].concat();
                    match codec.decode(&whole) {
                        Ok(([], _)) => {}
                        Ok((rest, _)) => failures.add(&format!("message {number} ({items}), rest"), rest),
                        Err(_) if levels(&response) >= CODEC_LEVELS => {}
                        Err(error) => failures.add(&format!("message {number} ({items}) {error:?}"), &whole),
                    }
                    if items == "BODY.PEEK[]" && body(&response) != Some(carried(&mail.messages[number - 1])) {
                        failures.add(&format!("message {number} came back as another one"), &response);
                    }
                }
            }
        }
        imap.logout();
    }
    failures.none("imap-codec");
}

/// async-imap reads the list as a client would.
fn async_imap(mail: &Mail) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut failures = Failures::default();
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", mail.instance.port("imaps"))).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&mail.instance.tls));
        let name = ServerName::try_from("mail.example.org").unwrap();
        let tls = connector.connect(name, tcp).await.unwrap();
        let mut client = async_imap::Client::new(tls);
        client.read_response().await.unwrap().unwrap();
        let mut session =
            client.login(&mail.account.address, &mail.account.password).await.map_err(|(error, _)| error).unwrap();
        session.examine(MAILBOX).await.unwrap();
        for (number, message) in (1..).zip(&mail.messages) {
            // It knows neither BINARY nor the structure that BODY gives.
            for items in ITEMS.iter().filter(|items| !items.starts_with("BINARY")) {
                let items = items.trim_start_matches("BODY RFC");
                let items = if items.starts_with("822") { "RFC822.HEADER" } else { items };
                let fetched = async {
                    session.fetch(number.to_string(), format!("({items})")).await?.try_collect::<Vec<_>>().await
                };
                match fetched.await {
                    Ok(all) if all.len() != 1 => failures.add(&format!("message {number} ({items})"), b"no answer"),
                    Ok(all) if items == "BODY.PEEK[]" && all[0].body() != Some(&carried(message)) => {
                        failures.add(&format!("message {number} came back as another one"), b"");
                    }
                    Ok(_) => {}
                    Err(error) => failures.add(&format!("message {number} ({items}): {error}"), b""),
                }
            }
        }
        let _ = session.logout().await;
    });
    failures.none("async-imap");
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// A script of `tests/clients` with HOST PORT CA USER PASSWORD MAILBOX FOLDER.
fn script(mail: &Mail, who: &str, program: &Path, file: &str, folder: &Path) {
    let output = Command::new(program)
        .env("NODE_PATH", target().join("node/node_modules"))
        .arg(repository().join("tests/clients").join(file))
        .args(["mail.example.org", &mail.instance.port("imaps").to_string()])
        .arg(&mail.instance.ca)
        .args([&mail.account.address, &mail.account.password, MAILBOX])
        .arg(folder)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask packages` installs it", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(6_000).collect::<String>();
    let told = text(&output.stdout);
    let all = told.contains(&format!("{who}: {} messages, 0 failures", mail.messages.len()));
    assert!(output.status.success() && all, "{who}: {}\n{told}\n{}", output.status, text(&output.stderr));
}

#[test]
fn every_parser_reads_every_message() {
    let mail = filled();
    let folder = tempfile::tempdir().unwrap();
    for (number, message) in mail.messages.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number:05}.eml")), message).unwrap();
    }
    imap_codec(&mail);
    async_imap(&mail);
    script(&mail, "IMAPClient", &target().join("venv/bin/python"), "imapclient_hostile.py", folder.path());
    script(&mail, "imapflow", Path::new("node"), "imapflow_hostile.cjs", folder.path());
}
