//! Tree, tiles and proofs against a second implementation, written word for word after RFC 6962 §2.1.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::HashMap;

use pli_audit::{
    AuditError, Hash, Tile, TileId, Tree, TreeState, consistency_proof, inclusion_proof, leaf_hash, root_from_tiles,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

/// The RFC's definitions, on leaf hashes.
mod naive {
    use super::Hash;

    fn sha256(bytes: &[u8]) -> Hash {
        Hash(pli_crypto::sha256(bytes))
    }
    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }
    pub(super) fn mth(d: &[Hash]) -> Hash {
        match d.len() {
            0 => sha256(b""),
            1 => d[0],
            n => {
                let (left, right) = (mth(&d[..k(n)]), mth(&d[k(n)..]));
                sha256(&[&[1][..], &left.0, &right.0].concat())
            }
        }
    }
    pub(super) fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        let n = d.len();
        if n == 1 {
            return Vec::new();
        }
        let k = k(n);
        if m < k {
            let mut p = path(m, &d[..k]);
            p.push(mth(&d[k..]));
            p
        } else {
            let mut p = path(m - k, &d[k..]);
            p.push(mth(&d[..k]));
            p
        }
    }
    pub(super) fn proof(m: usize, d: &[Hash]) -> Vec<Hash> {
        subproof(m, d, true)
    }
    fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        let n = d.len();
        if m == n {
            return if b { Vec::new() } else { vec![mth(d)] };
        }
        let k = k(n);
        if m <= k {
            let mut p = subproof(m, &d[..k], b);
            p.push(mth(&d[k..]));
            p
        } else {
            let mut p = subproof(m - k, &d[k..], false);
            p.push(mth(&d[..k]));
            p
        }
    }
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// A tree, and all full tiles it let go of.
struct Grown {
    tree: Tree,
    full: HashMap<TileId, Tile>,
}

fn grow(leaves: &[Hash]) -> Grown {
    let mut grown = Grown { tree: Tree::new(), full: HashMap::new() };
    for leaf in leaves {
        for tile in grown.tree.append(*leaf) {
            assert!(grown.full.insert(tile.id, tile).is_none());
        }
    }
    grown
}

impl Grown {
    // Serves what exists at the present size only: full tiles, and the partial ones of this size.
    fn read(&self, id: TileId) -> Result<Vec<Hash>, AuditError> {
        let full = TileId { width: 256, ..id };
        let partial = self.tree.partial_tiles().find(|t| t.id.level == id.level && t.id.index == id.index);
        let tile = self.full.get(&full).cloned().or(partial);
        tile.map(|t| t.hashes).ok_or_else(|| AuditError::Tile(id.path()))
    }
}

#[test]
fn roots_of_all_small_sizes() {
    let all = leaves(600);
    let mut tree = Tree::new();
    for n in 0..=all.len() {
        assert_eq!(tree.root(), naive::mth(&all[..n]), "{n}");
        assert_eq!(tree.size(), n as u64);
        if let Some(leaf) = all.get(n) {
            tree.append(*leaf);
        }
    }
}

