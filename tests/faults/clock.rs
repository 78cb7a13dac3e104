//! The wall clock jumps back and forth, by days and by more than a year, while
//! the server runs and between two runs. (libfaketime stands between the
//! program and the clock; the monotonic one goes on.)

use std::path::{Path, PathBuf};

use pli_tests::acknowledged::{Fate, mark};
use pli_tests::imap::Imap;
use pli_tests::{Builder, Instance};

use crate::{Promised, found, sound};

/// Where Debian keeps it; `None` where it is not installed.
fn library() -> Option<PathBuf> {
    let lib = Path::new("/usr/lib");
    let mut places = vec![lib.join("faketime/libfaketimeMT.so.1")];
    let dirs = std::fs::read_dir(lib).unwrap().map(|entry| entry.unwrap().path());
    places.extend(dirs.map(|dir| dir.join("faketime/libfaketimeMT.so.1")));
    places.into_iter().find(|place| place.is_file())
}

/// The seconds by which the server's clock is off.
fn set(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
    // At once: a reader must not see half of it.
    std::fs::rename(new, clock).unwrap();
}

/// The newest event's time, in seconds.
fn told_time(instance: &Instance) -> i64 {
    let text = instance.pli(&["audit", "export"]).good();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let time = last["event"]["time"].as_i64().or_else(|| last["time"].as_i64());
    time.unwrap_or_else(|| panic!("no time in {last}")) / 1000
}

/// One message goes, so that there is something that a compaction may purge or not.
fn expunge_oldest(imap: &mut Imap, promised: &Promised) {
    let oldest = found(imap, "INBOX").messages.remove(0);
    imap.ok(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", oldest.uid)).unwrap();
    imap.ok("EXPUNGE").unwrap();
    promised.ledger.write(&promised.inbox(), mark(&oldest.bytes).unwrap(), Fate::Gone);
}

const DAY: i64 = 86_400;

#[test]
fn a_jumping_clock_loses_nothing() {
    let Some(library) = library() else {
        // Nothing was tested, and the output says so.
        println!("skipped: libfaketime is not installed");
        return;
    };
    let mut instance = Builder::default().config("dns", "resolver = \"off\"").prepare();
    let clock = instance.dir.join("clock");
    set(&clock, 0);
    instance.environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    instance.serve();
    let mut promised = Promised::new(&instance);
    let (mut validity, mut ahead) = (0, false);
    let mut times = Vec::new();
    // A session that lives through all jumps of one run.
    for (turn, offset) in [0, 3 * DAY, -3 * DAY, 400 * DAY, -400 * DAY, 3600, 0].into_iter().enumerate() {
        let mut old = Imap::login(&instance, &promised.account).unwrap();
        old.ok("SELECT INBOX").unwrap();
        set(&clock, offset);
        for _ in 0..3 {
            promised.deliver(&instance).unwrap_or_else(|error| panic!("offset {offset}: {error}\n{}", instance.log()));
        }
        times.push(told_time(&instance));
        old.ok("NOOP").unwrap();
        // A mailbox made again never gets an old UIDVALIDITY, whatever the clock says (RFC 9051 §2.3.1.1).
        old.ok("CREATE Again").unwrap();
        let again = found(&mut old, "Again").uid_validity;
        assert!(again > validity, "offset {offset}: UIDVALIDITY {again} after {validity}");
        validity = again;
        old.ok("SELECT INBOX").unwrap();
        old.ok("DELETE Again").unwrap();
        promised.compare(&instance);
        expunge_oldest(&mut old, &promised);
        promised.compare(&instance);
        // A clock that has run ahead purges nothing that the window should hold.
        let done = instance.pli(&["store", "compact", "--all", "--json"]).good();
        let done: serde_json::Value = serde_json::from_str(&done).unwrap();
        // (What was deleted while the clock was behind is older than it was once the clock is right.)
        if done["clock_jumped"].as_bool().unwrap() {
            assert_eq!(done["bodies_purged"].as_u64(), Some(0), "offset {offset}: {done}");
            ahead = true;
        }
        if turn % 2 == 0 {
            instance.kill();
        } else {
            assert_eq!(instance.stop(), 0);
        }
        instance.serve();
        promised.compare(&instance);
    }
    // It was the server's clock that jumped, and the server that noticed.
    assert!(ahead);
    assert!(times[3] - times[2] > 390 * DAY && times[3] - times[4] > 790 * DAY, "{times:?}");
    sound(&mut instance);
}
