//! `pli trace MESSAGE-ID | ADDRESS | QUEUE-ID`: where is my mail?

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{Global, Trace};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{line, moment, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, arguments: Trace) -> Result<(), Failure> {
    let answer = ask(global, Request::Trace { what: arguments.what, limit: arguments.limit })?;
    if global.json {
        value(&answer);
    } else if answer.as_array().is_none_or(Vec::is_empty) {
        line(&Text::NothingTraced.in_language(global.language()));
    } else {
        show(&answer);
    }
    Ok(())
}

/// Events, one after the other; the first line of each says when and what, those below it the rest.
pub fn show(events: &Value) {
    for event in events.as_array().into_iter().flatten() {
        let head = [moment(event, "/time"), text(event, "/protocol"), text(event, "/what"), text(event, "/rule")];
        line(&join(&head));
        let from = pair("from", &text(event, "/from"));
        let ids = [from, pair("id", &text(event, "/id")), pair("message-id", &text(event, "/message_id"))];
        indented(&join(&ids));
        let by = [
            pair("peer", &text(event, "/peer")),
            pair("host", &text(event, "/host")),
            pair("tls", &text(event, "/tls")),
        ];
        indented(&join(&by));
        for to in event.pointer("/to").and_then(Value::as_array).into_iter().flatten() {
            let place = [
                pair("to", &text(to, "/address")),
                pair("account", &text(to, "/account")),
                pair("mailbox", &text(to, "/mailbox")),
                pair("uid", &text(to, "/uid")),
                pair("queue", &text(to, "/queue")),
            ];
            indented(&join(&place));
        }
        for verdict in event.pointer("/verdicts").and_then(Value::as_array).into_iter().flatten() {
            indented(&text(verdict, ""));
        }
        let attempt = pair("attempt", &text(event, "/attempt"));
        indented(&join(&[attempt, text(event, "/reply"), pair("next", &moment(event, "/next"))]));
    }
}

fn pair(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name}={value}") }
}

fn join(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
}

fn indented(text: &str) {
    if !text.is_empty() {
        line(&format!("    {text}"));
    }
}
