//! A store to test with: on the real disk or on a simulated one, with any index, and permits for everything.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pli_crypto::{FileKeyStore, KeyStore, Opened};
use pli_io::Env;
use pli_io::sim::{SimClock, SimDisk};
use pli_store::*;
use pli_types::{
    AccountId, Action, Address, FlagSet, MailboxId, MailboxName, SessionId, SessionInfo, SpecialUse, SystemFlag, Uid,
    UnixMillis,
};

/// 2026-11-24.
pub const START: UnixMillis = UnixMillis(1_795_500_000_000);

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub fn message(subject: &str, body_bytes: usize) -> Bytes {
    let mut text = format!(
        "From: Ana <ana@example.org>\r\nTo: bob@example.org\r\nSubject: {subject}\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
    );
    let mut seed = subject.bytes().fold(7_u64, |a, b| a.wrapping_mul(31).wrapping_add(b.into()));
    while text.len() < body_bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("line {:x} of {subject}\r\n", seed >> 20));
    }
    Bytes::from(text)
}

/// What outlives a store: disk, keys, clock.
pub struct World {
    pub env: Env,
    pub dir: PathBuf,
    pub keys: Arc<dyn KeyStore>,
    pub index: IndexEngine,
    pub clock: Arc<SimClock>,
    pub disk: Option<SimDisk>,
    pub temporary: Option<tempfile::TempDir>,
}

impl World {
    /// On the real disk, with a clock that stands.
    pub fn real(index: IndexEngine) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::new(START));
        let env = Env { clock: clock.clone(), ..Env::real() };
        let (keys, _) = FileKeyStore::generate(None).unwrap();
        Self {
            env,
            dir: temporary.path().join("store"),
            keys: Arc::new(keys),
            index,
            clock,
            disk: None,
            temporary: Some(temporary),
        }
    }
    /// On a simulated disk.
    pub fn sim(seed: u64, keys: Arc<dyn KeyStore>) -> Self {
        Self::on(SimDisk::new(seed), seed, keys)
    }
    /// On a copy of this world's simulated disk, with a clock of its own.
    pub fn fork(&self, seed: u64) -> Self {
        Self::on(self.disk.as_ref().unwrap().fork(seed), seed, Arc::clone(&self.keys))
    }
    fn on(disk: SimDisk, seed: u64, keys: Arc<dyn KeyStore>) -> Self {
        let clock = Arc::new(SimClock::new(START));
        Self {
            env: disk.env(&clock, seed),
            dir: PathBuf::from("/store"),
            keys,
            index: IndexEngine::Memory,
            clock,
            disk: Some(disk),
            temporary: None,
        }
    }
    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            dir: self.dir.clone(),
            env: self.env.clone(),
            keys: Arc::clone(&self.keys),
            index: self.index,
            index_cache_bytes: 8 << 20,
            site: String::from("mail.example.org/pli"),
        }
    }
    pub fn create(&self) -> Open {
        Open::new(Store::create(self.options()).unwrap())
    }
    pub fn open(&self) -> Open {
        Open::new(Store::open(self.options()).unwrap())
    }
}

/// An open store with the right to everything.
pub struct Open {
    pub store: Store,
    pub mint: Mint,
    session: Arc<SessionInfo>,
}

