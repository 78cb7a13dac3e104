//! `pli audit tail | export | verify`

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{AuditCommand, Global};
use crate::failure::{DATA, FOUND, Failure};
use crate::link::{ask, with};
use crate::output::{fields, line, table, text, value, when};
use crate::texts::Text;

/// Events asked for at once.
const PAGE: usize = 5_000;

/// Runs it.
pub fn run(global: &Global, command: &AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::Tail { count } => tail(global, *count).map(|()| 0),
        AuditCommand::Export { from } => export(global, *from).map(|()| 0),
        AuditCommand::Verify => verified(global, Request::AuditVerify),
    }
}

fn tail(global: &Global, count: u64) -> Result<(), Failure> {
    let answer = ask(global, Request::AuditTail { count })?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = events(&answer).map(row).collect();
    table(&["INDEX", "TIME", "DOOR", "ACTOR", "FROM", "ACT", "ACCOUNT", "RESULT"], &rows);
    Ok(())
}

fn events(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.pointer("/events").and_then(Value::as_array).into_iter().flatten()
}

fn row(entry: &Value) -> Vec<String> {
    let millis = entry.pointer("/event/time").and_then(Value::as_i64).unwrap_or(0);
    let actor = match entry.pointer("/event/actor") {
        Some(Value::Object(map)) => map.iter().next().map_or_else(String::new, |(kind, id)| format!("{kind} {id}")),
        _ => text(entry, "/event/actor"),
    };
    let result = ["/event/result/status", "/event/result/code", "/event/result/reason"].map(|path| text(entry, path));
    let result: Vec<&str> = result.iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
    vec![
        text(entry, "/index"),
        when(millis.div_euclid(1000)),
        text(entry, "/event/protocol"),
        actor,
        text(entry, "/event/origin/ip"),
        text(entry, "/event/op"),
        text(entry, "/event/object/account"),
        result.join(" "),
    ]
}

/// One event a line, whatever `--json` says: the form is for machines.
fn export(global: &Global, from: u64) -> Result<(), Failure> {
    with(global, async |link| {
        let mut next = from;
        // What is recorded meanwhile (this export itself, for one) is for the next export.
        let mut end = None;
        loop {
            let answer = link.call(Request::AuditExport { from: next, limit: PAGE }).await?;
            let end = *end.get_or_insert_with(|| answer.pointer("/entries").and_then(Value::as_u64).unwrap_or(0));
            let mut got = 0;
            for event in events(&answer) {
                let index = event.pointer("/index").and_then(Value::as_u64).unwrap_or(u64::MAX);
                if index < end {
                    line(&event.to_string());
                    next = index + 1;
                    got += 1;
                }
            }
            if got == 0 || next >= end {
                return Ok(());
            }
        }
    })
}

/// A check of the whole: 0, or 1 with what was found.
pub fn verified(global: &Global, request: Request) -> Result<u8, Failure> {
    match ask(global, request) {
        Ok(report) => {
            show_report(global, &report);
            Ok(0)
        }
        // The report of damage comes as the failure's text.
        Err(failure) if failure.code == DATA => match serde_json::from_str::<Value>(&failure.message) {
            Ok(report) => {
                show_report(global, &report);
                Ok(FOUND)
            }
            Err(_) => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// What a check saw, and what it found.
pub fn show_report(global: &Global, report: &Value) {
    if global.json {
        return value(report);
    }
    let counted = |count: &Value| count.as_u64().is_some_and(|n| n > 0);
    let counts: Vec<(&str, String)> = report
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, count)| counted(count))
        .map(|(name, count)| (name.as_str(), count.to_string()))
        .collect();
    fields(&counts);
    if report.pointer("/damage").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return line(&Text::NoDamage.in_language(global.language()));
    }
    line(&Text::DamageFound.in_language(global.language()));
    show_damage(report.pointer("/damage"));
}

/// Damage as a table: a message by account, mailbox and UID.
pub fn show_damage(damage: Option<&Value>) {
    let rows: Vec<Vec<String>> = damage
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|d| {
            let place = match d.pointer("/message") {
                Some(message) => {
                    format!("{} {} UID {}", text(message, "/address"), text(message, "/mailbox"), text(message, "/uid"))
                }
                None => text(d, "/place"),
            };
            vec![text(d, "/kind"), place, text(d, "/what")]
        })
        .collect();
    table(&["KIND", "PLACE", "WHAT"], &rows);
}
