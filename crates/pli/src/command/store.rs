//! `pli store …`: `stat`, and the way to the others, each in its file.

use pli_admin::Request;

use crate::cli::{Global, StoreCommand};
use crate::failure::Failure;
use crate::link::ask;
use crate::output::{counts, value};

/// Runs it.
pub fn run(global: &Global, command: &StoreCommand) -> Result<u8, Failure> {
    match command {
        StoreCommand::Stat => stat(global).map(|()| 0),
        StoreCommand::At { time, account, what } => {
            super::store_at::at(global, time, account.as_ref(), what.as_ref()).map(|()| 0)
        }
        StoreCommand::Rewind { address, time, mailbox, dry_run } => {
            super::store_at::rewind(global, address, time, mailbox.as_deref(), *dry_run).map(|()| 0)
        }
        StoreCommand::Compact { all } => super::store_compact::run(global, *all).map(|()| 0),
        StoreCommand::Rebuild { engine } => super::store_rebuild::run(global, *engine).map(|()| 0),
        StoreCommand::Verify { fast, rate, account } => super::store_verify::run(global, *fast, *rate, account),
        StoreCommand::Repair { dry_run } => super::store_repair::run(global, *dry_run),
    }
}

fn stat(global: &Global) -> Result<(), Failure> {
    let answer = ask(global, Request::StoreStat)?;
    if global.json {
        value(&answer);
        return Ok(());
    }
    counts(&answer);
    Ok(())
}
