//! A store by itself, without a server before it: what the rows `store-*` measure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pli_crypto::{FileKeyStore, KeyStore, Opened};
use pli_io::{Clock, Env, RealClock};
use pli_store::{
    AppendMessage, Delivery, Grant, IndexEngine, LocalRecipient, Mint, NewAccount, Permit, Prepared, QuotaLimit,
    RebuildProgress, Store, StoreOptions,
};
use pli_types::{AccountId, Action, Address, FlagSet, MailboxId, MailboxName, SessionId, SessionInfo, UnixMillis};

use crate::Failure;

/// Messages of one APPEND while a mailbox is filled.
const FILL_MESSAGES: u64 = 500;

/// Where a row keeps its stores, and what of it is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// A folder on the disk that is measured; a new one is made in it and removed after.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Cache of the index, as the server has it unless told otherwise.
    #[arg(long, default_value_t = 16)]
    pub index_cache_mb: u64,
    /// Engine of the index.
    #[arg(long, value_enum, default_value_t)]
    pub index: Index,
}

/// Engine of the index.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Index {
    /// sled 0.34.
    #[default]
    Sled,
    /// fjall 3.
    Fjall,
}

impl std::fmt::Display for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
        })
    }
}

impl Place {
    /// A folder of its own for this run.
    pub fn folder(&self) -> Result<tempfile::TempDir, Failure> {
        Ok(tempfile::Builder::new().prefix(".bench-store-").tempdir_in(&self.dir)?)
    }
}

/// A clock that the row sets: real time plus what was added.
pub struct Shifted {
    real: RealClock,
    ahead_ms: std::sync::atomic::AtomicI64,
}

impl Shifted {
    /// Real time.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { real: RealClock::new(), ahead_ms: std::sync::atomic::AtomicI64::new(0) })
    }
    /// Goes so much further.
    pub fn advance(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, std::sync::atomic::Ordering::Relaxed);
    }
    fn ahead(&self) -> i64 {
        self.ahead_ms.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Clock for Shifted {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.real.now().0 + self.ahead())
    }
    fn monotonic(&self) -> std::time::Duration {
        self.real.monotonic() + std::time::Duration::from_millis(self.ahead().unsigned_abs())
    }
}

/// How stores of one row are opened: the key lives as long as the row.
#[derive(Clone)]
pub struct Opening {
    dir: PathBuf,
    keys: Arc<dyn KeyStore>,
    env: Env,
    index_cache_mb: u64,
    index: IndexEngine,
}

impl Opening {
    /// A store in this folder, in real time.
    pub fn new(place: &Place, dir: &Path) -> Result<Self, Failure> {
        let (keys, _) = FileKeyStore::generate(None)?;
        Ok(Self::with(place, dir, keys))
    }
    /// The same for a store that another process opens too: the key lies beside it.
    pub fn kept(place: &Place, dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("root.key");
        let keys = match std::fs::read(&path) {
            Ok(text) => FileKeyStore::open(&text, None)?,
            Err(_) => {
                let (keys, text) = FileKeyStore::generate(None)?;
                std::fs::write(&path, text.expose())?;
                keys
            }
        };
        Ok(Self::with(place, dir, keys))
    }
    fn with(place: &Place, dir: &Path, keys: FileKeyStore) -> Self {
        let index = match place.index {
            Index::Sled => IndexEngine::Sled,
            Index::Fjall => IndexEngine::Fjall,
        };
        let (keys, index_cache_mb) = (Arc::new(keys), place.index_cache_mb);
        Self { dir: dir.join("store"), keys, env: Env::real(), index_cache_mb, index }
    }
    /// With another engine of the index.
    pub fn engine(mut self, index: IndexEngine) -> Self {
        self.index = index;
        self
    }
    /// With another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.env.clock = clock;
        self
    }
    fn options(&self) -> StoreOptions {
        StoreOptions {
            dir: self.dir.clone(),
            env: self.env.clone(),
            keys: Arc::clone(&self.keys),
            index: self.index,
            index_cache_bytes: self.index_cache_mb << 20,
            site: String::from("bench.example.org/pli"),
        }
    }
    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// A new store.
    pub fn create(&self) -> Result<Bench, Failure> {
        let (store, mint) = Store::create(self.options())?;
        Ok(Bench::new(store, mint))
    }
    /// The store with an index that is made again from the log.
    pub fn rebuild(&self) -> Result<Bench, Failure> {
        let (store, mint) = Store::open_rebuilding(self.options(), &RebuildProgress::default())?;
        Ok(Bench::new(store, mint))
    }
    /// The store as it is.
    pub fn open(&self) -> Result<Bench, Failure> {
        let (store, mint) = Store::open(self.options())?;
        Ok(Bench::new(store, mint))
    }
}

