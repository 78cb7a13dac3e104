//! The table of all servers: medians, ratios, and what was to be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::report::Figures;
use crate::{Failure, measure};

/// `pli-bench side report`
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Where the files go: `imap-DATE.json` and `.md`.
    #[arg(long)]
    out: PathBuf,
    /// The day in their names.
    #[arg(long)]
    date: String,
    /// Said at their head.
    #[arg(long)]
    about: Vec<String>,
    /// Recorded lines of every server.
    lines: Vec<PathBuf>,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Better {
    More,
    Less,
}

/// What is to be reached, beside a server or by itself.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// So many times as good as every other server.
    Times(f64),
    /// So many times as good as the server whose name ends so.
    TimesOf(&'static str, f64),
    /// The figure itself.
    Own(f64),
    /// Only shown.
    Shown,
}

use Better::{Less, More};
use Reach::{Own, Shown, Times, TimesOf};

/// Row, figure, which is better, words with the unit, what is to be reached.
type Line = (&'static str, &'static str, Better, &'static str, &'static [Reach]);

const LINES: [Line; 35] = [
    (
        "fill",
        "appended_per_s",
        More,
        "MULTIAPPEND of small messages, a second",
        &[TimesOf("mdbox", 1.0), TimesOf("maildir", 3.0)],
    ),
    ("list", "flags_ms", Less, "FETCH 1:* (FLAGS), hot, ms", &[Times(3.0)]),
    ("list", "envelope_first_ms", Less, "FETCH 1:* (ENVELOPE BODYSTRUCTURE …), first time, ms", &[Times(10.0)]),
    ("list", "envelope_ms", Less, "FETCH 1:* (ENVELOPE BODYSTRUCTURE …), second time, ms", &[Times(2.0)]),
    ("list", "thunderbird_first_ms", Less, "Thunderbird's header list, first time, ms", &[Times(5.0)]),
    ("list", "thunderbird_ms", Less, "Thunderbird's header list, second time, ms", &[Times(2.0)]),
    ("bodies", "first_mb_per_s", More, "whole messages, first time, MB/s", &[Shown]),
    ("bodies", "mb_per_s", More, "whole messages, MB/s", &[Times(1.0)]),
    ("search", "text_ms", Less, "SEARCH TEXT, ms", &[Times(100.0)]),
    ("list", "sort_subject_first_ms", Less, "SORT (SUBJECT), first time, ms", &[Shown]),
    ("list", "sort_subject_ms", Less, "SORT (SUBJECT), ms", &[Times(5.0)]),
    ("list", "sort_date_first_ms", Less, "SORT (REVERSE DATE), first time, ms", &[Shown]),
    ("list", "sort_date_ms", Less, "SORT (REVERSE DATE), ms", &[Times(5.0)]),
    ("list", "sort_from_ms", Less, "UID SORT (FROM DATE), ms", &[Times(5.0)]),
    ("list", "thread_references_first_ms", Less, "THREAD REFERENCES, first time, ms", &[Shown]),
    ("list", "thread_references_ms", Less, "THREAD REFERENCES, ms", &[Times(5.0)]),
    ("change", "append_alone_per_s", More, "APPEND one by one, one connection, a second", &[Shown]),
    ("change", "append_per_s", More, "APPEND one by one, eight connections, a second", &[Times(3.0)]),
    ("change", "store_ms", Less, "STORE +FLAGS, ms", &[Times(3.0)]),
    ("change", "store_silent_ms", Less, "STORE -FLAGS.SILENT, ms", &[Times(3.0)]),
    ("change", "copy_ms", Less, "COPY, ms", &[Times(3.0)]),
    ("change", "move_ms", Less, "MOVE, ms", &[Times(3.0)]),
    ("change", "expunge_ms", Less, "EXPUNGE, ms", &[Times(3.0)]),
    ("grow", "copied_per_s", More, "COPY to a mailbox that grows, messages a second", &[Shown]),
    ("select", "cold_ms", Less, "SELECT of that mailbox, cold, ms", &[Own(1_000.0)]),
    ("select", "warm_ms", Less, "SELECT of that mailbox, warm, ms", &[Own(5.0)]),
    ("exists", "p50_ms", Less, "delivery by LMTP to EXISTS, p50, ms", &[Shown]),
    ("exists", "p99_ms", Less, "delivery by LMTP to EXISTS, p99, ms", &[Own(5.0), Times(1.0)]),
    ("idle", "pss_per_session_kb", Less, "PSS of an idle TLS session, KB", &[Own(16.0), Times(20.0)]),
    ("idle-told", "told", More, "sessions in IDLE that each heard of a message", &[Shown]),
    (
        "idle-told",
        "taken_to_exists_p99_ms",
        Less,
        "from that message's 250 to EXISTS in each of them, p99, ms",
        &[Shown],
    ),
    ("logins-argon2id", "first_per_s", More, "logins with a password under argon2id, first time, a second", &[Shown]),
    ("logins-argon2id", "per_s", More, "logins with a password under argon2id, later, a second", &[Shown]),
    ("logins-quick", "first_per_s", More, "logins with the server's quick hash, first time, a second", &[Shown]),
    ("logins-quick", "per_s", More, "logins with the server's quick hash, later, a second", &[Shown]),
];

