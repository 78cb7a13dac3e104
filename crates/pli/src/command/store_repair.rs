//! `pli store repair`

use pli_admin::Request;
use serde_json::Value;

use super::audit::show_damage;
use crate::cli::Global;
use crate::failure::{DATA, FOUND, Failure};
use crate::link::with;
use crate::output::{line, text, value};
use crate::progress;
use crate::texts::Text;

/// Runs it: 0 when all is well at the end, 1 when something is left (or, with `--dry-run`, would be done).
pub fn run(global: &Global, dry_run: bool) -> Result<u8, Failure> {
    let request = Request::StoreRepair { dry_run };
    let answer = with(global, async |link| link.call_telling(request, progress::bar(global)).await);
    progress::end(global);
    let (report, code) = match answer {
        Ok(report) => (report, 0),
        Err(failure) if failure.code == DATA => match serde_json::from_str::<Value>(&failure.message) {
            Ok(report) => (report, FOUND),
            Err(_) => return Err(failure),
        },
        Err(failure) => return Err(failure),
    };
    show(global, &report);
    Ok(code)
}

fn show(global: &Global, report: &Value) {
    if global.json {
        return value(report);
    }
    let language = global.language();
    let list = |path: &str| {
        let items: Vec<String> =
            report.pointer(path).and_then(Value::as_array).into_iter().flatten().map(|item| text(item, "")).collect();
        items
    };
    let is_dry = report.pointer("/dry_run").and_then(Value::as_bool) == Some(true);
    let mended = list("/mended");
    if mended.is_empty() {
        line(&Text::NothingToMend.in_language(language));
    } else {
        let heading = if is_dry { Text::WouldMend } else { Text::Mended };
        line(&heading.in_language(language));
        mended.iter().for_each(|what| line(&format!("  {what}")));
    }
    let copies = text(report, "/copies");
    if !copies.is_empty() {
        line(&Text::CopiesIn.with(language, &[&copies]));
    }
    let later = list("/needs_offline");
    if !later.is_empty() {
        line(&Text::NeedsOffline.in_language(language));
        later.iter().for_each(|what| line(&format!("  {what}")));
    }
    let left = report.pointer("/left").and_then(Value::as_array).is_some_and(|left| !left.is_empty());
    if left && !is_dry {
        line(&Text::LeftDamaged.in_language(language));
        show_damage(report.pointer("/left"));
    }
}
