//! Carries requests out.

use std::sync::Arc;

use pli_crypto::{SCRAM_SALT_BYTES, ScramVerifier, SecretString};
use pli_gate::{Gate, Refusal, Target};
use pli_store::StoreError;
use pli_types::{AccountId, Action, Address, MailboxName, SessionInfo, SpecialUse, UnixMillis};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{ErrorKind, Failure, PlainPassword, Reply, Request};

mod account;
mod audit;
mod credential;
mod key;
mod past;
mod queue;
mod rebuild;
mod routing;
mod send;
mod shared;
mod store;

type Result<T = Value, E = Failure> = std::result::Result<T, E>;

/// What a new account has besides INBOX, all subscribed.
pub const DEFAULT_MAILBOXES: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Junk", SpecialUse::Junk),
    ("Trash", SpecialUse::Trash),
    ("Archive", SpecialUse::Archive),
];

/// What the server says of itself; offline there is none.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerStatus {
    /// Program version.
    pub version: String,
    /// When it started, in seconds of Unix time.
    pub started: i64,
    /// Process id.
    pub pid: u32,
    /// `imaps 127.0.0.1:10993` and so on.
    pub listeners: Vec<String>,
}

/// Is told how far long work is.
pub type Tell = Arc<dyn Fn(Value) + Send + Sync>;

/// The one place where administrative requests are carried out, online and offline.
pub struct AdminService {
    gate: Arc<Gate>,
    status: Option<ServerStatus>,
    now: Box<dyn Fn() -> UnixMillis + Send + Sync>,
    key_rules: pli_store::KeyRules,
    queue: Option<Arc<pli_queue::QueueRunner>>,
}

impl AdminService {
    /// Over a gate. `status` is `None` offline; `now` is the clock.
    pub fn new(
        gate: Arc<Gate>,
        status: Option<ServerStatus>,
        now: impl Fn() -> UnixMillis + Send + Sync + 'static,
    ) -> Self {
        Self { gate, status, now: Box::new(now), key_rules: pli_store::KeyRules::default(), queue: None }
    }

    /// With the ages at which keys are due.
    #[must_use]
    pub const fn with_key_rules(mut self, rules: pli_store::KeyRules) -> Self {
        self.key_rules = rules;
        self
    }

