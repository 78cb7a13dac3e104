//! Every dependency's licence against a short permissive list, offline.

use crate::{Outcome, run};

/// Licences that any use may rely on. `deny.toml` holds the same list.
const PERMISSIVE: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that may carry something else, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "fxhash",
    "Apache-2.0/MIT",
    "sled 0.34's; the old spelling of Apache-2.0 OR MIT; unmaintained, listed in deny.toml",
)];

/// Crates that must not enter the tree, each with its reason.
const BANNED: [(&str, &str); 3] = [
    ("aws-lc-rs", "ring is the one provider"),
    ("aws-lc-sys", "ring is the one provider"),
    ("openssl-sys", "rustls is the one TLS"),
];

/// Checks the whole dependency tree.
pub fn run() -> Outcome {
    let metadata = run::metadata()?;
    let mut wrong = Vec::new();
    let mut count = 0_usize;
    // The resolve graph, not `packages`: what other platforms would need is not in it.
    let used: std::collections::BTreeSet<&str> =
        metadata["resolve"]["nodes"].as_array().into_iter().flatten().filter_map(|node| node["id"].as_str()).collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let id = package["id"].as_str().unwrap_or_default();
        if !used.contains(id) {
            continue;
        }
        count += 1;
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            wrong.push(format!("{name} is banned: {why}"));
        }
        let excepted = EXCEPTIONS.iter().any(|(exception, expression, _)| *exception == name && *expression == licence);
        if !excepted && !permits(licence) {
            wrong.push(format!("{name}: licence `{licence}` is not on the list"));
        }
    }
    if wrong.is_empty() {
        println!("licences: {count} packages, all permissive");
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Whether an SPDX expression can be satisfied by the permissive list.
fn permits(expression: &str) -> bool {
    // The old spelling `A/B` means OR.
    let spelled = expression.replace('/', " OR ");
    let words = spelled.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut position = 0;
    let value = any_of(&words, &mut position);
    value && position == words.len()
}

fn any_of(words: &[&str], position: &mut usize) -> bool {
    let mut value = all_of(words, position);
    while words.get(*position) == Some(&"OR") {
        *position += 1;
        value |= all_of(words, position);
    }
    value
}

fn all_of(words: &[&str], position: &mut usize) -> bool {
    let mut value = one(words, position);
    while words.get(*position) == Some(&"AND") {
        *position += 1;
        value &= one(words, position);
    }
    value
}

fn one(words: &[&str], position: &mut usize) -> bool {
    let Some(word) = words.get(*position) else {
        return false;
    };
    *position += 1;
    if *word == "(" {
        let value = any_of(words, position);
        if words.get(*position) == Some(&")") {
            *position += 1;
        }
        return value;
    }
    if words.get(*position) == Some(&"WITH") {
        let exception = words.get(*position + 1).copied().unwrap_or_default();
        *position += 2;
        return PERMISSIVE.contains(&format!("{word} WITH {exception}").as_str());
    }
    PERMISSIVE.contains(word)
}

#[cfg(test)]
mod tests {
    use super::permits;

    #[test]
    fn expressions() {
        assert!(permits("MIT"));
        assert!(permits("GPL-3.0-only OR MIT"));
        assert!(permits("MIT/Apache-2.0"));
        assert!(permits("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(permits("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"));
        assert!(!permits("GPL-3.0-only"));
        assert!(!permits("MIT AND OpenSSL"));
        assert!(!permits(""));
        assert!(!permits("MIT GPL"));
    }
}
