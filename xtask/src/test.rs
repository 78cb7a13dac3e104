//! All tests, with the counts of every runner added up in one closing line.

use std::process::Command;

use crate::{Outcome, packages, run};

/// Passed, failed and skipped over all runners.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Everything: unit tests, transcripts, clients, crash, documentation.
pub fn all(words: &[String]) -> Outcome {
    build_binary()?;
    let mut tally = Tally::default();
    let mut good = true;
    if nextest_is_here() {
        // The transcripts share one server in one process, which nextest's
        // process for each test would undo.
        let filter = ["--workspace", "-E", "not binary(transcripts)"];
        good &= step(nextest(&filter, words), &mut tally)?;
        good &= step(cargo_test(&["--package", "pli-tests", "--test", "transcripts"], &[]), &mut tally)?;
    } else {
        good &= step(cargo_test(&["--workspace", "--bins", "--lib", "--tests"], words), &mut tally)?;
    }
    good &= step(cargo_test(&["--workspace", "--doc"], &[]), &mut tally)?;
    close(&tally, good)
}

/// Only the real clients.
pub fn clients(words: &[String]) -> Outcome {
    only("clients", words)
}

/// Only the heavy clients, one after the other.
pub fn desktop(words: &[String]) -> Outcome {
    let words: Vec<String> = words.iter().cloned().chain([String::from("--test-threads=1")]).collect();
    only("desktop", &words)
}

/// Only the transcripts; words are parts of their names.
pub fn transcripts(words: &[String]) -> Outcome {
    only("transcripts", words)
}

/// Only the crash tests.
pub fn crash(words: &[String]) -> Outcome {
    only("crash", words)
}

/// Only the fuzz targets: tests whose path holds `fuzz`.
pub fn fuzz(words: &[String]) -> Outcome {
    let mut tally = Tally::default();
    let mut command = cargo_test(&["--workspace", "--lib", "--tests"], &[]);
    command.args(["--", "fuzz", "--nocapture", "--test-threads=1"]).args(words);
    let good = step(command, &mut tally)?;
    close(&tally, good)
}

fn only(target: &str, words: &[String]) -> Outcome {
    build_binary()?;
    let mut tally = Tally::default();
    let mut command = cargo_test(&["--package", "pli-tests", "--test", target], &[]);
    command.arg("--").args(words);
    let good = step(command, &mut tally)?;
    close(&tally, good)
}

/// The end-to-end tests start the real binary: it must be there and new.
fn build_binary() -> Outcome {
    run::cargo(&["build", "--locked", "--package", "pli"])
}

fn nextest_is_here() -> bool {
    run::output(run::cargo_command(&["nextest", "--version"])).is_ok()
}

fn nextest(filter: &[&str], words: &[String]) -> Command {
    let mut command = run::cargo_command(&["nextest", "run", "--locked", "--profile", "ci", "--no-tests=pass"]);
    command.args(filter).args(words);
    surroundings(command)
}

fn cargo_test(filter: &[&str], words: &[String]) -> Command {
    let mut command = run::cargo_command(&["test", "--locked", "--no-fail-fast"]);
    command.args(filter).args(words);
    surroundings(command)
}

/// What the end-to-end tests look for in their environment.
fn surroundings(mut command: Command) -> Command {
    let binary = run::target_dir().join("debug/pli");
    command
        .env("PLI_BIN", std::env::var_os("PLI_BIN").unwrap_or_else(|| binary.into()))
        .env("PLI_PYTHON", packages::venv().join("bin/python"));
    command
}

fn step(command: Command, tally: &mut Tally) -> Result<bool, String> {
    run::watched(command, &mut |line| tally.read(line))
}

fn close(tally: &Tally, good: bool) -> Outcome {
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    match (good, tally.failed, tally.passed) {
        (true, 0, 1..) => Ok(()),
        (true, 0, 0) => Err("no test ran".to_owned()),
        _ => Err("tests failed".to_owned()),
    }
}

impl Tally {
    /// Takes the counts from a runner's closing line, cargo test's or nextest's.
    fn read(&mut self, line: &str) {
        let plain = without_colours(line);
        let Some(counts) =
            plain.trim_start().strip_prefix("test result:").or_else(|| plain.trim_start().strip_prefix("Summary"))
        else {
            return;
        };
        let words: Vec<&str> = counts.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1].trim_matches([',', ';', '.']) {
                "passed" => self.passed += number,
                "failed" | "timed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

fn without_colours(line: &str) -> String {
    let mut out = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            for c in characters.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn reads_both_runners() {
        let mut tally = Tally::default();
        tally.read("test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.02s");
        tally.read("     Summary [   0.012s] 9 tests run: 8 passed (1 slow), 1 failed, 4 skipped");
        tally.read("no such line: 7 passed");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (13, 2, 6));
    }
}
