//! Search in one large mailbox: what the index costs, and how long an answer takes, cold and warm.
//!
//! `search_bench FOLDER MESSAGES [QUERIES]`: fills a store in the folder (or goes on with the one that is there), makes the
//! index, and prints figures as JSON, one line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench that ends when something is wrong"
)]

#[allow(dead_code, reason = "a file of the tests")]
#[path = "../../../tests/src/dice.rs"]
mod dice;
#[allow(dead_code, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a file of the benches")]
#[path = "../../../benches/src/letters.rs"]
mod letters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pli_crypto::{FileKeyStore, Opened};
use pli_io::Env;
use pli_store::*;
use pli_types::{AccountId, Action, Address, FlagSet, SessionId, SessionInfo};

struct Bench {
    store: Store,
    mint: Mint,
    session: Arc<SessionInfo>,
    account: AccountId,
    keys: Opened,
    figures: BTreeMap<String, f64>,
}

impl Bench {
    fn permit(&self, action: Action) -> Permit {
        let account = Some(self.account);
        self.mint.permit(Grant {
            action,
            session: Arc::clone(&self.session),
            account,
            mailbox: None,
            rights: pli_types::Rights::ALL,
            rule: "bench",
            audited: true,
        })
    }
    fn set(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    async fn fill(&mut self, messages: u64) {
        let permit = self.permit(Action::List);
        let inbox =
            self.store.read(&permit).unwrap().mailboxes().unwrap().into_iter().find(|m| m.name.is_inbox()).unwrap();
        let begun = Instant::now();
        let there = u64::from(inbox.messages);
        let numbers: Vec<u64> = (there..messages).collect();
        let mut bytes = 0_usize;
        for batch in numbers.chunks(200) {
            let entries = batch
                .iter()
                .map(|number| {
                    let raw = Bytes::from(letters::letter(1, *number));
                    bytes += raw.len();
                    let prepared = self.store.prepare(raw).unwrap();
                    AppendMessage { prepared, flags: FlagSet::default(), internal_date: None }
                })
                .collect();
            self.store.append(self.permit(Action::Append), &self.keys, inbox.id, entries).await.unwrap();
        }
        if !numbers.is_empty() {
            self.set("fill_messages_per_s", numbers.len() as f64 / begun.elapsed().as_secs_f64());
            self.set("message_bytes_mean", bytes as f64 / numbers.len() as f64);
        }
    }

    async fn index(&mut self, messages: u64) {
        let before = self.store.stat().unwrap();
        let permit = self.permit(Action::Search);
        let (begun, mut steps, mut longest) = (Instant::now(), 0_u32, 0.0_f64);
        loop {
            let step_begun = Instant::now();
            let Some(step) = self.store.index_step(&permit, &self.keys).unwrap() else { break };
            self.store.commit_index(&permit, step).await.unwrap();
            longest = longest.max(step_begun.elapsed().as_secs_f64());
            steps += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let after = self.store.stat().unwrap();
        if steps > 0 {
            self.set("index_s", seconds);
            self.set("index_steps", steps.into());
            self.set("index_step_max_s", longest);
            self.set("index_written_bytes_a_message", (after.log_bytes - before.log_bytes) as f64 / messages as f64);
        }
        self.set("index_plain_bytes_a_message", after.search_bytes as f64 / messages as f64);
        self.set("original_bytes_a_message", after.message_bytes as f64 / messages as f64);
    }

    /// Milliseconds of one search, and how many messages it found, may have found and does not know.
    fn search(&self, field: SearchField<'_>, text: &str, entries: &[Entry]) -> (f64, [usize; 3]) {
        let folded = pli_mime::fold(text);
        let permit = self.permit(Action::Search);
        let begun = Instant::now();
        let reader = self.store.read(&permit).unwrap();
        let found = reader.search(&self.keys, field, &folded).unwrap();
        let mut counts = [0; 3];
        for entry in entries {
            match found.verdict(entry.email) {
                Verdict::Yes => counts[0] += 1,
                Verdict::Maybe => counts[1] += 1,
                Verdict::Unknown => counts[2] += 1,
                Verdict::No => {}
            }
        }
        (begun.elapsed().as_secs_f64() * 1000.0, counts)
    }

    fn measure(&mut self, repeats: usize) {
        let permit = self.permit(Action::Select);
        let reader = self.store.read(&permit).unwrap();
        let inbox = reader.mailboxes().unwrap().into_iter().find(|m| m.name.is_inbox()).unwrap();
        let entries: Vec<Entry> = reader.view(inbox.id).unwrap().snapshot().iter().map(|(_, entry)| entry).collect();
        let common = letters::word(3);
        let middle = letters::word(400);
        let cases: [(&str, SearchField<'_>, &str); 9] = [
            ("rare_word", SearchField::Text, letters::RARE),
            ("rare_inside", SearchField::Text, "tzalcoa"),
            ("common_word", SearchField::Body, &common),
            ("middle_word", SearchField::Text, &middle),
            ("three_letters", SearchField::Text, "ver"),
            ("three_rare_letters", SearchField::Text, "xqz"),
            ("from_domain", SearchField::Header("from"), "@site17.example.net"),
            ("subject", SearchField::Header("subject"), &middle),
            ("absent", SearchField::Text, "no-such-word"),
        ];
        for (name, field, text) in cases {
            let mut cold = Vec::new();
            let mut warm = Vec::new();
            let mut counts = [0; 3];
            for _ in 0..repeats {
                self.store.forget_search();
                let (ms, found) = self.search(field, text, &entries);
                cold.push(ms);
                counts = found;
                self.set(&format!("{name}_cold_bytes"), self.store.search_memory() as f64);
                warm.extend((0..3).map(|_| self.search(field, text, &entries).0));
            }
            self.set(&format!("{name}_cold_ms"), median(&mut cold));
            self.set(&format!("{name}_warm_ms"), median(&mut warm));
            self.set(&format!("{name}_found"), counts[0] as f64);
            assert_eq!(counts[1], 0, "{name} is decided");
        }
        let phrase = self.search(SearchField::Text, &format!("{} aussi", letters::RARE), &entries);
        self.set("phrase_candidates", phrase.1[1] as f64);
        self.set("cache_bytes", self.store.search_memory() as f64);
        let permit = self.permit(Action::Search);
        let begun = Instant::now();
        let ranked = self.store.read(&permit).unwrap().search_ranked(&self.keys, &middle, 20).unwrap();
        self.figures.insert(String::from("ranked_ms"), begun.elapsed().as_secs_f64() * 1000.0);
        self.figures.insert(String::from("ranked_found"), ranked.len() as f64);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Resident bytes of this process.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let dir = std::path::PathBuf::from(&arguments[1]);
    let messages: u64 = arguments[2].parse().unwrap();
    let repeats: usize = arguments.get(3).map_or(11, |text| text.parse().unwrap());
    std::fs::create_dir_all(&dir).unwrap();
    let key_file = dir.join("root.key");
    let keystore = if key_file.exists() {
        FileKeyStore::open(&std::fs::read(&key_file).unwrap(), None).unwrap()
    } else {
        let (keystore, bytes) = FileKeyStore::generate(None).unwrap();
        std::fs::write(&key_file, bytes.expose()).unwrap();
        keystore
    };
    let options = StoreOptions {
        dir: dir.join("store"),
        env: Env::real(),
        keys: Arc::new(keystore),
        index: IndexEngine::Sled,
        index_cache_bytes: 64 << 20,
        site: String::from("bench"),
    };
    let is_new = !options.dir.join("store.json").exists();
    let (store, mint) = if is_new { Store::create(options).unwrap() } else { Store::open(options).unwrap() };
    let session = Arc::new(SessionInfo::system(SessionId(1)));
    let grant = |action, account| Grant {
        action,
        session: Arc::clone(&session),
        account,
        mailbox: None,
        rights: pli_types::Rights::ALL,
        rule: "bench",
        audited: true,
    };
    if is_new {
        let new = NewAccount {
            address: Address::parse("user@example.org").unwrap(),
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: QuotaLimit::default(),
            language: String::from("fr"),
            mailboxes: Vec::new(),
        };
        store.create_account(mint.permit(grant(Action::AccountCreate, None)), new).await.unwrap();
    }
    let account = store.account_by_key("user@example.org").unwrap().unwrap().id;
    let keys = store.open_keys(&mint.permit(grant(Action::Login, Some(account)))).unwrap();
    let mut bench = Bench { store, mint, session, account, keys, figures: BTreeMap::new() };
    bench.set("messages", messages as f64);
    bench.fill(messages).await;
    bench.set("resident_before_bytes", resident());
    bench.index(messages).await;
    bench.measure(repeats);
    bench.set("resident_after_bytes", resident());
    let line: Vec<String> = bench.figures.iter().map(|(name, value)| format!("\"{name}\": {value:.3}")).collect();
    println!("{{{}}}", line.join(", "));
    bench.store.close();
}
