//! A store on a file system that is mounted read-only: named, refused, and
//! opened when it is writable again.

use std::path::Path;
use std::process::Command;

use pli_tests::{Builder, serve_fails};

use crate::{Promised, sound};

/// A file system of its own, unmounted at the end.
struct Mounted(tempfile::TempDir);

fn mount(words: &[&str], dir: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(words).arg(dir).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_readonly_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::Builder::new().prefix("pli-readonly-").tempdir().unwrap();
    if let Err(text) = mount(&["-t", "tmpfs", "-o", "size=96m", "tmpfs"], dir.path()) {
        // Nothing was tested, and the output says so.
        println!("skipped: a file system of its own needs the right to mount: {text}");
        return;
    }
    let disk = Mounted(dir);
    let mut instance = Builder::default().dir(&disk.0.path().join("mail")).start();
    let mut promised = Promised::new(&instance);
    for _ in 0..5 {
        promised.deliver(&instance).unwrap();
    }
    assert_eq!(instance.stop(), 0);
    // The log is elsewhere, or there would be no word of it.
    mount(&["-o", "remount,ro"], disk.0.path()).unwrap();
    let ran = serve_fails(&instance.binary, &instance.config);
    // docs/cli.md: 74, reading or writing failed.
    assert_eq!(ran.code, 74, "{}", ran.err);
    assert!(ran.err.contains("ead-only"), "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    mount(&["-o", "remount,rw"], disk.0.path()).unwrap();
    instance.serve();
    promised.compare(&instance);
    promised.deliver(&instance).unwrap();
    promised.compare(&instance);
    sound(&mut instance);
}
