//! More connections than files may be open: the server refuses or lets wait,
//! keeps what it promised, and goes on when there is room again.

use std::time::{Duration, Instant};

use pli_tests::imap::Imap;
use pli_tests::{Builder, Wire};

use crate::{Promised, sound};

/// Few, and enough to start with.
const FILES: u32 = 96;

#[test]
fn a_server_without_files_recovers() {
    let mut instance = Builder::default().config("dns", "resolver = \"off\"").prepare();
    instance.files_max = Some(FILES);
    instance.serve();
    let mut promised = Promised::new(&instance);
    promised.deliver(&instance).unwrap();
    let mut session = Imap::login(&instance, &promised.account).unwrap();
    session.ok("SELECT INBOX").unwrap();
    // The kernel takes connections that the server has no file for; they wait or are closed.
    let waiting: Vec<Wire> = (0..FILES + 20).filter_map(|_| instance.connect("smtp").ok()).collect();
    assert!(waiting.len() as u32 > FILES / 2, "{}", waiting.len());
    std::thread::sleep(Duration::from_millis(300));
    assert!(instance.alive(), "{}", instance.log());
    let open = std::fs::read_dir(format!("/proc/{}/fd", instance.pid())).unwrap().count();
    assert!(open as u32 + 8 > FILES, "only {open} files are open: nothing was tested");
    // A session that is there goes on: it is answered, and what is answered OK is done.
    let answer = session.append("INBOX", "", &pli_tests::acknowledged::message(900_001));
    match answer {
        Ok(_) => promised.ledger.write(&promised.inbox(), 900_001, pli_tests::acknowledged::Fate::Kept),
        Err(text) => {
            assert!(text.contains("NO ["), "{text}");
            promised.ledger.write(&promised.inbox(), 900_001, pli_tests::acknowledged::Fate::Gone);
        }
    }
    session.ok("NOOP").unwrap();
    drop(waiting);
    // With room again new sessions are served.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = promised.deliver(&instance) {
        assert!(Instant::now() < deadline, "{error}\n{}", instance.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    promised.compare(&instance);
    instance.kill();
    instance.serve();
    promised.compare(&instance);
    sound(&mut instance);
}
