//! `pli profile list`

use pli_admin::Request;
use serde_json::Value;

use super::account::limit;
use crate::cli::{Global, ProfileCommand};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: &ProfileCommand) -> Result<(), Failure> {
    let ProfileCommand::List = command;
    let answer = ask(global, Request::ProfileList)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let language = global.language();
    let rows: Vec<Vec<String>> = answer
        .as_array()
        .into_iter()
        .flatten()
        .map(|profile| {
            let yes = |path| {
                let on = profile.pointer(path).and_then(Value::as_bool) == Some(true);
                String::from(if on { "+" } else { "–" })
            };
            let count = |path| match text(profile, path) {
                none if none.is_empty() => Text::Unlimited.in_language(language),
                some => some,
            };
            vec![
                text(profile, "/name"),
                limit(global, profile, "/quota/bytes"),
                yes("/imap"),
                yes("/submission"),
                yes("/relay"),
                count("/submit_per_hour"),
                count("/recipients_max"),
            ]
        })
        .collect();
    let profile = Text::Profile.in_language(language).to_uppercase();
    table(&[&profile, "QUOTA", "IMAP", "SUBMISSION", "RELAY", "MESSAGES/H", "RECIPIENTS"], &rows);
    Ok(())
}
