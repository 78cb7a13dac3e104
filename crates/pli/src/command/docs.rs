//! `pli docs policy`: pages that are generated from the code.

use crate::cli::DocsCommand;
use crate::failure::Failure;
use crate::output::line;

/// Runs it.
pub fn run(command: &DocsCommand) -> Result<(), Failure> {
    match command {
        DocsCommand::Policy => line(pli_gate::policy::markdown().trim_end()),
    }
    Ok(())
}