/// The server that the goals are for.
const OURS: &str = "pli";
const NOT_MEASURED: &str = "–";

/// Medians by row and figure, then by server.
type Medians = BTreeMap<(String, String), BTreeMap<String, f64>>;

#[derive(Debug, Serialize)]
struct Goal {
    what: &'static str,
    goal: String,
    measured: Option<f64>,
    reached: bool,
}

impl Report {
    /// Writes both files, and prints the table.
    pub fn run(&self) -> Result<(), Failure> {
        let mut runs: BTreeMap<(String, String), BTreeMap<String, Vec<f64>>> = BTreeMap::new();
        let mut settings: BTreeSet<String> = BTreeSet::new();
        for path in &self.lines {
            for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.is_empty()) {
                let figures: Figures = serde_json::from_str(line)?;
                let server = figures.setting("server").unwrap_or(OURS);
                settings.extend(figures.setting("messages").map(|count| format!("{} {count}", figures.row())));
                for (name, value) in figures.all() {
                    let values = runs.entry((figures.row().to_owned(), name.clone())).or_default();
                    values.entry(server.to_owned()).or_default().push(*value);
                }
            }
        }
        let medians: Medians = runs
            .iter()
            .map(|(key, servers)| {
                let middle =
                    |(name, values): (&String, &Vec<f64>)| (name.clone(), measure::median(&mut values.clone()));
                (key.clone(), servers.iter().map(middle).collect())
            })
            .collect();
        let goals: Vec<Goal> = LINES.iter().flat_map(|line| goals(line, &medians)).collect();
        let text = self.markdown(&medians, &goals, &settings);
        std::fs::create_dir_all(&self.out)?;
        let mut rows: BTreeMap<&str, BTreeMap<&str, &BTreeMap<String, Vec<f64>>>> = BTreeMap::new();
        for ((row, figure), servers) in &runs {
            rows.entry(row).or_default().insert(figure, servers);
        }
        let json = serde_json::json!({ "date": self.date, "about": self.about, "goals": goals, "rows": rows });
        let path = |ending: &str| self.out.join(format!("imap-{}.{ending}", self.date));
        std::fs::write(path("json"), serde_json::to_string_pretty(&json)? + "\n")?;
        std::fs::write(path("md"), &text)?;
        println!("{text}");
        Ok(())
    }

    fn markdown(&self, medians: &Medians, goals: &[Goal], settings: &BTreeSet<String>) -> String {
        let mut servers: Vec<&str> = medians.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        servers.sort_unstable_by_key(|name| (*name != OURS, *name));
        servers.dedup();
        let mut out = format!("# IMAP beside other servers, {}\n\n", self.date);
        for line in &self.about {
            let _ = writeln!(out, "- {line}");
        }
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let _ = writeln!(out, "- messages: {}", settings.join(", "));
        out.push_str(
            "\nMedians, over TLS on loopback; with Pli encryption, fsync and audit are on. In brackets: how many times",
        );
        out.push_str(" as good Pli is. `benches/imap.sh` makes them again.\n\n| work |");
        for server in &servers {
            let _ = write!(out, " {server} |");
        }
        let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(servers.len()));
        for (row, figure, better, what, _) in &LINES {
            let Some(values) = medians.get(&((*row).to_owned(), (*figure).to_owned())) else { continue };
            let _ = write!(out, "| {what} |");
            let own = values.get(OURS).copied();
            for server in &servers {
                let cell = match values.get(*server).copied() {
                    Some(value) => match own.filter(|_| *server != OURS) {
                        Some(own) => format!("{} ({:.1} ×)", short(value), ratio(*better, own, value)),
                        None => short(value),
                    },
                    None => NOT_MEASURED.to_owned(),
                };
                let _ = write!(out, " {cell} |");
            }
            out.push('\n');
        }
        out.push_str("\n| goal | limit | measured | reached |\n| --- | --- | --- | --- |\n");
        for goal in goals {
            let measured = goal.measured.map_or_else(|| NOT_MEASURED.to_owned(), short);
            let reached = if goal.reached { "yes" } else { "no" };
            let _ = writeln!(out, "| {} | {} | {measured} | {reached} |", goal.what, goal.goal);
        }
        out
    }
}

