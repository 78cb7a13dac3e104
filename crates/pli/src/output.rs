//! What commands print: tables and fields for people, JSON for scripts. Answers go to standard output, everything else
//! to standard error.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::config::show_size;
use crate::failure::Failure;

/// Prints a line; a reader that has gone (`pli … | head`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line beside the answer.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints JSON.
pub fn value(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a failure: on standard error, with `--json` as JSON.
pub fn failure(failure: &Failure, json: bool) {
    if json {
        let error = json!({ "error": { "code": failure.code, "message": failure.message, "hint": failure.hint } });
        return note(&error.to_string());
    }
    note(&format!("pli: {}", failure.message));
    if let Some(hint) = &failure.hint {
        note(&format!("     {hint}"));
    }
}

/// Columns under headings (unless all are empty), as wide as they need to be.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let show = |cells: &[String]| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            out.push_str(cell);
            out.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
        line(out.trim_end());
    };
    if headings.iter().any(|h| !h.is_empty()) {
        show(&headings.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
    }
    for row in rows {
        show(row);
    }
}

/// An answer's numbers by their names, those of bytes as sizes.
pub fn counts(answer: &Value) {
    let rows: Vec<(&str, String)> = answer
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| {
            let of_bytes = name.starts_with("bytes") || name.ends_with("bytes");
            let shown = match count.as_u64() {
                Some(bytes) if of_bytes => show_size(bytes),
                _ => text(count, ""),
            };
            (name.as_str(), shown)
        })
        .collect();
    fields(&rows);
}

/// Names and values, one a line.
pub fn fields(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        line(&format!("{name}{}  {value}", " ".repeat(width.saturating_sub(name.chars().count()))));
    }
}

/// A field of an answer as text: empty for none.
pub fn text(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// Without control characters: what others wrote must not drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A number of an answer.
pub fn number(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path).and_then(Value::as_u64)
}

/// A moment of an answer, in Unix seconds, as `2026-11-24 13:05:00Z`.
pub fn moment(value: &Value, path: &str) -> String {
    let Some(secs) = value.pointer(path).and_then(Value::as_i64) else { return String::new() };
    when(secs)
}

/// Unix seconds as `2026-11-24 13:05:00Z`.
pub fn when(secs: i64) -> String {
    let date = crate::pki::Date::of(secs);
    let of_day = secs.rem_euclid(86_400);
    let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{:04}-{:02}-{:02} {hours:02}:{minutes:02}:{seconds:02}Z", date.year, date.month, date.day)
}
