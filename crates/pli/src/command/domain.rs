//! `pli domain add | list | rm`

use pli_admin::Request;
use serde_json::Value;

use crate::cli::{DomainCommand, Global};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{line, moment, table, text, value};
use crate::texts::Text;

/// Runs it.
pub fn run(global: &Global, command: DomainCommand) -> Result<(), Failure> {
    let (request, removes) = match command {
        DomainCommand::Add { name } => (Request::DomainAdd { name }, false),
        DomainCommand::List => (Request::DomainList, false),
        DomainCommand::Rm { name } => (Request::DomainRemove { name }, true),
    };
    let answer = ask(global, request)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    match &answer {
        Value::Array(domains) => {
            let rows: Vec<_> = domains.iter().map(|d| vec![text(d, "/name"), moment(d, "/created")]).collect();
            table(&["DOMAIN", &Text::Created.in_language(global.language()).to_uppercase()], &rows);
        }
        one if removes => line(&Text::Removed.with(global.language(), &[&text(one, "/name")])),
        one => line(&text(one, "/name")),
    }
    Ok(())
}