/// An open store with leave to do everything.
pub struct Bench {
    /// The store.
    pub store: Store,
    mint: Mint,
    session: Arc<SessionInfo>,
}

impl Bench {
    fn new(store: Store, mint: Mint) -> Self {
        Self { store, mint, session: Arc::new(SessionInfo::system(SessionId(1))) }
    }
    /// Leave, as the gate gives it.
    pub fn permit(&self, action: Action, account: Option<AccountId>, audited: bool) -> Permit {
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
    /// A new account of this name.
    pub async fn account(&self, name: &str) -> Result<AccountId, Failure> {
        let new = NewAccount {
            address: Address::parse(&format!("{name}@example.org"))?,
            display_name: None,
            profile: String::from("staff"),
            password: None,
            quota: None,
            quota_in_force: QuotaLimit::default(),
            language: String::from("fr"),
            mailboxes: Vec::new(),
        };
        Ok(self.store.create_account(self.permit(Action::AccountCreate, None, true), new).await?.value)
    }
    /// The account's INBOX.
    pub fn inbox(&self, account: AccountId) -> Result<MailboxId, Failure> {
        let permit = self.permit(Action::List, Some(account), false);
        Ok(self.store.read(&permit)?.mailboxes()?.first().ok_or("an account without a mailbox")?.id)
    }
    /// The account's keys, as a session has them.
    pub fn keys(&self, account: AccountId) -> Result<Opened, Failure> {
        Ok(self.store.open_keys(&self.permit(Action::Login, Some(account), false))?)
    }
    /// A further mailbox.
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxId, Failure> {
        let permit = self.permit(Action::Create, Some(account), true);
        Ok(self.store.create_mailbox(permit, MailboxName::new(name)?, None).await?.value.id)
    }
    /// Delivers one message as SMTP does: sealed to public keys, audited.
    pub async fn deliver(&self, account: AccountId, raw: Vec<u8>) -> Result<(), Failure> {
        self.deliver_prepared(account, self.store.prepare(raw.into())?).await
    }
    /// The commit alone.
    pub async fn deliver_prepared(&self, account: AccountId, prepared: Prepared) -> Result<(), Failure> {
        let local = vec![LocalRecipient {
            permit: self.permit(Action::Deliver, Some(account), false),
            account,
            mailbox: None,
            flags: FlagSet::default(),
        }];
        let delivery = Delivery {
            prepared,
            reverse_path: None,
            local,
            remote: Vec::new(),
            smtputf8: false,
            eight_bit: false,
            ends: Vec::new(),
        };
        self.store.deliver(self.permit(Action::Deliver, None, true), delivery).await?;
        Ok(())
    }
    /// Appends so many messages.
    pub async fn fill(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        count: u64,
        mut message: impl FnMut(u64) -> Vec<u8>,
    ) -> Result<(), Failure> {
        let keys = self.keys(account)?;
        let mut next = 0;
        while next < count {
            let end = (next + FILL_MESSAGES).min(count);
            let mut messages = Vec::new();
            for number in next..end {
                let prepared = self.store.prepare(message(number).into())?;
                messages.push(AppendMessage { prepared, flags: FlagSet::default(), internal_date: None });
            }
            let permit = self.permit(Action::Append, Some(account), true);
            self.store.append(permit, &keys, mailbox, messages).await?;
            next = end;
        }
        Ok(())
    }
}
