//! One flipped bit in each kind of thing that the store has on disk: it is found, it is named, it hurts what it must and
//! no more, and when the bit is right again so is the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pli_io::sim::SimDisk;
use pli_store::*;
use pli_types::{AccountId, Action, SystemFlag, Uid};
use world::*;

/// First frame of a segment, after two copies of its header.
const FRAMES_AT: u64 = 320;
const FRAME_HEADER: u64 = 32;

/// A stretch of a file, by what it is.
#[derive(Clone, Debug)]
struct Stretch {
    what: &'static str,
    file: PathBuf,
    from: u64,
    until: u64,
}

/// What one flipped bit in a stretch may do: messages that do not open while the server goes on, and messages that are
/// missing or do not open after the index was made again from the damaged log.
const MAY_HURT: [(&str, usize, usize); 10] = [
    ("body header", 1, 1),
    ("body", 1, 1),
    ("body tag", 1, 1),
    ("batch header", 0, 1),
    ("batch", 0, 1),
    ("batch tag", 0, 1),
    // A round with a hole is not begun from: an older one, or the log itself, serves as well.
    ("snapshot", 0, 0),
    ("footer", 0, 0),
    ("first header", 0, 0),
    ("second header", 0, 0),
];

/// Frames and headers of all segments, from their bytes alone (docs/store-format.md).
fn stretches(disk: &SimDisk) -> Vec<Stretch> {
    let mut all = Vec::new();
    for (file, bytes) in disk.files() {
        if file.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let mut push = |what, from, until| all.push(Stretch { what, file: file.clone(), from, until });
        push("first header", 0, 160);
        push("second header", 160, FRAMES_AT);
        let mut at = FRAMES_AT;
        while at + FRAME_HEADER <= bytes.len() as u64 {
            let head = &bytes[at as usize..(at + FRAME_HEADER) as usize];
            assert_eq!(head[..4], *b"PLIF", "{} at {at}", file.display());
            let length = u64::from(u32::from_be_bytes(head[4..8].try_into().unwrap()));
            let tag = at + FRAME_HEADER + length;
            match head[8] {
                1 => {
                    push("body header", at, at + FRAME_HEADER);
                    push("body", at + FRAME_HEADER, tag);
                    push("body tag", tag, tag + 16);
                }
                2 => {
                    push("batch header", at, at + FRAME_HEADER);
                    push("batch", at + FRAME_HEADER, tag);
                    push("batch tag", tag, tag + 16);
                }
                3 => push("snapshot", at, tag + 16),
                5 => push("footer", at, tag + 16),
                kind => panic!("a frame of kind {kind}"),
            }
            at = (tag + 16).next_multiple_of(8);
        }
    }
    all
}

/// Messages, a snapshot round in the middle, three segments in order.
async fn fill(world: &World) -> AccountId {
    let open = world.create();
    let ana = open.account("ana@example.org", QuotaLimit::default()).await;
    let inbox = open.mailbox(ana, "INBOX").id;
    for number in 0..4 {
        open.deliver(&[ana], &message(&format!("a{number}"), 700)).await.unwrap();
    }
    open.store.close();
    drop(open);
    let open = world.open();
    open.store.snapshot(open.permit(Action::Verify, None)).await.unwrap();
    for number in 0..4 {
        open.deliver(&[ana], &message(&format!("b{number}"), 700)).await.unwrap();
    }
    open.store.close();
    drop(open);
    let open = world.open();
    open.deliver(&[ana], &message("gone", 700)).await.unwrap();
    open.flag(ana, inbox, &[Uid::new(9)], SystemFlag::Deleted).await;
    open.expunge(ana, inbox).await;
    open.deliver(&[ana], &message("c", 70_000)).await.unwrap();
    open.deliver(&[ana], &message("d", 300)).await.unwrap();
    open.store.close();
    ana
}

/// Messages of INBOX that open.
fn readable(open: &Open, account: AccountId) -> usize {
    let permit = open.permit(Action::List, Some(account));
    let inbox = open.store.read(&permit).unwrap().mailbox_by_name(&name("INBOX")).unwrap();
    let Some(inbox) = inbox.map(|mailbox| mailbox.id) else { return 0 };
    let keys = open.keys(account);
    open.entries(account, inbox).into_iter().filter(|entry| open.body_with(&keys, account, *entry).is_ok()).count()
}

