//! The conformance table of `docs/imap.md`: each capability that the server announces, and the tests that show it.
//!
//! The rows are those of `extension.rs` in `pli-imap`, read as text; transcripts say what they show in lines
//! `# shows: NAME…`; what else shows something stands in the rows. A capability that no test shows is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{Outcome, run};

const ROWS: &str = "crates/pli-imap/src/extension.rs";
const PAGE: &str = "docs/imap.md";
const BEGIN: &str = "<!-- made by `cargo xtask rfc` from the tests: begin -->\n";
const END: &str = "<!-- end -->\n";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Extension {
    capability: String,
    rfc: String,
    file: String,
    /// File and function.
    tests: Vec<(String, String)>,
}

/// Writes the table into the page, or compares it with what is there.
pub fn run(check: bool) -> Outcome {
    let table = table()?;
    let page = run::text(Path::new(PAGE))?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/imap.md: the mark of the table is gone")?;
    let (_, after) = rest.split_once(END).ok_or("docs/imap.md: the mark of the table's end is gone")?;
    let made = format!("{before}{BEGIN}{table}{END}{after}");
    if made == page {
        println!("rfc: the conformance table of {PAGE} is up to date");
        return Ok(());
    }
    if check {
        return Err(format!("the conformance table of {PAGE} is out of date: run `cargo xtask rfc`"));
    }
    std::fs::write(run::root().join(PAGE), made).map_err(|error| format!("{PAGE}: {error}"))?;
    println!("rfc: wrote the conformance table of {PAGE}");
    Ok(())
}

fn table() -> Result<String, String> {
    let rows = rows(&run::text(Path::new(ROWS))?);
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in run::files("tests/transcripts", &[".txt"]) {
        let stem = path.strip_prefix("tests/transcripts").unwrap_or(&path).with_extension("");
        for name in shows(&run::text(&path)?) {
            if !rows.iter().any(|row| row.capability == name) {
                wrong.push(format!("{}: shows {name}, which no row of {ROWS} has", path.display()));
            }
            shown.entry(name).or_default().insert(stem.display().to_string());
        }
    }
    let mut out =
        String::from("| extension | defined in | file in `crates/` | shown by |\n| --- | --- | --- | --- |\n");
    for row in &rows {
        if !run::root().join("crates").join(&row.file).is_file() {
            wrong.push(format!("{}: there is no file crates/{}", row.capability, row.file));
        }
        let mut by: Vec<String> =
            shown.get(&row.capability).into_iter().flatten().map(|name| format!("`{name}`")).collect();
        for (file, function) in &row.tests {
            if !run::text(&PathBuf::from(file)).is_ok_and(|text| text.contains(&format!("fn {function}("))) {
                wrong.push(format!("{}: there is no test {function} in {file}", row.capability));
            }
            by.push(format!("`{function}` in `{file}`"));
        }
        if by.is_empty() {
            wrong.push(format!("{}: no test shows it (`# shows: {}`)", row.capability, row.capability));
        }
        let _ = writeln!(out, "| {} | {} | `{}` | {} |", row.capability, row.rfc, row.file, by.join(", "));
    }
    if rows.is_empty() {
        wrong.push(format!("{ROWS}: no rows"));
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong.join("\n")) }
}

/// The rows: lines of the form `of("NAME", "RFC n", "file", &["file function"]),`.
fn rows(text: &str) -> Vec<Extension> {
    let rows = text.lines().filter(|line| line.trim_start().starts_with("of(\""));
    rows.filter_map(|line| {
        let mut quoted = line.split('"').skip(1).step_by(2).map(str::to_owned);
        Some(Extension {
            capability: quoted.next()?,
            rfc: quoted.next()?,
            file: quoted.next()?,
            tests: quoted
                .filter_map(|test| test.split_once(' ').map(|(file, name)| (file.to_owned(), name.to_owned())))
                .collect(),
        })
    })
    .collect()
}

/// What a transcript says that it shows.
fn shows(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# shows:"));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{Extension, rows, shows};

    #[test]
    fn reads_rows_and_lines() {
        let text = "  of(\"A\", \"RFC 1\", \"a/src/b.rs\", &[\"tests/x.rs one\"]),\nconst fn of(\n";
        let row = Extension {
            capability: "A".into(),
            rfc: "RFC 1".into(),
            file: "a/src/b.rs".into(),
            tests: vec![("tests/x.rs".into(), "one".into())],
        };
        assert_eq!(rows(text), [row]);
        assert_eq!(shows("# RFC 1 §2: x\n# shows: A B\nC: # shows: D\n# shows: C\n"), ["A", "B", "C"]);
    }
}
