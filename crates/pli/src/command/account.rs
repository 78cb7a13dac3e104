//! `pli account add | list | show | set | passwd | suspend | resume | rm`

use pli_admin::Request;
use pli_types::Address;
use serde_json::Value;

use super::password;
use crate::cli::{AccountCommand, Global};
use crate::config::show_size;
use crate::failure::{Failure, USAGE};
use crate::link::{ask, with};
use crate::output::{fields, line, moment, number, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add { address, password_stdin, profile, quota, name, language } => {
            let password = if password_stdin { Some(password(global)?) } else { None };
            let request =
                Request::AccountAdd { address, password, profile: Some(profile), quota, display_name: name, language };
            let answer = ask(global, request)?;
            show_with_password(global, &answer);
        }
        AccountCommand::List => list(global)?,
        AccountCommand::Show { address } => show(global, &ask(global, Request::AccountShow { address })?),
        AccountCommand::Set { address, password_stdin, profile, quota, name, language } => {
            let password = if password_stdin { Some(password(global)?) } else { None };
            let nothing = password.is_none() && profile.is_none() && quota.is_none();
            if nothing && name.is_none() && language.is_none() {
                return Err(Failure::new(USAGE, "nothing to change; see `pli account set --help`"));
            }
            let request = Request::AccountSet { address, password, profile, quota, display_name: name, language };
            show(global, &ask(global, request)?);
        }
        AccountCommand::Passwd { address, password_stdin } => passwd(global, address, password_stdin)?,
        AccountCommand::Suspend { address } => {
            show(global, &ask(global, Request::AccountSuspend { address, suspended: true })?);
        }
        AccountCommand::Resume { address } => {
            show(global, &ask(global, Request::AccountSuspend { address, suspended: false })?);
        }
        AccountCommand::Rm { address, erase, yes } => {
            if !yes {
                return Err(Failure::new(USAGE, Text::RemoveSure.in_language(global.language())));
            }
            let answer = ask(global, Request::AccountRemove { address, erase })?;
            if global.json {
                value(&answer);
            } else {
                line(&Text::Removed.with(global.language(), &[&text(&answer, "/address")]));
                if erase {
                    let since = crate::output::moment(&answer, "/covers_since");
                    let word = if since.is_empty() { Text::ErasedAll } else { Text::ErasedSince };
                    line(&word.with(global.language(), &[&since]));
                }
            }
        }
    }
    Ok(())
}

fn passwd(global: &Global, address: Address, stdin: bool) -> Result<(), Failure> {
    let made;
    let password = if stdin {
        made = None;
        password(global)?
    } else {
        let secret = pli_crypto::generate_password()
            .map_err(|error| Failure::new(crate::failure::SOFTWARE, error.to_string()))?;
        made = Some(secret.expose().to_owned());
        pli_admin::PlainPassword(secret.expose().to_owned())
    };
    let request = Request::AccountSet {
        address,
        password: Some(password),
        profile: None,
        quota: None,
        display_name: None,
        language: None,
    };
    let mut answer = ask(global, request)?;
    if let (Some(map), Some(made)) = (answer.as_object_mut(), made) {
        map.insert(String::from("password"), made.into());
    }
    show_with_password(global, &answer);
    Ok(())
}

/// What was made, with the generated password if there is one.
fn show_with_password(global: &Global, answer: &Value) {
    if global.json {
        return value(answer);
    }
    let language = global.language();
    let mut rows = vec![(Text::Address.in_language(language), text(answer, "/address"))];
    rows.push((Text::Profile.in_language(language), text(answer, "/profile")));
    if answer.pointer("/password").is_some_and(Value::is_string) {
        rows.push((Text::PasswordOnce.in_language(language), text(answer, "/password")));
    }
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields(&rows);
}

fn list(global: &Global) -> Result<(), Failure> {
    let answer = with(global, async |link| link.call(Request::AccountList).await)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let language = global.language();
    let rows: Vec<Vec<String>> = answer
        .as_array()
        .into_iter()
        .flatten()
        .map(|account| {
            vec![
                text(account, "/address"),
                text(account, "/profile"),
                state(global, account),
                show_size(number(account, "/quota/bytes_used").unwrap_or(0)),
                limit(global, account, "/quota/bytes_limit"),
                text(account, "/quota/messages_used"),
            ]
        })
        .collect();
    let headings = [Text::Address, Text::Profile, Text::State, Text::Used, Text::Limit, Text::Messages]
        .map(|heading| heading.in_language(language).to_uppercase());
    table(&headings.each_ref().map(String::as_str), &rows);
    Ok(())
}

fn show(global: &Global, account: &Value) {
    if global.json {
        return value(account);
    }
    let language = global.language();
    let rows = [
        (Text::Address, text(account, "/address")),
        // The audit log names accounts by it.
        (Text::Number, text(account, "/id")),
        (Text::Name, text(account, "/display_name")),
        (Text::Profile, text(account, "/profile")),
        (Text::State, state(global, account)),
        (Text::Language, text(account, "/language")),
        (Text::Created, moment(account, "/created")),
        (Text::Used, show_size(number(account, "/quota/bytes_used").unwrap_or(0))),
        (Text::Limit, limit(global, account, "/quota/bytes_limit")),
        (Text::Messages, text(account, "/quota/messages_used")),
    ];
    let rows = rows.map(|(name, value)| (name.in_language(language), value));
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields(&rows);
}

fn state(global: &Global, account: &Value) -> String {
    let suspended = account.pointer("/suspended").and_then(Value::as_bool) == Some(true);
    (if suspended { Text::Suspended } else { Text::Active }).in_language(global.language())
}

/// A limit in bytes, or the word for none.
pub fn limit(global: &Global, answer: &Value, path: &str) -> String {
    number(answer, path).map_or_else(|| Text::Unlimited.in_language(global.language()), show_size)
}
