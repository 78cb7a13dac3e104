//! How fast the store is on this machine: durable deliveries by writers, flags out of a view, summaries, open.
//!
//! `cargo run --release -p pli-store --example store_bench -- [DIR] [MESSAGES] [WRITERS…]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use pli_crypto::FileKeyStore;
use pli_io::{Disk, Env, OpenMode, RealDisk};
use pli_store::*;
use pli_types::{AccountId, Action, Address, FlagSet, SessionId, SessionInfo};

struct Bench {
    store: Store,
    mint: Mint,
    session: Arc<SessionInfo>,
}

impl Bench {
    fn permit(&self, action: Action, account: Option<AccountId>, audited: bool) -> Permit {
        let session = Arc::clone(&self.session);
        self.mint.permit(Grant {
            action,
            session,
            account,
            mailbox: None,
            rights: pli_types::Rights::ALL,
            rule: "bench",
            audited,
        })
    }
    async fn deliver(&self, account: AccountId, raw: Bytes) {
        let local = vec![LocalRecipient {
            permit: self.permit(Action::Deliver, Some(account), false),
            account,
            mailbox: None,
            flags: FlagSet::default(),
        }];
        let delivery = Delivery {
            prepared: self.store.prepare(raw).unwrap(),
            reverse_path: None,
            local,
            remote: Vec::new(),
            smtputf8: false,
            eight_bit: false,
            ends: Vec::new(),
        };
        self.store.deliver(self.permit(Action::Deliver, None, true), delivery).await.unwrap();
    }
}

/// Words, so that it compresses as mail does (to about a half), and a header.
fn message(number: u64, bytes: usize) -> Bytes {
    let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = format!(
        "From: Ana <ana@example.org>\r\nTo: bob@example.org\r\nSubject: number {number}\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\r\n"
    );
    while text.len() < bytes {
        for _ in 0..8 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.push_str(
                ["school", "letter", "answer", "meeting", "tomorrow", "of the", "and", "with"][(seed % 8) as usize],
            );
            text.push_str(&format!(" {:x} ", seed >> 44));
        }
        text.push_str("\r\n");
    }
    text.truncate(bytes);
    Bytes::from(text)
}

fn percentile(sorted: &[u64], part: f64) -> f64 {
    let at = ((sorted.len() as f64 - 1.0) * part) as usize;
    sorted[at] as f64 / 1000.0
}

