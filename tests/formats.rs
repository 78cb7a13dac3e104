//! Stores of every released format, opened by the present program: every
//! answer is the one that its own program gave, with its index and without,
//! and it is written on. What an older program does with a store that the
//! present one has opened is tested where one is at hand (`PLI_OLD_BIN`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pli_tests::fixture::Fixture;
use pli_tests::imap::Imap;
use pli_tests::{Builder, Instance, picture, serve_fails};
use serde_json::Value;

const NONE: [String; 0] = [];

/// Exit codes of docs/cli.md: stored data does not fit this program, or the configuration does not.
const REFUSALS: [i32; 2] = [65, 78];

fn all() -> Vec<(u32, Fixture)> {
    let formats = Fixture::formats();
    assert!(formats.contains(&1), "no fixtures in {}", Fixture::root().display());
    formats.into_iter().map(|format| (format, Fixture::load(format))).collect()
}

/// The serving instance gives every answer of the fixture.
fn same(fixture: &Fixture, instance: &Instance, when: &str) {
    let now = picture::take(instance, &fixture.accounts);
    assert_eq!(picture::differences(&fixture.answers, &now), NONE, "{when}");
    // Later events follow; the old ones are there word for word.
    let audit = picture::audit(instance);
    assert!(audit.len() >= fixture.audit.len(), "{when}: {} events", audit.len());
    for (before, now) in fixture.audit.iter().zip(&audit) {
        assert_eq!(picture::differences(before, now), NONE, "{when}");
    }
    let quotas = || instance.pli(&["quota", "show", "--json"]).good();
    let before = quotas();
    instance.pli(&["quota", "recalculate"]).good();
    assert_eq!(before, quotas(), "{when}: the quota counts had drifted");
}

fn sound(instance: &Instance) {
    instance.pli(&["store", "verify"]).good();
    instance.pli(&["audit", "verify"]).good();
}

#[test]
fn old_stores_give_their_answers() {
    for (format, fixture) in all() {
        let mut instance = fixture.prepare();
        instance.serve();
        same(&fixture, &instance, &format!("format {format}"));
        assert_eq!(instance.stop(), 0);
        sound(&instance);
        instance.serve();
        same(&fixture, &instance, &format!("format {format}, opened twice"));
    }
}

#[test]
fn old_logs_make_the_index_again() {
    for (format, fixture) in all() {
        let mut instance = fixture.prepare();
        std::fs::remove_dir_all(instance.dir.join("store/index")).unwrap();
        instance.serve();
        same(&fixture, &instance, &format!("format {format} without its index"));
        assert_eq!(instance.stop(), 0);
        sound(&instance);
    }
}

#[test]
fn old_stores_are_written_on() {
    for (format, fixture) in all() {
        let mut instance = fixture.prepare();
        instance.serve();
        let bob = &fixture.accounts[1];
        let mut imap = Imap::login(&instance, bob).unwrap();
        imap.append("Trash", "(\\Flagged New)", b"Subject: later\r\n\r\nwritten by a later program\r\n").unwrap();
        for command in ["SELECT INBOX", "UID STORE 4:6 +FLAGS (Later)", "UID MOVE 5:6 Trash", "EXPUNGE"] {
            imap.ok(command).unwrap();
        }
        drop(imap);
        let before = picture::take(&instance, &fixture.accounts);
        assert!(!picture::differences(&fixture.answers, &before).is_empty(), "nothing was written");
        // Once after a kill, once in order, once from the log alone.
        instance.kill();
        for turn in 0..3 {
            instance.serve();
            let now = picture::take(&instance, &fixture.accounts);
            assert_eq!(picture::differences(&before, &now), NONE, "format {format}, turn {turn}");
            assert_eq!(instance.stop(), 0);
            sound(&instance);
            if turn == 1 {
                std::fs::remove_dir_all(instance.dir.join("store/index")).unwrap();
            }
        }
    }
}

/// Every file below a folder, and what is in it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.file_name().is_none_or(|name| name != "lock") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn format_of(instance: &Instance) -> u64 {
    let text = std::fs::read_to_string(instance.dir.join("store/store.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["format"].as_u64().unwrap()
}

/// `serve` ends by itself, names the formats and changes nothing.
fn refused(instance: &Instance, formats: &[u64]) {
    let before = contents(&instance.dir.join("store"));
    let ran = serve_fails(&instance.binary, &instance.config);
    assert!(REFUSALS.contains(&ran.code), "{} {}", ran.code, ran.err);
    for format in formats {
        let words: Vec<&str> = ran.err.split(|c: char| !c.is_ascii_digit()).collect();
        assert!(words.contains(&format.to_string().as_str()), "no {format} in: {}", ran.err);
    }
    assert!(before == contents(&instance.dir.join("store")), "a refused store was changed");
}

#[test]
fn a_later_format_is_refused_untouched() {
    let (_, fixture) = all().pop().unwrap();
    let mut instance = fixture.prepare();
    instance.serve();
    assert_eq!(instance.stop(), 0);
    let present = format_of(&instance);
    let header = instance.dir.join("store/store.json");
    let text = std::fs::read_to_string(&header).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["format"] = (present + 97).into();
    std::fs::write(&header, json.to_string()).unwrap();
    refused(&instance, &[present, present + 97]);
    std::fs::write(&header, text).unwrap();
    instance.serve();
    same(&fixture, &instance, "after the refusal");
}

/// Within one format an older program opens what a later one has opened and
/// written; beyond it, it refuses and leaves the store as it is.
#[test]
fn an_older_program_goes_on_within_its_format() {
    let Some(old) = std::env::var_os("PLI_OLD_BIN") else {
        // Nothing was tested, and the output says so.
        println!("skipped: PLI_OLD_BIN names no older program");
        return;
    };
    let own = format_of(&Builder::default().quickstart(Path::new(&old)).prepare());
    let (format, fixture) =
        all().into_iter().find(|(format, _)| u64::from(*format) == own).expect("a fixture of its format");
    let mut instance = fixture.prepare_with(Path::new(&old));
    assert_eq!(format_of(&instance), u64::from(format), "the fixture's header");
    instance.serve();
    let bob = &fixture.accounts[1];
    let mut imap = Imap::login(&instance, bob).unwrap();
    imap.append("Trash", "", b"Subject: later\r\n\r\nwritten by a later program\r\n").unwrap();
    drop(imap);
    let before = picture::take(&instance, &fixture.accounts);
    assert_eq!(instance.stop(), 0);
    let now = format_of(&instance);
    instance.binary = PathBuf::from(&old);
    if now == u64::from(format) {
        instance.serve();
        let after = picture::take(&instance, &fixture.accounts);
        assert_eq!(picture::differences(&before, &after), NONE, "format {format}, by the older program");
        assert_eq!(instance.stop(), 0);
        sound(&instance);
    } else {
        refused(&instance, &[now]);
    }
}