/// How many times as good the first is.
fn ratio(better: Better, own: f64, other: f64) -> f64 {
    let (above, below) = if better == More { (own, other) } else { (other, own) };
    if below <= 0.0 { f64::INFINITY } else { above / below }
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn goals(line: &Line, medians: &Medians) -> Vec<Goal> {
    let (row, figure, better, what, reaches) = *line;
    let empty = BTreeMap::new();
    let values = medians.get(&(row.to_owned(), figure.to_owned())).unwrap_or(&empty);
    let own = values.get(OURS).copied();
    // The best of the servers whose name ends so: the ratio to it is the smallest one.
    let worst = |ending: &str| {
        let others = values.iter().filter(|(name, _)| *name != OURS && name.ends_with(ending));
        others.filter_map(|(_, value)| Some(ratio(better, own?, *value))).min_by(f64::total_cmp)
    };
    let one = |goal: String, measured: Option<f64>, reached: bool| Goal { what, goal, measured, reached };
    let times = |of: &str, times: f64, measured: Option<f64>| {
        one(format!("≥ {times} × {of}"), measured, measured.is_some_and(|value| value >= times))
    };
    reaches
        .iter()
        .filter_map(|reach| match *reach {
            Times(limit) => Some(times("the best of the others", limit, worst(""))),
            TimesOf(of, limit) => Some(times(of, limit, worst(of))),
            Own(limit) => {
                let reached = own.is_some_and(|value| if better == More { value >= limit } else { value <= limit });
                Some(one(format!("{} {limit}", if better == More { "≥" } else { "≤" }), own, reached))
            }
            Shown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians(row: &str, figure: &str, values: &[(&str, f64)]) -> Medians {
        let servers = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        BTreeMap::from([((row.to_owned(), figure.to_owned()), servers)])
    }

    fn reached(row: &str, figure: &str, values: &[(&str, f64)]) -> Vec<bool> {
        let line = LINES.iter().find(|line| line.0 == row && line.1 == figure).unwrap();
        goals(line, &medians(row, figure, values)).iter().map(|goal| goal.reached).collect()
    }

    #[test]
    fn ratios_are_to_the_best_of_the_others() {
        let flags = |maildir, mdbox| {
            reached("list", "flags_ms", &[("pli", 10.0), ("dovecot-maildir", maildir), ("dovecot-mdbox", mdbox)])
        };
        assert_eq!(flags(31.0, 40.0), [true]);
        assert_eq!(flags(29.0, 40.0), [false]);
        assert_eq!(flags(40.0, 29.0), [false]);
        let fill = [("pli", 300.0), ("dovecot-maildir", 100.0), ("dovecot-mdbox", 301.0)];
        assert_eq!(reached("fill", "appended_per_s", &fill), [false, true]);
        // By itself, and beside the others; what was not measured is not reached.
        assert_eq!(reached("idle", "pss_per_session_kb", &[("pli", 15.0)]), [true, false]);
        assert_eq!(reached("idle", "pss_per_session_kb", &[("pli", 17.0), ("dovecot-mdbox", 400.0)]), [false, true]);
        assert_eq!(reached("list", "flags_ms", &[]), [false]);
    }

    #[test]
    fn a_table_with_brackets() {
        let report = Report { out: PathBuf::new(), date: "2026-11-24".to_owned(), about: vec![], lines: vec![] };
        let medians = medians("list", "flags_ms", &[("dovecot-mdbox", 45.0), ("pli", 10.0)]);
        let text = report.markdown(&medians, &[], &BTreeSet::new());
        assert!(text.contains("| work | pli | dovecot-mdbox |"), "{text}");
        assert!(text.contains("| FETCH 1:* (FLAGS), hot, ms | 10.00 | 45.00 (4.5 ×) |"), "{text}");
    }
}
