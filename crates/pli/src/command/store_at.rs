//! `pli store at TIME list | messages`, `pli store rewind`

use pli_admin::Request;
use pli_types::{Address, UnixMillis};
use serde_json::Value;

use super::quota::addresses;
use crate::cli::{AtCommand, Global};
use crate::config::{self, show_size};
use crate::failure::{Failure, USAGE};
use crate::link::{ask, with};
use crate::output::{number, table, text, value, when};
use crate::texts::Text;

/// What was meant, and its name to the minute.
fn moment(global: &Global, text: &str) -> Result<(UnixMillis, String), Failure> {
    let zone = config::load(global.config.as_deref())?.config.imap.restore_time_zone;
    let at = pli_imap::parse_moment(zone, text).ok_or_else(|| {
        Failure::new(USAGE, format!("{text} is no time"))
            .hint("\"2026-11-24 13h\", \"2026-11-24 13h05\" or 2026-11-24T13:05:00Z")
    })?;
    Ok((at, pli_imap::moment_label(zone, at)))
}

/// `pli store at`
pub fn at(global: &Global, time: &str, account: Option<&Address>, what: Option<&AtCommand>) -> Result<(), Failure> {
    let (time, _) = moment(global, time)?;
    let whose = || account.cloned().ok_or_else(|| Failure::new(USAGE, "whose? --account ADDRESS"));
    match what {
        None | Some(AtCommand::List) => {
            let answers = with(global, async |link| {
                let mut answers = Vec::new();
                for address in addresses(link, account.cloned()).await? {
                    answers.push(link.call(Request::StoreAt { address, time }).await?);
                }
                Ok(answers)
            })?;
            list(global, answers);
            Ok(())
        }
        Some(AtCommand::Messages { mailbox }) => {
            let request = Request::StoreAtMessages { address: whose()?, time, mailbox: mailbox.clone() };
            messages(global, &ask(global, request)?);
            Ok(())
        }
    }
}

fn list(global: &Global, answers: Vec<Value>) {
    if global.json {
        return value(&Value::Array(answers));
    }
    let language = global.language();
    let rows: Vec<Vec<String>> = answers
        .iter()
        .flat_map(|answer| {
            let mailboxes = answer.pointer("/mailboxes").and_then(Value::as_array).into_iter().flatten();
            mailboxes.map(move |mailbox| {
                vec![
                    text(answer, "/address"),
                    text(mailbox, "/name"),
                    text(mailbox, "/messages"),
                    text(mailbox, "/unseen"),
                    show_size(number(mailbox, "/bytes").unwrap_or(0)),
                ]
            })
        })
        .collect();
    let headings = [Text::Address, Text::Mailbox, Text::Messages, Text::Unseen, Text::Size];
    let headings: Vec<String> = headings.into_iter().map(|heading| heading.in_language(language)).collect();
    table(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    if answers.iter().any(|answer| answer.pointer("/whole") == Some(&Value::Bool(false))) {
        crate::output::note(&Text::NotWhole.in_language(language));
    }
}

fn messages(global: &Global, answer: &Value) {
    if global.json {
        return value(answer);
    }
    let language = global.language();
    let found = answer.pointer("/messages").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = found
        .map(|message| {
            let flags = message.pointer("/flags").and_then(Value::as_array).into_iter().flatten();
            let flags: Vec<&str> = flags.filter_map(Value::as_str).collect();
            vec![
                text(message, "/uid"),
                message.pointer("/received").and_then(Value::as_i64).map_or_else(String::new, when),
                show_size(number(message, "/bytes").unwrap_or(0)),
                crate::output::printable(&flags.join(" ")),
            ]
        })
        .collect();
    let headings = [Text::Received, Text::Size, Text::Flags].map(|heading| heading.in_language(language));
    let [received, size, flags] = &headings;
    table(&["UID", received, size, flags], &rows);
}

/// `pli store rewind`
pub fn rewind(
    global: &Global,
    address: &Address,
    time: &str,
    mailbox: Option<&str>,
    dry_run: bool,
) -> Result<(), Failure> {
    let (time, label) = moment(global, time)?;
    let mailbox = mailbox.map(str::to_owned);
    let answer = ask(global, Request::StoreRewind { address: address.clone(), time, mailbox, label, dry_run })?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let language = global.language();
    let mailboxes = answer.pointer("/mailboxes").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = mailboxes
        .map(|mailbox| ["/name", "/messages", "/restored", "/aside"].map(|field| text(mailbox, field)).to_vec())
        .collect();
    let headings = [Text::Mailbox, Text::Messages, Text::Restored, Text::Aside];
    let headings: Vec<String> = headings.into_iter().map(|heading| heading.in_language(language)).collect();
    table(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    let said = if dry_run { Text::NothingDone } else { Text::LaterIn };
    crate::output::note(&said.with(language, &[&text(&answer, "/aside")]));
    Ok(())
}
