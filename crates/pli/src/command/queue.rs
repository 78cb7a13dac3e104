//! `pli queue list | show | retry | drop | hold | release`

use pli_admin::Request;
use pli_types::QueueId;
use serde_json::Value;

use crate::cli::{Global, QueueCommand};
use crate::config::show_size;
use crate::failure::Failure;
use crate::link::{ask, with};
use crate::output::{fields, line, moment, number, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::List { limit } => {
            let answer = ask(global, Request::QueueList { limit })?;
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
        QueueCommand::Retry { ids } => each(global, ids, |id| Request::QueueRetry { id }),
        QueueCommand::Drop { ids } => each(global, ids, |id| Request::QueueDrop { id }),
        QueueCommand::Hold { ids } => each(global, ids, |id| Request::QueueHold { id }),
        QueueCommand::Release { ids } => each(global, ids, |id| Request::QueueRelease { id }),
    }
}

/// The same for several entries.
fn each(global: &Global, ids: Vec<u64>, request: fn(QueueId) -> Request) -> Result<(), Failure> {
    let answers = with(global, async |link| {
        let mut answers = Vec::new();
        for id in ids {
            answers.push(link.call(request(QueueId::new(id))).await?);
        }
        Ok(answers)
    })?;
    if global.json {
        value(&Value::Array(answers));
    } else {
        list(global, &Value::Array(answers));
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
    let flag = |path| entry.pointer(path).and_then(Value::as_bool) == Some(true);
    let next = if flag("/dropped") {
        String::from("dropped")
    } else if flag("/held") {
        String::from("held")
    } else {
        moment(entry, "/next_attempt")
    };
    vec![
        text(entry, "/id"),
        sender(entry),
        text(entry, "/to"),
        number(entry, "/size").map_or_else(String::new, show_size),
        text(entry, "/attempts"),
        next,
        text(entry, "/last_error"),
    ]
}

/// RFC 5321 §4.5.5: bounces have the empty sender.
fn sender(entry: &Value) -> String {
    let from = text(entry, "/from");
    if from.is_empty() { String::from("<>") } else { from }
}

fn show(entry: &Value) {
    fields(&[
        ("id", text(entry, "/id")),
        ("from", sender(entry)),
        ("to", text(entry, "/to")),
        ("size", number(entry, "/size").map_or_else(String::new, show_size)),
        ("created", moment(entry, "/created")),
        ("attempts", text(entry, "/attempts")),
        ("next", moment(entry, "/next_attempt")),
        ("held", text(entry, "/held")),
        ("last error", text(entry, "/last_error")),
    ]);
}
