//! A proof of one entry that is verified offline, with the log's key alone (C2SP tlog-proof).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{AuditError, Result};
use crate::leaf::{Hash, leaf_hash};
use crate::note::{Checkpoint, NoteKey};
use crate::proof::{inclusion_proof, verify_inclusion};
use crate::tile::TileReader;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
const EXTRA_CHARS_MAX: usize = 64 * 1024;

/// Index, inclusion path and signed checkpoint: all that shows an entry to be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry's index.
    pub index: u64,
    /// The path from its sibling to the root's child.
    pub path: Vec<Hash>,
    /// The signed checkpoint, as the log issued it.
    pub note: String,
}

impl EntryProof {
    /// The proof of the entry at `index` under a signed checkpoint.
    pub fn make(tiles: &dyn TileReader, index: u64, note: &str, key: &NoteKey) -> Result<Self> {
        let head = Checkpoint::verify(note, key)?;
        let path = inclusion_proof(tiles, index, head.size)?;
        Ok(Self { index, path, note: note.to_owned() })
    }

    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&BASE64.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// Reads a file's text. An `extra` line is passed over: nothing vouches for it.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let rest = text.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?;
            let (head, note) = rest.split_once("\n\n")?;
            let mut lines = head.split('\n').peekable();
            lines.next_if(|l| l.starts_with("extra ") && l.len() <= EXTRA_CHARS_MAX);
            let digits = lines.next()?.strip_prefix("index ")?;
            let index: u64 = digits.parse().ok()?;
            if index.to_string() != digits {
                return None;
            }
            let mut path = Vec::new();
            for line in lines {
                // A tree of 2^64 leaves has paths of 64 hashes.
                if path.len() >= 64 {
                    return None;
                }
                path.push(Hash(BASE64.decode(line).ok()?.try_into().ok()?));
            }
            Some(Self { index, path, note: note.to_owned() })
        };
        read().ok_or(AuditError::Malformed("entry proof"))
    }

    /// Whether it shows that these bytes are the log's entry at [`EntryProof::index`]; returns the checkpoint.
    pub fn verify(&self, entry: &[u8], key: &NoteKey) -> Result<Checkpoint> {
        let head = Checkpoint::verify(&self.note, key)?;
        verify_inclusion(leaf_hash(entry), self.index, head.size, &self.path, head.root)?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::{NoteSigner, TileId, Tree};
    use pli_crypto::SigningKey;
    use proptest::prelude::*;

    fn log(size: u32) -> (Tree, NoteSigner, String) {
        let mut tree = Tree::new();
        for i in 0..size {
            tree.append(leaf_hash(&i.to_be_bytes()));
        }
        let signer = NoteSigner::new("log", SigningKey::generate().unwrap().0).unwrap();
        let head = Checkpoint { origin: "log".into(), size: tree.size(), root: tree.root() };
        let note = head.sign(&signer).unwrap();
        (tree, signer, note)
    }

    #[test]
    fn round_trip_and_refusals() {
        for (size, index) in [(1, 0), (2, 1), (100, 37)] {
            let (tree, signer, note) = log(size);
            let tiles = |id: TileId| {
                let tile = tree.partial_tiles().find(|t| t.id == id);
                tile.map(|t| t.hashes).ok_or_else(|| AuditError::Tile(id.path()))
            };
            let key = signer.public();
            let proof = EntryProof::make(&tiles, u64::from(index), &note, key).unwrap();
            let text = proof.encode();
            assert_eq!(EntryProof::parse(&text).unwrap(), proof);
            let with_extra = text.replacen("index", "extra AAAA\nindex", 1);
            assert_eq!(EntryProof::parse(&with_extra).unwrap(), proof);
            assert_eq!(proof.verify(&u32::to_be_bytes(index), key).unwrap().size, u64::from(size));
            assert!(proof.verify(&u32::to_be_bytes(index + 1), key).is_err());
            for i in 0..text.len() {
                let mut bad = text.clone().into_bytes();
                bad[i] ^= 1;
                let Ok(bad) = String::from_utf8(bad) else {
                    continue;
                };
                let outcome = EntryProof::parse(&bad).and_then(|p| p.verify(&u32::to_be_bytes(index), key));
                assert!(outcome.is_err(), "byte {i} of {bad}");
            }
            assert!(EntryProof::make(&tiles, u64::from(size), &note, key).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Z]{0,4}\n)?(index [0-9+]{0,3}\n)?([A-Za-z0-9+/=]{0,44}\n){0,3}\n?\\PC{0,20}") {
            if let Ok(proof) = EntryProof::parse(&text) {
                prop_assert_eq!(EntryProof::parse(&proof.encode()).unwrap(), proof);
            }
        }
    }
}
