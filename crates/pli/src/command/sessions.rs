//! `pli who` and `pli kick`

use pli_admin::Request;
use pli_types::Address;
use serde_json::Value;

use crate::cli::Global;
use crate::config::show_size;
use crate::failure::{Failure, USAGE};
use crate::link::ask;
use crate::output::{moment, number, table, text, value};
use crate::texts::Text;

/// Who is logged in.
pub fn who(global: &Global) -> Result<(), Failure> {
    show(global, &ask(global, Request::SessionList)?);
    Ok(())
}

/// Ends sessions: all of an account, or one.
pub fn kick(global: &Global, whom: &str) -> Result<(), Failure> {
    let request = if whom.contains('@') {
        let address = Address::parse(whom).map_err(|error| Failure::new(USAGE, format!("{whom}: {error}")))?;
        Request::SessionEnd { address: Some(address), session: None }
    } else {
        Request::SessionEnd { address: None, session: Some(whom.to_owned()) }
    };
    show(global, &ask(global, request)?);
    Ok(())
}

fn show(global: &Global, answer: &Value) {
    if global.json {
        return value(answer);
    }
    let size = |session: &Value, path| show_size(number(session, path).unwrap_or(0));
    let rows: Vec<Vec<String>> = answer
        .as_array()
        .into_iter()
        .flatten()
        .map(|session| {
            vec![
                text(session, "/session"),
                text(session, "/address"),
                text(session, "/protocol"),
                text(session, "/peer"),
                text(session, "/client"),
                moment(session, "/since"),
                text(session, "/mailbox"),
                size(session, "/received"),
                size(session, "/sent"),
            ]
        })
        .collect();
    let word = |text: Text| text.in_language(global.language()).to_uppercase();
    let headings = [
        word(Text::Session),
        word(Text::Address),
        word(Text::Protocol),
        word(Text::From),
        word(Text::Client),
        word(Text::Since),
        word(Text::Mailbox),
        word(Text::BytesIn),
        word(Text::BytesOut),
    ];
    table(&headings.each_ref().map(String::as_str), &rows);
}