/// The same bytes and syncs without a store.
fn bare(dir: &std::path::Path, size: usize) -> (f64, f64) {
    let file = RealDisk.open(&dir.join("bare"), OpenMode::CreateNew).unwrap();
    let bytes = vec![7; size];
    let start = Instant::now();
    let rounds = 300_u64;
    for round in 0..rounds {
        file.write_all_at(&[IoSlice::new(&bytes)], round * size as u64).unwrap();
        file.sync_data().unwrap();
    }
    let ms = start.elapsed().as_secs_f64() * 1000.0 / rounds as f64;
    RealDisk.remove(&dir.join("bare")).unwrap();
    (ms, size as f64 / 1000.0 / ms)
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let temporary = tempfile::tempdir().unwrap();
    let base = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(8000);
    let mut writers: Vec<u64> = arguments.filter_map(|text| text.parse().ok()).collect();
    if writers.is_empty() {
        writers = vec![1, 16, 32, 64];
    }
    let dir = base.join("bench-store");
    for size in [4 << 10, 20 << 10, 320 << 10] {
        let (ms, rate) = bare(&base, size);
        println!("bare write and fdatasync of {:>4} KiB: {ms:.2} ms, {rate:.0} MB/s", size >> 10);
    }
    let (keys, _) = FileKeyStore::generate(None).unwrap();
    let keys: Arc<dyn pli_crypto::KeyStore> = Arc::new(keys);
    let options = || StoreOptions {
        dir: dir.clone(),
        env: Env::real(),
        keys: Arc::clone(&keys),
        index: IndexEngine::Sled,
        index_cache_bytes: 64 << 20,
        site: String::from("bench.example.org/pli"),
    };
    let (store, mint) = Store::create(options()).unwrap();
    let bench = Arc::new(Bench { store, mint, session: Arc::new(SessionInfo::system(SessionId(1))) });
    let mut accounts = Vec::new();
    for n in 0..20 {
        let new = NewAccount {
            address: Address::parse(&format!("user{n}@example.org")).unwrap(),
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: QuotaLimit::default(),
            language: String::from("fr"),
            mailboxes: Vec::new(),
        };
        let permit = bench.permit(Action::AccountCreate, None, true);
        accounts.push(bench.store.create_account(permit, new).await.unwrap().value);
    }
    let start = Instant::now();
    let rounds = 500;
    for n in 0..rounds {
        drop(bench.store.prepare(message(n, 20_000)).unwrap());
    }
    let making = Instant::now();
    for n in 0..rounds {
        drop(message(n, 20_000));
    }
    let us = (making - start).as_secs_f64() * 1e6 - making.elapsed().as_secs_f64() * 1e6;
    println!("prepare of 20 KB: {:.0} µs", us / rounds as f64);
    let messages: Arc<Vec<Bytes>> = Arc::new((0..2000).map(|n| message(n, 20_000)).collect());
    for writers in writers {
        let before = bench.store.stat().unwrap();
        let next = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let (bench, next, accounts, messages) =
                    (Arc::clone(&bench), Arc::clone(&next), accounts.clone(), Arc::clone(&messages));
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return latencies;
                        }
                        let start = Instant::now();
                        let raw = messages[n as usize % messages.len()].clone();
                        bench.deliver(accounts[n as usize % accounts.len()], raw).await;
                        latencies.push(start.elapsed().as_micros() as u64);
                    }
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        let seconds = start.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let after = bench.store.stat().unwrap();
        let groups = after.commit_groups - before.commit_groups;
        println!(
            "{writers:>3} writers: {:.0} msg/s, p50 {:.2} ms, p99 {:.2} ms, {:.1} a group, {:.1} MB/s log, log/original {:.2}",
            count as f64 / seconds,
            percentile(&latencies, 0.5),
            percentile(&latencies, 0.99),
            count as f64 / groups as f64,
            (after.log_bytes - before.log_bytes) as f64 / 1e6 / seconds,
            (after.log_bytes - before.log_bytes) as f64 / (after.message_bytes - before.message_bytes) as f64,
        );
    }
    reading(&bench).await;
    let stat = bench.store.stat().unwrap();
    println!("{stat:?}");
    bench.store.close();
    let start = Instant::now();
    let (store, _mint) = Store::open(options()).unwrap();
    println!("open: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    drop(store);
    std::fs::remove_dir_all(dir.join("index")).unwrap();
    let start = Instant::now();
    let (store, _mint) = Store::open(options()).unwrap();
    println!("index made again: {:.2} s", start.elapsed().as_secs_f64());
    drop(store);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A mailbox of 100,000 small messages.
async fn reading(bench: &Arc<Bench>) {
    let new = NewAccount {
        address: Address::parse("large@example.org").unwrap(),
        display_name: None,
        profile: String::from("staff"),
        password: None,
        quota: None,
        quota_in_force: QuotaLimit::default(),
        language: String::from("fr"),
        mailboxes: Vec::new(),
    };
    let account = bench.store.create_account(bench.permit(Action::AccountCreate, None, true), new).await.unwrap().value;
    let keys = bench.store.open_keys(&bench.permit(Action::Login, Some(account), false)).unwrap();
    let permit = bench.permit(Action::FetchMetadata, Some(account), false);
    let inbox = bench.store.read(&permit).unwrap().mailboxes().unwrap()[0].id;
    let start = Instant::now();
    let raw = message(1, 2500);
    for _ in 0..200 {
        let messages = (0..500)
            .map(|_| AppendMessage {
                prepared: bench.store.prepare(raw.clone()).unwrap(),
                flags: FlagSet::default(),
                internal_date: None,
            })
            .collect();
        let permit = bench.permit(Action::Append, Some(account), true);
        bench.store.append(permit, &keys, inbox, messages).await.unwrap();
    }
    println!("MULTIAPPEND of 500 × 2.5 KB: {:.0} msg/s", 100_000.0 / start.elapsed().as_secs_f64());
    let reader = bench.store.read(&permit).unwrap();
    let start = Instant::now();
    let view = reader.view(inbox).unwrap();
    println!("view of 100,000 loaded: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    let start = Instant::now();
    let snapshot = view.snapshot();
    let flags = snapshot
        .iter()
        .fold(0_u64, |sum, (number, entry)| sum ^ entry.flags ^ u64::from(number) ^ u64::from(entry.uid.get()));
    println!(
        "flags of {} out of the view: {:.2} ms ({flags:x})",
        snapshot.messages,
        start.elapsed().as_secs_f64() * 1000.0
    );
    for pass in ["first", "again"] {
        let start = Instant::now();
        let mut bytes = 0;
        for (_, entry) in snapshot.iter() {
            bytes += reader.summary(&keys, entry.email).unwrap().size().get();
        }
        println!("100,000 summaries, {pass}: {:.0} ms ({bytes} bytes)", start.elapsed().as_secs_f64() * 1000.0);
    }
}
