//! The `pli` binary: the command line, and the wiring of the server.
//!
//! A newcomer reads [`cli`] (every command), then [`serve`] (how the parts are put together), then a file of
//! [`command`]. Files and clocks are read here and in `pli-io` only.

mod cli;
mod command;
mod config;
mod failure;
mod instance;
mod keystore;
mod link;
mod logging;
mod output;
mod pki;
mod process;
mod progress;
mod serve;
mod texts;

use std::process::ExitCode;

// A bench's feature must never be in what people run.
const _: () = assert!(!pli_crypto::NULL_CIPHER, "the server does not build with pli-crypto's null-cipher");

use clap::Parser;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { failure::USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let json = cli.global.json;
    match command::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::failure(&failure, json);
            ExitCode::from(failure.code)
        }
    }
}
