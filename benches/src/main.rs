//! `pli-bench`: load in raw protocol bytes over real TLS, and what it costs.
//!
//! One subcommand a row of the results. No client library stands between the
//! clock and the server; the generator's own CPU time is reported beside each
//! figure, because on a small machine it takes its share of the cores. It
//! knows the server by its ports only, and measures other servers as well.
#![allow(clippy::indexing_slicing, reason = "a load generator: an answer that it does not expect ends the run")]

mod client;
mod corpus;
#[allow(dead_code, reason = "a file of the tests")]
#[path = "../../tests/src/dice.rs"]
mod dice;
mod letters;
mod measure;
mod report;
mod rows;
mod side;
mod store;
mod talk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::client::{Security, Target};

/// Why a run ended early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "pli-bench", about = "Load over TLS, in raw protocol bytes", version)]
struct Cli {
    /// What every row needs.
    #[command(flatten)]
    common: Common,
    /// The row.
    #[command(subcommand)]
    row: Row,
}

/// What every row needs.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where the server listens.
    #[arg(long, global = true, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// Its name in the certificate.
    #[arg(long, global = true, default_value = "mail.example.org")]
    name: String,
    /// The CA's certificate; without it no certificate is looked at.
    #[arg(long, global = true)]
    ca: Option<PathBuf>,
    /// Port of SMTP.
    #[arg(long, global = true, default_value_t = 10_025)]
    smtp_port: u16,
    /// TLS on SMTP.
    #[arg(long, global = true, value_enum, default_value_t = Security::Starttls)]
    smtp_security: Security,
    /// Port of IMAP over TLS.
    #[arg(long, global = true, default_value_t = 10_993)]
    imap_port: u16,
    /// Domain of the accounts, bench00@… and on.
    #[arg(long, global = true, default_value = "example.org")]
    domain: String,
    /// How many accounts there are.
    #[arg(long, global = true, default_value_t = 20)]
    accounts: usize,
    /// Their password.
    #[arg(long, global = true, default_value = "bench-password-1")]
    password: String,
    /// The server's process, for its memory and CPU time.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Folder on the server's disk: fdatasync is measured there beside.
    #[arg(long, global = true)]
    disk: Option<PathBuf>,
    /// Seed of messages.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// JSON in one line instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

impl Common {
    /// The address of the account with this number.
    fn account(&self, number: usize) -> String {
        format!("bench{:02}@{}", number % self.accounts.max(1), self.domain)
    }

    fn smtp(&self) -> Result<Target, Failure> {
        Target::new(self.host, self.smtp_port, &self.name, self.ca.as_deref(), self.smtp_security)
    }

    fn imap(&self) -> Result<Target, Failure> {
        Target::new(self.host, self.imap_port, &self.name, self.ca.as_deref(), Security::Tls)
    }

    /// LMTP is in the clear: it stays on the machine.
    fn lmtp(&self, port: u16) -> Result<Target, Failure> {
        Target::new(self.host, port, &self.name, None, Security::None)
    }
}

/// One row.
#[derive(Debug, Subcommand)]
enum Row {
    /// Mail from another server: accepted and readable messages a second, acknowledgement times.
    Smtp(rows::smtp::Smtp),
    /// FETCH of flags and of envelopes in a large mailbox, which is filled first.
    ImapFlags(rows::flags::Flags),
    /// Memory of idle TLS sessions.
    Idle(rows::idle::Idle),
    /// Memory of the server as it is now.
    StartRss,
    /// APPEND: messages a second, acknowledgement times.
    Append(rows::append::Append),
    /// From the end of DATA to EXISTS in an idle session.
    Exists(rows::exists::Exists),
    /// The store alone: a large mailbox opened, its flags, its summaries.
    StoreView(rows::store_view::StoreView),
    /// The store alone: durable commits, beside the bare disk.
    StoreCommit(rows::store_commit::StoreCommit),
    /// The store alone: what its files take, fresh and after months.
    StoreSpace(rows::store_space::StoreSpace),
    /// The store alone: memory with many accounts; opening after a kill.
    StoreMemory(rows::store_memory::StoreMemory),
    /// The store alone: cost of an operation as a mailbox grows.
    StoreGrowth(rows::store_growth::StoreGrowth),
    /// The store alone: what commits wait while it compacts itself.
    StoreCompact(rows::store_compact::StoreCompact),
    /// The store alone: what encryption costs.
    StoreCipher(rows::store_cipher::StoreCipher),
    /// An engine of the index by itself: puts, opening, reads, memory, disk.
    Index(rows::index::Engine),
    /// The index of a real store made again from its log.
    IndexRebuild(rows::index::Rebuild),
    /// SEARCH of words and substrings in a large mailbox of varied letters, which is filled first.
    Search(rows::search::Search),
    /// Rows in which another IMAP server stands beside.
    Side(side::Side),
    /// Only fdatasync of 4 KB.
    Disk,
    /// Medians of recorded lines, as JSON and Markdown.
    Report(report::Report),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = measure::raise_open_files().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(cli))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pli-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let common = cli.common;
    let figures = match cli.row {
        Row::Smtp(row) => row.run(&common).await?,
        Row::ImapFlags(row) => row.run(&common).await?,
        Row::Idle(row) => row.run(&common).await?,
        Row::StartRss => rows::idle::start_rss(&common)?,
        Row::Append(row) => row.run(&common).await?,
        Row::Exists(row) => row.run(&common).await?,
        Row::StoreView(row) => row.run(&common).await?,
        Row::StoreCommit(row) => row.run(&common).await?,
        Row::StoreSpace(row) => row.run(&common).await?,
        Row::StoreMemory(row) => row.run(&common).await?,
        Row::StoreGrowth(row) => row.run(&common).await?,
        Row::StoreCompact(row) => row.run(&common).await?,
        Row::StoreCipher(row) => row.run(&common).await?,
        Row::Index(row) => row.run(&common)?,
        Row::IndexRebuild(row) => row.run(&common).await?,
        Row::Search(row) => row.run(&common).await?,
        Row::Side(row) => match row.run(&common).await? {
            Some(figures) => figures,
            None => return Ok(()),
        },
        Row::Disk => rows::disk(&common)?,
        Row::Report(report) => return report.run(),
    };
    figures.print(common.json)
}
