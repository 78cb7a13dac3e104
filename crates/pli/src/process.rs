//! What a process that holds keys and many connections asks of the system.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core file, no debugger of another process of the same user: both would hold keys.
pub fn keep_secrets() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core files could not be switched off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process could not be made undumpable");
    }
}

/// What this process makes from now on is for its user alone. The store says so for each file; the index's engine does
/// not.
pub fn make_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the limit of open files as far as it goes up to `wanted`; returns what it is then.
pub fn raise_open_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let current = now.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    // Root may raise the hard limit as well; others get what it is.
    let maximum = now.maximum.map(|m| m.max(wanted));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
        return wanted;
    }
    let reachable = now.maximum.map_or(wanted, |m| m.min(wanted));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: now.maximum }) {
        Ok(()) => reachable,
        Err(error) => {
            tracing::warn!(%error, wanted, current, "the limit of open files stays low");
            current
        }
    }
}
