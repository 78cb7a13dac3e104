//! `pli docs policy | cli`: pages that are generated from the code. Tests compare them with what is committed.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::cli::{Cli, DocsCommand};
use crate::failure::Failure;
use crate::output::line;

/// What stands above the commands in `docs/cli.md`.
const INTRODUCTION: &str = include_str!("cli.md");

/// Runs it.
pub fn run(command: &DocsCommand) -> Result<(), Failure> {
    let page = match command {
        DocsCommand::Policy => pli_gate::policy::markdown(),
        DocsCommand::Cli => reference(),
    };
    line(page.trim_end());
    Ok(())
}

/// `docs/cli.md`.
fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Commands\n");
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        describe(command, &mut out);
    }
    out
}

/// A command with its options, then those below it.
fn describe(command: &clap::Command, out: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let below: Vec<&clap::Command> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    let heading = if name.split(' ').count() > 2 { "####" } else { "###" };
    // Writing to a String does not fail.
    let _ = write!(out, "\n{heading} {name}\n{}.\n", about.trim_end_matches('.'));
    if below.is_empty() {
        let own = |a: &&clap::Arg| !a.is_global_set() && !matches!(a.get_id().as_str(), "help" | "version");
        let arguments: Vec<&clap::Arg> = command.get_arguments().filter(own).collect();
        if !arguments.is_empty() {
            out.push_str("\n| argument | |\n| --- | --- |\n");
        }
        for argument in arguments {
            let _ = writeln!(out, "| `{}` | {} |", shown(argument), explained(argument));
        }
    }
    for command in below {
        describe(command, out);
    }
}

/// `--quota <QUOTA>`, `<ADDRESS>`.
fn shown(argument: &clap::Arg) -> String {
    let values: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(|v| format!("<{v}>")).collect();
    let takes = argument.get_num_args().is_some_and(|n| n.takes_values());
    let flags = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        _ => String::new(),
    };
    let values = if takes { values.join(" ") } else { String::new() };
    [flags, values].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn explained(argument: &clap::Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let takes = argument.get_num_args().is_some_and(|n| n.takes_values());
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy().into_owned())
        .filter(|v| !v.is_empty())
        .collect();
    let mut text = help.trim_end_matches('.').replace('|', "\\|");
    if takes && !defaults.is_empty() {
        let _ = write!(text, " (default `{}`)", defaults.join(" "));
    }
    if argument.is_required_set() {
        text.push_str("; required");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_current() {
        // Cargo and nextest run tests in their package's folder.
        let path = "../../docs/cli.md";
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(on_disk, reference(), "write it anew with `pli docs cli > docs/cli.md`");
    }
}
