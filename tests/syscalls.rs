//! What the server asks of the operating system: one fdatasync of the log for a group of commits, and not one more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pli_tests::Instance;
use pli_tests::acknowledged::message;
use pli_tests::smtp::Smtp;

/// The store's counters: commit groups, and fdatasync calls of the log as the store counts them.
fn counters(instance: &Instance) -> (u64, u64) {
    let text = instance.pli(&["store", "stat", "--json"]).good();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let number = |name: &str| json.get(name).and_then(serde_json::Value::as_u64).unwrap();
    (number("commit_groups"), number("log_syncs"))
}

/// strace on all threads of a process, once it is attached. `None` where it may not be.
fn attach(pid: u32, output: &std::path::Path) -> Option<Child> {
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs", "-o"])
        .arg(output)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if first.contains("attached") {
        // Threads are attached one after the other.
        std::thread::sleep(Duration::from_millis(500));
        std::thread::spawn(move || lines.for_each(drop));
        return Some(child);
    }
    eprintln!("strace cannot attach here ({first}); system calls are not counted");
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The id of a process's thread of that name.
fn thread_named(pid: u32, name: &str) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let named =
        |task: &std::path::Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|text| text.trim() == name);
    let task = tasks.map(|task| task.unwrap().path()).find(|task| named(task)).expect("no such thread");
    task.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn one_fdatasync_for_each_commit_group() {
    let instance = Instance::start();
    let account = instance.account();
    let send = |mark: u64| {
        let mut smtp = Smtp::mx(&instance).unwrap();
        smtp.send("ana@elsewhere.test", &[&account.address], &message(mark)).unwrap();
        smtp.quit();
    };
    send(1);
    // Quiet: the last checkpoint of the audit log is written.
    std::thread::sleep(Duration::from_millis(2500));
    let trace = tempfile::NamedTempFile::new().unwrap();
    let Some(mut strace) = attach(instance.pid(), trace.path()) else { return };
    let committer = thread_named(instance.pid(), "store-commit");
    let before = counters(&instance);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let send = &send;
            scope.spawn(move || (0..6).for_each(|number| send(100 + worker * 10 + number)));
        }
    });
    std::thread::sleep(Duration::from_millis(2500));
    let after = counters(&instance);
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    strace.wait().unwrap();

    let text = std::fs::read_to_string(trace.path()).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("sync") && line.contains(".seg>")).collect();
    let groups = after.0 - before.0;
    assert!(groups >= 5, "{groups} commit groups for 48 messages");
    assert!(groups <= 120, "{groups} commit groups for 48 messages, a session each");
    assert_eq!(after.1 - before.1, groups, "the store's own count");
    // A call that another thread interrupts stands on two lines; only the first has the file.
    assert!(calls.iter().all(|call| call.contains("fdatasync(")), "{calls:?}");
    // Who commits waits for one call a group. Zeros ahead of the log are synced by threads of their own, once for 256 KiB.
    let (own, ahead): (Vec<&str>, Vec<&str>) =
        calls.iter().partition(|call| call.starts_with(&format!("{committer} ")));
    assert_eq!(own.len() as u64, groups, "the committer's calls on segments:\n{}", own.join("\n"));
    assert!(ahead.len() <= 3, "zeros for 48 small messages:\n{}", ahead.join("\n"));
}
