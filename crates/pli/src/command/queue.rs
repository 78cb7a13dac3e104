//! `pli queue list | show | why | hold | release | retry | reroute | drop | freeze | thaw | frozen`

use pli_admin::{QueueAct, QueueFilter, Request};
use pli_types::QueueId;
use serde_json::Value;

use crate::cli::{Global, QueueCommand, QueueWhich};
use crate::config::show_size;
use crate::failure::{Failure, USAGE};
use crate::link::ask;
use crate::output::{fields, line, moment, number, table, text, value};
use crate::texts::Text;

use super::trace;

/// Runs it.
pub fn run(global: &Global, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::List { limit, which } => {
            let answer = ask(global, Request::QueueList { limit, filter: filter(which)? })?;
            if global.json {
                value(&answer);
            } else {
                list(global, &answer);
            }
            Ok(())
        }
        QueueCommand::Show { id } => {
            let answer = ask(global, Request::QueueShow { id: QueueId::new(id) })?;
            if global.json {
                value(&answer);
            } else {
                show(&answer);
            }
            Ok(())
        }
        QueueCommand::Why { id } => {
            let answer = ask(global, Request::QueueWhy { id: QueueId::new(id) })?;
            if global.json {
                value(&answer);
            } else {
                why(&answer);
            }
            Ok(())
        }
        QueueCommand::Retry { which, dry_run } => act(global, which, QueueAct::Retry, dry_run),
        QueueCommand::Drop { which, dry_run } => act(global, which, QueueAct::Drop, dry_run),
        QueueCommand::Hold { which, dry_run } => act(global, which, QueueAct::Hold, dry_run),
        QueueCommand::Release { which, dry_run } => act(global, which, QueueAct::Release, dry_run),
        QueueCommand::Reroute { via, mx, which, dry_run } => {
            let to = if mx { None } else { via };
            act(global, which, QueueAct::Reroute { to }, dry_run)
        }
        QueueCommand::Freeze { domain, reason, dry_run } => {
            freeze(global, Request::QueueFreeze { domain, reason, dry_run })
        }
        QueueCommand::Thaw { domain, dry_run } => freeze(global, Request::QueueThaw { domain, dry_run }),
        QueueCommand::Frozen => {
            let answer = ask(global, Request::QueueFrozen)?;
            if global.json {
                value(&answer);
            } else {
                let row = |one: &Value| vec![text(one, "/domain"), moment(one, "/since"), text(one, "/reason")];
                let rows: Vec<Vec<String>> = answer.as_array().into_iter().flatten().map(row).collect();
                table(&["DOMAIN", "SINCE", "REASON"], &rows);
            }
            Ok(())
        }
    }
}

fn filter(which: QueueWhich) -> Result<QueueFilter, Failure> {
    let older = which.older.as_deref().map(age).transpose()?;
    Ok(QueueFilter {
        ids: which.ids.into_iter().map(QueueId::new).collect(),
        from: which.from,
        to: which.to,
        domain: which.domain,
        error: which.error,
        older,
        held: which.held.then_some(true),
        all: which.all,
    })
}

/// `90`, `15m`, `4h`, `2d` in seconds.
fn age(text: &str) -> Result<u64, Failure> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some((at, 'd')) => (text.get(..at), 86_400),
        _ => (Some(text), 1),
    };
    let parsed = number.and_then(|number| number.parse::<u64>().ok()).and_then(|number| number.checked_mul(unit));
    parsed.ok_or_else(|| Failure::new(USAGE, format!("{text:?} is no age: 90, 15m, 4h, 2d")))
}

/// The same for several entries.
fn act(global: &Global, which: QueueWhich, act: QueueAct, dry_run: bool) -> Result<(), Failure> {
    let answer = ask(global, Request::QueueAct { filter: filter(which)?, act, dry_run })?;
    if global.json {
        value(&answer);
    } else {
        list(global, &answer);
        if dry_run {
            line(&Text::DryRun.in_language(global.language()));
        }
    }
    Ok(())
}

fn freeze(global: &Global, request: Request) -> Result<(), Failure> {
    let answer = ask(global, request)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    fields(&[
        ("domain", text(&answer, "/domain")),
        ("frozen", text(&answer, "/frozen")),
        ("recipients", text(&answer, "/recipients")),
    ]);
    if answer.pointer("/dry_run").and_then(Value::as_bool) == Some(true) {
        line(&Text::DryRun.in_language(global.language()));
    }
    Ok(())
}

fn list(global: &Global, answer: &Value) {
    let rows: Vec<Vec<String>> = answer.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return line(&Text::NothingQueued.in_language(global.language()));
    }
    table(&["ID", "FROM", "TO", "SIZE", "TRIES", "NEXT", "LAST ERROR"], &rows);
}

fn row(entry: &Value) -> Vec<String> {
    vec![
        text(entry, "/id"),
        sender(entry),
        text(entry, "/to"),
        number(entry, "/size").map_or_else(String::new, show_size),
        text(entry, "/attempts"),
        next(entry),
        text(entry, "/last_error"),
    ]
}

fn next(entry: &Value) -> String {
    for word in ["dropped", "held", "frozen", "busy"] {
        if entry.get(word).and_then(Value::as_bool) == Some(true) {
            return word.to_owned();
        }
    }
    moment(entry, "/next_attempt")
}

/// RFC 5321 §4.5.5: bounces have the empty sender.
fn sender(entry: &Value) -> String {
    let from = text(entry, "/from");
    if from.is_empty() { String::from("<>") } else { from }
}

fn show(entry: &Value) {
    let all = [
        ("id", text(entry, "/id")),
        ("from", sender(entry)),
        ("to", text(entry, "/to")),
        ("size", number(entry, "/size").map_or_else(String::new, show_size)),
        ("created", moment(entry, "/created")),
        ("attempts", text(entry, "/attempts")),
        ("last attempt", moment(entry, "/last_attempt")),
        ("next", next(entry)),
        ("given up", moment(entry, "/expires")),
        ("held", text(entry, "/held")),
        ("route", text(entry, "/route")),
        ("destination", text(entry, "/destination")),
        ("connections", text(entry, "/destination_state/connections")),
        ("not before", moment(entry, "/destination_state/frozen_until")),
        ("last error", text(entry, "/last_error")),
    ];
    let some: Vec<_> = all.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    fields(&some);
}

fn why(answer: &Value) {
    show(answer);
    fields(&[("why", text(answer, "/why"))]);
    if let Some(history) = answer.pointer("/history").filter(|h| h.as_array().is_some_and(|all| !all.is_empty())) {
        line("");
        trace::show(history);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::age;

    #[test]
    fn ages() {
        assert_eq!(age("90").unwrap(), 90);
        assert_eq!(age("15m").unwrap(), 900);
        assert_eq!(age("2d").unwrap(), 172_800);
        for wrong in ["", "h", "x", "1w", "-1", "99999999999999999999d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
