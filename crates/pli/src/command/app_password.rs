//! `pli app-password add | list | revoke`

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{AppPasswordCommand, Global};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{fields, line, moment, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: AppPasswordCommand) -> Result<(), Failure> {
    let language = global.language();
    let word = |text: Text| text.in_language(language);
    match command {
        AppPasswordCommand::Add { address, label } => {
            let answer = ask(global, Request::AppPasswordAdd { address, label })?;
            if global.json {
                value(&answer);
                return Ok(());
            }
            fields(&[
                (&word(Text::Address), text(&answer, "/address")),
                (&word(Text::Number), text(&answer, "/id")),
                (&word(Text::Label), text(&answer, "/label")),
                (&word(Text::PasswordOnce), text(&answer, "/password")),
            ]);
        }
        AppPasswordCommand::List { address } => {
            let answer = ask(global, Request::AppPasswordList { address })?;
            if global.json {
                value(&answer);
                return Ok(());
            }
            let row = |app: &Value| {
                vec![text(app, "/id"), text(app, "/label"), moment(app, "/created"), moment(app, "/last_used")]
            };
            let rows: Vec<Vec<String>> = answer.as_array().into_iter().flatten().map(row).collect();
            let headings = [Text::Number, Text::Label, Text::Created, Text::LastUsed].map(|t| word(t).to_uppercase());
            table(&headings.each_ref().map(String::as_str), &rows);
        }
        AppPasswordCommand::Revoke { address, id } => {
            let answer = ask(global, Request::AppPasswordRevoke { address, id })?;
            if global.json {
                value(&answer);
                return Ok(());
            }
            let values = [text(&answer, "/label"), text(&answer, "/sessions_ended")];
            line(&Text::Revoked.with(language, &values.each_ref().map(String::as_str)));
        }
    }
    Ok(())
}
