//! The engines of the index: each by itself with the rows that the store writes for a delivered message, and the index of
//! a real store made again from its log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pli_store::{IndexBench, IndexEngine};

use crate::corpus::Corpus;
use crate::dice::Dice;
use crate::report::Figures;
use crate::store::{Opening, Place};
use crate::{Common, Failure, measure};

/// Messages of one commit group.
const GROUP: u64 = 20;
/// Messages of one block of entries.
const BLOCK: u64 = 32;
/// Look-ups, each timed.
const GETS: u64 = 100_000;

/// Bytes of the sealed rows of one delivered message of 2.5 KB, as `index-rebuild` finds them in a real store.
mod rows {
    /// A message's row.
    pub const MESSAGE: usize = 138;
    /// A body's row.
    pub const BODY: usize = 117;
    /// An entry in its block.
    pub const ENTRY: usize = 5;
    /// An audit entry.
    pub const AUDIT: usize = 221;
    /// Mailbox, and account.
    pub const MAILBOX: usize = 110;
    /// What a seal adds.
    pub const SEAL: usize = 28;
}

fn engine(name: &str) -> Result<IndexEngine, String> {
    IndexEngine::parse(name).filter(|e| *e != IndexEngine::Memory).ok_or_else(|| String::from("sled or fjall"))
}

/// `pli-bench index`
#[derive(Clone, Debug, clap::Args)]
pub struct Engine {
    #[command(flatten)]
    place: Place,
    /// sled or fjall.
    #[arg(long, value_parser = engine)]
    engine: IndexEngine,
    /// Messages.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Mailboxes that they are spread over, evenly.
    #[arg(long, default_value_t = 100)]
    mailboxes: u64,
    /// Reads what an earlier run has put in this folder: its own process, so that its memory is its own.
    #[arg(long, hide = true)]
    read: Option<PathBuf>,
}

/// Random bytes, fast.
fn noise(dice: &mut Dice, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&dice.roll().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn key(table: u8, parts: &[u64]) -> Vec<u8> {
    let mut key = vec![table];
    parts.iter().for_each(|part| key.extend_from_slice(&part.to_be_bytes()));
    key
}

fn block_key(mailbox: u64, uid: u64) -> Vec<u8> {
    let mut key = key(0x23, &[mailbox]);
    key.extend_from_slice(&((uid / BLOCK) as u32).to_be_bytes());
    key
}

/// Bytes on disk below a folder.
fn used(dir: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { used(&entry.path())? } else { data.blocks() * 512 };
    }
    Ok(bytes)
}

fn rss_mb() -> Result<f64, Failure> {
    Ok(measure::memory_of(std::process::id())?.rss_kb / 1024.0)
}

impl Engine {
    /// Runs the row.
    pub fn run(&self, common: &Common) -> Result<Figures, Failure> {
        if let Some(dir) = &self.read {
            return self.read(dir, common.seed);
        }
        let mut figures = Figures::new(&format!("index-{}", self.engine.name()));
        figures.note("messages", self.messages);
        figures.note("mailboxes", self.mailboxes);
        figures.note("index_cache_mb", self.place.index_cache_mb);
        let folder = self.place.folder()?;
        let dir = folder.path().join("index");
        self.put(&dir, common.seed, &mut figures)?;
        let output = Command::new(std::env::current_exe()?)
            .args(["index", "--json", "--engine", self.engine.name(), "--read"])
            .arg(&dir)
            .args(["--messages", &self.messages.to_string(), "--mailboxes", &self.mailboxes.to_string()])
            .args(["--index-cache-mb", &self.place.index_cache_mb.to_string()])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let read: Figures = serde_json::from_slice(&output.stdout)?;
        figures.take(read);
        Ok(figures)
    }

    fn cache(&self) -> u64 {
        self.place.index_cache_mb << 20
    }

