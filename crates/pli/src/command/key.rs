//! `pli key status`

use pli_admin::Request;

use crate::cli::{Global, KeyCommand};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{fields, text, value};

/// Runs it.
pub fn run(global: &Global, command: &KeyCommand) -> Result<(), Failure> {
    let KeyCommand::Status = command;
    let answer = ask(global, Request::KeyStatus)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let rows: Vec<(&str, String)> =
        answer.as_object().into_iter().flatten().map(|(name, v)| (name.as_str(), text(v, ""))).collect();
    fields(&rows);
    Ok(())
}