// Known answers of the certificate transparency reference tests, quoted in many implementations: these eight entries.
#[test]
fn known_roots() {
    let hex =
        |t: &str| (0..t.len()).step_by(2).map(|i| u8::from_str_radix(&t[i..i + 2], 16).unwrap()).collect::<Vec<_>>();
    let entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let mut tree = Tree::new();
    let mut roots = vec![tree.root().to_string()];
    for entry in entries {
        tree.append(leaf_hash(&hex(entry)));
        roots.push(tree.root().to_string());
    }
    assert_eq!(roots[0], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(roots[1], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(roots[2], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    assert_eq!(roots[8], "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

// The specification's example: a tree of 70,000, and one of 256.
#[test]
fn tiles_of_the_specification() {
    let tiles: Vec<TileId> = TileId::all(70_000).collect();
    let count = |level, partial| tiles.iter().filter(|t| t.level == level && t.is_partial() == partial).count();
    assert_eq!([count(0, false), count(0, true), count(1, false), count(1, true), count(2, true)], [273, 1, 1, 1, 1]);
    let widths: Vec<u16> = tiles.iter().filter(|t| t.is_partial()).map(|t| t.width).collect();
    assert_eq!((widths, tiles.len()), (vec![112, 17, 1], 277));
    let small: Vec<String> = TileId::all(256).map(|t| t.path()).collect();
    assert_eq!(small, ["tile/0/000", "tile/1/000.p/1"]);
}

// Every tile of a tree with three levels, against the specification's formula.
#[test]
fn tiles_hold_the_subtrees() {
    let all = leaves(66_000);
    let grown = grow(&all);
    assert_eq!(grown.tree.root(), naive::mth(&all));
    let mut full = 0;
    for id in TileId::all(66_000) {
        let hashes = grown.read(id).unwrap();
        assert_eq!(hashes.len(), usize::from(id.width), "{id}");
        let span = 256_usize.pow(u32::from(id.level));
        for (i, hash) in hashes.iter().enumerate() {
            let start = (usize::try_from(id.index).unwrap() * 256 + i) * span;
            assert_eq!(*hash, naive::mth(&all[start..start + span]), "{id} {i}");
        }
        let tile = Tile { id, hashes };
        assert_eq!(Tile::decode(id, &tile.encode()).unwrap(), tile);
        assert!(Tile::decode(id, &tile.encode()[1..]).is_err());
        full += usize::from(!id.is_partial());
    }
    assert_eq!(full, grown.full.len());
    assert_eq!(root_from_tiles(&|id| grown.read(id), 66_000).unwrap(), grown.tree.root());
    // Proofs that need all three levels.
    for index in [0, 255, 256, 65_535, 65_536, 65_999] {
        let proof = inclusion_proof(&|id| grown.read(id), index, 66_000).unwrap();
        let at = usize::try_from(index).unwrap();
        assert_eq!(proof, naive::path(at, &all));
        verify_inclusion(all[at], index, 66_000, &proof, grown.tree.root()).unwrap();
    }
}

#[test]
fn paths() {
    let path = |index, width| TileId { level: 0, index, width }.path();
    assert_eq!(path(1_067, 5), "tile/0/x001/067.p/5");
    assert_eq!(path(1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(0, 256), "tile/0/000");
    assert_eq!(pli_audit::bundle_path(1_067, 256), "tile/entries/x001/067");
    assert_eq!(pli_audit::bundle_path(7, 3), "tile/entries/007.p/3");
    for bad in [
        "",
        "tile/0/",
        "tile/00/000",
        "tile/8/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/001/067",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/05",
        "tile/0/+00",
        "tile/entries/000",
        "tile/0/000/",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(TileId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn bounds() {
    let grown = grow(&leaves(5));
    let reader = |id| grown.read(id);
    assert_eq!(inclusion_proof(&reader, 5, 5), Err(AuditError::Bounds));
    assert_eq!(consistency_proof(&reader, 6, 5), Err(AuditError::Bounds));
    assert_eq!(root_from_tiles(&reader, 0).unwrap(), Tree::new().root());
    // A reader without tiles gives an error, not a proof.
    let nothing = |id: TileId| -> Result<Vec<Hash>, AuditError> { Err(AuditError::Tile(id.path())) };
    assert!(inclusion_proof(&nothing, 0, 5).is_err());
    let short = |_: TileId| -> Result<Vec<Hash>, AuditError> { Ok(Vec::new()) };
    assert!(root_from_tiles(&short, 5).is_err());
}

// All pairs up to 70: the shapes of proofs repeat beyond.
#[test]
fn all_small_proofs() {
    let all = leaves(70);
    for n in 1..=all.len() {
        let grown = grow(&all[..n]);
        let reader = |id| grown.read(id);
        let (size, root) = (n as u64, grown.tree.root());
        for m in 0..n {
            let proof = inclusion_proof(&reader, m as u64, size).unwrap();
            assert_eq!(proof, naive::path(m, &all[..n]));
            verify_inclusion(all[m], m as u64, size, &proof, root).unwrap();
        }
        for m in 1..=n {
            let proof = consistency_proof(&reader, m as u64, size).unwrap();
            assert_eq!(proof, naive::proof(m, &all[..n]));
            verify_consistency(m as u64, naive::mth(&all[..m]), size, root, &proof).unwrap();
        }
    }
}

fn refused(result: &Result<(), AuditError>) {
    assert!(result.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn proofs_of_larger_trees(n in 1_usize..1500, a in 0_usize..1500, flip in 0_usize..10_000) {
        let m = a % n;
        let all = leaves(n);
        let grown = grow(&all);
        let reader = |id| grown.read(id);
        let (size, root) = (n as u64, grown.tree.root());
        prop_assert_eq!(root, naive::mth(&all));
        prop_assert_eq!(root_from_tiles(&reader, size).unwrap(), root);

        let proof = inclusion_proof(&reader, m as u64, size).unwrap();
        prop_assert_eq!(&proof, &naive::path(m, &all));
        verify_inclusion(all[m], m as u64, size, &proof, root).unwrap();
        refused(&verify_inclusion(leaf_hash(b"x"), m as u64, size, &proof, root));
        refused(&verify_inclusion(all[m], m as u64, size, &proof, leaf_hash(b"x")));
        if n > 1 {
            refused(&verify_inclusion(all[m], (m as u64 + 1) % size, size, &proof, root));
        }
        let old = (m + 1) as u64;
        let old_root = naive::mth(&all[..=m]);
        let consistency = consistency_proof(&reader, old, size).unwrap();
        prop_assert_eq!(&consistency, &naive::proof(m + 1, &all));
        verify_consistency(old, old_root, size, root, &consistency).unwrap();
        refused(&verify_consistency(old, leaf_hash(b"x"), size, root, &consistency));
        refused(&verify_consistency(old, old_root, size, leaf_hash(b"x"), &consistency));

        for (proof, check) in [
            (proof, &(|p: &[Hash]| verify_inclusion(all[m], m as u64, size, p, root)) as &dyn Fn(&[Hash]) -> _),
            (consistency, &|p: &[Hash]| verify_consistency(old, old_root, size, root, p)),
        ] {
            let mut longer = proof.clone();
            longer.push(root);
            refused(&check(&longer));
            if proof.is_empty() {
                continue;
            }
            refused(&check(&proof[1..]));
            refused(&check(&proof[..proof.len() - 1]));
            let mut bad = proof.clone();
            bad[flip % proof.len()].0[flip % 32] ^= 1;
            refused(&check(&bad));
        }
    }

    // Resumed anywhere, it goes on as if nothing had happened, and lets go of the same tiles.
    #[test]
    fn resumes(n in 0_usize..1500, more in 0_usize..600) {
        let all = leaves(n + more);
        let grown = grow(&all[..n]);
        let bytes = grown.tree.state().encode();
        let state = TreeState::decode(&bytes).unwrap();
        prop_assert_eq!(state.encode(), bytes.clone());
        let mut resumed = Tree::resume(state);
        let mut tree = grown.tree;
        prop_assert_eq!(&resumed, &tree);
        for leaf in &all[n..] {
            prop_assert_eq!(resumed.append(*leaf), tree.append(*leaf));
        }
        prop_assert_eq!(resumed.root(), naive::mth(&all));
        if !bytes.is_empty() {
            prop_assert!(TreeState::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn state_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = TreeState::decode(&bytes);
        let _ = TreeState::decode(&[&[1, 0, 0, 0, 0, 0, 0, 0, 3][..], &bytes].concat()).map(Tree::resume);
    }

    #[test]
    fn tile_paths(level in 0_u8..8, index in any::<u64>(), width in 1_u16..=256, text in "tile/[0-9]/(x?[0-9]{3}/?){0,4}(.p/[0-9]{1,3})?") {
        let id = TileId { level, index, width };
        prop_assert_eq!(TileId::parse(&id.path()).unwrap(), id);
        if let Ok(id) = TileId::parse(&text) {
            prop_assert_eq!(id.path(), text);
        }
    }
}
