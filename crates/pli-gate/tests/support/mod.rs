//! A gate over a real store, with two accounts and a clock that is set by hand.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pli_crypto::{FileKeyStore, hash_password};
use pli_directory::{Directory, Profile};
use pli_gate::{Gate, Target};
use pli_io::{Clock, Env};
use pli_store::{AccountChange, IndexEngine, NewAccount, QuotaLimit, Store, StoreOptions};
use pli_types::{AccountId, Action, Actor, Address, ByteCount, Protocol, SessionId, SessionInfo, UnixMillis};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse battery";

/// A clock that is set by hand.
pub struct Hand(pub Mutex<Duration>);

impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        let millis = i64::try_from(self.monotonic().as_millis()).unwrap();
        UnixMillis::from_secs(1_795_500_000).plus_ms(millis)
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock()
    }
}

pub struct World {
    pub gate: Arc<Gate>,
    pub clock: Arc<Hand>,
    pub alice: AccountId,
    pub bob: AccountId,
    _dir: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.gate.store().close();
    }
}

pub fn profile(name: &str) -> Profile {
    Profile {
        name: name.to_owned(),
        quota: QuotaLimit { bytes: Some(ByteCount::new(1_000)), messages: Some(3) },
        imap: true,
        submission: true,
        relay: true,
        submit_per_hour: Some(2),
        recipients_max: None,
    }
}

pub async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let (keys, _) = FileKeyStore::generate(None).unwrap();
    let clock = Arc::new(Hand(Mutex::new(Duration::from_secs(1))));
    let env = Env { clock: clock.clone(), ..Env::real() };
    let options = StoreOptions {
        dir: dir.path().join("store"),
        env,
        keys: Arc::new(keys),
        index: IndexEngine::Memory,
        index_cache_bytes: 1 << 20,
        site: String::from("mail.example.org/pli"),
    };
    let (store, mint) = Store::create(options).unwrap();
    let closed = Profile { imap: false, submission: false, relay: false, ..profile("closed") };
    let directory = Arc::new(Directory::new(store.clone(), vec![profile("staff"), closed], '+'));
    let gate = Gate::new(store, mint, directory).with_clock(clock.clone()).with_site("mail.example.org/pli");
    let gate = Arc::new(gate);
    let permit = gate.admit(&admin(), Action::DomainChange, &Target::default()).unwrap();
    gate.store().add_domain(permit, String::from("example.org")).await.unwrap();
    let alice = add(&gate, "alice@example.org", "staff").await;
    let bob = add(&gate, "bob@example.org", "closed").await;
    World { gate, clock, alice, bob, _dir: dir }
}

pub async fn add(gate: &Gate, address: &str, name: &str) -> AccountId {
    let new = NewAccount {
        address: Address::parse(address).unwrap(),
        display_name: None,
        profile: name.to_owned(),
        password: Some(hash_password(&PASSWORD.into()).unwrap()),
        quota: None,
        quota_in_force: profile(name).quota,
        language: String::from("fr"),
        mailboxes: Vec::new(),
    };
    let permit = gate.admit(&admin(), Action::AccountCreate, &Target::default()).unwrap();
    gate.store().create_account(permit, new).await.unwrap().value
}

pub fn session(actor: Actor) -> Arc<SessionInfo> {
    Arc::new(SessionInfo {
        id: SessionId(7),
        protocol: Protocol::Imap,
        peer: Some("192.0.2.1:4711".parse().unwrap()),
        tls: None,
        client: None,
        actor,
    })
}

pub fn admin() -> Arc<SessionInfo> {
    session(Actor::Admin(0))
}

pub fn on(account: AccountId) -> Target {
    Target { account: Some(account), ..Target::default() }
}

impl World {
    pub async fn change(&self, account: AccountId, change: AccountChange) {
        let permit = self.gate.admit(&admin(), Action::AccountChange, &on(account)).unwrap();
        self.gate.store().change_account(permit, account, change).await.unwrap();
    }
    pub fn pass(&self, time: Duration) {
        *self.clock.0.lock() += time;
    }
    /// Every event of an action, after all noted ones are on disk.
    pub async fn events(&self, action: Action) -> Vec<pli_audit::Event> {
        let event = self.gate.event(&admin(), Action::Operate);
        self.gate.store().record(self.gate.admit_system(Action::Operate), event).await.unwrap();
        let permit = self.gate.admit(&admin(), Action::AuditRead, &Target::default()).unwrap();
        let all = self.gate.store().audit_events(&permit, 0, 10_000).unwrap();
        all.into_iter().map(|(_, event)| event).filter(|event| event.operation == action).collect()
    }
}
