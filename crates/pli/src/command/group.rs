//! `pli group set | list | rm`

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{Global, GroupCommand};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{line, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: GroupCommand) -> Result<(), Failure> {
    let (request, removes) = match command {
        GroupCommand::Set { name, members } => (Request::GroupSet { name, members }, false),
        GroupCommand::List => (Request::GroupList, false),
        GroupCommand::Rm { name } => (Request::GroupRemove { name }, true),
    };
    let answer = ask(global, request)?;
    if global.json {
        value(&answer);
    } else if removes {
        line(&Text::Removed.with(global.language(), &[&text(&answer, "/name")]));
    } else {
        let one = std::slice::from_ref(&answer);
        let rows: Vec<Vec<String>> = answer.as_array().map_or(one, Vec::as_slice).iter().map(row).collect();
        let headings = [Text::Group, Text::Members].map(|text| text.in_language(global.language()).to_uppercase());
        table(&headings.each_ref().map(String::as_str), &rows);
    }
    Ok(())
}

fn row(group: &Value) -> Vec<String> {
    let members = group.pointer("/members").and_then(Value::as_array);
    let members: Vec<String> = members.into_iter().flatten().map(|member| text(member, "")).collect();
    vec![text(group, "/name"), members.join(", ")]
}
