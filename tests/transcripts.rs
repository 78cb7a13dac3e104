//! One named test for each file below `tests/transcripts/`, all on one server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests: a panic is the failure report")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use pli_tests::{Builder, Instance, repository, transcript};

/// Transcripts wait for the server most of the time: more of them than cores.
const THREADS: usize = 6;

/// The server, started by the first transcript that needs it.
type Shared = Arc<OnceLock<Result<Instance, String>>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(THREADS));
    let shared = Shared::default();
    let mut trials = Vec::new();
    let root = repository().join("tests/transcripts");
    collect(&root, &root, &shared, &mut trials);
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A server that died took its last transcripts with it: say so.
    if let Some(Ok(instance)) = shared.get()
        && !instance.alive()
    {
        println!("the server ended early; its log:\n{}", instance.log());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn collect(root: &Path, dir: &Path, shared: &Shared, trials: &mut Vec<Trial>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, shared, trials);
        } else if path.extension().is_some_and(|ending| ending == "txt") {
            let inside = path.strip_prefix(root).unwrap().with_extension("");
            let name = inside.to_string_lossy().replace('/', "::");
            let shared = Arc::clone(shared);
            trials.push(Trial::test(name, move || run(&path, &shared)));
        }
    }
}

/// All doors are open, and the DNS is `zone.test`: what is not in it fails for now.
fn start() -> Instance {
    let zone = repository().join("tests/zone.test");
    let zone_file = format!("zone_file = \"{}\"", zone.display());
    Builder::default().config("listen.pop3s", "on = true").config("dns", &zone_file).start()
}

fn run(path: &Path, shared: &Shared) -> Result<(), Failed> {
    let instance = shared.get_or_init(|| {
        std::panic::catch_unwind(start).map_err(|panic| {
            panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the server did not start".to_owned())
        })
    });
    let instance = instance.as_ref().map_err(|text| Failed::from(text.clone()))?;
    transcript::run_file(path, instance).map_err(Failed::from)
}
