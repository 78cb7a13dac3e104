//! `docs/rfc.md`: which RFC section is named where, from the code and the transcripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::{Outcome, run};

/// Everything that names one RFC.
#[derive(Default)]
struct Mentions {
    code: BTreeSet<String>,
    files: BTreeSet<String>,
    transcripts: usize,
}

/// Writes the table, or compares it with what is there.
pub fn run(check: bool) -> Outcome {
    let text = table()?;
    let path = run::root().join("docs/rfc.md");
    if check {
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        if there == text {
            println!("rfc: docs/rfc.md is up to date");
            return Ok(());
        }
        return Err("docs/rfc.md is out of date: run `cargo xtask rfc`".to_owned());
    }
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("rfc: wrote docs/rfc.md");
    Ok(())
}

fn table() -> Result<String, String> {
    let mut all: BTreeMap<u32, Mentions> = BTreeMap::new();
    for path in run::files("crates", &[".rs"]) {
        let crate_name = crate_of(&path);
        for line in run::text(&path)?.lines() {
            let Some((_, comment)) = line.split_once("//") else {
                continue;
            };
            for (number, section) in references(comment) {
                let mentions = all.entry(number).or_default();
                if let Some(section) = section {
                    mentions.code.insert(section);
                }
                mentions.files.insert(crate_name.clone());
            }
        }
    }
    for path in run::files("tests/transcripts", &[".txt"]) {
        let text = run::text(&path)?;
        let numbers: BTreeSet<u32> =
            references(text.lines().next().unwrap_or_default()).into_iter().map(|(number, _)| number).collect();
        for number in numbers {
            all.entry(number).or_default().transcripts += 1;
        }
    }
    let mut out = String::from(
        "# RFCs, by the lines that name them\n\n\
         Made by `cargo xtask rfc` from `// RFC n §s` comments and the first lines of transcripts.\n\n\
         | RFC | crates | sections named in code | transcripts |\n| --- | --- | --- | --- |\n",
    );
    for (number, mentions) in all {
        let crates: Vec<&str> = mentions.files.iter().map(String::as_str).collect();
        let mut sections: Vec<&str> = mentions.code.iter().map(String::as_str).collect();
        sections.sort_by_key(|section| natural(section));
        let _ =
            writeln!(out, "| {number} | {} | {} | {} |", crates.join(", "), sections.join(", "), mentions.transcripts);
    }
    Ok(out)
}

fn crate_of(path: &std::path::Path) -> String {
    let mut parts = path.components().skip(1);
    parts
        .next()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .unwrap_or_else(|| PathBuf::from(path).display().to_string())
}

/// Section numbers as numbers, so that 6.4.10 comes after 6.4.8.
fn natural(section: &str) -> Vec<u32> {
    section.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

/// `RFC 9051 §6.4.8` and the like in one line.
pub fn references(line: &str) -> Vec<(u32, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("RFC ") {
        rest = &rest[at + 4..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse::<u32>() else {
            continue;
        };
        rest = &rest[digits.len()..];
        let section = rest.trim_start().strip_prefix('§').map(|text| {
            let text: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            text.trim_end_matches('.').to_owned()
        });
        found.push((number, section.filter(|text| !text.is_empty())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::references;

    #[test]
    fn finds_numbers_and_sections() {
        assert_eq!(
            references("# RFC 9051 §6.4.8, RFC 5321 §4.1.1.: what"),
            [(9051, Some("6.4.8".to_owned())), (5321, Some("4.1.1".to_owned()))]
        );
        assert_eq!(references("RFC 2920"), [(2920, None)]);
        assert_eq!(references("RFC x"), []);
    }
}
