//! Figures of one run as a table or as one line of JSON, and the medians of many.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Failure, measure};

/// The figures of one run of one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    row: String,
    settings: BTreeMap<String, String>,
    figures: BTreeMap<String, f64>,
}

impl Figures {
    /// None yet.
    pub fn new(row: &str) -> Self {
        Self { row: row.to_owned(), settings: BTreeMap::new(), figures: BTreeMap::new() }
    }

    /// A setting that the figures depend on.
    pub fn note(&mut self, name: &str, value: impl ToString) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// Which row it is.
    pub fn row(&self) -> &str {
        &self.row
    }

    /// A setting that was noted.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// All figures.
    pub fn all(&self) -> &BTreeMap<String, f64> {
        &self.figures
    }

    /// A figure that was set.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// A figure.
    pub fn set(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), (value * 1000.0).round() / 1000.0);
    }

    /// Those of another run beside these.
    pub fn take(&mut self, other: Self) {
        self.figures.extend(other.figures);
    }

    /// The disk's own time, measured now.
    pub fn disk(&mut self, dir: &Path) -> Result<(), Failure> {
        let syncs = measure::fdatasync(dir)?;
        self.set("fdatasync_4k_p10_ms", syncs.p10);
        self.set("fdatasync_4k_p50_ms", syncs.p50);
        self.set("fdatasync_4k_p99_ms", syncs.p99);
        Ok(())
    }

    /// On standard output.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("{}", self.row);
        for (name, value) in &self.settings {
            println!("  {name:28} {value:>14}");
        }
        for (name, value) in &self.figures {
            println!("  {name:28} {value:>14.3}");
        }
        Ok(())
    }
}

/// What is to be reached: row, figure, whether more is better, limit, words.
const GOALS: [(&str, &str, bool, f64, &str); 5] = [
    ("smtp-32", "accepted_per_s", true, 1_500.0, "SMTP in, 32 connections: messages a second"),
    ("imap-flags", "flags_hot_ms", false, 60.0, "FETCH 1:* (FLAGS), 100,000 messages, hot: ms"),
    ("start-rss", "rss_mb", false, 60.0, "RSS after the start: MB"),
    ("idle", "rss_per_session_kb", false, 32.0, "memory of an idle TLS session: KB"),
    ("exists", "data_to_exists_p99_ms", false, 5.0, "delivery → EXISTS, p99: ms"),
];

/// The same for the store by itself.
const STORE_GOALS: [(&str, &str, bool, f64, &str); 18] = [
    ("store-commit-1", "percent_of_bare_disk", true, 70.0, "durable commits, 1 writer: % of the bare disk"),
    ("store-commit-16", "percent_of_bare_disk", true, 70.0, "durable commits, 16 writers: % of the bare disk"),
    ("store-commit-64", "percent_of_bare_disk", true, 70.0, "durable commits, 64 writers: % of the bare disk"),
    ("store-commit-16", "half_load_p99_in_bare_syncs", false, 4.0, "p99 at half that load, 16 writers: bare fsyncs"),
    ("store-commit-64", "half_load_p99_in_bare_syncs", false, 4.0, "p99 at half that load, 64 writers: bare fsyncs"),
    ("store-space-30d", "fresh_ratio", false, 0.9, "all files ÷ original bytes, fresh"),
    (
        "store-space-30d",
        "churned_ratio_with_window",
        false,
        1.15,
        "the same after churn, mail within the window counted",
    ),
    ("store-space-1d", "churned_ratio_worst", false, 1.15, "all files ÷ live bytes, worst of a month, window of a day"),
    ("store-view", "flags_ms", false, 5.0, "flags of 100,000 out of the view: ms"),
    ("store-view", "open_cold_ms", false, 150.0, "opening that mailbox cold: ms"),
    ("store-view", "summaries_ms", false, 400.0, "summaries of 100,000: ms"),
    ("store-memory-sled", "working_rss_mb", false, 300.0, "memory, 100,000 accounts, 1 % active: MB"),
    ("store-memory-sled", "open_after_kill_s", false, 2.0, "opening 1,000,000 messages after kill -9: s"),
    ("store-memory-fjall", "working_rss_mb", false, 300.0, "memory, the same with fjall: MB"),
    ("store-memory-fjall", "open_after_kill_s", false, 2.0, "opening, the same with fjall: s"),
    ("store-growth", "worst_growth", false, 2.0, "cost per operation, 1,000 to 1,000,000 in one mailbox: times"),
    ("store-compact", "p99_ratio", false, 2.0, "p99 of commits during a compaction ÷ before: times"),
    ("store-cipher", "deliver_cost_percent", false, 15.0, "encryption's cost, CPU of a delivery: %"),
];