    fn put(&self, dir: &Path, seed: u64, figures: &mut Figures) -> Result<(), Failure> {
        let index = IndexBench::open(self.engine, dir, self.cache())?;
        let mut dice = Dice::new(seed);
        let (mut raw, mut slowest) = (0_u64, 0_f64);
        let begun = Instant::now();
        let mut spent = 0_f64;
        for first in (0..self.messages).step_by(GROUP as usize) {
            let mut group = std::collections::BTreeMap::new();
            for number in first..(first + GROUP).min(self.messages) {
                let (mailbox, uid) = (number % self.mailboxes, number / self.mailboxes);
                let new = [
                    (key(0x30, &[mailbox, uid]), rows::MESSAGE),
                    (key(0x31, &[1 << 32 | number]), rows::BODY),
                    (key(0x40, &[number]), rows::AUDIT),
                ];
                raw += new.iter().map(|(key, len)| (key.len() + len) as u64).sum::<u64>();
                raw += rows::ENTRY as u64;
                for (key, len) in new {
                    group.insert(key, noise(&mut dice, len));
                }
                let entries = (uid % BLOCK + 1) as usize;
                group.insert(block_key(mailbox, uid), noise(&mut dice, rows::SEAL + entries * rows::ENTRY));
                group.insert(key(0x20, &[mailbox, 1]), noise(&mut dice, rows::MAILBOX));
                group.insert(key(0x16, &[mailbox]), noise(&mut dice, rows::MAILBOX));
            }
            group.insert(key(0x02, &[]), noise(&mut dice, 64));
            let group = group.into_iter().collect();
            let one = Instant::now();
            index.put(group)?;
            let one = one.elapsed().as_secs_f64();
            spent += one;
            slowest = slowest.max(one);
        }
        figures.set("put_per_s", self.messages as f64 / spent);
        figures.set("put_group_max_ms", slowest * 1000.0);
        figures.set("put_wall_s", begun.elapsed().as_secs_f64());
        figures.set("rss_after_put_mb", rss_mb()?);
        figures.set("raw_mb", raw as f64 / 1e6);
        let begun = Instant::now();
        index.flush()?;
        figures.set("flush_s", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        drop(index);
        figures.set("close_s", begun.elapsed().as_secs_f64());
        let disk = used(dir)? as f64;
        figures.set("disk_mb", disk / 1e6);
        figures.set("disk_over_raw", disk / raw as f64);
        Ok(())
    }

    fn read(&self, dir: &Path, seed: u64) -> Result<Figures, Failure> {
        let mut figures = Figures::new("index-read");
        let begun = Instant::now();
        let index = IndexBench::open(self.engine, dir, self.cache())?;
        figures.set("open_s", begun.elapsed().as_secs_f64());
        figures.set("rss_open_mb", rss_mb()?);
        let mut dice = Dice::new(seed ^ 0x5eed);
        let mut times = Vec::with_capacity(GETS as usize);
        for _ in 0..GETS.min(self.messages) {
            let number = dice.below(self.messages);
            let key = key(0x30, &[number % self.mailboxes, number / self.mailboxes]);
            let one = Instant::now();
            let found = index.get(&key)?;
            times.push(one.elapsed().as_secs_f64() * 1e6);
            if found != Some(rows::MESSAGE) {
                return Err(format!("message {number}: {found:?}").into());
            }
        }
        figures.set("gets_per_s", times.len() as f64 * 1e6 / times.iter().sum::<f64>());
        figures.set("get_p50_us", measure::percentile(&mut times, 0.5));
        figures.set("get_p99_us", measure::percentile(&mut times, 0.99));
        let mut scan = |name: &str, from: Vec<u8>, to: Vec<u8>| -> Result<u64, Failure> {
            let mut seconds = Vec::new();
            let mut rows = 0;
            for _ in 0..3 {
                let begun = Instant::now();
                rows = index.scan(&from, &to)?.0;
                seconds.push(begun.elapsed().as_secs_f64());
            }
            figures.set(&format!("{name}_first_s"), seconds[0]);
            figures.set(&format!("{name}_hot_s"), measure::percentile(&mut seconds, 0.0));
            Ok(rows)
        };
        let entries = scan("scan_entries", vec![0x23], vec![0x24])?;
        let messages = scan("scan_messages", vec![0x30], vec![0x31])?;
        let bodies = scan("scan_bodies", vec![0x31], vec![0x32])?;
        if (messages, bodies) != (self.messages, self.messages) || entries < self.messages / BLOCK {
            return Err(format!("{messages} messages, {bodies} bodies, {entries} blocks").into());
        }
        figures.set("rss_read_mb", rss_mb()?);
        Ok(figures)
    }
}

/// `pli-bench index-rebuild`
#[derive(Clone, Debug, clap::Args)]
pub struct Rebuild {
    #[command(flatten)]
    place: Place,
    /// Messages that are delivered first, as SMTP does it.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Their mean size in bytes.
    #[arg(long, default_value_t = 2_560)]
    size: usize,
    /// Accounts.
    #[arg(long, default_value_t = 100)]
    accounts_filled: u64,
    /// Deliveries at once.
    #[arg(long, default_value_t = 64)]
    writers: u64,
}

impl Rebuild {
    /// Runs the row.
    pub async fn run(&self, common: &Common) -> Result<Figures, Failure> {
        let mut figures = Figures::new("index-rebuild");
        figures.note("messages", self.messages);
        figures.note("accounts", self.accounts_filled);
        figures.note("index_cache_mb", self.place.index_cache_mb);
        let folder = self.place.folder()?;
        let opening = Opening::new(&self.place, folder.path())?.engine(IndexEngine::Fjall);
        self.fill(&opening, common.seed, &mut figures).await?;
        for engine in [IndexEngine::Sled, IndexEngine::Fjall] {
            let opening = opening.clone().engine(engine);
            let name = engine.name();
            let before = measure::own_cpu();
            let begun = Instant::now();
            let bench = opening.rebuild()?;
            figures.set(&format!("{name}_rebuild_s"), begun.elapsed().as_secs_f64());
            figures.set(&format!("{name}_rebuild_cpu_s"), measure::own_cpu() - before);
            let stat = bench.store.stat()?;
            if stat.messages != self.messages {
                return Err(format!("{} messages of {}", stat.messages, self.messages).into());
            }
            bench.store.close();
            drop(bench);
            let newest = std::fs::read_dir(opening.dir().join("index"))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_dir())
                .max();
            figures.set(&format!("{name}_disk_mb"), used(&newest.ok_or("no index")?)? as f64 / 1e6);
            let begun = Instant::now();
            let bench = opening.open()?;
            figures.set(&format!("{name}_open_s"), begun.elapsed().as_secs_f64());
            bench.store.close();
        }
        Ok(figures)
    }