impl Open {
    pub fn new((store, mint): (Store, Mint)) -> Self {
        Self { store, mint, session: Arc::new(SessionInfo::system(SessionId(1))) }
    }
    pub fn permit(&self, action: Action, account: Option<AccountId>) -> Permit {
        self.mint.permit(Grant {
            action,
            session: Arc::clone(&self.session),
            account,
            mailbox: None,
            rights: pli_types::Rights::ALL,
            rule: "test",
            audited: true,
        })
    }
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }
    pub async fn account(&self, text: &str, limit: QuotaLimit) -> AccountId {
        let new = NewAccount {
            address: address(text),
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: limit,
            language: String::from("fr"),
            mailboxes: vec![(name("Trash"), Some(SpecialUse::Trash)), (name("Archive/2026"), None)],
        };
        self.store.create_account(self.permit(Action::AccountCreate, None), new).await.unwrap().value
    }
    pub fn keys(&self, account: AccountId) -> Opened {
        self.store.open_keys(&self.permit(Action::Login, Some(account))).unwrap()
    }
    pub fn mailbox(&self, account: AccountId, text: &str) -> Mailbox {
        let permit = self.permit(Action::List, Some(account));
        self.store.read(&permit).unwrap().mailbox_by_name(&name(text)).unwrap().unwrap()
    }
    pub fn mailboxes(&self, account: AccountId) -> Vec<Mailbox> {
        let permit = self.permit(Action::List, Some(account));
        self.store.read(&permit).unwrap().mailboxes().unwrap()
    }
    pub fn view(&self, account: AccountId, mailbox: MailboxId) -> Arc<View> {
        let permit = self.permit(Action::Select, Some(account));
        self.store.read(&permit).unwrap().view(mailbox).unwrap()
    }
    pub fn entries(&self, account: AccountId, mailbox: MailboxId) -> Vec<Entry> {
        self.view(account, mailbox).snapshot().iter().map(|(_, entry)| entry).collect()
    }
    pub fn body(&self, account: AccountId, entry: Entry) -> Result<Bytes, StoreError> {
        let permit = self.permit(Action::FetchContent, Some(account));
        self.store.read(&permit).unwrap().body(&self.keys(account), entry.email, None)
    }
    /// The same with keys opened before.
    pub fn body_with(&self, keys: &Opened, account: AccountId, entry: Entry) -> Result<Bytes, StoreError> {
        let permit = self.permit(Action::FetchContent, Some(account));
        self.store.read(&permit).unwrap().body(keys, entry.email, None)
    }
    pub async fn deliver(&self, accounts: &[AccountId], raw: &Bytes) -> Result<Committed<Delivered>, StoreError> {
        self.deliver_all(accounts, &[], raw).await
    }
    pub async fn deliver_all(
        &self,
        accounts: &[AccountId],
        remote: &[&str],
        raw: &Bytes,
    ) -> Result<Committed<Delivered>, StoreError> {
        let local = accounts
            .iter()
            .map(|account| LocalRecipient {
                permit: self.permit(Action::Deliver, Some(*account)),
                account: *account,
                mailbox: None,
                flags: FlagSet::default(),
            })
            .collect();
        let remote = remote
            .iter()
            .map(|text| RemoteRecipient {
                permit: self.permit(Action::Relay, None),
                forward_path: address(text),
                parameters: Vec::new(),
            })
            .collect();
        let delivery = Delivery {
            prepared: self.store.prepare(raw.clone())?,
            reverse_path: Some(address("ana@example.org")),
            local,
            remote,
            smtputf8: false,
            eight_bit: false,
            ends: Vec::new(),
        };
        self.store.deliver(self.permit(Action::Deliver, None), delivery).await
    }
    pub async fn flag(&self, account: AccountId, mailbox: MailboxId, uids: &[Uid], flag: SystemFlag) -> Flagged {
        let permit = self.permit(Action::Store, Some(account));
        let flags = [flag].into_iter().collect();
        let uids = uids.to_vec();
        self.store.change_flags(permit, mailbox, uids, FlagMode::Add, flags, None).await.unwrap().value
    }
    pub async fn expunge(&self, account: AccountId, mailbox: MailboxId) -> Vec<Uid> {
        let permit = self.permit(Action::Expunge, Some(account));
        self.store.expunge(permit, mailbox, None).await.unwrap().value
    }
    pub fn verify(&self) -> VerifyReport {
        self.store.verify(&self.permit(Action::Verify, None), &mut |_, _| {}).unwrap()
    }
    /// The store's own check at the end of a test.
    pub fn check(&self) {
        let report = self.verify();
        assert_eq!(report.damage, [], "invariants");
    }
}

/// Every engine of the index.
pub const ENGINES: [IndexEngine; 3] = [IndexEngine::Memory, IndexEngine::Sled, IndexEngine::Fjall];

/// Runs a test over every index.
pub fn both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    for index in ENGINES {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(World::real(index)));
    }
}

pub fn keystore() -> Arc<dyn KeyStore> {
    Arc::new(FileKeyStore::generate(None).unwrap().0)
}