const MESSAGES: usize = 10;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_bit_of_the_log_hurts_what_it_must() {
    let start = World::sim(1, keystore());
    let ana = runtime().block_on(fill(&start));
    let mut met = BTreeMap::<&str, [usize; 3]>::new();
    let all = stretches(start.disk.as_ref().unwrap());
    // While it serves: the index is right, the log is not.
    let serving = start.fork(2);
    let disk = serving.disk.clone().unwrap();
    let open = serving.open();
    let segment =
        |stretch: &Stretch| stretch.file.file_stem().unwrap().to_string_lossy().trim_start_matches('0').to_owned();
    for stretch in &all {
        let (_, live, rebuilt) = *MAY_HURT.iter().find(|(what, ..)| *what == stretch.what).unwrap();
        let seen = met.entry(stretch.what).or_default();
        let size = stretch.until - stretch.from;
        for (turn, at) in [0, size / 2, size - 1].into_iter().map(|at| stretch.from + at).enumerate() {
            let bit = 1 << ((at + turn as u64) % 8);
            disk.flip(&stretch.file, at, bit).unwrap();
            let found = open.verify().damage;
            let place = format!("segment {}", segment(stretch));
            let named = found.iter().any(|damage| damage.place.contains(&place));
            assert!(named, "{stretch:?} at {at}: {place} is not named in {found:?}");
            let hurt = MESSAGES - readable(&open, ana);
            assert!(hurt <= live, "{stretch:?} at {at}: {hurt} messages do not open");
            seen[0] += 1;
            seen[1] += hurt;
            disk.flip(&stretch.file, at, bit).unwrap();
        }
        // After a start from the log alone.
        let from_log = start.fork(3);
        let disk = from_log.disk.clone().unwrap();
        let at = stretch.from + size / 2;
        disk.flip(&stretch.file, at, 4).unwrap();
        let open = from_log.open();
        let hurt = MESSAGES - readable(&open, ana);
        assert!(hurt <= rebuilt, "{stretch:?} at {at}: {hurt} messages are missing after a rebuild");
        // A footer at the log's end cannot be told from the torn one of a crash: it is cut off, and nothing was in it.
        let seen_again = stretch.what == "footer" || !open.verify().damage.is_empty();
        assert!(seen_again, "{stretch:?} at {at}: unseen after a rebuild");
        seen[2] += hurt;
        // It takes mail, and keeps it.
        runtime().block_on(open.deliver(&[ana], &message("later", 300))).unwrap();
        drop(open);
        assert_eq!(readable(&from_log.open(), ana), MESSAGES - hurt + 1, "{stretch:?} at {at}");
    }
    open.check();
    println!("bits flipped, messages hurt while it serves, and after a rebuild: {met:?}");
    assert_eq!(met.len(), MAY_HURT.len(), "{met:?}");
    // The table would say nothing if no bit ever hurt.
    assert!(met["body"][1] > 0 && met["body"][2] > 0 && met["batch"][2] > 0, "{met:?}");
}

#[test]
fn a_bit_of_the_header_keeps_the_store_closed_and_untouched() {
    let start = World::sim(5, keystore());
    let ana = runtime().block_on(fill(&start));
    let header = Path::new("/store/store.json");
    let length = start.disk.as_ref().unwrap().files().iter().find(|(path, _)| path == header).unwrap().1.len() as u64;
    let mut refused = 0;
    for at in 0..length {
        let world = start.fork(at);
        let disk = world.disk.clone().unwrap();
        disk.flip(header, at, 1).unwrap();
        let segments = |disk: &SimDisk| {
            let mut files = disk.files();
            files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "seg"));
            files
        };
        let before = segments(&disk);
        match Store::open(world.options()) {
            // A blank may become another character that means as little.
            Ok(open) => assert_eq!(readable(&Open::new(open), ana), MESSAGES, "byte {at}"),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
                assert_eq!(segments(&disk), before, "byte {at}: a refused store was changed");
            }
        }
        disk.flip(header, at, 1).unwrap();
        assert_eq!(readable(&world.open(), ana), MESSAGES, "byte {at}");
    }
    assert!(refused * 10 > length * 9, "{refused} of {length}");
}

#[test]
fn a_bit_of_the_published_checkpoint_is_named() {
    let world = World::sim(6, keystore());
    let ana = runtime().block_on(fill(&world));
    let disk = world.disk.clone().unwrap();
    let open = world.open();
    let checkpoint = Path::new("/store/audit/checkpoint");
    let (_, bytes) = disk.files().into_iter().find(|(path, _)| path == checkpoint).unwrap();
    for at in (0..bytes.len() as u64).step_by(7) {
        disk.flip(checkpoint, at, 2).unwrap();
        let found = open.store.audit_verify(&open.permit(Action::Verify, None)).unwrap().damage;
        assert!(!found.is_empty(), "byte {at} of the checkpoint");
        assert_eq!(readable(&open, ana), MESSAGES);
        disk.flip(checkpoint, at, 2).unwrap();
    }
    assert_eq!(open.store.audit_verify(&open.permit(Action::Verify, None)).unwrap().damage, []);
}

fn files_below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, out) } else { out.push(path) }
    }
}

/// Single bits in every file of the index: what is read wrong is noticed, and made again from the log.
#[test]
fn a_bit_of_the_index_changes_no_answer() {
    for index in [IndexEngine::Sled, IndexEngine::Fjall] {
        let world = World::real(index);
        let ana = runtime().block_on(fill(&world));
        drop(world.open());
        let mut files = Vec::new();
        files_below(&world.dir.join("index"), &mut files);
        let kept: Vec<(PathBuf, Vec<u8>)> =
            files.into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect();
        let mut flipped = 0;
        for (file, bytes) in kept.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            for part in 0..6 {
                let at = (bytes.len() - 1) * part / 5;
                std::fs::remove_dir_all(world.dir.join("index")).unwrap();
                for (file, bytes) in &kept {
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, bytes).unwrap();
                }
                let mut wrong = bytes.clone();
                wrong[at] ^= 0x10;
                std::fs::write(file, wrong).unwrap();
                flipped += 1;
                let open = world.open();
                for _ in 0..200 {
                    let seen = open.store.verify(&open.permit(Action::Verify, None), &mut |_, _| {});
                    if open.store.condition().is_ok() && seen.is_ok_and(|report| report.damage.is_empty()) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                let told = format!("{index:?} {} at {at}", file.display());
                assert_eq!(open.verify().damage, [], "{told}");
                assert_eq!(readable(&open, ana), MESSAGES, "{told}");
            }
        }
        println!("{index:?}: {flipped} bits in {} files", kept.len());
    }
}
