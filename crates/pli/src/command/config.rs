//! `pli config check`

use serde_json::json;

use crate::cli::{ConfigCommand, Global};
use crate::config;
use crate::failure::Failure;
use crate::output::{line, value};
use crate::texts::Text;

/// Runs it: a wrong file is a failure with its line and reason, exit code 78.
pub fn run(global: &Global, command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Check = command;
    let loaded = config::load(global.config.as_deref())?;
    let file = loaded.file.display().to_string();
    if global.json {
        value(&json!({ "config": file, "ok": true }));
    } else {
        line(&Text::ConfigGood.with(global.language(), &[&file]));
    }
    Ok(())
}
