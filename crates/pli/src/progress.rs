//! A bar on standard error that shows how far long work is, where somebody looks.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use pli_admin::Tell;
use serde_json::Value;

use crate::cli::Global;
use crate::config::show_size;
use crate::output::{number, text};
use crate::texts::{Language, Text};

/// Characters of the bar.
const WIDTH: u64 = 30;

/// Shows progress on a terminal; elsewhere, and with `--json`, nothing.
pub fn bar(global: &Global) -> Tell {
    if global.json || !std::io::stderr().is_terminal() {
        return Arc::new(|_| {});
    }
    let language = global.language();
    Arc::new(move |progress| {
        let mut err = std::io::stderr().lock();
        // The line is written over; what was longer before is wiped.
        let _ = write!(err, "\r{}\x1b[K", line(&progress, language));
        let _ = err.flush();
    })
}

/// Leaves the bar's line.
pub fn end(global: &Global) {
    if !global.json && std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
    }
}

/// `[######------------] 31 %  log  3.1 GiB of 10.0 GiB  4 min 10 s left`
fn line(progress: &Value, language: Language) -> String {
    let of = |path| number(progress, path).unwrap_or(0);
    let (done, total) = (of("/done"), of("/total").max(1));
    let share = u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100).min(100);
    let full = usize::try_from(share * WIDTH / 100).unwrap_or(0);
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(usize::try_from(WIDTH).unwrap_or(0) - full));
    let step = match text(progress, "/step").as_str() {
        "log" => Text::StepLog,
        "rows" => Text::StepRows,
        "bodies" => Text::StepBodies,
        "counts" => Text::StepCounts,
        "audit" => Text::StepAudit,
        _ => Text::StepOriginals,
    };
    let mut out = format!("[{bar}] {share:3} %  {}", step.in_language(language));
    out.push_str(&format!("  {} / {}", show_size(done), show_size(total)));
    if let Some(seconds) = number(progress, "/eta_s") {
        out.push_str(&format!("  {}", Text::TimeLeft.with(language, &[&time(seconds)])));
    }
    let damage = of("/damage");
    if damage > 0 {
        out.push_str(&format!("  {}", Text::FoundSoFar.with(language, &[&damage.to_string()])));
    }
    out
}

/// `42 s`, `4 min 10 s`, `2 h 05 min`
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bar_in_either_language() {
        let progress = json!({"step": "log", "done": 1 << 30, "total": 4_u64 << 30, "eta_s": 250, "damage": 2});
        let shown = line(&progress, Language::En);
        assert!(shown.starts_with("[#######-----------------------]  25 %  log"), "{shown}");
        assert!(shown.contains("4 min 10 s left") && shown.contains("2 damaged"), "{shown}");
        assert!(line(&progress, Language::Fr).contains("encore 4 min 10 s"));
        assert!(!line(&json!({"step": "audit", "done": 0, "total": 0}), Language::En).contains("left"));
    }

    #[test]
    fn times() {
        assert_eq!([time(5), time(61), time(7500)], ["5 s", "1 min 01 s", "2 h 05 min"]);
    }
}