    async fn fill(&self, opening: &Opening, seed: u64, figures: &mut Figures) -> Result<(), Failure> {
        let bench = Arc::new(opening.create()?);
        let mut accounts = Vec::new();
        for number in 0..self.accounts_filled {
            accounts.push(bench.account(&format!("filled{number}")).await?);
        }
        let corpus = Arc::new(Corpus::new(seed, self.size));
        let (accounts, next) = (Arc::new(accounts), Arc::new(AtomicU64::new(0)));
        let begun = Instant::now();
        let writers: Vec<_> = (0..self.writers)
            .map(|_| {
                let (bench, corpus) = (Arc::clone(&bench), Arc::clone(&corpus));
                let (accounts, next, messages) = (Arc::clone(&accounts), Arc::clone(&next), self.messages);
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= messages {
                            return Ok::<(), Failure>(());
                        }
                        let account = accounts[number as usize % accounts.len()];
                        bench.deliver(account, corpus.get(number)).await?;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await??;
        }
        figures.set("delivered_per_s", self.messages as f64 / begun.elapsed().as_secs_f64());
        let stat = bench.store.stat()?;
        figures.set("log_mb", stat.log_bytes as f64 / 1e6);
        let mut all = 0;
        for (table, rows, keys, values) in bench.store.index_tables()? {
            all += keys + values;
            if rows * 50 >= self.messages {
                figures.set(&format!("table_{table:02x}_rows_per_message"), rows as f64 / self.messages as f64);
                figures.set(&format!("table_{table:02x}_bytes_per_row"), values as f64 / rows as f64);
            }
        }
        figures.set("index_bytes_per_message", all as f64 / self.messages as f64);
        bench.store.close();
        Ok(())
    }
}
