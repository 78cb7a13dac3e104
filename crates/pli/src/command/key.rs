//! `pli key status | rotate | init | next-root`

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use pli_admin::{Client, Request};
use pli_types::Address;
use serde_json::Value;

use crate::cli::{Global, KeyCommand, Rotate};
use crate::config;
use crate::failure::{CANNOT_CREATE, Failure, SOFTWARE, USAGE};
use crate::keystore;
use crate::link::ask;
use crate::output::{fields, line, moment, note, number, text, value};
use crate::texts::Text;

/// How often progress is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// Runs it.
pub fn run(global: &Global, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Status { address } => status(global, address.as_ref()),
        KeyCommand::Rotate { what } => rotate(global, what.as_ref()),
        KeyCommand::Init => init(global),
        KeyCommand::NextRoot { from, to } => next_root(global, from, to),
    }
}

fn status(global: &Global, address: Option<&Address>) -> Result<(), Failure> {
    let answer = ask(global, Request::KeyStatus { address: address.cloned() })?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let language = global.language();
    let say = |text: Text| text.in_language(language);
    let yes_no = |path: &str| {
        if answer.pointer(path).and_then(Value::as_bool) == Some(true) { say(Text::Yes) } else { say(Text::No) }
    };
    let rows = if address.is_some() {
        vec![
            (say(Text::KeyMade), moment(&answer, "/made")),
            (say(Text::KeyRootVersion), text(&answer, "/root_version")),
            (say(Text::KeyEpochs), text(&answer, "/epochs")),
            (say(Text::KeyOwnSecret), yes_no("/own_secret")),
        ]
    } else {
        let versions = answer.pointer("/versions").and_then(Value::as_array).cloned().unwrap_or_default();
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        let mut rows = vec![
            (say(Text::KeyStore), format!("{} · {}", text(&answer, "/store"), text(&answer, "/note"))),
            (
                say(Text::State),
                answer
                    .pointer("/unavailable")
                    .and_then(Value::as_str)
                    .map_or_else(|| say(Text::KeyAnswers), str::to_owned),
            ),
            (say(Text::KeyRootVersion), versions.join(", ")),
            (say(Text::KeyRootSince), moment(&answer, "/root_since")),
            (say(Text::KeyRootDue), moment(&answer, "/root_due")),
            (say(Text::Accounts), text(&answer, "/accounts")),
            (say(Text::KeyOldest), moment(&answer, "/oldest_account")),
            (say(Text::KeyAccountsDue), text(&answer, "/account_due")),
            (say(Text::KeyOtherRoots), text(&answer, "/under_other_roots")),
            (say(Text::KeyNoSecret), text(&answer, "/without_own_secret")),
            (say(Text::KeyEpoch), text(&answer, "/epoch")),
        ];
        if answer.pointer("/progress").is_some_and(Value::is_object) {
            rows.push((say(Text::KeyProgress), progress_of(&answer)));
        }
        if number(&answer, "/erasing").unwrap_or(0) > 0 {
            rows.push((say(Text::KeyErasing), text(&answer, "/erasing")));
        }
        rows
    };
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, v)| (name.as_str(), v.clone())).collect();
    fields(&rows);
    Ok(())
}

fn progress_of(answer: &Value) -> String {
    let [what, done, total] = ["/progress/what", "/progress/done", "/progress/total"].map(|path| text(answer, path));
    format!("{what} {done}/{total}")
}

fn rotate(global: &Global, what: Option<&Rotate>) -> Result<(), Failure> {
    let request = match what {
        None => Request::KeyRotateRoot { forget: false },
        Some(Rotate::Root { forget }) => Request::KeyRotateRoot { forget: *forget },
        Some(Rotate::Account { address, all }) => {
            if address.is_some() == *all {
                return Err(Failure::new(USAGE, "name an account, or say --all"));
            }
            Request::KeyRotateAccount { address: address.clone() }
        }
    };
    let watching = watch(global);
    let answer = ask(global, request);
    drop(watching);
    let answer = answer?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let count = |path| text(&answer, path);
    line(&Text::KeyRotated.with(
        global.language(),
        &[&count("/version"), &count("/accounts"), &count("/renewed"), &count("/log_keys"), &count("/forgotten")],
    ));
    if number(&answer, "/failed").unwrap_or(0) > 0 {
        note(&Text::KeyRotateFailed.with(global.language(), &[&count("/failed")]));
    }
    Ok(())
}

/// Shows how far a rotation is, on a terminal, until it is dropped.
struct Watching(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn watch(global: &Global) -> Option<Watching> {
    if global.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let socket = config::load(global.config.as_deref()).ok()?.socket();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&done);
    // Of no consequence if it fails: the rotation is the other connection's.
    let started = std::thread::Builder::new().name(String::from("progress")).spawn(move || {
        let Ok(runtime) = crate::link::runtime() else { return };
        runtime.block_on(async {
            let Ok(mut client) = Client::connect(&socket).await else { return };
            while !told.load(std::sync::atomic::Ordering::Relaxed) {
                tokio::time::sleep(EVERY).await;
                let Ok(pli_admin::Reply::Ok(answer)) = client.call(&Request::KeyStatus { address: None }).await else {
                    return;
                };
                if answer.pointer("/progress").is_some_and(Value::is_object) {
                    let _ = write!(std::io::stderr(), "\r{} ", progress_of(&answer));
                }
            }
        });
    });
    started.is_ok().then_some(Watching(done))
}

fn init(global: &Global) -> Result<(), Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let note = keystore::init_token(&loaded)?;
    line(&Text::KeyInitDone.with(global.language(), &[&note]));
    Ok(())
}

/// A root key file with one more version: for credentials, which the server cannot write.
fn next_root(global: &Global, from: &Path, to: &Path) -> Result<(), Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let contents = keystore::secret_file("read the root key", from)?;
    let passphrase = match loaded.passphrase_file() {
        Some(file) => Some(keystore::secret_text(&file)?),
        None => None,
    };
    let keys = keystore::file_store(&loaded, from, &contents, passphrase.as_ref())?;
    let (_, next) = keys.rotate(passphrase.as_ref()).map_err(|e| Failure::new(SOFTWARE, e.to_string()))?;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).and_then(|mut file| {
        file.write_all(next.expose())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::new(CANNOT_CREATE, format!("write {}: {error}", to.display())))?;
    line(&Text::KeyNextRootDone.with(global.language(), &[&to.display().to_string()]));
    Ok(())
}
