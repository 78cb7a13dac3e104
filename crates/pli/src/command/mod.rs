//! The commands, one file each.

mod account;
mod alias;
mod app_password;
mod audit;
mod config;
mod docs;
mod doctor;
mod domain;
mod group;
mod health;
mod key;
mod profile;
mod queue;
mod quickstart;
mod quota;
mod send;
mod sessions;
mod shared;
mod store;
mod store_at;
mod store_compact;
mod store_rebuild;
mod store_repair;
mod store_verify;
mod trace;

use std::io::Read as _;

use pli_admin::PlainPassword;
use pli_crypto::{PASSWORD_BYTES_MAX, SecretString};
use zeroize::Zeroizing;

use crate::cli::{Cli, Command, Global};
use crate::failure::{DATA, Failure, IO};
use crate::output;
use crate::texts::Text;

/// Runs a command; the code is 0, or 1 where a check found something.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Quickstart(arguments) => quickstart::run(global, &arguments).map(|()| 0),
        Command::Serve(arguments) => crate::serve::run(global, &arguments).map(|()| 0),
        Command::Account(command) => account::run(global, command).map(|()| 0),
        Command::Shared(command) => shared::run(global, command).map(|()| 0),
        Command::Group(command) => group::run(global, command).map(|()| 0),
        Command::AppPassword(command) => app_password::run(global, command).map(|()| 0),
        Command::Who => sessions::who(global).map(|()| 0),
        Command::Kick { whom } => sessions::kick(global, &whom).map(|()| 0),
        Command::Alias(command) => alias::run(global, command).map(|()| 0),
        Command::Domain(command) => domain::run(global, command).map(|()| 0),
        Command::Quota(command) => quota::run(global, command).map(|()| 0),
        Command::Profile(command) => profile::run(global, &command).map(|()| 0),
        Command::Queue(command) => queue::run(global, command).map(|()| 0),
        Command::Trace(arguments) => trace::run(global, arguments).map(|()| 0),
        Command::Audit(command) => audit::run(global, &command),
        Command::Store(command) => store::run(global, &command),
        Command::Key(command) => key::run(global, &command).map(|()| 0),
        Command::Send(arguments) => send::run(global, &arguments).map(|()| 0),
        Command::Health => health::run(global),
        Command::Doctor => doctor::run(global),
        Command::Config(command) => config::run(global, &command).map(|()| 0),
        Command::Docs(command) => docs::run(&command).map(|()| 0),
    }
}

/// Longest secret on standard input, with its line's end.
const SECRET_BYTES_MAX: u64 = PASSWORD_BYTES_MAX as u64 + 2;

/// The first line of standard input, as a secret.
fn secret_line(global: &Global) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX + 8));
    std::io::stdin()
        .lock()
        .take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(IO, format!("standard input: {error}")))?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::new(DATA, format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(line).map_err(|_| Failure::new(DATA, "a password is text in UTF-8"))?;
    if text.is_empty() {
        return Err(Failure::new(DATA, Text::EmptyPassword.in_language(global.language())));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// A password from standard input. One below the advised length is taken, with a word of warning.
fn password(global: &Global) -> Result<PlainPassword, Failure> {
    /// What CNIL and the school authorities ask for at least.
    const CHARS_ADVISED: usize = 12;
    let text = secret_line(global)?;
    if text.chars().count() < CHARS_ADVISED {
        output::note(&Text::ShortPassword.in_language(global.language()));
    }
    Ok(PlainPassword(text.as_str().to_owned()))
}

/// A passphrase from standard input.
pub fn passphrase(global: &Global) -> Result<SecretString, Failure> {
    Ok(SecretString::new(secret_line(global)?.as_str().to_owned()))
}
