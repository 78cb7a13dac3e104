//! Which crate may use which: the table of architecture.md, as data.
//!
//! A crate may use what its row names, what those may use in turn, and nothing
//! else. Rows only name crates of earlier rows, so a cycle cannot be written
//! down. Dependencies of tests are free.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Outcome, run};

/// Crate, and what it may use directly; indirect use follows.
const ROWS: [(&str, &[&str]); 22] = [
    ("pli-types", &[]),
    ("pli-io", &["pli-types"]),
    ("pli-crypto", &["pli-types"]),
    ("pli-pkcs11", &["pli-types", "pli-crypto"]),
    ("pli-mime", &["pli-types"]),
    ("pli-audit", &["pli-types", "pli-crypto"]),
    ("pli-search", &["pli-mime"]),
    ("pli-store", &["pli-types", "pli-crypto", "pli-mime", "pli-audit", "pli-search"]),
    ("pli-sasl", &["pli-crypto"]),
    ("pli-directory", &["pli-types", "pli-crypto", "pli-store"]),
    ("pli-gate", &["pli-types", "pli-audit", "pli-directory", "pli-store", "pli-sasl"]),
    ("pli-net", &["pli-types"]),
    ("pli-imap-proto", &["pli-types"]),
    ("pli-imap", &["pli-imap-proto", "pli-gate", "pli-store", "pli-mime", "pli-net"]),
    ("pli-pop3", &["pli-gate", "pli-store", "pli-net", "pli-sasl", "pli-mime"]),
    ("pli-mailauth", &["pli-types", "pli-net"]),
    ("pli-filter", &["pli-mime", "pli-mailauth", "pli-store"]),
    ("pli-queue", &["pli-store", "pli-mailauth", "pli-net", "pli-gate"]),
    ("pli-smtp", &["pli-gate", "pli-net", "pli-filter", "pli-queue", "pli-mime"]),
    ("pli-admin", &["pli-gate", "pli-imap", "pli-smtp", "pli-queue"]),
    ("pli", &["pli-pkcs11", "pli-pop3", "pli-admin"]),
    ("pli-tests", &["pli"]),
];

/// Packages that look at the product from outside and may use any crate.
const OUTSIDE: [&str; 3] = ["pli-tests", "pli-benches", "xtask"];

/// Checks every arrow of the workspace.
pub fn run() -> Outcome {
    let allowed = closure();
    let metadata = run::metadata()?;
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let packages: Vec<&serde_json::Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| package["id"].as_str().is_some_and(|id| members.contains(id)))
        .collect();
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();

    let mut wrong = Vec::new();
    let mut arrows = 0_usize;
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("{name} has no row in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if !names.contains(on) || dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            arrows += 1;
            if !may.contains(on) {
                wrong.push(format!("{name} -> {on}: no such arrow in architecture.md"));
            }
        }
    }
    if wrong.is_empty() {
        println!("arrows: {} crates, {arrows} arrows, all one way", packages.len());
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// For each crate everything it may use, directly or through another.
fn closure() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, direct) in ROWS {
        // Names of things and the traits of the outside world are for everybody.
        let mut may = match name {
            "pli-types" => BTreeSet::new(),
            "pli-io" => BTreeSet::from(["pli-types"]),
            _ => BTreeSet::from(["pli-io", "pli-types"]),
        };
        for on in direct {
            may.insert(on);
            may.extend(all.get(on).into_iter().flatten());
        }
        all.insert(name, may);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{ROWS, closure};

    #[test]
    fn rows_only_name_earlier_rows() {
        let mut earlier = Vec::new();
        for (name, direct) in ROWS {
            for on in direct {
                assert!(earlier.contains(on), "{name} names {on}, which stands below it");
            }
            earlier.push(name);
        }
    }

    #[test]
    fn store_does_not_see_protocols() {
        let all = closure();
        assert!(all["pli-types"].is_empty());
        assert!(!all["pli-io"].contains("pli-io"));
        assert!(!all["pli-store"].contains("pli-imap"));
        assert!(!all["pli-imap-proto"].contains("pli-store"));
        assert!(all["pli-imap"].contains("pli-crypto"));
    }
}
