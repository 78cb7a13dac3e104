//! `pli store compact`

use pli_admin::Request;

use crate::cli::Global;
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{counts, value};

/// Runs it.
pub fn run(global: &Global, all: bool) -> Result<(), Failure> {
    let answer = ask(global, Request::StoreCompact { all })?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    counts(&answer);
    Ok(())
}
