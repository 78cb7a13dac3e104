//! `pli store compact`

use pli_admin::Request;

use crate::cli::Global;
use crate::config::show_size;
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{fields, text, value};

/// Runs it.
pub fn run(global: &Global, all: bool) -> Result<(), Failure> {
    let answer = ask(global, Request::StoreCompact { all })?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    let rows: Vec<(&str, String)> = answer
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| {
            let shown = match count.as_u64() {
                Some(bytes) if name.starts_with("bytes") => show_size(bytes),
                _ => text(count, ""),
            };
            (name.as_str(), shown)
        })
        .collect();
    fields(&rows);
    Ok(())
}
