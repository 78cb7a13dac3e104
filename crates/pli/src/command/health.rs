//! `pli health`: whether the server is well; exit code 1 when it is not running or its store takes no changes.

use pli_admin::Request;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::config;
use crate::failure::{FOUND, Failure};
use crate::link::{Link, runtime};
use crate::output::{fields, moment, text, value};
use crate::texts::Text;

/// Runs it. Unlike other commands it does not open the store itself: a server that does not run is not well.
pub fn run(global: &Global) -> Result<u8, Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let answer = runtime()?.block_on(async {
        match pli_admin::Client::connect(&loaded.socket()).await {
            Ok(client) => Link::Server(client).call(Request::Health).await,
            Err(pli_admin::CallError::NotRunning) => Ok(json!({ "running": false })),
            Err(error) => Err(Failure::new(crate::failure::NO_PERMISSION, error.to_string())),
        }
    })?;
    let running = answer.pointer("/running").and_then(Value::as_bool) == Some(true);
    if global.json {
        value(&answer);
    } else {
        show(global, &answer, running);
    }
    let well = running && answer.pointer("/well").and_then(Value::as_bool) == Some(true);
    Ok(if well { 0 } else { FOUND })
}

fn show(global: &Global, answer: &Value, running: bool) {
    let language = global.language();
    let server = if running {
        Text::Runs.with(language, &[&moment(answer, "/server/started")])
    } else {
        Text::RunsNot.in_language(language)
    };
    let mut rows = vec![(Text::ServerRuns.in_language(language), server)];
    if running {
        let well = answer.pointer("/well").and_then(Value::as_bool) == Some(true);
        let condition = if well { Text::Well.in_language(language) } else { text(answer, "/store/condition") };
        rows.push((Text::Store.in_language(language), condition));
        let entries = text(answer, "/audit/entries");
        rows.push((Text::AuditLog.in_language(language), Text::Entries.with(language, &[&entries])));
        let listeners = answer.pointer("/server/listeners").and_then(Value::as_array);
        let listeners: Vec<String> = listeners.into_iter().flatten().map(|l| text(l, "")).collect();
        rows.push((Text::Listens.in_language(language), listeners.join(", ")));
    }
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields(&rows);
}
