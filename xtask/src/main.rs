//! Every check and generator of the workspace: `cargo xtask ci` is the whole truth.
//!
//! Each step can be called alone (`cargo xtask help`). A step prints what it
//! looks at and fails with the file and the reason; nothing here changes a
//! source file except `rfc` and `fmt --write`.
#![allow(
    clippy::indexing_slicing,
    reason = "a developer's tool over our own files: a panic is a message to the developer"
)]

mod arrows;
mod conformance;
mod licences;
mod packages;
mod rfc;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;
use std::time::Instant;

/// A step by its name.
type Step = (&'static str, fn() -> Outcome);

/// What a step answers: nothing, or the text for the developer.
pub type Outcome = Result<(), String>;

const HELP: &str = "cargo xtask STEP

  ci          all of: packages, fmt, clippy, licences, arrows, tidy, rfc --check, test
  packages    Debian packages (as root) and the Python environment that tests need
  fmt         formatting (--write mends it)
  clippy      lints, warnings denied
  licences    every dependency's licence against the permissive list
  arrows      which crate may use which
  tidy        headers, names, lengths, clocks and files in their rooms, transcripts
  test        all tests, through cargo-nextest where it is installed
  clients     only the real clients
  test-clients  Thunderbird, Roundcube and clients that fetch; installs them
  transcripts only the transcripts
  crash       only the crash tests (PLI_CRASH_ROUNDS)
  fuzz        only the fuzz targets (PLI_FUZZ_SECONDS each)
  rfc         docs/rfc.md from the RFC lines of code and transcripts, and the table of IMAP's extensions in
              docs/imap.md from the tests that show them (--check compares)
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let step = words.first().map_or("help", String::as_str);
    let flag = |name: &str| words.iter().any(|word| word == name);
    let rest = words.get(1..).unwrap_or_default();
    let outcome = match step {
        "ci" => ci(),
        "packages" => packages::run(),
        "fmt" => fmt(flag("--write")),
        "clippy" => clippy(),
        "licences" => licences::run(),
        "arrows" => arrows::run(),
        "tidy" => tidy::run(),
        "rfc" => rfc_pages(flag("--check")),
        "test" => test::all(rest),
        "clients" => packages::run().and_then(|()| test::clients(rest)),
        "test-clients" => packages::heavy().and_then(|()| test::desktop(rest)),
        "transcripts" => test::transcripts(rest),
        "crash" => test::crash(rest),
        "fuzz" => test::fuzz(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("no step named {other}\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("xtask {step}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// All steps. The quick ones all run even when an earlier one failed, so that
/// one round shows every mistake; the tests run last and only over clean code.
fn ci() -> Outcome {
    let steps: [Step; 8] = [
        ("packages", packages::run),
        ("fmt", || fmt(false)),
        ("licences", licences::run),
        ("arrows", arrows::run),
        ("tidy", tidy::run),
        ("rfc", || rfc_pages(true)),
        ("clippy", clippy),
        ("test", || test::all(&[])),
    ];
    let mut failures = Vec::new();
    for (name, step) in steps {
        println!("== {name}");
        let start = Instant::now();
        match step() {
            Ok(()) => println!("== {name}: good, {:.1} s", start.elapsed().as_secs_f64()),
            Err(text) => {
                println!("== {name}: FAILED\n{text}");
                failures.push(name);
                if name == "packages" {
                    break;
                }
            }
        }
    }
    if failures.is_empty() {
        println!("ci: every step is good");
        Ok(())
    } else {
        Err(format!("failed: {}", failures.join(", ")))
    }
}

/// What is made from RFC lines and from what tests show.
fn rfc_pages(check: bool) -> Outcome {
    rfc::run(check).and(conformance::run(check))
}

fn fmt(write: bool) -> Outcome {
    let mut words = vec!["fmt", "--all"];
    if !write {
        words.push("--check");
    }
    run::cargo(&words)
}

fn clippy() -> Outcome {
    run::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}
