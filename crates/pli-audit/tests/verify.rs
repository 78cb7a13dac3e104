//! Each attack on a stored log, and the index that verification names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashMap;

use pli_audit::{
    AuditError, Checkpoint, Event, Fault, Hash, LogKey, LogKeyId, NoteSigner, Report, SealedEvent, StoredEntry, TileId,
    Tree, Verifier, verify,
};
use pli_crypto::{Secret32, SigningKey};
use pli_types::{Action, SessionId, SessionInfo, UnixMillis};

const ORIGIN: &str = "mail.example.org/pli";
const START: UnixMillis = UnixMillis(1_795_510_800_000);

fn log_key(id: LogKeyId) -> LogKey {
    LogKey::new(&Secret32::new([4; 32]), id)
}

fn sealed(sequence: u64, time: UnixMillis, reason: &str) -> SealedEvent {
    let session = SessionInfo::system(SessionId(1));
    let mut event = Event::new("s", &session, Action::Login, time).refused("NO", reason);
    event.sequence = sequence;
    log_key(event.key_id()).seal(&event).unwrap()
}

fn entry(sealed: &SealedEvent) -> StoredEntry {
    StoredEntry { leaf: sealed.leaf().encode().to_vec(), sealed: Some(sealed.as_bytes().to_vec()) }
}

struct Log {
    entries: Vec<StoredEntry>,
    checkpoints: Vec<Checkpoint>,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

/// 700 entries, signed at 0, 100, 256, 300 and 690.
fn log() -> Log {
    let signer = NoteSigner::new(ORIGIN, SigningKey::generate().unwrap().0).unwrap();
    let mut log = Log { entries: Vec::new(), checkpoints: Vec::new(), tiles: HashMap::new() };
    let mut tree = Tree::new();
    for i in 0..=700 {
        if [0, 100, 256, 300, 690].contains(&i) {
            let head = Checkpoint { origin: ORIGIN.into(), size: i, root: tree.root() };
            let note = head.sign(&signer).unwrap();
            log.checkpoints.push(Checkpoint::verify(&note, signer.public()).unwrap());
        }
        if i < 700 {
            let sealed = sealed(i, START.plus_ms(1000 * i64::try_from(i).unwrap()), "as it was");
            log.entries.push(entry(&sealed));
            for tile in tree.append(sealed.leaf().hash()) {
                log.tiles.insert((tile.id.level, tile.id.index), tile.hashes);
            }
        }
    }
    for tile in tree.partial_tiles() {
        log.tiles.insert((tile.id.level, tile.id.index), tile.hashes);
    }
    log
}

impl Log {
    fn plain(&self) -> Result<Report, Fault> {
        verify(self.entries.iter().cloned().map(Ok), &self.checkpoints, START)
    }
    fn full(&self) -> Result<Report, Fault> {
        let tiles =
            |id: TileId| self.tiles.get(&(id.level, id.index)).cloned().ok_or_else(|| AuditError::Tile(id.path()));
        let keys = |id| Some(log_key(id));
        let verifier = Verifier { keys: &keys, tiles: Some(&tiles), may_lack: &|_| false };
        verifier.run(self.entries.iter().cloned().map(Ok), &self.checkpoints)
    }
    fn both(&self) -> Fault {
        let (plain, full) = (self.plain().unwrap_err(), self.full().unwrap_err());
        assert_eq!(plain, full);
        plain
    }
    // Rewrites an entry with a true leaf over it, as one who has the log's keys but not the signing key can.
    fn rewrite(&mut self, index: u64) {
        let time = START.plus_ms(1000 * i64::try_from(index).unwrap());
        self.entries[usize::try_from(index).unwrap()] = entry(&sealed(index, time, "as he wants it"));
    }
}

#[test]
fn a_whole_log_verifies() {
    let log = log();
    let report = log.full().unwrap();
    assert_eq!((report.entries, report.opened, report.checkpoints, report.unsigned), (700, 700, 5, 10));
    assert_eq!((report.clock_back, report.destroyed), (None, 0));
    let plain = log.plain().unwrap();
    assert_eq!((plain.opened, plain.root), (0, report.root));
    let empty = verify([], &[], START).unwrap();
    assert_eq!((empty.entries, empty.root), (0, Tree::new().root()));
}

#[test]
fn each_edited_byte_of_an_event_is_named() {
    let mut log = log();
    let bytes = log.entries[123].sealed.clone().unwrap();
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 0x10;
        log.entries[123].sealed = Some(bad);
        assert_eq!(log.plain().unwrap_err(), Fault::Digest { index: 123 }, "byte {i}");
    }
    log.entries[123].sealed = Some(bytes[..bytes.len() - 1].to_vec());
    assert_eq!(log.both(), Fault::Digest { index: 123 });
}

#[test]
fn each_edited_byte_of_a_leaf_is_named() {
    let mut log = log();
    let leaf = log.entries[123].leaf.clone();
    for i in 0..leaf.len() {
        let mut bad = leaf.clone();
        bad[i] ^= 0x10;
        log.entries[123].leaf = bad;
        assert_eq!(log.plain().unwrap_err().first_bad(), 123, "byte {i}");
    }
}