/// `pli-bench report`
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Where DATE.json and DATE.md are written.
    #[arg(long)]
    out: PathBuf,
    /// The date, and the files' name.
    #[arg(long)]
    date: String,
    /// The rows of the store by itself.
    #[arg(long)]
    store: bool,
    /// A line about the machine; several for several.
    #[arg(long)]
    about: Vec<String>,
    /// Files with lines that `--json` gave.
    #[arg(required = true)]
    lines: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Median {
    row: String,
    settings: BTreeMap<String, String>,
    runs: usize,
    medians: BTreeMap<String, f64>,
    all: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, Serialize)]
struct Goal {
    what: &'static str,
    at_least: bool,
    goal: f64,
    measured: Option<f64>,
    reached: bool,
}

impl Report {
    /// Writes both files, and prints the table of goals.
    pub fn run(&self) -> Result<(), Failure> {
        let mut rows: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
        for path in &self.lines {
            for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.is_empty()) {
                let figures: Figures = serde_json::from_str(line)?;
                rows.entry(figures.row.clone()).or_default().push(figures);
            }
        }
        let medians: Vec<Median> = rows.into_iter().map(|(row, runs)| middle(row, &runs)).collect();
        let goals: &[_] = if self.store { &STORE_GOALS } else { &GOALS };
        let goals: Vec<Goal> = goals.iter().map(|goal| compare(goal, &medians)).collect();
        let text = markdown(self, &medians, &goals);
        std::fs::create_dir_all(&self.out)?;
        let json = serde_json::json!({
            "date": self.date, "about": self.about, "goals": goals, "rows": medians,
        });
        let path =
            |ending: &str| self.out.join(format!("{}{}.{ending}", if self.store { "store-" } else { "" }, self.date));
        std::fs::write(path("json"), serde_json::to_string_pretty(&json)? + "\n")?;
        std::fs::write(path("md"), &text)?;
        println!("{text}");
        Ok(())
    }
}

fn middle(row: String, runs: &[Figures]) -> Median {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| &run.figures) {
        all.entry(name.clone()).or_default().push(*value);
    }
    let medians = all.iter().map(|(name, values)| (name.clone(), measure::median(&mut values.clone())));
    Median {
        row,
        settings: runs.first().map(|run| run.settings.clone()).unwrap_or_default(),
        runs: runs.len(),
        medians: medians.collect(),
        all,
    }
}

fn compare(goal: &(&'static str, &'static str, bool, f64, &'static str), medians: &[Median]) -> Goal {
    let (row, figure, at_least, limit, what) = *goal;
    let measured =
        medians.iter().find(|median| median.row == row).and_then(|median| median.medians.get(figure)).copied();
    let reached = measured.is_some_and(|value| if at_least { value >= limit } else { value <= limit });
    Goal { what, at_least, goal: limit, measured, reached }
}

fn markdown(report: &Report, medians: &[Median], goals: &[Goal]) -> String {
    let mut out = format!("# Figures of {}{}\n\n", if report.store { "the store, " } else { "" }, report.date);
    for line in &report.about {
        let _ = writeln!(out, "- {line}");
    }
    let script = if report.store { "store.sh" } else { "run.sh" };
    let _ = writeln!(out, "\nMedians; encryption, fsync and audit on. `benches/{script}` makes them again.\n");
    out.push_str("| goal | limit | measured | reached |\n| --- | --- | --- | --- |\n");
    for goal in goals {
        let sign = if goal.at_least { "≥" } else { "≤" };
        let measured = goal.measured.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.1}"));
        let reached = if goal.reached { "yes" } else { "no" };
        let _ = writeln!(out, "| {} | {sign} {} | {measured} | {reached} |", goal.what, goal.goal);
    }
    for median in medians {
        let settings: Vec<String> = median.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = writeln!(out, "\n## {}\n\n{} (runs: {})\n", median.row, settings.join(", "), median.runs);
        out.push_str("| figure | median | each run |\n| --- | --- | --- |\n");
        for (name, value) in &median.medians {
            let each: Vec<String> = median.all[name].iter().map(f64::to_string).collect();
            let _ = writeln!(out, "| {name} | {value} | {} |", each.join(", "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_goals() {
        let run = |value| {
            let mut figures = Figures::new("start-rss");
            figures.set("rss_mb", value);
            figures
        };
        let medians = [middle("start-rss".to_owned(), &[run(50.0), run(70.0), run(40.0)])];
        let goals: Vec<Goal> = GOALS.iter().map(|goal| compare(goal, &medians)).collect();
        assert_eq!(goals[2].measured, Some(50.0));
        assert!(goals[2].reached);
        // Not measured is not reached.
        assert!(!goals[0].reached);
    }
}