    /// With the queue that runs in this process.
    #[must_use]
    pub fn with_queue(mut self, queue: Arc<pli_queue::QueueRunner>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Carries one request out in the name of the session.
    pub async fn handle(&self, session: &Arc<SessionInfo>, request: Request) -> Reply {
        self.handle_telling(session, request, Arc::new(|_| {})).await
    }

    /// The same, telling how far long work is. Dropping the future breaks such work off.
    pub async fn handle_telling(&self, session: &Arc<SessionInfo>, request: Request, tell: Tell) -> Reply {
        self.dispatch(session, request, tell).await.into()
    }

    async fn dispatch(&self, session: &Arc<SessionInfo>, request: Request, tell: Tell) -> Result {
        let call = Call { service: self, session };
        match request {
            Request::AccountAdd { address, password, profile, quota, display_name, language } => {
                call.account_add(account::New { address, password, profile, quota, display_name, language }).await
            }
            Request::AppPasswordAdd { address, label } => call.app_password_add(&address, &label).await,
            Request::AppPasswordList { address } => call.app_password_list(&address),
            Request::AppPasswordRevoke { address, id } => call.app_password_revoke(&address, id).await,
            Request::SessionList => call.session_list(),
            Request::SessionEnd { address, session } => call.session_end(address.as_ref(), session.as_deref()).await,
            Request::AccountList => call.account_list(),
            Request::AccountShow { address } => call.account_show(&address),
            Request::AccountSet { address, password, profile, quota, display_name, language } => {
                call.account_set(account::New { address, password, profile, quota, display_name, language }).await
            }
            Request::AccountSuspend { address, suspended } => call.account_suspend(&address, suspended).await,
            Request::AccountRemove { address, erase } => call.account_remove(&address, erase).await,
            Request::SharedAdd { address, members, owners, profile, quota, display_name, language } => {
                let new = shared::NewShared { address, members, owners, profile, quota, display_name, language };
                call.shared_add(new).await
            }
            Request::SharedList => call.shared_list(),
            Request::SharedShow { address } => call.shared_show(&address),
            Request::SharedMember { address, member, owner, send_as, send_on_behalf } => {
                call.shared_member(&address, &member, (owner, send_as, send_on_behalf)).await
            }
            Request::SharedMemberRemove { address, member } => call.shared_member_remove(&address, &member).await,
            Request::SharedRemove { address } => call.shared_remove(&address).await,
            Request::GroupSet { name, members } => call.group_set(&name, &members).await,
            Request::GroupList => call.group_list(),
            Request::GroupRemove { name } => call.group_remove(&name).await,
            Request::AliasAdd { address, targets } => call.alias_add(address, targets).await,
            Request::AliasList => call.alias_list(),
            Request::AliasRemove { address } => call.alias_remove(address).await,
            Request::DomainAdd { name } => call.domain_add(&name).await,
            Request::DomainList => call.domain_list(),
            Request::DomainRemove { name } => call.domain_remove(&name).await,
            Request::QuotaShow { address } => call.quota_show(&address),
            Request::QuotaSet { address, quota } => call.quota_set(&address, quota).await,
            Request::QuotaRecalculate { address } => call.quota_recalculate(&address).await,
            Request::ProfileList => call.profile_list(),
            Request::QueueList { limit, filter } => call.queue_list(limit, &filter),
            Request::QueueShow { id } => call.queue_show(id),
            Request::QueueWhy { id } => call.queue_why(id),
            Request::QueueAct { filter, act, dry_run } => call.queue_act(&filter, &act, dry_run).await,
            Request::QueueFreeze { domain, reason, dry_run } => call.queue_freeze(&domain, Some(reason), dry_run).await,
            Request::QueueThaw { domain, dry_run } => call.queue_freeze(&domain, None, dry_run).await,
            Request::QueueFrozen => call.queue_frozen(),
            Request::Trace { what, limit } => call.trace(&what, limit).await,
            Request::AuditTail { count } => call.audit_tail(count).await,
            Request::AuditExport { from, limit } => call.audit_export(from, limit).await,
            Request::AuditVerify => call.audit_verify().await,
            Request::StoreStat => call.store_stat(),
            Request::StoreVerify { fast, rate, accounts } => call.store_verify(fast, rate, &accounts, tell).await,
            Request::StoreRepair { dry_run } => call.store_repair(dry_run, tell).await,
            Request::StoreRebuild { engine } => call.store_rebuild(engine.as_deref()).await,
            Request::StoreRebuildStatus => call.store_rebuild_status(),
            Request::StoreCompact { all } => call.store_compact(all).await,
            Request::StoreAt { address, time } => call.store_at(&address, time).await,
            Request::StoreAtMessages { address, time, mailbox } => {
                call.store_at_messages(&address, time, &mailbox).await
            }
            Request::StoreRewind { address, time, mailbox, label, dry_run } => {
                call.store_rewind(past::Rewind { address, time, mailbox, label, dry_run }).await
            }
            Request::KeyStatus { address } => call.key_status(address.as_ref()).await,
            Request::KeyRotateRoot { forget } => call.key_rotate_root(forget).await,
            Request::KeyRotateAccount { address } => call.key_rotate_account(address.as_ref()).await,
            Request::Send { from, to, message } => call.send(&from, &to, &message).await,
            Request::Health => call.health(),
        }
    }
}

/// One request being carried out.
struct Call<'a> {
    service: &'a AdminService,
    session: &'a Arc<SessionInfo>,
}