#[test]
fn a_rewritten_entry_is_named() {
    let mut log = log();
    log.rewrite(280);
    // The checkpoints alone give the range, the tiles the index.
    assert_eq!(log.plain().unwrap_err(), Fault::Root { index: 256, size: 300, exact: false });
    assert_eq!(log.full().unwrap_err(), Fault::Root { index: 280, size: 300, exact: true });
    log.rewrite(3);
    log.rewrite(150);
    assert_eq!(log.plain().unwrap_err(), Fault::Root { index: 0, size: 100, exact: false });
    assert_eq!(log.full().unwrap_err(), Fault::Root { index: 3, size: 100, exact: true });
    // What no checkpoint covers yet can be rewritten: the report says how many those are.
    let mut log = self::log();
    log.rewrite(695);
    assert_eq!(log.plain().unwrap().unsigned, 10);
}

#[test]
fn rewritten_tiles_prove_nothing() {
    let mut log = log();
    log.rewrite(150);
    log.rewrite(280);
    // The tile follows the first rewritten entry only: the comparison would say 280, and 150 is the first.
    let leaf = pli_audit::leaf_hash(&log.entries[150].leaf);
    log.tiles.get_mut(&(0, 0)).unwrap()[150] = leaf;
    assert_eq!(log.full().unwrap_err(), Fault::Root { index: 100, size: 256, exact: false });
    // Tiles that are wrong where the entries are right.
    let mut log = self::log();
    log.tiles.get_mut(&(0, 1)).unwrap()[10] = Hash([0; 32]);
    assert_eq!(log.full().unwrap_err(), Fault::Tile { index: 266 });
    log.plain().unwrap();
    // Tiles that are not there: a rewritten entry still shows in the root.
    log.tiles.clear();
    log.rewrite(280);
    assert_eq!(log.full().unwrap_err(), Fault::Root { index: 256, size: 300, exact: false });
}

#[test]
fn a_deleted_entry_is_named() {
    let mut log = log();
    log.entries.remove(123);
    assert_eq!(log.both(), Fault::Sequence { index: 123, found: 124 });
}

#[test]
fn reordered_entries_are_named() {
    let mut log = log();
    log.entries.swap(123, 456);
    assert_eq!(log.both(), Fault::Sequence { index: 123, found: 456 });
    // Events exchanged under leaves that stayed.
    let mut log = self::log();
    let other = log.entries[456].sealed.clone();
    log.entries[123].sealed = other;
    assert_eq!(log.both(), Fault::Digest { index: 123 });
}

#[test]
fn an_inserted_entry_is_named() {
    let mut log = log();
    let twin = log.entries[123].clone();
    log.entries.insert(124, twin);
    assert_eq!(log.both(), Fault::Sequence { index: 124, found: 123 });
    // One made with the right sequence, and all behind it numbered anew.
    let mut log = self::log();
    for i in 600..700 {
        log.rewrite(i);
    }
    assert_eq!(log.full().unwrap_err(), Fault::Root { index: 600, size: 690, exact: true });
}

#[test]
fn a_cut_tail_is_named() {
    let mut log = log();
    log.entries.truncate(650);
    assert_eq!(log.both(), Fault::Cut { index: 650, size: 690 });
    log.entries.clear();
    assert_eq!(log.both(), Fault::Cut { index: 0, size: 690 });
}

// Both are put back to an earlier state: only a checkpoint kept elsewhere (mailed, witnessed) tells.
#[test]
fn a_rolled_back_log_is_found_by_a_kept_checkpoint() {
    let mut log = log();
    let kept = log.checkpoints[4].clone();
    log.entries.truncate(300);
    log.checkpoints.truncate(4);
    log.plain().unwrap();
    log.checkpoints.push(kept);
    assert_eq!(log.both(), Fault::Cut { index: 300, size: 690 });
}

#[test]
fn a_split_view_is_named() {
    let mut log = log();
    let mut other = log.checkpoints[2].clone();
    other.root = Hash([1; 32]);
    log.checkpoints.push(other);
    assert_eq!(log.both(), Fault::Split { index: 256 });
}

#[test]
fn a_missing_event_is_named_until_its_retention_is_over() {
    let mut log = log();
    log.entries[123].sealed = None;
    assert_eq!(log.both(), Fault::Missing { index: 123 });
    let entries = || log.entries.iter().cloned().map(Ok);
    let later = START.plus_ms(400 * 86_400_000);
    let report = verify(entries(), &log.checkpoints, later).unwrap();
    assert_eq!((report.destroyed, report.checkpoints), (1, 5));
}

#[test]
fn an_event_under_a_false_key_is_named() {
    let mut log = log();
    let index = 695;
    let time = START.plus_ms(695_000);
    let session = SessionInfo::system(SessionId(1));
    let mut event = Event::new("s", &session, Action::Login, time);
    event.sequence = index;
    let forged = LogKey::new(&Secret32::new([5; 32]), event.key_id()).seal(&event).unwrap();
    log.entries[695] = entry(&forged);
    assert_eq!(log.full().unwrap_err(), Fault::Event { index });
}

#[test]
fn a_backdated_entry_is_reported() {
    let mut log = log();
    log.entries[695] = entry(&sealed(695, START, "earlier"));
    assert_eq!(log.plain().unwrap().clock_back, Some(695));
}

#[test]
fn an_unreadable_entry_is_named() {
    let log = log();
    let mut entries: Vec<Result<StoredEntry, AuditError>> = log.entries.into_iter().map(Ok).collect();
    entries[123] = Err(AuditError::Malformed("row"));
    let fault = verify(entries, &log.checkpoints, START).unwrap_err();
    assert_eq!(fault, Fault::Read { index: 123, error: AuditError::Malformed("row") });
    assert!(fault.to_string().contains("entry 123"));
}
