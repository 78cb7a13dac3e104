//! Running programs, and where things are.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The workspace's root.
pub fn root() -> PathBuf {
    // At run time, from Cargo: with a build cache shared by several checkouts the
    // path of compile time may be another checkout's, and the wrong tree is checked.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Where Cargo builds, `CARGO_TARGET_DIR` respected.
pub fn target_dir() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(dir)
}

/// A Cargo command in the workspace's root.
pub fn cargo_command(words: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(words).current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}

/// Runs Cargo with its output shown.
pub fn cargo(words: &[&str]) -> Outcome {
    status(cargo_command(words))
}

/// Runs a command with its output shown.
pub fn status(mut command: Command) -> Outcome {
    let name = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Runs a command and gives its standard output.
pub fn output(mut command: Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
    } else {
        Err(format!("{name}: {}", output.status))
    }
}

/// Runs a command, shows both its outputs, and gives each line to `look`.
/// The answer says whether the command succeeded.
pub fn watched(mut command: Command, look: &mut dyn FnMut(&str)) -> Result<bool, String> {
    let name = format!("{command:?}");
    // One pipe for both: the runner's closing lines come on either.
    let (reader, writer) = std::io::pipe().map_err(|error| format!("{name}: {error}"))?;
    let second = writer.try_clone().map_err(|error| format!("{name}: {error}"))?;
    let mut child = command.stdout(second).stderr(writer).spawn().map_err(|error| format!("{name}: {error}"))?;
    // The command value holds the pipe's write ends: they must go, or the read never ends.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(|error| format!("{name}: {error}"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        look(&line);
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    Ok(status.success())
}

/// Whether a program of that name can be started.
pub fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|dir| dir.join(program).is_file())
}

/// Every file below `dir` with one of these endings, sorted, as paths from the root.
pub fn files(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root().join(dir), endings, &mut found);
    found.sort();
    let root = root();
    found.into_iter().map(|path| path.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(path)).collect()
}

fn walk(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// A file's text, by its path from the root.
pub fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(root().join(path)).map_err(|error| format!("{}: {error}", path.display()))
}

/// `cargo metadata`, offline, as JSON.
pub fn metadata() -> Result<serde_json::Value, String> {
    let words =
        ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    // Offline first; a fresh machine fetches what the lock file names, once.
    let text = match output(cargo_command(&words)) {
        Ok(text) => text,
        Err(_) => {
            cargo(&["fetch", "--locked", "--quiet"])?;
            output(cargo_command(&words))?
        }
    };
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}
