//! House style as a check: headers, names, lengths, clocks and files in their rooms.

use std::path::{Path, PathBuf};

use crate::{Outcome, rfc, run};

/// Lines after which a file needs a reason.
const FILE_LINES_MAX: usize = 800;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 4] = ["common", "core", "util", "server"];

/// What only the rooms below may touch, so that all else runs on simulated ones.
const OUTSIDE_WORLD: [&str; 5] = ["SystemTime::now", "Instant::now", "std::fs", "tokio::fs", "Utc::now"];

/// The rooms that may.
const ROOMS: [&str; 5] = ["crates/pli-io/", "crates/pli/", "xtask/", "tests/", "benches/"];

/// Runs every check and lists every finding.
pub fn run() -> Outcome {
    let mut wrong = Vec::new();
    let mut sources = Vec::new();
    for dir in ["crates", "tests", "benches", "xtask"] {
        sources.extend(run::files(dir, &[".rs"]));
    }
    for path in &sources {
        source(path, &run::text(path)?, &mut wrong);
    }
    let transcripts = run::files("tests/transcripts", &[".txt"]);
    for path in &transcripts {
        transcript(path, &run::text(path)?, &mut wrong);
    }
    declared(&mut wrong)?;
    if wrong.is_empty() {
        println!("tidy: {} sources, {} transcripts", sources.len(), transcripts.len());
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn source(path: &Path, text: &str, wrong: &mut Vec<String>) {
    let shown = path.display();
    if !text.starts_with("//!") {
        wrong.push(format!("{shown}: opens without a `//!` line"));
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        wrong.push(format!("{shown}: the name says nothing about what it holds"));
    }
    let count = text.lines().count();
    let reasoned = text.lines().take(40).any(|line| line.trim_start().starts_with("// long: "));
    if count > FILE_LINES_MAX && !reasoned {
        wrong.push(format!("{shown}: {count} lines; split it, or say why near its top (`// long: reason`)"));
    }
    let name = path.to_string_lossy();
    let test_file = stem == "tests" || ["/tests/", "/benches/", "/examples/"].iter().any(|room| name.contains(room));
    if test_file || ROOMS.iter().any(|room| name.starts_with(room)) {
        return;
    }
    for (number, line) in outside_tests(text) {
        let code = line.split("//").next().unwrap_or_default();
        for banned in OUTSIDE_WORLD {
            if code.contains(banned) {
                wrong.push(format!("{shown}:{number}: {banned} belongs behind pli-io"));
            }
        }
    }
}

/// The numbered lines of a source that no `#[cfg(test)]` item holds.
fn outside_tests(text: &str) -> Vec<(usize, &str)> {
    let mut lines = text.lines().enumerate();
    let mut kept = Vec::new();
    while let Some((number, line)) = lines.next() {
        if !line.trim_start().starts_with("#[cfg(test)]") {
            kept.push((number + 1, line));
            continue;
        }
        // The item ends where its braces balance, or at `;` before any brace.
        let mut depth = 0_i64;
        let mut opened = false;
        for (_, line) in lines.by_ref() {
            for c in line.chars() {
                match c {
                    '{' => {
                        depth += 1;
                        opened = true;
                    }
                    '}' => depth -= 1,
                    _ => {}
                }
            }
            let ended = line.trim_end().ends_with(';') && !opened;
            if ended || (opened && depth <= 0) {
                break;
            }
        }
    }
    kept
}

fn transcript(path: &Path, text: &str, wrong: &mut Vec<String>) {
    let first = text.lines().next().unwrap_or_default();
    let cites = rfc::references(first).iter().any(|(_, section)| section.is_some());
    if !first.starts_with("# RFC ") || !cites || !first.contains(": ") {
        wrong.push(format!("{}: first line must be `# RFC n §s: what`", path.display()));
    }
    let answers = text.lines().any(|line| line.starts_with('S'));
    if !answers {
        wrong.push(format!("{}: expects no answer, so it cannot fail", path.display()));
    }
}

/// Each file directly under `tests/` must be a declared target: a forgotten
/// test passes for ever.
fn declared(wrong: &mut Vec<String>) -> Outcome {
    let manifest = run::text(&PathBuf::from("tests/Cargo.toml"))?;
    for path in run::files("tests", &[".rs"]) {
        let inside = path.strip_prefix("tests").unwrap_or(&path);
        if inside.components().count() == 1 && !manifest.contains(&format!("path = \"{}\"", inside.display())) {
            wrong.push(format!("{}: no target in tests/Cargo.toml names it", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{outside_tests, source, transcript};
    use std::path::Path;

    #[test]
    fn sees_a_clock_outside_tests_only() {
        let text = "//! x\nfn a() { Instant::now(); }\n#[cfg(test)]\nmod tests {\n fn b() { Instant::now(); }\n}\nfn c() { std::fs::read(p); } // Utc::now\n";
        let mut wrong = Vec::new();
        source(Path::new("crates/pli-store/src/a.rs"), text, &mut wrong);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains(":2:") && wrong[1].contains(":7:"), "{wrong:?}");
        let declared = "a\n#[cfg(test)]\nmod tests;\nb\n";
        assert_eq!(outside_tests(declared), [(1, "a"), (4, "b")]);
    }

    #[test]
    fn names_lengths_headers() {
        let mut wrong = Vec::new();
        source(Path::new("crates/a/src/util.rs"), "fn a() {}\n", &mut wrong);
        source(Path::new("crates/a/src/b.rs"), &format!("//! b\n{}", "\n".repeat(900)), &mut wrong);
        source(Path::new("crates/a/src/c.rs"), &format!("//! c\n// long: a table\n{}", "\n".repeat(900)), &mut wrong);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }

    #[test]
    fn transcripts_need_their_line() {
        let mut wrong = Vec::new();
        transcript(Path::new("a.txt"), "# RFC 9051 §6.1.1: what\nS: a\n", &mut wrong);
        assert!(wrong.is_empty());
        transcript(Path::new("a.txt"), "# RFC 9051: what\nC: a\n", &mut wrong);
        assert_eq!(wrong.len(), 2);
    }
}
