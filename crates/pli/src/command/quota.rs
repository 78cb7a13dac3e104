//! `pli quota show | set | recalculate`

use pli_admin::Request;
use pli_types::Address;
use serde_json::Value;

use super::account::limit;
use crate::cli::{Global, QuotaCommand};
use crate::config::show_size;
use crate::failure::{Failure, SOFTWARE};
use crate::link::{Link, ask, with};
use crate::output::{number, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: QuotaCommand) -> Result<(), Failure> {
    match command {
        QuotaCommand::Show { address } => {
            let answers = with(global, async |link| {
                let mut answers = Vec::new();
                for address in addresses(link, address).await? {
                    let mut answer = link.call(Request::QuotaShow { address: address.clone() }).await?;
                    name(&mut answer, &address);
                    answers.push(answer);
                }
                Ok(answers)
            })?;
            show(global, answers);
        }
        QuotaCommand::Set { address, quota } => {
            let mut answer = ask(global, Request::QuotaSet { address: address.clone(), quota })?;
            name(&mut answer, &address);
            show(global, vec![answer]);
        }
        QuotaCommand::Recalculate { address } => {
            let answers = with(global, async |link| {
                let mut answers = Vec::new();
                for address in addresses(link, address).await? {
                    answers.push(link.call(Request::QuotaRecalculate { address }).await?);
                }
                Ok(answers)
            })?;
            recalculated(global, answers);
        }
    }
    Ok(())
}

/// The one meant, or everybody.
pub async fn addresses(link: &mut Link, one: Option<Address>) -> Result<Vec<Address>, Failure> {
    if let Some(one) = one {
        return Ok(vec![one]);
    }
    let accounts = link.call(Request::AccountList).await?;
    let addresses = accounts.as_array().into_iter().flatten().filter_map(|a| a.pointer("/address")?.as_str());
    addresses.map(|a| Address::parse(a).map_err(|error| Failure::new(SOFTWARE, format!("{a}: {error}")))).collect()
}

fn name(answer: &mut Value, address: &Address) {
    if let Some(map) = answer.as_object_mut() {
        map.insert(String::from("address"), address.to_string().into());
    }
}

fn show(global: &Global, answers: Vec<Value>) {
    if global.json {
        return value(&Value::Array(answers));
    }
    let language = global.language();
    let rows: Vec<Vec<String>> = answers
        .iter()
        .map(|quota| {
            let used = number(quota, "/bytes_used").unwrap_or(0);
            let share = number(quota, "/bytes_limit")
                .filter(|limit| *limit > 0)
                .map(|limit| u128::from(used) * 100 / u128::from(limit));
            vec![
                text(quota, "/address"),
                show_size(used),
                limit(global, quota, "/bytes_limit"),
                share.map_or_else(String::new, |percent| format!("{percent} %")),
                text(quota, "/messages_used"),
                text(quota, "/messages_limit"),
            ]
        })
        .collect();
    let [address, used, limit, messages] = [Text::Address, Text::Used, Text::Limit, Text::Messages]
        .map(|heading| heading.in_language(language).to_uppercase());
    table(&[&address, &used, &limit, "%", &messages, &limit], &rows);
}

fn recalculated(global: &Global, answers: Vec<Value>) {
    if global.json {
        return value(&Value::Array(answers));
    }
    let rows: Vec<Vec<String>> = answers
        .iter()
        .map(|answer| {
            let corrected = answer.pointer("/corrected").and_then(Value::as_bool) == Some(true);
            let size = |path| show_size(number(answer, path).unwrap_or(0));
            vec![
                text(answer, "/address"),
                size("/was/bytes_used"),
                size("/is/bytes_used"),
                text(answer, "/was/messages_used"),
                text(answer, "/is/messages_used"),
                String::from(if corrected { "!" } else { "=" }),
            ]
        })
        .collect();
    let address = Text::Address.in_language(global.language()).to_uppercase();
    table(&[&address, "BYTES", "→", "MESSAGES", "→", ""], &rows);
}
