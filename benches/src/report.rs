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

    /// A figure.
    pub fn set(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), (value * 1000.0).round() / 1000.0);
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

/// `pli-bench report`
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Where DATE.json and DATE.md are written.
    #[arg(long)]
    out: PathBuf,
    /// The date, and the files' name.
    #[arg(long)]
    date: String,
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
        let goals: Vec<Goal> = GOALS.iter().map(|goal| compare(goal, &medians)).collect();
        let text = markdown(self, &medians, &goals);
        std::fs::create_dir_all(&self.out)?;
        let json = serde_json::json!({
            "date": self.date, "about": self.about, "goals": goals, "rows": medians,
        });
        let path = |ending: &str| self.out.join(format!("{}.{ending}", self.date));
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
    let mut out = format!("# Figures of {}\n\n", report.date);
    for line in &report.about {
        let _ = writeln!(out, "- {line}");
    }
    out.push_str("\nMedians; encryption, fsync and audit on. `benches/run.sh` makes them again.\n\n");
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
