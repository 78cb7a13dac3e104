//! `pli shared add | list | show | member add | member rm | rm`

use pli_admin::Request;
use serde_json::Value;

use super::account::limit;
use crate::cli::{Global, MemberCommand, SharedCommand};
use crate::config::show_size;
use crate::failure::{Failure, USAGE};
use crate::link::ask;
use crate::output::{fields, line, number, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: SharedCommand) -> Result<(), Failure> {
    match command {
        SharedCommand::Add { address, members, owners, profile, quota, name, language } => {
            let profile = Some(profile);
            let request = Request::SharedAdd { address, members, owners, profile, quota, display_name: name, language };
            show(global, &ask(global, request)?);
        }
        SharedCommand::List => list(global, &ask(global, Request::SharedList)?),
        SharedCommand::Show { address } => show(global, &ask(global, Request::SharedShow { address })?),
        SharedCommand::Member(MemberCommand::Add { address, member, owner, send_as, send_on_behalf }) => {
            let request = Request::SharedMember { address, member, owner, send_as, send_on_behalf };
            show(global, &ask(global, request)?);
        }
        SharedCommand::Member(MemberCommand::Rm { address, member }) => {
            show(global, &ask(global, Request::SharedMemberRemove { address, member })?);
        }
        SharedCommand::Rm { address, yes } => {
            if !yes {
                return Err(Failure::new(USAGE, Text::RemoveSure.in_language(global.language())));
            }
            let answer = ask(global, Request::SharedRemove { address })?;
            if global.json {
                value(&answer);
            } else {
                line(&Text::Removed.with(global.language(), &[&text(&answer, "/address")]));
            }
        }
    }
    Ok(())
}

fn members(account: &Value) -> impl Iterator<Item = &Value> {
    account.pointer("/members").and_then(Value::as_array).into_iter().flatten()
}

fn list(global: &Global, answer: &Value) {
    if global.json {
        return value(answer);
    }
    let names = |account: &Value| members(account).map(|member| text(member, "/member")).collect::<Vec<_>>().join(", ");
    let row = |account: &Value| {
        vec![
            text(account, "/address"),
            show_size(number(account, "/quota/bytes_used").unwrap_or(0)),
            limit(global, account, "/quota/bytes_limit"),
            names(account),
        ]
    };
    let rows: Vec<Vec<String>> = answer.as_array().into_iter().flatten().map(row).collect();
    let headings = [Text::Address, Text::Used, Text::Limit, Text::Members]
        .map(|heading| heading.in_language(global.language()).to_uppercase());
    table(&headings.each_ref().map(String::as_str), &rows);
}

fn show(global: &Global, account: &Value) {
    if global.json {
        return value(account);
    }
    let language = global.language();
    let rows = [
        (Text::Address, text(account, "/address")),
        (Text::Number, text(account, "/id")),
        (Text::Name, text(account, "/display_name")),
        (Text::Used, show_size(number(account, "/quota/bytes_used").unwrap_or(0))),
        (Text::Limit, limit(global, account, "/quota/bytes_limit")),
        (Text::Messages, text(account, "/quota/messages_used")),
    ];
    let rows = rows.map(|(name, value)| (name.in_language(language), value));
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields(&rows);
    let what = |member: &Value| {
        let marks = [("/owner", Text::Owner), ("/send_as", Text::SendsAs), ("/send_on_behalf", Text::SendsOnBehalf)];
        let set = |path: &str| member.pointer(path).and_then(Value::as_bool) == Some(true);
        let words: Vec<String> =
            marks.into_iter().filter(|(path, _)| set(path)).map(|(_, word)| word.in_language(language)).collect();
        vec![text(member, "/member"), words.join(", ")]
    };
    let rows: Vec<Vec<String>> = members(account).map(what).collect();
    if !rows.is_empty() {
        let heading = Text::Members.in_language(language).to_uppercase();
        table(&[heading.as_str(), ""], &rows);
    }
}
