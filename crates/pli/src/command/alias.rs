//! `pli alias add | list | rm`

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{AliasCommand, Global};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{line, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: AliasCommand) -> Result<(), Failure> {
    let (request, removes) = match command {
        AliasCommand::Add { address, targets } => (Request::AliasAdd { address, targets }, false),
        AliasCommand::List => (Request::AliasList, false),
        AliasCommand::Rm { address } => (Request::AliasRemove { address }, true),
    };
    let answer = ask(global, request)?;
    if global.json {
        value(&answer);
    } else if removes {
        line(&Text::Removed.with(global.language(), &[&text(&answer, "/address")]));
    } else {
        let one = std::slice::from_ref(&answer);
        let rows: Vec<Vec<String>> = answer.as_array().map_or(one, Vec::as_slice).iter().map(row).collect();
        table(&["ALIAS", "→"], &rows);
    }
    Ok(())
}

fn row(alias: &Value) -> Vec<String> {
    let targets = alias.pointer("/targets").and_then(Value::as_array);
    let targets: Vec<String> = targets.into_iter().flatten().map(|t| text(t, "")).collect();
    vec![text(alias, "/address"), targets.join(", ")]
}