impl Call<'_> {
    fn gate(&self) -> &Gate {
        &self.service.gate
    }
    fn store(&self) -> &pli_store::Store {
        self.service.gate.store()
    }
    /// Leave for an action on an account, or on none.
    fn admit(&self, action: Action, account: Option<AccountId>) -> Result<pli_store::Permit> {
        let target = Target { account, ..Target::default() };
        self.gate().admit(self.session, action, &target).map_err(refused)
    }
    fn account(&self, address: &Address) -> Result<pli_store::Account> {
        self.store()
            .account_by_key(&address.key())
            .map_err(failed)?
            .ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("there is no account {address}")))
    }

    /// Cheap enough to be asked each second: no table is counted.
    fn health(&self) -> Result {
        let condition = self.store().condition();
        let (entries, checkpoint) = self.store().audit_checkpoint();
        let permit = self.admit(Action::QueueRead, None)?;
        let next = self.store().queue_next(&permit).ok().flatten();
        Ok(json!({
            "running": self.service.status.is_some(),
            "well": condition.is_ok(),
            "server": self.service.status,
            "time": (self.service.now)().secs(),
            "store": {
                "condition": condition.map_or_else(|error| error.to_string(), |()| String::from("well")),
                "damaged_messages": self.store().damaged_messages(),
            },
            "queue": { "next_attempt": next.map(UnixMillis::secs) },
            "audit": { "entries": entries, "checkpoint": checkpoint.is_some() },
        }))
    }

    fn store_stat(&self) -> Result {
        self.admit(Action::AccountRead, None)?;
        let stat = self.store().stat().map_err(failed)?;
        serde_json::to_value(stat).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))
    }

    async fn store_compact(&self, all: bool) -> Result {
        let permit = self.admit(Action::Compact, None)?;
        let how = pli_store::Compaction { all, bytes_per_second: None };
        let done = self.store().compact(permit, how).await.map_err(failed)?;
        serde_json::to_value(done).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))
    }

    /// A report as a reply, recorded: damage is a failure that carries the report.
    async fn verified(&self, what: &str, report: &pli_store::VerifyReport) -> Result {
        let damaged = u64::try_from(report.damage.len()).unwrap_or(u64::MAX);
        let event = self.gate().event(self.session, Action::Verify).count(what, 1).count("damage", damaged);
        let event = if damaged > 0 { event.failed("damaged", "") } else { event };
        self.record(Action::Verify, event).await?;
        let value = serde_json::to_value(report).map_err(|e| Failure::new(ErrorKind::Unavailable, e.to_string()))?;
        if damaged == 0 { Ok(value) } else { Err(Failure::new(ErrorKind::Damaged, value.to_string())) }
    }

    /// Records an act that changes nothing, and waits until that is durable.
    async fn record(&self, action: Action, event: pli_audit::Event) -> Result<()> {
        let permit = self.admit(action, None)?;
        self.store().record(permit, event).await.map_err(failed)?;
        Ok(())
    }
}

/// Runs something long off the async workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, StoreError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(Failure::new(ErrorKind::Unavailable, "the work was broken off")),
    }
}

fn refused(refusal: Refusal) -> Failure {
    let kind = match refusal {
        Refusal::Unavailable | Refusal::RateLimited => ErrorKind::Unavailable,
        _ => ErrorKind::Refused,
    };
    Failure::new(kind, refusal.to_string())
}

/// The store's errors as the administrator sees them.
fn failed(error: StoreError) -> Failure {
    let kind = match &error {
        StoreError::NoAccount(_)
        | StoreError::NoMailbox
        | StoreError::NoMessage
        | StoreError::NoQueueRow(_)
        | StoreError::Missing(_)
        | StoreError::Past(_) => ErrorKind::NotFound,
        StoreError::Exists(_) => ErrorKind::Exists,
        StoreError::Impossible(_) | StoreError::OverQuota { .. } | StoreError::Limit(_) | StoreError::WrongPermit => {
            ErrorKind::Refused
        }
        StoreError::Keys(pli_crypto::CryptoError::Unavailable(_)) => ErrorKind::Unavailable,
        StoreError::Keys(pli_crypto::CryptoError::Unsupported(_)) => ErrorKind::Refused,
        StoreError::Damaged(_) | StoreError::Keys(_) => ErrorKind::Damaged,
        StoreError::DiskFull
        | StoreError::NoFiles
        | StoreError::Stopped(_)
        | StoreError::Rebuilding
        | StoreError::Index(_)
        | StoreError::Io(_) => ErrorKind::Unavailable,
    };
    Failure::new(kind, error.to_string())
}

/// Hashes a password off the async workers, with what SCRAM needs beside it.
async fn hash(password: &PlainPassword, salt: [u8; SCRAM_SALT_BYTES]) -> Result<String> {
    if password.0.is_empty() {
        return Err(Failure::new(ErrorKind::Usage, "the password is empty"));
    }
    let secret = SecretString::new(password.0.clone());
    let work = move || {
        let scram = ScramVerifier::derive(&secret, &salt)?;
        Ok::<_, pli_crypto::CryptoError>(scram.beside(&pli_crypto::hash_password(&secret)?))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(phc)) => Ok(phc),
        Ok(Err(error)) => Err(Failure::new(ErrorKind::Unavailable, error.to_string())),
        Err(_) => Err(Failure::new(ErrorKind::Unavailable, "hashing was broken off")),
    }
}

/// The names of [`DEFAULT_MAILBOXES`].
fn default_mailboxes() -> Vec<(MailboxName, Option<SpecialUse>)> {
    DEFAULT_MAILBOXES
        .into_iter()
        .filter_map(|(name, special_use)| Some((MailboxName::new(name).ok()?, Some(special_use))))
        .collect()
}
